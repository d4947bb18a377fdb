package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestTwoProcesses runs what other tests say of a node against one of two processes,
// with each request at one of them by chance.
func TestTwoProcesses(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"Friendship": TestFriendship, "DeclineAndCancel": TestDeclineAndCancel, "OnlyWhatIsOpen": TestOnlyWhatIsOpen,
		"CrossingOffers": TestCrossingOffers, "TellRefuses": TestTellRefuses, "DeliveryWaits": TestDeliveryWaits,
		"DeliveryIsRefused": TestDeliveryIsRefused, "AcceptOvertakes": TestAcceptOvertakes, "PeerDeliver": TestPeerDeliver,
		"FriendsAreBounded": TestFriendsAreBounded, "FriendsAtOnce": TestFriendsAtOnce, "EndsAreKept": TestEndsAreKept,
		"Publish": TestPublish, "PublishRefuses": TestPublishRefuses, "PublishEnds": TestPublishEnds, "PublishEndsWait": TestPublishEndsWait,
		"PostOfNoEntry": TestPostOfNoEntry, "PublishRace": TestPublishRace, "PositionNeverFalls": TestPositionNeverFalls,
		"ReplacedKeys": TestReplacedKeys, "CursorIsStable": TestCursorIsStable,
		"CursorIsAuthenticated": TestCursorIsAuthenticated, "FeedLimit": TestFeedLimit, "StreamPages": TestStreamPages,
		"PageBytes": TestPageBytes, "WhoMayRead": TestWhoMayRead, "FriendElsewhere": TestFriendElsewhere,
		"ClosedThroughSync": TestClosedThroughSync, "CopiesMayBeDeleted": TestCopiesMayBeDeleted,
		"SyncAnswersStreamByStream": TestSyncAnswersStreamByStream,
		"PeerKeys":                  TestPeerKeys, "PeerLookupsAreRationed": TestPeerLookupsAreRationed, "Register": TestRegister,
		"RegisterRefuses": TestRegisterRefuses, "RegisterRace": TestRegisterRace, "Vault": TestVault, "PutVault": TestPutVault,
		"SameVaultAgain": TestSameVaultAgain, "VaultRace": TestVaultRace, "ManyVaults": TestManyVaults,
		"NodeKeepsItsKeys": TestNodeKeepsItsKeys, "Regain": TestRegain, "RegainWaits": TestRegainWaits,
		"RegainAwaitsEpochs": TestRegainAwaitsEpochs, "Delete": TestDelete, "TombstoneLies": TestTombstoneLies,
		"Recovery": TestRecovery,
	} {
		t.Run(name, test)
	}
}

// quick is a pace for tests that wait for what happens when a process dies.
var quick = pace{beat: 5 * time.Millisecond, silence: 300 * time.Millisecond, kept: 600 * time.Millisecond, gone: 600 * time.Millisecond}

// A cuttable store is one that a process can be cut off from, as if it was killed:
// cut, nothing of what it does is there any more; mute, only no news of it. before, if
// set, is called before each change.
type cuttable struct {
	store.Store
	cut, mute *atomic.Bool
	before    *atomic.Pointer[func(store.Change)]
}

