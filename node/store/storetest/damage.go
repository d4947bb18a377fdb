package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// Damage tests what a store says of a record that is not what was written.
// damage brings that about, below the store, for a record that is there.
func Damage(t *testing.T, s store.Store, damage func(key string)) {
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("k/%02d", i))
	}
	fill(t, s, all)
	bad := map[string]bool{"k/00": true, "k/17": true, "k/18": true, "k/39": true}
	for key := range bad {
		damage(key)
	}
	for _, key := range all {
		if !bad[key] {
			holds(t, s, key, key)
			continue
		}
		_, err := s.Get(t.Context(), key)
		damaged(t, err, key)
		for _, c := range []store.Change{put(key, "", store.IfAbsent()), put(key, "", store.IfRevision(1)), del(key, store.IfAbsent())} {
			damaged(t, s.Apply(t.Context(), c), key)
		}
	}
	for _, reverse := range []bool{false, true} {
		for _, limit := range []int{0, 1, 18, 19, 40} {
			q := store.Query{From: "k/", To: "k0", Reverse: reverse, Limit: limit}
			scanDamaged(t, s, q, selected(all, q), bad)
		}
	}
	apply(t, s, put("k/00", "well"), del("k/17"), put("k/18", "well"), put("k/39", "well", store.Always()))
	holds(t, s, "k/00", "well")
	absent(t, s, "k/17")
	if got, want := len(scan(t, s, store.Prefix("k/"))), len(all)-1; got != want {
		t.Errorf("written over: got %d records, want %d", got, want)
	}
}

func scanDamaged(t *testing.T, s store.Store, q store.Query, want []string, bad map[string]bool) {
	t.Helper()
	n := 0
	for r, err := range s.Scan(t.Context(), q) {
		switch {
		case n == len(want) || r.Key != want[n]:
			t.Fatalf("scan %+v: result %d is %q, want one of %q", q, n, r.Key, want)
		case bad[r.Key]:
			damaged(t, err, r.Key)
			if r.Value != nil || r.Revision != 0 {
				t.Errorf("scan %+v: %q came with %q, revision %d", q, r.Key, r.Value, r.Revision)
			}
		case err != nil || string(r.Value) != r.Key:
			t.Fatalf("scan %+v: %q holds %q, %v", q, r.Key, r.Value, err)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("scan %+v: got %d results, want %d", q, n, len(want))
	}
}

// damaged expects an error that names the record.
func damaged(t *testing.T, err error, key string) {
	t.Helper()
	var d *store.DamagedError
	if !errors.As(err, &d) || d.Key != key || !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("got %v, want the damage of %q", err, key)
	}
}
