package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// asker counts what a node asks another about streams, and lets it lie.
type asker struct {
	federation.API
	mu    sync.Mutex
	asked []int // streams of each request
	lie   func(*wire.SyncReply)
}

func (a *asker) To(wire.NodeName) federation.API { return a }

func (a *asker) Sync(ctx context.Context, r wire.SyncRequest) (wire.SyncReply, error) {
	a.mu.Lock()
	a.asked = append(a.asked, len(r.Streams))
	a.mu.Unlock()
	reply, err := a.API.Sync(ctx, r)
	if a.lie != nil {
		a.lie(&reply)
	}
	return reply, err
}

// asks returns what is asked in the next pull.
func (a *asker) asks(n *testNode, of *testNode) []int {
	n.world.t.Helper()
	a.mu.Lock()
	a.asked = nil
	a.mu.Unlock()
	if err := n.pull(n.world.t.Context(), of.name); err != nil {
		n.world.t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// TestPullChanged: who has all asks what changed, and for nothing else.
func TestPullChanged(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, amy, ben, bob := home.person("ann"), home.person("amy"), other.person("ben"), other.person("bob")
	a := &asker{API: worldPeer{w, south, north}}
	other.peers = a
	wants := func(what string, asked ...int) {
		t.Helper()
		if got := a.asks(other, home); !slices.Equal(got, asked) {
			t.Errorf("%s: asked for %d streams, want %d", what, got, asked)
		}
	}
	ann.befriend(ben)
	amy.befriend(ben)
	home.pulls(other)
	other.pulls(home)
	wants("nothing is new", 0)
	w.fail(south, away) // nor told
	ann.posts(2)
	wants("a stream has something new", 0, 1)
	if got := ben.reads(ann); len(got) != 3 {
		t.Errorf("got %d entries, want 3", len(got))
	}
	wants("and was asked for", 0)

	w.clock.advance(time.Hour)
	wants("nothing is new after an hour", 0)
	for _, p := range []*testPerson{ann, amy} {
		if at := other.streams.get(streamName{p.account, p.audience}).asOf.Load(); at != w.clock.now().UnixMilli() {
			t.Errorf("the copy is as of %s before now", time.Duration(w.clock.now().UnixMilli()-at)*time.Millisecond)
		}
	}

	amy.wraps(amy.content, ann) // somebody may read more than before
	wants("a wrap", 0, 2)
	wants("and that was asked for", 0)
	w.fail(south, nil)
	bob.befriend(ann)
	home.pulls(other)
	other.pulls(home)
	if got := bob.reads(ann); len(got) != 3 {
		t.Errorf("another reader: got %d entries, want 3", len(got))
	}
	wants("nothing is new for both", 0)

	w.fail(north, away)
	_ = other.pull(t.Context(), north)
	w.fail(north, nil)
	wants("after a failure", 2)
	wants("and after that", 0)
	w.fail(south, away)
	home.close()
	home = home.reopened(home.own, ann, amy)
	wants("of another process", 0, 2)

	to := other.follows.syncedAt(north)
	other.follows.done(north, other.follows.added, true, synced{to.state, to.full.Add(-syncInFull)})
	a.lie = func(r *wire.SyncReply) { r.Streams[0].Code = wire.Internal }
	wants("after ten minutes", 2)
	a.lie = nil
	wants("after an answer of which a part was missing", 2)
	wants("and after that answer was whole", 0)
}

// TestSyncChanged: a node is told of the streams that somebody there may read, and of
// nothing that it was not given a state for.
func TestSyncChanged(t *testing.T) {
	w := newWorld(t)
	home, other, third := w.open(north, nil, nil), w.open(south, nil, nil), w.open("west.example", nil, nil)
	ann, ben, cid := home.person("ann"), other.person("ben"), third.person("cid")
	ann.befriend(ben)
	ann.befriend(cid)
	home.pulls(other)
	home.pulls(third)
	dan := home.person("dan") // has no friends
	since := func(from wire.NodeName, state string) wire.SyncReply {
		t.Helper()
		return must(home.peer(from).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{}, Since: state}))
	}
	begin := since(south, "").State
	if got := since(south, begin); got.State == "" || len(got.Changed) > 0 {
		t.Fatalf("nothing happened: got %+v", got)
	}
	ann.posts(3)
	dan.posts(1)
	got := since(south, begin)
	want := []wire.ChangedStream{{Author: ann.account, Audience: ann.audience}}
	if got.State == "" || !slices.Equal(got.Changed, want) {
		t.Errorf("after posts: got %+v, want %+v", got, want)
	}
	if again := since(south, got.State); again.State == "" || len(again.Changed) > 0 {
		t.Errorf("after that: got %+v", again)
	}
	if got := since("east.example", begin); got.State != "" || len(got.Changed) > 0 {
		t.Errorf("by the state of another node: got %+v", got)
	}
	if got := since("east.example", home.stateAt(stateOwner("east.example"), 1)); len(got.Changed) > 0 {
		t.Errorf("a node without readers: got %+v", got)
	}
	for _, state := range []string{"x", begin[1:], begin + begin, "AAAAAAAAAAAAAAAAAAAAAA", home.stateAt(stateOwner(south), 1<<63), home.stateAt(ann.account, 1)} {
		if got := since(south, state); got.State != "" || len(got.Changed) > 0 {
			t.Errorf("%q: got %+v", state, got)
		}
	}
	before := since(south, "").State
	ann.publish(ann.epoch(), ann.end(cid)) // and ben has no wrap yet
	if got := since(south, before); got.State != "" || len(got.Changed) > 0 {
		t.Errorf("after the end of a friendship: got %+v", got)
	}
	eventually(t, "the end is delivered", func() bool { return len(keysOf(t, home.own, "deliver/")) == 0 })
	before = since(south, "").State
	ann.publish(ann.epoch())
	if got := since(south, before); got.State == "" || len(got.Changed) > 0 {
		t.Errorf("of an epoch that nobody there has: got %+v", got)
	}
	ann.wraps(ann.content, ben)
	if got := since(south, before); got.State != "" {
		t.Errorf("after a wrap: got %+v", got)
	}
	before = since(south, "").State
	for range maxEvents + 1 {
		home.changes.ofStream(home.streams.get(streamName{dan.account, dan.audience}))
	}
	if got := since(south, before); got.State != "" {
		t.Errorf("after too much: got %+v", got)
	}
}