func (c cuttable) Apply(ctx context.Context, changes ...store.Change) error {
	if c.cut.Load() {
		return storetest.ErrStopped
	}
	if c.mute.Load() && strings.HasPrefix(changes[len(changes)-1].Key, processPrefix) {
		return nil
	}
	before := c.before.Load()
	if before == nil {
		return c.Store.Apply(ctx, changes...)
	}
	for _, change := range changes {
		(*before)(change)
		if err := c.Store.Apply(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// office is several processes of one node, that a test can kill.
type office struct {
	t           *testing.T
	w           *world
	own, copies *storetest.Memory
	pace        pace
}

type worker struct {
	*testNode
	cut, mute *atomic.Bool
	before    *atomic.Pointer[func(store.Change)] // a change of the own store
	copying   *atomic.Pointer[func(store.Change)] // a change of the copies
}

// interrupts calls f once, before the first change that which is true of.
func (n *worker) interrupts(which func(store.Change) bool, f func()) {
	hook := func(c store.Change) {
		if which(c) && n.before.Swap(nil) != nil {
			f()
		}
	}
	n.before.Store(&hook)
}

func newOffice(t *testing.T, p pace) *office {
	return &office{t, newWorld(t), storetest.NewMemory(), storetest.NewMemory(), p}
}

func (o *office) opens() *worker {
	o.t.Helper()
	cut, mute, before := new(atomic.Bool), new(atomic.Bool), new(atomic.Pointer[func(store.Change)])
	copying := new(atomic.Pointer[func(store.Change)])
	own, copies := cuttable{o.own, cut, mute, before}, cuttable{o.copies, cut, mute, copying}
	n, err := Open(o.t.Context(), Options{
		Name: north, Own: own, Copies: copies, Shared: true, Now: o.w.clock.now, SyncInterval: time.Hour, pace: o.pace,
		Peers: func(c federation.ClientOptions) (Peers, error) { return worldPeers{o.w, c.Self}, nil },
	})
	if err != nil {
		o.t.Fatal(err)
	}
	<-n.warmed
	one := &worker{&testNode{Node: n, world: o.w, own: own, copies: copies}, cut, mute, before, copying}
	o.t.Cleanup(one.close)
	o.w.mu.Lock()
	o.w.nodes[north] = one.testNode
	o.w.mu.Unlock()
	return one
}

// at is what somebody may do at one process, which has heard.
func (n *worker) at(p *testPerson) *Person {
	n.world.t.Helper()
	if err := n.hear(context.Background()); err != nil {
		n.world.t.Fatal(err)
	}
	return n.As(p.account, p.address.Handle)
}

func (n *worker) head(p, reader *testPerson) uint64 {
	n.world.t.Helper()
	r, err := n.at(reader).Stream(context.Background(), p.account, p.audience, 0, 0, 1)
	if err != nil {
		n.world.t.Fatal(err)
	}
	return r.Head
}

// TestAcknowledgedIsSeen is a checker: many write and read at two processes at once.
// Once a write was acknowledged by one of them, no read that begins later at either
// shows less; nor does one that begins after another read showed it.
func TestAcknowledgedIsSeen(t *testing.T) {
	o := newOffice(t, usualPace)
	workers := []*worker{o.opens(), o.opens()}
	const people, posts = 4, 40
	var all sync.WaitGroup
	for i := range people {
		p := workers[0].person(wire.Handle(fmt.Sprint("person", i)))
		friend := workers[0].person(wire.Handle(fmt.Sprint("friend", i)))
		p.befriend(friend)
		var seen atomic.Uint64 // the newest entry that was acknowledged, or read
		seen.Store(p.stream.Seq)
		var done atomic.Bool
		all.Go(func() {
			defer done.Store(true)
			for range posts {
				e := p.post()
				if _, err := workers[rand.N(2)].at(p).Publish(t.Context(), wire.PublishRequest{Entry: e}); err != nil {
					t.Error(err)
					return
				}
				p.advance(e)
				raise(&seen, p.stream.Seq)
			}
		})
		for range 2 {
			all.Go(func() {
				for !done.Load() {
					at, want := workers[rand.N(2)], seen.Load()
					got, err := at.at(friend).Feed(t.Context(), 1, "", "")
					if err != nil {
						t.Error(err)
						return
					}
					for _, s := range got.Streams {
						if s.Author != p.account {
							continue
						}
						if s.Head < want {
							t.Errorf("%s: entry %d was there, now the newest is %d", p.address.Handle, want, s.Head)
							return
						}
						raise(&seen, s.Head)
					}
					runtime.Gosched()
				}
			})
		}
	}
	all.Wait()
}

// raise makes v at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); old < n && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

// still is a pace for tests in which a process hears when it is asked only.
var still = pace{beat: time.Hour, silence: time.Hour, kept: time.Hour, gone: time.Hour}

// TestNewsOfEachKind does something at one process that the other remembers
// otherwise, and which it has news of, or of which the news are lost.
func TestNewsOfEachKind(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%v", lost), func(t *testing.T) {
			o := newOffice(t, still)
			here, there := o.opens(), o.opens()
			testNewsOfEachKind(t, o, here, func() *worker {
				if lost {
					here.tellNot(t)
				}
				if err := there.hear(t.Context()); err != nil {
					t.Fatal(err)
				}
				return there
			})
		})
	}
}

