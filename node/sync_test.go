package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestFriendElsewhere(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.posts(3)
	ann.befriend(ben)
	if got := ben.reads(ann); !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Fatalf("got %d", got)
	}
	if got := ann.reads(ben); !slices.Equal(got, []uint64{1}) {
		t.Fatalf("got %d", got)
	}
	first, err := ben.as().Wrap(t.Context(), ann.account, ann.audience, ann.content)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	id := ann.posts(1)[0]
	other.pulls(home)
	item, err := ben.as().Post(t.Context(), id)
	if err != nil || item.Position != w.clock.now().UnixMilli() {
		t.Fatalf("got position %d, %v", item.Position, err)
	}

	// The copy serves while the author's node is away, and says as of when.
	heard := w.clock.now().UnixMilli()
	w.clock.advance(time.Hour)
	w.fail(north, away)
	other.follows.renew(north)
	reply, err := ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
	if err != nil || len(reply.Entries) != 5 || reply.AsOf != heard {
		t.Fatalf("got %d entries as of %d, %v, want 5 as of %d", len(reply.Entries), reply.AsOf, err, heard)
	}
	wrap, err := ben.as().Wrap(t.Context(), ann.account, ann.audience, ann.content)
	if err != nil || !bytes.Equal(wrap.Sealed, first.Sealed) {
		t.Fatal(err)
	}
	feed, err := ben.as().Feed(t.Context(), 0, "", "")
	if err != nil || len(feed.Items) != 6 {
		t.Fatalf("got %d items, %v", len(feed.Items), err)
	}
	keys, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address})
	if err != nil || keys.AsOf >= w.clock.now().UnixMilli() {
		t.Fatalf("keys as of %d, %v", keys.AsOf, err)
	}

	// Removal closes the copy.
	w.fail(north, nil)
	ann.publish(ann.epoch(), ann.end(ben))
	// Before it is acknowledged, some may see it and others not yet.
	eventually(t, "the end is acknowledged", func() bool { return len(keysOf(t, home.own, "deliver/")) == 0 })
	ben.wants(ann, wire.StateNone, wire.StateNone)
	_, err = ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
	kind(t, err, wire.NotExist)
}

// An end that was never delivered closes the copy through sync.
func TestClosedThroughSync(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.befriend(ben)
	eventually(t, "ben may read ann", func() bool {
		_, err := ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
		return err == nil
	})
	w.fail(south, away)
	ann.publish(ann.epoch(), ann.end(ben))
	other.pulls(home) // or a round of its own has, a moment before
	if got := ben.state(ann); got != wire.StateNone {
		t.Fatalf("got %q", got)
	}
}

