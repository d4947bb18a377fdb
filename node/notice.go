package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	noticeBytes   = 512 << 10 // entries and wraps of one notice: in base64 they fit federation.MaxRequest
	noticeStreams = 1000      // waiting for one node; beyond that it is only told that there is more
	noticePlaces  = 64        // nodes that are told at once, of those that could be told last
	noticeRetries = 16        // of the others
	noticeFirst   = time.Second
	noticeLast    = 30 * time.Second // between two tries, in the first hour
	noticeParked  = 15 * time.Minute // after that
	noticeParkAt  = time.Hour        // without success
)

// Notices tell the nodes of readers what is new, once for each node. What one of
// them could not be told waits in memory, one item for each stream, and entries
// that come meanwhile go with it. Nothing of that has to outlast the process: the
// streams themselves do, and who starts tells all nodes that there may be more.
type notices struct {
	mu      sync.Mutex
	fresh   map[*stream]uint64 // own streams with entries after that of which nobody was told
	wake    chan struct{}
	peers   map[wire.NodeName]*outbox
	places  chan struct{}
	retries chan struct{}          // places of those that failed, who would else keep the others waiting
	asking  map[wire.NodeName]bool // is pulled from because it said so; true: and said so again since
}

// An outbox is what one node has to be told. While it is busy, wait and failing are
// for the one who tells.
type outbox struct {
	streams map[streamName]*untold
	order   []streamName // of streams, the longest waiting first
	more    bool
	busy    bool        // it is being told, or its timer runs
	timer   *time.Timer // until the next try, nil: none has failed
	wait    time.Duration
	failing time.Time // since when it cannot be told, zero if it can
}

// untold is what is new in one stream.
type untold struct {
	after   uint64           // from the entry behind this one on
	readers []wire.AccountID // who have new wraps of the newest epoch
}

func (o *notices) init() {
	o.fresh = make(map[*stream]uint64)
	o.wake = make(chan struct{}, 1)
	o.peers = make(map[wire.NodeName]*outbox)
	o.places = make(chan struct{}, noticePlaces)
	o.retries = make(chan struct{}, noticeRetries)
	o.asking = make(map[wire.NodeName]bool)
}

// entry notes that an own stream has another entry. It costs the author next to
// nothing.
func (o *notices) entry(s *stream, seq uint64) {
	o.mu.Lock()
	if after, ok := o.fresh[s]; !ok || seq-1 < after {
		o.fresh[s] = seq - 1
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// takeFresh returns the streams that nobody was told of, for an empty map.
func (o *notices) takeFresh(next map[*stream]uint64) map[*stream]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := o.fresh
	o.fresh = next
	return fresh
}

// noticeLoop finds out whom new entries concern, until the node closes.
func (n *Node) noticeLoop() {
	fresh := make(map[*stream]uint64)
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.notices.wake:
		}
		fresh = n.notices.takeFresh(fresh)
		for s, after := range fresh {
			for _, node := range n.follows.nodesOf(s.name.author) {
				n.tellOf(node, s.name, untold{after: after})
			}
		}
		clear(fresh)
	}
}

// tellOf lets a node be told of something new in a stream.
func (n *Node) tellOf(node wire.NodeName, name streamName, news untold) {
	if n.blocks(node) {
		return // it is told that there may be more when it is not any more
	}
	o := &n.notices
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.box(node)
	b.add(name, news)
	n.begin(node, b)
}

// tellMore lets a node be told that there may be something new.
func (n *Node) tellMore(node wire.NodeName) {
	if n.blocks(node) {
		return
	}
	n.notices.mu.Lock()
	defer n.notices.mu.Unlock()
	b := n.notices.box(node)
	b.more = true
	n.begin(node, b)
}

// peerIsBack lets a node be tried at once that could not be told something.
func (n *Node) peerIsBack(node wire.NodeName) {
	o := &n.notices
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.peers[node]; b != nil && b.timer != nil && b.timer.Stop() {
		b.busy, b.timer = false, nil
		n.begin(node, b)
	}
}

