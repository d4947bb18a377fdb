package main

import (
	"runtime/metrics"
	"testing"
)

// TestExtra holds the sum of what is in use and of garbage to the goal, between
// the least and the most that may wait.
func TestExtra(t *testing.T) {
	for inUse, want := range map[uint64]int{
		0: mostExtra, 1 << 20: mostExtra, heapGoal / 5: mostExtra, heapGoal / 4: 300, heapGoal / 2: 100, heapGoal * 3 / 4: 33,
		heapGoal: leastExtra, 4 << 30: leastExtra,
	} {
		if got := extra(inUse); got != want {
			t.Errorf("%d bytes in use: got %d %%, want %d", inUse, got, want)
		}
	}
}

// TestMetricIsThere wants the runtime to tell what tuneMemory asks it.
func TestMetricIsThere(t *testing.T) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(live); live[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("got %v", live[0].Value.Kind())
	}
}
