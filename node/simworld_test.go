package node

import (
	"context"
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// A simulation is some whole nodes in one process, with people who write, read,
// become friends and part, in virtual time. A first part is full of trouble, all of
// it drawn from the seed; then all is healed, and a minute later nothing may be
// missing, doubled or left to do.
type simulation struct {
	t      testing.TB
	seed   uint64
	plan   simPlan
	nodes  []*simNode
	byName map[wire.NodeName]*simNode
	people map[wire.AccountID]*simPerson
	order  []*simPerson
	start  atomic.Int64   // ns since 1970
	begun  atomic.Bool    // before, there is no trouble
	work   sync.WaitGroup // what is on its way
	random *rand.Rand     // of keys, before anything else begins

	mu       sync.Mutex
	trace    []simEvent
	counts   map[string]int
	failed   []string
	flying   map[simWay]int // requests on their way, but for those of documents
	most     map[simWay]int // of these at once
	logged   []string
	answers  map[string][]simSaid
	requests []*incoming
}

// A simPlan is what happens, by the seed alone.
type simPlan struct {
	people     int           // of each node
	acquainted bool          // some are friends before
	trouble    time.Duration // how long there is trouble
	pace       time.Duration // between two things that somebody does, on average
	faults     float64       // of requests
	slow       time.Duration // the longest one way
	skews      []time.Duration
	parts      []simPart
	crashes    []simCrash
	liar       int // of nodes, -1 for none
	lies       simSpan
}

// A simSpan is some time since the start.
type simSpan struct{ from, to time.Duration }

var simAlways = simSpan{0, 1000 * time.Hour}

func (s simSpan) has(at time.Duration) bool { return s.from <= at && at < s.to }

// A simPart is when nothing gets from one node to another; from and to may be -1
// for all.
type simPart struct {
	simSpan
	from, to int
	hangs    bool // else connections are refused
}

// A simCrash is when a node ends, and for how long it is away.
type simCrash struct {
	node     int
	at, away time.Duration
	hard     bool          // else it ends gracefully
	dying    time.Duration // how long its stores fail before it ends
}

const (
	simHealing = time.Minute     // in which everything has to be in order again
	simVisit   = 2 * time.Second // between two looks of somebody who is waiting
)

var simNames = []wire.NodeName{"north.example", "south.example", "west.example", "east.example"}

// simName is the name of a node, each under a domain of its own.
func simName(index int) wire.NodeName {
	if index < len(simNames) {
		return simNames[index]
	}
	return wire.NodeName(fmt.Sprintf("node%d.example", index))
}

func simHandle(node, person int) wire.Handle {
	if node < 26 {
		return wire.Handle(fmt.Sprintf("%c%d", 'a'+node, person))
	}
	return wire.Handle(fmt.Sprintf("n%d_%d", node, person))
}

type simEvent struct {
	at   time.Duration
	what string
}

// dice returns what chance there is about something: always the same.
func (s *simulation) dice(about ...any) *rand.Rand {
	h := sha256.Sum256(fmt.Appendln(binary.BigEndian.AppendUint64(nil, s.seed), about...))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])))
}

// drawPlan makes the plan of a seed.
func drawPlan(seed uint64) (p simPlan) {
	d := (&simulation{seed: seed}).dice("plan")
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(d.Int64N(int64(b-a))) }
	nodes := 2 + d.IntN(3)
	p.people = 1 + d.IntN(2)
	if nodes == 2 {
		p.people = 2
	}
	p.acquainted = d.IntN(3) > 0
	p.trouble = between(30*time.Second, 75*time.Second)
	p.pace = between(500*time.Millisecond, 3*time.Second)
	p.faults = []float64{0, 0.05, 0.2, 0.4}[d.IntN(4)]
	p.slow = []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 6 * time.Second}[d.IntN(3)]
	for range nodes {
		p.skews = append(p.skews, between(-9*time.Second, 9*time.Second))
	}
	for range d.IntN(5) {
		from := between(0, p.trouble)
		p.parts = append(p.parts, simPart{
			simSpan: simSpan{from, from + between(0, p.trouble)}, from: d.IntN(nodes+1) - 1, to: d.IntN(nodes+1) - 1, hangs: d.IntN(2) == 0,
		})
	}
	for range d.IntN(4) {
		c := simCrash{node: d.IntN(nodes), at: between(0, p.trouble), away: between(0, p.trouble/2), hard: d.IntN(8) > 0, dying: between(0, 3*time.Second)}
		p.crashes = append(p.crashes, c)
	}
	if p.liar = -1; d.IntN(3) == 0 {
		p.liar = d.IntN(nodes)
		p.lies = simSpan{between(0, p.trouble), p.trouble}
	}
	return p
}

