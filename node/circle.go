package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A circle is what friendRecords of one person add up to, and in which order the
// streams of the friends were written to.
type circle struct {
	friends []friendOf      // in order of accounts
	nodes   []wire.NodeName // elsewhere, where friends are
	records int             // friends or not

	mu     sync.Mutex
	newest *ranking  // nil: nobody asked yet
	lost   []*stream // looked for again each time
}

// A friendOf is a friend in somebody's circle, and what readable said of their
// stream.
type friendOf struct {
	link  unique.Handle[friendLink] // which the circles of all their friends share
	known atomic.Pointer[entitled]  // nil: not asked, or not allowed
	begun *stream                   // nil until it was there; circle.mu is held
}

// weight is about how many bytes a circle takes: of each friend the link, what is
// known of the stream, and a place in the ranking.
func (c *circle) weight() int { return 512 + 60*len(c.friends) }

// entitled says that a stream may be read while an epoch is its newest. All who
// may share one.
type entitled struct {
	stream  *stream
	content wire.Commitment // of the epoch
}

// A friendLink is a friend and their stream.
type friendLink struct {
	stream streamName
	node   wire.NodeName
}

// circlesSize is about how much memory circles take: those of 2,600 people with
// 200 friends each.
const circlesSize = 32 << 20 // bytes

// circles remember what was read of friendRecords. Whoever changes one calls
// forget.
type circles struct {
	mu      sync.Mutex
	lists   *weighed[wire.AccountID, *circle]
	bonds   *lru.Cache[pair, bool]
	changes *changes // what was read before there was one of somebody does not count
}

func (c *circles) init(n *changes) {
	c.lists = newWeighed[wire.AccountID, *circle](circlesSize)
	c.bonds = newCache[pair, bool](1 << 14)
	c.changes = n
}

// forget drops what follows from a friendRecord. That of an author is among what
// the circle of the reader remembers, so it concerns both. They have changed once
// nobody finds what was remembered.
func (c *circles) forget(p pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists.remove(p.me)
	c.lists.remove(p.other)
	c.bonds.Remove(p)
	c.changes.ofPeople(p.me, p.other)
}

func (c *circles) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists.purge()
	c.bonds.Purge()
	c.changes.ofAll()
}

// remember calls add unless somebody has changed since changes.about returned
// before.
func (c *circles) remember(me wire.AccountID, before uint64, add func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes.about(me) == before {
		add()
	}
}

// circle returns the friends of a person of this node. It is not to be modified.
func (n *Node) circle(ctx context.Context, me wire.AccountID) (*circle, error) {
	if c, ok := n.circles.lists.get(me); ok {
		return c, nil
	}
	return n.readCircle(ctx, me)
}

func (n *Node) readCircle(ctx context.Context, me wire.AccountID) (*circle, error) {
	before := n.changes.about(me)
	c, links := new(circle), []friendLink(nil)
	for rec, err := range n.own.Scan(ctx, store.Prefix(friendsKey(me))) {
		if err != nil {
			return nil, err
		}
		now, err := standingIn(rec)
		if err != nil {
			return nil, err
		}
		c.records++
		if now.friends {
			links = append(links, now.friendLink)
		}
	}
	c.settle(links, n.name)
	n.circles.remember(me, before, func() {
		n.circles.lists.add(me, c)
		for i := range c.friends { // warm may not have got here yet
			if l := c.friends[i].link.Value(); l.node != n.name {
				n.follows.follow(pair{me, l.stream.author}, l)
			}
		}
	})
	return c, nil
}

// acquaintances counts those whom a person has a record of, friends or not. Whoever
// has many is asked by many, and each answer changes the circle: so the records are
// not decoded to be counted.
func (n *Node) acquaintances(ctx context.Context, me wire.AccountID) (count int, err error) {
	if c, ok := n.circles.lists.get(me); ok {
		return c.records, nil
	}
	for _, err := range n.own.Scan(ctx, store.Prefix(friendsKey(me))) {
		if err != nil {
			return 0, err
		}
		count++
	}
	return count, nil
}

// settle fills a circle that nobody else has yet. self is this node.
func (c *circle) settle(links []friendLink, self wire.NodeName) {
	slices.SortFunc(links, func(a, b friendLink) int { return compareAccounts(a.stream.author, b.stream.author) })
	c.friends = make([]friendOf, len(links))
	for i, l := range links {
		if l.node != self {
			c.nodes = append(c.nodes, l.node)
		}
		c.friends[i].link = unique.Make(l)
	}
	slices.Sort(c.nodes)
	c.nodes = slices.Compact(c.nodes)
}

