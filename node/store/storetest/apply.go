package storetest

import (
	"errors"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

func testConditions(t *testing.T, s store.Store) {
	absentNow, none := store.IfAbsent(), store.IfRevision(0)
	conflict(t, s, "k", put("k", "1", store.IfRevision(1)))
	conflict(t, s, "k", del("k", store.IfRevision(1)))
	apply(t, s, del("k", absentNow))
	apply(t, s, put("k", "1", absentNow))
	first := store.IfRevision(get(t, s, "k").Revision)
	conflict(t, s, "k", put("k", "2", absentNow))
	conflict(t, s, "k", put("k", "2", none))
	conflict(t, s, "k", del("k", absentNow))
	conflict(t, s, "k", put("k", "2", store.IfRevision(get(t, s, "k").Revision+1)))
	holds(t, s, "k", "1")
	apply(t, s, put("k", "2", first))
	conflict(t, s, "k", put("k", "3", first))
	conflict(t, s, "k", del("k", first))
	holds(t, s, "k", "2")
	apply(t, s, put("k", "3", store.Always()), put("k", "4"))
	second := store.IfRevision(get(t, s, "k").Revision)
	apply(t, s, del("k", second))
	absent(t, s, "k")
	conflict(t, s, "k", put("k", "5", second))
	conflict(t, s, "k", del("k", second))
	apply(t, s, put("k", "6", none))
	conflict(t, s, "k", put("k", "7", second))
	holds(t, s, "k", "6")
}

// testChangesInOrder changes one key several times in one call: each
// condition is about what the changes before it left.
func testChangesInOrder(t *testing.T, s store.Store) {
	apply(t, s, put("k", "1"), put("k", "2"), put("other", "x"), put("k", "3"))
	holds(t, s, "k", "3")
	apply(t, s, del("k"), put("k", "4", store.IfAbsent()))
	holds(t, s, "k", "4")
	r := store.IfRevision(get(t, s, "k").Revision)
	apply(t, s, put("k", "5", r), del("k"), del("k"), put("k", "6", store.IfAbsent()), put("l", "1", store.IfAbsent()))
	holds(t, s, "k", "6")
	conflict(t, s, "m", put("m", "1", store.IfAbsent()), put("m", "2", store.IfAbsent()))
	r = store.IfRevision(get(t, s, "k").Revision)
	conflict(t, s, "k", put("k", "7", r), put("k", "8", r))
	conflict(t, s, "l", del("l", store.IfAbsent()), put("n", "1"))
	absent(t, s, "n")
	apply(t, s, put("x", "1"), del("x"))
	absent(t, s, "x")
}

// testConflictStops looks at what is behind a failed condition. What is
// before it may or may not be there.
func testConflictStops(t *testing.T, s store.Store) {
	apply(t, s, put("taken", "1"))
	conflict(t, s, "taken", put("before", "1"), put("taken", "2", store.IfAbsent()), put("behind", "1"), del("taken"))
	holds(t, s, "taken", "1")
	absent(t, s, "behind")
	stale := get(t, s, "taken").Revision
	apply(t, s, put("taken", "1"))
	conflict(t, s, "taken", put("before", "1"), put("taken", "2", store.IfRevision(stale)), put("behind", "1"), del("taken"))
	conflict(t, s, "taken", put("before", "1"), del("taken", store.IfRevision(stale)), put("behind", "1"), del("taken"))
	holds(t, s, "taken", "1")
	absent(t, s, "behind")
	r, err := s.Get(t.Context(), "before")
	if err == nil && string(r.Value) != "1" || err != nil && !errors.Is(err, store.ErrNotExist) {
		t.Errorf("before the conflict: got %q, %v", r.Value, err)
	}
	apply(t, s, put("before", "2"), put("behind", "2"))
}

func testInvalidChanges(t *testing.T, s store.Store) {
	err := s.Apply(t.Context(), put("good", "1"), put("bad key", "1"), put("also/good", "1"))
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v, want %v", err, store.ErrInvalid)
	}
	err = s.Apply(t.Context(), put("good", "1"), store.Change{Key: "large", Value: make([]byte, store.MaxValue+1)})
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v, want %v", err, store.ErrInvalid)
	}
	if got := keys(scan(t, s, store.Query{})); len(got) != 0 {
		t.Errorf("invalid changes left %q", got)
	}
}
