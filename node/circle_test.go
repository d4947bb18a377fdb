package node

import (
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What was read before a change is not remembered after it.
func TestCirclesForget(t *testing.T) {
	var c circles
	c.init(new(changes))
	p := pair{random32(), random32()}
	before := c.changes.about(p.me)
	c.forget(p)
	c.remember(p.me, before, func() { t.Error("what was read before a change is remembered") })
	added := false
	c.remember(p.me, c.changes.about(p.me), func() { added = true })
	if !added {
		t.Error("nothing is remembered")
	}
}

// What is followed at other nodes is what the friendRecords say, in any order
// of changes, also after a restart.
func TestFollows(t *testing.T) {
	var f follows
	f.init()
	ann, amy, ben, bea := wire.AccountID(random32()), wire.AccountID(random32()), wire.AccountID(random32()), wire.AccountID(random32())
	stream := wire.AudienceID(random32())
	record := func(me, other wire.AccountID, node wire.NodeName, friends bool) *friendRecord {
		r := &friendRecord{Node: node, Friendship: wire.Friendship{Me: me, Other: other, Yours: wire.Side{Audience: stream}}}
		if friends {
			r.Friendship.Mine.Offer, r.Friendship.Yours.Offer = random32(), random32()
		}
		return r
	}
	set := func(me, other wire.AccountID, node wire.NodeName, friends, want bool) {
		t.Helper()
		if got := f.set(pair{me, other}, record(me, other, node, friends), north); got != want {
			t.Errorf("something new: got %t", got)
		}
	}
	readers := func(node wire.NodeName, author wire.AccountID) []wire.AccountID {
		list, _ := f.of(node)
		for _, s := range list {
			if s.stream.author == author {
				return s.readers
			}
		}
		return nil
	}
	set(ann, ben, south, false, false)
	set(ann, amy, north, true, false) // both are here
	set(ann, ben, south, true, true)
	set(ann, ben, south, true, false)
	set(amy, ben, south, true, true)
	set(ann, bea, "west.example", true, true)
	want := []wire.AccountID{ann, amy}
	slices.SortFunc(want, compareAccounts)
	if got := readers(south, ben); !slices.Equal(got, want) {
		t.Errorf("got %d readers", len(got))
	}
	if got := f.at(); !slices.Equal(got, []wire.NodeName{south, "west.example"}) {
		t.Errorf("got %q", got)
	}
	_, added := f.of(south)
	if f.done(south, added, true); f.stale(south, 1<<40) {
		t.Error("stale after all was asked for")
	}
	stream = random32() // of another audience
	set(amy, ben, south, true, true)
	if !f.stale(south, 1<<40) {
		t.Error("something new is followed, and not stale")
	}
	if f.done(south, added, true); !f.stale(south, 1<<40) {
		t.Error("what was asked for before does not include it")
	}
	set(amy, ben, south, false, false)
	set(ann, ben, south, false, false)
	if got := f.at(); !slices.Equal(got, []wire.NodeName{"west.example"}) {
		t.Errorf("got %q", got)
	}
}
