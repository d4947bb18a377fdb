//go:build !race

package wire

import "testing"

// TestAllocations holds what is done for each entry and each page to its
// allocations.
func TestAllocations(t *testing.T) {
	signed := must(postEntry(EntryID(seedOf("previous")), []byte("body")).Sign(aliceKey))
	key, page := aliceKey.Public(), somePage(50, 200, "cursor", true)
	for _, test := range []struct {
		name string
		most float64
		do   func()
	}{
		{"verify an entry", 4, func() { must(OpenEntryHeader(signed, key)) }},
		{"encode a page of kept parts", 2, func() { EncodeJSON(page) }},
	} {
		if got := testing.AllocsPerRun(20, test.do); got > test.most {
			t.Errorf("%s: %v allocations, at most %v were expected", test.name, got, test.most)
		}
	}
}
