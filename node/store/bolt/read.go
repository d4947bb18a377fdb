package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/peerbrain/peerbrain/node/store"
)

// maxBatchBytes is how many bytes of records a batch of a scan has before it
// ends early.
const maxBatchBytes = 256 << 10

const revisionSize = 8

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	err := store.CheckKey(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return store.Record{}, err
	}
	r := store.Record{Key: key}
	err = s.db.View(func(tx *bbolt.Tx) error {
		stored := tx.Bucket(bucketName).Get([]byte(key))
		if stored == nil {
			return store.ErrNotExist
		}
		r.Revision = binary.BigEndian.Uint64(stored)
		r.Value = append([]byte{}, stored[revisionSize:]...)
		return nil
	})
	switch {
	case err == nil:
		return r, nil
	case err == store.ErrNotExist:
		return store.Record{}, err
	}
	return store.Record{}, fmt.Errorf("bolt: get %q: %w", key, readError(err))
}

// readError turns bbolt's word for a closed file into ours.
func readError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// Scan implements store.Store. Each batch is read in a read transaction of
// its own, a snapshot, that ends before the first record is handed out.
func (s *Store) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return store.Pages(ctx, q, func(ctx context.Context, rest store.Query) ([]store.Record, bool, error) {
		records, more, err := s.batch(ctx, rest)
		if err != nil {
			err = fmt.Errorf("bolt: scan %q to %q: %w", q.From, q.To, err)
		}
		return records, more, err
	})
}

// batch reads the first records of a query, up to its limit. More reports
// that there may be others behind them; then there is at least one record.
func (s *Store) batch(ctx context.Context, q store.Query) (records []store.Record, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		found, size := make([]pair, 0, q.Limit), 0
		c := cursor{tx.Bucket(bucketName).Cursor(), q}
		for p := c.first(); p.key != nil && !more; p = c.next() {
			found, size = append(found, p), size+len(p.stored)
			more = len(found) == q.Limit || size >= maxBatchBytes
		}
		records = copyOut(found)
		return nil
	})
	return records, more, readError(err)
}

// A pair is a record as it lies in the file: valid during the transaction.
type pair struct{ key, stored []byte }

// copyOut copies records out of the file, with three allocations for all.
func copyOut(found []pair) []store.Record {
	keySize, valueSize := 0, 0
	for _, p := range found {
		keySize += len(p.key)
		valueSize += len(p.stored) - revisionSize
	}
	keyBytes := make([]byte, 0, keySize)
	for _, p := range found {
		keyBytes = append(keyBytes, p.key...)
	}
	keys, values := string(keyBytes), make([]byte, 0, valueSize)
	records := make([]store.Record, len(found))
	for i, p := range found {
		start := len(values)
		values = append(values, p.stored[revisionSize:]...)
		records[i] = store.Record{
			Key:      keys[:len(p.key)],
			Value:    values[start:len(values):len(values)],
			Revision: binary.BigEndian.Uint64(p.stored),
		}
		keys = keys[len(p.key):]
	}
	return records
}

// A cursor walks through the pairs a query selects; the zero pair ends it.
type cursor struct {
	*bbolt.Cursor
	q store.Query
}

func (c cursor) first() pair {
	switch {
	case !c.q.Reverse:
		return c.within(c.Seek([]byte(c.q.From)))
	case c.q.To == "":
		return c.within(c.Last())
	}
	if k, _ := c.Seek([]byte(c.q.To)); k == nil {
		return c.within(c.Last())
	}
	return c.within(c.Prev())
}

func (c cursor) next() pair {
	if c.q.Reverse {
		return c.within(c.Prev())
	}
	return c.within(c.Next())
}

// within returns the pair, or the zero pair beyond the end of the query.
func (c cursor) within(key, stored []byte) pair {
	if key == nil || string(key) < c.q.From || c.q.To != "" && string(key) >= c.q.To {
		return pair{}
	}
	return pair{key, stored}
}
