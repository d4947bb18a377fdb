package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/node/store"
)

// dropBatch is how many entries of a stream go with one Apply.
const dropBatch = 100

// dropStream deletes a copy of a stream, the newest entry first: what is left
// after an interruption is a stream that ends earlier, and can be continued.
func dropStream(ctx context.Context, s store.Store, name streamName) error {
	for _, prefix := range []string{streamKey(name), "wrap/" + name.String() + "/"} {
		for {
			q := store.Prefix(prefix)
			q.Reverse, q.Limit = true, dropBatch
			changes, err := deletions(ctx, s, q)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				break
			}
			if err := s.Apply(ctx, changes...); err != nil {
				return err
			}
		}
	}
	return s.Apply(ctx, store.Change{Key: syncKey(name)}, store.Change{Key: gapKey(name)}, store.Change{Key: readKey(name)})
}

// deletions returns the changes that delete what a query selects. The id of an
// entry goes before it: what is missing of the newest is made again.
func deletions(ctx context.Context, s store.Store, q store.Query) ([]store.Change, error) {
	var changes []store.Change
	for rec, err := range s.Scan(ctx, q) {
		var damaged *store.DamagedError
		if errors.As(err, &damaged) && damaged.Key != "" {
			rec, err = store.Record{Key: damaged.Key}, nil
		}
		if err != nil {
			return nil, err
		}
		var r entryRecord
		if rec.Key[0] == 'e' && rec.Value != nil && decodeRecord(rec, &r) == nil {
			changes = append(changes, store.Change{Key: idKey(r.entry().ID())})
		}
		changes = append(changes, store.Change{Key: rec.Key})
	}
	return changes, nil
}
