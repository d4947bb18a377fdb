package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

func testBounds(t *testing.T, s store.Store) {
	long := strings.Repeat("~", store.MaxKey)
	apply(t, s, put(long, ""), put("a", ""), put("a!", ""), put("a~", ""), put("b", ""))
	for _, c := range []struct {
		q    store.Query
		want string
	}{
		{store.Prefix(""), "a a! a~ b " + long},
		{store.Prefix("a"), "a a! a~"},
		{store.Prefix("a!"), "a!"},
		{store.Prefix(long), long},
		{store.Query{From: store.After("a")}, "a! a~ b " + long},
		{store.Query{To: store.After("a")}, "a"},
		{store.Query{From: store.After(long)}, ""},
		{store.Query{From: "a", To: store.After("a")}, "a"},
		{store.Query{From: "b", To: "a"}, ""},
		{store.Query{From: "b", To: "a", Reverse: true}, ""},
		{store.Query{From: "a", To: "a"}, ""},
		{store.Query{From: " ", To: "\x7f"}, "a a! a~ b " + long},
		{store.Query{From: "\x00", To: "a\x00"}, "a"},
	} {
		if got := strings.Join(keys(scan(t, s, c.q)), " "); got != c.want {
			t.Errorf("scan %+v: got %.60q, want %.60q", c.q, got, c.want)
		}
	}
	for _, q := range []store.Query{{From: "ä"}, {To: "\xff"}, {Limit: -1}, {From: long + "!!"}} {
		n := 0
		for r, err := range s.Scan(t.Context(), q) {
			if n++; !errors.Is(err, store.ErrInvalid) {
				t.Errorf("scan %+v: got %+v, %v, want %v", q, r, err, store.ErrInvalid)
			}
		}
		if n != 1 {
			t.Errorf("scan %+v: yielded %d times, want 1", q, n)
		}
	}
}

// testOrder writes all pairs of printable bytes, shuffled: every backend
// must sort them as bytes, and not, say, by the rules of a language.
func testOrder(t *testing.T, s store.Store) {
	var want []string
	for a := byte(0x21); a <= 0x7e; a += 3 {
		want = append(want, string(a))
		for b := byte(0x21); b <= 0x7e; b += 2 {
			want = append(want, string([]byte{a, b}))
		}
	}
	fill(t, s, want)
	slices.Sort(want)
	if got := keys(scan(t, s, store.Query{})); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	slices.Reverse(want)
	if got := keys(scan(t, s, store.Query{Reverse: true})); !slices.Equal(got, want) {
		t.Errorf("reverse: got %q, want %q", got, want)
	}
}

// fill writes records with these keys, and the keys as values, in any order.
func fill(t *testing.T, s store.Store, keys []string) {
	t.Helper()
	var changes []store.Change
	for _, i := range rand.Perm(len(keys)) {
		changes = append(changes, put(keys[i], keys[i]))
	}
	for chunk := range slices.Chunk(changes, 500) {
		apply(t, s, chunk...)
	}
}

func testRanges(t *testing.T, s store.Store) {
	all := []string{"a", "b/1", "b/2", "b/3", "c", "c/1", "d"}
	fill(t, s, all)
	bounds := append([]string{"", "!", "b", "b/", "b/25", "b0", "c!", "e", "~"}, all...)
	for _, from := range bounds {
		for _, to := range bounds {
			for limit := range 5 {
				for _, reverse := range []bool{false, true} {
					q := store.Query{From: from, To: to, Limit: limit, Reverse: reverse}
					if got, want := keys(scan(t, s, q)), selected(all, q); !slices.Equal(got, want) {
						t.Fatalf("scan %+v: got %q, want %q", q, got, want)
					}
				}
			}
		}
	}
}

// selected returns those of the sorted keys that a query selects.
func selected(sorted []string, q store.Query) []string {
	keys := []string{}
	for _, k := range sorted {
		if k >= q.From && (q.To == "" || k < q.To) {
			keys = append(keys, k)
		}
	}
	if q.Reverse {
		slices.Reverse(keys)
	}
	if q.Limit > 0 && len(keys) > q.Limit {
		keys = keys[:q.Limit]
	}
	return keys
}

// testPaging reads more records than fit into any reasonable batch, and then
// more bytes.
func testPaging(t *testing.T, s store.Store) {
	var all []string
	for i := range 2500 {
		all = append(all, fmt.Sprintf("p/%05d", i))
	}
	fill(t, s, all)
	for _, limit := range []int{0, 1, 15, 16, 17, 80, 100, 101, 256, 336, 337, 1000, 1001, 2499, 2500, 2501} {
		for _, reverse := range []bool{false, true} {
			q := store.Query{From: "p/", To: "p0", Limit: limit, Reverse: reverse}
			if got, want := keys(scan(t, s, q)), selected(all, q); !slices.Equal(got, want) {
				t.Fatalf("scan %+v: got %d keys, want %d, or in another order", q, len(got), len(want))
			}
		}
	}
	for i := range 12 {
		apply(t, s, put(fmt.Sprintf("q/%02d", i), strings.Repeat("q", 200<<10)))
	}
	if got := len(scan(t, s, store.Prefix("q/"))); got != 12 {
		t.Errorf("scan of large values: got %d records, want 12", got)
	}
	if got := len(scan(t, s, store.Query{From: "q/", Reverse: true})); got != 12 {
		t.Errorf("reverse scan of large values: got %d records, want 12", got)
	}
}

func testScanIsLazy(t *testing.T, s store.Store) {
	seq := s.Scan(t.Context(), store.Query{})
	apply(t, s, put("a", ""), put("b", ""), put("c", ""))
	for range 2 {
		n := 0
		for _, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("got %d records, want 2", n)
		}
	}
}

// testScanCallsStore writes and reads from within the loop over a scan, which
// would block for ever if the scan held something.
func testScanCallsStore(t *testing.T, s store.Store) {
	var all []string
	for i := range 600 {
		all = append(all, fmt.Sprintf("k/%03d", i))
	}
	fill(t, s, all)
	n := 0
	for r, err := range s.Scan(t.Context(), store.Prefix("k/")) {
		if err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 {
			holds(t, s, r.Key, r.Key)
			apply(t, s, del(r.Key), put("l/"+r.Key, strings.Repeat("large", 10_000)))
			if got := len(scan(t, s, store.Query{From: r.Key, Limit: 3})); got != 3 {
				t.Fatalf("scan within a scan: got %d, want 3", got)
			}
		}
		n++
	}
	if n != len(all) {
		t.Errorf("got %d records, want %d", n, len(all))
	}
}
