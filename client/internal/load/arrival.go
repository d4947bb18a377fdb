package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// arrivals are the times at which requests of an open loop are due. They depend
// on nothing that a node does.
type arrivals struct {
	from, to float64       // requests/s at the beginning and at the end
	over     time.Duration // how long the rate takes from one to the other
	poisson  bool          // as people come who do not know of each other; else evenly
	random   *rand.Rand

	at time.Duration // when the last was due
}

// rate is how many are due each second at a time.
func (a *arrivals) rate(at time.Duration) float64 {
	if a.over <= 0 || at >= a.over {
		return a.to
	}
	return a.from + (a.to-a.from)*at.Seconds()/a.over.Seconds()
}

// next is when the next request is due, since the beginning. A ramp from nothing
// begins with one request each second.
func (a *arrivals) next() time.Duration {
	gap := 1.0
	if a.poisson {
		gap = a.random.ExpFloat64()
	}
	a.at += time.Duration(gap / math.Max(a.rate(a.at), 1) * float64(time.Second))
	return a.at
}
