package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A simPerson is somebody of a simulation, with one device. What it sends it sends
// again, byte by byte, until there is an answer.
type simPerson struct {
	*testPerson
	s       *simulation
	at      *simNode
	dice    *rand.Rand
	outbox  *simEntry
	tells   []wire.FriendRequest
	last    error                     // of the last call
	holders map[wire.AccountID]bool   // who may have a wrap of the newest epoch
	heard   map[wire.AccountID]string // of friendships
	seen    map[wire.AccountID]uint64 // the newest entry that was read of others

	// Others look at these, under s.mu.
	made   []wire.EntryID            // all entries; the last may be in the outbox
	acked  int                       // of these
	closed map[wire.AccountID]uint64 // to whom, since when: from that entry on
	sealed map[wire.Commitment]map[wire.AccountID][]wire.Hash
	said   []wire.FriendRequest // acknowledged
}

// A simEntry is an entry that waits to be acknowledged, and what goes with it.
type simEntry struct {
	wraps   *wire.WrapsRequest
	request wire.PublishRequest
	holders map[wire.AccountID]bool // of an epoch
	left    []wire.AccountID        // to whom the stream is closed by it
}

var errAway = wire.Errorf(wire.Unavailable, "", "the node is away")

// settle registers somebody.
func (n *simNode) settle(handle wire.Handle) *simPerson {
	p := &simPerson{
		testPerson: n.testNode.person(handle), s: n.s, at: n, dice: n.s.dice("person", handle), holders: map[wire.AccountID]bool{},
		heard: map[wire.AccountID]string{}, seen: map[wire.AccountID]uint64{}, closed: map[wire.AccountID]uint64{}, sealed: map[wire.Commitment]map[wire.AccountID][]wire.Hash{},
	}
	p.first = p.chain()
	p.made, p.acked = []wire.EntryID{p.stream.ID}, 1
	return p
}

// befriends makes friends of two at once, in time of peace.
func (p *simPerson) befriends(o *simPerson) {
	p.share(o)
	p.tell(p.offer(o.testPerson))
	o.share(p)
	o.tell(o.accept(p.testPerson))
}

// simStep is what each request takes, and nothing else that happens at home.
const simStep = time.Microsecond

// call asks the person's node, as long as it lives.
func (p *simPerson) call(ask func(context.Context, *Person) error) error {
	life := p.at.enter()
	if life == nil {
		return errAway
	}
	defer life.busy.Done()
	ctx, cancel := context.WithTimeout(life.ctx, requestTime)
	defer cancel()
	err := ask(ctx, life.node.As(p.account, p.address.Handle))
	time.Sleep(simStep) // what comes of it, such as a notice, comes before the next request
	p.last = err
	if life.ctx.Err() != nil { // the answer does not arrive any more
		return errAway
	}
	return err
}

// undecided reports whether what failed may have been done, and is worth another try.
func undecided(err error) bool {
	return err != nil && (errors.Is(err, wire.Unavailable) || wire.KindOf(err) == wire.Internal || errors.Is(err, wire.Throttled))
}

// live visits the node until all has had its time.
func (p *simPerson) live() {
	s := p.s
	for {
		wait := simVisit/2 + time.Duration(p.dice.Int64N(int64(simVisit)))
		if s.troubled() {
			wait = time.Duration(p.dice.ExpFloat64() * float64(s.plan.pace))
		}
		if s.now()+wait > s.plan.trouble+simHealing-2*simVisit {
			return
		}
		time.Sleep(wait)
		p.visit()
	}
}

// visit does what waits, learns what is new, and maybe something more.
func (p *simPerson) visit() {
	if !p.flush() || !p.hear() || !p.tidy() {
		return
	}
	if !p.s.troubled() {
		return
	}
	other := p.s.order[p.dice.IntN(len(p.s.order))]
	switch d := p.dice.IntN(20); {
	case d < 10:
		p.write()
	case d < 14:
		p.read(other)
	case other.account == p.account:
	case d < 18:
		p.approach(other)
	default:
		p.leave(other)
	}
	p.flush()
}

// flush sends what waits, and reports whether no entry does any more.
func (p *simPerson) flush() bool {
	if p.outbox != nil && !p.publishNext() {
		return false
	}
	for len(p.tells) > 0 {
		first := p.tells[0]
		err := p.call(func(ctx context.Context, me *Person) error {
			_, err := me.Tell(ctx, first)
			return err
		})
		if undecided(err) {
			break
		}
		p.tells = p.tells[1:]
		if err == nil { // else it was too late for it
			p.s.mu.Lock()
			p.said = append(p.said, first)
			p.s.mu.Unlock()
			p.s.count("statements")
			p.s.record("%s said %s", p.address, first.Kind)
		}
	}
	return true
}