// TestLiesAboutChanges: by naming streams that did not change, or others, a node gets
// questions, and by naming none it withholds, until all is asked for.
func TestLiesAboutChanges(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	a := &asker{API: worldPeer{w, south, north}}
	other.peers = a
	ann.posts(1)
	ann.befriend(ben)
	home.pulls(other)
	other.pulls(home)
	w.fail(south, away) // it is not told
	named := wire.ChangedStream{Author: ann.account, Audience: ann.audience}
	for name, c := range map[string]struct {
		changed []wire.ChangedStream
		asks    []int
	}{
		"one that did not":  {[]wire.ChangedStream{named}, []int{0, 1}},
		"twice":             {[]wire.ChangedStream{named, named}, []int{0, 1}},
		"another stream":    {[]wire.ChangedStream{named, {Author: ben.account, Audience: random32()}}, []int{0, 1}},
		"too many to count": {slices.Repeat([]wire.ChangedStream{{Author: ben.account, Audience: random32()}}, 1000), []int{0, 1}},
	} {
		a.lie = nil
		other.pulls(home)
		other.pulls(home)
		a.lie = func(r *wire.SyncReply) {
			if len(r.Streams) == 0 {
				r.Changed = c.changed
			}
		}
		if got := a.asks(other, home); !slices.Equal(got, c.asks) {
			t.Errorf("%s: asked for %d streams, want %d", name, got, c.asks)
		}
		if got := fmt.Sprint(ben.reads(ann)); got != "[1 2]" {
			t.Errorf("%s: got %s", name, got)
		}
	}
	a.lie = func(r *wire.SyncReply) {
		if len(r.Streams) == 0 {
			r.Changed = nil
		}
	}
	ann.posts(1)
	if got := a.asks(other, home); !slices.Equal(got, []int{0}) {
		t.Errorf("nothing is named: asked for %d streams", got)
	}
	to := other.follows.syncedAt(north)
	other.follows.done(north, other.follows.added, true, synced{to.state, to.full.Add(-syncInFull)})
	other.pulls(home)
	if got := ben.reads(ann); len(got) != 3 {
		t.Errorf("after all was asked for: got %d entries, want 3", len(got))
	}
	a.lie = func(r *wire.SyncReply) {
		for i := range r.Streams {
			r.Streams[i].Entries = nil
		}
	}
	ann.posts(1)
	a.asks(other, home) // is told that there are 4, and shown none
	a.lie = nil
	a.asks(other, home)
	if got := ben.reads(ann); len(got) != 4 {
		t.Errorf("after an entry was held back: got %d entries, want 4", len(got))
	}
}
