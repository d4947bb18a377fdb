package node

import (
	"math/rand/v2"
	"time"
)

// A jitter draws a time from 0 on, below another, so that many do not do the same
// at the same moment.
type jitter func(below time.Duration) time.Duration

func byChance(below time.Duration) time.Duration { return rand.N(below) }

// grow returns how long to wait after a failure: between first and three times the
// wait before.
func (j jitter) grow(before, first, longest time.Duration) time.Duration {
	most := min(longest, max(3*before, 2*first))
	return min(longest, first+j(max(most-first, 1)))
}