// now is the time since the start.
func (s *simulation) now() time.Duration { return time.Since(time.Unix(0, s.start.Load())) }

// troubled reports whether there is trouble.
func (s *simulation) troubled() bool { return s.begun.Load() && s.now() < s.plan.trouble }

// parted reports whether nothing gets from one node to another.
func (s *simulation) parted(from, to *simNode) (parted, hangs bool) {
	at := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plan.parts {
		if s.troubled() && p.has(at) && (p.from < 0 || p.from == from.index) && (p.to < 0 || p.to == to.index) {
			return true, p.hangs
		}
	}
	return false, false
}

func (s *simulation) lying(n *simNode) bool {
	return s.plan.liar == n.index && s.begun.Load() && s.plan.lies.has(s.now())
}

func (s *simulation) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

func (s *simulation) counted(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

// record notes what everybody who runs the seed again has to see as well.
func (s *simulation) record(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, simEvent{s.now(), fmt.Sprintf(format, args...)})
}

func (s *simulation) failf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, fmt.Sprintf("%v: ", s.now())+fmt.Sprintf(format, args...))
}

// events are what was recorded, in order.
func (s *simulation) events() []simEvent {
	list := slices.Clone(s.trace)
	slices.SortStableFunc(list, func(a, b simEvent) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return strings.Compare(a.what, b.what)
	})
	return list
}

// random32 draws keys and ids, one after the other.
func (s *simulation) random32() (b [32]byte) {
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], s.random.Uint64())
	}
	return b
}

// A simNode is a node that comes and goes.
type simNode struct {
	*testNode // for what people here need, not for calls
	s         *simulation
	index     int
	name      wire.NodeName
	skew      time.Duration
	own       *storetest.Memory
	copies    *storetest.Memory

	dying atomic.Bool

	mu   sync.Mutex
	life *simLife                // nil while it is away
	stub func(path string) reply // who answers for it then; nil for nobody
}

// stands ends a node and leaves somebody in its place who takes all that it is told.
func (n *simNode) stands() {
	n.end()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stub = func(path string) reply {
		if path != wire.PathPeerNotices {
			return problemReply(wire.ProblemOf(wire.Unavailable))
		}
		return reply{status: http.StatusOK, contentType: wire.MediaJSON, body: wire.EncodeJSON(wire.NoticeReply{})}
	}
}

// A simStore makes a part of what it is asked for while its node dies, all or nothing
// of it included, and says that it failed.
type simStore struct {
	store.Store
	n    *simNode
	name string
}

// Apply implements store.Store.
func (d simStore) Apply(ctx context.Context, changes ...store.Change) error {
	if !d.n.dying.Load() {
		return d.Store.Apply(ctx, changes...)
	}
	made := d.n.s.dice("apply", d.n.index, d.name, len(changes), d.n.s.now()).IntN(len(changes) + 1)
	if made > 0 {
		if err := d.Store.Apply(ctx, changes[:made]...); err != nil {
			return err
		}
	}
	return storetest.ErrStopped
}

// A simLife is a node from a start to its end.
type simLife struct {
	node *Node
	api  *api
	ctx  context.Context // ends with it
	kill context.CancelFunc
	busy sync.WaitGroup // requests
}

// enter returns the node as it runs, nil while it is away; busy.Done follows.
func (n *simNode) enter() *simLife {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life != nil {
		n.life.busy.Add(1)
	}
	return n.life
}

// simLog keeps what a node logs, and prints it with -v of one seed.
type simLog struct {
	s    *simulation
	name wire.NodeName
}

// Write implements io.Writer.
func (l simLog) Write(b []byte) (int, error) {
	l.s.mu.Lock()
	l.s.logged = append(l.s.logged, string(l.name)+" "+string(b))
	l.s.mu.Unlock()
	if l.s.loud() {
		l.s.t.Logf("%v %s %s", l.s.now(), l.name, b)
	}
	return len(b), nil
}

