package federation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	documentFresh = 5 * time.Minute // used without asking again
	documentStale = time.Hour       // still believed about request keys, when asking fails

	// Between two fetches from one host: when a stranger's request is the cause, if
	// the last one failed, and when we want something of the host ourselves.
	fetchPauseServe  = time.Minute
	fetchPauseFailed = 15 * time.Second // whoever asks waits for it
	fetchPauseCall   = 5 * time.Second

	maxDocuments  = 2048 // in memory
	maxTries      = 8192 // hosts whose last fetch is remembered
	maxDomains    = 4096
	domainPins    = 100 // first contacts under one domain in domainPeriod
	domainPeriod  = 24 * time.Hour
	domainBurst   = 10     // of those that requests from strangers cause, at once
	domainRate    = 1. / 6 // and each second after that, whatever comes of them
	serveBurst    = 30     // first contacts that requests from strangers cause, at once
	serveRate     = 1      // and each second after that
	callBurst     = 100
	callRate      = 10
	quarantineLog = "a peer shows another root key than at first contact: it is in quarantine; " +
		"ask its operator, and if the key was lost there, pin the one that it shows with admin peer trust"
)

var (
	errPaused = errors.New("the document was asked for a moment ago")
	errBudget = errors.New("too many first contacts at the moment")
	errFull   = wire.Errorf(wire.Unavailable, "", "so many nodes of its domain are known here that no more are taken")
)

// A directory knows the documents of other nodes. It asks for them when they are
// used, never at the wish of a peer more than once in fetchPauseServe, and for
// nodes never met only within a budget that known ones do not share.
//
// All its state is bounded: documents, tries and domains by LRU caches, flights
// by the budget and the number of known peers.
type directory struct {
	peers PeerStore
	fetch func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error)
	now   func() time.Time
	log   *slog.Logger
	ctx   context.Context // ends fetches
	work  *sync.WaitGroup

	documents *lru[known]
	tries     *lru[try]
	domains   *lru[*contacts]
	serve     bucket
	call      bucket

	mu      sync.Mutex // of what follows, and of the order of tries and flights
	closed  bool
	flights map[wire.NodeName]*flight
}

// known is a pinned peer. While it is in quarantine, fetched is zero.
type known struct {
	doc     *wire.NodeDocument
	signed  wire.Signed
	fetched time.Time
	changes []wire.Signed // that led to its root, oldest first
}

func (k known) quarantined() bool { return k.doc != nil && k.fetched.Unix() <= 0 }

func (k known) age(now time.Time) time.Duration {
	if k.doc == nil || k.quarantined() || k.fetched.After(now) {
		return 1<<63 - 1
	}
	return now.Sub(k.fetched)
}

// try is the last fetch from a host and how it ended.
type try struct {
	at  time.Time
	err error
}

// pause is how long no other follows it, where it is usual after one that succeeded.
func (t try) pause(usual time.Duration) time.Duration {
	if t.err != nil {
		return min(usual, fetchPauseFailed)
	}
	return usual
}

// contacts are the first contacts under one domain since from. Those that requests
// from strangers cause are fewer, so that no domain uses up what there is for all.
type contacts struct {
	from  time.Time
	count int
	serve bucket
}

// A flight is a fetch under way, which all who want it wait for.
type flight struct {
	done  chan struct{}
	first bool // a first contact, for which the domain has lent a place
	doc   *wire.NodeDocument
	err   error
}

func newDirectory(ctx context.Context, work *sync.WaitGroup, peers PeerStore, fetch func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error), now func() time.Time, log *slog.Logger) *directory {
	return &directory{
		peers: peers, fetch: fetch, now: now, log: log, ctx: ctx, work: work,
		documents: newLRU[known](maxDocuments),
		tries:     newLRU[try](maxTries),
		domains:   newLRU[*contacts](maxDomains),
		serve:     bucket{rate: serveRate, burst: serveBurst},
		call:      bucket{rate: callRate, burst: callBurst},
		flights:   map[wire.NodeName]*flight{},
	}
}

// close lets no further fetch begin.
func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// forCall returns node's document for asking it something. Where node cannot be
// asked anew the last document does, however old: it only tells where to go.
func (d *directory) forCall(ctx context.Context, node wire.NodeName) (*wire.NodeDocument, error) {
	k, err := d.known(ctx, node)
	if err != nil || k.age(d.now()) < documentFresh {
		return k.doc, err
	}
	doc, err := d.refresh(ctx, node, k.doc != nil, &d.call, fetchPauseCall)
	if err != nil && k.doc != nil && !k.quarantined() && !errors.Is(err, wire.Tampered) {
		return k.doc, nil
	}
	if err != nil {
		return nil, unreachable(node, err)
	}
	return doc, nil
}