// TestSyncTellsNoStranger asks about a stream, and about one that does not exist,
// for everybody who may not read: the answers differ in nothing. Audiences can be
// guessed (wire.DirectAudience), so a difference would tell who writes to whom.
func TestSyncTellsNoStranger(t *testing.T) {
	w := newWorld(t)
	home, other, third := w.open(north, nil, nil), w.open(south, nil, nil), w.open("west.example", nil, nil)
	ann, ben, cid, dan := home.person("ann"), other.person("ben"), other.person("cid"), other.person("dan")
	eve := third.person("eve")
	ann.befriend(ben)
	ann.befriend(cid)
	ben.reads(ann)
	ann.publish(ann.epoch(), ann.end(cid)) // and ben, who has no wrap yet, is a friend
	if s := ann.home.streams.get(streamName{ann.account, ann.audience}); s == nil || s.state().Seq == 0 {
		t.Fatal("there is no stream to ask about")
	}
	for name, c := range map[string]struct {
		from    wire.NodeName
		readers []wire.AccountID
		code    wire.Kind
		ends    int
	}{
		"nobody":                          {south, nil, wire.NotExist, 0},
		"a friend without a wrap":         {south, []wire.AccountID{ben.account}, wire.NotExist, 0},
		"a stranger":                      {south, []wire.AccountID{dan.account}, wire.NotExist, 0},
		"a friend of another node's":      {third.name, []wire.AccountID{ben.account}, wire.NotExist, 0},
		"an ex-friend of another node's":  {third.name, []wire.AccountID{cid.account}, wire.NotExist, 0},
		"the author, by another node":     {third.name, []wire.AccountID{ann.account}, wire.NotExist, 0},
		"a stranger of that node":         {third.name, []wire.AccountID{eve.account}, wire.NotExist, 0},
		"an ex-friend, who is told why":   {south, []wire.AccountID{cid.account}, "", 1},
		"an ex-friend beside a stranger":  {south, []wire.AccountID{dan.account, cid.account}, "", 1},
		"an ex-friend by two nodes' lies": {third.name, []wire.AccountID{cid.account, ann.account, ben.account}, wire.NotExist, 0},
	} {
		ask := func(author wire.AccountID, audience wire.AudienceID) wire.SyncedStream {
			one := wire.SyncStream{Author: author, Audience: audience}
			for _, r := range c.readers {
				one.Readers = append(one.Readers, wire.SyncReader{Account: r})
			}
			reply := must(home.peer(c.from).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{one}}))
			got := reply.Streams[0]
			got.Author, got.Audience = wire.AccountID{}, wire.AudienceID{} // what was asked
			return got
		}
		got := ask(ann.account, ann.audience)
		ends := 0
		for _, c := range got.Closed {
			ends += len(c.Ends)
		}
		if got.Code != c.code || ends != c.ends || got.Head != 0 || len(got.Entries)+len(got.Wraps) > 0 {
			t.Errorf("%s: got %+v, want code %q and %d ends", name, got, c.code, c.ends)
		}
		if none := ask(ann.account, random32()); !reflect.DeepEqual(none, got) {
			t.Errorf("%s: got\n%+v\nand about no stream\n%+v", name, got, none)
		}
	}
	// A copy is served to nobody, its author's node included.
	if s := other.streams.get(streamName{ann.account, ann.audience}); s == nil || !s.copy || s.state().Seq == 0 {
		t.Fatal("there is no copy to ask about")
	}
	reply := must(other.peer(north).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{
		{Author: ann.account, Audience: ann.audience, Readers: []wire.SyncReader{{Account: ann.account}}},
	}}))
	if got := reply.Streams[0]; got.Code != wire.NotExist || got.Head != 0 || len(got.Entries) > 0 {
		t.Errorf("a copy: got %+v, want not_exist", got)
	}
}

func TestCopiesMayBeDeleted(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, bea := home.person("ann"), other.person("ben"), other.person("bea")
	ann.posts(2)
	ann.befriend(ben)
	ann.rotate(ben)
	first := ann.content
	ann.befriend(bea)
	ann.rotate(ben, bea)
	ann.posts(2)
	other.pulls(home)
	before := ben.pages(10)
	other.close()
	again := w.open(south, other.own, storetest.NewMemory())
	ben.home, bea.home = again, again
	again.pulls(home)
	after := ben.pages(10)
	if len(before) != len(after) || len(before) == 0 {
		t.Fatalf("got %d items, want %d", len(after), len(before))
	}
	for i := range before {
		if before[i].Entry.ID() != after[i].Entry.ID() {
			t.Fatalf("item %d is another one", i)
		}
	}
	for _, c := range []wire.Commitment{first, ann.content} {
		if _, err := ben.as().Wrap(t.Context(), ann.account, ann.audience, c); err != nil {
			t.Errorf("a wrap is lost: %v", err)
		}
	}
	if _, err := bea.as().Wrap(t.Context(), ann.account, ann.audience, ann.content); err != nil {
		t.Errorf("a wrap is lost: %v", err)
	}
}

// More than one answer holds.
func TestSyncPages(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ben := other.person("ben")
	var authors []*testPerson
	for i := range 5 {
		ann := home.person(wire.Handle(fmt.Sprintf("ann%d", i)))
		for range 17 {
			ann.publish(ann.seal(ann.header(wire.KindPost), make([]byte, wire.MaxPost)))
		}
		ann.rotate()
		authors = append(authors, ann)
	}
	for _, ann := range authors {
		ann.befriend(ben)
	}
	other.pulls(home)
	for _, ann := range authors {
		if s := other.streams.get(streamName{ann.account, ann.audience}); s == nil || s.state().StreamHead != ann.stream {
			t.Fatalf("the copy of %s is not whole", ann.address)
		}
	}
	reply, err := home.peer(south).Sync(t.Context(), wire.SyncRequest{Streams: func() (all []wire.SyncStream) {
		for _, ann := range authors {
			all = append(all, wire.SyncStream{Author: ann.account, Audience: ann.audience, Readers: []wire.SyncReader{{Account: ben.account}}})
		}
		return all
	}()})
	if err != nil || !reply.More {
		t.Fatalf("more: %t, %v", reply.More, err)
	}
	total := 0
	for _, s := range reply.Streams {
		size := 0
		for _, e := range s.Entries {
			size += e.Size()
		}
		if total += size; size > wire.MaxPageBytes {
			t.Errorf("a stream has %d bytes", size)
		}
	}
	if total > maxSyncBytes {
		t.Errorf("an answer has %d bytes", total)
	}
}

