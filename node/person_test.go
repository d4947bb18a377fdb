package node

import (
	"bytes"
	"context"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

const (
	north wire.NodeName = "north.example"
	south wire.NodeName = "south.example"
)

// worldClock is the clock of all nodes of a test. It moves when it is told to;
// a live one goes on by itself as well.
type worldClock struct {
	ms   atomic.Int64 // since 1970; of a live one, since now
	live bool
}

func newWorldClock() *worldClock {
	c := new(worldClock)
	c.ms.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *worldClock) now() time.Time {
	if c.live {
		return time.Now().Add(time.Duration(c.ms.Load()) * time.Millisecond)
	}
	return time.UnixMilli(c.ms.Load())
}

func (c *worldClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// world is some nodes that call each other without a network in between, what
// travels as JSON as it would there.
type world struct {
	t     testing.TB
	clock *worldClock
	mu    sync.Mutex
	nodes map[wire.NodeName]*testNode
	down  map[wire.NodeName]error         // how calls to it fail
	held  map[wire.NodeName]chan struct{} // calls to it wait for that
	calls map[string]int                  // by path, all nodes together
	live  bool                            // there is a network in between (newLiveWorld)
	room  int64                           // MaxCopies
	told  atomic.Bool                     // notices arrive
	twins bool                            // each node is two processes, and each request goes to one of them at random
	lies  map[wire.NodeName]Peers         // what a node meets instead of the others

	random func() [32]byte // for keys and audiences
}

func newWorld(t testing.TB) *world {
	return &world{
		twins: strings.HasPrefix(t.Name(), "TestTwoProcesses/"),
		t:     t, clock: newWorldClock(), nodes: map[wire.NodeName]*testNode{},
		random: random32,
		down:   map[wire.NodeName]error{}, held: map[wire.NodeName]chan struct{}{}, calls: map[string]int{},
	}
}

// testNode is a node of a world, and its stores.
type testNode struct {
	*Node
	twin        *Node // another process, or nil
	world       *world
	own, copies store.Store
}

// any returns a process of the node, which has heard what the other did.
func (n *testNode) any() *Node {
	one := n.Node
	if n.twin != nil && mathrand.N(2) == 1 {
		one = n.twin
	}
	if err := one.hear(context.Background()); err != nil && one.ctx.Err() == nil {
		n.world.t.Error(err)
	}
	return one
}

// open opens a node on stores, which may be nil for new ones.
func (w *world) open(name wire.NodeName, own, copies store.Store) *testNode {
	w.t.Helper()
	n, err := w.tryOpen(name, own, copies)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) tryOpen(name wire.NodeName, own, copies store.Store) (*testNode, error) {
	if own == nil {
		own = storetest.NewMemory()
	}
	if copies == nil {
		copies = storetest.NewMemory()
	}
	o := Options{
		Name: name, Own: own, Copies: copies, MaxCopies: w.room, Now: w.clock.now, SyncInterval: time.Hour,
		Log: slog.New(slog.NewTextHandler(testLog{w.t}, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Peers: func(o federation.ClientOptions) (Peers, error) {
			if lies := w.lies[o.Self]; lies != nil {
				return lies, nil
			}
			return worldPeers{w, o.Self}, nil
		},
	}
	if w.live {
		o.Development, o.Peers = true, nil
	}
	o.Shared = w.twins
	n, err := Open(context.Background(), o)
	if err != nil {
		return nil, err
	}
	one := &testNode{Node: n, world: w, own: own, copies: copies}
	w.t.Cleanup(one.close)
	if w.twins {
		if one.twin, err = Open(context.Background(), o); err != nil {
			return nil, err
		}
	}
	<-n.warmed
	w.mu.Lock()
	w.nodes[name] = one
	w.mu.Unlock()
	return one, nil
}

// testLog keeps what a node logs for those who run the tests with -v.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	if testing.Verbose() && l.t.Context().Err() == nil {
		l.t.Logf("%s", b)
	}
	return len(b), nil
}

func (n *testNode) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, one := range []*Node{n.Node, n.twin} {
		if one == nil {
			continue
		}
		if err := one.Close(ctx); err != nil {
			n.world.t.Error(err)
		}
	}
}

// fail lets calls to a node fail until err is nil.
func (w *world) fail(name wire.NodeName, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[name] = err
}

// hold lets calls to a node wait until release, or until the test ends.
func (w *world) hold(name wire.NodeName) (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan struct{})
	w.held[name] = held
	release = sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.held, name)
		close(held)
	})
	w.t.Cleanup(release)
	return release
}

