package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A node changes the key of its requests on a schedule, and when its operator
// wants it to. In the store that is
//
//  1. another seed in the record node/keys, which commits it;
//  2. a document that lists its key, and the end of the one before;
//  3. when that is over, node/keys without the old seed, and then a document
//     without the old key.
//
// Which key signs follows from the document and the clock alone
// (federation.SigningOrder), so all processes of a node agree. Whatever interrupts
// this, each step follows from what the two records say, and a key that signs was
// listed before (TestRotationIsInterrupted).
const (
	keysKey = "node/keys"
	// rotateLook is between two looks at whether something is to be done.
	rotateLook = time.Minute
	// maxRequestKeys are listed at once at most: so often a key may be changed
	// before the first of them is forgotten.
	maxRequestKeys = 8

	DefaultKeyLifetime = 30 * 24 * time.Hour
	MinKeyLifetime     = time.Hour
	MaxKeyLifetime     = 365 * 24 * time.Hour // shorter than a document lets its newest key count
)

// A ring is the request keys of the node: what its document says of them, and how
// to sign with them.
type ring struct {
	listed  []wire.NodeKey
	secrets map[wire.NodeRequestKey]wire.NodeRequestSecret
}

// seeds returns the seeds of the request keys, oldest first.
func (k *nodeKeys) seeds() []wire.Hidden[[32]byte] {
	return append([]wire.Hidden[[32]byte]{k.Request}, k.Newer...)
}

// public returns the request keys, oldest first.
func (k *nodeKeys) public() []wire.NodeRequestKey {
	var all []wire.NodeRequestKey
	for _, seed := range k.seeds() {
		all = append(all, wire.NewNodeRequestSecret(seed.Reveal()).Public())
	}
	return all
}

// secrets returns what package federation needs first of all.
func (k *nodeKeys) secrets() federation.Secrets {
	return federation.Secrets{Root: k.root(), Request: wire.NewNodeRequestSecret(k.Request.Reveal())}
}

// root returns the key that signs documents.
func (k *nodeKeys) root() wire.NodeRootSecret { return wire.NewNodeRootSecret(k.Root.Reveal()) }

// show lets a document be served, and requests be signed by what it says.
func (n *Node) show(document wire.Signed, d *wire.NodeDocument, keys *nodeKeys) {
	r := &ring{listed: d.Keys, secrets: map[wire.NodeRequestKey]wire.NodeRequestSecret{}}
	for _, seed := range keys.seeds() {
		secret := wire.NewNodeRequestSecret(seed.Reveal())
		r.secrets[secret.Public()] = secret
	}
	n.document.Store(&wire.NodeDocumentReply{Document: document, RootChanges: keys.changesTo(n.name, d.Root)})
	n.ring.Store(r)
}

// signing returns the request keys as they are to be tried now.
func (n *Node) signing() []wire.NodeRequestSecret {
	r := n.ring.Load()
	var all []wire.NodeRequestSecret
	for _, key := range federation.SigningOrder(r.listed, n.now()) {
		if secret, ok := r.secrets[key]; ok {
			all = append(all, secret)
		}
	}
	if len(all) == 0 { // the clock is far from what it was: let the peers judge
		for _, secret := range r.secrets {
			all = append(all, secret)
		}
	}
	return all
}

// A Rotation is what becomes of the request keys of a node.
type Rotation struct {
	Node  wire.NodeName
	Signs time.Time // from when on the new key signs
	Ends  time.Time // when the one before ends
}

// Rotate gives the node another request key.
func (n *Node) Rotate(ctx context.Context) (Rotation, error) { return n.rotate(ctx, nil) }

func (n *Node) rotate(ctx context.Context, after *wire.NodeRequestKey) (Rotation, error) {
	r, err := rotateKeys(ctx, n.own, n.name, after, n.now())
	if err != nil {
		return r, err
	}
	n.log.Info("the request key is changed", "signs", r.Signs.UTC(), "old_key_ends", r.Ends.UTC())
	return r, n.loadDocument(ctx)
}

// Rotate gives a node another request key: the one that serves c.Data or, if there
// is none, the one that lies there; or, of one on MongoDB, all its processes.
func Rotate(ctx context.Context, c Config) (r Rotation, err error) {
	running, err := rekey(ctx, c, controlRotate, func(own store.Store, name wire.NodeName) (err error) {
		r, err = rotateKeys(ctx, own, name, nil, time.Now())
		return err
	})
	if err != nil || running == nil {
		return r, err
	}
	return readRotation(running)
}

// rotateKeys adds a key and publishes it. If after is not nil, it does so only
// where that is the newest key: of those who notice that it is old, one is first.
func rotateKeys(ctx context.Context, own store.Store, name wire.NodeName, after *wire.NodeRequestKey, now time.Time) (r Rotation, err error) {
	if err := addSeed(ctx, own, wire.Hide(random32()), after); err != nil {
		return r, err
	}
	d, err := publishKeys(ctx, own, name, now)
	if err != nil {
		return r, err
	}
	r = Rotation{Node: name, Ends: now}
	listed := d.KeysFor(wire.KeyForRequests)
	for i, k := range listed {
		if i == len(listed)-1 {
			r.Signs = federation.Signs(k)
		} else if end := time.UnixMilli(k.NotAfter); end.After(r.Ends) {
			r.Ends = end
		}
	}
	return r, nil
}