func TestSyncAnswersStreamByStream(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, cid := home.person("ann"), other.person("ben"), other.person("cid")
	ann.posts(3)
	ann.befriend(ben)
	have := sealedHash(must(ben.as().Wrap(t.Context(), ann.account, ann.audience, ann.content)).Sealed)
	one := wire.SyncStream{Author: ann.account, Audience: ann.audience, Readers: []wire.SyncReader{{Account: ben.account}}}
	change := func(f func(*wire.SyncStream)) wire.SyncStream {
		s := one
		s.Readers = slices.Clone(one.Readers)
		f(&s)
		return s
	}
	reply, err := home.peer(south).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{
		change(func(s *wire.SyncStream) { s.Author = random32() }),
		change(func(s *wire.SyncStream) { s.Audience = random32() }),
		change(func(s *wire.SyncStream) { s.After, s.Head = 2, random32() }),
		change(func(s *wire.SyncStream) { s.After, s.Head = 9, random32() }),
		change(func(s *wire.SyncStream) { s.After, s.Head = ann.stream.Seq, ann.stream.ID }),
		change(func(s *wire.SyncStream) {
			s.After, s.Head, s.Readers[0].Have = ann.stream.Seq, ann.stream.ID, have
		}),
		change(func(s *wire.SyncStream) { s.Readers[0].Account = cid.account }),
		change(func(s *wire.SyncStream) { s.Readers = nil }),
		one,
	}})
	if err != nil || reply.More {
		t.Fatal(reply.More, err)
	}
	type row struct {
		code                   wire.Kind
		head                   uint64
		entries, wraps, closed int
	}
	want := []row{
		{code: wire.NotExist}, {code: wire.NotExist}, {code: wire.Conflict}, {code: wire.Conflict},
		{head: 4, wraps: 1}, {head: 4}, {code: wire.NotExist}, {code: wire.NotExist}, {head: 4, entries: 4, wraps: 1},
	}
	for i, s := range reply.Streams {
		if got := (row{s.Code, s.Head, len(s.Entries), len(s.Wraps), len(s.Closed)}); got != want[i] {
			t.Errorf("stream %d: got %+v, want %+v", i, got, want[i])
		}
	}

	// What is a copy here is served by nobody but its author's node, not even to
	// somebody who has a wrap of it.
	other.pulls(home)
	dan := home.person("dan")
	must(ben.as().Keys(t.Context(), wire.KeysRequest{Address: dan.address}))
	name := keyservice.WrapName{Author: ann.account, Audience: ann.audience, Commitment: ann.content, Reader: dan.account}
	wrap := ann.wrapFor(dan)
	if err := other.copies.Apply(t.Context(), wrapChange(name, wrap)); err != nil {
		t.Fatal(err)
	}
	one.Readers = []wire.SyncReader{{Account: dan.account, Have: sealedHash(wrap.Sealed)}}
	reply, err = other.peer(north).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{one}})
	if err != nil || reply.Streams[0].Code != wire.NotExist {
		t.Errorf("a copy is served: %d entries, %v", len(reply.Streams[0].Entries), err)
	}
	_, err = home.peer(south).Sync(t.Context(), wire.SyncRequest{Streams: make([]wire.SyncStream, wire.MaxSyncStreams+1)})
	kind(t, err, wire.Invalid)
	_, err = home.peer(south).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{
		change(func(s *wire.SyncStream) { s.Readers = make([]wire.SyncReader, wire.MaxSyncReaders+1) }),
	}})
	kind(t, err, wire.Invalid)
}