// hasKey reports, as an error, why key is not a request key of node now.
func (d *directory) hasKey(ctx context.Context, node wire.NodeName, key wire.NodeRequestKey) error {
	k, err := d.known(ctx, node)
	if err != nil {
		return err
	}
	now := d.now()
	if k.age(now) < documentFresh && k.doc.RequestKey(key, now.UnixMilli()) {
		return nil
	}
	doc, err := d.refresh(ctx, node, k.doc != nil, &d.serve, fetchPauseServe)
	if err != nil {
		if errors.Is(err, wire.Tampered) || k.age(now) >= documentStale {
			return err
		}
		doc = k.doc
	}
	if !doc.RequestKey(key, now.UnixMilli()) {
		return errors.New("not a request key of that node now")
	}
	return nil
}

// met returns the document of a node that is known, good or as new as it may be.
func (d *directory) met(ctx context.Context, node wire.NodeName, good func(*wire.NodeDocument) bool) (*wire.NodeDocument, error) {
	unknown := wire.Errorf(wire.NotExist, "node", "node %s is not known here", node)
	k, err := d.known(ctx, node)
	if err != nil {
		return nil, err
	}
	if k.doc == nil || k.quarantined() {
		return nil, unknown
	}
	now := d.now()
	if k.age(now) < documentFresh && good(k.doc) {
		return k.doc, nil
	}
	doc, err := d.refresh(ctx, node, true, &d.serve, fetchPauseServe)
	if err != nil {
		if errors.Is(err, wire.Tampered) {
			return nil, unknown
		}
		if k.age(now) >= documentStale {
			return nil, unreachable(node, err)
		}
		doc = k.doc
	}
	good(doc)
	return doc, nil
}

// known returns what is known of node without asking it: nothing before the
// first contact.
func (d *directory) known(ctx context.Context, node wire.NodeName) (known, error) {
	if k, ok := d.documents.get(node); ok {
		return k, nil
	}
	r, err := d.peers.Peer(ctx, node)
	if errors.Is(err, wire.NotExist) {
		return known{}, nil
	}
	if err != nil {
		d.log.Error("cannot read the record of a peer", "peer", node, "error", err)
		return known{}, err
	}
	doc, err := wire.OpenNodeDocument(r.Document, node)
	if err == nil && doc.Root != r.Root {
		err = errors.New("its root key is not the pinned one")
	}
	if err == nil {
		_, err = wire.OpenRootChanges(r.Changes, node, r.Root)
	}
	if err != nil {
		d.log.Error("the stored record of a peer is damaged", "peer", node, "error", err)
		return known{}, wire.Errorf(wire.Internal, "", "the record of a peer is damaged")
	}
	k := known{doc, r.Document, r.Fetched, r.Changes}
	d.documents.set(node, k)
	return k, nil
}

// refresh fetches node's document, or waits for a fetch under way, or takes what
// was fetched a moment ago, or says why it must not be fetched now.
func (d *directory) refresh(ctx context.Context, node wire.NodeName, pinned bool, budget *bucket, pause time.Duration) (*wire.NodeDocument, error) {
	f, err := d.takeOff(node, pinned, budget, pause)
	if errors.Is(err, errPaused) { // a fetch has ended well since the caller looked
		if k, err := d.known(ctx, node); err != nil || k.doc != nil && !k.quarantined() {
			return k.doc, err
		}
	}
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.doc, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *directory) takeOff(node wire.NodeName, pinned bool, budget *bucket, pause time.Duration) (*flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flights[node]; f != nil {
		return f, nil
	}
	now := d.now()
	if t, ok := d.tries.get(node); ok && now.Sub(t.at) < t.pause(pause) {
		if t.err != nil {
			return nil, t.err
		}
		return nil, errPaused
	}
	if d.closed {
		return nil, context.Canceled
	}
	if !pinned && !d.reserve(node, budget, now) {
		return nil, errBudget
	}
	d.tries.set(node, try{at: now, err: errPaused})
	f := &flight{done: make(chan struct{}), first: !pinned}
	d.flights[node] = f
	d.work.Go(func() { d.fly(node, f) })
	return f, nil
}

// fly fetches for all who wait. It depends on none of them.
func (d *directory) fly(node wire.NodeName, f *flight) {
	reply, err := d.fetch(d.ctx, node)
	if err == nil {
		f.doc, err = d.accept(d.ctx, node, reply)
	}
	f.err = err
	d.mu.Lock()
	if t, ok := d.tries.get(node); ok {
		d.tries.set(node, try{t.at, err})
	}
	if f.first && err != nil && !errors.Is(err, errFull) {
		d.giveBack(node)
	}
	delete(d.flights, node)
	d.mu.Unlock()
	close(f.done)
}

