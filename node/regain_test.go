package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// then is what the node holds now, for restored.
func (n *testNode) then() storetest.Snapshot { return n.own.(*storetest.Memory).Snapshot() }

// restored ends a node and makes it again of what it held then, as a restore does.
// People go on there.
func (n *testNode) restored(then storetest.Snapshot, people ...*testPerson) *testNode {
	n.world.t.Helper()
	n.close()
	own := storetest.NewMemory()
	own.Restore(then)
	if err := own.Apply(context.Background(), put(regainKey, &regainRecord{recordVersion, n.world.clock.now().UnixMilli()})); err != nil {
		n.world.t.Fatal(err)
	}
	return n.reopened(own, people...)
}

// reopened opens a node on a store. People go on there.
func (n *testNode) reopened(own store.Store, people ...*testPerson) *testNode {
	n.world.t.Helper()
	again := n.world.open(n.name, own, nil)
	for _, p := range people {
		p.home = again
	}
	return again
}

func (n *testNode) processes() []*Node {
	if n.twin == nil {
		return []*Node{n.Node}
	}
	return []*Node{n.Node, n.twin}
}

// asksNobody waits until nothing is to be regained any more.
func (n *testNode) asksNobody() {
	n.world.t.Helper()
	eventually(n.world.t, "all is regained", func() bool {
		return !slices.ContainsFunc(n.processes(), func(one *Node) bool { return one.regaining.Load() != nil })
	})
	if got := keysOf(n.world.t, n.own, regainKey); len(got) > 0 {
		n.world.t.Errorf("the mark of the restore is still there: %q", got)
	}
}

// asksAgain lets a node ask once more now, and waits for that.
func (n *testNode) asksAgain() {
	for _, one := range n.processes() {
		if err := one.hear(context.Background()); err != nil {
			n.world.t.Error(err)
		}
		for range 3 { // the first begins a round, and the third is taken up after it
			eventually(n.world.t, "the next round begins", func() bool {
				r := one.regaining.Load()
				if r == nil {
					return true
				}
				select {
				case r.wake <- struct{}{}:
					return true
				default:
					return false
				}
			})
		}
	}
}

// all are the ids of a stream as it is at home, where each is found by its id too.
func (p *testPerson) all() (ids []wire.EntryID) {
	p.t.Helper()
	for {
		reply := must(p.as().Stream(context.Background(), p.account, p.audience, uint64(len(ids)), 0, 0))
		if len(reply.Entries) == 0 {
			return ids
		}
		for _, e := range reply.Entries {
			ids = append(ids, e.ID())
			if _, err := read(context.Background(), p.home.own, idKey(e.ID()), new(idRecord)); err != nil {
				p.t.Error(err)
			}
		}
	}
}

// holds checks that a stream at home is this, and nothing else.
func (p *testPerson) holds(want []wire.EntryID) {
	p.t.Helper()
	if got := p.all(); !slices.Equal(got, want) {
		p.t.Errorf("got %d entries, want these %d", len(got), len(want))
	}
}

// TestRegain loses the newest posts of two people at home: their friends' node has
// them, several pages of one, and after that everybody reads and writes on.
func TestRegain(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, amy, fay, ben := home.person("ann"), home.person("amy"), home.person("fay"), other.person("ben")
	ann.posts(2)
	amy.posts(1)
	for _, p := range []*testPerson{ann, amy} {
		p.befriend(ben)
	}
	ann.befriend(fay)
	then := home.then()
	for range 20 {
		ann.publish(ann.seal(ann.header(wire.KindPost), make([]byte, 60<<10)))
	}
	amy.posts(3)
	fay.posts(1) // nobody elsewhere has a copy of it
	annAll, amyAll := ann.all(), amy.all()
	other.pulls(home)

	home = home.restored(then, ann, amy, fay)
	home.asksNobody()
	ann.holds(annAll)
	amy.holds(amyAll)
	if got := must(fay.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)).Head; got != uint64(len(annAll)) {
		t.Errorf("a friend at home reads up to %d, want %d", got, len(annAll))
	}
	annAll = append(annAll, ann.posts(1)...)
	ann.holds(annAll)
	other.pulls(home)
	if got := must(ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)).Head; got != uint64(len(annAll)) {
		t.Errorf("a friend elsewhere reads up to %d, want %d", got, len(annAll))
	}

	// Where nothing is missing, nothing is written.
	home = home.restored(home.then(), ann, amy, fay)
	home.asksNobody()
	ann.holds(annAll)
}

