package node

import (
	"math"
	"time"
)

// What a node of a sizeModel asks others.

// start begins the rounds of a node.
func (m *sizeModel) start(node int32, first time.Duration) {
	life := m.nodes[node].lives
	var round func()
	round = func() {
		if m.nodes[node].lives == life {
			wait := untilPull(m.every, m.jitter)
			m.round(node, wait)
			m.after(wait, round)
		}
	}
	m.after(first, round)
}

// capacity is how many requests of rounds get their answers in a time.
func (m *sizeModel) capacity(d time.Duration) float64 {
	return pullAtOnce * float64(d) / float64(2*m.way)
}

// round pulls from all nodes, or as many as there is time for before the next round,
// which goes on where this one was.
func (m *sizeModel) round(node int32, wait time.Duration) {
	n := &m.nodes[node]
	if n.total == 0 {
		return
	}
	part := min(1, m.capacity(wait)/n.total)
	n.rounds += part
	if part == 1 {
		n.pulled = m.now
	}
	for peer := range n.lacks {
		if m.nodes[peer].away {
			continue
		}
		late := time.Duration(m.random.Float64() / part * min(1, n.total/m.capacity(m.every)) * float64(m.every))
		life := n.lives
		m.after(late, func() {
			if m.nodes[node].lives == life && !m.nodes[peer].away {
				m.heard(peer, node)
				m.fetch(node, peer)
			}
		})
	}
	m.documents(node)
}

// documents asks for those that are too old to be used.
func (m *sizeModel) documents(node int32) {
	n := &m.nodes[node]
	for len(n.fetched) > 0 && m.now-n.fetched[0].at >= m.bytes.documentFresh {
		peer := n.fetched[0].node
		n.fetched = append(n.fetched[1:], modelFetched{peer, m.now})
		if m.nodes[peer].away {
			m.counts.nodes[node].vain++
			continue
		}
		heads, bodies := m.bytes.heads[sizeDocument], m.bytes.document
		m.counts.nodes[node].sent[sizeDocument].add(heads, bodies)
		m.counts.nodes[peer].took[sizeDocument].add(heads, bodies)
	}
}

// fetch brings what a node lacks of the people of another.
func (m *sizeModel) fetch(node, home int32) {
	lacks := m.nodes[node].lacks[home]
	if b := m.nodes[home].boxes[node]; b != nil {
		for name := range b.streams {
			if lacks == nil {
				lacks = map[int32]bool{}
			}
			lacks[whoIs(name)] = true
		}
	}
	delete(m.nodes[node].lacks, home)
	size := int64(0)
	for who := range lacks {
		at := m.place(who, node)
		if last := m.people[who].seq; last > at.seq {
			size += int64(last-at.seq) * m.bytes.entry
			m.store(node, who, at, last)
		}
	}
	m.counts.nodes[node].sent[sizeSync].bytes += size
	m.counts.nodes[home].took[sizeSync].bytes += size
	for ; size > maxSyncBytes; size -= maxSyncBytes { // there was more than one answer may hold
		m.asked(node, home, m.bytes.heads[sizeSync], m.bytes.sync(1, 1))
	}
}

func (m *sizeModel) asked(node, home int32, heads, bodies int64) {
	m.count(node, home, sizeSync, heads, bodies)
}

// pull asks a node about all that is followed there, now, or what changed.
func (m *sizeModel) pull(node, home int32) {
	p := m.pair(node, home)
	if m.nodes[home].away {
		m.counts.nodes[node].vain++
		p.synced = false
		return
	}
	m.settle(node, home, 1) // what changed was asked for by a round, mostly
	if p.synced {
		p.pulled = m.now + 2*m.way
		m.asked(node, home, m.bytes.heads[sizeSync], m.bytes.since(0))
	}
	if !p.synced || p.foreign {
		p.pulled = m.now + time.Duration(p.requests)*2*m.way
		for range p.requests {
			m.asked(node, home, p.heads/int64(p.requests), (p.bytes-p.heads)/int64(p.requests))
		}
		p.synced, p.foreign = true, false
	}
	m.heard(home, node)
	m.fetch(node, home)
}

