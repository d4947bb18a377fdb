package bolt

import (
	"fmt"
	"testing"
)

// TestTableFilter: a table finds all that was put into it or one that it is a clone of,
// and looks for little else.
func TestTableFilter(t *testing.T) {
	const count = 30_000
	table := newTable()
	key := func(i int) []byte { return fmt.Appendf(nil, "device/account/%d", i) }
	for i := range count {
		table = table.with(pair{key: key(i)})
	}
	looks := 0
	for i := range 2 * count {
		if _, ok := table.get(key(i)); ok != (i < count) {
			t.Fatalf("key %d is there: %v", i, ok)
		}
		if i >= count && table.had.mayHave(key(i)) {
			looks++
		}
	}
	if looks > count/10 { // 3 in 100 are expected
		t.Errorf("%d of %d keys that are not there are looked for", looks, count)
	}
}
