package story_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// What a failpoint may be under, beside a kind of deed.
const (
	underBegin = "begin" // a start
	underServe = "serve" // whatever is asked
	underEnd   = "end"   // an end that the operator wants
)

const (
	usualKills  = 60
	faultKills  = 200 // in which a fault has to be found
	faultLooks  = 20  // after so many, copies are compared as well
	couples     = 10
	burstDeeds  = 200 // acknowledged before a kill at random, at most
	burstTimes  = 4   // as many before a failpoint counts as not reached
	calmKills   = 25  // before the other node is the one that is killed
	missedAgain = 20  // times that a failpoint is tried which was not reached
	patience    = 5   // times that a node which lives is asked again

	progressKills = 500
)

// TestCrash loads two nodes, kills one of them with SIGKILL at random moments and
// at each failpoint, starts it again, and compares everything that was ever
// acknowledged: nothing is lost, nothing is there twice. KILLS says how often.
func TestCrash(t *testing.T) {
	undetected(t)
	t.Parallel()
	judged(t, int(number(t, "KILLS", usualKills)), func() *crash { return newCrash(t, without(failpoints(t), onlyDatabase)) })
}

// judged runs a loop and reports what was found.
func judged(t *testing.T, kills int, begin func() *crash) {
	var c *crash
	t.Cleanup(func() { // after the logs of the nodes: what was found stands at the end
		if c != nil {
			c.counts.verdict(t, c.points)
		}
	})
	c = begin()
	c.run(kills)
}

// verdict reports what was found.
func (n *counts) verdict(t testing.TB, points []failpoint) {
	n.print()
	for _, p := range points {
		if n.at[p.name] == 0 {
			t.Errorf("failpoint %s was not reached", p.name)
		}
	}
	if n.fault != nil {
		t.Errorf("after %d kills, the last at %s: %v", n.kills(), n.last, n.fault)
	}
}

// TestCrashNotices makes faults in the code of the node, one at a time, and
// demands that the loop finds them. What a power cut would lose, and a kill does
// not, is not among them: a missing sync.
func TestCrashNotices(t *testing.T) {
	if os.Getenv("KILLS") == "" {
		t.Skip("takes minutes: run make crash")
	}
	for _, f := range crashFaults(t) {
		t.Run(f.name, func(t *testing.T) {
			c := newCrash(t, without(failpoints(t), onlyDatabase), f.removal)
			if len(f.places) > 0 {
				c.points, c.counts.aimed = f.places, true
				c.bins = c.bins[1:] // which dies between any two changes of an Apply, too
			}
			for kills := faultLooks; c.counts.fault == nil && kills <= faultKills; kills += faultLooks {
				c.run(kills)
			}
			if c.counts.fault == nil {
				t.Fatalf("%s: %s: not found in %d kills", f.list, f, c.counts.kills())
			}
			fmt.Printf("%s: found after %d kills, at %s: %.300v\n", f, c.counts.kills(), c.counts.last, c.counts.fault)
		})
	}
}

// A crash is two nodes that are killed in turn, and the people on them.
type crash struct {
	testing.TB
	points  []failpoint
	nodes   [2]*server
	bins    []string             // of the victim, chosen at each start
	places  map[*server][]string // variables that say where their records are
	victim  *server              // the one that is killed
	hubs    [2]*witness
	readers [2]*hub
	couples []*couple
	people  map[wire.AccountID]*witness
	counts  *counts
	before  int                               // acknowledged by the nodes that were there before these
	whole   int                               // so many were acknowledged when everything was compared last
	logs    map[*server]keyservice.Checkpoint // as they were seen last
	deeds   int                               // acknowledged before a kill at random, at most
	passes  int                               // of a failpoint, at most
	life    int                               // kills before the nodes are given up for others, 0 for never
}

// newCrash starts two nodes, which may keep few copies: three couples on each, and
// the others over both.
func newCrash(t testing.TB, points []failpoint, faults ...removal) *crash {
	var pairs [][2]int
	for i := range couples {
		pair := [2]int{i % 2, i % 2}
		if i%5 > 2 {
			pair = [2]int{0, 1}
		}
		pairs = append(pairs, pair)
	}
	c := loadedCrash(t, points, pairs, func(s *server) error {
		s.flags = append(s.flags, "--copies-max-bytes", "1MiB") // so that they are trimmed, and fetched again
		return nil
	})
	built := slices.Concat(changesOf(t, quickList), faults)
	c.bins = []string{buildCrash(t, points, built...), buildCrash(t, points, slices.Concat(built, changesOf(t, apartList))...)}
	return c
}