// TestRegainMuch loses more than goes into one answer, of some streams nothing of
// which is in the first: one round is enough.
func TestRegainMuch(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ben := other.person("ben")
	var people []*testPerson
	for _, handle := range []wire.Handle{"ann", "amy", "ada", "fay", "eve", "liz", "meg", "sue"} {
		p := home.person(handle)
		p.posts(1)
		p.befriend(ben)
		people = append(people, p)
	}
	then := home.then()
	var all [][]wire.EntryID
	for _, p := range people {
		for range wire.MaxPageBytes/(60<<10) + 3 {
			p.publish(p.seal(p.header(wire.KindPost), make([]byte, 60<<10)))
		}
		all = append(all, p.all())
	}
	other.pulls(home)

	home.close()
	own := storetest.NewMemory()
	own.Restore(then)
	only := &regainRecord{recordVersion, w.clock.now().Add(-regainEnds - time.Second).UnixMilli()} // nobody is asked a second time
	if err := own.Apply(t.Context(), put(regainKey, only)); err != nil {
		t.Fatal(err)
	}
	home = home.reopened(own, people...)
	home.asksNobody()
	for i, p := range people {
		p.holds(all[i])
	}
}

// TestRegainWaits has the friends' node away: nothing continues a stream there that
// may be longer, until a short time has passed; all else goes on.
func TestRegainWaits(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, fay, ben := home.person("ann"), home.person("fay"), other.person("ben")
	ann.posts(1)
	ann.befriend(ben)
	fay.posts(1)
	ann.befriend(fay)
	old := ann.post()
	ann.publish(old)
	then, stream := home.then(), ann.stream
	lost := ann.posts(2)
	other.pulls(home)

	w.fail(south, away)
	home = home.restored(then, ann, fay)
	eventually(t, "all is listed", func() bool {
		r := home.regaining.Load()
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.listed
	})
	had := ann.all()
	ann.stream = stream
	fork := ann.post()
	_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: fork})
	kind(t, err, wire.Unavailable)
	if e := new(wire.Error); !errors.As(err, &e) || e.RetryAfter <= 0 || e.RetryAfter > regainWait {
		t.Errorf("got %v, which does not say when to try again", err)
	}
	if _, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: old}); err != nil {
		t.Errorf("an entry that is there: %v", err)
	}
	ann.putVault()
	fay.posts(1) // has no friend elsewhere
	ann.holds(had)

	// The node comes back, and what it has comes first.
	w.fail(south, nil)
	home.asksAgain()
	home.asksNobody()
	_, err = ann.as().Publish(t.Context(), wire.PublishRequest{Entry: fork})
	kind(t, err, wire.Conflict)
	ann.holds(append(had, lost...))

	// It stays away for too long, and people write on: that is a fork then, of
	// which either node keeps its own.
	w.fail(south, away)
	home = home.restored(then, ann, fay)
	w.clock.advance(regainWait)
	ann.publish(fork)
	w.fail(south, nil)
	home.asksAgain()
	home.asksNobody()
	ann.holds(append(had, fork.ID()))
	if got := must(other.entry(t.Context(), other.streams.get(streamName{ann.account, ann.audience}), stream.Seq+1)).entry().ID(); got != lost[0] {
		t.Errorf("the copy has another entry now")
	}

	// Nobody is asked for ever.
	w.fail(south, away)
	home = home.restored(then, ann, fay)
	w.clock.advance(regainEnds + time.Second)
	home.asksAgain()
	home.asksNobody()
	ann.holds(had)
}

