package bolt

import "testing"

// TestSharedView: what all look at is the last commit, and a snapshot that is under
// way, which has a transaction of its own, does not hold the next one up.
func TestSharedView(t *testing.T) {
	s := open(t, t.TempDir())
	apply(t, s, put("first", "v"))
	moveAll(t, s)
	latest := func() {
		t.Helper()
		if tx := s.shared.tx; tx == nil || int64(tx.ID()) != s.committed.Load() {
			t.Errorf("transaction %v is shared, want that of commit %d", tx, s.committed.Load())
		}
	}
	latest()
	for _, err := range s.Snapshot(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		apply(t, s, put("second", "v"))
		moveAll(t, s)
	}
	latest()
	if r, err := s.Get(t.Context(), "second"); err != nil || string(r.Value) != "v" {
		t.Errorf("what was moved meanwhile: got %q, %v", r.Value, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.shared.tx != nil {
		t.Error("a transaction of a store that is closed is shared")
	}
}
