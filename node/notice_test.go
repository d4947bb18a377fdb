package node

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// newTellers makes ann on one node, and ben and bea, who read her, on another.
func newTellers(t *testing.T) (w *world, home, other *testNode, ann, ben, bea *testPerson) {
	w = newWorld(t)
	home, other = w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, bea = home.person("ann"), other.person("ben"), other.person("bea")
	ann.befriend(ben)
	ann.befriend(bea)
	ann.rotate(ben, bea)
	other.pulls(home)
	w.told.Store(true)
	ann.posts(1) // with what had to be told before
	other.has(t, ann)
	return w, home, other, ann, ben, bea
}

// has waits until a node has so many entries of somebody.
func (n *testNode) has(t *testing.T, p *testPerson) {
	t.Helper()
	eventually(t, "the entries are there", func() bool {
		s := n.streams.get(streamName{p.account, p.audience})
		return s != nil && s.state().Seq == p.stream.Seq
	})
}

// TestNoticeOnce wants a post to cost one request for each node with readers,
// however many these are, and nothing to be pulled for it.
func TestNoticeOnce(t *testing.T) {
	w, _, other, ann, _, _ := newTellers(t)
	for n := -1; n != w.called(wire.PathPeerSync); time.Sleep(100 * time.Millisecond) { // what was told first may still be pulled for
		n = w.called(wire.PathPeerSync)
	}
	told, asked := w.called(wire.PathPeerNotices), w.called(wire.PathPeerSync)
	for i := range 3 {
		ann.posts(1)
		other.has(t, ann)
		if n := w.called(wire.PathPeerNotices) - told; n != i+1 {
			t.Errorf("%d notices for %d posts", n, i+1)
		}
	}
	if n := w.called(wire.PathPeerSync) - asked; n != 0 {
		t.Errorf("%d pulls for what was told", n)
	}
}

// TestKeysOfHome wants neither a post nor a look at what is new to cost a look-up of
// keys, however long ago the last one was.
func TestKeysOfHome(t *testing.T) {
	w, home, other, ann, _, _ := newTellers(t)
	asked := w.called(wire.PathPeerKeys)
	for range 3 {
		w.clock.advance(25 * time.Hour)
		other.pulls(home)
		ann.posts(1)
		other.has(t, ann)
	}
	if n := w.called(wire.PathPeerKeys) - asked; n != 0 {
		t.Errorf("keys were asked for %d times", n)
	}
}

// TestNoticeBrings wants epochs to come with the wraps of all readers there, and
// wraps alone with a notice of their own.
func TestNoticeBrings(t *testing.T) {
	_, _, other, ann, ben, bea := newTellers(t)
	wraps := func(p *testPerson) bool {
		ok, err := other.hasWrap(t.Context(), other.streams.get(streamName{ann.account, ann.audience}), ann.content, p.account)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	ann.rotate(ben)
	other.has(t, ann)
	if !wraps(ben) || wraps(bea) {
		t.Error("an epoch did not come with its wraps")
	}
	ann.wraps(ann.content, bea)
	eventually(t, "the wrap is there", func() bool { return wraps(bea) })
}

// TestNoticeIsLost wants what a lost notice would have told to come with the next
// one: by a pull, since entries are missing in between.
func TestNoticeIsLost(t *testing.T) {
	w, _, other, ann, _, _ := newTellers(t)
	w.told.Store(false)
	lost := w.called(lostNotices)
	ann.posts(1)
	eventually(t, "a notice is lost", func() bool { return w.called(lostNotices) > lost })
	w.told.Store(true)
	ann.posts(1)
	other.has(t, ann)
}

// TestNoticeWaits wants what a node could not be told to wait, together, and to
// come at once when that node is heard of.
func TestNoticeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, home, other, ann, _, _ := newTellers(t)
		w.mu.Lock()
		w.down[south] = away
		w.mu.Unlock()
		ann.posts(500)
		time.Sleep(time.Minute)
		told := w.called(wire.PathPeerNotices)
		w.mu.Lock()
		delete(w.down, south)
		w.mu.Unlock()
		home.peer(south)
		synctest.Wait()
		other.has(t, ann)
		if n := w.called(wire.PathPeerNotices) - told; n != 1 {
			t.Errorf("%d notices for what waited, want 1", n)
		}
	})
}

