package node

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// Options are what a Node is made of. Name, Own and Copies are required.
type Options struct {
	Name        wire.NodeName // as it stands in addresses
	Host        wire.NodeName // where the API is served; Name if empty
	Development bool          // allows loopback names and peers, retries and pulls faster
	// Own keeps what belongs to the people of this node. Copies keeps what comes
	// from other nodes: it may be emptied while the node is closed. Both are
	// closed by the caller, after the Node.
	Own, Copies store.Store
	// Shared says that other processes of this node may be at the same stores at
	// the same time, all of them with Shared set.
	Shared       bool
	Log          *slog.Logger     // discarded if nil
	Now          func() time.Time // time.Now if nil
	SyncInterval time.Duration    // between pulls from one node; 10 s if 0, 2 s in development
	Software     string           // for the node's document, such as peerbrain/0.1.0
	Contact      string           // how to reach the operator
	// MaxCopies is how many bytes what comes from other nodes may take;
	// DefaultMaxCopies if 0.
	MaxCopies int64
	// PeersFile is the path of a file of rules about other nodes, or empty.
	PeersFile string
	// SessionLifetime is DefaultSessionLifetime if 0.
	SessionLifetime time.Duration
	// KeyLifetime is how long the node signs requests with one key; at most
	// MaxKeyLifetime, DefaultKeyLifetime if 0.
	KeyLifetime time.Duration
	// WitnessedLogs are keys of logs that the node cosigns when they ask, beside those
	// of nodes that it knows.
	WitnessedLogs []note.Verifier
	// NamedWitnesses are asked to cosign the log of this node, beside nodes of friends.
	NamedWitnesses []NamedWitness
	// Peers makes what the node reaches other nodes with; federation.NewClient if
	// nil. Nobody is asked to cosign if these are no Witnesses.
	Peers func(federation.ClientOptions) (Peers, error)

	pace pace // usualPace if zero
	// What simulations have instead of a network and of chance; see
	// federation.ClientOptions, and jitter.
	transport http.RoundTripper
	jitter    jitter
}

// Peers reaches other nodes.
type Peers interface {
	To(wire.NodeName) federation.API
}

// A Node serves the people of one node. Its methods may be called by many
// goroutines at once. Open is the only way in.
type Node struct {
	name   wire.NodeName
	host   wire.NodeName // where the API is served
	own    store.Store
	copies store.Store
	now    func() time.Time
	log    *slog.Logger
	dev    bool
	every  time.Duration // SyncInterval
	jitter jitter

	keyLifetime time.Duration

	keyLog *keyservice.Log // of the key statements of people here
	logID  wire.NodeLog

	cosigner witnessIdentity // as which this node is a witness
	watched  []note.Verifier // of other logs than those of nodes
	cosigned cosigned        // what witnesses say of the log of this node
	named    []NamedWitness

	door      *door
	secret    wire.Hidden[[32]byte] // for tags that only this node makes and checks
	macs      sync.Pool             // of *macState
	nobody    []byte                // encoded, the slots of decoys
	document  atomic.Pointer[wire.NodeDocumentReply]
	ring      atomic.Pointer[ring]
	client    *federation.Client
	server    *federation.Server
	peers     Peers
	witnesses Witnesses // nil if there is no network
	known     *peerStore

	ownKeys  *keyservice.Service // of people registered here, and of those about to
	copyKeys *keyservice.Service // of everybody else
	people   *lru.Cache[wire.AccountID, wire.Handle]
	wraps    recall[keyservice.WrapName, wire.Hash] // sealedHash of those that are there
	lookups  flights[wire.Address, *knownChain]
	pulls    flights[wire.NodeName, struct{}]
	refills  flights[streamName, struct{}]

	changes changes
	live    live
	states  cipher.Block // seals numbers of changes, until the process ends
	streams streams
	timely  timely
	items   *weighed[itemName, *item]
	room    room
	circles circles
	follows follows
	queue   deliveries
	notices notices
	leaving leaving
	warmed  chan struct{} // closed when warm has ended
	news    *news         // nil unless the stores are shared

	refilling chan struct{}          // a place for each gap that is being closed
	regaining atomic.Pointer[regain] // nil unless a restore is to be made up for

	rules      rules
	sweptPeers string // where the next sweep of peers begins; sweepPeers's alone

	reminded *lru.Cache[pair, time.Time] // remind
	shortage shortage

	pairs      locks[pair] // held to change a friendRecord
	delivering locks[pair] // held to deliver what is queued in one

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	spawning sync.RWMutex   // held to add to work from outside of it
	work     sync.WaitGroup // all goroutines of the node
}

