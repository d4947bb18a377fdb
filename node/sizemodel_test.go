package node

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A sizeModel is a network of nodes of which only what they tell each other is played:
// by the real outboxes, batches, waits and limits, as events in virtual time. What it
// says of the bytes comes from the real encoders and a measurement of two real nodes
// (sizebytes_test.go). Rounds of pulls that bring nothing are not played one by one,
// but counted: of a day of 1,000 nodes there are ten thousand million.
//
// It leaves out what has no part in the counts of a good day: clocks, faults but for
// nodes that are away, friendships that change, epochs.
type sizeModel struct {
	*sizeNet
	bytes  *sizeBytes
	random *rand.Rand
	jitter jitter
	every  time.Duration
	now    time.Duration
	queue  sizeQueue
	events uint64
	nodes  []modelNode
	people []modelPerson
	pairs  []modelPair // of whoever asks and whoever is asked
	counts *sizeCounts
}

type modelPerson struct {
	seq    uint64
	places []modelPlace
}

// A modelPlace is a node with readers of somebody, and how far its copy goes.
type modelPlace struct {
	node int32
	seq  uint64
}

type modelNode struct {
	away    bool
	lives   int // how often it was started: what a life began ends with it
	boxes   map[int32]*modelBox
	places  modelPlaces
	retries modelPlaces
	asking  map[int32]bool
	lacks   map[int32]map[int32]bool // people of a node of whom something was told in vain
	total   float64                  // requests of a round
	rounds  float64                  // of pulls that were asked, so far
	rate    int                      // requests in this minute
	fetched []modelFetched           // documents, the oldest first
	pulled  time.Duration            // when the last round began
}

type modelFetched struct {
	node int32
	at   time.Duration
}

// modelPlaces are for nodes that are told at once.
type modelPlaces struct {
	used, most int
	waiting    []func()
}

// A modelBox is a real outbox, but for its timer.
type modelBox struct {
	outbox
	failing bool
	since   time.Duration
	try     int // the timer of an earlier one is of no use
	timer   bool
}

// A modelPair is what one node asks another.
type modelPair struct {
	streams, readers int32
	requests         int32 // of a pull of all
	bytes, heads     int64 // of these
	base             float64
	pulled           time.Duration // by somebody who waited, or because there was more
	synced           bool          // what changed is asked for
	foreign          bool          // and cannot be told
	changed          int64         // streams that did, since somebody asked
}

// round is what a pull takes in a round: mostly to ask what changed.
func (p *modelPair) round(m *sizeModel) (requests, bytes, heads float64) {
	full := min(1, float64(m.every)/float64(syncInFull))
	head := float64(m.bytes.heads[sizeSync])
	requests = full*float64(p.requests) + 1 - full
	bytes = full*float64(p.bytes) + (1-full)*(head+float64(m.bytes.since(0)))
	return requests, bytes, requests * head
}

// A sizeEvent happens at a time, those of the same in the order in which they were
// planned.
type sizeEvent struct {
	at time.Duration
	n  uint64
	do func()
}

type sizeQueue []sizeEvent

