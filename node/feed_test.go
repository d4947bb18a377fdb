package node

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// reader registers somebody out of thin air, and fills what they may read with
// entries that say no more than where they stand: nothing in a feed is verified
// again. It returns all places.
func (n *testNode) reader(t testing.TB, streams [][]int64) (p *Person, all []place) {
	me := wire.AccountID(random32())
	n.people.Add(me, "reader")
	var changes []store.Change
	for i, positions := range streams {
		s := streamName{random32(), random32()}
		content := wire.Commitment(random32())
		if i == 0 {
			s.author = me
		} else {
			n.people.Add(s.author, "author")
			for _, f := range []wire.Friendship{
				{Me: me, Other: s.author, Mine: wire.Side{Offer: random32()}, Yours: wire.Side{Offer: random32(), Audience: s.audience}},
				{Me: s.author, Other: me, Mine: wire.Side{Offer: random32()}, Yours: wire.Side{Offer: random32()}},
			} {
				changes = append(changes, put(friendKey(pair{f.Me, f.Other}), &friendRecord{Version: recordVersion, Node: n.name, Friendship: f}))
			}
			w := keyservice.WrapName{Author: s.author, Audience: s.audience, Commitment: content, Reader: me}
			changes = append(changes, wrapChange(w, wire.Wrap{Reader: me}))
		}
		one := must(n.streams.open(s, false, maxStreams))
		n.streams.sought[s.author] = true
		for i, position := range positions {
			r := entryRecord{Version: recordVersion, Arrival: position, Created: position, Epoch: 1}
			r.Header = fmt.Appendf(make([]byte, 64), "%v %d", s, i)
			changes = append(changes, put(entryKey(s, uint64(i+1)), &r))
			all = append(all, placeOf(s, uint64(i+1), position))
			one.head.Store(&streamHead{StreamHead: wire.StreamHead{Seq: uint64(i + 1), Epoch: 1}, content: content, position: position})
		}
	}
	if err := n.own.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.before(b) {
			return 1
		}
		return -1
	})
	return n.As(me, "reader"), all
}

// pages reads the whole feed.
func pages(t rapid.TB, p *Person, limit int) (all []wire.FeedItem) {
	for cursor, first := "", true; first || cursor != ""; first = false {
		reply, err := p.Feed(context.Background(), limit, cursor, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(reply.Items) > limit || len(reply.Items) == 0 && cursor != "" {
			t.Fatalf("a page of %d items, %d were asked for", len(reply.Items), limit)
		}
		all, cursor = append(all, reply.Items...), reply.Cursor
	}
	return all
}

// pages reads the whole feed of p.
func (p *testPerson) pages(limit int) []wire.FeedItem { return pages(p.t, p.as().Person, limit) }

// A feed, in pages of any size, is all entries of all readable streams in one
// order, whatever stands where.
func TestFeedIsSorted(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Int64Range(0, 3), 0, 30)
		streams := rapid.SliceOfN(steps, 1, 6).Draw(rt, "streams")
		for _, s := range streams {
			for i := 1; i < len(s); i++ {
				s[i] += s[i-1]
			}
		}
		p, want := n.reader(t, streams)
		items := pages(rt, p, rapid.IntRange(1, 20).Draw(rt, "limit"))
		if len(items) != len(want) {
			rt.Fatalf("got %d items, want %d", len(items), len(want))
		}
		for i, w := range want {
			r := must(n.entry(t.Context(), n.streams.get(streamName{w.Author, w.Audience}), w.Seq))
			if got := items[i]; got.Entry.ID() != r.entry().ID() || got.Author != w.Author || got.Position != w.Position {
				rt.Fatalf("item %d is not entry %d of its stream", i, w.Seq)
			}
		}
	})
}

// A page after a cursor has what is older than the page before, also when
// new entries came meanwhile.
func TestCursorIsStable(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	for range 5 {
		n.world.clock.advance(time.Second)
		ann.posts(1)
		ben.posts(1)
	}
	before := ann.pages(100)
	first, err := ann.as().Feed(t.Context(), 4, "", "")
	if err != nil {
		t.Fatal(err)
	}
	n.world.clock.advance(time.Second)
	ben.posts(3)
	second, err := ann.as().Feed(t.Context(), 100, first.Cursor, "")
	if err != nil {
		t.Fatal(err)
	}
	got := append(first.Items, second.Items...)
	if len(got) != len(before) || second.Cursor != "" {
		t.Fatalf("got %d items, want %d", len(got), len(before))
	}
	for i := range got {
		if got[i].Entry.ID() != before[i].Entry.ID() {
			t.Fatalf("item %d is another one", i)
		}
	}
}

func TestCursorIsAuthenticated(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.posts(3)
	reply, err := ann.as().Feed(t.Context(), 2, "", "")
	if err != nil || reply.Cursor == "" {
		t.Fatalf("got cursor %q, %v", reply.Cursor, err)
	}
	b, err := base64.RawURLEncoding.DecodeString(reply.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	wrong := []string{"x", "AAAA", reply.Cursor + "A", reply.Cursor + "=", reply.Cursor[:20], "\n" + reply.Cursor}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 1
		wrong = append(wrong, base64.RawURLEncoding.EncodeToString(c))
	}
	for _, c := range wrong {
		_, err := ann.as().Feed(t.Context(), 2, c, "")
		kind(t, err, wire.Invalid)
	}
	_, err = ben.as().Feed(t.Context(), 2, reply.Cursor, "")
	kind(t, err, wire.Invalid)
	other := w.open(south, nil, nil)
	_, err = other.As(ann.account, "ann").Feed(t.Context(), 2, reply.Cursor, "")
	kind(t, err, wire.Invalid)
	n.close()
	again := w.open(north, n.own, n.copies)
	if _, err := again.As(ann.account, "ann").Feed(t.Context(), 2, reply.Cursor, ""); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
}

func TestFeedLimit(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(150)
	for limit, want := range map[int]int{0: 100, 1: 1, 100: 100, 5000: 100} {
		reply, err := ann.as().Feed(t.Context(), limit, "", "")
		if err != nil || len(reply.Items) != want || len(reply.Streams) != 1 || reply.Streams[0].Head != 151 {
			t.Fatalf("limit %d: got %d items, %v", limit, len(reply.Items), err)
		}
	}
	_, err := ann.as().Feed(t.Context(), -1, "", "")
	kind(t, err, wire.Invalid)
}

// TestFeedOverDamage: a page that cannot be whole, since an entry of it cannot be
// read, is an error of the node.
func TestFeedOverDamage(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(2)
	for seq := range uint64(3) {
		own := must(n.own.Get(t.Context(), entryKey(streamName{ann.account, ann.audience}, seq+1)))
		if err := n.own.Apply(t.Context(), store.Change{Key: own.Key, Value: []byte{0xff}}); err != nil {
			t.Fatal(err)
		}
		n.items.purge()
		if reply, err := ann.as().Feed(t.Context(), 3, "", ""); wire.KindOf(err) != wire.Internal {
			t.Errorf("entry %d: a page of %d, %v", seq+1, len(reply.Items), err)
		}
		if err := n.own.Apply(t.Context(), store.Change{Key: own.Key, Value: own.Value}); err != nil {
			t.Fatal(err)
		}
	}
}