// TestRegainAwaitsEpochs: what belongs to an epoch is handed in by its author's
// device; what follows it comes from the copy then.
func TestRegainAwaitsEpochs(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, fay, ben := home.person("ann"), home.person("fay"), other.person("ben")
	ann.posts(1)
	ann.befriend(ben)
	ann.befriend(fay)
	then := home.then()
	ann.posts(2)
	vault := ann.nextVault()
	handIn := func() {
		if err := ann.as().PutVault(t.Context(), vault); err != nil {
			t.Fatal(err)
		}
	}
	handIn()
	ann.heads = append(ann.heads, vault.Head)
	b := ann.epochBody()
	ann.wraps(b.Content, ben, fay)
	stream := ann.stream
	epoch := ann.seal(ann.header(wire.KindEpoch), must(b.Encode()))
	ann.publish(epoch)
	second := ann.post()
	ann.publish(second)
	ann.posts(2)
	all, after := ann.all(), ann.stream
	other.pulls(home)

	var asked atomic.Int64 // about what is lost
	w.lies = map[wire.NodeName]Peers{north: &liar{API: worldPeer{w, north, south}, sync: func(r *wire.SyncReply) {
		if slices.ContainsFunc(r.Streams, func(s wire.SyncedStream) bool { return s.Author == ann.account }) {
			asked.Add(1)
		}
	}}}
	home = home.restored(then, ann, fay)
	for _, one := range home.processes() {
		eventually(t, "there is an epoch that is not here", func() bool {
			r := one.regaining.Load()
			if r == nil {
				t.Fatal("nobody is asked any more")
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.epochs) > 0
		})
	}
	had := all[:stream.Seq]
	ann.holds(had)
	if got := fay.reads(ann); len(got) != len(had) {
		t.Errorf("a friend at home reads %d entries, want %d", len(got), len(had))
	}
	ann.stream = stream
	fork := wire.PublishRequest{Entry: ann.post()}
	_, err := ann.as().Publish(t.Context(), fork)
	kind(t, err, wire.Unavailable)
	handIn()
	ann.wraps(b.Content, ben, fay)
	before := asked.Load()
	home.asksAgain()
	if got := asked.Load() - before; got > 0 {
		t.Errorf("%d more questions before the epoch is there", got)
	}
	if own := home.own.(*storetest.Memory); home.twin == nil {
		own.StopAfter(0)
		if _, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: epoch}); err == nil {
			t.Error("an epoch was stored by a store that takes nothing")
		}
		own.Resume()
		_, err = ann.as().Publish(t.Context(), fork)
		kind(t, err, wire.Unavailable)
		own.StopAfter(1) // the entry is there then, and nobody knows
		if _, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: epoch}); err == nil {
			t.Error("an epoch was stored in part, and acknowledged")
		}
		own.Resume()
	}
	ann.publish(epoch)
	if home.twin == nil {
		if _, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: second}); err != nil {
			t.Errorf("behind an epoch that is there: %v", err)
		}
	} else { // where it was not handed in, it is heard of, and asked for in a while
		home.asksAgain()
	}
	home.asksNobody()
	ann.holds(all)
	if got := fay.reads(ann); len(got) != len(all) {
		t.Errorf("a friend at home reads %d entries, want %d", len(got), len(all))
	}
	ann.stream = after
	ann.posts(1)
}

// regainCase is what a home is shown by a node that lies.
type regainCase struct {
	lie  func(*wire.SyncReply, *testPerson)
	kept int  // entries that are regained
	asks bool // the node is asked again
	all  bool // it is about all streams
}

