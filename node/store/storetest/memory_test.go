package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func put(key, value string, condition store.Condition) store.Change {
	return store.Change{Key: key, Value: []byte(value), If: condition}
}

// there returns "key=value" for each record.
func there(t *testing.T, s store.Store) []string {
	t.Helper()
	var found []string
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r.Key+"="+string(r.Value))
	}
	return found
}

func expect(t *testing.T, s store.Store, want ...string) {
	t.Helper()
	if got := there(t, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func apply(t *testing.T, s store.Store, want error, changes ...store.Change) {
	t.Helper()
	if err := s.Apply(t.Context(), changes...); !errors.Is(err, want) {
		t.Errorf("apply: got %v, want %v", err, want)
	}
}

func TestStopAfter(t *testing.T) {
	m := storetest.NewMemory()
	abc := []store.Change{put("a", "1", store.IfAbsent()), put("b", "1", store.IfAbsent()), put("c", "1", store.IfAbsent())}
	empty := m.Snapshot()
	for k, want := range [][]string{nil, {"a=1"}, {"a=1", "b=1"}} {
		m.Restore(empty)
		m.StopAfter(k)
		apply(t, m, storetest.ErrStopped, abc...)
		expect(t, m, want...)
		apply(t, m, storetest.ErrStopped, put("d", "1", store.IfRevision(99)))
		m.Resume()
	}
	m.Restore(empty)
	m.StopAfter(4)
	apply(t, m, nil, abc...)
	apply(t, m, storetest.ErrStopped, put("d", "1", store.Always()), put("e", "1", store.Always()))
	m.Resume()
	apply(t, m, nil, put("e", "2", store.Always()))
	expect(t, m, "a=1", "b=1", "c=1", "d=1", "e=2")
	if got, want := m.Changes(), 0+1+2+3+1+1; got != want {
		t.Errorf("got %d changes, want %d", got, want)
	}
}

func TestConflictKeepsChangesBefore(t *testing.T) {
	m := storetest.NewMemory()
	apply(t, m, store.ErrConflict, put("a", "1", store.Always()), put("b", "1", store.IfRevision(5)), put("c", "1", store.Always()))
	expect(t, m, "a=1")
}

func TestSnapshot(t *testing.T) {
	m := storetest.NewMemory()
	apply(t, m, nil, put("a", "1", store.Always()), put("b", "1", store.Always()))
	then := m.Snapshot()
	old, err := m.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		apply(t, m, nil, put("a", "2", store.IfRevision(old.Revision)), store.Change{Key: "b"}, put("c", "2", store.Always()))
		later, err := m.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, m, "a=2", "c=2")
		m.Restore(then)
		expect(t, m, "a=1", "b=1")
		apply(t, m, store.ErrConflict, put("a", "3", store.IfRevision(later.Revision)))
	}
}

// TestChaos counts what comes of many pairs of changes: all kinds of trouble
// must occur, and none that the contract rules out.
func TestChaos(t *testing.T) {
	m := storetest.NewMemory()
	m.Chaos(7)
	seen := map[string]int{}
	for i := range 400 {
		a, b := fmt.Sprintf("a/%d", i), fmt.Sprintf("b/%d", i)
		err := m.Apply(t.Context(), put(a, "", store.IfAbsent()), put(b, "", store.IfAbsent()))
		_, noA := m.Get(t.Context(), a)
		_, noB := m.Get(t.Context(), b)
		outcome := fmt.Sprintf("stopped: %t, conflict: %t, records: %t %t", errors.Is(err, storetest.ErrStopped),
			errors.Is(err, store.ErrConflict), noA == nil, noB == nil)
		seen[outcome]++
	}
	for outcome, atLeast := range map[string]int{
		"stopped: false, conflict: false, records: true true":  200,
		"stopped: false, conflict: true, records: true true":   10,
		"stopped: true, conflict: false, records: true true":   5,
		"stopped: true, conflict: false, records: true false":  5,
		"stopped: true, conflict: false, records: false false": 5,
	} {
		if seen[outcome] < atLeast {
			t.Errorf("%s: got %d, want at least %d", outcome, seen[outcome], atLeast)
		}
		delete(seen, outcome)
	}
	if len(seen) > 0 {
		t.Errorf("unexpected: %v", seen)
	}
	before := m.Changes()
	for i := range 100 {
		if err := m.Apply(t.Context(), put("always", fmt.Sprint(i), store.Always())); err != nil && !errors.Is(err, storetest.ErrStopped) {
			t.Errorf("without conditions: got %v", err)
		}
	}
	if m.Changes() < before+95 {
		t.Errorf("got %d changes of 100, want some twice", m.Changes()-before)
	}
	m.Resume()
	for range 100 {
		apply(t, m, nil, put("calm", "", store.Always()))
	}
}

// TestRetriesSurviveChaos is how to live with it: read again after each
// trouble, and no increment is lost or made twice.
func TestRetriesSurviveChaos(t *testing.T) {
	for seed := range uint64(20) {
		m := storetest.NewMemory()
		m.Chaos(seed)
		for i := range 50 {
			for tries := 0; !counted(t.Context(), m, i); tries++ {
				if tries > 100 {
					t.Fatalf("seed %d: no progress at %d", seed, i)
				}
			}
		}
		m.Resume()
		expect(t, m, "counter=50")
	}
}

// counted tries to raise the counter from i to i+1, and reports whether it is
// there.
func counted(ctx context.Context, s store.Store, i int) bool {
	r, err := s.Get(ctx, "counter")
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return false
	}
	if string(r.Value) == fmt.Sprint(i+1) {
		return true
	}
	return s.Apply(ctx, put("counter", fmt.Sprint(i+1), store.IfRevision(r.Revision))) == nil
}

func TestCount(t *testing.T) {
	c := storetest.Count(storetest.NewMemory())
	apply(t, c, nil, put("a", "1", store.Always()), put("b", "1", store.Always()))
	apply(t, c, store.ErrConflict, put("a", "1", store.IfAbsent()))
	if _, err := c.Get(t.Context(), "missing"); !errors.Is(err, store.ErrNotExist) {
		t.Error(err)
	}
	expect(t, c, "a=1", "b=1")
	got := []int{c.Gets(), c.Scans(), c.Scanned(), c.Applies(), c.Changes()}
	if want := []int{1, 1, 2, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("got counts %v, want %v", got, want)
	}
	c.Reset()
	if c.Gets()+c.Scans()+c.Scanned()+c.Applies()+c.Changes() != 0 {
		t.Error("counts after Reset")
	}
}
