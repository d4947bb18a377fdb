package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// defaultSeeds is how many simulations TestSimulate plays; make simulate plays more.
const defaultSeeds = 50

// number reads a setting of a longer run.
func number(t testing.TB, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q, and a number was expected", name, s)
	}
	return n
}

// TestSimulate plays SEEDS simulations, from SEED on, or that one: on one processor, since of
// goroutines that wake at the same moment, another order may be another story.
func TestSimulate(t *testing.T) {
	first, count := 0, number(t, "SEEDS", defaultSeeds/stride)
	if os.Getenv("SEED") != "" {
		first, count = number(t, "SEED", 0), number(t, "SEEDS", 1)
	}
	var total simTotal
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for seed := first; seed < first+count; seed++ {
		total.add(simulate(t, uint64(seed)))
	}
	t.Log(&total)
}

// TestSimulationRepeats wants a seed to bring the very same again. The scheduler may, rarely,
// take a goroutine from its turn, on a busy machine say: then three of four have to be the same.
func TestSimulationRepeats(t *testing.T) {
	undetected(t) // the race detector draws lots for who goes first
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	events := 0
	for _, seed := range []uint64{1, 2, 3, 4, 5, 6} {
		first, second := simulate(t, seed).events(), simulate(t, seed).events()
		events += len(first)
		if slices.Equal(first, second) {
			continue
		}
		third, fourth := simulate(t, seed).events(), simulate(t, seed).events()
		if slices.Equal(third, fourth) && (slices.Equal(third, first) || slices.Equal(third, second)) {
			continue
		}
		i := 0
		for i < min(len(first), len(second)) && first[i] == second[i] {
			i++
		}
		t.Errorf("seed %d: event %d of %d was %v, and then %v", seed, i, len(first), first[max(0, i-3):min(len(first), i+1)], second[max(0, i-3):min(len(second), i+1)])
	}
	if events < 300 {
		t.Errorf("%d events only", events)
	}
}

// simulate plays a seed.
func simulate(t *testing.T, seed uint64) (s *simulation) {
	synctest.Test(t, func(t *testing.T) {
		s = newSimulation(t, seed, drawPlan(seed))
		s.run()
	})
	for _, f := range s.failed {
		t.Errorf("seed %d: %s", seed, f)
	}
	if len(s.failed) > 0 {
		t.Logf("seed %d: %s", seed, s.story())
		t.Logf("again: SEED=%d go test -count=1 -v -run '^TestSimulate$' ./node", seed)
	}
	return s
}

// loud reports whether a single seed is played, of which everything is of interest.
func (s *simulation) loud() bool {
	return os.Getenv("SEED") != "" && os.Getenv("SEEDS") == "" && testing.Verbose()
}

// A simTotal is what some simulations add up to.
type simTotal struct {
	seeds  int
	counts map[string]int
}

func (a *simTotal) add(s *simulation) {
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	a.seeds++
	for what, n := range s.counts {
		a.counts[what] += n
	}
}

func (a *simTotal) String() string {
	var list []string
	for what, n := range a.counts {
		if !strings.HasPrefix(what, "/") { // by path and by node
			list = append(list, fmt.Sprintf("%s: %d", what, n))
		}
	}
	slices.Sort(list)
	return fmt.Sprintf("%d seeds: %q", a.seeds, list)
}

// check looks at everything, a minute after the trouble.
func (s *simulation) check() {
	for _, n := range s.nodes {
		s.checkQueues(n)
	}
	for i, p := range s.order {
		if p.outbox != nil || len(p.tells) > 0 {
			s.failf("%s still has something to send: entry %t, %d statements, %v", p.address, p.outbox != nil, len(p.tells), p.last)
		}
		for _, o := range s.order[i+1:] {
			s.checkFriends(p, o)
		}
	}
	for _, p := range s.order {
		for _, o := range s.order {
			s.checkReading(p, o)
		}
		s.checkFeed(p)
	}
	for _, n := range s.nodes {
		n.end()
		s.checkStores(n)
	}
}

// checkQueues wants nothing to be left to tell or to hand over.
func (s *simulation) checkQueues(n *simNode) {
	node := n.life.node
	node.queue.mu.Lock()
	waiting := len(node.queue.waiting)
	node.queue.mu.Unlock()
	node.notices.mu.Lock()
	for peer, b := range node.notices.peers {
		s.failf("%s has not told %s: %d streams, more %t", n.name, peer, len(b.order), b.more)
	}
	node.notices.mu.Unlock()
	marked := 0
	for _, err := range n.own.Scan(context.Background(), store.Prefix("deliver/")) {
		if err != nil {
			s.failf("%s: %v", n.name, err)
		}
		marked++
	}
	if waiting > 0 || marked > 0 {
		s.failf("%s has statements to deliver: %d in memory, %d in the store", n.name, waiting, marked)
	}
}

// friendship is what the node of p has of o.
func (p *simPerson) friendship(o *simPerson) *friendRecord {
	r, _, err := p.at.life.node.friendship(context.Background(), pair{p.account, o.account})
	if err != nil {
		p.s.failf("%s and %s: %v", p.address, o.address, err)
	}
	return r
}

