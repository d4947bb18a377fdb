package node

import (
	"context"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// manyPeers is how many nodes return at once.
const manyPeers = 50

// TestManyReturn has a node and fifty others be without each other for an hour, while
// people on all of them write, and offer friendship: by the network, or by the one's
// own process. When they are back at once, all that waited arrives within a minute,
// with four requests at once from one to another at most; also where others, more than
// there are places for, stay silent.
func TestManyReturn(t *testing.T) {
	undetected(t)
	for _, test := range []struct {
		what   string
		silent int
		home   bool // it is home's process that is not there
	}{{"others", 30, false}, {"home", 0, true}} {
		t.Run(test.what, func(t *testing.T) {
			inPeace(t, 1+manyPeers+test.silent, 1, func(s *simulation) {
				home, ann, others := s.nodes[0], s.order[0], s.order[1:]
				var tellers []*simPerson
				for i := range 4 {
					p := home.settle(simHandle(100, i))
					s.people[p.account], tellers = p, append(tellers, p)
				}
				for _, p := range others {
					ann.befriends(p)
				}
				s.within("all is there before", func() bool { return s.exchanged(ann, others) })

				s.setParts(simPart{simSpan: simAlways, from: -1, to: 0}, simPart{simSpan: simAlways, from: 0, to: -1})
				for _, p := range others {
					for _, o := range tellers {
						o.tells = append(o.tells, o.offer(p.testPerson))
					}
					p.writes(5, 0)
				}
				for _, o := range tellers {
					o.flush()
				}
				s.part(-1, 0) // and hang from now on
				ann.writes(50, time.Second)
				if test.home {
					home.end()
				}
				s.passes(time.Hour)
				if !test.home {
					s.checkBounds(home, len(others), len(tellers))
				}
				s.mostAtOnce()
				asked := s.counted("requests")
				s.alone(1 + manyPeers)
				if test.home {
					home.begin()
				}
				took := s.within("all is there after", func() bool { return s.exchanged(ann, others[:manyPeers]) && offered(tellers, others[:manyPeers]) })
				t.Logf("%d nodes have all after %v, with %d requests", manyPeers, took, s.counted("requests")-asked)
				for way, n := range s.mostAtOnce() {
					if n > 4 {
						t.Errorf("%d requests at once from %s to %s", n, way.from, way.to)
					}
				}
			})
		})
	}
}

// TestThrottledPeers has a node that was away hand over more at once than the others
// may look up keys there for: they are told to wait (429), ask no more until they may,
// and everything arrives.
func TestThrottledPeers(t *testing.T) {
	const peers, people, span = 20, 4, 10 * time.Second
	defer func(b budget) { budgets[askPeerKeys] = b }(budgets[askPeerKeys])
	budgets[askPeerKeys] = budget{rates: [2]rate{{1, span}}}
	inPeace(t, 1+peers, 1, func(s *simulation) {
		home, others := s.nodes[0], s.order[1:]
		for _, p := range others { // whom home knows
			if _, err := s.order[0].as().Keys(context.Background(), wire.KeysRequest{Address: p.address}); err != nil {
				t.Fatal(err)
			}
		}
		s.part(-1, 0)
		var tellers []*simPerson
		for i := range people {
			p := home.settle(simHandle(30, i))
			s.people[p.account] = p
			for _, o := range others {
				p.tells = append(p.tells, p.offer(o.testPerson))
			}
			p.flush()
			tellers = append(tellers, p)
		}
		home.end()
		time.Sleep(time.Minute)
		s.setParts()
		home.begin()
		asked, refused := s.counted(wire.PathPeerKeys), s.counted("answers with 429")
		begin := time.Now()
		s.within("all offers are there", func() bool { return offered(tellers, others) })
		asked, refused = s.counted(wire.PathPeerKeys)-asked, s.counted("answers with 429")-refused
		t.Logf("%d people have %d offers each after %v: keys were asked for %d times", people, peers, time.Since(begin), asked)
		// Those that are handed over at once ask at once, each time one less.
		if most := peers * people * (people + 1) / 2; refused == 0 || asked > most {
			t.Errorf("keys were asked for %d times, want at most %d; %d requests were refused", asked, most, refused)
		}
	})
}

// exchanged reports whether somebody and some friends elsewhere have all of each other.
func (s *simulation) exchanged(one *simPerson, friends []*simPerson) bool {
	for _, p := range friends {
		if !p.at.has(one) || !one.at.has(p) {
			return false
		}
	}
	return true
}

// offered reports whether the nodes of others know of an offer by each who made one.
func offered(by, to []*simPerson) bool {
	for _, p := range to {
		for _, o := range by {
			if p.friendship(o).Friendship.State() != wire.StateIncoming {
				return false
			}
		}
	}
	return true
}

// passes lets a time pass that nobody needs to see: of that in which the same is
// tried again and again only some minutes, as if the rest was before.
func (s *simulation) passes(span time.Duration) {
	const seen = 3 * time.Minute
	time.Sleep(seen)
	for _, n := range s.nodes {
		if n.life == nil {
			continue
		}
		node := n.life.node
		node.notices.mu.Lock()
		for _, b := range node.notices.peers {
			if !b.failing.IsZero() {
				b.failing = b.failing.Add(-span)
			}
		}
		node.notices.mu.Unlock()
		node.queue.mu.Lock()
		for _, d := range node.queue.waiting {
			if !d.fail.IsZero() {
				d.fail = d.fail.Add(-span)
			}
		}
		node.queue.mu.Unlock()
	}
	time.Sleep(seen)
}

// alone lets nothing through to nodes from an index on, nor from there.
func (s *simulation) alone(first int) {
	var parts []simPart
	for i := first; i < len(s.nodes); i++ {
		parts = append(parts, simPart{simSpan: simAlways, from: -1, to: i, hangs: true}, simPart{simSpan: simAlways, from: i, to: -1, hangs: true})
	}
	s.setParts(parts...)
}

// refuse lets one node have no connections to another, in addition.
func (s *simulation) refuse(from, to int) {
	s.setParts(append(s.plan.parts, simPart{simSpan: simAlways, from: from, to: to})...)
}

// checkBounds wants a node to remember one stream of which each other node is to be
// told, and so many friendships of which each is to hear, whatever was written.
func (s *simulation) checkBounds(n *simNode, others, friendships int) {
	node := n.life.node
	node.notices.mu.Lock()
	defer node.notices.mu.Unlock()
	if got := len(node.notices.peers); got != others {
		s.failf("%d nodes are to be told, want %d", got, others)
	}
	for peer, b := range node.notices.peers {
		if len(b.order) > 1 || len(b.streams) != len(b.order) {
			s.failf("%s is to be told of %d streams", peer, len(b.order))
		}
	}
	node.queue.mu.Lock()
	defer node.queue.mu.Unlock()
	if got := len(node.queue.waiting); got != others*friendships {
		s.failf("%d friendships wait, want %d", got, others*friendships)
	}
}

// TestSilentPeers has a node try sixty others that let each request hang. What waits for
// one that is back goes there before they are through, and one that answers is asked as
// often as ever.
func TestSilentPeers(t *testing.T) {
	const silent = 60
	inPeace(t, 2+silent, 1, func(s *simulation) {
		home, ann, good := s.nodes[0], s.order[0], s.order[1]
		for _, p := range s.order[1:] {
			ann.befriends(p)
		}
		ada := home.settle("ada")
		s.people[ada.account] = ada
		for _, n := range s.nodes[2:] {
			n.end()
		}
		s.alone(2)
		s.refuse(1, 0)
		s.refuse(0, 1)
		for _, p := range s.order[1:] {
			ada.tells = append(ada.tells, ada.offer(p.testPerson))
		}
		ada.flush()
		home.end() // so that all are tried at once
		home.begin()
		time.Sleep(15 * time.Second)

		s.alone(2)
		home.life.node.peer(good.at.name) // as if it asked for something
		time.Sleep(3 * time.Second)
		if !offered([]*simPerson{ada}, []*simPerson{good}) {
			t.Error("a node that is back does not have the offer that waited for it")
		}
		time.Sleep(3 * time.Minute) // in which each was asked once
		const span = 2 * time.Minute
		pulls := s.counted(simAsked(home.name, good.at.name, wire.PathPeerSync))
		time.Sleep(span)
		most := home.life.node.every * 6 / 5
		if got := s.counted(simAsked(home.name, good.at.name, wire.PathPeerSync)) - pulls; got < int(span/most) {
			t.Errorf("a node that answers was asked %d times in %v, want at least %d", got, span, span/most)
		}
	})
}

// TestPullsFromWhoIsBack wants a node that did not answer to be asked at once when it
// is heard of; no more than once for each that asks, and not one that has answered.
func TestPullsFromWhoIsBack(t *testing.T) {
	inPeace(t, 2, 1, func(s *simulation) {
		home, ann, ben := s.nodes[0], s.order[0], s.order[1]
		ann.befriends(ben)
		s.within("all is there before", func() bool { return s.exchanged(ann, []*simPerson{ben}) })
		pulls := func() int { return s.counted(simAsked(home.name, ben.at.name, wire.PathPeerSync)) }
		hears := func() int {
			before := pulls()
			for range 9 {
				home.life.node.peer(ben.at.name)
			}
			time.Sleep(100 * time.Millisecond)
			return pulls() - before
		}
		if got := hears(); got != 0 {
			t.Errorf("one that answered is asked %d times", got)
		}
		s.refuse(0, 1)
		if err := home.life.node.pull(context.Background(), ben.at.name); err == nil {
			t.Fatal("it answers")
		}
		if got := hears(); got != 0 {
			t.Errorf("one that did not answer a moment ago is asked %d times", got)
		}
		time.Sleep(pullRetry)
		s.setParts()
		if got := hears(); got != 1 {
			t.Errorf("one that is back is asked %d times", got)
		}
	})
}