// pullTold pulls from a node that said that there is more.
func (m *sizeModel) pullTold(node, home int32) {
	n := &m.nodes[node]
	if _, under := n.asking[home]; under {
		n.asking[home] = true
		return
	}
	if m.pair(node, home).requests == 0 {
		return
	}
	n.asking[home] = false
	life := n.lives
	var pull func()
	pull = func() {
		m.pair(node, home).synced = false
		m.pull(node, home)
		m.after(time.Duration(m.pair(node, home).requests)*2*m.way+noticePause, func() {
			switch again := n.asking[home]; {
			case n.lives != life:
			case again:
				n.asking[home] = false
				pull()
			default:
				delete(n.asking, home)
			}
		})
	}
	m.after(m.way, func() {
		if n.lives == life {
			pull()
		}
	})
}

// visit lets somebody look at their feed, who does not watch: all nodes of friends are
// asked that were not asked lately.
func (m *sizeModel) visit(who int32) {
	node := m.homes[who]
	for i := range m.people[who].places {
		home := m.people[who].places[i].node
		p := m.pair(node, home)
		last := max(p.pulled, m.nodes[node].pulled+2*m.way)
		if m.now-last > pullStale {
			m.pull(node, home)
		}
	}
}

// end lets a node go away, with all that it remembers.
func (m *sizeModel) end(node int32) {
	m.settleNode(node)
	n := &m.nodes[node]
	for peer, b := range n.boxes {
		for name := range b.streams {
			m.lack(peer, node, whoIs(name))
		}
	}
	n.away = true
	n.lives++
	for peer := range int32(len(m.nodes)) {
		m.pair(node, peer).synced, m.pair(peer, node).foreign = false, true
	}
	n.boxes, n.asking = map[int32]*modelBox{}, map[int32]bool{}
	n.places, n.retries = modelPlaces{most: noticePlaces}, modelPlaces{most: noticeRetries}
}

// back lets it come back: it tells all that there may be more, and asks all.
func (m *sizeModel) back(node int32) {
	m.settleNode(node)
	n := &m.nodes[node]
	n.away = false
	order := time.Duration(0)
	for peer := range int32(len(m.nodes)) {
		p := m.pair(node, peer)
		if p.requests == 0 {
			continue
		}
		m.tellMore(node, peer)
		order += time.Duration(p.requests) * 2 * m.way / pullAtOnce
		life := n.lives
		m.after(order, func() {
			if n.lives == life && !n.away {
				m.pull(node, peer)
			}
		})
	}
	m.start(node, untilPull(m.every, m.jitter))
}

// settleNode counts the rounds of a node, and of others at it, up to now.
func (m *sizeModel) settleNode(node int32) {
	for peer := range int32(len(m.nodes)) {
		m.settle(node, peer, 0)
		m.settle(peer, node, 0)
	}
}

// settle counts the rounds of one node at another since that was done last, and what
// they and so many looks found.
func (m *sizeModel) settle(node, home int32, looks float64) {
	p := m.pair(node, home)
	rounds := m.nodes[node].rounds - p.base
	p.base = m.nodes[node].rounds
	if p.requests == 0 {
		return
	}
	requests, bytes, heads := p.round(m)
	if m.nodes[home].away {
		m.counts.nodes[node].vain += int64(rounds)
		return
	}
	head, one := float64(m.bytes.heads[sizeSync]), float64(m.bytes.sync(0, 0))
	questions := max(rounds+looks, 1e-9)
	asks := questions * -math.Expm1(-float64(p.changed)/questions) // those that found something, if that came at random
	bytes = rounds*bytes + asks*(head+one) + float64(p.changed)*(float64(m.bytes.sync(1, 1)+m.bytes.since(1)-m.bytes.since(0))-one)
	p.changed = 0
	t := sizeTally{int64(rounds*requests + asks), int64(bytes), int64(rounds*heads + asks*head)}
	for _, of := range []*sizeTally{
		&m.counts.nodes[node].rounds, &m.counts.nodes[home].rounds, &m.counts.nodes[node].sent[sizeSync], &m.counts.nodes[home].took[sizeSync],
	} {
		of.requests, of.bytes, of.heads = of.requests+t.requests, of.bytes+t.bytes, of.heads+t.heads
	}
}

// minute notes how much was asked in each minute, besides rounds.
func (m *sizeModel) minute() {
	for i := range m.nodes {
		m.counts.nodes[i].busiest = max(m.counts.nodes[i].busiest, m.nodes[i].rate)
		m.nodes[i].rate = 0
	}
	if m.now < m.length {
		m.after(time.Minute, m.minute)
	}
}
