package load

import (
	"sync"
	"time"
)

// dues are the times that somebody's posts were due, for as long as one of those
// who watch has not seen them.
type dues struct {
	watchers int // how many watch; while nobody does, nothing is kept

	mu sync.Mutex
	of map[uint64]*due // by seq
}

type due struct {
	at   time.Time
	left int // of those who watch, who have not seen it
}

// add notes that a post is about to be sent. One that is sent again, since nobody
// knows whether it arrived, was due when it was first.
func (d *dues) add(seq uint64, at time.Time) {
	if d.watchers == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[seq] == nil {
		d.of[seq] = &due{at, d.watchers}
	}
}

// refused takes back a post that the node did not take: it is due another time.
func (d *dues) refused(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, seq)
}

// seen returns when a post was due that one of those who watch has seen.
func (d *dues) seen(seq uint64) (at time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	post := d.of[seq]
	if post == nil {
		return at, false
	}
	if post.left--; post.left == 0 {
		delete(d.of, seq)
	}
	return post.at, true
}

// watched begins to keep the dues for so many who watch.
func (d *dues) watched(watchers int) {
	d.watchers, d.of = watchers, make(map[uint64]*due)
}
