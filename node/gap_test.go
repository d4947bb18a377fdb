package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestTrimmedIsReadAgain trims copies: their newest end stays, what is new comes,
// and the rest is there again when it is read, the same as before.
func TestTrimmedIsReadAgain(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ben := other.person("ben")
	list := authors(home, 3, 3, ben)
	for range 10 {
		for _, ann := range list {
			w.clock.advance(time.Second)
			ann.posts(1)
		}
	}
	first := list[0].content
	list[0].rotate(ben)
	other.pulls(home)
	before := ben.pages(7)
	before10 := must(ben.as().Feed(t.Context(), 10, "", ""))
	weight := other.weight()
	for _, ann := range list {
		if rest := other.trims(ann); rest > 6000 {
			t.Errorf("%d bytes are left of a copy", rest)
		}
	}
	if now := other.weight(); now > weight/5 {
		t.Errorf("%d bytes are left of %d", now, weight)
	}
	if got := len(keysOf(t, other.copies, "entry/")); got > 6 {
		t.Errorf("%d entries are left", got)
	}

	// While the node of the authors is away, it is said what is not there.
	w.fail(north, away)
	other.follows.renew(north)
	other.items.purge() // what is remembered is shown on
	feed, err := ben.as().Feed(t.Context(), 10, "", "")
	if err != nil || len(feed.Items) != 4 || feed.Items[0].Entry.ID() != before10.Items[0].Entry.ID() {
		t.Errorf("got %d items, %v, want the newest of each, and ben's own", len(feed.Items), err)
	}
	for _, s := range feed.Streams {
		if s.Author != ben.account {
			t.Errorf("a stream that is not whole is said to go on to %d", s.Head)
		}
	}
	_, err = ben.as().Stream(t.Context(), list[1].account, list[1].audience, 0, 0, 0)
	kind(t, err, wire.Unavailable)
	_, err = ben.as().Wrap(t.Context(), list[0].account, list[0].audience, first)
	kind(t, err, wire.Unavailable)
	newest, err := ben.as().Stream(t.Context(), list[1].account, list[1].audience, 0, 1<<52, 10)
	if err != nil || len(newest.Entries) != 1 || newest.Head != list[1].stream.Seq {
		t.Errorf("got %d entries up to %d, %v, want the newest", len(newest.Entries), newest.Head, err)
	}
	_, err = ben.as().Post(t.Context(), before[len(before)-2].Entry.ID())
	if kind(t, err, wire.NotExist); !strings.Contains(err.Error(), "no such post is kept here") {
		t.Errorf("got %v", err)
	}

	// What is new comes, and does not bring back what is old.
	w.fail(north, nil)
	new := list[2].posts(2)
	other.pulls(home)
	if other.whole(list[2]) || other.copyOf(list[2]).state().Seq != list[2].stream.Seq {
		t.Error("a pull brought the older entries back, or not the new ones")
	}
	for _, id := range new {
		if _, err := ben.as().Post(t.Context(), id); err != nil {
			t.Error(err)
		}
	}

	// Who reads it gets all of it, in the same order.
	eventually(t, "all is there again", func() bool {
		ben.pages(7)
		return other.whole(list[0]) && other.whole(list[1]) && other.whole(list[2])
	})
	after := slices.DeleteFunc(ben.pages(7), func(i wire.FeedItem) bool { return slices.Contains(new, i.Entry.ID()) })
	if !slices.EqualFunc(before, after, func(a, b wire.FeedItem) bool { return a.Entry.ID() == b.Entry.ID() && a.Position == b.Position }) {
		t.Errorf("got %d items, want the same %d as before", len(after), len(before))
	}
	if _, err := ben.as().Wrap(t.Context(), list[0].account, list[0].audience, first); err != nil {
		t.Errorf("a wrap is lost: %v", err)
	}
	for _, item := range before {
		if _, err := ben.as().Post(t.Context(), item.Entry.ID()); err != nil {
			t.Errorf("by id: %v", err)
		}
	}
	other.weight()
}

// TestPageFetchesWhatItNeeds: a page asks for the streams of which it shows older
// entries, and for no others.
func TestPageFetchesWhatItNeeds(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ben := other.person("ben")
	list := authors(home, 6, 2, ben)
	w.clock.advance(time.Hour)
	list[4].posts(5)
	other.pulls(home)
	for _, ann := range list {
		other.trims(ann)
	}
	before := w.called(wire.PathPeerSync)
	other.follows.done(north, other.follows.added, true, synced{})
	other.items.purge()
	eventually(t, "the page is whole", func() bool {
		page := must(ben.as().Feed(t.Context(), 3, "", ""))
		return len(page.Items) == 3 && !slices.ContainsFunc(page.Items, func(i wire.FeedItem) bool { return i.Author != list[4].account })
	})
	for i, ann := range list {
		if i != 5 && other.whole(ann) != (i == 4) { // 5 is the next
			t.Errorf("author %d: whole: %t", i, other.whole(ann))
		}
	}
	if asked := w.called(wire.PathPeerSync) - before; asked > 10 { // pulls for readers among them
		t.Errorf("the author's node was asked %d times", asked)
	}
}

