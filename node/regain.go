package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
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
	asked bool // there was an answer
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
		waiting: map[streamName]int{}, epochs: map[streamName]wire.EntryID{},
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
		delete(r.epochs, name)
		select {
		case r.wake <- struct{}{}:
		default:
		}
		return nil
	case left <= 0, r.listed && !known && r.waiting[name] == 0:
		return nil
	}
	err := wire.Errorf(wire.Unavailable, "", "this node was restored from a backup, and asks other nodes for what is newer; try again later")
	err.RetryAfter = min(left, regainRetry)
	return err
}

// regainLoop asks the nodes of friends for what they know more of, until each has
// answered, or regainEnds.
func (n *Node) regainLoop() {
	r := n.regaining.Load()
	if r == nil {
		return
	}
	lists, err := n.listLost(n.ctx, r)
	if err != nil {
		if n.ctx.Err() == nil {
			n.log.Error("after the restore, not all that other nodes may have could be listed; the next start tries again", "error", err)
		}
		return
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
	if err := n.markElsewhere(ctx); err != nil {
		return nil, err
	}
	lists, seen := map[wire.NodeName][]*lost{}, map[streamName]wire.NodeName{}
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
		r.waiting[name]++
	}
	r.mu.Lock()
	r.listed = true
	r.mu.Unlock()
	return lists, ctx.Err()
}

// regainRound asks all nodes once, and takes those from lists that need not be
// asked again.
func (n *Node) regainRound(ctx context.Context, r *regain, lists map[wire.NodeName][]*lost) {
	places := make(chan struct{}, pullAtOnce)
	var all sync.WaitGroup
	var mu sync.Mutex
	rest := map[wire.NodeName][]*lost{}
	for node, list := range lists {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			left, err := n.regainFrom(ctx, r, node, list)
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
	var request wire.SyncRequest
	for _, l := range batch {
		ask, err := n.syncAsk(ctx, followed{stream: l.streamName})
		if err != nil {
			return nil, nil, err
		}
		ask.Readers = []wire.SyncReader{} // the home itself asks
		request.Streams = append(request.Streams, ask)
	}
	reply, err := n.askSync(ctx, node, request)
	if err != nil {
		return nil, nil, err
	}
	for i, l := range batch {
		what, err := n.takeBack(ctx, r, l.streamName, request.Streams[i].After, reply.Streams[i])
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
		case takenNothing:
			later = append(later, l)
		case awaitsEpoch:
			later = append(later, l)
			r.answered(l)
		case takenAll:
			r.answered(l)
		}
	}
	return next, later, nil
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

// A taking is what came of an answer.
type taking int

const (
	takenAll     taking = iota // there is nothing more that could be taken
	takenSome                  // there is more
	takenNothing               // there may be more, another time
	awaitsEpoch                // there is more behind an epoch that is not here
)

// takeBack takes in what a node shows of its copy of a stream of a person here,
// behind an entry. An error beside takenAll is about the copy.
func (n *Node) takeBack(ctx context.Context, r *regain, name streamName, after uint64, got wire.SyncedStream) (taking, error) {
	switch {
	case got.Author != name.author || got.Audience != name.audience:
		return takenAll, wire.Errorf(wire.Tampered, "stream", "the answer is about another stream")
	case got.Code == wire.NotExist:
		return takenAll, nil
	case got.Code == wire.Conflict:
		return takenAll, wire.Errorf(wire.Conflict, "stream", "that copy is a fork: its entry %d is another one than here", after)
	case got.Code != "":
		return takenNothing, &wire.Error{Kind: got.Code}
	}
	chain, err := n.ownKeys.Chain(ctx, name.author)
	if err != nil {
		return takenNothing, err
	}
	if _, err := n.stream(ctx, name); err != nil {
		return takenNothing, err
	}
	s, err := n.streams.open(name, false, maxStreams)
	if err != nil {
		return takenNothing, err
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil {
		return takenNothing, err
	}
	if at := s.state().Seq; at > after { // what came meanwhile
		got.Entries = got.Entries[min(at-after, uint64(len(got.Entries))):]
	}
	drafts, epoch, wrong := n.lostDrafts(chain, name, s.state(), got.Entries)
	if err := n.regained(ctx, s, drafts); err != nil {
		return takenNothing, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries += len(drafts)
	switch {
	case wrong != nil:
		return takenAll, wrong
	case epoch != (wire.EntryID{}):
		r.epochs[name] = epoch
		return awaitsEpoch, nil
	case got.Head <= s.state().Seq:
		return takenAll, nil
	case len(drafts) > 0:
		return takenSome, nil
	}
	return takenNothing, wire.Errorf(wire.Unavailable, "stream", "nothing is shown behind entry %d of %d", s.state().Seq, got.Head)
}

// lostDrafts verifies entries that continue a stream, up to the first that is
// wrong or begins an epoch. The caller holds s.appending.
func (n *Node) lostDrafts(c *keyservice.Chain, name streamName, at streamHead, entries []wire.Entry) (drafts []*draft, epoch wire.EntryID, wrong error) {
	now := n.now().UnixMilli()
	for _, e := range entries {
		d, err := n.copyDraft(c, name, at, e, now)
		if err != nil {
			return drafts, epoch, fmt.Errorf("the entry behind %d: %w", at.Seq, err)
		}
		if d.record.Kind == wire.KindEpoch {
			return drafts, d.head.ID, nil
		}
		drafts, at = append(drafts, d), d.head
	}
	return drafts, epoch, nil
}

// regained commits entries that continue a stream. The caller holds s.appending.
func (n *Node) regained(ctx context.Context, s *stream, drafts []*draft) error {
	if len(drafts) == 0 {
		return nil
	}
	var changes []store.Change
	for _, d := range drafts {
		changes = append(changes, d.changes(s, store.IfAbsent())...)
	}
	s.stale, s.unsettled = true, true // until it is known to have succeeded
	if err := n.own.Apply(ctx, changes...); err != nil {
		return err
	}
	last := &drafts[len(drafts)-1].head
	s.stale, s.unsettled, s.told = false, false, last.Seq
	s.head.Store(last)
	n.changes.ofStream(s)
	return nil
}