func (q sizeQueue) Len() int      { return len(q) }
func (q sizeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q sizeQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q *sizeQueue) Push(x any) { *q = append(*q, x.(sizeEvent)) }
func (q *sizeQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// after plans an event.
func (m *sizeModel) after(d time.Duration, do func()) {
	m.events++
	heap.Push(&m.queue, sizeEvent{m.now + d, m.events, do})
}

// until plays what is planned up to a time.
func (m *sizeModel) until(t time.Duration) {
	for len(m.queue) > 0 && m.queue[0].at <= t {
		e := heap.Pop(&m.queue).(sizeEvent)
		m.now = e.at
		e.do()
	}
	m.now = t
}

// playModel plays a network in the model.
func playModel(n *sizeNet, b *sizeBytes) *sizeCounts {
	m := newSizeModel(n, b)
	for node := range int32(len(m.nodes)) {
		m.start(node, m.jitter(m.every))
	}
	for _, o := range n.outages {
		m.after(o.from, func() { m.end(o.node) })
		m.after(o.to, func() { m.back(o.node) })
	}
	m.minute()
	for _, d := range n.deeds {
		m.until(d.at)
		home := &m.nodes[n.homes[d.who]]
		switch {
		case home.away:
		case d.visit:
			m.visit(d.who)
		default:
			m.post(d.who)
		}
	}
	m.until(n.length + time.Minute)
	for node := range int32(len(m.nodes)) {
		m.settleNode(node)
	}
	return m.counts
}

func newSizeModel(n *sizeNet, b *sizeBytes) *sizeModel {
	m := &sizeModel{
		sizeNet: n, bytes: b, random: rand.New(rand.NewPCG(n.seed, 9)), every: n.every, counts: newSizeCounts(n),
		nodes: make([]modelNode, n.nodes), people: make([]modelPerson, n.people), pairs: make([]modelPair, n.nodes*n.nodes),
	}
	m.jitter = func(below time.Duration) time.Duration { return time.Duration(m.random.Int64N(int64(below))) }
	if m.every == 0 {
		m.every = newNode(Options{}).every
	}
	for who := range m.people {
		m.people[who].seq = 1 // the first epoch
	}
	for first := 0; first < n.people; {
		first = m.follow(first)
	}
	for i := range m.nodes {
		one := &m.nodes[i]
		one.places.most, one.retries.most = noticePlaces, noticeRetries
		one.boxes, one.asking, one.lacks = map[int32]*modelBox{}, map[int32]bool{}, map[int32]map[int32]bool{}
		for peer := range int32(n.nodes) {
			if p := m.pair(int32(i), peer); p.requests > 0 {
				p.synced, p.foreign = true, true // people have just become friends
				requests, _, _ := p.round(m)
				one.total += requests
				m.counts.nodes[i].streams += int64(p.streams)
				age := time.Duration(m.random.Int64N(int64(10 * time.Second)))
				one.fetched = append(one.fetched, modelFetched{peer, -age})
			}
		}
		slices.SortFunc(one.fetched, func(a, b modelFetched) int { return int(a.at - b.at) })
	}
	return m
}

// follow finds out what others ask the node of a person, who is its first, about. It
// returns the first of the next.
func (m *sizeModel) follow(first int) int {
	home := m.homes[first]
	lists := make([][]followed, len(m.nodes))
	var all [wire.MaxWraps]wire.AccountID
	for ; first < len(m.people) && m.homes[first] == home; first++ {
		nodes, readers := m.nodesOf(int32(first))
		for i, node := range nodes {
			m.people[first].places = append(m.people[first].places, modelPlace{node, 1})
			lists[node] = append(lists[node], followed{readers: all[:readers[i]]})
		}
	}
	for node, list := range lists {
		m.pair(int32(node), home).ask(m.bytes, list)
	}
	return first
}

// ask finds out what a pull takes.
func (p *modelPair) ask(b *sizeBytes, list []followed) {
	for len(list) > 0 {
		var batch []followed
		batch, list = cutBatch(list)
		streams, readers := int64(len(batch)), int64(0)
		for _, f := range batch {
			readers += int64(len(f.readers))
		}
		body := b.sync(streams, readers)
		p.streams, p.readers, p.requests = p.streams+int32(streams), p.readers+int32(readers), p.requests+1
		p.heads += b.heads[sizeSync]
		p.bytes += b.heads[sizeSync] + body
	}
}

func (m *sizeModel) pair(asks, asked int32) *modelPair {
	return &m.pairs[int(asks)*len(m.nodes)+int(asked)]
}

func (m *sizeModel) place(who, node int32) *modelPlace {
	places := m.people[who].places
	i, _ := slices.BinarySearchFunc(places, node, func(p modelPlace, node int32) int { return int(p.node - node) })
	return &places[i]
}

// count counts a request that was answered.
func (m *sizeModel) count(from, to int32, kind int, heads, bodies int64) {
	m.counts.nodes[from].sent[kind].add(heads, bodies)
	m.counts.nodes[to].took[kind].add(heads, bodies)
	m.nodes[from].rate++
	m.nodes[to].rate++
}

// nameOf is how outboxes call somebody's stream.
func nameOf(who int32) (s streamName) {
	binary.BigEndian.PutUint32(s.author[:], uint32(who))
	return s
}

func whoIs(s streamName) int32 { return int32(binary.BigEndian.Uint32(s.author[:])) }

// post lets somebody post: the nodes of their friends are told.
func (m *sizeModel) post(who int32) {
	p := &m.people[who]
	p.seq++
	m.counts.posted(who, p.seq, m.now)
	for i := range p.places {
		m.tellOf(m.homes[who], p.places[i].node, nameOf(who), untold{after: p.seq - 1})
	}
}

func (m *sizeModel) box(node, peer int32) *modelBox {
	b := m.nodes[node].boxes[peer]
	if b == nil {
		b = &modelBox{outbox: outbox{streams: map[streamName]*untold{}}}
		m.nodes[node].boxes[peer] = b
	}
	return b
}

func (m *sizeModel) tellOf(node, peer int32, name streamName, news untold) {
	b := m.box(node, peer)
	b.add(name, news)
	m.begin(node, peer, b)
}

func (m *sizeModel) tellMore(node, peer int32) {
	b := m.box(node, peer)
	b.more = true
	m.begin(node, peer, b)
}

// begin waits for a place to tell a node what waits for it.
func (m *sizeModel) begin(node, peer int32, b *modelBox) {
	if b.busy || b.empty() {
		return
	}
	b.busy = true
	places := &m.nodes[node].places
	if b.failing {
		places = &m.nodes[node].retries
	}
	tell := func() { m.tellAll(node, peer, b, places) }
	if places.used == places.most {
		places.waiting = append(places.waiting, tell)
		return
	}
	places.used++
	tell()
}

func (p *modelPlaces) leave() {
	if len(p.waiting) == 0 {
		p.used--
		return
	}
	next := p.waiting[0]
	p.waiting = p.waiting[1:]
	next()
}

// A modelNotice is what a node is told.
type modelNotice struct {
	from, to int32
	names    []streamName
	news     []untold
	after    []uint64 // of each
	entries  []uint64 // of each
	more     bool
}

// tellAll tells a node until nothing waits, or it cannot be told.
func (m *sizeModel) tellAll(node, peer int32, b *modelBox, places *modelPlaces) {
	if b.empty() {
		delete(m.nodes[node].boxes, peer)
		places.leave()
		return
	}
	n := &modelNotice{from: node, to: peer}
	n.names, n.news, n.more = b.take()
	room := int64(noticeBytes)
	for i, name := range n.names {
		new := m.people[whoIs(name)].seq - n.news[i].after
		entries := min(new, uint64(max(room+m.bytes.entrySize-1, 0)/m.bytes.entrySize))
		room -= int64(entries) * m.bytes.entrySize
		n.after, n.entries = append(n.after, n.news[i].after), append(n.entries, entries)
		n.more = n.more || entries < new
	}
	life := m.nodes[node].lives
	m.after(m.way, func() {
		if m.nodes[node].lives != life { // who told is not there any more
			for _, name := range n.names {
				m.lack(peer, node, whoIs(name))
			}
			return
		}
		if m.nodes[peer].away {
			m.counts.nodes[node].vain++
			m.tellAgain(n, b)
			places.leave()
			return
		}
		m.take(n)
		m.after(m.way, func() {
			if m.nodes[node].lives == life {
				b.failing, b.wait = false, 0
				m.tellAll(node, peer, b, places)
			}
		})
	})
}

// tellAgain puts back what a node could not be told, and tries again later.
func (m *sizeModel) tellAgain(n *modelNotice, b *modelBox) {
	if !b.failing {
		b.failing, b.since = true, m.now
	}
	b.more = b.more || n.more
	for i, name := range n.names {
		b.add(name, n.news[i])
	}
	longest := noticeLast
	for name := range b.streams {
		m.lack(n.to, n.from, whoIs(name))
	}
	if m.now-b.since >= noticeParkAt {
		longest = noticeParked
		b.streams, b.order, b.more = map[streamName]*untold{}, nil, true
	}
	b.wait = m.jitter.grow(b.wait, noticeFirst, longest)
	b.timer = true
	b.try++
	try, life := b.try, m.nodes[n.from].lives
	m.after(b.wait, func() {
		if b.timer && b.try == try && m.nodes[n.from].lives == life {
			m.again(n.from, n.to, b)
		}
	})
}

func (m *sizeModel) again(node, peer int32, b *modelBox) {
	b.busy, b.timer = false, false
	m.begin(node, peer, b)
}

// heard lets a node be tried at once that could not be told something.
func (m *sizeModel) heard(node, peer int32) {
	if b := m.nodes[node].boxes[peer]; b != nil && b.timer {
		m.again(node, peer, b)
	}
}

// lack notes that a node misses something of somebody.
func (m *sizeModel) lack(node, home, who int32) {
	l := m.nodes[node].lacks
	if l[home] == nil {
		l[home] = map[int32]bool{}
	}
	l[home][who] = true
}

// take takes a notice in.
func (m *sizeModel) take(n *modelNotice) {
	m.heard(n.to, n.from)
	ask, brought := n.more, uint64(0)
	for i, name := range n.names {
		who, last := whoIs(name), n.after[i]+n.entries[i]
		brought += n.entries[i]
		at := m.place(who, n.to)
		switch {
		case n.after[i] > at.seq:
			ask = true
		case last > at.seq:
			m.store(n.to, who, at, last)
		}
		m.pair(n.to, n.from).changed++
	}
	body := m.bytes.notice(int64(len(n.names)), int64(brought))
	m.count(n.from, n.to, sizeNotice, m.bytes.heads[sizeNotice], body)
	for i, name := range n.names {
		for e := range n.entries[i] {
			if p, ok := m.counts.by[sizeEntry{whoIs(name), n.after[i] + e + 1}]; ok {
				m.counts.posts[p].notices++
				m.counts.posts[p].bytes += (body + m.bytes.heads[sizeNotice]) / int64(brought)
			}
		}
	}
	if ask {
		m.pullTold(n.to, n.from)
	}
}

// store stores entries of somebody up to one.
func (m *sizeModel) store(node, who int32, at *modelPlace, last uint64) {
	for seq := at.seq + 1; seq <= last; seq++ {
		m.counts.nodes[node].copies++
		m.counts.nodes[node].copyBytes += m.bytes.copySize
		if p, ok := m.counts.by[sizeEntry{who, seq}]; ok {
			m.counts.posts[p].copies++
		}
	}
	at.seq = last
}
