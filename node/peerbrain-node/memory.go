package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a node has in use is small beside what it may take, so garbage can wait:
// collected at five times of what is in use instead of twice, posts and feed pages
// take a fifth less of CPU. The more is in use, the less waits, so that all
// together stays about heapGoal. All caches at their limits are three quarters of
// that; where that much is in use, a third of it may wait.
const (
	heapGoal   = 160 << 20 // bytes
	mostExtra  = 400       // percent
	leastExtra = 33
	tuneEvery  = time.Second
)

// extra is the percentage of what is in use that garbage may come to.
func extra(inUse uint64) int {
	return min(mostExtra, max(leastExtra, int(heapGoal*100/max(inUse, 1))-100))
}

// tuneMemory sets the pace of the garbage collector until ctx ends, unless the
// operator did with GOGC.
func tuneMemory(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(tuneEvery)
	defer ticker.Stop()
	set := 100 // as Go begins
	for {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if e := extra(live[0].Value.Uint64()); e != set {
			debug.SetGCPercent(e)
			set = e
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