// TestForeignNotices wants nothing to be taken from a node that is not the
// author's, nothing forged, nothing that does not follow; and what is good beside
// that to be taken.
func TestForeignNotices(t *testing.T) {
	w, home, other, ann, ben, _ := newTellers(t)
	w.told.Store(false)
	ada := home.person("ada")
	ada.befriend(ben)
	ada.rotate(ben)
	other.pulls(home)
	one := func(p *testPerson, after uint64, entries ...wire.Entry) wire.NoticedStream {
		return wire.NoticedStream{
			Author: p.account, Audience: p.audience, After: after, Head: after + uint64(len(entries)), Entries: entries, Wraps: []wire.SyncedWrap{},
		}
	}
	tell := func(from wire.NodeName, streams ...wire.NoticedStream) {
		t.Helper()
		if _, err := other.peer(from).Notice(t.Context(), wire.NoticeRequest{Streams: streams}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(p *testPerson) uint64 { return other.streams.get(streamName{p.account, p.audience}).state().Seq }
	good, forged := ann.post(), ann.post()
	forged.Body = append([]byte(nil), forged.Body...)
	forged.Body[0] ^= 1
	before := ann.stream.Seq
	tell("west.example", one(ann, before, good))
	tell(north, one(ann, before, forged))
	tell(north, one(ann, before+1, good))
	if at(ann) != before {
		t.Error("something was taken that is forged, foreign or does not follow")
	}
	if s := other.streams.get(streamName{ada.account, random32()}); s != nil {
		t.Error("a stream that nobody reads was begun")
	}
	next := ada.post()
	tell(north, one(ann, before, forged), one(ada, ada.stream.Seq, next))
	if at(ann) != before || at(ada) != ada.stream.Seq+1 {
		t.Error("one bad stream kept another from being taken")
	}
	for range 2 { // again is the same
		tell(north, one(ann, before, good))
	}
	if at(ann) != before+1 {
		t.Error("what is good was not taken")
	}
	if _, err := other.peer(north).Notice(t.Context(), wire.NoticeRequest{Streams: make([]wire.NoticedStream, wire.MaxSyncStreams+1)}); wire.KindOf(err) != wire.TooLarge {
		t.Errorf("too many streams: %v", err)
	}
}

// TestNoticesAreMany wants streams that wait for a node to wait once each, the
// longest waiting first, and of too many to remain that there is more.
func TestNoticesAreMany(t *testing.T) {
	var o notices
	o.init()
	b := o.box(south)
	one, reader := streamName{author: random32()}, wire.AccountID(random32())
	b.add(one, untold{after: 7})
	for range noticeStreams - 1 {
		b.add(streamName{author: random32()}, untold{after: 1})
	}
	for range 2 {
		b.add(one, untold{after: 5, readers: []wire.AccountID{reader}})
	}
	if len(b.order) != noticeStreams || len(b.streams) != noticeStreams || b.more {
		t.Errorf("%d of %d streams wait, more %t", len(b.order), noticeStreams, b.more)
	}
	b.add(streamName{author: random32()}, untold{})
	if len(b.order) != noticeStreams || !b.more {
		t.Errorf("%d streams wait, more %t", len(b.order), b.more)
	}
	names, news, more := b.take()
	if len(names) != wire.MaxSyncStreams || !more || names[0] != one || news[0].after != 5 || len(news[0].readers) != 1 {
		t.Errorf("told first: %d streams, %v, more %t", len(names), news[0], more)
	}
	for !b.empty() {
		b.take()
	}
	if len(b.streams) != 0 {
		t.Errorf("%d streams are kept", len(b.streams))
	}
}

// TestNoticesOfMore wants a node that says again and again that there is more to be
// asked at once, and then once in a while; and one where nothing is followed not to
// be asked, nor remembered.
func TestNoticesOfMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, other, _, _, _ := newTellers(t)
		synctest.Wait()
		asked := w.called(wire.PathPeerSync)
		more := func(from wire.NodeName) {
			t.Helper()
			if _, err := other.peer(from).Notice(t.Context(), wire.NoticeRequest{More: true}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		more(north)
		if n := w.called(wire.PathPeerSync) - asked; n != 1 {
			t.Errorf("%d pulls for one notice", n)
		}
		for range 100 {
			more(north)
			more("west.example")
		}
		other.notices.mu.Lock()
		if len(other.notices.asking) != 1 {
			t.Errorf("asking: %v", other.notices.asking)
		}
		other.notices.mu.Unlock()
		if n := w.called(wire.PathPeerSync) - asked; n != 1 {
			t.Errorf("%d pulls before the pause", n)
		}
		time.Sleep(noticePause)
		synctest.Wait()
		if n := w.called(wire.PathPeerSync) - asked; n != 2 {
			t.Errorf("%d pulls after the pause", n)
		}
		time.Sleep(noticePause)
		synctest.Wait()
		other.notices.mu.Lock()
		defer other.notices.mu.Unlock()
		if len(other.notices.asking) != 0 {
			t.Errorf("still asking: %v", other.notices.asking)
		}
	})
}

// TestNoticeOfDamage wants a stream that cannot be read to keep no other from being
// told, and the node to be told to ask for it.
func TestNoticeOfDamage(t *testing.T) {
	w, home, other, ann, ben, _ := newTellers(t)
	ada := home.person("ada")
	ada.befriend(ben)
	ada.rotate(ben)
	other.pulls(home)
	w.told.Store(false)
	ann.posts(1)
	key := home.streams.get(streamName{ann.account, ann.audience}).entryKey(ann.stream.Seq)
	if err := home.own.Apply(t.Context(), store.Change{Key: key, Value: []byte("damaged")}); err != nil {
		t.Fatal(err)
	}
	w.told.Store(true)
	ada.posts(1)
	names := []streamName{{ann.account, ann.audience}, {ada.account, ada.audience}}
	news := []untold{{after: ann.stream.Seq - 1}, {after: ada.stream.Seq - 1}}
	asked := w.called(wire.PathPeerSync)
	if err := home.tell(t.Context(), south, names, news, false); err != nil {
		t.Fatal(err)
	}
	other.has(t, ada)
	eventually(t, "the other node asks", func() bool { return w.called(wire.PathPeerSync) > asked })
}

// TestDeadPeers wants nodes that cannot be told, however many, to keep none of the
// others waiting.
func TestDeadPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, home, other, ann, _, _ := newTellers(t)
		for range noticeRetries { // are with such nodes
			home.notices.retries <- struct{}{}
		}
		ann.posts(1)
		synctest.Wait()
		other.has(t, ann)
		w.mu.Lock()
		w.down[south] = away
		w.mu.Unlock()
		ann.posts(1)
		synctest.Wait()
		w.mu.Lock()
		delete(w.down, south)
		w.mu.Unlock()
		told := w.called(wire.PathPeerNotices)
		home.peer(south)
		synctest.Wait()
		if n := w.called(wire.PathPeerNotices) - told; n != 0 {
			t.Errorf("one that failed was told in the place of others")
		}
		<-home.notices.retries
		other.has(t, ann)
		for range noticeRetries - 1 {
			<-home.notices.retries
		}
	})
}