// TestSyncOfADamagedReader finds another person's keys under a reader's name: the
// stream fails, in a word that travels.
func TestSyncOfADamagedReader(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	ann := home.person("ann")
	reader := wire.AccountID(random32())
	if err := home.copies.Apply(t.Context(), put(statementsKey(reader)+hex16(0), &statementRecord{recordVersion, ann.keys[0]})); err != nil {
		t.Fatal(err)
	}
	reply, err := home.peer(south).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{
		{Author: ann.account, Audience: ann.audience, Readers: []wire.SyncReader{{Account: reader}}},
	}})
	if err != nil || reply.Streams[0].Code != wire.Invalid {
		t.Errorf("got %+v, %v", reply, err)
	}
}

// liar is a node that answers with what change makes of the truth.
type liar struct {
	federation.API
	sync func(*wire.SyncReply)
	keys func(*wire.KeysReply)
}

func (l *liar) Sync(ctx context.Context, r wire.SyncRequest) (wire.SyncReply, error) {
	reply, err := l.API.Sync(ctx, r)
	if l.sync != nil {
		l.sync(&reply)
	}
	return reply, err
}

func (l *liar) Keys(ctx context.Context, r wire.KeysRequest) (wire.KeysReply, error) {
	reply, err := l.API.Keys(ctx, r)
	if l.keys != nil {
		l.keys(&reply)
	}
	return reply, err
}

// To makes the liar the only peer there is.
func (l *liar) To(wire.NodeName) federation.API { return l }

// A node that lies about a stream spoils nothing that is there, nor other streams.
func TestLyingNode(t *testing.T) {
	for name, lie := range map[string]func(s *wire.SyncedStream, other *wire.SyncedStream, ann *testPerson){
		"dropped":      func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries = slices.Delete(s.Entries, 1, 2) },
		"no beginning": func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries = s.Entries[2:3] },
		"reordered":    func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries[1], s.Entries[2] = s.Entries[2], s.Entries[1] },
		"doubled":      func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries = slices.Insert(s.Entries, 1, s.Entries[0]) },
		"other body":   func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries[1].Body[0] ^= 1 },
		"other header": func(s, _ *wire.SyncedStream, _ *testPerson) { s.Entries[1].Header[80] ^= 1 },
		"other stream": func(s, o *wire.SyncedStream, _ *testPerson) { s.Entries = append(s.Entries[:1:1], o.Entries...) },
		"swapped":      func(s, o *wire.SyncedStream, _ *testPerson) { s.Author = o.Author },
		"forged": func(s, _ *wire.SyncedStream, ann *testPerson) {
			x := *ann
			x.identity, x.stream = wire.NewIdentitySecret(random32()), wire.StreamHead{}
			s.Entries = []wire.Entry{x.epoch()}
		},
		"other audience": func(s, _ *wire.SyncedStream, ann *testPerson) {
			x := *ann
			x.audience, x.stream = random32(), wire.StreamHead{}
			s.Entries = []wire.Entry{x.epoch()}
		},
		"bad epoch": func(s, _ *wire.SyncedStream, ann *testPerson) {
			b := ann.epochBody()
			b.Links[0].Epoch++
			s.Entries = append(s.Entries, ann.seal(ann.header(wire.KindEpoch), must(b.Encode())))
		},
		"early": func(s, _ *wire.SyncedStream, ann *testPerson) {
			h := ann.header(wire.KindPost)
			h.Created += time.Hour.Milliseconds()
			s.Entries = append(s.Entries, ann.seal(h, []byte("x")))
		},
		"foreign wraps": func(s, _ *wire.SyncedStream, ann *testPerson) {
			s.Entries = s.Entries[:1]
			for i := range s.Wraps {
				s.Wraps[i].Wrap.Reader = ann.account
			}
		},
		"short wraps": func(s, _ *wire.SyncedStream, _ *testPerson) {
			s.Entries = s.Entries[:1]
			s.Wraps[0].Wrap.Sealed = nil
		},
		"unsigned end": func(s, _ *wire.SyncedStream, ann *testPerson) {
			s.Entries = s.Entries[:1]
			for _, c := range ann.knows {
				x := *ann
				x.identity = c.identity
				s.Closed = []wire.ClosedTo{{Account: c.account, Ends: []wire.Signed{x.endOf(c.testPerson, c.LiveOffers()...).Statement}}}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			home, other := w.open(north, nil, nil), w.open(south, nil, nil)
			ann, amy, ben := home.person("ann"), home.person("amy"), other.person("ben")
			w.fail(north, away) // ben's node has no copies yet
			ann.posts(3)
			amy.posts(3)
			ann.wraps(ann.content, ben)
			amy.wraps(amy.content, ben)
			w.fail(north, nil)
			for _, p := range []*testPerson{ann, amy} {
				p.tell(p.offer(ben))
			}
			l := &liar{API: worldPeer{w, south, north}}
			l.sync = func(r *wire.SyncReply) {
				for i := range r.Streams {
					s, o := &r.Streams[i], &r.Streams[(i+1)%len(r.Streams)]
					if s.Author == ann.account && len(s.Entries) == 4 {
						ann.learn()
						lie(s, o, ann)
					}
				}
			}
			other.peers = l
			ben.tell(ben.accept(ann))
			ben.tell(ben.accept(amy))
			for range 3 {
				_ = other.pull(t.Context(), north)
			}
			if got := ben.reads(amy); len(got) != 4 {
				t.Errorf("the other stream: got %d", got)
			}
			if got := ben.state(ann); got != wire.StateFriend {
				t.Errorf("the friendship: got %q", got)
			}
			if s := other.streams.get(streamName{ann.account, ann.audience}); s != nil {
				for seq := range s.state().Seq {
					e := must(other.entry(t.Context(), s, seq+1)).entry()
					h := must(wire.OpenEntry(e, ann.identity.Public()))
					r := must(home.entry(t.Context(), home.streams.get(s.name), seq+1))
					if h.Seq != seq+1 || r.entry().ID() != e.ID() {
						t.Errorf("entry %d of the copy is another one", seq+1)
					}
				}
			}
			if s := other.streams.get(streamName{ann.account, ann.audience}); s != nil {
				if keys := keysOf(t, other.copies, streamKey(s.name)); uint64(len(keys)) != s.state().Seq {
					t.Errorf("of %d entries, %d are kept", s.state().Seq, len(keys))
				}
			}
			if keys := keysOf(t, other.copies, wrapsKey(ann.account, ann.audience, ann.content)+ann.account.String()); len(keys) != 0 {
				t.Errorf("a wrap of somebody else was kept")
			}
			l.sync = nil // and once it tells the truth, all is well
			other.pulls(home)
			if got := ben.reads(ann); len(got) != 4 {
				t.Errorf("after the lie: got %d", got)
			}
		})
	}
}