func (w *world) called(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[path]
}

var away = wire.Errorf(wire.Unavailable, "", "the node is away")

// worldPeers is what one node reaches the others with.
type worldPeers struct {
	w    *world
	self wire.NodeName
}

func (p worldPeers) To(name wire.NodeName) federation.API { return worldPeer{p.w, p.self, name} }

type worldPeer struct {
	w        *world
	from, to wire.NodeName
}

// reach returns the API of the other node, or why it cannot be reached.
func (p worldPeer) reach(path string) (federation.API, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.calls[path]++
	if held := p.w.held[p.to]; held != nil {
		p.w.mu.Unlock()
		<-held
		p.w.mu.Lock()
	}
	if err := p.w.down[p.to]; err != nil {
		return nil, err
	}
	n := p.w.nodes[p.to]
	if n == nil {
		return nil, away
	}
	return heldPeer{n.any().peer(p.from), p.w.t}, nil
}

// carry sends a question and its answer through JSON.
func carry[Q, A any](p worldPeer, path string, q Q, ask func(federation.API, Q) (A, error)) (a A, err error) {
	api, err := p.reach(path)
	if err != nil {
		return a, err
	}
	var received Q
	if err := wire.DecodeJSON(wire.EncodeJSON(q), &received); err != nil {
		p.w.t.Errorf("request to %s: %v", path, err)
		return a, err
	}
	answer, err := ask(api, received)
	if err != nil {
		return a, wire.ProblemOf(err).Err()
	}
	if err := wire.DecodeJSON(wire.EncodeJSON(answer), &a); err != nil {
		p.w.t.Errorf("answer of %s: %v", path, err)
	}
	return a, err
}

func (p worldPeer) Keys(ctx context.Context, q wire.KeysRequest) (wire.KeysReply, error) {
	return carry(p, wire.PathPeerKeys, q, func(a federation.API, q wire.KeysRequest) (wire.KeysReply, error) { return a.Keys(ctx, q) })
}

func (p worldPeer) Deliver(ctx context.Context, q wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
	return carry(p, wire.PathPeerFriends, q, func(a federation.API, q wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
		return a.Deliver(ctx, q)
	})
}

func (p worldPeer) Sync(ctx context.Context, q wire.SyncRequest) (wire.SyncReply, error) {
	return carry(p, wire.PathPeerSync, q, func(a federation.API, q wire.SyncRequest) (wire.SyncReply, error) { return a.Sync(ctx, q) })
}

const lostNotices = "lost notices"

// Notice is lost, unless the test wants notices to arrive: most are about what is
// pulled, and when.
func (p worldPeer) Notice(ctx context.Context, q wire.NoticeRequest) (wire.NoticeReply, error) {
	if !p.w.told.Load() {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.w.calls[lostNotices]++
		return wire.NoticeReply{}, nil
	}
	return carry(p, wire.PathPeerNotices, q, func(a federation.API, q wire.NoticeRequest) (wire.NoticeReply, error) { return a.Notice(ctx, q) })
}