// publishNext sends what is in the outbox.
func (p *simPerson) publishNext() bool {
	o, s := p.outbox, p.s
	if o.wraps != nil {
		err := p.call(func(ctx context.Context, me *Person) error { return me.PutWraps(ctx, *o.wraps) })
		if err != nil {
			p.decided(err, "wraps")
			return false
		}
		o.wraps = nil
	}
	err := p.call(func(ctx context.Context, me *Person) error {
		_, err := me.Publish(ctx, o.request)
		return err
	})
	if err != nil && p.decided(err, "an entry") && errors.Is(err, wire.Limit) {
		s.mu.Lock()
		p.made = p.made[:len(p.made)-1]
		s.mu.Unlock()
		p.outbox = nil
	}
	if err != nil {
		return false
	}
	p.outbox = nil
	p.advance(o.request.Entry)
	if o.holders != nil {
		p.holders = o.holders
	}
	s.mu.Lock()
	p.acked = len(p.made)
	for _, ex := range o.left {
		p.closed[ex] = p.stream.Seq
	}
	p.said = append(p.said, o.request.Ends...)
	s.mu.Unlock()
	s.count("entries")
	s.record("%s has entry %d", p.address, p.stream.Seq)
	p.readOwn()
	return true
}

// decided reports whether an error is the end of it, which it should never be but
// for limits.
func (p *simPerson) decided(err error, of string) bool {
	if undecided(err) {
		return false
	}
	if !errors.Is(err, wire.Limit) {
		p.s.failf("%s of %s: %v", of, p.address, err)
	}
	return true
}

// readOwn wants the entry that was acknowledged just now.
func (p *simPerson) readOwn() {
	var reply wire.StreamReply
	err := p.call(func(ctx context.Context, me *Person) (err error) {
		reply, err = me.Stream(ctx, p.account, p.audience, p.stream.Seq-1, 0, 0)
		return err
	})
	if p.stream.Seq == 1 || undecided(err) {
		return
	}
	if err != nil || len(reply.Entries) != 1 || reply.Entries[0].ID() != p.stream.ID {
		p.s.failf("%s does not read their own entry %d: %d entries, %v", p.address, p.stream.Seq, len(reply.Entries), err)
	}
}

// next puts an entry into the outbox.
func (p *simPerson) next(o *simEntry) {
	p.outbox = o
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.made = append(p.made, o.request.Entry.ID())
}

func (p *simPerson) write() {
	p.next(&simEntry{request: wire.PublishRequest{Entry: p.post()}})
}

// wrapped makes wraps of an epoch, and remembers them.
func (p *simPerson) wrapped(c wire.Commitment, readers ...*simPerson) *wire.WrapsRequest {
	r := &wire.WrapsRequest{Audience: p.audience, Commitment: c}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.sealed[c] == nil {
		p.sealed[c] = map[wire.AccountID][]wire.Hash{}
	}
	for _, o := range readers {
		w := p.wrapFor(o.testPerson)
		r.Wraps = append(r.Wraps, w)
		p.sealed[c][o.account] = append(p.sealed[c][o.account], sealedHash(w.Sealed))
	}
	return r
}

// renew begins an epoch for those who are entitled, and ends other friendships.
func (p *simPerson) renew(leaving ...*simPerson) {
	b := p.epochBody()
	o := &simEntry{holders: map[wire.AccountID]bool{}}
	var readers []*simPerson
	for _, other := range p.s.order {
		switch {
		case !p.holders[other.account]:
		case p.entitled(other) && !slices.Contains(leaving, other):
			readers = append(readers, other)
			o.holders[other.account] = true
		default:
			o.left = append(o.left, other.account)
		}
	}
	if len(readers) > 0 {
		o.wraps = p.wrapped(b.Content, readers...)
	}
	o.request.Entry = p.seal(p.header(wire.KindEpoch), must(b.Encode()))
	for _, other := range leaving {
		o.request.Ends = append(o.request.Ends, p.endOf(other.testPerson, p.contact(other.testPerson).LiveOffers()...))
	}
	p.next(o)
}

// entitled reports whether somebody may have a wrap, by what is known here.
func (p *simPerson) entitled(o *simPerson) bool {
	state := p.contact(o.testPerson).State()
	return state == wire.StateFriend || state == wire.StateOutgoing
}

