//go:build !race

package seal

import "testing"

// TestAllocations holds what is done for each post and each friend to its
// allocations.
func TestAllocations(t *testing.T) {
	h, again, k := header(), header(), NewContentKey()
	body := must(SealEntry(&h, k, pattern(600)))
	content, chain := NewEpochSecret().Split()
	friend, at := NewEncryptionSecret(), wrapPlace(content)
	to := friend.Public()
	wrap := must(SealWrap(to, at, content, &chain))
	for _, test := range []struct {
		name string
		most float64
		do   func()
	}{
		{"seal a post", 26, func() { must(SealEntry(&again, k, pattern(600))) }},
		{"open a post", 25, func() { must(OpenEntry(&h, k, body)) }},
		{"wrap", 96, func() { must(SealWrap(to, at, content, &chain)) }},
		{"unwrap", 90, func() {
			if _, _, err := OpenWrap(friend, at, wrap); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if got := testing.AllocsPerRun(20, test.do); got > test.most {
			t.Errorf("%s: %v allocations, at most %v were expected", test.name, got, test.most)
		}
	}
}
