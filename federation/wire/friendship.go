package wire

import (
	"bytes"
	"cmp"
	"slices"
)

// FriendState is where a friendship stands, seen from one of the two.
type FriendState string

const (
	StateNone     FriendState = "none"
	StateOutgoing FriendState = "outgoing" // I offered
	StateIncoming FriendState = "incoming" // they offered
	StateFriend   FriendState = "friend"
)

// A Friendship is what the statements of two people, seen from Me, add up to. It
// is a function of the set of statements: neither order nor repetition matters,
// so both homes and all devices arrive at the same (TestFriendshipConverges).
// Each field is a maximum, or a set of them, of what was said:
//
//   - of each side the newest offer counts, unless an end names it;
//   - of each side the newest acceptance counts, if it names the offer that
//     counts of the other side. It may arrive before that offer;
//   - newest is the later claimed time, then the greater hash. Times of one side
//     are compared with times of the same side only; NextCreated keeps them growing.
//
// Of the offers that ends name, the MaxEnded named latest are remembered. For
// the ones forgotten, Floor stands: offers claimed before it are dead.
// That changes nothing where each end is at least as late as the offers it
// names. Where somebody breaks that rule, an offer once seen dead stays dead.
type Friendship struct {
	Me    AccountID `cbor:"1,keyasint"`
	Other AccountID `cbor:"2,keyasint"`
	Mine  Side      `cbor:"3,keyasint"`
	Yours Side      `cbor:"4,keyasint"`
	Ended []Ended   `cbor:"5,keyasint"` // ascending by Said, then Offer; at most MaxEnded
	Floor int64     `cbor:"6,keyasint"` // offers claimed before it are dead, ms
}

// A Side is what one of the two has said.
type Side struct {
	Offer      Hash       `cbor:"1,keyasint"` // newest seen, live or dead; zero for none
	Created    int64      `cbor:"2,keyasint"` // of that offer, ms
	Dead       bool       `cbor:"3,keyasint"` // that offer was ended
	Accepted   Hash       `cbor:"4,keyasint"` // the offer that the newest acceptance names; zero for none
	AcceptedAt int64      `cbor:"5,keyasint"` // of that acceptance, ms
	Audience   AudienceID `cbor:"6,keyasint"` // newest named in an offer or acceptance
	AudienceAt int64      `cbor:"7,keyasint"` // of the statement that named Audience, ms
}

// Ended is an offer that is dead, and when that was said last.
type Ended struct {
	Offer Hash  `cbor:"1,keyasint"`
	Said  int64 `cbor:"2,keyasint"`
}

// Check refuses what no set of statements adds up to. It is for a friendship
// that was stored where others can write.
func (f *Friendship) Check() error {
	if err := f.checkTimes(); err != nil {
		return err
	}
	if len(f.Ended) > MaxEnded {
		return Errorf(Invalid, "friendship", "at most %d ended offers are remembered", MaxEnded)
	}
	for i, e := range f.Ended {
		if e.Offer.IsZero() || i > 0 && f.Ended[i-1].compare(e) >= 0 {
			return Errorf(Invalid, "friendship", "the ended offers are out of order")
		}
	}
	return nil
}

func (f *Friendship) checkTimes() error {
	if f.Floor < 0 || f.Floor > MaxTime+1 { // one more than the latest time of an end
		return Errorf(Invalid, "friendship", "the floor %d is no time in milliseconds", f.Floor)
	}
	var times []int64
	for _, s := range []Side{f.Mine, f.Yours} {
		times = append(times, s.Created, s.AcceptedAt, s.AudienceAt)
	}
	for _, e := range f.Ended {
		times = append(times, e.Said)
	}
	for _, at := range times {
		if err := checkTime("friendship", at); err != nil {
			return err
		}
	}
	return nil
}

func (e Ended) compare(o Ended) int {
	return cmp.Or(cmp.Compare(e.Said, o.Said), bytes.Compare(e.Offer[:], o.Offer[:]))
}

// side returns what the one who made a statement has said, or Invalid when the
// statement is not between the two.
func (f *Friendship) side(what string, from, to AccountID) (*Side, error) {
	switch {
	case from == f.Me && to == f.Other:
		return &f.Mine, nil
	case from == f.Other && to == f.Me:
		return &f.Yours, nil
	}
	return nil, Errorf(Invalid, what, "it is a statement of other people")
}

// Said reads a Friendship under key: who the two are and what they have said, which
// is all that State asks. What has ended is gone past.
func (r *PlainReader) Said(key uint64) (f Friendship) {
	r.key(key)
	r.Pairs(6)
	f.Me, f.Other = r.ID(1), r.ID(2)
	f.Mine, f.Yours = r.side(3), r.side(4)
	r.Skip(5)
	f.Floor = r.Time(6)
	return f
}

// side reads a Side under key.
func (r *PlainReader) side(key uint64) Side {
	r.key(key)
	r.Pairs(7)
	return Side{r.ID(1), r.Time(2), r.flag(3), r.ID(4), r.Time(5), r.ID(6), r.Time(7)}
}

func (s *Side) live() bool { return !s.Offer.IsZero() && !s.Dead }