// box returns the outbox of a node. The caller holds o.mu, as for all below.
func (o *notices) box(node wire.NodeName) *outbox {
	b := o.peers[node]
	if b == nil {
		b = &outbox{streams: make(map[streamName]*untold)}
		o.peers[node] = b
	}
	return b
}

func (b *outbox) empty() bool { return len(b.order) == 0 && !b.more }

func (b *outbox) add(name streamName, news untold) {
	if u := b.streams[name]; u != nil {
		u.after = min(u.after, news.after)
		for _, r := range news.readers {
			if !slices.Contains(u.readers, r) {
				u.readers = append(u.readers, r)
			}
		}
		return
	}
	if len(b.order) >= noticeStreams {
		b.more = true
		return
	}
	b.streams[name] = &news
	b.order = append(b.order, name)
}

// take removes what one notice has room for.
func (b *outbox) take() (names []streamName, news []untold, more bool) {
	names = b.order[:min(len(b.order), wire.MaxSyncStreams)]
	b.order = b.order[len(names):]
	for _, name := range names {
		news = append(news, *b.streams[name])
		delete(b.streams, name)
	}
	more = b.more
	b.more = false
	return names, news, more
}

// begin tells a node what waits for it, unless that is under way or was tried in
// vain lately.
func (n *Node) begin(node wire.NodeName, b *outbox) {
	if b.busy || b.empty() {
		return
	}
	b.busy = n.spawn(func() { n.tellAll(node, b) }) == nil
}

// tellAll tells a node until nothing waits, or it cannot be told.
func (n *Node) tellAll(node wire.NodeName, b *outbox) {
	for n.tellNext(node, b) {
	}
}

// tellNext sends a node one notice, when it is its turn, and reports whether there may
// be more to tell. Its place is for whoever waits then: while there is always something
// new, no node is told twice before others were once.
func (n *Node) tellNext(node wire.NodeName, b *outbox) bool {
	o := &n.notices
	places := o.places
	if !b.failing.IsZero() {
		places = o.retries
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-n.ctx.Done():
		return false
	}
	o.mu.Lock()
	if b.empty() {
		delete(o.peers, node) // b.busy stays: whoever has b has seen it under o.mu
		o.mu.Unlock()
		return false
	}
	names, news, more := b.take()
	o.mu.Unlock()
	if err := n.tell(n.ctx, node, names, news, more); err != nil {
		n.tellAgain(node, b, names, news, more, err)
		return false
	}
	b.failing, b.wait = time.Time{}, 0
	return true
}

// tellAgain puts back what a node could not be told, and tries again later.
func (n *Node) tellAgain(node wire.NodeName, b *outbox, names []streamName, news []untold, more bool, err error) {
	if n.ctx.Err() != nil {
		return
	}
	o := &n.notices
	o.mu.Lock()
	defer o.mu.Unlock()
	if n.blocks(node) {
		delete(o.peers, node)
		return
	}
	now := n.now()
	if b.failing.IsZero() {
		b.failing = now
		n.log.Info("a node cannot be told what is new: it is tried again", "node", string(node), "error", err)
	}
	b.more = b.more || more
	for i, name := range names {
		b.add(name, news[i])
	}
	longest := noticeLast
	if now.Sub(b.failing) >= noticeParkAt { // it asks itself once it is back
		longest = noticeParked
		b.streams, b.order, b.more = make(map[streamName]*untold), nil, true
	}
	b.wait = n.jitter.grow(b.wait, noticeFirst, longest)
	b.timer = time.AfterFunc(b.wait, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if b.timer != nil {
			b.busy, b.timer = false, nil
			n.begin(node, b)
		}
	})
}

// tell sends one notice. What the node may not have, or no longer, is left out.
// Of a stream that cannot be read it learns when it asks, and of the others now.
func (n *Node) tell(ctx context.Context, node wire.NodeName, names []streamName, news []untold, more bool) error {
	request := wire.NoticeRequest{Streams: []wire.NoticedStream{}, More: more}
	room := noticeBytes
	for i, name := range names {
		one, size, rest, err := n.noticed(ctx, node, name, news[i], room)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			n.log.Error("it cannot be told what is new in a stream", "node", string(node), "author", name.author.String(), "error", err)
			rest = true
		}
		request.More = request.More || rest
		if one != nil {
			request.Streams = append(request.Streams, *one)
			room -= size
		}
	}
	if len(request.Streams) == 0 && !request.More {
		return nil
	}
	_, err := n.peers.To(node).Notice(ctx, request)
	if err != nil && !temporary(err) && !errors.Is(err, wire.Tampered) { // which is a quarantine
		n.log.Warn("a node does not take what it is told", "node", string(node), "error", err)
		return nil // it would say so again; it asks itself
	}
	return err
}

