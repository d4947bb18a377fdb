package node

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// inPeace runs a test on whole nodes whose network is good, but for what the test
// does to it.
func inPeace(t *testing.T, nodes, people int, run func(s *simulation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, 1, simPlan{people: people, skews: make([]time.Duration, nodes), liar: -1, slow: time.Second, trouble: 100 * time.Hour})
		defer func() {
			s.close()
			for _, f := range s.failed {
				t.Error(f)
			}
		}()
		run(s)
	})
}

// part lets nothing through between two nodes until heal, -1 for all.
func (s *simulation) part(a, b int) (heal func()) {
	s.setParts(simPart{simSpan: simAlways, from: a, to: b, hangs: true}, simPart{simSpan: simAlways, from: b, to: a, hangs: true})
	return func() { s.setParts() }
}

func (s *simulation) setParts(parts ...simPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan.parts = parts
}

// within returns how long it took until something was so, at most simHealing.
func (s *simulation) within(what string, true func() bool) time.Duration {
	begin := time.Now()
	for !true() {
		if time.Since(begin) > simHealing {
			s.t.Fatalf("%s: not within %v", what, simHealing)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(begin)
}

// has reports whether a node has all that somebody wrote.
func (n *simNode) has(p *simPerson) bool {
	s := n.life.node.streams.get(streamName{p.account, p.audience})
	return s != nil && s.state().Seq == uint64(p.acked)
}

// writes publishes posts, and wants each to be acknowledged at once.
func (p *simPerson) writes(count int, pause time.Duration) {
	for range count {
		begin := time.Now()
		p.write()
		if !p.flush() || time.Since(begin) > 10*simStep {
			p.s.t.Fatalf("%s: a post took %v, %v", p.address, time.Since(begin), p.last)
		}
		time.Sleep(pause)
	}
}

// TestAwayForAnHour lets one node be away for an hour while people on the other
// write 500 posts: by a network that is broken, and by a process that is not there.
func TestAwayForAnHour(t *testing.T) {
	for _, how := range []string{"parted", "stopped"} {
		t.Run(how, func(t *testing.T) {
			inPeace(t, 3, 2, func(s *simulation) {
				home, other := s.nodes[0], s.nodes[1]
				ann, ada, ben, bea, cid := s.order[0], s.order[1], s.order[2], s.order[3], s.order[4]
				for _, p := range []*simPerson{ben, bea, ada} {
					ann.befriends(p)
				}
				ann.writes(20, time.Second)
				s.within("all is there before", func() bool { return other.has(ann) })
				if _, err := cid.as().Keys(context.Background(), wire.KeysRequest{Address: ben.address}); err != nil {
					t.Fatal(err)
				}
				changes := home.own.Changes()
				ann.writes(1, time.Second)
				usual := home.own.Changes() - changes

				heal := s.part(-1, other.index)
				if how == "stopped" {
					other.end()
				}
				asked := s.counted("requests")
				cid.tells = append(cid.tells, cid.offer(ben.testPerson))
				ada.tells = append(ada.tells, ada.offer(bea.testPerson))
				cid.flush()
				ada.flush()
				changes = home.own.Changes()
				for range 50 {
					ann.writes(10, 7200*time.Millisecond)
					ada.read(ann)
					if how == "parted" {
						ben.read(ann)
						bea.readFeed(ann, 22)
					}
				}
				if got := ada.seen[ann.account]; got != uint64(ann.acked) {
					t.Errorf("ada, at home, reads %d of %d entries", got, ann.acked)
				}
				if how == "parted" && ben.seen[ann.account] != 22 {
					t.Errorf("ben reads %d entries meanwhile, want the 22 before", ben.seen[ann.account])
				}
				if got := home.own.Changes() - changes; got != 500*usual {
					t.Errorf("500 posts changed %d records, want %d", got, 500*usual)
				}
				// Each node asks the other every 10 s, the home tries to tell it and to
				// deliver about every 16 s.
				if n := s.counted("requests") - asked; n > 2500 {
					t.Errorf("%d requests in an hour in vain", n)
				}
				heal()
				if how == "stopped" {
					other.begin()
				}
				took := s.within("all is there after", func() bool { return other.has(ann) })
				ben.read(ann)
				if got := ben.seen[ann.account]; got != uint64(ann.acked) {
					t.Errorf("ben reads %d of %d entries", got, ann.acked)
				}
				offered := s.within("the offers are there", func() bool {
					return ben.friendship(cid).Friendship.State() == wire.StateIncoming && bea.friendship(ada).Friendship.State() == wire.StateIncoming
				})
				t.Logf("%s: 500 posts after %v, offers after %v, %d requests in vain", how, took, took+offered, s.counted("requests")-asked)
				time.Sleep(simHealing - took - offered)
				for _, n := range s.nodes {
					s.checkQueues(n)
				}
				home.end() // what was fetched is read without it
				ben.read(ann)
				bea.readFeed(ann, ann.acked)
			})
		})
	}
}

// readFeed wants so many entries of somebody in the feed.
func (p *simPerson) readFeed(o *simPerson, want int) {
	got := 0
	for cursor := ""; ; {
		var page wire.FeedReply
		err := p.call(func(ctx context.Context, me *Person) (err error) {
			page, err = me.Feed(ctx, 0, cursor, "")
			return err
		})
		if err != nil {
			p.s.failf("the feed of %s: %v", p.address, err)
			return
		}
		for _, item := range page.Items {
			if item.Author == o.account {
				got++
			}
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if got != want {
		p.s.failf("the feed of %s has %d entries of %s, want %d", p.address, got, o.address, want)
	}
}

// TestPoison wants one bad item among a hundred to hold up none of the others, and to
// be found in the log: statements that are handed over, streams that are told of and
// pulled, and wraps.
func TestPoison(t *testing.T) {
	undetected(t)
	const many = 100
	inPeace(t, 2, many, func(s *simulation) {
		home, other := s.nodes[0], s.nodes[1]
		authors, readers := s.order[:many], s.order[many:]
		ann, ben, bea := authors[0], readers[0], readers[1]
		for _, p := range authors {
			p.befriends(ben)
		}
		for _, p := range readers[1:] {
			ann.befriends(p)
		}
		s.within("all is there before", func() bool { return other.has(ann) && other.has(authors[many-1]) })
		heal := s.part(home.index, other.index)
		for _, p := range authors {
			if p != ann { // who is a friend already
				p.tells = append(p.tells, p.offer(bea.testPerson))
			}
			p.write()
			p.flush()
		}
		ann.hear()
		ann.renew()
		ann.flush()

		bad := authors[7]
		spoil(t, home, friendKey(pair{bad.account, bea.account}), func(r *friendRecord) { r.Queue[0].Statement = unsigned(r.Queue[0].Statement) })
		key := home.life.node.streams.get(streamName{authors[8].account, authors[8].audience}).entryKey(uint64(authors[8].acked))
		spoil(t, home, key, func(r *entryRecord) { r.Header = unsigned(r.Header) })
		spoil(t, home, wrapsKey(ann.account, ann.audience, ann.content)+readers[9].account.String(), func(r *wrapRecord) { r.Sealed = r.Sealed[1:] })
		heal()
		time.Sleep(simHealing)

		offers, streams, wraps := 0, 0, 0
		for _, p := range authors[1:] {
			if bea.friendship(p).Friendship.State() == wire.StateIncoming {
				offers++
			}
		}
		for _, p := range authors {
			if other.has(p) {
				streams++
			}
		}
		for _, p := range readers {
			s := other.life.node.streams.get(streamName{ann.account, ann.audience})
			if has, err := other.life.node.hasWrap(context.Background(), s, ann.content, p.account); err == nil && has {
				wraps++
			}
		}
		if offers != many-2 || streams != many-1 || wraps != many-1 {
			t.Errorf("%d of %d offers, %d of %d streams, %d of %d wraps arrived, want one less of each", offers, many-1, streams, many, wraps, many)
		}
		s.mu.Lock()
		log := strings.Join(s.logged, "")
		s.mu.Unlock()
		for _, want := range []string{
			"north.example.*a friendship statement was refused", "south.example.*" + authors[8].account.String(), "south.example.*a wrap",
		} {
			if !regexp.MustCompile(want).MatchString(log) {
				t.Errorf("the log says nothing like %q", want)
			}
		}
		s.checkQueues(home)
	})
}

// spoil changes a record of a node behind its back.
func spoil[R any](t *testing.T, n *simNode, key string, change func(*R)) {
	t.Helper()
	r := new(R)
	if _, err := read(context.Background(), n.own, key, r); err != nil {
		t.Fatal(err)
	}
	change(r)
	if err := n.own.Apply(context.Background(), put(key, r)); err != nil {
		t.Fatal(err)
	}
}