// testPerson is somebody with real keys, who makes statements as a client does;
// package client cannot be used here. What is sealed is random bytes: a node
// cannot tell.
type testPerson struct {
	t        testing.TB
	home     *testNode
	address  wire.Address
	account  wire.AccountID
	identity wire.IdentitySecret
	recovery wire.RecoverySecret
	login    wire.LoginSecret
	keys     []wire.Signed     // key statements
	first    *keyservice.Chain // of the first of them, if it was needed often
	newest   *wire.KeyStatement
	slots    []byte
	register wire.RegisterRequest
	heads    []wire.Signed // of the vault
	audience wire.AudienceID
	stream   wire.StreamHead
	content  wire.Commitment             // of the newest epoch
	knows    map[wire.AccountID]*contact // what is in the vault
}

// contact is somebody as a client keeps them.
type contact struct {
	*testPerson
	wire.Friendship
}

// pulls copies what is new at another node.
func (n *testNode) pulls(from *testNode) {
	n.world.t.Helper()
	if err := n.hear(context.Background()); err != nil {
		n.world.t.Fatal(err)
	}
	n.follows.renew(from.name)
	for n.follows.stale(from.name, time.Hour) { // what is under way already does not count
		if err := n.pull(context.Background(), from.name); err != nil {
			n.world.t.Fatal(err)
		}
		if len(n.follows.at()) == 0 {
			return
		}
	}
}

// newPerson makes somebody who is not registered yet.
func (n *testNode) newPerson(handle wire.Handle) *testPerson {
	t := n.world.t
	t.Helper()
	random := n.world.random
	p := &testPerson{
		t: t, home: n, address: wire.Address{Handle: handle, Node: n.name}, knows: map[wire.AccountID]*contact{},
		identity: wire.NewIdentitySecret(random()), recovery: wire.NewRecoverySecret(random()),
		login: wire.NewLoginSecret(random()), audience: random(),
	}
	p.newest = &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: handle, Node: n.name,
		Identity: p.identity.Public(), Encryption: someKeys(t)[0], Recovery: p.recovery.Public(),
		RecoveryBox: someKeys(t)[1], SealedSelfKey: sealedLike(wire.SelfKeySize),
		Signer: wire.ByIdentity, Created: n.world.clock.now().UnixMilli(),
	}
	first := must(p.newest.Sign(p.identity))
	p.keys = []wire.Signed{first}
	p.account = wire.AccountID(first.Hash(wire.LabelKeyStatement))
	slots := wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: random32(), Argon2: wire.DefaultArgon2,
		Login: p.login.Public(), PasswordSlot: sealedLike(sealedKeySize),
		RecoveryLogin: wire.NewRecoveryLoginSecret(random32()).Public(), RecoverySlot: sealedLike(wire.SelfKeySize),
	}
	p.slots = must(slots.Encode())
	vault := p.nextVault()
	p.heads = []wire.Signed{vault.Head}
	p.register = wire.RegisterRequest{KeyStatement: first, Vault: vault}
	return p
}

var (
	someKeysOnce sync.Once
	someKeysMade [2][1216]byte
)

// someKeys returns two keys that all share, since they are slow to make: what is
// sealed to them is never opened.
func someKeys(t testing.TB) [2][1216]byte {
	someKeysOnce.Do(func() {
		for i := range someKeysMade { // always the same, as are then the ids of people who are
			k := must(wire.KEM().DeriveKeyPair(bytes.Repeat([]byte{byte(i + 1)}, 32)))
			someKeysMade[i] = [1216]byte(k.PublicKey().Bytes())
		}
	})
	return someKeysMade
}

// person registers somebody, with an audience that has its first epoch.
func (n *testNode) person(handle wire.Handle) *testPerson {
	t := n.world.t
	t.Helper()
	p := n.newPerson(handle)
	if _, err := n.Register(context.Background(), p.register); err != nil {
		t.Fatal(err)
	}
	p.publish(p.epoch())
	return p
}

// as is what the person may do at home.
func (p *testPerson) as() held { return held{p.home.any().As(p.account, p.address.Handle), p.t} }

