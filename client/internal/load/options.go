package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Options say who does what, and for how long.
type Options struct {
	Nodes   []string // URLs
	Mine    bool     // whoever runs this operates the nodes: they may be other than development nodes
	People  int      // on all nodes together; 0 for those of the state, else 100
	Friends int      // of each; less than 0 for as in the state, else 10
	Watch   int      // how many people hold an event stream
	State   string   // file that keeps the people for later runs; "" for none

	Loop
	Varies     bool          // there will be closed and open loops, as in FindCapacity and Overload
	Length     time.Duration // how long it measures
	Warmup     time.Duration // before that
	Posts      int           // at most, 0 for no bound
	Size       int           // bytes of the text of a post
	Presign    bool          // all posts are sealed and signed before the load begins
	Mix        Mix
	Ignore     bool          // what Retry-After says
	Within     time.Duration // how long what is good takes at most
	Timeout    time.Duration // of one request
	CheckEvery int           // of so many acknowledgements, and of so many feed pages, one is checked; 0 checks nothing
	CheckPosts int           // posts that are read back at the end, by their authors and by friends
	Settle     time.Duration // how long news may take when the load is over, and a node to answer again

	Progress func(string) // gets a line now and then; may be nil
}

// A Loop says when requests are sent. With no Rate and no Ramp it is closed.
type Loop struct {
	Clients     int     // of a closed loop
	Rate        float64 // operations/s of an open loop
	Ramp        Ramp    // of an open loop, instead of Rate
	Even        bool    // an open loop comes evenly, not as Poisson has it
	Outstanding int     // requests of an open loop at once; as many again wait
}

// connections is how many there are at most, to so many nodes. Who watches has one
// for events, and asks by another.
func (o *Options) connections(nodes int) int {
	each := max(o.Clients, setters)
	if o.open() || o.Varies {
		each = max(o.Outstanding, each)
	}
	return each*nodes + 2*o.Watch
}

func (l *Loop) open() bool { return l.Rate > 0 || l.Ramp != (Ramp{}) }

// A Ramp is a rate that rises or falls evenly.
type Ramp struct {
	From, To float64
	Over     time.Duration
}

// ParseRamp reads FROM:TO:SECONDS.
func ParseRamp(s string) (r Ramp, err error) {
	parts := strings.Split(s, ":")
	var numbers [3]float64
	if len(parts) == len(numbers) {
		for i, part := range parts {
			if numbers[i], err = strconv.ParseFloat(part, 64); err != nil {
				break
			}
		}
	}
	if len(parts) != 3 || err != nil || !(numbers[0] >= 0 && numbers[0] <= maxRate && numbers[1] >= 0 && numbers[1] <= maxRate && numbers[2] > 0 && numbers[2] <= maxSeconds) {
		return r, wire.Errorf(wire.Invalid, "ramp", "%q is no ramp: FROM:TO:SECONDS was expected, such as 10:500:30", s)
	}
	return Ramp{numbers[0], numbers[1], time.Duration(numbers[2] * float64(time.Second))}, nil
}

// An operation is what people do.
type operation int

const (
	posts operation = iota
	feeds
	logins
	friendships
	operations // how many there are

	// What those who watch see of posts is counted like operations, and is none.
	seen       = operations     // of friends on other nodes
	seenAtHome = operations + 1 // of friends on their own
	kinds      = operations + 2
)

var operationNames = [kinds]string{"posts", "feeds", "logins", "friendships", "seen elsewhere", "seen at home"}

func (o operation) String() string { return operationNames[o] }

// A Mix is how much of what is done of each, in any unit.
type Mix [operations]int

// ParseMix reads posts=10,feeds=80.
func ParseMix(s string) (m Mix, err error) {
	wrong := wire.Errorf(wire.Invalid, "mix", "%q is no mix: some of posts=10,feeds=80,logins=5,friendships=5 was expected", s)
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(s, ",") {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 1_000_000 || seen[name] {
			return Mix{}, wrong
		}
		seen[name] = true
		known := false
		for o, other := range operationNames[:operations] {
			if name == other {
				m[o], known = n, true
			}
		}
		if !known {
			return Mix{}, wrong
		}
	}
	if m.sum() == 0 {
		return Mix{}, wrong
	}
	return m, nil
}

