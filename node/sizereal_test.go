package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// Kinds of requests between nodes.
const (
	sizeNotice = iota
	sizeSync
	sizeKeys
	sizeFriendship
	sizeDocument
	sizeKinds
)

var sizePaths = [sizeKinds]string{wire.PathPeerNotices, wire.PathPeerSync, wire.PathPeerKeys, wire.PathPeerFriends, wire.PathDocument}

// sizePostBytes is the ciphertext of a post of 600 bytes, as client seals it.
const sizePostBytes = 1096

// A sizeTally is how many requests were answered, and the bytes of both, with their
// heads, as HTTP/1.1 has them.
type sizeTally struct{ requests, bytes, heads int64 }

func (a *sizeTally) add(heads, bodies int64) {
	a.requests, a.bytes, a.heads = a.requests+1, a.bytes+heads+bodies, a.heads+heads
}

// A sizeNode is what was counted at a node.
type sizeNode struct {
	sent, took        [sizeKinds]sizeTally
	vain              int64 // requests that did not get there
	copies, copyBytes int64 // entries of others that were stored, and their records

	// The model alone counts these.
	rounds  sizeTally // of what was sent and taken to sync, in rounds
	streams int64     // of others that are followed
	busiest int       // requests in a minute, sent and taken, but for those of rounds
}

// A sizePost is what came of a post.
type sizePost struct {
	who            int32
	seq            uint64
	at             time.Duration
	nodes, readers int   // elsewhere
	notices        int   // that brought it
	bytes          int64 // of these and their answers, where one brought several their share
	copies         int
}

// sizeCounts are what was counted in a network.
type sizeCounts struct {
	net   *sizeNet
	nodes []sizeNode
	posts []sizePost
	by    map[sizeEntry]int // of posts
}

type sizeEntry struct {
	who int32
	seq uint64
}

func newSizeCounts(n *sizeNet) *sizeCounts {
	return &sizeCounts{net: n, nodes: make([]sizeNode, n.nodes), by: map[sizeEntry]int{}}
}

// posted counts a post, before anybody is told.
func (c *sizeCounts) posted(who int32, seq uint64, at time.Duration) {
	nodes, readers := c.net.nodesOf(who)
	one := sizePost{who: who, seq: seq, at: at, nodes: len(nodes)}
	for _, r := range readers {
		one.readers += r
	}
	c.by[sizeEntry{who, seq}] = len(c.posts)
	c.posts = append(c.posts, one)
}

// A sizeWorld is a network of real nodes that are counted at what carries their
// requests.
type sizeWorld struct {
	*simulation
	net    *sizeNet
	people []*testPerson
	number map[wire.AccountID]int32
	down   []bool
	head   int64 // bytes of the head of an answer, but for the digits of its length
	jitter jitter

	counting sync.Mutex
	counts   *sizeCounts // nil before the first deed
}

// playSize lets real nodes play a network in virtual time.
func playSize(t *testing.T, n *sizeNet) (c *sizeCounts) {
	head := sizeHead()
	synctest.Test(t, func(t *testing.T) {
		w := newSizeWorld(t, n, head)
		defer func() {
			w.close()
			for _, f := range w.failed {
				t.Error(f)
			}
		}()
		w.play()
		c = w.counts
	})
	return c
}

// sizeHead measures the head of an answer.
func sizeHead() int64 {
	var c fasthttp.RequestCtx
	send(&c, reply{status: http.StatusOK, contentType: wire.MediaJSON, body: []byte("{}")})
	c.Response.Header.SetContentLength(1)
	date := "Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n" // which fasthttp adds when it writes
	head := c.Response.Header.String()
	if !strings.Contains(head, "Date: ") {
		head += date
	}
	return int64(len(head)) - 1
}

