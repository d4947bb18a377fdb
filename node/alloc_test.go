//go:build !race

package node

import "testing"

// TestAllocations holds a feed page, all of it in memory, to allocations that
// depend on neither friends nor posts.
func TestAllocations(t *testing.T) {
	for _, friends := range []int{20, 200} {
		n := newWorld(t).open(north, nil, nil)
		streams := make([][]int64, friends)
		for i := range streams {
			streams[i] = []int64{int64(i), int64(1000 + i), int64(2000 + i)}
		}
		p, _ := n.reader(t, streams)
		got := testing.AllocsPerRun(20, func() {
			if reply, err := p.Feed(t.Context(), 50, "", ""); err != nil || len(reply.Items) != 50 {
				t.Fatal(len(reply.Items), err)
			}
		})
		if got > 40 {
			t.Errorf("%d friends: %v allocations, at most 40 were expected", friends, got)
		}
	}
}