func (p *testPerson) chain() *keyservice.Chain {
	if len(p.keys) == 1 && p.first != nil {
		return p.first
	}
	return must(keyservice.ParseChain(p.keys))
}

// nextVault makes the vault that follows the last in p.heads.
func (p *testPerson) nextVault() wire.VaultRecord {
	sealed := sealedAnew(testVault)
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: p.account, Counter: uint64(len(p.heads)) + 1, KeySeq: p.newest.Seq,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(p.slots), Created: p.home.world.clock.now().UnixMilli(),
	}
	if len(p.heads) > 0 {
		head.Prev = headHash(p.heads[len(p.heads)-1])
	}
	return wire.VaultRecord{Head: must(head.Sign(p.identity)), Slots: p.slots, Vault: sealed}
}

// What sealing makes of the smallest vault and the shortest post.
const (
	testVault = 4<<10 + 72
	testPost  = 256 + 72
)

// sealedLike returns bytes that look sealed. They are always the same.
func sealedLike(size int) []byte {
	b := make([]byte, size)
	mathrand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// sealedAnew returns others each time.
func sealedAnew(size int) []byte {
	b, anew := sealedLike(size), random32()
	copy(b, anew[:])
	return b
}

// putVault stores the next vault.
func (p *testPerson) putVault() {
	p.t.Helper()
	v := p.nextVault()
	if err := p.as().PutVault(context.Background(), v); err != nil {
		p.t.Fatal(err)
	}
	p.heads = append(p.heads, v.Head)
}

// header is the header of the next entry, without what is said of the body.
func (p *testPerson) header(kind wire.EntryKind) *wire.EntryHeader {
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: p.account, KeySeq: p.newest.Seq, Audience: p.audience,
		Seq: p.stream.Seq + 1, Prev: p.stream.ID, Created: max(p.home.world.clock.now().UnixMilli(), p.stream.Created),
		Kind: kind, Epoch: p.stream.Epoch,
	}
	if kind == wire.KindEpoch {
		h.Epoch = h.Seq
	}
	return h
}

// seal signs a header for a body.
func (p *testPerson) seal(h *wire.EntryHeader, body []byte) wire.Entry {
	p.t.Helper()
	h.BodyHash, h.BodySize = wire.BodyHash(body), uint64(len(body))
	s, err := h.Sign(p.identity)
	if err != nil {
		p.t.Fatal(err)
	}
	return wire.Entry{Header: s, Body: body}
}

// post makes the next entry a post.
func (p *testPerson) post() wire.Entry {
	p.t.Helper()
	return p.seal(p.header(wire.KindPost), sealedAnew(testPost))
}

func (p *testPerson) epochBody() *wire.EpochBody {
	b := &wire.EpochBody{
		Version: wire.Version, Suite: wire.Suite, Content: random32(), Chain: random32(),
		VaultHead: p.heads[len(p.heads)-1], SealedSecret: sealedLike(sealedKeySize),
	}
	if p.stream.Epoch > 0 {
		b.Links = []wire.Link{{Epoch: p.stream.Epoch, Sealed: sealedLike(sealedKeySize)}}
	}
	return b
}

// epoch makes the next entry an epoch.
func (p *testPerson) epoch() wire.Entry {
	p.t.Helper()
	return p.seal(p.header(wire.KindEpoch), must(p.epochBody().Encode()))
}

// advance is told of an entry that was published.
func (p *testPerson) advance(e wire.Entry) {
	p.t.Helper()
	h := must(wire.OpenEntry(e, p.identity.Public()))
	p.stream = must(p.stream.Next(h, e.ID()))
	if h.Kind == wire.KindEpoch {
		var b wire.EpochBody
		if err := wire.DecodeCBOR("epoch", e.Body, &b); err != nil {
			p.t.Fatal(err)
		}
		p.content = b.Content
	}
}

