package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/peerbrain/peerbrain/node/store"
)

// ErrStopped is the error of an Apply that a Memory stopped on purpose. It is
// none of package store's kinds, like trouble with a disk or a network.
var ErrStopped = errors.New("storetest: stopped on purpose")

// A Memory is a store.Store in memory, for tests. It does what package store
// promises and as little more as can be: others read and write between two
// changes of an Apply, the changes before a failed condition stay, and on demand
// it stops between two changes, or makes them twice.
//
// Stopping is what a node sees whose process or database dies in the middle.
// To try every such moment, run an operation once and look at how many Changes
// it took; then, from the same Snapshot, run it for each k up to that with
// StopAfter(k), call Resume, and see whether the node repairs itself.
type Memory struct {
	mu       sync.Mutex
	records  map[string]stored
	keys     []string // sorted
	revision uint64   // the last one given out
	changes  int
	budget   int // changes left before stopping; negative: no limit
	chaos    *rand.Rand
	closed   bool
	applying sync.WaitGroup
}

// A stored value is never modified: records and snapshots share it.
type stored struct {
	value    []byte
	revision uint64
	damaged  bool
}

var _ store.Store = (*Memory)(nil)

// NewMemory returns an empty store that behaves.
func NewMemory() *Memory {
	return &Memory{records: map[string]stored{}, budget: -1}
}

// StopAfter lets the following calls of Apply make n more changes together.
// The change after that is not made, and it and every later one fails with
// ErrStopped, whatever its condition, until Resume. An Apply whose last
// change is the n-th succeeds. Get and Scan go on.
func (m *Memory) StopAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.budget = n
}

// Chaos makes one Apply in four misbehave, chosen by the seed. Half of these
// stop with ErrStopped after some of their changes: none, a part, or all, in
// which case only the acknowledgement is lost. The other half is made and then,
// as when an acknowledgement is lost on the way and the driver tries again,
// made once more as a whole, and what the caller gets is the answer to the
// second attempt: success if all conditions still hold, as they do without
// conditions, else a conflict of the call with itself, since IfAbsent now
// finds the record and IfRevision finds it changed. The second attempt follows
// at once, nobody else comes between.
func (m *Memory) Chaos(seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chaos = rand.New(rand.NewPCG(seed, 0))
}

// Resume ends the effect of StopAfter and of Chaos.
func (m *Memory) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.budget, m.chaos = -1, nil
}

// Damage makes a record that is there one that cannot be read, until it is written.
func (m *Memory) Damage(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.records[key]
	s.damaged = true
	m.records[key] = s
}

// Changes returns how many changes were made since NewMemory, those made
// twice counted twice.
func (m *Memory) Changes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

// A Snapshot is what a Memory held at some moment.
type Snapshot struct {
	records map[string]stored
	keys    []string
}

// Snapshot returns what the store holds now. It may be restored many times.
func (m *Memory) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Snapshot{maps.Clone(m.records), slices.Clone(m.keys)}
}

// Restore makes the store hold what it held then, revisions included. What is
// written later gets revisions never used before, not even after the
// snapshot. Faults and the count of Changes stay as they are.
func (m *Memory) Restore(s Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.keys = maps.Clone(s.records), slices.Clone(s.keys)
}

// Close implements store.Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.applying.Wait()
	return nil
}

// Get implements store.Store.
func (m *Memory) Get(ctx context.Context, key string) (store.Record, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return store.Record{}, fmt.Errorf("memory: get %q: %w", key, err)
	}
	if _, ok := m.records[key]; !ok {
		return store.Record{}, store.ErrNotExist
	}
	return m.record(key)
}

func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

func (m *Memory) record(key string) (store.Record, error) {
	s := m.records[key]
	if s.damaged {
		return store.Record{Key: key}, &store.DamagedError{Key: key, Detail: "on purpose"}
	}
	return store.Record{Key: key, Value: append([]byte{}, s.value...), Revision: s.revision}, nil
}

// memoryBatch is small, so that scans are interrupted often.
const memoryBatch = 7

// Scan implements store.Store.
func (m *Memory) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := q.Check(); err != nil {
			yield(store.Record{}, err)
			return
		}
		rest, left := q, q.Limit
		for {
			results, err := m.batch(ctx, rest)
			if err != nil {
				yield(store.Record{}, fmt.Errorf("memory: scan %q to %q: %w", q.From, q.To, err))
				return
			}
			if len(results) == 0 {
				return
			}
			for _, r := range results {
				if !yield(r.Record, r.err) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			last := results[len(results)-1].Key
			if q.Reverse {
				rest.To = last
			} else {
				rest.From = store.After(last)
			}
		}
	}
}

// A result is a record, or a damaged one's key and error.
type result struct {
	store.Record
	err error
}

// batch returns the first few records of a query, none at its end.
func (m *Memory) batch(ctx context.Context, q store.Query) ([]result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	from, _ := slices.BinarySearch(m.keys, q.From)
	to := len(m.keys)
	if q.To != "" {
		to, _ = slices.BinarySearch(m.keys, q.To)
	}
	results := make([]result, min(max(to-from, 0), memoryBatch))
	for n := range results {
		at := from + n
		if q.Reverse {
			at = to - 1 - n
		}
		results[n].Record, results[n].err = m.record(m.keys[at])
	}
	return results, nil
}

// Apply implements store.Store.
func (m *Memory) Apply(ctx context.Context, changes ...store.Change) error {
	for _, c := range changes {
		if err := c.Check(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return fmt.Errorf("memory: apply: %w", err)
	}
	m.applying.Add(1)
	defer m.applying.Done()
	if m.chaos == nil {
		return m.apply(changes, m.pause)
	}
	switch m.chaos.IntN(8) {
	case 0:
		if err := m.apply(changes[:m.chaos.IntN(len(changes)+1)], m.pause); err != nil {
			return err
		}
		return ErrStopped
	case 1:
		if err := m.apply(changes, func() {}); err != nil {
			return err
		}
		return m.apply(changes, func() {})
	}
	return m.apply(changes, m.pause)
}

// pause lets others have the store between two changes.
func (m *Memory) pause() {
	m.mu.Unlock()
	runtime.Gosched()
	m.mu.Lock()
}

func (m *Memory) apply(changes []store.Change, between func()) error {
	for i, c := range changes {
		if i > 0 {
			between()
		}
		if m.budget == 0 {
			return ErrStopped
		}
		if _, err := m.record(c.Key); err != nil && c.If != store.Always() {
			return fmt.Errorf("memory: apply: %w", err)
		}
		if !c.If.Holds(m.records[c.Key].revision) {
			return &store.ConflictError{Key: c.Key}
		}
		m.put(c)
		m.changes++
		if m.budget > 0 {
			m.budget--
		}
	}
	return nil
}

func (m *Memory) put(c store.Change) {
	at, present := slices.BinarySearch(m.keys, c.Key)
	if c.Value == nil {
		if present {
			m.keys = slices.Delete(m.keys, at, at+1)
			delete(m.records, c.Key)
		}
		return
	}
	if !present {
		m.keys = slices.Insert(m.keys, at, c.Key)
	}
	m.revision++
	m.records[c.Key] = stored{value: slices.Clone(c.Value), revision: m.revision}
}