// TestAnswerOfAnother: what was not asked for is not taken, nor an end of the stream
// before the one that is known.
func TestAnswerOfAnother(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	ann.befriend(ben)
	ann.posts(2)
	ben.home.pulls(ann.home)
	list, _ := ben.home.follows.of(north)
	head := ben.home.streams.get(list[0].stream).state().Seq
	list[0].after = head
	for name, change := range map[string]func(*wire.SyncedStream){
		"author":   func(s *wire.SyncedStream) { s.Author = random32() },
		"audience": func(s *wire.SyncedStream) { s.Audience = random32() },
		"head":     func(s *wire.SyncedStream) { s.Head-- },
	} {
		got := wire.SyncedStream{Author: ann.account, Audience: ann.audience, Head: head}
		if _, err := ben.home.takeStream(t.Context(), list[0], got); err != nil {
			t.Fatal(err)
		}
		change(&got)
		_, err := ben.home.takeStream(t.Context(), list[0], got)
		if kind(t, err, wire.Tampered); err == nil {
			t.Error(name)
		}
	}
}

// TestAnswerAboutFewer: an answer that leaves streams out is none.
func TestAnswerAboutFewer(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	ben.home.peers = &liar{API: worldPeer{w, south, north}, sync: func(r *wire.SyncReply) { r.Streams = nil }}
	ann.befriend(ben)
	if err := ben.home.pull(t.Context(), north); err == nil {
		t.Error("the answer was taken")
	}
}

