package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A node that was restored from an old backup has lost the newest entries of its
// people. The nodes of their friends have copies of them, and give them back
// (giveback.go): signed as they are, they are verified like a copy, and continue
// the stream that is here or are not taken.
//
// An entry that begins an epoch is not taken from a copy. What belongs to it, the
// vault that it names, the wraps of all readers and the ends of friendships, is on
// the devices of its author alone. They hand it in, and what follows is then
// taken from the copies.
//
// Until the copies of a stream were asked for, or regainWait has passed, nothing
// else continues it: it might be a second stream beside the one that others know.

// regainRecord: regain. A restore writes it. It is deleted once there is nothing to
// ask for any more: a node that is killed before begins again.
type regainRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	Since   int64  `cbor:"2,keyasint"` // ms since 1970: when the restore was made
}

const (
	regainKey = "regain"

	regainWait  = 15 * time.Second   // after a start: then people may write, whoever has not answered; within what a client waits
	regainRetry = 5 * time.Second    // for people who wait, at most
	regainPause = time.Second        // between two rounds, doubled with each
	regainBeat  = time.Minute        // but no longer than this
	regainEnds  = 7 * 24 * time.Hour // after the restore: nobody is asked any more

	regainAtOnce = 16          // nodes: some that do not answer should not keep others from being asked within regainWait
	regainTurn   = time.Minute // for one node in one round, so that it cannot keep its place
)

// A regain is what is known of the streams that other nodes may know more of.
type regain struct {
	since, opens time.Time
	wake         chan struct{} // the next round should begin now

	mu      sync.Mutex
	listed  bool                        // waiting is whole
	waiting map[streamName]int          // how many nodes have not answered
	epochs  map[streamName]wire.EntryID // what comes next, and begins an epoch
	entries int                         // that were regained
}

// A lost is a stream that a node may have a copy of.
type lost struct {
	streamName
	asked  bool   // there was an answer
	awaits uint64 // the seq of an epoch that is not here, before which there is nothing to ask for
}

