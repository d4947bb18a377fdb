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

// eventsSince returns what each event after a number is about, nil where that is not a
// stream, and the number of the newest event. all is false where there were more than so
// many.
func (c *changes) eventsSince(number uint64, most int) (list []*stream, last uint64, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last-number > uint64(min(most, changesKept)) {
		return nil, c.last, false
	}
	for i := number + 1; i <= c.last; i++ {
		list = append(list, c.kept[i%changesKept])
	}
	return list, c.last, true
}

// since returns the streams that events after a number are about, some of them
// twice, and whether these are all: of at most so many events.
func (c *changes) since(number uint64, most int) (list []*stream, all bool) {
	list, _, all = c.eventsSince(number, most)
	return slices.DeleteFunc(list, func(s *stream) bool { return s == nil }), all
}
