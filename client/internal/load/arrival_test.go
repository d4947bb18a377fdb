package load

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// count is how many requests are due in each second.
func count(a *arrivals, seconds int) []int {
	due := make([]int, seconds)
	for at := a.next(); at < time.Duration(seconds)*time.Second; at = a.next() {
		due[at/time.Second]++
	}
	return due
}

// TestArrivals: even arrivals are as many as the rate says, on a ramp too; those of
// Poisson are as many in the mean and differ as much as they should.
func TestArrivals(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for second, n := range count(&arrivals{to: 250}, 20) {
		if n < 249 || n > 251 {
			t.Errorf("even, second %d: %d are due, want 250", second, n)
		}
	}
	for second, n := range count(&arrivals{from: 100, to: 500, over: 10 * time.Second}, 12) {
		want := 100 + 40*min(float64(second)+.5, 10)
		if math.Abs(float64(n)-want) > 3 {
			t.Errorf("ramp, second %d: %d are due, want %g", second, n, want)
		}
	}
	const rate, seconds = 200, 500
	var sum, squares float64
	for _, n := range count(&arrivals{to: rate, poisson: true, random: random}, seconds) {
		sum += float64(n)
		squares += float64(n * n)
	}
	mean := sum / seconds
	if spread := squares/seconds - mean*mean; math.Abs(mean-rate) > 5 || spread < 0.8*rate || spread > 1.2*rate {
		t.Errorf("Poisson: mean %g and variance %g, want %d for both", mean, spread, rate)
	}
}
