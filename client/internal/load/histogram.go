package load

import (
	"math"
	"math/bits"
	"time"
)

// A Histogram counts latencies from 1 us to 100 s so that each is known to 3
// digits (the layout of HdrHistogram): up to 2,047 us one counter for each
// microsecond, from there on 1,024 counters for each doubling. The zero value is
// empty. It is not safe for several goroutines.
type Histogram struct {
	counts [buckets]uint32
	n      uint64
	most   uint64 // us
}

const (
	subBits = 10 // 2^10 counters for each doubling
	maxMs   = 100_000
	buckets = 17<<subBits + 1<<subBits
)

// Add counts a latency; what is outside of the range counts as its end.
func (h *Histogram) Add(d time.Duration) {
	us := uint64(min(max(d.Microseconds(), 1), maxMs*1000))
	h.counts[bucketOf(us)]++
	h.n++
	h.most = max(h.most, us)
}

func bucketOf(us uint64) int {
	shift := max(0, bits.Len64(us)-subBits-1)
	return shift<<subBits + int(us>>shift)
}

// highest is the largest value of a bucket, in us.
func highest(bucket int) uint64 {
	shift := max(0, bucket>>subBits-1)
	return uint64(bucket-shift<<subBits+1)<<shift - 1
}

// Count is how many were added.
func (h *Histogram) Count() uint64 { return h.n }

// Max is the longest latency.
func (h *Histogram) Max() time.Duration { return time.Duration(h.most) * time.Microsecond }

// Percentile is the shortest latency that p percent do not exceed, 0 if there is
// none.
func (h *Histogram) Percentile(p float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank, seen := uint64(max(1, math.Ceil(p/100*float64(h.n)))), uint64(0)
	for i, c := range h.counts {
		if seen += uint64(c); seen >= rank {
			return time.Duration(min(highest(i), h.most)) * time.Microsecond
		}
	}
	return h.Max()
}