// Open makes a Node of what lies in the stores. It finishes what an earlier
// process left unfinished, and then delivers and pulls in the background until
// Close.
func Open(ctx context.Context, o Options) (*Node, error) {
	if o.Own == nil || o.Copies == nil {
		return nil, errors.New("node: open: both stores are required")
	}
	if _, err := wire.ParseNodeName(string(o.Name)); err != nil {
		return nil, fmt.Errorf("node: open: %w", err)
	}
	if o.Name.Development() && !o.Development {
		return nil, fmt.Errorf("node: open: %q is a name for development only", o.Name)
	}
	n := newNode(o)
	if err := n.start(ctx, o); err != nil {
		n.stop()
		n.end()
		return nil, fmt.Errorf("node: open: %w", err)
	}
	if n.news != nil {
		n.work.Go(n.listenLoop)
	}
	n.work.Go(n.warm)
	n.work.Go(n.deliverLoop)
	n.work.Go(n.noticeLoop)
	n.work.Go(n.liveLoop)
	n.work.Go(n.syncLoop)
	n.work.Go(n.roomLoop)
	n.work.Go(n.regainLoop)
	n.work.Go(n.rotateLoop)
	if n.witnesses != nil {
		n.work.Go(n.cosignLoop)
	}
	n.work.Go(n.leaveLoop)
	return n, nil
}

func newNode(o Options) *Node {
	n := &Node{name: o.Name, host: cmp.Or(o.Host, o.Name), own: o.Own, copies: o.Copies, now: o.Now, log: o.Log, dev: o.Development, every: o.SyncInterval, jitter: o.jitter, watched: o.WitnessedLogs, named: o.NamedWitnesses}
	if n.now == nil {
		n.now = time.Now
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.keyLifetime = o.KeyLifetime; n.keyLifetime == 0 {
		n.keyLifetime = DefaultKeyLifetime
	}
	if n.jitter == nil {
		n.jitter = byChance
	}
	if n.every == 0 {
		n.every = 10 * time.Second
		if n.dev {
			n.every = 2 * time.Second
		}
	}
	purses := newMemoryPurses()
	if o.Shared {
		n.share(o.pace)
		purses = storedPurses{n.own, n.purseKey}
	}
	n.door = newDoor(newThrottle(n.now, n.dev, purses), o.SessionLifetime)
	n.ownKeys = keyservice.New(ownLedger{ledger{n.own}})
	n.copyKeys = keyservice.New(ledger{n.copies})
	n.wraps.init(1 << 14)
	n.people = newCache[wire.AccountID, wire.Handle](1 << 14)
	n.states = newStates()
	n.reminded = newCache[pair, time.Time](1 << 12)
	n.streams.init()
	n.items = newWeighed[itemName, *item](itemsSize)
	n.room.init(o.MaxCopies)
	n.refilling = make(chan struct{}, refillsAtOnce)
	n.circles.init(&n.changes)
	n.follows.init()
	n.queue.init(n.jitter)
	n.notices.init()
	n.leaving.init(n.jitter)
	n.live.init()
	n.changes.live = &n.live
	n.warmed = make(chan struct{})
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n
}

// start reads the stores.
func (n *Node) start(ctx context.Context, o Options) error {
	if err := n.openSchema(ctx); err != nil {
		return err
	}
	if n.news != nil { // before anything is read that is remembered, so that all that changes later is heard
		if err := n.join(ctx); err != nil {
			return err
		}
	}
	if err := n.openRules(ctx, o.PeersFile); err != nil {
		return err
	}
	keys, err := n.openKeys(ctx)
	if err != nil {
		return err
	}
	if err := n.openLog(ctx); err != nil {
		return err
	}
	if err := n.openWitness(ctx); err != nil {
		return err
	}
	if err := n.openDocument(ctx, o); err != nil {
		return err
	}
	if err := n.openPeers(o, keys.secrets()); err != nil {
		return err
	}
	if err := n.openRegain(ctx); err != nil {
		return err
	}
	if n.news != nil {
		return nil // whoever leads does
	}
	return n.loadQueue(ctx)
}

func (n *Node) openPeers(o Options, secrets federation.Secrets) error {
	n.known = &peerStore{s: n.own, now: n.now}
	options := federation.ClientOptions{
		Self: n.name, Secrets: secrets, Keys: n.signing, Development: n.dev, Peers: n.known, Blocked: n.blocks, Now: n.now, Log: n.log,
		Transport: o.transport,
	}
	var err error
	if n.client, err = federation.NewClient(options); err != nil {
		return err
	}
	n.peers, n.witnesses = n.client, n.client
	if o.Peers != nil {
		if n.peers, err = o.Peers(options); err != nil {
			return err
		}
		n.witnesses, _ = n.peers.(Witnesses)
	}
	var replay federation.ReplayStore = replayStore{n.own}
	if o.Shared {
		replay = nonceStore{replayStore{n.own}}
	}
	n.server, err = federation.NewServer(federation.ServerOptions{
		Self: n.name, Host: o.Host, Client: n.client, Replay: replay, Now: n.now, Log: n.log,
		For: func(v federation.VerifiedRequest) federation.API { return n.peer(v.Node()) },
	})
	return err
}

// Close ends the background work and waits for it, or for ctx. Calls that are
// under way end with their own contexts. The stores stay open.
func (n *Node) Close(ctx context.Context) error {
	n.spawning.Lock()
	n.stop()
	n.spawning.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.end()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node: close: %w", ctx.Err())
	}
}

