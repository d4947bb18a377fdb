package node

import (
	"runtime"
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
	if f.done(south, added, true, synced{}); f.stale(south, 1<<40) {
		t.Error("stale after all was asked for")
	}
	stream = random32() // of another audience
	set(amy, ben, south, true, true)
	if !f.stale(south, 1<<40) {
		t.Error("something new is followed, and not stale")
	}
	if f.done(south, added, true, synced{}); !f.stale(south, 1<<40) {
		t.Error("what was asked for before does not include it")
	}
	set(amy, ben, south, false, false)
	set(ann, ben, south, false, false)
	if got := f.at(); !slices.Equal(got, []wire.NodeName{"west.example"}) {
		t.Errorf("got %q", got)
	}
}

// collect frees what nothing refers to, and what tests before have left: pools and
// cleanups keep it for a while longer.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// TestCircleWeighs: a circle whose page was shown takes no more memory than it
// says, and not much less: of each friend 60 bytes.
func TestCircleWeighs(t *testing.T) {
	undetected(t) // the race detector allocates too
	const friends = 200
	n, own := counted(t)
	posts := make([][]int64, friends)
	for i := range posts {
		posts[i] = []int64{int64(i)}
	}
	p, _ := n.reader(t, posts)
	var kept []*circle
	held := func(do func()) uint64 {
		var before, after runtime.MemStats
		collect()
		runtime.ReadMemStats(&before)
		do()
		n.items.purge()
		collect()
		runtime.ReadMemStats(&after)
		return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
	}
	must(p.Feed(t.Context(), 50, "", "")) // the streams are known
	n.items.purge()
	const times = 50
	bytes := held(func() {
		for range times { // as of so many readers with these friends
			n.circles.lists.remove(p.account)
			if read := workOf(own, func() { must(p.Feed(t.Context(), 50, "", "")) }); read.scans != 1 {
				t.Fatalf("the circle was not read again: %+v", read)
			}
			c, _ := n.circles.lists.get(p.account)
			kept = append(kept, c)
		}
	})
	for i := range kept[0].friends {
		if a, b := kept[0].friends[i].known.Load(), kept[1].friends[i].known.Load(); a == nil || a != b {
			t.Fatal("two readers do not share what is known of a stream")
		}
	}
	if weight := uint64(kept[0].weight()); bytes > times*weight || bytes < times*weight/2 {
		t.Errorf("a circle of %d friends takes %d bytes, and says %d", friends, bytes/times, weight)
	}
	if most := circlesSize / kept[0].weight(); most < 2500 {
		t.Errorf("%d circles of %d friends are remembered", most, friends)
	}
}