// testNewsOfEachKind changes things here. there is the other process, once it has
// heard.
func testNewsOfEachKind(t *testing.T, o *office, here *worker, there func() *worker) {
	ann, ben := here.person("ann"), here.person("ben")
	ann.befriend(ben)
	ann.posts(1)

	// A stream that is remembered, and one that was never seen.
	if got := there().head(ann, ben); got != 2 {
		t.Fatalf("got entry %d", got)
	}
	ann.posts(1)
	if got := there().head(ann, ben); got != 3 {
		t.Errorf("a post: got entry %d, want 3", got)
	}
	cid := here.person("cid")
	if got := there().head(cid, cid); got != 1 {
		t.Errorf("a new stream: got entry %d, want 1", got)
	}
	cid.posts(1)
	next := cid.post()
	if _, err := there().at(cid).Publish(t.Context(), wire.PublishRequest{Entry: next}); err != nil {
		t.Errorf("the entry after one of the other process: %v", err)
	}

	// A wrap for the newest epoch that replaces one.
	wrap := func() wire.Hash {
		at := there()
		s := must(at.stream(t.Context(), streamName{ann.account, ann.audience}))
		return must(at.wrapHash(t.Context(), s, ann.content, ben.account))
	}
	before := wrap()
	ann.wraps(ann.content, ben)
	if wrap() == before {
		t.Error("a wrap: the one before is remembered")
	}

	// A session that is remembered.
	token := wire.NewSessionToken(ann.account, random32())
	open := &session{Version: recordVersion, Account: ann.account, Handle: "ann", Expires: o.w.clock.now().Add(time.Hour).UnixMilli()}
	if err := here.Node.own.Apply(t.Context(), put(sessionKey(token.Shelf(), token.Hash(wire.LabelToken)), open)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*worker{there(), here} {
		if _, err := at.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if err := must(here.Authenticate(t.Context(), token)).EndSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := there().Authenticate(t.Context(), token)
	kind(t, err, wire.Unauthenticated)

	// A friendship that is remembered.
	ann.tell(ann.end(ben))
	_, err = there().at(ben).Stream(t.Context(), ann.account, ann.audience, 0, 0, 1)
	kind(t, err, wire.NotExist)

	// Keys.
	chain := must(there().ownKeys.Chain(t.Context(), ann.account))
	ann.replaceKeys()
	if got := must(there().ownKeys.Chain(t.Context(), ann.account)); got == chain || got.Newest().Seq != 1 {
		t.Errorf("keys: got statement %d, want 1", got.Newest().Seq)
	}

	// Keys, a stream and a friendship of somebody elsewhere.
	wil := o.w.open(south, nil, nil).person("wil")
	o.w.mu.Lock()
	o.w.nodes[north] = here.testNode // whom others ask
	o.w.mu.Unlock()
	if got := there().follows.at(); len(got) != 0 {
		t.Fatalf("%v is followed", got)
	}
	cid.befriend(wil)
	eventually(t, "it is followed elsewhere", func() bool { return len(there().follows.at()) == 1 })
	elsewhere := func() *stream { return must(there().stream(t.Context(), streamName{wil.account, wil.audience})) }
	here.pulls(wil.home)
	if s := elsewhere(); s == nil || s.state().Seq != 1 {
		t.Fatal("no copy")
	}
	chain = must(there().copyKeys.Chain(t.Context(), wil.account))
	o.w.clock.advance(2 * keysFresh)
	wil.posts(1)
	wil.replaceKeys()
	here.pulls(wil.home)
	if got := elsewhere(); got.state().Seq != 2 || got.asOf.Load() != o.w.clock.now().UnixMilli() {
		t.Errorf("a copy: got entry %d as of %d, want 2 as of %d", got.state().Seq, got.asOf.Load(), o.w.clock.now().UnixMilli())
	}
	if _, err := here.at(cid).Keys(t.Context(), wire.KeysRequest{Address: wil.address}); err != nil {
		t.Fatal(err)
	}
	if got := must(there().copyKeys.Chain(t.Context(), wil.account)); got == chain || got.Newest().Seq != 1 {
		t.Errorf("keys elsewhere: got statement %d, want 1", got.Newest().Seq)
	}

	// The document.
	if err := here.openDocument(t.Context(), Options{Contact: "ann"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the document is shown", func() bool { return string(there().Document()) == string(here.Document()) })
}

// TestForgetsAll: what another process did without news is seen once it fell silent,
// and what has news that are gone, or was done by one whose records are gone, at the
// next request.
func TestForgetsAll(t *testing.T) {
	for _, test := range []string{"killed before its news", "news are gone", "deleted by another"} {
		t.Run(test, func(t *testing.T) {
			p := quick
			if test != "killed before its news" {
				p = still
			}
			o := newOffice(t, p)
			dies, lives := o.opens(), o.opens()
			ann, ben := dies.person("ann"), dies.person("ben")
			ann.befriend(ben)
			lives.head(ann, ben)
			fay := dies.newPerson("fay")
			if _, err := dies.Register(t.Context(), fay.register); err != nil {
				t.Fatal(err)
			}
			if test == "news are gone" {
				ann.posts(1)
				fay.publish(fay.epoch())
				dies.tellNot(t)
			} else {
				dies.mute.Store(true)
				ann.posts(1)
				fay.publish(fay.epoch())
				if got := lives.head(ann, ben); got != 1 {
					t.Fatalf("entry %d was heard of", got)
				}
				dies.cut.Store(true)
			}
			if test == "deleted by another" {
				gone := store.Change{Key: processPrefix + dies.news.process}
				if err := o.own.Apply(t.Context(), gone); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the post is seen", func() bool { return lives.head(ann, ben) == 2 })
			eventually(t, "the new stream is seen", func() bool { return lives.head(fay, fay) == 1 })
		})
	}
}

// tellNot deletes the news of a process, before others read the newest.
func (n *worker) tellNot(t *testing.T) {
	t.Helper()
	if err := n.deleteAll(t.Context(), store.Prefix(newsOf(n.news.process))); err != nil {
		t.Fatal(err)
	}
}

// TestOneLeads: of the processes that live, one does what one has to do; when it
// dies, another takes over, delivers what waits, and deletes what is left of it.
func TestOneLeads(t *testing.T) {
	o := newOffice(t, quick)
	var workers []*worker
	for range 3 {
		workers = append(workers, o.opens())
	}
	leader := func() *worker {
		var found *worker
		for _, one := range workers {
			if one.leads() {
				if found != nil {
					return nil
				}
				found = one
			}
		}
		return found
	}
	eventually(t, "one leads", func() bool { return leader() != nil })
	first := leader()
	ann, ben := first.person("ann"), o.w.open(south, nil, nil).person("ben")
	o.w.fail(south, away)
	dead := first
	if _, err := first.at(ann).Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err == nil {
		t.Fatal("the other node is not away")
	}
	o.w.fail(south, nil)
	if _, err := first.at(ann).Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
		t.Fatal(err)
	}
	o.w.fail(south, away)
	ann.tell(ann.offer(ben)) // cannot be delivered
	dead.cut.Store(true)
	dead.close() // it calls nobody any more
	var rest []*worker
	for _, one := range workers {
		if one != dead {
			rest = append(rest, one)
		}
	}
	workers = rest
	o.w.mu.Lock()
	o.w.nodes[north] = rest[0].testNode // whom others ask
	o.w.mu.Unlock()
	o.w.fail(south, nil)
	eventually(t, "another leads", func() bool { return leader() != nil })
	eventually(t, "what waited is delivered", func() bool { return ben.state(ann) == wire.StateIncoming })
	eventually(t, "what is left of the dead is deleted", func() bool {
		one := leader()
		if one == nil { // on a busy machine, it may change
			return false
		}
		if err := one.sweepProcesses(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(keysOf(t, o.own, processPrefix)) == 2 && len(keysOf(t, o.own, newsOf(dead.news.process))) == 0
	})
}

// TestStoreAway: no request is answered with what may be outdated.
func TestStoreAway(t *testing.T) {
	o := newOffice(t, usualPace)
	n := o.opens()
	n.news.own = scanLimited(n.own, 0)
	err := n.hear(t.Context())
	kind(t, err, wire.Unavailable)
	if p := wire.ProblemOf(err); p.Retry != 1 {
		t.Errorf("told to come back after %d s, want 1", p.Retry)
	}
}

// TestReplayAtBoth sends one signed request to two processes, many times at once: it
// counts once, also after a restart of either.
func TestReplayAtBoth(t *testing.T) {
	w := newLiveWorld(t)
	west := w.host()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w.twins = true
	home := w.open(wire.NodeName("localhost:"+port), nil, nil)
	ann := home.person("ann")
	serve := func(n *Node, l net.Listener) *served {
		return (&testNode{Node: n, world: w, own: home.own, copies: home.copies}).serveAt(l, nil)
	}
	both := []*served{serve(home.Node, l), serve(home.twin, must(net.Listen("tcp", "127.0.0.1:0")))}
	requests := []struct {
		path string
		body []byte
	}{
		{wire.PathPeerKeys, wire.EncodeJSON(wire.KeysRequest{Address: ann.address})},
		{wire.PathPeerNotices, wire.EncodeJSON(wire.NoticeRequest{Streams: []wire.NoticedStream{}})},
		{wire.PathPeerSync, wire.EncodeJSON(wire.SyncRequest{Streams: []wire.SyncStream{}})},
	}
	fresh := func(i int) func(*served) int {
		r := requests[i%len(requests)]
		header := west.signs(home.name, "POST", r.path, r.body)
		return func(s *served) int { return s.sends("POST", r.path, r.body, header...).status }
	}
	if got := fresh(0)(both[0]); got != 200 {
		t.Fatalf("an honest request: got %d", got)
	}
	var spent []func(*served) int
	for i := range 9 {
		send := fresh(i)
		spent = append(spent, send)
		var counts, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				switch send(both[i%2]) {
				case 200:
					counts.Add(1)
				case 401:
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if counts.Load() != 1 || refused.Load() != 31 {
			t.Errorf("of 32 at once %d counted, and %d were refused", counts.Load(), refused.Load())
		}
	}
	again, err := Open(t.Context(), Options{Name: home.name, Own: home.own, Copies: home.copies, Shared: true, Development: true})
	if err != nil {
		t.Fatal(err)
	}
	third := serve(again, must(net.Listen("tcp", "127.0.0.1:0")))
	t.Cleanup(func() {
		if err := again.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, send := range spent {
		if got := send(third); got != 401 {
			t.Errorf("a replay after a start: got %d", got)
		}
	}
	if got := fresh(0)(third); got != 200 {
		t.Errorf("an honest request right after a start: got %d", got)
	}
	if string(again.Document()) != string(home.Document()) || string(home.twin.Document()) != string(home.Document()) {
		t.Error("the processes show different documents")
	}
	// Once no clock is before their end, they are forgotten.
	if err := again.sweepNonces(t.Context()); err != nil || len(keysOf(t, home.own, noncePrefix)) < len(spent) {
		t.Errorf("nonces that count were deleted: %v", err)
	}
	w.clock.advance(wire.SignatureLifetime + wire.MaxSkew)
	if err := home.sweepNonces(t.Context()); err != nil || len(keysOf(t, home.own, noncePrefix)) != 0 {
		t.Errorf("nonces that have expired are left: %v", err)
	}
}

// TestNewsOfNoSense: what is not understood may be about anything.
func TestNewsOfNoSense(t *testing.T) {
	o := newOffice(t, usualPace)
	here, there := o.opens(), o.opens()
	for _, key := range []string{"entry/x", "friend/x", "wrap/x", "key/x", "sess/x/y", "sync/x/y", "later/x"} {
		there.streams.sought[wire.AccountID{}] = true
		if err := here.news.announce(t.Context(), false, []string{key}); err != nil {
			t.Fatal(err)
		}
		if err := there.hear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if there.streams.sought[wire.AccountID{}] {
			t.Errorf("%s: what was remembered counts", key)
		}
	}
}

// TestDamagedNews: a record that cannot be read is an error, and of news one that lets
// no request through.
func TestDamagedNews(t *testing.T) {
	for _, key := range []string{"process/0", newsKey("0", 1)} {
		o := newOffice(t, usualPace)
		n := o.opens()
		if err := n.hear(t.Context()); err != nil {
			t.Fatal(err)
		}
		changes := []store.Change{put(processPrefix+"0", &processRecord{Version: recordVersion, Newest: 1}), {Key: key, Value: []byte("?")}}
		if err := o.own.Apply(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		kind(t, n.hear(t.Context()), wire.Unavailable)
	}
	o := newOffice(t, usualPace)
	n := o.opens()
	if err := o.own.Apply(t.Context(), store.Change{Key: pursePrefix + "x", Value: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	if err := n.sweepPurses(t.Context()); err == nil {
		t.Error("a damaged purse was swept")
	}
}

// TestHealthIsDeaf: while the store cannot be read, the node says that it is there, and
// answers nothing else but the page, which lies in memory.
func TestHealthIsDeaf(t *testing.T) {
	o := newOffice(t, usualPace)
	n := o.opens()
	n.news.own = scanLimited(n.own, 0)
	a := &api{node: n.Node, log: n.log}
	for _, rt := range routes() {
		r := &incoming{method: rt.method, pattern: rt.pattern, headers: [][2]string{{"Authorization", "Bearer " + wire.NewToken(random32()).Reveal()}}}
		err := a.admit(t.Context(), rt, r)
		if slices.Contains([]string{wire.PathHealth, wire.PathPage, wire.PathPageSaved, wire.PathPageFile, wire.PathPageNode}, rt.pattern) {
			kind(t, err, "")
		} else {
			kind(t, err, wire.Unavailable)
		}
	}
}

// TestMarkerOfBoth: while one process takes the last statement of a pair as delivered,
// another queues the next. What finds it after a restart is there in the end.
func TestMarkerOfBoth(t *testing.T) {
	marked := func(o *office, p pair) bool { return len(keysOf(t, o.own, deliverKey(south, p))) == 1 }
	begin := func(t *testing.T) (o *office, here, there *worker, ann, ben *testPerson, p pair) {
		o = newOffice(t, usualPace)
		here, there = o.opens(), o.opens()
		ann, ben = here.person("ann"), o.w.open(south, nil, nil).person("ben")
		return o, here, there, ann, ben, pair{ann.account, ben.account}
	}
	deletes := func(p pair) func(store.Change) bool {
		return func(c store.Change) bool { return c.Key == deliverKey(south, p) && c.Value == nil }
	}
	t.Run("the last was delivered", func(t *testing.T) {
		o, here, there, ann, ben, p := begin(t)
		here.interrupts(deletes(p), func() {
			o.w.fail(south, away)
			end := ann.endOf(ben, ann.contact(ben).Mine.Offer)
			if _, err := there.at(ann).Tell(t.Context(), end); err != nil {
				t.Error(err)
			}
		})
		offer := ann.offer(ben)
		ann.contact(ben).Mine.Offer = offer.Statement.Hash(wire.LabelOffer)
		if _, err := here.at(ann).Tell(t.Context(), offer); err != nil {
			t.Fatal(err)
		}
		if r, _, err := here.friendship(t.Context(), p); err != nil || len(r.Queue) != 1 || !marked(o, p) {
			t.Errorf("%d statements wait, marked: %v (%v)", len(r.Queue), marked(o, p), err)
		}
	})
	t.Run("there was no record", func(t *testing.T) {
		o, here, there, ann, ben, p := begin(t)
		if _, err := there.at(ann).Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
			t.Fatal(err)
		}
		o.w.fail(south, away)
		there.interrupts(func(c store.Change) bool { return c.Key == friendKey(p) }, func() {
			if err := here.unmark(t.Context(), p, south); err != nil {
				t.Error(err)
			}
		})
		if _, err := there.at(ann).Tell(t.Context(), ann.offer(ben)); err != nil {
			t.Fatal(err)
		}
		if r, _, err := here.friendship(t.Context(), p); err != nil || len(r.Queue) != 1 || !marked(o, p) {
			t.Errorf("%d statements wait, marked: %v (%v)", len(r.Queue), marked(o, p), err)
		}
	})
	writes := func(p pair) func(store.Change) bool {
		return func(c store.Change) bool { return c.Key == friendKey(p) }
	}
	for name, before := range map[string]func(pair) func(store.Change) bool{"the record": writes, "the marker": deletes} {
		t.Run("nothing waited before "+name, func(t *testing.T) {
			o, here, there, ann, ben, p := begin(t)
			if _, err := here.at(ann).Tell(t.Context(), ann.offer(ben)); err != nil {
				t.Fatal(err)
			}
			o.w.fail(south, away)
			ann.learn()
			end := ann.endOf(ben, ann.contact(ben).Mine.Offer)
			if err := here.Node.own.Apply(t.Context(), put(deliverKey(south, p), &deliverRecord{recordVersion})); err != nil {
				t.Fatal(err)
			}
			told := false
			here.interrupts(before(p), func() {
				told = true
				if _, err := there.at(ann).Tell(t.Context(), end); err != nil {
					t.Error(err)
				}
			})
			if err := here.unmark(t.Context(), p, south); err != nil {
				t.Error(err)
			}
			if r, _, err := here.friendship(t.Context(), p); err != nil || !told || len(r.Queue) != 1 || !marked(o, p) {
				t.Errorf("%d statements wait, marked: %v (%v)", len(r.Queue), marked(o, p), err)
			}
		})
	}
	t.Run("there was none", func(t *testing.T) {
		o, here, there, ann, ben, p := begin(t)
		if _, err := here.at(ann).Tell(t.Context(), ann.offer(ben)); err != nil {
			t.Fatal(err)
		}
		o.w.fail(south, away)
		ann.contact(ben)
		ann.learn()
		end := ann.endOf(ben, ann.contact(ben).Mine.Offer)
		there.interrupts(writes(p), func() {
			if err := here.unmark(t.Context(), p, south); err != nil {
				t.Error(err)
			}
		})
		if _, err := there.at(ann).Tell(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if r, _, err := here.friendship(t.Context(), p); err != nil || len(r.Queue) != 1 || !marked(o, p) {
			t.Errorf("%d statements wait, marked: %v (%v)", len(r.Queue), marked(o, p), err)
		}
	})
}
