//go:build !race

package federation

import (
	"testing"
	"time"
)

// TestAllocations holds the full check of a request to its allocations.
func TestAllocations(t *testing.T) {
	s := newServer(t, &markShelf{})
	var requests []RawRequest
	for range 21 { // one is to warm up
		requests = append(requests, write(newPen(nodeA, nodeB, testSecrets(string(nodeA)), time.Now())))
	}
	got := testing.AllocsPerRun(len(requests)-1, func() {
		if _, err := s.verify(t.Context(), requests[0]); err != nil {
			t.Fatal(err)
		}
		requests = requests[1:]
	})
	if got > 52 {
		t.Errorf("%v allocations, at most 52 were expected", got)
	}
}
