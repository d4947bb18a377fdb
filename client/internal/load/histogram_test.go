package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogram compares percentiles with those of the sorted list: they are the
// same to 3 digits, from 1 us to 100 s.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 10, 1000, 20_000} {
		var h Histogram
		var exact []time.Duration
		for range size {
			d := time.Duration(math.Exp(random.Float64()*math.Log(1e8))) * time.Microsecond
			exact = append(exact, d)
			h.Add(d)
		}
		slices.Sort(exact)
		for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
			want := exact[max(1, int(math.Ceil(p/100*float64(size))))-1]
			got := h.Percentile(p)
			if got < want || got > want+want/1000 {
				t.Errorf("p%g of %d: got %v, want %v", p, size, got, want)
			}
		}
		if h.Max() != exact[size-1] || h.Count() != uint64(size) {
			t.Errorf("got %d up to %v, want %d up to %v", h.Count(), h.Max(), size, exact[size-1])
		}
	}
}

func TestHistogramEnds(t *testing.T) {
	var h Histogram
	if h.Percentile(99) != 0 || h.Max() != 0 {
		t.Error("an empty histogram has percentiles")
	}
	h.Add(0)
	h.Add(time.Hour)
	if got := [2]time.Duration{h.Percentile(50), h.Percentile(100)}; got != [2]time.Duration{time.Microsecond, 100 * time.Second} {
		t.Errorf("got %v, want the ends of the range", got)
	}
	for us := uint64(1); us <= maxMs*1000; us += us/3000 + 1 {
		if top := highest(bucketOf(us)); top < us || top > us+us/1000 {
			t.Fatalf("%d us lie in a bucket that ends at %d", us, top)
		}
	}
}
