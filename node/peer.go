package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// peerStore keeps what package federation remembers of other nodes.
type peerStore struct {
	s        store.Store
	now      func() time.Time
	entering sync.Mutex // held to store a node for the first time
}

// Peer implements federation.PeerStore.
func (p *peerStore) Peer(ctx context.Context, name wire.NodeName) (federation.PeerRecord, error) {
	var r peerRecord
	if _, err := read(ctx, p.s, peerPrefix+string(name), &r); err != nil {
		return federation.PeerRecord{}, err
	}
	return federation.PeerRecord{Name: name, Root: r.Root, Document: r.Document, Fetched: time.UnixMilli(r.Fetched), Changes: r.Changes}, nil
}

// SavePeer implements federation.PeerStore.
func (p *peerStore) SavePeer(ctx context.Context, r federation.PeerRecord, pinned wire.NodeRootKey) error {
	key, rec := peerPrefix+string(r.Name), peerRecord{recordVersion, r.Root, r.Document, r.Fetched.UnixMilli(), r.Changes}
	for entered := false; ; {
		var before peerRecord
		rev, err := read(ctx, p.s, key, &before)
		if ignoreAbsent(err) != nil {
			return err
		}
		if rev != 0 && (before.Root != pinned || documentNumber(before.Document, r.Name) > documentNumber(r.Document, r.Name)) {
			return wire.Errorf(wire.Conflict, "", "something else of %q was stored before", r.Name)
		}
		if rev == 0 && !entered {
			entered = true
			p.entering.Lock()
			defer p.entering.Unlock()
			if err := p.enter(ctx, r.Name); err != nil {
				return err
			}
		}
		err = p.s.Apply(ctx, putIf(key, &rec, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// documentNumber is that of a stored document, 0 if it cannot be read.
func documentNumber(s wire.Signed, name wire.NodeName) uint64 {
	d, err := wire.OpenNodeDocument(s, name)
	if err != nil {
		return 0
	}
	return d.Number
}

const highWaterKey = "replay/highwater"

// replayStore keeps federation's one number.
type replayStore struct{ s store.Store }

// HighWater implements federation.ReplayStore.
func (r replayStore) HighWater(ctx context.Context) (int64, error) {
	var rec highWaterRecord
	_, err := read(ctx, r.s, highWaterKey, &rec)
	if errors.Is(err, wire.NotExist) {
		return 0, nil
	}
	return rec.Created, err
}

// SetHighWater implements federation.ReplayStore.
func (r replayStore) SetHighWater(ctx context.Context, ms int64) error {
	for {
		var rec highWaterRecord
		rev, err := read(ctx, r.s, highWaterKey, &rec)
		if err != nil && !errors.Is(err, wire.NotExist) || rec.Created >= ms {
			return ignoreAbsent(err)
		}
		err = r.s.Apply(ctx, putIf(highWaterKey, &highWaterRecord{recordVersion, ms}, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// nonceStore keeps the nonces as well, for a node of several processes.
type nonceStore struct{ replayStore }

var _ federation.NonceStore = nonceStore{}

const noncePrefix = "nonce/"

// SpendNonce implements federation.NonceStore. The record exists once, whoever
// writes it; what is in it tells whose it is, should the store make the change twice.
func (s nonceStore) SpendNonce(ctx context.Context, node wire.NodeName, nonce wire.Nonce, expires time.Time) (bool, error) {
	key := noncePrefix + hex16(uint64(expires.UnixMilli())) + "/" + string(node) + "/" + nonce.String()
	mine := random32()
	err := s.s.Apply(ctx, store.Change{Key: key, Value: mine[:], If: store.IfAbsent()})
	if !errors.Is(err, store.ErrConflict) {
		return err == nil, err
	}
	rec, err := s.s.Get(ctx, key)
	if err != nil {
		return false, err
	}
	return string(rec.Value) == string(mine[:]), nil
}

// sweepNonces deletes the nonces of requests that have expired by the clock of every
// process.
func (n *Node) sweepNonces(ctx context.Context) error {
	before := n.now().Add(-wire.MaxSkew).UnixMilli()
	return n.deleteAll(ctx, store.Query{From: noncePrefix, To: noncePrefix + hex16(uint64(before))})
}

func ignoreAbsent(err error) error {
	if errors.Is(err, wire.NotExist) {
		return nil
	}
	return err
}
