package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/peerbrain/peerbrain/node/store"
)

var _ store.Snapshotter = (*Store)(nil)

// Snapshot implements store.Snapshotter with one read transaction. As long as it
// is open, no page that it can see is used again, so the file grows by what
// others write meanwhile; afterwards they use that room. The mapping has room to
// grow into (see mappingFor): to map anew would wait for the transaction, and
// all others for that. So does the file that is opened again after a failed
// commit. What is damaged ends it with a *store.DamagedError.
func (s *Store) Snapshot(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var thrown any // by the consumer: view takes what is thrown below it for damage
		hand := func(r store.Record) (more bool) {
			defer func() { thrown = recover() }()
			return yield(r, nil)
		}
		err := s.viewLong(func(v view) error { return v.snapshot(ctx, hand) })
		if thrown != nil {
			panic(thrown)
		}
		if err != nil && err != errEnough {
			yield(store.Record{}, fmt.Errorf("bolt: snapshot: %w", err))
		}
	}
}

// errEnough says that the consumer of a snapshot has broken off.
var errEnough = errors.New("enough")

// snapshot hands out all records of a transaction, until hand returns false.
func (v view) snapshot(ctx context.Context, hand func(store.Record) bool) error {
	q := &scan{Query: store.Query{Limit: maxBatch}}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var found []finding
		found, more = v.batch(q)
		for _, r := range copyOut(found) {
			if r.err != nil {
				return r.err
			}
			if !hand(r.Record) {
				return errEnough
			}
		}
	}
	return ctx.Err()
}
