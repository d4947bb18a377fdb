// Package storetest says in tests what package store says in words.
//
// Run is the suite that every backend passes, Reopen another for those that
// keep records beyond the process:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return ... })
//	}
//
// The suite is strict about what the contract promises and silent about what it
// leaves open. For tests of code above a store there is Memory, which makes use
// of all that is left open, and Count, which counts operations.
//
// It measures nothing and injects no faults below a backend: what is written
// when the power fails is tested in the backends' own packages.
package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// The cases of Run. Each gets an empty store of its own.
var cases = []struct {
	name string
	run  func(*testing.T, store.Store)
}{
	{"get", testGet},
	{"values", testValues},
	{"big values", testBigValues},
	{"keys", testKeys},
	{"bounds", testBounds},
	{"order", testOrder},
	{"ranges", testRanges},
	{"paging", testPaging},
	{"scan is lazy", testScanIsLazy},
	{"scan calls the store", testScanCallsStore},
	{"conditions", testConditions},
	{"changes in order", testChangesInOrder},
	{"conflict stops", testConflictStops},
	{"invalid changes", testInvalidChanges},
	{"revisions", testRevisions},
	{"ownership", testOwnership},
	{"one creates", testOneCreates},
	{"one swaps", testOneSwaps},
	{"one deletes", testOneDeletes},
	{"counters", testCounters},
	{"order is seen", testOrderIsSeen},
	{"scans and writes", testScansAndWrites},
	{"cancel", testCancel},
	{"cancel under load", testCancelUnderLoad},
	{"close", testClose},
	{"close waits", testCloseWaits},
	{"model", testModel},
}

// Run tests a backend. Open returns a new, empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, s)
		})
	}
}

// Reopen tests that a backend keeps what it acknowledged. Open opens the
// store in dir, which is empty at first.
func Reopen(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, put("gone", "1"), put("stays", "1"), put("empty", ""), put("changes", "1"))
	gone := get(t, s, "gone").Revision
	apply(t, s, del("gone"), put("changes", "2"))
	for i := range 300 {
		apply(t, s, put(fmt.Sprintf("many/%03d", i), strings.Repeat("x", i)))
	}
	before := scan(t, s, store.Query{})
	for round := range 3 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		s = open(t, dir)
		equal(t, scan(t, s, store.Query{}), before)
		key := fmt.Sprintf("~round/%d", round)
		apply(t, s, put(key, "new", store.IfAbsent()))
		before = append(before, get(t, s, key))
	}
	r := get(t, s, "stays")
	apply(t, s, put("stays", "2", store.IfRevision(r.Revision)))
	conflict(t, s, "stays", put("stays", "3", store.IfRevision(r.Revision)))
	apply(t, s, put("gone", "again", store.IfAbsent()))
	if again := get(t, s, "gone").Revision; again == gone {
		t.Errorf("deleted before, created after opening again: got the same revision %d", gone)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// put returns a change that writes, under at most one condition.
func put(key, value string, conditions ...store.Condition) store.Change {
	c := store.Change{Key: key, Value: []byte(value)}
	for _, c.If = range conditions {
	}
	return c
}

// del returns a change that deletes, under at most one condition.
func del(key string, conditions ...store.Condition) store.Change {
	c := store.Change{Key: key}
	for _, c.If = range conditions {
	}
	return c
}

func apply(t *testing.T, s store.Store, changes ...store.Change) {
	t.Helper()
	if err := s.Apply(t.Context(), changes...); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// conflict expects that the condition on key does not hold.
func conflict(t *testing.T, s store.Store, key string, changes ...store.Change) {
	t.Helper()
	err := s.Apply(t.Context(), changes...)
	var c *store.ConflictError
	if !errors.As(err, &c) || c.Key != key || !errors.Is(err, store.ErrConflict) {
		t.Fatalf("apply: got %v, want a conflict on %q", err, key)
	}
}

func get(t *testing.T, s store.Store, key string) store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if r.Key != key || r.Value == nil || r.Revision == 0 || r.Revision >= 1<<63 {
		t.Fatalf("get %q: got key %q, value nil: %t, revision %d", key, r.Key, r.Value == nil, r.Revision)
	}
	return r
}

func absent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotExist) {
		t.Fatalf("get %q: got %+v, %v, want %v", key, r, err, store.ErrNotExist)
	}
}

func holds(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	if r := get(t, s, key); string(r.Value) != value {
		t.Fatalf("get %q: got %.60q, want %.60q", key, r.Value, value)
	}
}

func scan(t *testing.T, s store.Store, q store.Query) []store.Record {
	t.Helper()
	var records []store.Record
	for r, err := range s.Scan(t.Context(), q) {
		if err != nil {
			t.Fatalf("scan %+v: %v", q, err)
		}
		records = append(records, r)
	}
	return records
}

func keys(records []store.Record) []string {
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = r.Key
	}
	return keys
}

// equal expects the same records, and shows the first difference.
func equal(t *testing.T, got, want []store.Record) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("got %d records, want %d", len(got), len(want))
		}
		if g, w := got[i], want[i]; g.Key != w.Key || g.Revision != w.Revision || string(g.Value) != string(w.Value) {
			t.Fatalf("record %d: got %q, revision %d, %.60q, want %q, revision %d, %.60q", i,
				g.Key, g.Revision, g.Value, w.Key, w.Revision, w.Value)
		}
	}
}