// checkFriends wants both nodes to say the same of two people, and to know all that
// was acknowledged.
func (s *simulation) checkFriends(p, o *simPerson) {
	mine, theirs := p.friendship(o), o.friendship(p)
	a, b := &mine.Friendship, &theirs.Friendship
	mirror := map[wire.FriendState]wire.FriendState{
		wire.StateNone: wire.StateNone, wire.StateFriend: wire.StateFriend,
		wire.StateOutgoing: wire.StateIncoming, wire.StateIncoming: wire.StateOutgoing,
	}
	if mirror[a.State()] != b.State() || !slices.Equal(a.LiveOffers(), b.LiveOffers()) {
		s.failf("%s and %s: %q and %q", p.address, o.address, a.State(), b.State())
	}
	for _, r := range []*friendRecord{mine, theirs} {
		if len(r.Queue) > 0 || r.Problem != "" {
			s.failf("%s and %s: %d statements wait, problem %q", p.address, o.address, len(r.Queue), r.Problem)
		}
	}
	for _, f := range []*wire.Friendship{a, b} {
		s.checkSaid(f, p, o)
		s.checkSaid(f, o, p)
	}
	s.count("friendships: " + string(a.State()))
}

// checkSaid wants a record of two people to know what one said to the other.
func (s *simulation) checkSaid(f *wire.Friendship, from, to *simPerson) {
	side := &f.Mine
	if f.Me != from.account {
		side = &f.Yours
	}
	for _, r := range from.said {
		if r.Address != to.address {
			continue
		}
		known := true
		switch r.Kind {
		case wire.FriendOffer:
			known = side.Created >= must(from.chain().OpenOffer(r.Statement)).Created
		case wire.FriendAccept:
			known = side.AcceptedAt >= must(from.chain().OpenAccept(r.Statement)).Created
		case wire.FriendEnd:
			for _, h := range must(from.chain().OpenEnd(r.Statement)).Offers {
				known = known && !slices.Contains(f.LiveOffers(), h)
			}
		}
		if !known {
			s.failf("an acknowledged %s of %s to %s is lost", r.Kind, from.address, to.address)
		}
	}
}

// checkReading wants p to read all of o, if they are friends, and nothing else.
func (s *simulation) checkReading(p, o *simPerson) {
	node := p.at.life.node
	entitled := p == o || p.friendship(o).Friendship.State() == wire.StateFriend
	if entitled { // before anything is asked for
		copied := node.streams.get(streamName{o.account, o.audience})
		if copied == nil || copied.state().Seq != uint64(o.acked) {
			s.failf("the node of %s has not all %d entries of %s", p.address, o.acked, o.address)
			return
		}
	}
	reply, err := node.As(p.account, p.address.Handle).Stream(context.Background(), o.account, o.audience, 0, 0, 0)
	if !entitled {
		if !errors.Is(err, wire.NotExist) {
			s.failf("%s is no friend of %s, and reads %d entries: %v", p.address, o.address, len(reply.Entries), err)
		}
		return
	}
	if err != nil {
		s.failf("%s reads %s: %v", p.address, o.address, err)
	}
	if p.read(o); p.seen[o.account] != uint64(o.acked) {
		s.failf("%s reads %d of %d entries of %s", p.address, p.seen[o.account], o.acked, o.address)
	}
	s.checkWrap(p, o)
}

// checkWrap wants a friend to have the key that the author made.
func (s *simulation) checkWrap(p, o *simPerson) {
	if p == o {
		return
	}
	w, err := p.at.life.node.As(p.account, p.address.Handle).Wrap(context.Background(), o.account, o.audience, o.content)
	if err != nil || !slices.Contains(o.sealed[o.content][p.account], sealedHash(w.Sealed)) {
		s.failf("%s has not the key that %s made: %v", p.address, o.address, err)
	}
}

// checkFeed wants each entry that may be read once in the feed, and no other.
func (s *simulation) checkFeed(p *simPerson) {
	me := p.at.life.node.As(p.account, p.address.Handle)
	got := map[wire.EntryID]int{}
	for cursor := ""; ; {
		page, err := me.Feed(context.Background(), 7, cursor, "")
		if err != nil {
			s.failf("the feed of %s: %v", p.address, err)
			return
		}
		for _, item := range page.Items {
			got[item.Entry.ID()]++
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	for _, o := range s.order {
		readable := o == p || p.friendship(o).Friendship.State() == wire.StateFriend
		for i, id := range o.made[:o.acked] {
			want := 0
			if readable {
				want = 1
			}
			if got[id] != want {
				s.failf("entry %d of %s is %d times in the feed of %s", i+1, o.address, got[id], p.address)
			}
			delete(got, id)
		}
	}
	if len(got) > 0 {
		s.failf("%d entries in the feed of %s that nobody was told are there", len(got), p.address)
	}
}

// checkStores wants every record of a node to verify.
func (s *simulation) checkStores(n *simNode) {
	_, err := Fsck(context.Background(), FsckOptions{Own: n.own, Copies: n.copies, Found: func(f Finding) {
		if !f.Leftover {
			s.failf("%s: %s: %s", n.name, f.Key, f.Problem)
		}
	}})
	if err != nil {
		s.failf("%s: %v", n.name, err)
	}
}