// TestStreamIsFree wants a stream to be free while the node of its author is asked
// for keys, because something did not verify.
func TestStreamIsFree(t *testing.T) {
	w, _, other, ann, _, _ := newTellers(t)
	w.told.Store(false)
	good := ann.post()
	forged := good
	forged.Header = unsigned(good.Header)
	tell := func(e wire.Entry) error {
		_, err := other.peer(north).Notice(t.Context(), wire.NoticeRequest{Streams: []wire.NoticedStream{{
			Author: ann.account, Audience: ann.audience, After: ann.stream.Seq, Head: ann.stream.Seq + 1, Entries: []wire.Entry{e}, Wraps: []wire.SyncedWrap{},
		}}})
		return err
	}
	w.clock.advance(time.Minute)
	asked, told := w.called(wire.PathPeerKeys), make(chan error, 2)
	release := w.hold(north)
	go func() { told <- tell(forged) }()
	eventually(t, "keys are asked for", func() bool { return w.called(wire.PathPeerKeys) > asked })
	go func() { told <- tell(good) }()
	s := other.streams.get(streamName{ann.account, ann.audience})
	eventually(t, "the good one is there", func() bool { return s.state().Seq == ann.stream.Seq+1 })
	release()
	for range 2 {
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
}

// unsigned is something signed whose signature is wrong.
func unsigned(s wire.Signed) wire.Signed {
	bad := append(wire.Signed(nil), s...)
	bad[len(bad)-1] ^= 1
	return bad
}