func (m Mix) sum() (n int) {
	for _, share := range m {
		n += share
	}
	return n
}

// pick is an operation, by a number below m.sum().
func (m Mix) pick(n int) operation {
	for o, share := range m {
		if n -= share; n < 0 {
			return operation(o)
		}
	}
	return posts
}

func (m Mix) String() string {
	var parts []string
	for o, share := range m {
		if share > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", operation(o), share))
		}
	}
	return strings.Join(parts, ",")
}

// defaults fills in what was left open.
func (o *Options) defaults() {
	if o.People == 0 {
		o.People = 100
	}
	if o.Friends < 0 {
		o.Friends = min(10, o.People-1)
	}
}

// What can be asked for at most.
const (
	maxPeople      = 100_000
	maxFriends     = 5_000
	maxRate        = 1_000_000
	maxSeconds     = 7 * 24 * 3600
	maxOutstanding = 10_000
	maxWatch       = 10_000
	maxPosts       = 100_000_000
	minText        = 64 // bytes, so that each text is another
)

// Check refuses what is out of range, by the name of its flag.
func (o *Options) Check() error {
	in := func(flag string, v, low, high int) error {
		if v < low || v > high {
			return wire.Errorf(wire.Invalid, flag, "%d was found, %d to %d was expected", v, low, high)
		}
		return nil
	}
	for _, err := range []error{
		in("people", o.People, 2, maxPeople), in("friends", o.Friends, 0, min(o.People-1, maxFriends)),
		in("watch", o.Watch, 0, min(o.People, maxWatch)), in("posts", o.Posts, 0, maxPosts), in("size", o.Size, minText, wire.MaxPost),
		in("clients", o.Clients, 1, maxOutstanding), in("outstanding", o.Outstanding, 1, maxOutstanding),
		in("check-every", o.CheckEvery, 0, 1_000_000), in("check-posts", o.CheckPosts, 0, maxPosts),
		in("seconds", int(o.Length.Seconds()), 1, maxSeconds), in("warmup", int(o.Warmup.Seconds()), 0, maxSeconds),
		in("timeout", int(o.Timeout.Seconds()), 1, 600), in("settle", int(o.Settle.Seconds()), 0, maxSeconds),
	} {
		if err != nil {
			return err
		}
	}
	return o.checkTogether()
}

func (o *Options) checkTogether() error {
	switch {
	case len(o.Nodes) == 0:
		return wire.Errorf(wire.Invalid, "node", "at least one URL of a node was expected")
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return wire.Errorf(wire.Invalid, "rate", "%g was found, at most %d was expected", o.Rate, maxRate)
	case o.Rate > 0 && o.Ramp != (Ramp{}):
		return wire.Errorf(wire.Invalid, "ramp", "a rate or a ramp was expected, not both")
	case o.Within < time.Millisecond || o.Within > 10*time.Minute:
		return wire.Errorf(wire.Invalid, "within", "1ms to 10m was expected, not %s", o.Within)
	case o.Presign && o.Posts == 0:
		return wire.Errorf(wire.Invalid, "presign", "how many posts are to be signed has to be said with --posts")
	case o.Mix.sum() == 0:
		return wire.Errorf(wire.Invalid, "mix", "at least one operation was expected")
	case o.Watch > 0 && o.Varies:
		return wire.Errorf(wire.Invalid, "watch", "one load was expected: without --find-capacity and --overload")
	case o.Watch > 0 && (o.Friends == 0 || o.Mix[posts] == 0):
		return wire.Errorf(wire.Invalid, "watch", "friends (--friends) who post (--mix) were expected: there is nothing else to see")
	}
	return nil
}
