package story_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A couple is two people who do one deed after the other, and between whom a
// friendship begins and ends again and again. So it is always known what there
// has to be, but for the one deed that got no answer.
type couple struct {
	*crash
	people  [2]*witness
	pending *deed                   // was sent, and got no answer
	then    []func() (*deed, error) // what has to come next
	phase   int
	offer   wire.FriendRequest // the last that was made
	offerer int                // who made it
	created int64              // of the last statement between them
}

// The phases of a friendship.
const (
	strangers = iota
	offered
	friends
)

// now is a time for the next statement between the two.
func (c *couple) now() int64 {
	c.created = max(time.Now().UnixMilli(), c.created+1)
	return c.created
}

// usual is how often each kind of deed is done, in 1,000.
var usual = map[string]int{
	deedPost: 800, deedBulk: 2, deedEpoch: 8, deedWraps: 40, deedFriend: 70, deedVault: 30, deedLogin: 20, deedLogout: 20, deedRegister: 10,
}

// draw chooses a kind of deed; half of the time what leads to a failpoint.
func draw(under string) string {
	if slices.Contains(deedKinds, under) && mathrand.IntN(2) == 0 {
		return under
	}
	if under == deedEpoch && mathrand.IntN(2) == 0 {
		return deedFriend // so that there is one to end
	}
	at := mathrand.IntN(1000)
	for _, kind := range deedKinds {
		if at -= usual[kind]; at < 0 {
			return kind
		}
	}
	return deedPost
}

// next makes the next deed, nil if there is none of the kind that was drawn.
func (c *couple) next(under string) (*deed, error) {
	if len(c.then) > 0 {
		do := c.then[0]
		c.then = c.then[1:]
		return do()
	}
	me := mathrand.IntN(2)
	w, other := c.people[me], c.people[1-me]
	switch kind := draw(under); kind {
	case deedPost:
		return w.posts(kind, 40+mathrand.IntN(400)), nil
	case deedBulk:
		return w.posts(kind, 60_000), nil
	case deedEpoch:
		return c.rotate(w, other), nil
	case deedWraps:
		return w.hands(w.content, w.wrapped, c.readers(w)...), nil
	case deedFriend:
		return c.proceed(me), nil
	case deedVault:
		return w.replaces(), nil
	case deedLogin:
		if len(w.open) < 5 {
			return w.logsIn()
		}
	case deedLogout:
		if len(w.open) > 1 {
			return w.logsOut(), nil
		}
	case deedRegister:
		return w.founds(), nil
	}
	return nil, nil
}

// readers are those who may read w for ever, the one on the same node first, and
// the other one of the couple while they are friends.
func (c *couple) readers(w *witness) []*witness {
	list := []*witness{c.hubs[0], c.hubs[1]}
	if w.home == c.nodes[1] {
		slices.Reverse(list)
	}
	if c.phase == friends {
		list = append(list, c.people[0], c.people[1])
		list = slices.DeleteFunc(list, func(o *witness) bool { return o == w })
	}
	return list
}

// rotate begins an epoch: wraps first, then the entry, which ends the friendship
// if there is one.
func (c *couple) rotate(w, other *witness) *deed {
	content, wrapped := wire.Commitment(random32()), map[wire.AccountID]wire.Hash{}
	readers, ends, ended := c.readers(w), []wire.FriendRequest(nil), func() {}
	if c.phase == friends {
		readers = readers[:2]
		end := c.end(w, other)
		ends = append(ends, end)
		ended = func() {
			w.said(other, end, wire.StateNone)
			c.phase = strangers
		}
	}
	c.then = append(c.then, func() (*deed, error) { return w.begins(content, wrapped, ends, ended), nil })
	return w.hands(content, wrapped, readers...)
}

