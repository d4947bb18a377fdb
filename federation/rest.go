package federation

import (
	"errors"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxRest is how long a node is left alone at most, whatever it says: what was so
// once need not hold for a day.
const maxRest = 5 * time.Minute

// A rest is what a node said that wants to be left alone for a while.
type rest struct {
	until time.Time
	said  *wire.Error
}

func newRests() map[string]*lru[rest] {
	rests := make(map[string]*lru[rest])
	for _, path := range paths {
		rests[path] = newLRU[rest](1024)
	}
	return rests
}

// resting returns what a node said of requests to a path, for as long as it said
// that it holds: it need not be asked in order to say so again.
func (c *Client) resting(node wire.NodeName, path string) error {
	r, ok := c.rests[path].get(node)
	wait := r.until.Sub(c.now())
	if !ok || wait <= 0 || wait > maxRest { // the clock went back
		return nil
	}
	again := *r.said
	again.RetryAfter = wait
	return &again
}

// noteRest notes what a node answered to a request to a path.
func (c *Client) noteRest(node wire.NodeName, path string, err error) {
	var e *wire.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		c.rests[path].set(node, rest{c.now().Add(min(e.RetryAfter, maxRest)), e})
	}
}