// publish publishes an entry.
func (p *testPerson) publish(e wire.Entry, ends ...wire.FriendRequest) wire.EntryID {
	p.t.Helper()
	reply, err := p.as().Publish(context.Background(), wire.PublishRequest{Entry: e, Ends: ends})
	if err != nil {
		p.t.Fatal(err)
	}
	p.advance(e)
	return reply.ID
}

// posts publishes so many posts.
func (p *testPerson) posts(count int) (ids []wire.EntryID) {
	p.t.Helper()
	for range count {
		ids = append(ids, p.publish(p.post()))
	}
	return ids
}

// wrapFor makes a wrap for a reader.
func (p *testPerson) wrapFor(o *testPerson) wire.Wrap {
	return wire.Wrap{Reader: o.account, Key: o.keys[len(o.keys)-1].Hash(wire.LabelKeyStatement), Sealed: sealedAnew(wire.WrapSize)}
}

// wraps hands in wraps under a commitment.
func (p *testPerson) wraps(c wire.Commitment, readers ...*testPerson) {
	p.t.Helper()
	r := wire.WrapsRequest{Audience: p.audience, Commitment: c}
	for _, o := range readers {
		r.Wraps = append(r.Wraps, p.wrapFor(o))
	}
	if err := p.as().PutWraps(context.Background(), r); err != nil {
		p.t.Fatal(err)
	}
}

// rotate publishes the next epoch, with wraps for readers.
func (p *testPerson) rotate(readers ...*testPerson) {
	p.t.Helper()
	b := p.epochBody()
	if len(readers) > 0 {
		p.wraps(b.Content, readers...)
	}
	p.publish(p.seal(p.header(wire.KindEpoch), must(b.Encode())))
}

// contact returns what p knows of o.
func (p *testPerson) contact(o *testPerson) *contact {
	c := p.knows[o.account]
	if c == nil {
		c = &contact{o, wire.Friendship{Me: p.account, Other: o.account}}
		p.knows[o.account] = c
	}
	return c
}