// accept judges a document that was fetched from node against what is known, and
// stores it. One fetch from a node is under way at a time, but for those of other
// processes of this node: what one of them has stored meanwhile is what is known.
func (d *directory) accept(ctx context.Context, node wire.NodeName, reply *wire.NodeDocumentReply) (*wire.NodeDocument, error) {
	doc, err := d.judge(ctx, node, reply)
	if errors.Is(err, wire.Conflict) {
		d.documents.drop(node)
		doc, err = d.judge(ctx, node, reply)
	}
	return doc, err
}

func (d *directory) judge(ctx context.Context, node wire.NodeName, reply *wire.NodeDocumentReply) (*wire.NodeDocument, error) {
	doc, err := reply.Open(node)
	if err != nil {
		return nil, err
	}
	k, err := d.known(ctx, node)
	if err != nil {
		return nil, err
	}
	if k.doc == nil {
		d.log.Info("a new peer", "peer", node, "root", wire.Nonce(doc.Root))
		return doc, d.save(ctx, node, known{doc, reply.Document, d.now(), nil}, doc.Root)
	}
	older := doc.Number < k.doc.Number || doc.Number == k.doc.Number && string(reply.Document) != string(k.signed)
	changes, err := k.leads(doc, reply.RootChanges)
	switch {
	case older && (err == nil || k.left(doc.Root)): // as a process that has not heard of a new root shows
		d.log.Warn("a peer shows an older document: the newer one is kept", "peer", node, "known", k.doc.Number, "shown", doc.Number)
		return nil, wire.Errorf(wire.Unavailable, "", "node %s shows an older document than before", node)
	case err != nil:
		return nil, d.quarantine(ctx, node, k, doc.Root, err)
	}
	if err := d.save(ctx, node, known{doc, reply.Document, d.now(), changes}, k.doc.Root); err != nil {
		return nil, err
	}
	if doc.Root != k.doc.Root {
		d.log.Warn("a peer has another root key, announced by the one that was pinned: it is pinned instead", "peer", node, "pinned", wire.Nonce(k.doc.Root), "now", wire.Nonce(doc.Root))
	}
	return doc, nil
}

// quarantine notes that node shows another root, and why that is not its own; once,
// since it is looked at again and again.
func (d *directory) quarantine(ctx context.Context, node wire.NodeName, k known, shown wire.NodeRootKey, why error) error {
	if !k.quarantined() {
		d.log.Error(quarantineLog, "peer", node, "pinned", wire.Nonce(k.doc.Root), "shown", wire.Nonce(shown), "changes", why)
		if err := d.save(ctx, node, known{k.doc, k.signed, time.Time{}, k.changes}, k.doc.Root); err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Tampered, "node", "node %s shows another root key than at first contact; it is in quarantine", node)
}

// save stores what is known of node, where that root is the one that was pinned.
func (d *directory) save(ctx context.Context, node wire.NodeName, k known, pinned wire.NodeRootKey) error {
	err := d.peers.SavePeer(ctx, PeerRecord{Name: node, Root: k.doc.Root, Document: k.signed, Fetched: k.fetched, Changes: k.changes}, pinned)
	if errors.Is(err, wire.Conflict) {
		return err
	}
	if errors.Is(err, wire.Limit) {
		return errFull
	}
	if err != nil {
		d.log.Error("cannot store the record of a peer", "peer", node, "error", err)
		return wire.Errorf(wire.Internal, "", "the record of a peer cannot be stored")
	}
	d.documents.set(node, k)
	return nil
}

// reserve takes a first contact from what there is for the domain, and then from
// what there is for all: one domain with endless names under it neither fills the
// store nor keeps others from being met. Called with d.mu held, as is giveBack.
func (d *directory) reserve(node wire.NodeName, budget *bucket, now time.Time) bool {
	domain := DomainOf(node)
	c, ok := d.domains.get(domain)
	if !ok || now.Sub(c.from) >= domainPeriod {
		c = &contacts{from: now, serve: bucket{rate: domainRate, burst: domainBurst}}
	}
	if !node.Development() && (c.count >= domainPins || budget == &d.serve && !c.serve.take(now)) {
		return false
	}
	if !budget.take(now) {
		return false
	}
	c.count++
	d.domains.set(domain, c)
	return true
}

func (d *directory) giveBack(node wire.NodeName) {
	if c, ok := d.domains.get(DomainOf(node)); ok && c.count > 0 {
		c.count--
	}
}

// sweep forgets what is of no use any more.
func (d *directory) sweep(now time.Time) {
	d.documents.sweep(func(k known) bool { return k.age(now) > documentStale })
	d.tries.sweep(func(t try) bool { return now.Sub(t.at) > fetchPauseServe })
	d.domains.sweep(func(c *contacts) bool { return now.Sub(c.from) >= domainPeriod })
}