func newSizeWorld(t testing.TB, n *sizeNet, head int64) *sizeWorld {
	w := &sizeWorld{
		simulation: &simulation{
			t: t, seed: n.seed, plan: simPlan{liar: -1}, byName: map[wire.NodeName]*simNode{},
			people: map[wire.AccountID]*simPerson{}, counts: map[string]int{}, answers: map[string][]simSaid{},
		},
		net: n, number: map[wire.AccountID]int32{}, down: make([]bool, n.nodes), head: head,
	}
	w.start.Store(time.Now().UnixNano())
	w.random = w.dice("keys")
	var chance sync.Mutex
	d := w.dice("jitter")
	w.jitter = func(below time.Duration) time.Duration {
		chance.Lock()
		defer chance.Unlock()
		return time.Duration(d.Int64N(int64(below)))
	}
	for i := range n.nodes {
		one := &simNode{s: w.simulation, index: i, name: sizeName(int32(i)), own: storetest.NewMemory(), copies: storetest.NewMemory()}
		w.nodes, w.byName[one.name] = append(w.nodes, one), one
		clock := newWorldClock()
		clock.live = true
		clock.ms.Store(0)
		one.testNode = &testNode{world: &world{t: t, clock: clock, random: w.random32}}
		w.begin(one)
	}
	for i, home := range n.homes {
		p := w.nodes[home].person(wire.Handle(fmt.Sprintf("p%03d", i)))
		p.first = p.chain()
		w.people, w.number[p.account] = append(w.people, p), int32(i)
	}
	for i, friends := range n.friends {
		for _, f := range friends {
			if int(f) > i {
				w.people[i].befriend(w.people[f])
			}
		}
	}
	time.Sleep(10 * time.Second) // what follows from that is over
	synctest.Wait()
	return w
}

