package node

import (
	"slices"
	"sync"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// changesKept is how many of the newest events can be looked through one by one. Who
// was away for longer looks at every stream of the circle instead.
const changesKept = 1 << 12

// changes number what happens to streams and friendships while the process runs, so
// that readers are told of, and pages begin from, what is new since they last
// asked. Whatever an event is about was changed before its number is given out:
// who has read a number sees all that came before it. The number of a stream's
// newest event is in the stream; of people it is kept by the first 12 bits, so that
// some are taken to have changed who have not.
type changes struct {
	live   *live // who watches is told; may be nil
	mu     sync.Mutex
	last   uint64               // number of the newest event, from 1
	kept   [changesKept]*stream // event i is at i % changesKept; nil for one of people
	people [1 << 12]uint64      // number of the newest event
	all    uint64               // number of the newest event that may be about anything
}

// ofStream notes that a stream has another head, or was heard of again, or not.
func (c *changes) ofStream(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.kept[c.last%changesKept] = s
	s.changed.Store(c.last)
	c.live.ofStream(s)
}

// ofPeople notes that it may be others who read them, or whom they read.
func (c *changes) ofPeople(people ...wire.AccountID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.kept[c.last%changesKept] = nil
	for _, who := range people {
		c.people[bucket(who)] = c.last
	}
	c.live.ofPeople(people)
}

// ofAll notes that anything may have changed.
func (c *changes) ofAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.kept[c.last%changesKept] = nil
	c.all = c.last
	c.live.ofAll()
}

func bucket(who wire.AccountID) int { return int(who[0])<<4 | int(who[1])>>4 }

func (c *changes) now() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// about returns the number of the newest event of somebody, or a later one.
func (c *changes) about(who wire.AccountID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.people[bucket(who)], c.all)
}

// streamsSince returns the streams that events after a number are about, and the number
// of the newest event. ok is false where there were more than so many events, or one
// that is not about a stream.
func (c *changes) streamsSince(number uint64, most int) (list []*stream, last uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last-number > uint64(min(most, changesKept)) {
		return nil, c.last, false
	}
	for i := number + 1; i <= c.last; i++ {
		s := c.kept[i%changesKept]
		if s == nil {
			return nil, c.last, false
		}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list, c.last, true
}

// since returns the streams that events after a number are about, some of them
// twice, and whether these are all: of at most so many events.
func (c *changes) since(number uint64, most int) (list []*stream, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last-number > uint64(min(most, changesKept)) {
		return nil, false
	}
	for i := number + 1; i <= c.last; i++ {
		if s := c.kept[i%changesKept]; s != nil {
			list = append(list, s)
		}
	}
	return list, true
}