// hear learns what the node has of friendships.
func (p *simPerson) hear() bool {
	var reply wire.FriendsReply
	err := p.call(func(ctx context.Context, me *Person) (err error) {
		reply, err = me.Friends(ctx)
		return err
	})
	if err != nil {
		p.decided(err, "the list of friends")
		return false
	}
	for _, f := range reply.Friends {
		said := string(wire.EncodeJSON(f))
		if p.heard[f.Account] == said {
			continue
		}
		p.heard[f.Account] = said
		p.contact(p.s.people[f.Account].testPerson).take(p.testPerson, f)
	}
	return true
}

// tidy gives friends the key that they lack, and begins an epoch where somebody has
// one who should not.
func (p *simPerson) tidy() bool {
	var lacking []*simPerson
	for _, o := range p.s.order {
		switch {
		case o.account == p.account:
		case p.holders[o.account] && !p.entitled(o):
			if len(p.tells) > 0 { // it may be an offer
				continue
			}
			p.renew()
			return p.flush()
		case !p.holders[o.account] && p.contact(o.testPerson).State() == wire.StateFriend:
			lacking = append(lacking, o)
		}
	}
	return len(lacking) == 0 || p.share(lacking...)
}

// share hands in wraps of the newest epoch.
func (p *simPerson) share(with ...*simPerson) bool {
	r := p.wrapped(p.content, with...)
	p.s.mu.Lock()
	for _, o := range with {
		delete(p.closed, o.account)
	}
	p.s.mu.Unlock()
	err := p.call(func(ctx context.Context, me *Person) error { return me.PutWraps(ctx, *r) })
	for _, o := range with {
		p.holders[o.account] = p.holders[o.account] || err == nil || undecided(err) && p.contact(o.testPerson).State() != wire.StateFriend
	}
	if err != nil {
		p.decided(err, "wraps")
	}
	return err == nil
}

// approach offers friendship, or accepts it.
func (p *simPerson) approach(o *simPerson) {
	c := p.contact(o.testPerson)
	state := c.State()
	if len(p.tells) > 0 || state != wire.StateNone && state != wire.StateIncoming || !p.share(o) {
		return
	}
	if state == wire.StateIncoming && p.dice.IntN(4) > 0 {
		p.tells = append(p.tells, p.acceptOf(o.testPerson, c.Yours.Offer))
	} else {
		p.tells = append(p.tells, p.offer(o.testPerson))
	}
}

// leave ends, cancels or declines.
func (p *simPerson) leave(o *simPerson) {
	c := p.contact(o.testPerson)
	switch state := c.State(); {
	case len(p.tells) > 0 || state == wire.StateNone:
	case p.holders[o.account]:
		p.renew(o)
	default:
		p.tells = append(p.tells, p.endOf(o.testPerson, c.LiveOffers()...))
	}
}

// read reads a stream and holds it to what its author wrote.
func (p *simPerson) read(o *simPerson) {
	s := p.s
	s.mu.Lock()
	closed, wasClosed := o.closed[p.account]
	acked := o.acked
	s.mu.Unlock()
	after := uint64(0)
	for {
		var reply wire.StreamReply
		err := p.call(func(ctx context.Context, me *Person) (err error) {
			reply, err = me.Stream(ctx, o.account, o.audience, after, 0, 0)
			return err
		})
		if err != nil {
			p.refused(o, err)
			return
		}
		if len(reply.Entries) == 0 {
			break
		}
		s.mu.Lock()
		made := slices.Clone(o.made)
		_, stillClosed := o.closed[p.account]
		s.mu.Unlock()
		for _, e := range reply.Entries {
			if after++; after > uint64(len(made)) || made[after-1] != e.ID() {
				s.failf("%s reads another entry than %d of %s", p.address, after, o.address)
			}
			if wasClosed && stillClosed && after >= closed {
				s.failf("%s reads entry %d of %s, who left with entry %d", p.address, after, o.address, closed)
			}
		}
	}
	s.count("readings")
	if after < p.seen[o.account] {
		s.failf("%s reads %d entries of %s, and read %d before", p.address, after, o.address, p.seen[o.account])
	}
	if o == p && after < uint64(acked) {
		s.failf("%s reads %d of their own %d entries", p.address, after, acked)
	}
	p.seen[o.account] = max(p.seen[o.account], after)
}

// refused wants that what cannot be read is either not for the person, or cannot be
// read at the moment.
func (p *simPerson) refused(o *simPerson, err error) {
	if !undecided(err) && (o == p || !errors.Is(err, wire.NotExist)) {
		p.s.failf("%s reads %s: %v", p.address, o.address, err)
	}
}