// learn brings the vault up to what the node has.
func (p *testPerson) learn() {
	p.t.Helper()
	reply, err := p.as().Friends(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range reply.Friends {
		for _, c := range p.knows {
			if c.account == f.Account {
				c.take(p, f)
			}
		}
	}
}

// take adds all statements of a record.
func (c *contact) take(p *testPerson, f wire.FriendRecord) {
	p.t.Helper()
	add := func(by *testPerson, s wire.Signed, kind wire.FriendKind) {
		if len(s) == 0 {
			return
		}
		chain := by.chain()
		var err error
		switch kind {
		case wire.FriendOffer:
			err = c.AddOffer(must(chain.OpenOffer(s)), s.Hash(wire.LabelOffer))
		case wire.FriendAccept:
			err = c.AddAccept(must(chain.OpenAccept(s)))
		case wire.FriendEnd:
			err = c.AddEnd(must(chain.OpenEnd(s)))
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	add(p, f.OfferMade, wire.FriendOffer)
	add(c.testPerson, f.OfferGot, wire.FriendOffer)
	add(p, f.AcceptMade, wire.FriendAccept)
	add(c.testPerson, f.AcceptGot, wire.FriendAccept)
	for _, s := range f.EndsMade {
		add(p, s, wire.FriendEnd)
	}
	for _, s := range f.EndsGot {
		add(c.testPerson, s, wire.FriendEnd)
	}
}

// time is when the next statement between p and o is made.
func (p *testPerson) time(o *testPerson) int64 {
	return p.contact(o).NextCreated(p.home.world.clock.now().UnixMilli())
}

func (p *testPerson) offer(o *testPerson) wire.FriendRequest {
	s := &wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: p.account, FromHandle: p.address.Handle, FromNode: p.address.Node,
		KeySeq: p.newest.Seq, To: o.account, ToHandle: o.address.Handle, ToNode: o.address.Node,
		Audience: p.audience, Created: p.time(o),
	}
	return about(o, wire.FriendOffer, must(s.Sign(p.identity)))
}

func about(to *testPerson, kind wire.FriendKind, s wire.Signed) wire.FriendRequest {
	return wire.FriendRequest{Address: to.address, FriendStatement: wire.FriendStatement{Kind: kind, Statement: s}}
}

// acceptOf accepts an offer by its hash.
func (p *testPerson) acceptOf(o *testPerson, offer wire.Hash) wire.FriendRequest {
	s := &wire.Accept{
		Version: wire.Version, Suite: wire.Suite, From: p.account, KeySeq: p.newest.Seq, To: o.account,
		Offer: offer, Audience: p.audience, Created: p.time(o),
	}
	return about(o, wire.FriendAccept, must(s.Sign(p.identity)))
}

// accept accepts the offer that the node has.
func (p *testPerson) accept(o *testPerson) wire.FriendRequest {
	p.contact(o)
	p.learn()
	return p.acceptOf(o, p.contact(o).Yours.Offer)
}

// endOf ends offers.
func (p *testPerson) endOf(o *testPerson, offers ...wire.Hash) wire.FriendRequest {
	slices.SortFunc(offers, func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
	s := &wire.End{
		Version: wire.Version, Suite: wire.Suite, From: p.account, KeySeq: p.newest.Seq, To: o.account,
		Offers: offers, Created: p.time(o),
	}
	return about(o, wire.FriendEnd, must(s.Sign(p.identity)))
}

// end ends all that is open by what the node has.
func (p *testPerson) end(o *testPerson) wire.FriendRequest {
	p.contact(o)
	p.learn()
	return p.endOf(o, p.contact(o).LiveOffers()...)
}

// tell hands a statement in.
func (p *testPerson) tell(r wire.FriendRequest) wire.FriendRecord {
	p.t.Helper()
	reply, err := p.as().Tell(context.Background(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply.Friend
}

// befriend makes friends of p and o, each with a wrap for the other.
func (p *testPerson) befriend(o *testPerson) {
	p.t.Helper()
	p.wraps(p.content, o)
	p.tell(p.offer(o))
	o.wraps(o.content, p)
	o.tell(o.accept(p))
}

// state is what the node of p says of o.
func (p *testPerson) state(o *testPerson) wire.FriendState {
	p.t.Helper()
	r, _, err := p.home.friendship(context.Background(), pair{p.account, o.account})
	if err != nil {
		p.t.Fatal(err)
	}
	return r.Friendship.State()
}

// wants checks what both nodes say.
func (p *testPerson) wants(o *testPerson, mine, theirs wire.FriendState) {
	p.t.Helper()
	if got := [2]wire.FriendState{p.state(o), o.state(p)}; got != [2]wire.FriendState{mine, theirs} {
		p.t.Fatalf("%s and %s: got %q, want %q", p.address, o.address, got, [2]wire.FriendState{mine, theirs})
	}
}

// reads returns the seqs that p reads of o's stream.
func (p *testPerson) reads(o *testPerson) []uint64 {
	p.t.Helper()
	reply, err := p.as().Stream(context.Background(), o.account, o.audience, 0, 0, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	seqs := []uint64{}
	for _, e := range reply.Entries {
		seqs = append(seqs, must(o.chain().OpenEntry(e)).Seq)
	}
	return seqs
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kind fails the test unless err is of a kind, or nil for "".
func kind(t testing.TB, err error, want wire.Kind) {
	t.Helper()
	if err == nil && want == "" {
		return
	}
	if err == nil || want == "" || wire.KindOf(err) != want {
		t.Fatalf("got error %v, want kind %q", err, want)
	}
}

// eventually waits for something that happens in the background.
func eventually(t testing.TB, what string, true func() bool) {
	t.Helper()
	for range 2000 {
		if true() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: did not happen", what)
}