// end makes an end of the friendship, or of the offer.
func (c *couple) end(w, other *witness) wire.FriendRequest {
	return telling(other.member, wire.FriendEnd, must((&wire.End{
		Version: wire.Version, Suite: wire.Suite, From: w.account, To: other.account,
		Offers: []wire.Hash{c.offer.Statement.Hash(wire.LabelOffer)}, Created: c.now(),
	}).Sign(w.identity)))
}

// proceed makes the next statement of the friendship, if it is the turn of that
// one of the two. A node that was just started takes nothing from others for a
// second, so of two nodes only people of the one that is killed speak.
func (c *couple) proceed(me int) *deed {
	w, other := c.people[me], c.people[1-me]
	if w.home != other.home && w.home != c.victim {
		return nil
	}
	switch {
	case c.phase == strangers:
		r := w.offering(other.member, c.now())
		return w.tells(other, r, wire.StateOutgoing, func() { c.phase, c.offer, c.offerer = offered, r, me })
	case c.phase == offered && c.offerer != me:
		r := w.accepting(other.member, c.offer.Statement.Hash(wire.LabelOffer), c.now())
		return w.tells(other, r, wire.StateFriend, func() {
			c.phase = friends
			c.then = append(c.then,
				func() (*deed, error) { return w.hands(w.content, w.wrapped, c.readers(w)...), nil },
				func() (*deed, error) { return other.hands(other.content, other.wrapped, c.readers(other)...), nil })
		})
	case c.phase == friends && mathrand.IntN(4) == 0, c.phase == offered && mathrand.IntN(8) == 0:
		return w.tells(other, c.end(w, other), wire.StateNone, func() { c.phase = strangers })
	}
	return nil
}

// do sends a deed, and takes in what was acknowledged.
func (c *couple) do(d *deed) (refused bool, err error) {
	c.pending = d
	status, body, err := d.by.exchange(d.request)
	if err != nil {
		return false, err
	}
	c.pending = nil
	if slices.Contains(d.refusals, status) {
		return true, nil
	}
	if status != http.StatusOK && status != http.StatusNoContent {
		return false, d.by.fault(wrong, "%s: status %d, %s", d.kind, status, body)
	}
	c.counts.acknowledge(d.kind)
	return false, d.done(body)
}

// work does deeds until the burst ends.
func (c *couple) work(b *burst) error {
	for idle := 0; !b.over(); {
		d, err := c.next(b.under)
		if err != nil {
			return err
		}
		if d == nil {
			if idle++; idle > 1000 {
				return fmt.Errorf("nothing to do of kind %q", b.under)
			}
			continue
		}
		idle = 0
		refused, err := c.do(d)
		if err != nil {
			return err
		}
		if !refused {
			b.done()
		}
	}
	return nil
}

// resolve deals with the deed that got no answer. Mostly it is sent again: it has
// to be acknowledged now, and to count once. Some people do not come back to what
// was done, and it has to have all its consequences all the same.
func (c *couple) resolve() error {
	d := c.pending
	if d == nil {
		return nil
	}
	taken, err := false, error(nil)
	if d.taken != nil {
		if taken, err = d.taken(); err != nil {
			return err
		}
	}
	if taken && !d.partly && mathrand.IntN(2) == 0 {
		c.pending = nil
		c.counts.resolve(taken)
		return d.done(nil)
	}
	status, body, err := d.by.exchange(d.request)
	if err != nil {
		return err
	}
	c.pending = nil
	switch refused := slices.Contains(d.refusals, status); {
	case d.spent != 0 && status == d.spent:
		taken, err = true, d.done(nil)
	case refused && taken:
		err = d.by.fault(wrong, "%s was done, and is refused when it comes again: status %d, %s", d.kind, status, body)
	case refused:
	case status != http.StatusOK && status != http.StatusNoContent:
		err = d.by.fault(wrong, "%s, sent again: status %d, %s", d.kind, status, body)
	default:
		c.counts.acknowledge(d.kind)
		err = d.done(body)
	}
	c.counts.resolve(taken)
	return err
}