// friend returns a friend, or nil.
func (c *circle) friend(author wire.AccountID) *friendOf {
	of := func(i int) wire.AccountID { return c.friends[i].link.Value().stream.author }
	i := sort.Search(len(c.friends), func(i int) bool { return compareAccounts(of(i), author) >= 0 })
	if i == len(c.friends) || of(i) != author {
		return nil
	}
	return &c.friends[i]
}

// nodeOf returns the node of a friend elsewhere, or nothing.
func (c *circle) nodeOf(author wire.AccountID, self wire.NodeName) []wire.NodeName {
	f := c.friend(author)
	if f == nil || f.link.Value().node == self {
		return nil
	}
	return []wire.NodeName{f.link.Value().node}
}

// bond reports whether the record of p.me, a person of this node, says friend.
func (n *Node) bond(ctx context.Context, p pair) (bool, error) {
	if friends, ok := n.circles.bonds.Get(p); ok {
		return friends, nil
	}
	before := n.changes.about(p.me)
	friends, err := n.readBond(ctx, p)
	if err != nil {
		return false, err
	}
	n.circles.remember(p.me, before, func() { n.circles.bonds.Add(p, friends) })
	return friends, nil
}

// readBond is bond for whoever remembers the answer elsewhere.
func (n *Node) readBond(ctx context.Context, p pair) (bool, error) {
	rec, err := n.own.Get(ctx, friendKey(p))
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now, err := standingIn(rec)
	return now.friends, err
}

// knownBond is readBond, but for what the circle of p.me says while it is remembered:
// of people who read, each second bond is known by the time somebody asks.
func (n *Node) knownBond(ctx context.Context, p pair) (bool, error) {
	if c, ok := n.circles.lists.peek(p.me); ok {
		return c.friend(p.other) != nil, nil
	}
	return n.readBond(ctx, p)
}

// follows know which streams elsewhere are read by whom here: what has to be
// pulled from each node.
type follows struct {
	mu     sync.Mutex
	by     map[pair]friendLink
	nodes  map[wire.NodeName]map[streamName][]wire.AccountID // readers, in order
	homes  map[streamName]wire.NodeName
	near   map[wire.AccountID]map[wire.NodeName]int // of people here, how many friends are at each node
	pulled map[wire.NodeName]pulled                 // when the last attempt ended; absent: something is new
	busy   map[wire.NodeName]bool                   // the loop is at it
	added  uint64                                   // how often something new was followed
}

func (f *follows) init() {
	f.by = make(map[pair]friendLink)
	f.nodes = make(map[wire.NodeName]map[streamName][]wire.AccountID)
	f.homes = make(map[streamName]wire.NodeName)
	f.near = make(map[wire.AccountID]map[wire.NodeName]int)
	f.pulled = make(map[wire.NodeName]pulled)
	f.busy = make(map[wire.NodeName]bool)
}

// set brings follows up to a friendRecord, and reports whether there is
// something new to pull. self is this node.
func (f *follows) set(p pair, r *friendRecord, self wire.NodeName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, had := f.by[p]
	link := r.link()
	has := r.Friendship.State() == wire.StateFriend && link.node != self
	if had == has && (!has || old == link) {
		return false
	}
	if had {
		f.remove(p, old)
	}
	if has {
		f.add(p, link)
	}
	return has
}

// follow adds what is not known yet.
func (f *follows) follow(p pair, l friendLink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.by[p]; !known {
		f.add(p, l)
	}
}

func (f *follows) add(p pair, l friendLink) {
	f.by[p] = l
	if f.nodes[l.node] == nil {
		f.nodes[l.node] = make(map[streamName][]wire.AccountID)
	}
	readers := f.nodes[l.node][l.stream]
	at, _ := slices.BinarySearchFunc(readers, p.me, compareAccounts)
	f.nodes[l.node][l.stream] = slices.Insert(slices.Clone(readers), at, p.me)
	f.homes[l.stream] = l.node
	if f.near[p.me] == nil {
		f.near[p.me] = make(map[wire.NodeName]int)
	}
	f.near[p.me][l.node]++
	f.again(l.node)
}

// again lets what was pulled from a node count as outdated. The caller holds f.mu.
func (f *follows) again(node wire.NodeName) {
	f.added++
	delete(f.pulled, node)
}