// State tells where the friendship stands. Crossed offers count as accepted.
func (f *Friendship) State() FriendState {
	mine, yours := f.Mine.live(), f.Yours.live()
	switch {
	case mine && yours, mine && f.Yours.Accepted == f.Mine.Offer, yours && f.Mine.Accepted == f.Yours.Offer:
		return StateFriend
	case mine:
		return StateOutgoing
	case yours:
		return StateIncoming
	}
	return StateNone
}

// LiveOffers returns the offers that an end has to name now, in ascending order.
func (f *Friendship) LiveOffers() []Hash {
	var hs []Hash
	for _, s := range []*Side{&f.Mine, &f.Yours} {
		if s.live() {
			hs = append(hs, s.Offer)
		}
	}
	slices.SortFunc(hs, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return hs
}

// NextCreated returns the time that the next statement about f has to claim when
// the clock says now (ms): later than all that was said before, so that it counts
// whatever the clocks of the two are.
func (f *Friendship) NextCreated(now int64) int64 {
	last := f.Floor - 1
	for _, s := range []Side{f.Mine, f.Yours} {
		last = max(last, s.Created, s.AcceptedAt)
	}
	for _, e := range f.Ended {
		last = max(last, e.Said)
	}
	return max(now, last+1)
}

// AddOffer takes in a verified offer with its hash. An offer that is older than
// one seen of the same person changes nothing.
func (f *Friendship) AddOffer(o *Offer, hash Hash) error {
	s, err := f.side("offer", o.From, o.To)
	if err != nil {
		return err
	}
	s.hear(o.Audience, o.Created)
	if newer(o.Created, hash, s.Created, s.Offer) {
		s.Offer, s.Created = hash, o.Created
		s.Dead = f.dead(*s)
	}
	return nil
}

// AddAccept takes in a verified acceptance, whether the offer that it names has
// arrived or not.
func (f *Friendship) AddAccept(a *Accept) error {
	s, err := f.side("accept", a.From, a.To)
	if err != nil {
		return err
	}
	s.hear(a.Audience, a.Created)
	if newer(a.Created, a.Offer, s.AcceptedAt, s.Accepted) {
		s.Accepted, s.AcceptedAt = a.Offer, a.Created
	}
	return nil
}

// AddEnd takes in a verified end. The offers it names stay dead for good.
func (f *Friendship) AddEnd(e *End) error {
	if _, err := f.side("end", e.From, e.To); err != nil {
		return err
	}
	f.Ended = slices.Clone(f.Ended) // copies of f share the array
	for _, h := range e.Offers {
		f.end(h, e.Created)
	}
	f.bury() // before anything is forgotten
	f.forget()
	f.bury() // the floor may have risen
	return nil
}

// AddTombstone takes in that one of the two has deleted their account: all that they
// have said to each other is over. Nobody asks them for more, and they say no more.
func (f *Friendship) AddTombstone(t *Tombstone) error {
	if t.Account != f.Me && t.Account != f.Other {
		return Errorf(Invalid, "tombstone", "it is of somebody else")
	}
	f.Ended = slices.Clone(f.Ended) // copies of f share the array
	for _, s := range []Side{f.Mine, f.Yours} {
		if !s.Offer.IsZero() {
			f.end(s.Offer, t.Created)
		}
	}
	f.bury()
	f.forget()
	f.bury()
	return nil
}

// hear notes the audience that a statement made at the given time names.
func (s *Side) hear(a AudienceID, at int64) {
	if newer(at, Hash(a), s.AudienceAt, Hash(s.Audience)) {
		s.Audience, s.AudienceAt = a, at
	}
}

// newer orders statements of one side: by claimed time, then by hash.
func newer(at int64, h Hash, thanAt int64, than Hash) bool {
	return cmp.Or(cmp.Compare(at, thanAt), bytes.Compare(h[:], than[:])) > 0
}

// end remembers that offer was ended, with the latest time at which it was said.
func (f *Friendship) end(offer Hash, said int64) {
	i := slices.IndexFunc(f.Ended, func(e Ended) bool { return e.Offer == offer })
	if i < 0 {
		f.Ended = append(f.Ended, Ended{offer, said})
	} else {
		f.Ended[i].Said = max(f.Ended[i].Said, said)
	}
	slices.SortFunc(f.Ended, Ended.compare)
}

// forget keeps the MaxEnded offers that were ended latest and raises Floor over the others.
func (f *Friendship) forget() {
	for len(f.Ended) > MaxEnded {
		f.Floor = max(f.Floor, f.Ended[0].Said+1)
		f.Ended = f.Ended[1:]
	}
}

// bury marks the newest offer of each side that is dead by what is remembered.
// The mark goes only when a newer offer comes.
func (f *Friendship) bury() {
	f.Mine.Dead = f.Mine.Dead || f.dead(f.Mine)
	f.Yours.Dead = f.Yours.Dead || f.dead(f.Yours)
}

func (f *Friendship) dead(s Side) bool {
	return !s.Offer.IsZero() && (s.Created < f.Floor || slices.ContainsFunc(f.Ended, func(e Ended) bool { return e.Offer == s.Offer }))
}