// noticed returns what a node is told of a stream, nil if nobody there may read
// it, with about room bytes at most. rest says that something was left out.
func (n *Node) noticed(ctx context.Context, node wire.NodeName, name streamName, u untold, room int) (one *wire.NoticedStream, size int, rest bool, err error) {
	s, err := n.stream(ctx, name)
	if err != nil || s == nil {
		return nil, 0, false, err
	}
	readers, err := n.readersAt(ctx, node, s)
	if err != nil || len(readers) == 0 {
		return nil, 0, false, err
	}
	at := s.state()
	one = &wire.NoticedStream{Author: name.author, Audience: name.audience, After: u.after, Head: at.Seq, Entries: []wire.Entry{}, Wraps: []wire.SyncedWrap{}}
	var contents []wire.Commitment
	if u.after < at.Seq && room > 0 {
		q := store.Query{From: store.After(s.entryKey(u.after)), To: store.After(s.entryKey(at.Seq))}
		records, err := n.records(ctx, s, q, room)
		if err != nil {
			return nil, 0, false, err
		}
		for _, r := range records {
			one.Entries = append(one.Entries, r.entry())
			size += r.entry().Size()
			if r.Kind == wire.KindEpoch {
				contents = append(contents, r.Content)
			}
		}
	}
	rest = u.after+uint64(len(one.Entries)) < at.Seq
	if !slices.Contains(contents, at.content) {
		if one.Wraps, err = n.wrapsOf(ctx, s, keepReaders(readers, u.readers), at.content); err != nil {
			return nil, 0, false, err
		}
	}
	for _, c := range contents {
		wraps, err := n.wrapsOf(ctx, s, readers, c)
		if err != nil {
			return nil, 0, false, err
		}
		one.Wraps = append(one.Wraps, wraps...)
	}
	if size += len(one.Wraps) * wire.WrapSize; size > room {
		one.Entries, one.Wraps, size, rest = []wire.Entry{}, []wire.SyncedWrap{}, 0, true
	}
	return one, size, rest, nil
}

func keepReaders(readers []wire.SyncReader, those []wire.AccountID) []wire.SyncReader {
	return slices.DeleteFunc(slices.Clone(readers), func(r wire.SyncReader) bool { return !slices.Contains(those, r.Account) })
}

// wrapsOf returns the wraps of one epoch.
func (n *Node) wrapsOf(ctx context.Context, s *stream, readers []wire.SyncReader, c wire.Commitment) ([]wire.SyncedWrap, error) {
	list, err := n.wrapsFor(ctx, s, readers, []wire.Commitment{c})
	return notNil(list), err
}

// readersAt returns who may read an own stream at a node.
func (n *Node) readersAt(ctx context.Context, node wire.NodeName, s *stream) (list []wire.SyncReader, err error) {
	c, err := n.circle(ctx, s.name.author)
	if err != nil {
		return nil, err
	}
	asking := peer{n, node}
	for i := range c.friends {
		l := c.friends[i].link.Value()
		if l.node != node {
			continue
		}
		closed, err := asking.closed(ctx, s, l.stream.author)
		if err != nil {
			return nil, err
		}
		if closed == nil {
			list = append(list, wire.SyncReader{Account: l.stream.author})
		}
	}
	return list, nil
}

// tellStart tells all nodes where friends are that there may be something new:
// what the process before did not come to tell. They hear by it as well that this
// node is back, and tell what waits for it.
func (n *Node) tellStart() {
	if !n.leads() {
		return
	}
	for _, node := range n.follows.at() {
		n.tellMore(node)
	}
}