// loadedCrash is newCrash with a couple for each pair of nodes, and without the builds
// that kill themselves. Each node is first given to arrange.
func loadedCrash(t testing.TB, points []failpoint, pairs [][2]int, arrange func(*server) error) *crash {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	c := &crash{TB: t, points: points, people: map[wire.AccountID]*witness{}, counts: newCounts(), places: map[*server][]string{}, logs: map[*server]keyservice.Checkpoint{}, deeds: burstDeeds, passes: math.MaxInt}
	dir := t.TempDir()
	for i := range c.nodes {
		s := must(newServer(built(t), dir, fmt.Sprint("node", i)))
		s.flags = []string{"--proxies", "127.0.0.1"}
		must(0, arrange(s))
		c.places[s] = s.env
		must(0, s.start())
		c.nodes[i] = s
	}
	t.Cleanup(c.end)
	for i, s := range c.nodes {
		c.hubs[i] = c.witnessed(newMember(t, s, "hub"))
		c.readers[i] = &hub{c.hubs[i], map[wire.AccountID]uint64{}}
	}
	var members []*member
	for i, of := range pairs {
		left, right := c.nodes[of[0]], c.nodes[of[1]]
		pair := [2]*witness{c.witnessed(newMember(t, left, fmt.Sprint("ada", i))), c.witnessed(newMember(t, right, fmt.Sprint("bob", i)))}
		members = append(members, pair[0].member, pair[1].member)
		c.couples = append(c.couples, &couple{crash: c, people: pair})
	}
	for _, h := range c.hubs {
		h.befriends(members)
	}
	memberClient.CloseIdleConnections()
	c.victim = c.nodes[0]
	return c
}

// witnessed makes a witness of a member who has published one entry.
func (c *crash) witnessed(m *member) *witness {
	w := &witness{
		member: m, open: []opened{}, wrapped: map[wire.AccountID]wire.Hash{}, made: map[wire.FriendKind]wire.Signed{},
		vaults: []wire.Hash{m.vault.Hash(wire.LabelVaultHead)},
	}
	var stream wire.StreamReply
	m.ask("GET", w.streamPath("limit=1"), nil, &stream)
	w.entries = []evidence{{stream.Entries[0].ID(), sumOf(stream.Entries[0]), 0}}
	var vault wire.VaultReply
	m.ask("GET", wire.PathVault, nil, &vault)
	w.slots, w.sealed = vault.Record.Slots, wire.VaultHash(vault.Record.Vault)
	var session wire.SessionReply
	m.ask("GET", wire.PathSession, nil, &session)
	w.open = append(w.open, opened{m.token, session.Expires})
	c.people[m.account] = w
	return w
}

// end closes what is open.
func (c *crash) end() {
	for _, w := range c.people {
		w.hangUp()
	}
	for _, s := range c.nodes {
		if err := s.kill(); err != nil {
			c.Error(err)
		}
		if c.Failed() || c.counts.fault != nil {
			c.Logf("log of %s:\n%s", s.name, s.tail())
		}
	}
}

// run kills until it has happened so often and each failpoint was reached, or
// until there is a fault, or the nodes have had their life.
func (c *crash) run(kills int) {
	for _, s := range c.nodes {
		must(0, s.stop())
		s.bin = c.bins[0]
	}
	must(0, c.other().start())
	calm, born := 0, c.counts.kills()
	for !c.counts.enough(kills, c.points) && (c.life == 0 || c.counts.kills() < born+c.life) {
		p := c.counts.next(kills, c.points)
		if calm++; calm > calmKills && p.under != underBegin {
			calm = 0
			if c.swap(); c.counts.fault != nil {
				break // the victim lives: nobody takes its place
			}
		}
		before := c.counts.at[p.name]
		c.note(c.round(p))
		if c.counts.at[p.name] == before {
			c.counts.missed[p.name]++
		}
		if done := c.counts.kills(); done%progressKills == 0 {
			fmt.Printf("%d kills, %d acknowledged, after %s\n", done, c.counts.all(), time.Since(c.counts.start).Round(time.Second))
		}
	}
	if c.counts.fault == nil {
		must(0, c.begin())
		must(0, c.victim.serves())
		c.note(c.curtain())
	}
}

// note keeps the first fault.
func (c *crash) note(err error) {
	if err != nil && c.counts.fault == nil {
		c.counts.fault = err
	}
}

// swap lets the other node be the victim from now on.
func (c *crash) swap() {
	must(0, c.begin())
	must(0, c.victim.serves())
	if c.note(c.check(c.victim)); c.counts.fault != nil {
		return
	}
	c.victim = c.other()
	c.hangUp()
	must(0, c.victim.stop())
}

