package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	pullAtOnce  = 4                       // nodes, of those that answered last
	pullRetries = 4                       // of the others
	pullTimeout = 20 * time.Second        // for one answer
	pullStale   = 250 * time.Millisecond  // a reader is not content with less
	pullRetry   = 2 * time.Second         // but of a node that did not answer
	pullWait    = 1500 * time.Millisecond // but waits no longer
)

// pull brings the copies of all that is followed at a node up to date. Who asks
// while that is under way gets the result of that. From a node that is blocked nothing
// is pulled.
func (n *Node) pull(ctx context.Context, node wire.NodeName) error {
	if n.blocks(node) {
		return blocked(node)
	}
	_, err := n.pulls.join(ctx, n.spawn, node, func() (struct{}, error) {
		err := n.pullAll(n.ctx, node)
		if err != nil && n.ctx.Err() == nil {
			n.log.Info("a node could not be pulled from", "node", string(node), "error", err)
		}
		return struct{}{}, err
	})
	return err
}

func (n *Node) pullAll(ctx context.Context, node wire.NodeName) (err error) {
	list, version := n.follows.of(node)
	var to synced
	defer func() { n.follows.done(node, version, err == nil, to) }()
	if to, err = n.pullChanged(ctx, node, list); err != nil || to.state != "" {
		return err
	}
	begun := time.Now()
	state, whole, err := n.pullList(ctx, node, list)
	if err == nil && whole {
		to = synced{state, begun}
	}
	return err
}

// pullList asks for streams, in as many requests as it takes. It returns the state of
// the first answer, and whether all is here that the node has of them.
func (n *Node) pullList(ctx context.Context, node wire.NodeName, list []followed) (state string, whole bool, err error) {
	whole = true
	for first := true; len(list) > 0; first = false {
		var batch []followed
		batch, list = cutBatch(list)
		at, all, err := n.pullBatch(ctx, node, batch)
		if err != nil {
			return "", false, err
		}
		if first {
			state = at
		}
		whole = whole && all
	}
	return state, whole, nil
}

// cutBatch takes from list what fits into one request.
func cutBatch(list []followed) (batch, rest []followed) {
	readers := 0
	for i, f := range list {
		room := wire.MaxSyncReaders - readers
		if i == wire.MaxSyncStreams || room == 0 {
			return batch, list[i:]
		}
		if len(f.readers) > room {
			rest = slices.Clone(list[i:])
			rest[0].readers = f.readers[room:]
			return append(batch, followed{stream: f.stream, readers: f.readers[:room]}), rest
		}
		batch, readers = append(batch, f), readers+len(f.readers)
	}
	return batch, nil
}

// pullBatch asks until the other node has nothing more. A stream that is wrong
// is asked for no more this time, and holds up no other. It returns the state of the
// first answer, and whether all is here that the node has.
func (n *Node) pullBatch(ctx context.Context, node wire.NodeName, batch []followed) (state string, whole bool, err error) {
	whole = true
	for first := true; len(batch) > 0; first = false {
		var request wire.SyncRequest
		for i, f := range batch {
			ask, err := n.syncAsk(ctx, f)
			if err != nil {
				return "", false, err
			}
			batch[i].after = ask.After
			request.Streams = append(request.Streams, ask)
		}
		reply, err := n.askSync(ctx, node, request)
		if err != nil {
			return "", false, err
		}
		if first {
			state = reply.State
		}
		var good []followed
		progress := false
		for i, f := range batch {
			more, err := n.takeStream(ctx, f, reply.Streams[i])
			progress = progress || more
			whole = whole && err == nil && len(reply.Streams[i].Closed) == 0 && (reply.More || f.all(reply.Streams[i]))
			if err == nil {
				good = append(good, f)
				continue
			}
			if ctx.Err() != nil {
				return "", false, ctx.Err()
			}
			if errors.Is(err, wire.NotExist) {
				continue // the author has not begun it yet
			}
			n.log.Warn("a stream could not be copied", "node", string(node), "stream", f.stream.String(), "error", err)
		}
		if !reply.More || !progress {
			return state, whole && !reply.More, nil
		}
		batch = good
	}
	return state, whole, nil
}

func (n *Node) askSync(ctx context.Context, node wire.NodeName, request wire.SyncRequest) (wire.SyncReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	reply, err := n.peers.To(node).Sync(ctx, request)
	if err == nil && len(reply.Streams) != len(request.Streams) {
		err = fmt.Errorf("asked about %d streams, answered about %d", len(request.Streams), len(reply.Streams))
	}
	return reply, err
}

// syncLoop pulls from each node, at intervals that differ, until the node closes.
// Nodes that do not answer have places of their own: they keep only each other
// waiting.
func (n *Node) syncLoop() {
	<-n.warmed // what is followed is known, as far as it can be
	good, silent := make(chan struct{}, pullAtOnce), make(chan struct{}, pullRetries)
	for {
		for _, node := range n.follows.at() {
			if !n.leads() || n.blocks(node) || !n.follows.begin(node) {
				continue
			}
			places := good
			if n.follows.failed(node, 0) {
				places = silent
			}
			n.work.Go(func() {
				defer n.follows.end(node)
				select {
				case places <- struct{}{}:
					defer func() { <-places }()
					_ = n.pull(n.ctx, node) // which logs
				case <-n.ctx.Done():
				}
			})
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(untilPull(n.every, n.jitter)):
		}
	}
}

// untilPull is from one round of pulls to the next.
func untilPull(every time.Duration, j jitter) time.Duration { return every*4/5 + j(every*2/5+1) }

// pullSoon pulls something that is newly followed, without waiting for the loop.
func (n *Node) pullSoon(node wire.NodeName) {
	_ = n.spawn(func() { n.pullNow(node) })
}

// pullBack pulls from a node that is heard of and did not answer when it was asked
// last, without waiting for its turn among those.
func (n *Node) pullBack(node wire.NodeName) {
	if n.follows.failed(node, pullRetry) {
		_ = n.spawn(func() { _ = n.pull(n.ctx, node) }) // which logs
	}
}

// pullNow pulls what is new by what follows knows.
func (n *Node) pullNow(node wire.NodeName) {
	for range 2 { // what is under way already may not include it
		if !n.follows.stale(node, n.every) || n.ctx.Err() != nil {
			return
		}
		_ = n.pull(n.ctx, node) // which logs
	}
}

// refresh pulls what a friend elsewhere wrote, or all of them if author is nil,
// where it was not asked for lately. Who watches is told of what is new, and need
// not ask. It waits for pullWait at most: who cannot be reached in that time is read
// from the copies.
func (p *Person) refresh(ctx context.Context, author *wire.AccountID) error {
	if p.node.live.watches(p.account) {
		return ctx.Err()
	}
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return err
	}
	nodes := c.nodes
	if author != nil {
		nodes = c.nodeOf(*author, p.node.name)
	}
	nodes = p.node.follows.staleOf(nodes, pullStale)
	if len(nodes) == 0 {
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	var all sync.WaitGroup
	for _, node := range nodes {
		all.Go(func() { _ = p.node.pull(limited, node) }) // which logs
	}
	all.Wait()
	return ctx.Err()
}

// spawn runs f in the background. It errs once the node closes.
func (n *Node) spawn(f func()) error {
	n.spawning.RLock()
	defer n.spawning.RUnlock()
	if n.ctx.Err() != nil {
		return wire.Errorf(wire.Unavailable, "", "this node is closing")
	}
	n.work.Go(f)
	return nil
}