// end waits for what is under way, and says goodbye to the other processes.
func (n *Node) end() {
	n.work.Wait()
	if n.client != nil {
		n.client.Close()
	}
	if n.news == nil {
		return
	}
	if err := n.news.end(); err != nil {
		n.log.Warn("the other processes of this node were not told that this one ended", "error", err)
	}
}

// share lets all changes of the stores be announced.
func (n *Node) share(p pace) {
	n.news = newNews(n.own, p)
	n.news.forget = n.forget
	n.own, n.copies = &toldStore{n.own, n.news, false}, &toldStore{n.copies, n.news, true}
	go n.news.run() // until end
}

// Document returns the node's signed document.
func (n *Node) Document() wire.Signed { return n.document.Load().Document }

// federationServer answers the requests of other nodes.
func (n *Node) federationServer() *federation.Server { return n.server }

// openKeys reads the secrets of the node, or makes them once.
func (n *Node) openKeys(ctx context.Context) (*nodeKeys, error) {
	var made nodeKeys
	made.Version = recordVersion
	for _, seed := range []*wire.Hidden[[32]byte]{&made.Root, &made.Request, &made.Secret} {
		var b [32]byte
		rand.Read(b[:])
		*seed = wire.Hide(b)
	}
	err := n.own.Apply(ctx, store.Change{Key: keysKey, Value: wire.EncodeCBOR(&made), If: store.IfAbsent()})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	var keys nodeKeys
	if _, err := read(ctx, n.own, keysKey, &keys); err != nil {
		return nil, err
	}
	n.secret = keys.Secret
	n.nobody = n.makeNobody()
	return &keys, nil
}

// A Person is one of the node's people, and does all they may do. It is made by
// whoever has found out who is asking.
type Person struct {
	node    *Node
	account wire.AccountID
	handle  wire.Handle
	session *session   // nil unless Authenticate made the Person
	shown   *shownCode // of a second factor; nil if none came with the request
	clear   bool       // the second factor was asked for, and is no longer in the way
}

// As binds who asks. The account is registered here under handle.
func (n *Node) As(account wire.AccountID, handle wire.Handle) *Person {
	return &Person{node: n, account: account, handle: handle}
}

// newCache makes a cache of a constant size.
func newCache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic("node: " + err.Error())
	}
	return c
}