// renew is again for others.
func (f *follows) renew(node wire.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again(node)
}

func (f *follows) remove(p pair, l friendLink) {
	delete(f.by, p)
	near := f.near[p.me]
	if near[l.node]--; near[l.node] == 0 {
		delete(near, l.node)
	}
	if len(near) == 0 {
		delete(f.near, p.me)
	}
	streams := f.nodes[l.node]
	streams[l.stream] = slices.DeleteFunc(slices.Clone(streams[l.stream]), func(a wire.AccountID) bool { return a == p.me })
	if len(streams[l.stream]) == 0 {
		delete(streams, l.stream)
		if f.homes[l.stream] == l.node {
			delete(f.homes, l.stream)
		}
	}
	if len(streams) == 0 {
		delete(f.nodes, l.node)
		delete(f.pulled, l.node)
	}
}

func compareAccounts(a, b wire.AccountID) int { return bytes.Compare(a[:], b[:]) }

// A followed stream and its readers here, who are not to be modified.
type followed struct {
	stream  streamName
	readers []wire.AccountID
	after   uint64 // it was asked for what is behind this entry
}

// of returns what is followed at a node, in a fixed order, and a number for done.
func (f *follows) of(node wire.NodeName) ([]followed, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]followed, 0, len(f.nodes[node]))
	for s, readers := range f.nodes[node] {
		list = append(list, followed{stream: s, readers: readers})
	}
	slices.SortFunc(list, func(a, b followed) int { return a.stream.compare(b.stream) })
	return list, f.added
}

// readers returns who reads a stream of an author elsewhere, who are not to be
// modified.
func (f *follows) readers(s streamName) []wire.AccountID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[f.homes[s]][s]
}

// still returns those of readers who follow an author yet.
func (f *follows) still(readers []wire.AccountID, author wire.AccountID) (list []wire.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, reader := range readers {
		if _, ok := f.by[pair{reader, author}]; ok {
			list = append(list, reader)
		}
	}
	return list
}

// readersAt returns who reads a stream at a node, who are not to be modified.
func (f *follows) readersAt(node wire.NodeName, s streamName) []wire.AccountID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[node][s]
}

// nodesOf returns the nodes where friends of a person here are.
func (f *follows) nodesOf(me wire.AccountID) (nodes []wire.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for node := range f.near[me] {
		nodes = append(nodes, node)
	}
	return nodes
}

// isNear reports whether a person here has friends at a node.
func (f *follows) isNear(me wire.AccountID, node wire.NodeName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.near[me][node] > 0
}

// from reports whether something is followed at a node.
func (f *follows) from(node wire.NodeName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.nodes[node]) > 0
}

// at returns the nodes where something is followed.
func (f *follows) at() []wire.NodeName {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := make([]wire.NodeName, 0, len(f.nodes))
	for node := range f.nodes {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	return nodes
}

// begin reports whether the loop may begin to pull from a node; end follows.
func (f *follows) begin(node wire.NodeName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	begun := !f.busy[node]
	f.busy[node] = true
	return begun
}

func (f *follows) end(node wire.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, node)
}

// done notes that all that of returned was asked for, with that number, whether
// there was an answer, and how far it came.
func (f *follows) done(node wire.NodeName, added uint64, answered bool, to synced) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.added == added {
		f.pulled[node] = pulled{time.Now(), answered, to}
	}
}

// syncedAt returns how far all that is followed at a node is known to be here.
func (f *follows) syncedAt(node wire.NodeName) synced {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pulled[node].synced
}

// pulled is when a node was asked last.
type pulled struct {
	at       time.Time
	answered bool
	synced
}

// failed reports whether a node did not answer when it was asked last, and that is at
// least so long ago.
func (f *follows) failed(node wire.NodeName, ago time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.pulled[node]
	return ok && !last.answered && time.Since(last.at) >= ago
}

// stale reports whether a node was not asked within the given time, or something
// new is followed there since.
func (f *follows) stale(node wire.NodeName, within time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.pulled[node]
	if ok && !last.answered { // nobody should wait for it again and again
		within = max(within, pullRetry)
	}
	return !ok || time.Since(last.at) > within
}

// staleOf returns those of the nodes that are stale.
func (f *follows) staleOf(nodes []wire.NodeName, within time.Duration) (list []wire.NodeName) {
	for _, node := range nodes {
		if f.stale(node, within) {
			list = append(list, node)
		}
	}
	return list
}
