package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/peerbrain/peerbrain/node/store"
)

// A scan with a limit reads as many records at once, up to maxBatch; one
// without starts with firstBatch, because it may be broken off early, and then
// takes ever more. A batch ends early once it has maxBatchBytes.
const (
	firstBatch    = 16
	maxBatch      = 256
	maxBatchBytes = 256 << 10
)

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
	err = s.view(func(v view) error {
		found, err := v.find(nil, []byte(key))
		switch {
		case err != nil:
			return err
		case found.key == nil:
			return store.ErrNotExist
		}
		r.Revision = found.revision()
		r.Value = append([]byte{}, found.stored[headSize:]...)
		return nil
	})
	switch {
	case err == nil:
		return r, nil
	case err == store.ErrNotExist:
		return store.Record{}, err
	}
	return store.Record{}, fmt.Errorf("bolt: get %q: %w", key, err)
}

// find is find in all of the store. The cursor may be nil.
func (v view) find(c *cursor, key []byte) (pair, error) {
	p, known, err := v.look(c, key)
	if err == nil && !known {
		err = v.missing(key)
	}
	return p, err
}

// missing is the error of a record that is not there: none if it never was.
func (v view) missing(key []byte) error {
	if v.lost == "" {
		return nil
	}
	return &store.DamagedError{Key: string(key), Detail: v.lost}
}

// look is find but for what a lost part of the log may have had: known tells
// that there is such a record, or that it was deleted since.
func (v view) look(c *cursor, key []byte) (p pair, known bool, err error) {
	p, over := v.get(key)
	switch {
	case over && p.stored == nil:
		return pair{}, true, nil
	case over && !p.intact():
		return p, true, p.damaged()
	case over:
		return p, true, nil
	}
	if c == nil {
		c = v.records.cursor()
	}
	p, err = find(c, key)
	return p, p.key != nil, err
}

// Scan implements store.Store. Each batch is read in a read transaction of
// its own, a snapshot, that ends before the first record is handed out.
func (s *Store) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := q.Check(); err != nil {
			yield(store.Record{}, err)
			return
		}
		rest, left := scan{Query: q}, q.Limit
		for size := firstBatch; ; size = min(4*size, maxBatch) {
			rest.Limit = size
			if left > 0 {
				rest.Limit = min(left, maxBatch)
			}
			read, more, err := s.batch(ctx, &rest)
			if err != nil {
				yield(store.Record{}, fmt.Errorf("bolt: scan %q to %q: %w", q.From, q.To, err))
				return
			}
			for _, r := range read {
				if !yield(r.Record, r.err) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// A scan is what is left of a query.
type scan struct {
	store.Query
	begun   bool   // the end that is read next is known to be in order
	resumed string // where it went on behind a page that cannot be read
}

// behind leaves what lies behind a key.
func (q *scan) behind(key string) {
	q.begun = true
	if q.Reverse {
		q.To = key
	} else {
		q.From = store.After(key)
	}
}

// skip leaves what lies before next, the first key that can be read again, and
// tells what is lost; more is false if there is no such key.
func (q *scan) skip(next string, broken error) (lost *store.DamagedError, more bool) {
	lost = &store.DamagedError{From: q.From, To: q.To, Detail: "a page of the file: " + broken.Error()}
	if next == "" || next == q.resumed {
		return lost, false
	}
	q.begun, q.resumed = true, next
	if q.Reverse {
		lost.From, q.To = next, store.After(next)
	} else {
		lost.To, q.From = next, next
	}
	return lost, true
}

// A result is a record, or what stands in its place.
type result struct {
	store.Record
	err error
}

// batch reads the first records of a query, up to its limit, and takes them off
// the query. More reports that there may be others behind them. When a page
// cannot be read, it goes on with the first record behind that can be.
func (s *Store) batch(ctx context.Context, q *scan) (results []result, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	err = s.view(func(v view) error {
		var found []finding
		found, more = v.batch(q)
		results = copyOut(found)
		return nil
	})
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		return []result{{err: err}}, false, nil // nothing is known of what lies behind
	}
	return results, more, err
}

// batch finds the first records of a query, and takes them off it. They are valid
// during the transaction.
func (v view) batch(q *scan) (all []finding, more bool) {
	if v.lost != "" && !q.begun {
		all = append(all, finding{err: &store.DamagedError{From: q.From, To: q.To, Detail: v.lost}})
	}
	w := walk{cursor: v.records.cursor(), q: q}
	broken := w.batch()
	next := ""
	if broken != nil {
		if next = w.beyond(); next == q.resumed {
			next = "" // it leads nowhere
		}
	}
	over, part := v.over(w.reach(broken, next))
	if part { // what lies behind comes with the next batch
		last := over[len(over)-1].key
		found := merge(over, upTo(w.found, last, q.Reverse), q.Reverse)
		q.behind(string(last))
		return appendLive(all, found), true
	}
	all = appendLive(all, merge(over, w.found, q.Reverse))
	if more = w.more; w.last != nil {
		q.behind(string(w.last))
	}
	if broken != nil {
		var lost *store.DamagedError
		lost, more = q.skip(next, broken)
		all = append(all, finding{err: lost})
	}
	return all, more
}

// appendLive adds what is not deleted.
func appendLive(all, found []finding) []finding {
	if all == nil && !slices.ContainsFunc(found, finding.deleted) {
		return found
	}
	for _, f := range found {
		if !f.deleted() {
			all = append(all, f)
		}
	}
	return all
}

// copyOut copies what was found out of the file, with few allocations.
func copyOut(found []finding) []result {
	keySize, valueSize := 0, 0
	for _, f := range found {
		keySize += len(f.key)
		valueSize += len(f.stored)
	}
	keyBytes := make([]byte, 0, keySize)
	for _, f := range found {
		keyBytes = append(keyBytes, f.key...)
	}
	keys, values := string(keyBytes), make([]byte, 0, valueSize)
	results := make([]result, len(found))
	for i, f := range found {
		r := &results[i]
		r.Key, r.err = keys[:len(f.key)], f.err
		keys = keys[len(f.key):]
		if f.err != nil {
			continue
		}
		start := len(values)
		values = append(values, f.stored[headSize:]...)
		r.Value, r.Revision = values[start:len(values):len(values)], f.revision()
	}
	return results
}
