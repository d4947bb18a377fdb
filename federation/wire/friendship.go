package wire

import "slices"

// FriendState is where a friendship stands, seen from one of the two.
type FriendState string

const (
	StateNone     FriendState = "none"
	StateOutgoing FriendState = "outgoing" // I offered
	StateIncoming FriendState = "incoming" // they offered
	StateFriend   FriendState = "friend"
)

// A Friendship is what the statements of two people, seen from Me, add up to. It
// is a function of the set of statements and not of their order, so both homes
// and all devices arrive at the same: of each side the newest offer counts,
// unless an end names it; an acceptance counts while the offer it names does.
type Friendship struct {
	Me    AccountID `cbor:"1,keyasint"`
	Other AccountID `cbor:"2,keyasint"`
	Mine  Side      `cbor:"3,keyasint"`
	Yours Side      `cbor:"4,keyasint"`
	Ended []Ended   `cbor:"5,keyasint,omitempty"` // oldest first, at most MaxEnded
	Floor int64     `cbor:"6,keyasint"`           // offers claimed at or before it are dead, ms
}

// A Side is what one of the two has said.
type Side struct {
	Offer    Hash       `cbor:"1,keyasint"` // newest seen, live or dead; zero for none
	Created  int64      `cbor:"2,keyasint"` // of that offer
	Audience AudienceID `cbor:"3,keyasint"` // newest named in an offer or acceptance
	Accepted Hash       `cbor:"4,keyasint"` // the other side's offer that this side accepted
}

// Ended is an offer that is dead, and when that was said.
type Ended struct {
	Offer Hash  `cbor:"1,keyasint"`
	Said  int64 `cbor:"2,keyasint"`
}

func (f *Friendship) side(from AccountID) (mine, other *Side, err error) {
	switch from {
	case f.Me:
		return &f.Mine, &f.Yours, nil
	case f.Other:
		return &f.Yours, &f.Mine, nil
	}
	return nil, nil, Errorf(Invalid, "friendship", "the statement is of other people")
}

func (f *Friendship) live(s Side) bool {
	return !s.Offer.IsZero() && s.Created > f.Floor && !f.ended(s.Offer)
}

func (f *Friendship) ended(offer Hash) bool {
	return slices.ContainsFunc(f.Ended, func(e Ended) bool { return e.Offer == offer })
}

// State tells where the friendship stands. Crossed offers count as accepted.
func (f *Friendship) State() FriendState {
	mine, yours := f.live(f.Mine), f.live(f.Yours)
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

// LiveOffers returns the offers that an end has to name now.
func (f *Friendship) LiveOffers() []Hash {
	var hs []Hash
	for _, s := range []Side{f.Mine, f.Yours} {
		if f.live(s) {
			hs = append(hs, s.Offer)
		}
	}
	return hs
}

// AddOffer takes in a verified offer with its hash. An offer that is older than
// one seen of the same person changes nothing.
func (f *Friendship) AddOffer(o *Offer, hash Hash) error {
	s, _, err := f.side(o.From)
	if err != nil || o.To != f.Me && o.To != f.Other {
		return Errorf(Invalid, "offer", "the offer is of other people")
	}
	if o.Created < s.Created || o.Created == s.Created && string(hash[:]) <= string(s.Offer[:]) {
		return nil
	}
	s.Offer, s.Created, s.Audience = hash, o.Created, o.Audience
	return nil
}

// AddAccept takes in a verified acceptance. NotExist when the offer it names has
// not arrived yet: it has to come again after that.
func (f *Friendship) AddAccept(a *Accept) error {
	s, other, err := f.side(a.From)
	if err != nil || a.To != f.Me && a.To != f.Other {
		return Errorf(Invalid, "accept", "the acceptance is of other people")
	}
	if f.ended(a.Offer) {
		return nil
	}
	if other.Offer != a.Offer {
		if other.Created > a.Created {
			return nil // of an offer that a newer one replaced
		}
		return Errorf(NotExist, "accept", "the offer that it names is not known")
	}
	s.Accepted, s.Audience = a.Offer, a.Audience
	return nil
}

// AddEnd takes in a verified end. The offers it names stay dead for good.
func (f *Friendship) AddEnd(e *End) error {
	if _, _, err := f.side(e.From); err != nil || e.To != f.Me && e.To != f.Other {
		return Errorf(Invalid, "end", "the end is of other people")
	}
	for _, h := range e.Offers {
		if !f.ended(h) {
			f.Ended = append(f.Ended, Ended{h, e.Created})
		}
	}
	for len(f.Ended) > MaxEnded {
		f.Floor = max(f.Floor, f.Ended[0].Said)
		f.Ended = f.Ended[1:]
	}
	return nil
}
