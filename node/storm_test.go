package node

import (
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestFanOutStorm has one author, with readers at a hundred nodes of which every fifth
// lets requests hang, write a thousand posts in three seconds. Each node is told of one thing
// at a time, of all that came meanwhile with the next; and what the home remembers does
// not grow with the posts.
func TestFanOutStorm(t *testing.T) {
	undetected(t)
	const nodes, posts, hang = 100, 1000, 5
	inPeace(t, 1+nodes, 1, func(s *simulation) {
		home, ann, readers := s.nodes[0], s.order[0], s.order[1:]
		for _, p := range readers {
			ann.befriends(p)
		}
		s.within("all is there before", func() bool { return s.exchanged(ann, readers) })
		var parts []simPart
		for i, p := range readers {
			p.at.stands()
			if i%hang == 0 {
				parts = append(parts, simPart{simSpan: simAlways, from: 0, to: i + 1, hangs: true})
			}
		}
		s.setParts(parts...)
		time.Sleep(time.Minute) // what was under way is over
		asked := func(p *simPerson) int { return s.counted(simAsked(home.name, p.at.name, wire.PathPeerNotices)) }
		before := make([]int, nodes)
		for i, p := range readers {
			before[i] = asked(p)
		}
		s.mostAtOnce()
		told := 0
		most := 0
		for range posts {
			ann.writes(1, 3*time.Millisecond)
			most = max(most, s.checkStorm(home))
		}
		for i, p := range readers { // now, while it goes on
			if n := asked(p) - before[i]; n < 2 && i%hang > 0 {
				t.Errorf("%s was told %d times while others were told all the time", p.at.name, n)
			}
		}
		time.Sleep(5 * time.Second)
		for i, p := range readers {
			n := asked(p) - before[i]
			told += n
			if n == 0 || n > posts/10 {
				t.Errorf("%s was told of %d posts by %d notices", p.at.name, posts, n)
			}
		}
		home.life.node.notices.mu.Lock()
		for i, p := range readers {
			if waits := home.life.node.notices.peers[p.at.name] != nil; waits != (i%hang == 0) {
				t.Errorf("%s has something to be told: %t", p.at.name, waits)
			}
		}
		home.life.node.notices.mu.Unlock()
		for way, n := range s.mostAtOnce() {
			if way.from == home.name && n > 2 { // a pull
				t.Errorf("%d requests at once to %s", n, way.to)
			}
		}
		if most > noticePlaces+noticeRetries+pullAtOnce+pullRetries {
			t.Errorf("%d requests at once", most)
		}
		t.Logf("%d posts for %d nodes: %d notices, at most %d requests at once", posts, nodes, told, most)
	})
}

// checkStorm wants one stream to wait for each node at most, and returns how many
// requests of a node are under way.
func (s *simulation) checkStorm(n *simNode) (flying int) {
	node := n.name
	o := &n.life.node.notices
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.peers) >= len(s.nodes) || len(o.fresh) > 1 {
		s.failf("%d nodes are to be told, %d streams are new", len(o.peers), len(o.fresh))
	}
	for peer, b := range o.peers {
		if len(b.order) > 1 || len(b.streams) != len(b.order) {
			s.failf("%s is to be told of %d streams", peer, len(b.order))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for way, n := range s.flying {
		if way.from == node {
			flying += n
		}
	}
	return flying
}