// TestRegainLies has a node that shows what is not true: nothing is kept that does
// not continue what is here, no other stream suffers, and people write on.
func TestRegainLies(t *testing.T) {
	one := func(f func(*wire.SyncedStream, *testPerson)) func(*wire.SyncReply, *testPerson) {
		return func(r *wire.SyncReply, ann *testPerson) {
			for i := range r.Streams {
				if s := &r.Streams[i]; s.Author == ann.account {
					f(s, ann)
				}
			}
		}
	}
	for name, test := range map[string]regainCase{
		"nothing": {lie: one(func(s *wire.SyncedStream, _ *testPerson) {
			*s = wire.SyncedStream{Author: s.Author, Audience: s.Audience, Code: wire.NotExist}
		})},
		"a fork":     {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries, s.Code = nil, wire.Conflict })},
		"dropped":    {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries = slices.Delete(s.Entries, 1, 2) }), kept: 1},
		"no first":   {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries = s.Entries[1:] })},
		"other body": {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries[1].Body[0] ^= 1 }), kept: 1},
		"garbage": {lie: one(func(s *wire.SyncedStream, _ *testPerson) {
			s.Entries[0] = wire.Entry{Header: []byte("x"), Body: []byte("y")}
		})},
		"swapped":          {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Author = random32() })},
		"swapped audience": {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Audience = random32() })},
		"shorter":          {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries, s.Head = nil, 1 })},
		"without end":      {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Head = 1 << 40 }), kept: 3, asks: true},
		"empty":            {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries = nil }), asks: true},
		"unwilling":        {lie: one(func(s *wire.SyncedStream, _ *testPerson) { s.Entries, s.Code = nil, wire.Internal }), asks: true},
		"more":             {lie: func(r *wire.SyncReply, _ *testPerson) { r.More = true }, kept: 3},
		"forged": {lie: one(func(s *wire.SyncedStream, ann *testPerson) {
			x := *ann
			x.identity = wire.NewIdentitySecret(random32())
			s.Entries = []wire.Entry{x.post()}
		})},
		"another audience": {lie: one(func(s *wire.SyncedStream, ann *testPerson) {
			x := *ann
			x.audience = random32()
			s.Entries = []wire.Entry{x.post()}
		})},
		"wraps": {kept: 3, lie: one(func(s *wire.SyncedStream, ann *testPerson) {
			s.Wraps = []wire.SyncedWrap{{Commitment: ann.content, Wrap: ann.wrapFor(ann)}}
		})},
		"fewer": {lie: func(r *wire.SyncReply, _ *testPerson) { r.Streams = nil }, asks: true, all: true},
	} {
		if !t.Run(name, func(t *testing.T) { test.run(t) }) {
			break // each of those that ask for ever would wait for long
		}
	}
}

func (c regainCase) run(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, amy, ben := home.person("ann"), home.person("amy"), other.person("ben")
	for _, p := range []*testPerson{ann, amy} {
		p.posts(1)
		p.befriend(ben)
	}
	then, stream := home.then(), ann.stream
	ann.posts(3)
	amy.posts(3)
	annAll, amyAll := ann.all(), amy.all()
	other.pulls(home)

	liar := &liar{API: worldPeer{w, north, south}}
	told := *ann
	told.stream = stream
	liar.sync = func(r *wire.SyncReply) { c.lie(r, &told) }
	w.lies = map[wire.NodeName]Peers{north: liar}
	home = home.restored(then, ann, amy)
	if c.asks {
		home.asksAgain()
	} else {
		home.asksNobody()
	}
	ann.holds(annAll[:int(stream.Seq)+c.kept])
	if !c.all {
		amy.holds(amyAll)
	}
	if got := keysOf(t, home.own, wrapsKey(ann.account, ann.audience, ann.content)+ann.account.String()); len(got) > 0 {
		t.Errorf("a wrap was kept: %q", got)
	}
	w.clock.advance(regainWait)
	after := *ann // the liar may still be asked, and reads told
	after.stream = wire.StreamHead{}
	for _, e := range must(ann.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)).Entries {
		after.advance(e)
	}
	after.posts(1)
}

// TestRegainIsInterrupted kills a home between any two changes while it regains:
// the next start goes on.
func TestRegainIsInterrupted(t *testing.T) {
	for k := range 8 {
		w := newWorld(t)
		home, other := w.open(north, nil, nil), w.open(south, nil, nil)
		ann, ben := home.person("ann"), other.person("ben")
		ann.posts(1)
		ann.befriend(ben)
		then := home.then()
		ann.posts(3)
		all := ann.all()
		other.pulls(home)

		w.fail(south, away)
		home = home.restored(then, ann)
		own := home.own.(*storetest.Memory)
		own.StopAfter(k)
		w.fail(south, nil)
		home.asksAgain()
		home.close()
		own.Resume()
		if k == 3 && len(keysOf(t, own, streamKey(streamName{ann.account, ann.audience}))) == len(all) {
			t.Error("nothing was interrupted")
		}
		home = home.reopened(own, ann)
		home.asksNobody()
		ann.holds(all)
		ann.posts(1)
	}
}