// other is the node that is not killed.
func (c *crash) other() *server { return c.nodes[1-slices.Index(c.nodes[:], c.victim)] }

// begin starts the victim, one of two builds of it, with variables.
func (c *crash) begin(env ...string) error {
	c.hangUp()
	c.victim.bin = c.bins[rand.IntN(len(c.bins))]
	c.victim.env = slices.Concat(c.places[c.victim], env)
	return c.victim.begin()
}

// hangUp closes what is left of connections to the victim.
func (c *crash) hangUp() {
	for _, w := range c.people {
		if w.home == c.victim {
			w.hangUp()
		}
	}
}

// round starts the victim, compares, loads it, and sees it die.
func (c *crash) round(p failpoint) error {
	c.counts.last = p.name
	passes := min(max(p.passes, 1), c.passes)
	if c.counts.missed[p.name] > 0 {
		passes = 1 // it is passed by seldom
	}
	if err := c.begin(fmt.Sprintf("%s=%s:%d", failpointVariable, p.name, 1+rand.IntN(passes))); err != nil {
		return err
	}
	if p.name == "random" && rand.IntN(8) == 0 {
		time.Sleep(rand.N(20 * time.Millisecond)) // somewhere in the start
		c.counts.died("random")
		return c.victim.kill()
	}
	if err := c.victim.serves(); err != nil {
		return c.died(p.name, err)
	}
	err := c.check(c.victim)
	if errors.Is(err, errGone) {
		if end := c.victim.ended(); c.died(p.name, end) != nil {
			return fmt.Errorf("%w: %v", err, end)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return c.burst(p)
}

// died counts a death of the victim: err says how it ended.
func (c *crash) died(at string, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the node did not die at %s, but: %w\n%s", at, err, c.victim.tail())
	}
	c.counts.died(at)
	return nil
}

// ended waits for the end of a process that ends by itself.
func (s *server) ended() error {
	if s.cmd == nil {
		return errors.New("it has ended before")
	}
	select {
	case err := <-s.end:
		s.cmd = nil
		return err
	case <-time.After(nodeStarts):
		return errors.New("it does not end")
	}
}

// A burst is what is done between a start and a kill.
type burst struct {
	under string
	left  atomic.Int64  // deeds before kill
	kill  chan struct{} // closed when none is left
	ended atomic.Bool
	until int64 // how far left may fall
}

func (b *burst) over() bool { return b.ended.Load() }

func (b *burst) done() {
	switch left := b.left.Add(-1); {
	case left == 0:
		close(b.kill)
	case left == b.until:
		b.ended.Store(true)
	}
}

// burst loads both nodes until the victim is dead.
func (c *crash) burst(p failpoint) error {
	b := &burst{under: p.under, kill: make(chan struct{}), until: -int64(burstTimes * c.deeds)}
	after := 1 + rand.Int64N(int64(c.deeds))
	if p.name != "random" && p.under != underEnd {
		after = int64(burstTimes * c.deeds)
	}
	b.left.Store(after)
	errs := make([]error, len(c.couples))
	var all sync.WaitGroup
	for i, one := range c.couples {
		all.Go(func() {
			defer b.ended.Store(true) // if this one saw it dead, so will all
			errs[i] = one.work(b)
		})
	}
	err := c.slay(p, b)
	b.ended.Store(true)
	all.Wait()
	for _, one := range errs {
		if one != nil && !errors.Is(one, errGone) {
			err = errors.Join(err, one)
		}
	}
	return err
}

// slay kills the victim, or waits until it has killed itself.
func (c *crash) slay(p failpoint, b *burst) error {
	select {
	case err := <-c.victim.end:
		c.victim.cmd = nil
		return c.died(p.name, err)
	case <-b.kill:
	case <-time.After(nodeStarts):
	}
	if p.under == underEnd {
		if err := c.victim.cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		err := c.victim.ended()
		if err == nil {
			return nil // in order: this end did not pass there, since nobody had read a copy, say
		}
		return c.died(p.name, err)
	}
	time.Sleep(rand.N(2 * time.Millisecond)) // somewhere in what is under way
	c.counts.died("random")
	return c.victim.kill()
}

// check compares what the people of a node were told with what it has. A node that
// lives and has not answered, because the machine is far too busy, is asked again.
func (c *crash) check(s *server) error {
	for left := patience; ; left-- {
		if err := c.compare(s); left == 0 || !errors.Is(err, errGone) || len(s.end) > 0 {
			return err
		}
	}
}

// compare sends what got no answer, and compares what is new, or all when there is a
// quarter more of it.
func (c *crash) compare(s *server) error {
	all := c.counts.all() - c.before
	whole := all > c.whole+c.whole/4
	err := c.inCouples(func(one *couple) error {
		if err := one.resolve(); err != nil {
			return err
		}
		for _, w := range one.people {
			if w.home == s {
				if err := w.check(whole); err != nil {
					return err
				}
			}
		}
		return one.checkFriendship(s)
	})
	if err != nil {
		return err
	}
	if err := c.checkLog(s, whole); err != nil {
		return err
	}
	reader := c.readers[slices.Index(c.nodes[:], s)]
	pages := 1
	if whole {
		pages = 20
	}
	if err := reader.checkFeed(c.people, pages); err != nil {
		return err
	}
	for _, one := range c.couples {
		for _, w := range one.people {
			if w.home == s {
				if err := reader.checkWrap(w); err != nil {
					return err
				}
			}
		}
	}
	if whole {
		c.whole = all
	}
	return nil
}

// inCouples calls do for all couples at once.
func (c *crash) inCouples(do func(*couple) error) error {
	errs := make([]error, len(c.couples))
	var all sync.WaitGroup
	for i, one := range c.couples {
		all.Go(func() { errs[i] = do(one) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// curtain compares everything, on both nodes, and waits until they agree.
func (c *crash) curtain() error {
	for _, s := range c.nodes {
		c.whole = 0
		if err := c.check(s); err != nil {
			return err
		}
	}
	if err := c.inCouples((*couple).agree); err != nil {
		return err
	}
	for _, one := range c.couples {
		for _, w := range one.people {
			for _, h := range c.readers {
				if h.home == w.home {
					continue
				}
				if err := h.catchesUp(w); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// counts are the figures of a run.
type counts struct {
	start time.Time
	at    map[string]int // deaths, by failpoint
	last  string
	fault error

	aimed  bool           // nobody is killed at random
	turn   int            // of the failpoints
	missed map[string]int // how often one was tried and not reached

	mu           sync.Mutex
	acknowledged map[string]int // by kind of deed
	taken        int            // deeds without an answer that were done
	untaken      int
}

func newCounts() *counts {
	return &counts{start: time.Now(), at: map[string]int{}, missed: map[string]int{}, acknowledged: map[string]int{}}
}

// enough reports whether there is a fault, or nothing is left to do.
func (n *counts) enough(kills int, points []failpoint) bool {
	return n.fault != nil || n.kills() >= kills && n.open(points) < 0
}

// open finds a failpoint that was not reached, nor tried in vain too often; -1 if
// there is none.
func (n *counts) open(points []failpoint) int {
	return slices.IndexFunc(points, func(p failpoint) bool { return n.at[p.name] == 0 && n.missed[p.name] < missedAgain })
}

// next chooses where to kill: by turns at random and at the next failpoint, or only
// there, and after so many kills at those that were not reached.
func (n *counts) next(kills int, points []failpoint) failpoint {
	switch {
	case n.kills() >= kills:
		return points[n.open(points)]
	case (n.aimed || n.kills()%2 == 0) && len(points) > 0:
		n.turn++
		return points[(n.turn-1)%len(points)]
	}
	return failpoint{name: "random", under: underServe}
}

func (n *counts) died(at string) { n.at[at]++ }

func (n *counts) kills() (sum int) {
	for _, count := range n.at {
		sum += count
	}
	return sum
}

func (n *counts) acknowledge(kind string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.acknowledged[kind]++
}

func (n *counts) resolve(taken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if taken {
		n.taken++
	} else {
		n.untaken++
	}
}

func (n *counts) all() (sum int) {
	for _, count := range n.acknowledged {
		sum += count
	}
	return sum
}

// print writes the row of docs/reliability.md.
func (n *counts) print() {
	faults := map[string]int{}
	tally(n.fault, faults)
	tabulate("Kills", []any{"kills", "at random", "at failpoints", "acknowledged", "lost", "doubled", "without an answer: done", "not done", "time"},
		[]any{n.kills(), n.at["random"], n.kills() - n.at["random"], n.all(), faults[lost], faults[doubled], n.taken, n.untaken, time.Since(n.start)})
	var kinds []string
	for _, kind := range deedKinds {
		kinds = append(kinds, fmt.Sprintf("%s %s", kind, thousands(n.acknowledged[kind])))
	}
	fmt.Println("Acknowledged:", strings.Join(kinds, ", "))
}

// tally counts the faults in an error by their kinds.
func tally(err error, kinds map[string]int) {
	switch e := err.(type) {
	case *fault:
		kinds[e.kind]++
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			tally(one, kinds)
		}
	}
}
