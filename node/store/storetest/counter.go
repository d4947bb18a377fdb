package storetest

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/peerbrain/peerbrain/node/store"
)

// A Counter is a store that counts what it is asked for, so that a test can
// say what an operation may cost. Count makes one.
type Counter struct {
	store                                  store.Store
	gets, scans, applies, changes, scanned atomic.Int64
}

var _ store.Store = (*Counter)(nil)

// Count returns s with counters in front of it. Closing it closes s.
func Count(s store.Store) *Counter { return &Counter{store: s} }

// Gets returns the number of calls of Get.
func (c *Counter) Gets() int { return int(c.gets.Load()) }

// Scans returns how often a scan was ranged over.
func (c *Counter) Scans() int { return int(c.scans.Load()) }

// Scanned returns the number of records that scans handed out.
func (c *Counter) Scanned() int { return int(c.scanned.Load()) }

// Applies returns the number of calls of Apply.
func (c *Counter) Applies() int { return int(c.applies.Load()) }

// Changes returns the number of changes in calls of Apply, made or not.
func (c *Counter) Changes() int { return int(c.changes.Load()) }

// Reset sets all counts to zero.
func (c *Counter) Reset() {
	for _, n := range []*atomic.Int64{&c.gets, &c.scans, &c.scanned, &c.applies, &c.changes} {
		n.Store(0)
	}
}

// Get implements store.Store.
func (c *Counter) Get(ctx context.Context, key string) (store.Record, error) {
	c.gets.Add(1)
	return c.store.Get(ctx, key)
}

// Scan implements store.Store.
func (c *Counter) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		c.scans.Add(1)
		for r, err := range c.store.Scan(ctx, q) {
			if err == nil {
				c.scanned.Add(1)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Apply implements store.Store.
func (c *Counter) Apply(ctx context.Context, changes ...store.Change) error {
	c.applies.Add(1)
	c.changes.Add(int64(len(changes)))
	return c.store.Apply(ctx, changes...)
}

// Close implements store.Store.
func (c *Counter) Close() error { return c.store.Close() }