// TestGiveBack: a copy is shown to the home of its author, and to nobody else.
func TestGiveBack(t *testing.T) {
	w := newWorld(t)
	var reading atomic.Pointer[func(key string)]
	copies := busyStore{storetest.NewMemory(), func(key string) {
		if f := reading.Load(); f != nil {
			(*f)(key)
		}
	}}
	home, other := w.open(north, nil, nil), w.open(south, nil, copies)
	ann, ben := home.person("ann"), other.person("ben")
	ann.posts(3)
	ann.befriend(ben)
	ben.posts(1)
	other.pulls(home)
	ids := ann.all()
	type row struct {
		code    wire.Kind
		head    uint64
		entries int
	}
	wants := func(what string, asks wire.NodeName, ask wire.SyncStream, want row) {
		t.Helper()
		ask.Readers = []wire.SyncReader{}
		reply, err := other.peer(asks).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{ask}})
		if err != nil {
			t.Fatal(err)
		}
		s := reply.Streams[0]
		if got := (row{s.Code, s.Head, len(s.Entries)}); got != want || reply.More || len(s.Wraps)+len(s.Closed) > 0 {
			t.Errorf("%s: got %+v, %+v, want %+v", what, got, s, want)
		}
	}
	of := func(p *testPerson, after uint64, head wire.EntryID) wire.SyncStream {
		return wire.SyncStream{Author: p.account, Audience: p.audience, After: after, Head: head}
	}
	wants("all", north, of(ann, 0, wire.EntryID{}), row{head: 4, entries: 4})
	wants("the end", north, of(ann, 2, ids[1]), row{head: 4, entries: 2})
	wants("nothing", north, of(ann, 4, ids[3]), row{head: 4})
	wants("more than that", north, of(ann, 9, random32()), row{head: 4})
	wants("a fork", north, of(ann, 2, random32()), row{code: wire.Conflict})
	wants("a fork of the newest", north, of(ann, 4, random32()), row{code: wire.Conflict})
	wants("another node", "west.example", of(ann, 0, wire.EntryID{}), row{code: wire.NotExist})
	wants("another stream", north, wire.SyncStream{Author: ann.account, Audience: random32()}, row{code: wire.NotExist})
	wants("nobody's", north, wire.SyncStream{Author: random32(), Audience: ann.audience}, row{code: wire.NotExist})
	wants("not a copy", south, of(ben, 0, wire.EntryID{}), row{code: wire.NotExist})

	// Entries go while they are read, at each moment.
	s := other.streams.get(streamName{ann.account, ann.audience})
	trim := func() {
		if _, err := other.trim(t.Context(), s, toTrim); err != nil {
			t.Fatal(err)
		}
	}
	for at := range 4 {
		if at > 0 {
			if err := other.refill(t.Context(), north, s); err != nil {
				t.Fatal(err)
			}
		}
		reads := 0
		goes := func(key string) {
			if !strings.HasPrefix(key, streamKey(s.name)) {
				return
			}
			if reads++; reads > at {
				reading.Store(nil)
				trim()
			}
		}
		reading.Store(&goes)
		wants(fmt.Sprintf("what goes before read %d", at), north, of(ann, 1, ids[0]), row{code: wire.Unavailable})
		if reading.Load() != nil {
			t.Errorf("nothing went before read %d", at)
		}
	}
	wants("what is not kept", north, of(ann, 1, ids[0]), row{code: wire.Unavailable})
	wants("what is kept", north, of(ann, 3, ids[2]), row{head: 4, entries: 1})
	wants("the newest", north, of(ann, 4, ids[3]), row{head: 4})
}