// TestBeginningOfNothing: a stream that could not begin is none, whatever wraps came
// with it, and an author has no more copies than streams.
func TestBeginningOfNothing(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	ann.befriend(ben)
	ben.home.pulls(ann.home)
	list, _ := ben.home.follows.of(north)
	take := func() error {
		list[0].stream.audience = random32()
		_, err := ben.home.takeStream(t.Context(), list[0], wire.SyncedStream{
			Author: ann.account, Audience: list[0].stream.audience, Head: 1,
			Entries: []wire.Entry{ann.post()}, Wraps: []wire.SyncedWrap{{Wrap: ann.wrapFor(ben)}},
		})
		return err
	}
	kind(t, take(), wire.Tampered)
	_, err := ben.as().Stream(t.Context(), ann.account, list[0].stream.audience, 0, 0, 0)
	kind(t, err, wire.NotExist)
	for range maxStreams {
		_, _ = ben.home.streams.open(streamName{ann.account, random32()}, true, maxStreams)
	}
	kind(t, take(), wire.Limit)
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, nobody := home.person("ann"), other.person("ben"), home.newPerson("nobody")
	unregistered := other.newPerson("late")
	if _, err := other.ownKeys.Register(t.Context(), unregistered.keys); err != nil {
		t.Fatal(err)
	}
	l := &liar{API: worldPeer{w, north, south}}
	home.peers = l
	ask := func(a wire.Address, account *wire.AccountID) (*keyservice.Chain, error) {
		reply, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: a, Account: account})
		if err != nil {
			return nil, err
		}
		return keyservice.ParseChain(reply.Statements)
	}
	for _, p := range []*testPerson{ann, ben} {
		for _, account := range []*wire.AccountID{nil, &p.account} {
			if c, err := ask(p.address, account); err != nil || c.Account() != p.account {
				t.Fatalf("%s: %v", p.address, err)
			}
		}
	}
	if got := w.called(wire.PathPeerKeys); got != 1 {
		t.Errorf("asked %d times within a minute", got)
	}
	_, err := ask(nobody.address, nil)
	kind(t, err, wire.NotExist)
	_, err = ask(unregistered.address, nil)
	kind(t, err, wire.NotExist)
	_, err = ask(ben.address, &ann.account)
	kind(t, err, wire.Tampered)
	_, err = ask(ann.address, &ben.account)
	kind(t, err, wire.Tampered)
	_, err = ask(wire.Address{}, nil)
	kind(t, err, wire.Invalid)
	_, err = ask(wire.Address{Handle: "x", Node: "west.example"}, nil)
	kind(t, err, wire.NotExist) // south is all that a liar reaches

	for name, lie := range map[string]func(*wire.KeysReply){
		"other person":  func(r *wire.KeysReply) { r.Statements = ann.keys },
		"other account": func(r *wire.KeysReply) { r.Statements = other.newPerson("ben").keys },
		"no chain":      func(r *wire.KeysReply) { r.Statements = nil },
		"broken":        func(r *wire.KeysReply) { r.Statements[0][0] ^= 1 },
	} {
		w.clock.advance(2 * time.Minute)
		l.keys = lie
		_, err := ask(ben.address, nil)
		if kind(t, err, wire.Tampered); err == nil {
			t.Error(name)
		}
	}
	l.keys = func(r *wire.KeysReply) { r.Statements = ann.keys }
	other.person("carl")
	_, err = ask(wire.Address{Handle: "carl", Node: south}, nil)
	kind(t, err, wire.Tampered)
	l.keys = nil
	w.fail(south, away)
	w.clock.advance(time.Hour)
	reply, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address})
	if err != nil || reply.AsOf > w.clock.now().Add(-time.Hour).UnixMilli() {
		t.Fatalf("while south is away: as of %d, %v", reply.AsOf, err)
	}
	_, err = ask(unregistered.address, nil)
	kind(t, err, wire.Unavailable)
}

// TestKeysOfAnOddNode gets answers from another node that say nothing of keys:
// they are not taken for this node's own. What is known serves meanwhile.
func TestKeysOfAnOddNode(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	l := &liar{API: worldPeer{w, north, south}}
	home.peers = l
	carl := wire.Address{Handle: "carl", Node: south}
	if _, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []wire.Kind{wire.Forbidden, wire.Exist, wire.Conflict, wire.Clock, wire.Limit, wire.TooLarge, wire.Update} {
		w.fail(south, wire.Errorf(odd, "", ""))
		w.clock.advance(2 * time.Minute)
		_, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: carl})
		kind(t, err, wire.Unavailable)
		if _, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
			t.Errorf("%s: what is known does not serve: %v", odd, err)
		}
	}
	for _, own := range []wire.Kind{wire.NotExist, wire.Throttled, wire.Unavailable, wire.Invalid} {
		w.fail(south, wire.Errorf(own, "", ""))
		_, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: carl})
		kind(t, err, own)
	}
	w.fail(south, nil)
	l.keys = func(r *wire.KeysReply) {
		later := *ben.newest
		later.Version++
		r.Statements = []wire.Signed{append(make(wire.Signed, 64), wire.EncodeCBOR(&later)...)}
	}
	_, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address})
	kind(t, err, wire.Update)
}

