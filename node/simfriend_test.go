package node

import (
	"flag"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// defaultHistories is how many TestFriendshipHistories plays; make simulate plays
// more.
const defaultHistories = 200

// A simDeed is something that one of two people does about the other, after a while.
type simDeed struct {
	who  int // of the two
	what string
	wait time.Duration
}

func (d simDeed) String() string { return fmt.Sprintf("%d %s after %v", d.who, d.what, d.wait) }

// drawDeed draws what somebody does. To leave is to cancel, to decline or to remove,
// by what there is.
func drawDeed(rt *rapid.T) simDeed {
	return simDeed{
		who:  rapid.IntRange(0, 1).Draw(rt, "who"),
		what: rapid.SampledFrom([]string{"approach", "approach", "approach", "leave", "leave", "look", "post"}).Draw(rt, "what"),
		wait: time.Duration(rapid.IntRange(0, 4000).Draw(rt, "wait, ms")) * time.Millisecond,
	}
}

// TestFriendshipHistories plays HISTORIES histories of two people on two nodes who
// offer, accept, cancel, decline and remove, from both sides at once, while requests
// between the nodes are lost, doubled, late or cut off. A minute later both nodes say
// the same, and know all that they acknowledged.
func TestFriendshipHistories(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	defer checks.Value.Set(before)
	if err := checks.Value.Set(strconv.Itoa(number(t, "HISTORIES", defaultHistories/stride))); err != nil {
		t.Fatal(err)
	}
	total := simTotal{}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		plan := simPlan{
			people: 1, skews: make([]time.Duration, 2), liar: -1, slow: 3 * time.Second,
			faults: rapid.SampledFrom([]float64{0, 0.2, 0.5}).Draw(rt, "faults"),
		}
		if rapid.Bool().Draw(rt, "restart") {
			plan.crashes = []simCrash{{
				node: rapid.IntRange(0, 1).Draw(rt, "which"), at: time.Duration(rapid.IntRange(0, 10).Draw(rt, "at, s")) * time.Second,
				away: 2 * time.Second, dying: time.Second, hard: rapid.Bool().Draw(rt, "hard"),
			}}
		}
		deeds := rapid.SliceOfN(rapid.Custom(drawDeed), 4, 24).Draw(rt, "deeds")
		var s *simulation
		synctest.Test(t, func(t *testing.T) {
			s = newSimulation(t, seed, plan)
			s.playDeeds(deeds)
		})
		total.add(s)
		for _, f := range s.failed {
			rt.Errorf("%s", f)
		}
	})
	t.Log(&total)
}

// playDeeds lets two people do what they do, each at their own pace, and looks at
// what has come of it.
func (s *simulation) playDeeds(deeds []simDeed) {
	defer s.close()
	for _, d := range deeds {
		s.plan.trouble += d.wait // the longest that the two can take
	}
	var all sync.WaitGroup
	for i, p := range s.order {
		other := s.order[1-i]
		all.Go(func() {
			for _, d := range deeds {
				if d.who == i {
					time.Sleep(d.wait)
					p.does(d.what, other)
				}
			}
		})
	}
	for i, n := range s.nodes {
		for _, c := range s.plan.crashesOf(i) {
			all.Go(func() {
				time.Sleep(c.at)
				if s.troubled() {
					n.crash(c)
				}
			})
		}
	}
	all.Wait()
	time.Sleep(s.plan.trouble - s.now())
	for _, p := range s.order {
		all.Go(p.live)
	}
	all.Wait()
	time.Sleep(s.plan.trouble + simHealing - s.now())
	s.check()
}

// does what a deed is called.
func (p *simPerson) does(what string, o *simPerson) {
	if !p.flush() || !p.hear() || !p.tidy() {
		return
	}
	switch what {
	case "approach":
		p.approach(o)
	case "leave":
		p.leave(o)
	case "post":
		p.write()
	}
	p.flush()
}