// TestOlderHead: what closes a gap leads to the end that was there before.
func TestOlderHead(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.posts(6)
	ann.befriend(ben)
	other.pulls(home)
	fork := *ann
	fork.stream = wire.StreamHead{}
	var forked []wire.Entry
	for range 7 {
		e := fork.epoch()
		if len(forked) > 0 {
			e = fork.seal(fork.header(wire.KindPost), []byte("another story"))
		}
		forked = append(forked, e)
		fork.advance(e)
	}
	honest := other.peers
	for name, lie := range map[string]func(*wire.SyncedStream){
		"an older head":    func(s *wire.SyncedStream) { s.Head, s.Entries = 5, s.Entries[:5] },
		"a fork":           func(s *wire.SyncedStream) { s.Entries = forked },
		"another order":    func(s *wire.SyncedStream) { s.Entries[1], s.Entries[2] = s.Entries[2], s.Entries[1] },
		"nothing":          func(s *wire.SyncedStream) { s.Entries = nil },
		"a changed body":   func(s *wire.SyncedStream) { s.Entries[1].Body[0] ^= 1 },
		"another author":   func(s *wire.SyncedStream) { s.Author = ben.account },
		"another audience": func(s *wire.SyncedStream) { s.Audience = ben.audience },
		"no such stream":   func(s *wire.SyncedStream) { s.Code = wire.NotExist },
		"only a beginning": func(s *wire.SyncedStream) { s.Entries = s.Entries[:min(len(s.Entries), 1)] },
	} {
		other.trims(ann)
		other.peers = &liar{API: worldPeer{w, south, north}, sync: func(r *wire.SyncReply) {
			if len(r.Streams[0].Entries) > 0 {
				lie(&r.Streams[0])
			}
		}}
		err := other.refill(t.Context(), north, other.copyOf(ann))
		if name == "only a beginning" {
			if err != nil || !other.whole(ann) { // one at a time will do
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || other.whole(ann) {
			t.Errorf("%s is taken: %v", name, err)
		}
		if got := other.copyOf(ann).state().StreamHead; got != ann.stream {
			t.Errorf("%s: the head is %d now, want %d", name, got.Seq, ann.stream.Seq)
		}
		other.peers = honest
		w.fail(north, away)
		if got := fsckStores(t, other.own, other.copies, w.clock.now(), false); len(got.findings)+len(got.left) > 0 {
			t.Errorf("%s: %s", name, got)
		}
		w.fail(north, nil)
	}
	other.trims(ann)
	kind(t, other.refill(t.Context(), "west.example", other.copyOf(ann)), wire.NotExist)

	// Nobody reads what is there of a gap that is not closed.
	answers := 0
	other.peers = &liar{API: worldPeer{w, south, north}, sync: func(r *wire.SyncReply) {
		if s := &r.Streams[0]; answers == 0 {
			s.Entries = s.Entries[:3]
		} else {
			s.Entries = nil
		}
		answers++
	}}
	kind(t, other.refill(t.Context(), north, other.copyOf(ann)), wire.Unavailable)
	other.peers = honest
	if got := len(keysOf(t, other.copies, "entry/")); got != 4 { // the epoch, two, and the newest
		t.Errorf("%d entries are there", got)
	}
	w.fail(north, away)
	second := must(other.entry(t.Context(), other.copyOf(ann), 2)).entry().ID()
	_, err := ben.as().Post(t.Context(), second)
	kind(t, err, wire.NotExist)
	_, err = ben.as().Stream(t.Context(), ann.account, ann.audience, 1, 0, 0)
	kind(t, err, wire.Unavailable)
	if got := fsckStores(t, other.own, other.copies, w.clock.now(), false); len(got.findings)+len(got.left) > 0 {
		t.Error(got)
	}
	w.fail(north, nil)

	if err := other.refill(t.Context(), north, other.copyOf(ann)); err != nil {
		t.Fatal(err)
	}
	if got := len(ben.reads(ann)); got != 7 {
		t.Errorf("got %d entries", got)
	}
}

// TestTwoProcessesTrim: what one process trims, or fetches again, the other one
// reads right, and none disturbs the other at it.
func TestTwoProcessesTrim(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	w.twins = true
	other := w.open(south, nil, nil)
	ben := other.person("ben")
	ann := authors(home, 1, 4, ben)[0]
	twin := &testNode{Node: other.twin, world: w, own: other.own, copies: other.copies}
	other.pulls(home)
	reads := func(n *testNode) int {
		t.Helper()
		if err := n.hear(t.Context()); err != nil {
			t.Fatal(err)
		}
		reply, err := n.As(ben.account, "ben").Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
		if err != nil {
			return 0
		}
		return len(reply.Entries)
	}
	if a, b := reads(other), reads(twin); a != 7 || b != 7 {
		t.Fatalf("got %d and %d entries", a, b)
	}
	for range 5 {
		other.trims(ann)
		w.fail(north, away)
		other.follows.renew(north)
		if a, b := reads(other), reads(twin); a != 0 || b != 0 {
			t.Fatalf("got %d and %d entries of a copy that was trimmed", a, b)
		}
		w.fail(north, nil)
		twin.follows.renew(north)
		eventually(t, "the other process reads it again", func() bool {
			twin.follows.renew(north)
			return reads(twin) == 7
		})
		if got := reads(other); got != 7 {
			t.Fatalf("got %d entries", got)
		}
		other.weight()
	}
	// Of one that is at it, the other keeps away.
	s := other.copyOf(ann)
	s.appending.Lock()
	_, err := other.enterGap(t.Context(), s, toTrim)
	s.appending.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := twin.hear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := twin.trim(t.Context(), twin.copyOf(ann), toTrim); err != errBusy {
		t.Fatalf("got %v", err)
	}
	w.clock.advance(2 * gapBusy) // it has died
	twin.trims(ann)
	s.leaveGap()
	if got := fsckStores(t, other.own, other.copies, w.clock.now(), false); len(got.findings) > 0 {
		t.Error(got)
	}
}

// history is what a copy of ann's stream in the south is made of.
func (s *stage) history() {
	s.ann.posts(2)
	s.ann.befriend(s.ben)
	s.ann.rotate(s.ben)
	s.ann.posts(2)
	s.ann.rotate(s.ben)
	s.ann.posts(2)
}
