package node

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// An account that is being deleted while a cut is taken is in it with its tombstone and
// its marker, and with whatever was still there when it was read: a node that is made of
// the cut deletes the rest.

// noteLeavers notes who is being deleted when the cut is begun.
func (c *cut) noteLeavers(ctx context.Context) error {
	for rec, err := range c.own.Scan(ctx, store.Prefix(leavingPrefix)) {
		if err != nil {
			return err
		}
		if account, err := parseLeavingKey(rec.Key); err == nil {
			c.leaving[account] = true
		}
	}
	return nil
}

// takeGone takes the tombstones that came while all else was read. They stand before
// what was read of the same handles.
func (c *cut) takeGone(ctx context.Context) error {
	records := map[string][]byte{}
	for rec, err := range c.own.Scan(ctx, store.Prefix("handle/")) {
		if err != nil {
			return err
		}
		var r handleRecord
		if decodeRecord(rec, &r) != nil || len(r.Tombstone) == 0 {
			continue
		}
		if _, in := c.people[r.Account]; !in || c.gone[r.Account] && !c.leaving[r.Account] {
			continue
		}
		handle := wire.Handle(bytes.Clone([]byte(rec.Key[len("handle/"):])))
		records[handleKey(handle)] = bytes.Clone(rec.Value)
		records[leavingKey(r.Account)] = wire.EncodeCBOR(&leavingRecord{recordVersion, handle, time.Now().UnixMilli()})
	}
	c.lists = slices.Concat([]iter.Seq2[store.Record, error]{inOrder(records)}, c.lists)
	return nil
}
