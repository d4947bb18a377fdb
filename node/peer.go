package node

import (
	"context"
	"errors"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// peerStore keeps what package federation remembers of other nodes.
type peerStore struct{ s store.Store }

// Peer implements federation.PeerStore.
func (p peerStore) Peer(ctx context.Context, name wire.NodeName) (federation.PeerRecord, error) {
	var r peerRecord
	if _, err := read(ctx, p.s, "peer/"+string(name), &r); err != nil {
		return federation.PeerRecord{}, err
	}
	return federation.PeerRecord{Name: name, Root: r.Root, Document: r.Document, Fetched: time.UnixMilli(r.Fetched)}, nil
}

// SavePeer implements federation.PeerStore.
func (p peerStore) SavePeer(ctx context.Context, r federation.PeerRecord) error {
	rec := peerRecord{recordVersion, r.Root, r.Document, r.Fetched.UnixMilli()}
	return p.s.Apply(ctx, put("peer/"+string(r.Name), &rec))
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

func ignoreAbsent(err error) error {
	if errors.Is(err, wire.NotExist) {
		return nil
	}
	return err
}
