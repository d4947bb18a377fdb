package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// refillsAtOnce is how many gaps are closed at a time.
const refillsAtOnce = 4

// refill fetches what is missing of copies that the person wants to read, from the
// nodes of their authors. It waits for pullWait at most and goes on in the
// background. It reports whether any of the gaps is closed.
func (p *Person) refill(ctx context.Context, list ...*stream) (bool, error) {
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range list {
		for _, node := range c.nodeOf(s.name.author, p.node.name) {
			if p.node.follows.silent(node) {
				continue // nobody should wait for it again and again
			}
			all.Go(func() {
				_, _ = p.node.refills.join(limited, p.node.spawn, s.name, func() (struct{}, error) { // which logs
					return struct{}{}, p.node.refill(p.node.ctx, node, s)
				})
			})
		}
	}
	all.Wait()
	return slices.ContainsFunc(list, func(s *stream) bool { return s.gap.Load() == nil }), ctx.Err()
}

// refill closes the gap of a copy. One that cannot be closed now stays.
func (n *Node) refill(ctx context.Context, node wire.NodeName, s *stream) error {
	select {
	case n.refilling <- struct{}{}:
		defer func() { <-n.refilling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := n.refillFrom(ctx, node, s)
	if err != nil && ctx.Err() == nil {
		n.log.Info("the older entries of a copy could not be fetched", "node", string(node), "stream", s.name.String(), "error", err)
	}
	return err
}

func (n *Node) refillFrom(ctx context.Context, node wire.NodeName, s *stream) error {
	if g := s.gap.Load(); g == nil {
		return nil
	} else if g.Rest == 0 { // somebody was interrupted
		if _, err := n.trim(ctx, s, toFinish); err != nil {
			return err
		}
	}
	f, ok := n.follows.one(node, s.name)
	if !ok {
		return wire.Errorf(wire.NotExist, "stream", "nobody here reads it")
	}
	author, _, err := n.friendship(ctx, pair{f.readers[0], s.name.author})
	if err != nil {
		return err
	}
	r := &refilled{n: n, s: s, followed: f, author: author.address()}
	got, err := r.ask(ctx, node)
	if err != nil {
		n.follows.unanswered(node)
		return err
	}
	s.appending.Lock() // nothing is written before there is an answer
	g, err := n.enterGap(ctx, s, toRefill)
	s.appending.Unlock()
	if g == nil || err != nil {
		return err
	}
	defer s.leaveGap()
	defer func() {
		if s.gap.Load() != nil { // what there is of it is cleared
			n.room.mark()
		}
	}()
	n.touch(s, n.now()) // from now on it is being read
	for {
		before := r.at.Seq
		done, err := r.take(ctx, got)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		if r.at.Seq == before {
			return wire.Errorf(wire.Unavailable, "stream", "the node shows nothing behind entry %d", before)
		}
		if got, err = r.ask(ctx, node); err != nil {
			return err
		}
	}
}

// refilled is a copy whose gap is being closed, from its first entry on.
type refilled struct {
	n *Node
	s *stream
	followed
	author wire.Address
	at     streamHead // with the last entry that was fetched
	grown  int64      // bytes
}

// ask asks for what follows.
func (r *refilled) ask(ctx context.Context, node wire.NodeName) (wire.SyncedStream, error) {
	one, err := r.n.syncAsk(ctx, r.followed)
	if err != nil {
		return wire.SyncedStream{}, err
	}
	one.After, one.Head = r.at.Seq, r.at.ID
	one.Readers = one.Readers[:min(len(one.Readers), wire.MaxSyncReaders)]
	reply, err := r.n.askSync(ctx, node, wire.SyncRequest{Streams: []wire.SyncStream{one}})
	if err != nil {
		return wire.SyncedStream{}, err
	}
	return reply.Streams[0], nil
}

// take takes an answer in, and reports whether the gap is closed. What the home
// shows has to lead to the end that is here.
func (r *refilled) take(ctx context.Context, got wire.SyncedStream) (done bool, err error) {
	n, s := r.n, r.s
	if got.Author != s.name.author || got.Audience != s.name.audience {
		return false, wire.Errorf(wire.Tampered, "stream", "the answer is about another stream")
	}
	if got.Code != "" {
		return false, &wire.Error{Kind: got.Code}
	}
	n.takeClosed(ctx, r.followed, r.author, got.Closed)
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil {
		return false, err
	}
	g := s.gap.Load()
	if g == nil {
		return true, nil
	}
	if head := s.state(); got.Head < head.Seq && len(got.Closed) < len(r.readers) {
		return false, wire.Errorf(wire.Tampered, "stream", "entry %d was there before, now the newest is %d", head.Seq, got.Head)
	}
	end, err := n.entry(ctx, s, g.From)
	if err != nil {
		return false, err
	}
	drafts, _, err := openBy(ctx, n, r.author, s.name.author, keysOfHome, func(c *keyservice.Chain) ([]*draft, error) {
		return n.olderDrafts(c, s.name, r.at, g, end, got.Entries)
	})
	if err != nil {
		return false, err
	}
	if len(drafts) == 0 {
		return false, nil
	}
	return r.keep(ctx, g, got.Wraps, drafts)
}

// olderDrafts verifies entries that fill a gap. They count as having arrived when
// the last of them did at first: so neither time falls along the stream.
func (n *Node) olderDrafts(c *keyservice.Chain, name streamName, at streamHead, g *gap, end *entryRecord, entries []wire.Entry) ([]*draft, error) {
	entries = entries[:min(uint64(len(entries)), g.From-1-at.Seq)]
	drafts, err := n.copyDrafts(c, name, at, entries)
	if err != nil || len(drafts) == 0 {
		return nil, err
	}
	for _, d := range drafts {
		d.arrived(g.Arrival)
	}
	if last := drafts[len(drafts)-1]; last.head.Seq == g.From-1 {
		h, err := c.OpenEntry(end.entry())
		if err != nil {
			return nil, err
		}
		if _, err := last.head.Next(h, end.entry().ID()); err != nil {
			return nil, fmt.Errorf("entry %d does not lead to the one that was there before: %w", last.head.Seq, err)
		}
	}
	return drafts, nil
}

// keep stores wraps and entries, and closes the gap with the last of them. The
// caller holds s.appending.
func (r *refilled) keep(ctx context.Context, g *gap, wraps []wire.SyncedWrap, drafts []*draft) (done bool, err error) {
	n, s := r.n, r.s
	again := g.gapRecord
	again.Busy = n.now().UnixMilli()
	if err := n.putGap(ctx, s, &again); err != nil { // another process took over
		return false, err
	}
	names, changes := wrapChanges(s, n.goodWraps(r.followed, wraps))
	grown, err := n.newWraps(ctx, s, names, changes, drafts)
	if err != nil {
		return false, err
	}
	for _, d := range drafts {
		of := d.changes(s, store.Always()) // an attempt before may have left some
		if changes = append(changes, of...); d.head.Seq != g.Epoch {
			grown += sizeOf(of...)
		}
	}
	err = n.copies.Apply(ctx, changes...)
	for _, name := range names {
		n.wraps.forget(name)
	}
	if err != nil {
		return false, err
	}
	r.at, r.grown = drafts[len(drafts)-1].head, r.grown+grown
	n.room.grow(grown)
	if r.at.Seq < g.From-1 {
		return false, nil
	}
	return true, r.close(ctx)
}

// close commits that nothing is missing any more.
func (r *refilled) close(ctx context.Context) error {
	n, s := r.n, r.s
	s.grow(r.grown)
	s.stale = true // until it is known to have succeeded
	err := n.copies.Apply(ctx,
		syncChange(s.name, s.saved, s.state().Seq, s.bytes),
		store.Change{Key: gapKey(s.name), If: store.IfRevision(s.gap.Load().revision)},
	)
	if errors.Is(err, store.ErrConflict) {
		return errBusy
	}
	if err != nil {
		return err
	}
	s.stale = false
	s.gap.Store(nil)
	n.items.removeAll(func(i itemName) bool { return i.stream == s }) // of entries that another process fetched, the place may differ
	n.changes.ofStream(s)
	return nil
}

// arrived sets when the entry of a draft counts as having arrived.
func (d *draft) arrived(at int64) {
	d.record.Arrival = at
	d.head.arrival, d.head.position = at, d.record.position()
}

// one returns a stream that is followed at a node.
func (f *follows) one(node wire.NodeName, s streamName) (followed, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	readers := f.nodes[node][s]
	return followed{stream: s, readers: readers}, len(readers) > 0
}

// silent reports whether a node did not answer a moment ago.
func (f *follows) silent(node wire.NodeName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.pulled[node]
	return ok && !last.answered && time.Since(last.at) <= pullRetry
}

// unanswered notes that a node did not answer.
func (f *follows) unanswered(node wire.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulled[node] = pulled{at: time.Now()}
}

// notKept is the answer about entries that are not here and could not be fetched.
func notKept() error {
	err := wire.Errorf(wire.Unavailable, "", "older posts from there are not kept at this node, and could not be fetched from that of their author; try again later")
	err.RetryAfter = pullRetry
	return err
}