func (n *simNode) begin() {
	log := slog.New(slog.NewTextHandler(simLog{n.s, n.name}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	node, err := Open(context.Background(), Options{
		Name: n.name, Own: simStore{n.own, n, "own"}, Copies: simStore{n.copies, n, "copies"}, Log: log,
		Now:       func() time.Time { return time.Now().Add(n.skew) },
		transport: simLink{n.s, n},
		jitter: func(below time.Duration) time.Duration {
			return time.Duration(n.s.dice("jitter", n.index, n.s.now(), below).Int64N(int64(below)))
		},
	})
	if err != nil {
		n.s.failf("%s does not start: %v", n.name, err)
		return
	}
	var key [32]byte // what a flipped bit makes of a state is the same again
	for i, d := 0, n.s.dice("states", n.index, n.s.now()); i < len(key); i += 8 {
		binary.BigEndian.PutUint64(key[i:], d.Uint64())
	}
	node.states = must(aes.NewCipher(key[:]))
	life := &simLife{node: node, api: &api{node: node, federation: node.federationServer(), log: log}}
	life.ctx, life.kill = context.WithCancel(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = life
}

// end ends the node as a killed process does: what is under way fails.
func (n *simNode) end() {
	n.mu.Lock()
	life := n.life
	n.life = nil
	n.mu.Unlock()
	if life == nil {
		return
	}
	life.kill()
	life.busy.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := life.node.Close(ctx); err != nil {
		n.s.failf("%s does not end: %v", n.name, err)
	}
}

// crash ends the node in the middle of something, and starts it again later.
func (n *simNode) crash(c simCrash) {
	if c.hard {
		n.dying.Store(true)
		time.Sleep(c.dying)
	}
	n.end()
	n.s.count("crashes")
	n.dying.Store(false)
	time.Sleep(min(c.away, n.s.plan.trouble-n.s.now()))
	n.begin()
}

// newSimulation opens the nodes of a plan, with their people.
func newSimulation(t testing.TB, seed uint64, plan simPlan) *simulation {
	s := &simulation{
		t: t, seed: seed, plan: plan, byName: map[wire.NodeName]*simNode{}, people: map[wire.AccountID]*simPerson{},
		counts: map[string]int{}, answers: map[string][]simSaid{}, flying: map[simWay]int{}, most: map[simWay]int{},
	}
	s.start.Store(time.Now().UnixNano())
	s.random = s.dice("keys")
	for i, skew := range s.plan.skews {
		n := &simNode{s: s, index: i, name: simName(i), skew: skew, own: storetest.NewMemory(), copies: storetest.NewMemory()}
		s.nodes, s.byName[n.name] = append(s.nodes, n), n
		n.begin()
		clock := newWorldClock()
		clock.live = true
		clock.ms.Store(s.dice("people", i).Int64N(100_000) - 50_000)
		n.testNode = &testNode{Node: n.life.node, world: &world{t: t, clock: clock, random: s.random32}}
		for j := range s.plan.people {
			p := n.settle(simHandle(i, j))
			s.people[p.account], s.order = p, append(s.order, p)
		}
	}
	d := s.dice("friends")
	for i, p := range s.order {
		for _, o := range s.order[i+1:] {
			if s.plan.acquainted && d.IntN(2) == 0 {
				p.befriends(o)
			}
		}
	}
	time.Sleep(time.Second) // what follows from that is over
	synctest.Wait()
	s.start.Store(time.Now().UnixNano())
	s.begun.Store(true)
	s.trace = nil
	return s
}

// run plays the seed, heals everything and looks at what has come of it.
func (s *simulation) run() {
	defer s.close()
	var trouble sync.WaitGroup
	for i, n := range s.nodes {
		trouble.Go(func() {
			for _, c := range s.plan.crashesOf(i) {
				if wait := c.at - s.now(); wait > 0 {
					time.Sleep(wait)
					n.crash(c)
				}
			}
		})
	}
	if s.plan.liar >= 0 {
		trouble.Go(func() { s.intrigue(s.nodes[s.plan.liar]) })
	}
	for _, p := range s.order {
		trouble.Go(p.live)
	}
	trouble.Wait()
	time.Sleep(s.plan.trouble + simHealing - s.now())
	s.check()
}

func (p *simPlan) crashesOf(node int) []simCrash {
	var list []simCrash
	for _, c := range p.crashes {
		if c.node == node {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b simCrash) int { return int(a.at - b.at) })
	return list
}

// intrigue lets the liar send what others have said.
func (s *simulation) intrigue(n *simNode) {
	d := s.dice("intrigue")
	time.Sleep(s.plan.lies.from)
	for s.troubled() {
		n.meddle(d)
		time.Sleep(time.Duration(d.Int64N(int64(4 * time.Second))))
	}
}

func (s *simulation) close() {
	for _, n := range s.nodes {
		n.end()
	}
	s.work.Wait()
}

// story is all that is needed to understand a failure.
func (s *simulation) story() string {
	counts := slices.Sorted(maps.Keys(s.counts))
	for i, c := range counts {
		counts[i] = fmt.Sprintf("%s %d", c, s.counts[c])
	}
	return fmt.Sprintf("%d nodes, %+v\n%s", len(s.nodes), s.plan, strings.Join(counts, ", "))
}

var _ http.RoundTripper = simLink{}