// openRegain looks whether this node was restored and has not regained everything.
func (n *Node) openRegain(ctx context.Context) error {
	var rec regainRecord
	_, err := read(ctx, n.own, regainKey, &rec)
	if errors.Is(err, wire.NotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n.regaining.Store(&regain{
		since: time.UnixMilli(rec.Since), opens: n.now().Add(regainWait), wake: make(chan struct{}, 1),
		epochs: map[streamName]wire.EntryID{},
	})
	return nil
}

// mayContinue errs while an entry might fork a stream from its copies.
func (n *Node) mayContinue(name streamName, id wire.EntryID) error {
	r := n.regaining.Load()
	if r == nil {
		return nil
	}
	left := r.opens.Sub(n.now())
	r.mu.Lock()
	defer r.mu.Unlock()
	next, known := r.epochs[name]
	switch {
	case known && next == id: // whoever hands it in has what follows
		return nil
	case left <= 0, r.listed && !known && r.waiting[name] == 0:
		return nil
	}
	err := wire.Errorf(wire.Unavailable, "", "this node was restored from a backup, and asks other nodes for what is newer; try again later")
	err.RetryAfter = min(left, regainRetry)
	return err
}

// continued opens a stream with the epoch that it awaited, which is stored now.
// What follows it is asked for at once.
func (n *Node) continued(name streamName, id wire.EntryID) {
	r := n.regaining.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, known := r.epochs[name]; !known || next != id {
		return
	}
	delete(r.epochs, name)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// regainLoop asks the nodes of friends for what they know more of, until each has
// answered, or regainEnds.
func (n *Node) regainLoop() {
	r := n.regaining.Load()
	if r == nil {
		return
	}
	lists, err := n.listLost(n.ctx, r)
	for ; err != nil; lists, err = n.listLost(n.ctx, r) {
		if n.ctx.Err() == nil {
			n.log.Error("after the restore, what other nodes may have could not be listed yet", "error", err)
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(regainRetry):
		}
	}
	n.log.Info("this node was restored from a backup; other nodes are asked for what is newer", "nodes", len(lists), "streams", len(r.waiting))
	for pause := regainPause; ; pause = min(2*pause, regainBeat) {
		n.regainRound(n.ctx, r, lists)
		if len(lists) == 0 || n.now().Sub(r.since) > regainEnds {
			err := n.own.Apply(n.ctx, store.Change{Key: regainKey})
			if err == nil {
				break
			}
			if n.ctx.Err() == nil {
				n.log.Error("that this node was restored could not be forgotten yet", "error", err)
			}
		}
		select {
		case <-n.ctx.Done():
			return
		case <-r.wake:
		case <-time.After(pause):
		}
	}
	n.regaining.Store(nil)
	n.log.Info("after the restore, nobody is asked any more", "entries", r.entries, "without an answer", len(lists))
}

// listLost lists the streams of people here by the nodes of their friends.
func (n *Node) listLost(ctx context.Context, r *regain) (map[wire.NodeName][]*lost, error) {
	if err := n.markElsewhere(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("after the restore, not all friends elsewhere are known", "error", err) // others are asked all the same
	}
	lists, seen, waiting := map[wire.NodeName][]*lost{}, map[streamName]wire.NodeName{}, map[streamName]int{}
	for rec, err := range intactRecords(n.own.Scan(ctx, store.Prefix(elsewherePrefix+"/")), n.leftOut) {
		if err != nil {
			return nil, err
		}
		p, ok := parseElsewhereKey(rec.Key)
		if !ok {
			continue
		}
		f, _, err := n.friendship(ctx, p)
		if errors.Is(err, store.ErrDamaged) {
			n.leftOut(err)
			continue
		}
		if err != nil {
			return nil, err
		}
		name := streamName{p.me, f.Friendship.Mine.Audience}
		if name.audience.IsZero() || seen[name] == f.Node { // the keys are in order of their nodes
			continue
		}
		seen[name] = f.Node
		lists[f.Node] = append(lists[f.Node], &lost{streamName: name})
		waiting[name]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed, r.waiting = true, waiting
	return lists, nil
}

// regainRound asks all nodes once, and takes those from lists that need not be
// asked again.
func (n *Node) regainRound(ctx context.Context, r *regain, lists map[wire.NodeName][]*lost) {
	places := make(chan struct{}, regainAtOnce)
	var all sync.WaitGroup
	var mu sync.Mutex
	rest := map[wire.NodeName][]*lost{}
	for node, list := range lists {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			turn, cancel := context.WithTimeout(ctx, regainTurn)
			defer cancel()
			left, err := n.regainFrom(turn, r, node, list)
			if err != nil && ctx.Err() == nil {
				n.log.Info("after the restore, a node could not be asked yet", "node", string(node), "streams", len(left), "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			rest[node] = left
		})
	}
	all.Wait()
	for node, left := range rest {
		if lists[node] = left; len(left) == 0 {
			delete(lists, node)
		}
	}
}

// regainFrom asks one node about all that it may have, and returns what it has to
// be asked again.
func (n *Node) regainFrom(ctx context.Context, r *regain, node wire.NodeName, list []*lost) (left []*lost, err error) {
	for len(list) > 0 {
		batch := list[:min(len(list), wire.MaxSyncStreams)]
		list = list[len(batch):]
		for len(batch) > 0 {
			var later []*lost
			next, later, err := n.regainBatch(ctx, r, node, batch)
			if left = append(left, later...); err != nil {
				return append(append(left, batch...), list...), err
			}
			batch = next
		}
	}
	return left, nil
}

// regainBatch asks a node once. Of next there may be more at once; later is to be
// asked for again in the next round.
func (n *Node) regainBatch(ctx context.Context, r *regain, node wire.NodeName, batch []*lost) (next, later []*lost, err error) {
	request, asked, later, err := n.regainAsk(ctx, batch)
	if err != nil || len(asked) == 0 {
		return nil, later, err
	}
	reply, err := n.askSync(ctx, node, request)
	if err != nil {
		return nil, nil, err
	}
	var unseen []*lost
	for i, l := range asked {
		what, err := n.takeBack(ctx, r, l, request.Streams[i].After, reply.Streams[i])
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil && what == takenAll {
			n.log.Warn("after the restore, a copy was not taken back", "node", string(node), "stream", l.String(), "error", err)
		} else if err != nil {
			n.log.Info("after the restore, a copy could not be taken back yet", "node", string(node), "stream", l.String(), "error", err)
		}
		switch what {
		case takenSome:
			next = append(next, l)
		case shownNothing:
			unseen = append(unseen, l)
		case takenNothing:
			later = append(later, l)
		case awaitsEpoch:
			later = append(later, l)
			r.answered(l)
		case takenAll:
			r.answered(l)
		}
	}
	if reply.More && len(unseen) < len(asked) { // the others took all the room
		return append(next, unseen...), later, nil
	}
	return next, append(later, unseen...), nil
}

// regainAsk makes the request about those streams that there may be more of.
func (n *Node) regainAsk(ctx context.Context, batch []*lost) (request wire.SyncRequest, asked, later []*lost, err error) {
	for _, l := range batch {
		ask, err := n.syncAsk(ctx, followed{stream: l.streamName})
		if err != nil {
			return request, nil, nil, err
		}
		if ask.After+1 == l.awaits {
			later = append(later, l)
			continue
		}
		ask.Readers = []wire.SyncReader{} // the home itself asks
		request.Streams, asked = append(request.Streams, ask), append(asked, l)
	}
	return request, asked, later, nil
}

// answered notes that a node has shown what it has.
func (r *regain) answered(l *lost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.asked {
		l.asked = true
		r.waiting[l.streamName]--
	}
}
