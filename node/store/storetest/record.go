package storetest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

func testGet(t *testing.T, s store.Store) {
	absent(t, s, "k")
	apply(t, s)
	apply(t, s, put("k", "one"))
	holds(t, s, "k", "one")
	apply(t, s, put("k", "two"), put("l", "three"))
	holds(t, s, "k", "two")
	holds(t, s, "l", "three")
	absent(t, s, "kk")
	apply(t, s, del("k"), del("never"))
	absent(t, s, "k")
	holds(t, s, "l", "three")
}

func testValues(t *testing.T, s store.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, value := range []string{"", "\x00", string(every), strings.Repeat("v", 100_000), ""} {
		apply(t, s, put("k", value))
		holds(t, s, "k", value)
		equal(t, scan(t, s, store.Query{}), []store.Record{get(t, s, "k")})
	}
	apply(t, s, store.Change{Key: "k", Value: nil})
	absent(t, s, "k")
}

func testBigValues(t *testing.T, s store.Store) {
	big := bytes.Repeat([]byte("big!"), store.MaxValue/4)
	apply(t, s, store.Change{Key: "a", Value: big}, put("b", "small"), store.Change{Key: "c", Value: big})
	holds(t, s, "a", string(big))
	if got := scan(t, s, store.Query{}); len(got) != 3 || !bytes.Equal(got[2].Value, big) {
		t.Errorf("scan: got %d records, want 3 with the big value last", len(got))
	}
	err := s.Apply(t.Context(), store.Change{Key: "a", Value: append(big, '!')})
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("apply with %d bytes: got %v, want %v", len(big)+1, err, store.ErrInvalid)
	}
	holds(t, s, "a", string(big))
	apply(t, s, del("a"), del("c"))
	if got := keys(scan(t, s, store.Query{})); !slices.Equal(got, []string{"b"}) {
		t.Errorf("scan after delete: got %q, want b", got)
	}
}

func testKeys(t *testing.T, s store.Store) {
	long := strings.Repeat("k", store.MaxKey)
	for _, key := range []string{"!", "~", "$where", "a.b", "..", "/", "\"", "\\", "%00", long} {
		apply(t, s, put(key, "value of "+key, store.IfAbsent()))
		holds(t, s, key, "value of "+key)
	}
	for _, key := range []string{"", " ", "a b", "\x00", "a\x7f", "\t", "ä", "a\xff", "a\n", long + "k"} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("get %q: got %v, want %v", key, err, store.ErrInvalid)
		}
		for _, c := range []store.Change{put(key, "v"), del(key), put(key, "v", store.IfAbsent())} {
			if err := s.Apply(t.Context(), c); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("apply %q: got %v, want %v", key, err, store.ErrInvalid)
			}
		}
	}
	if got := len(scan(t, s, store.Query{})); got != 10 {
		t.Errorf("got %d records, want 10", got)
	}
}

func testRevisions(t *testing.T, s store.Store) {
	seen := map[uint64]bool{}
	for range 30 {
		for _, c := range []store.Change{put("k", "same"), put("k", "same"), put("k", "other")} {
			apply(t, s, c)
			r := get(t, s, "k").Revision
			if seen[r] {
				t.Fatalf("revision %d was given out twice", r)
			}
			seen[r] = true
		}
		apply(t, s, del("k"))
		for r := range seen {
			conflict(t, s, "k", put("k", "stale", store.IfRevision(r)))
			break
		}
	}
	apply(t, s, put("k", "1"), put("other", "1"))
	before := get(t, s, "k")
	apply(t, s, put("other", "2"))
	equal(t, scan(t, s, store.Prefix("k")), []store.Record{before})
}

func testOwnership(t *testing.T, s store.Store) {
	value := []byte("mine")
	changes := []store.Change{{Key: "a", Value: value[:2]}, {Key: "b", Value: value}}
	apply(t, s, changes...)
	if string(value) != "mine" || changes[0].Key != "a" || len(changes[0].Value) != 2 {
		t.Errorf("apply modified its arguments: %q, %+v", value, changes)
	}
	copy(value, "XXXX")
	changes[1] = put("c", "?")
	holds(t, s, "a", "mi")
	holds(t, s, "b", "mine")
	absent(t, s, "c")
	r := get(t, s, "b")
	copy(r.Value, "YYYY")
	_ = append(r.Value, "YYYY"...)
	holds(t, s, "b", "mine")
	records := scan(t, s, store.Query{})
	copy(records[0].Value, "ZZ")
	_ = append(records[0].Value, "ZZ"...)
	if got := string(records[1].Value); got != "mine" {
		t.Errorf("append to one scanned value changed the next: got %q", got)
	}
	holds(t, s, "a", "mi")
	holds(t, s, "b", "mine")
}