// begin starts a node.
func (w *sizeWorld) begin(n *simNode) {
	log := slog.New(slog.NewTextHandler(simLog{w.simulation, n.name}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	node, err := Open(context.Background(), Options{
		Name: n.name, Own: n.own, Copies: n.copies, Log: log, SyncInterval: w.net.every, transport: sizeLink{w, n}, jitter: w.jitter,
	})
	if err != nil {
		w.failf("%s does not start: %v", n.name, err)
		return
	}
	life := &simLife{node: node, api: &api{node: node, federation: node.federationServer(), log: log}}
	life.ctx, life.kill = context.WithCancel(context.Background())
	n.mu.Lock()
	n.life, n.testNode.Node = life, node
	n.mu.Unlock()
}

// play lets people do what is drawn, and counts from the first deed on.
func (w *sizeWorld) play() {
	before := make([]sizeNode, len(w.nodes))
	for i, n := range w.nodes {
		before[i] = w.stored(n)
	}
	w.counting.Lock()
	w.counts = newSizeCounts(w.net)
	w.counting.Unlock()
	begin := time.Now()
	var trouble, visits sync.WaitGroup
	for _, o := range w.net.outages {
		trouble.Go(func() {
			time.Sleep(o.from)
			w.down[o.node] = true
			w.nodes[o.node].end()
			time.Sleep(o.to - o.from)
			w.down[o.node] = false
			w.begin(w.nodes[o.node])
		})
	}
	for _, d := range w.net.deeds {
		time.Sleep(d.at - time.Since(begin))
		synctest.Wait()
		p := w.people[d.who]
		switch {
		case w.down[w.net.homes[d.who]]:
		case d.visit:
			visits.Go(func() {
				if _, err := p.as().Person.Feed(context.Background(), 1, "", ""); err != nil {
					w.failf("the feed of %s: %v", p.address, err)
				}
			})
		default:
			w.counts.posted(d.who, p.stream.Seq+1, d.at)
			body := make([]byte, sizePostBytes)
			p.publish(p.seal(p.header(wire.KindPost), body))
		}
	}
	time.Sleep(w.net.length - time.Since(begin))
	trouble.Wait()
	visits.Wait()
	time.Sleep(time.Minute) // what is under way arrives
	for i, n := range w.nodes {
		after := w.stored(n)
		w.counts.nodes[i].copies = after.copies - before[i].copies
		w.counts.nodes[i].copyBytes = after.copyBytes - before[i].copyBytes
	}
}

// stored counts entries of others in the store of a node, and how many nodes have each
// post.
func (w *sizeWorld) stored(n *simNode) (c sizeNode) {
	for rec, err := range n.copies.Scan(context.Background(), store.Query{}) {
		if err != nil {
			w.failf("%s: %v", n.name, err)
		}
		parts := strings.Split(rec.Key, "/")
		if parts[0] != "entry" && parts[0] != "id" {
			continue
		}
		c.copyBytes += int64(len(rec.Key) + len(rec.Value))
		if parts[0] == "entry" {
			c.copies++
			w.arrived(parts)
		}
	}
	return c
}

func (w *sizeWorld) arrived(parts []string) {
	account, err := wire.ParseAccountID(parts[1])
	if err != nil || len(parts) != 4 {
		w.failf("an entry has the key %q", parts)
		return
	}
	seq, err := strconv.ParseUint(parts[3], 16, 64)
	if err != nil {
		w.failf("an entry has the key %q", parts)
	}
	if w.counts == nil {
		return
	}
	if i, ok := w.counts.by[sizeEntry{w.number[account], seq}]; ok {
		w.counts.posts[i].copies++
	}
}

// A sizeLink is how one real node reaches the others, all of whom answer if they are
// there.
type sizeLink struct {
	w    *sizeWorld
	from *simNode
}

// RoundTrip implements http.RoundTripper.
func (l sizeLink) RoundTrip(r *http.Request) (*http.Response, error) {
	in := &incoming{method: r.Method, target: r.URL.RequestURI(), begun: time.Now()}
	if r.Body != nil {
		var err error
		if in.body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	head := len(in.method) + len(in.target) + len("  HTTP/1.1\r\n\r\n")
	add := func(name, value string) {
		in.headers = append(in.headers, [2]string{name, value})
		head += len(name) + len(value) + len(": \r\n")
	}
	add("Host", r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			add(name, v)
		}
	}
	if in.method == http.MethodPost {
		add("Content-Length", strconv.Itoa(len(in.body)))
	}
	w := l.w
	to := w.byName[wire.NodeName(r.URL.Host)]
	time.Sleep(w.net.way)
	answer, up := to.serve(in)
	if !up {
		w.count(l.from, to, in, nil, 0)
		return nil, syscall.ECONNREFUSED
	}
	w.count(l.from, to, in, &answer, int64(head))
	time.Sleep(w.net.way)
	return &http.Response{
		StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {answer.contentType}}, Body: io.NopCloser(bytes.NewReader(answer.body)), ContentLength: int64(len(answer.body)),
	}, nil
}

// count counts a request that was answered, or did not get there.
func (w *sizeWorld) count(from, to *simNode, r *incoming, answer *reply, head int64) {
	w.counting.Lock()
	defer w.counting.Unlock()
	if w.counts == nil || r.target == wire.PathWitness { // about people who register, which nobody does here
		return
	}
	sender, taker := &w.counts.nodes[from.index], &w.counts.nodes[to.index]
	if answer == nil {
		sender.vain++
		return
	}
	if answer.status != http.StatusOK {
		w.failf("%s answers %d to %s", to.name, answer.status, r.target)
	}
	head += w.head + int64(len(strconv.Itoa(len(answer.body))))
	bodies := int64(len(r.body) + len(answer.body))
	for kind, path := range sizePaths {
		if r.target == path {
			sender.sent[kind].add(head, bodies)
			taker.took[kind].add(head, bodies)
		}
	}
	if r.target == wire.PathPeerNotices {
		w.noticed(r, head+bodies)
	}
}

// noticed counts what a notice brings.
func (w *sizeWorld) noticed(r *incoming, bytes int64) {
	var q wire.NoticeRequest
	if err := wire.DecodeJSON(r.body, &q); err != nil {
		w.failf("a notice: %v", err)
	}
	var brings []int
	for _, s := range q.Streams {
		for i := range s.Entries {
			if at, ok := w.counts.by[sizeEntry{w.number[s.Author], s.After + uint64(i) + 1}]; ok {
				brings = append(brings, at)
			}
		}
	}
	for _, at := range brings {
		w.counts.posts[at].notices++
		w.counts.posts[at].bytes += bytes / int64(len(brings))
	}
}