// addSeed adds a seed to node/keys, once: the store may do the same twice.
func addSeed(ctx context.Context, own store.Store, seed wire.Hidden[[32]byte], after *wire.NodeRequestKey) error {
	for {
		keys, rev, err := storedKeys(ctx, own)
		if err != nil {
			return err
		}
		all, public := keys.seeds(), keys.public()
		added := slices.ContainsFunc(all, func(s wire.Hidden[[32]byte]) bool { return s.Reveal() == seed.Reveal() })
		if added || after != nil && public[len(public)-1] != *after {
			return nil
		}
		if len(all) >= maxRequestKeys {
			return wire.Errorf(wire.Limit, "request keys", "%d of them count at once, which are all that may; try again in five minutes", len(all))
		}
		keys.Newer = append(keys.Newer, seed)
		err = own.Apply(ctx, putIf(keysKey, keys, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// storedKeys returns the seeds of the node.
func storedKeys(ctx context.Context, own store.Store) (*nodeKeys, uint64, error) {
	var keys nodeKeys
	rev, err := read(ctx, own, keysKey, &keys)
	if errors.Is(err, wire.NotExist) {
		err = errNeverServed
	}
	return &keys, rev, err
}

// publishKeys stores a document that is made of the keys of the node, if the last
// one is not, and returns what the last one says. The keys are read after the document
// that they may replace: so no document with earlier ones follows one with later ones.
func publishKeys(ctx context.Context, own store.Store, name wire.NodeName, now time.Time) (*wire.NodeDocument, error) {
	for {
		d, rev, err := storedDocument(ctx, own, name)
		if err != nil {
			return nil, err
		}
		keys, _, err := storedKeys(ctx, own)
		if err != nil || showsKeys(d, keys) {
			return d, err
		}
		d, made, err := federation.Relist(d, keys.root(), federation.ListKeys(d.Keys, keys.public(), now), now)
		if err != nil {
			return nil, err
		}
		next := documentRecord{Version: recordVersion, Number: d.Number, Document: made}
		err = own.Apply(ctx, putIf(documentKey, &next, store.IfRevision(rev)))
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
}

// storedDocument returns the last document of the node.
func storedDocument(ctx context.Context, own store.Store, name wire.NodeName) (*wire.NodeDocument, uint64, error) {
	var last documentRecord
	rev, err := read(ctx, own, documentKey, &last)
	if errors.Is(err, wire.NotExist) || err == nil && last.Document == nil {
		return nil, 0, errNeverServed
	}
	if err != nil {
		return nil, 0, err
	}
	d, err := wire.OpenNodeDocument(last.Document, name)
	if err != nil {
		return nil, 0, fmt.Errorf("record %q: %v", documentKey, err)
	}
	return d, rev, nil
}

// errNeverServed is about a store without keys, or without a document of them.
var errNeverServed = errors.New("the node was not served yet since it was made or restored; serve it first")

// showsKeys reports whether a document is under the root of the node, and lists its
// request keys and no others.
func showsKeys(d *wire.NodeDocument, keys *nodeKeys) bool {
	return d.Root == keys.root().Public() && slices.EqualFunc(d.KeysFor(wire.KeyForRequests), keys.public(), func(k wire.NodeKey, key wire.NodeRequestKey) bool { return k.Key == key })
}

// rotateLoop does what is to be done about the request keys, until the node ends.
// Of several processes, the one that leads does.
func (n *Node) rotateLoop() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(rotateLook):
		}
		if !n.leads() {
			continue
		}
		if err := n.keepKeys(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Error("the request keys could not be looked after", "error", err)
		}
	}
}

// keepKeys changes the request key if it is time, forgets those that ended, and
// finishes what was interrupted.
func (n *Node) keepKeys(ctx context.Context) error {
	d, _, err := storedDocument(ctx, n.own, n.name)
	if err != nil {
		return err
	}
	listed := d.KeysFor(wire.KeyForRequests)
	newest := listed[len(listed)-1]
	if !n.now().Before(federation.Listed(newest).Add(lifetimeOf(newest.Key, n.keyLifetime))) {
		if _, err := n.rotate(ctx, &newest.Key); err != nil {
			return err
		}
	}
	if err := forgetSeeds(ctx, n.own, n.name, n.now()); err != nil {
		return err
	}
	if _, err := publishKeys(ctx, n.own, n.name, n.now()); err != nil {
		return err
	}
	return n.loadDocument(ctx)
}

// lifetimeOf spreads the times at which nodes change their keys: by up to a tenth,
// which follows from the key, so that a start does not draw anew.
func lifetimeOf(key wire.NodeRequestKey, lifetime time.Duration) time.Duration {
	part := float64(binary.BigEndian.Uint32(key[:4])) / (1 << 32) // 0 to 1
	return time.Duration(float64(lifetime) * (0.9 + 0.2*part))
}

// forgetSeeds removes the seeds of keys whose end is past.
func forgetSeeds(ctx context.Context, own store.Store, name wire.NodeName, now time.Time) error {
	for {
		d, _, err := storedDocument(ctx, own, name)
		if err != nil {
			return err
		}
		keys, rev, err := storedKeys(ctx, own)
		if err != nil {
			return err
		}
		all, public := keys.seeds(), keys.public()
		gone := 0
		for gone < len(all)-1 && isForgotten(d, public[gone], now) {
			gone++
		}
		if gone == 0 {
			return nil
		}
		keys.Request, keys.Newer = all[gone], all[gone+1:]
		err = own.Apply(ctx, putIf(keysKey, keys, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// isForgotten reports whether nobody takes a request key of the node any more.
func isForgotten(d *wire.NodeDocument, key wire.NodeRequestKey, now time.Time) bool {
	i := slices.IndexFunc(d.Keys, func(k wire.NodeKey) bool { return k.Key == key })
	return i >= 0 && now.After(federation.Forgotten(d.Keys[i]))
}