// TestPeerLookupsAreRationed: a node that tries names is stopped, and no other.
func TestPeerLookupsAreRationed(t *testing.T) {
	home := newWorld(t).open(north, nil, nil)
	ask := func(node wire.NodeName) error {
		_, err := home.peer(node).Keys(t.Context(), wire.KeysRequest{Address: wire.Address{Handle: "nobody", Node: north}})
		return err
	}
	for i := range 3000 {
		if err := ask(south); !errors.Is(err, wire.NotExist) {
			t.Fatalf("look-up %d: %v", i+1, err)
		}
	}
	kind(t, ask(south), wire.Throttled)
	kind(t, ask("west.example"), wire.NotExist)
}

func TestPeerKeys(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	ann, ben := home.person("ann"), w.open(south, nil, nil).person("ben")
	if _, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]wire.KeysRequest{
		"nobody":        {Address: wire.Address{Handle: "nobody", Node: north}},
		"elsewhere":     {Address: ben.address},
		"like one here": {Address: wire.Address{Handle: "ann", Node: south}},
		"other account": {Address: ann.address, Account: &ben.account},
	} {
		_, err := home.peer("west.example").Keys(t.Context(), r)
		if kind(t, err, wire.NotExist); err == nil {
			t.Error(name)
		}
	}
	mine := wire.KeysRequest{Address: ann.address, Account: &ann.account}
	if _, err := home.peer("west.example").Keys(t.Context(), mine); err != nil {
		t.Error(err)
	}
	// Somebody who has left is found only by who says whom they mean.
	ann.delete()
	_, err := home.any().peer("west.example").Keys(t.Context(), wire.KeysRequest{Address: ann.address})
	kind(t, err, wire.NotExist)
	if r, err := home.any().peer("west.example").Keys(t.Context(), mine); err != nil || len(r.Tombstone) == 0 {
		t.Errorf("who has left: a tombstone of %d bytes, %v", len(r.Tombstone), err)
	}
}

// Requests are cut to what they may hold.
func TestCutBatch(t *testing.T) {
	many := make([]wire.AccountID, wire.MaxSyncReaders+5)
	for i := range many {
		many[i] = random32()
	}
	var list []followed
	for range wire.MaxSyncStreams + 3 {
		list = append(list, followed{stream: streamName{random32(), random32()}, readers: many[:1]})
	}
	list = append(list, followed{stream: streamName{random32(), random32()}, readers: many})
	asked := make(map[pair]bool)
	want := wire.MaxSyncStreams + 3 + len(many)
	for len(list) > 0 {
		var batch []followed
		batch, list = cutBatch(list)
		readers := 0
		for _, f := range batch {
			readers += len(f.readers)
			for _, r := range f.readers {
				asked[pair{r, f.stream.author}] = true
			}
		}
		if len(batch) == 0 || len(batch) > wire.MaxSyncStreams || readers > wire.MaxSyncReaders {
			t.Fatalf("a request about %d streams with %d readers", len(batch), readers)
		}
	}
	if len(asked) != want {
		t.Fatalf("asked for %d readers, want %d", len(asked), want)
	}
}

// The store of copies fails in the middle of a page: the next pull goes on.
func TestCopyIsInterrupted(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.posts(5)
	ann.rotate()
	ann.posts(5)
	ann.tell(ann.offer(ben))
	memory := other.copies.(*storetest.Memory)
	memory.StopAfter(0)
	ann.wraps(ann.content, ben)
	ben.tell(ben.accept(ann))
	for k := range 40 {
		memory.StopAfter(k % 7)
		_ = other.pull(t.Context(), north)
	}
	memory.Resume()
	other.pulls(home)
	if got := ben.reads(ann); len(got) != 12 {
		t.Fatalf("got %d", got)
	}
	for _, item := range ben.pages(100) {
		if _, err := ben.as().Post(t.Context(), item.Entry.ID()); err != nil {
			t.Errorf("by id: %v", err)
		}
	}
}
