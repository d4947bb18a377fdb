package node

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	syncInFull = 10 * time.Minute // whatever a node says that has changed, all is asked for so often
	maxEvents  = 1024             // that are looked through for a node that asks what changed
)

// stateOwner is whom a state is for that a node gets: what another one was told is
// foreign, such as an answer that went to the wrong one.
func stateOwner(node wire.NodeName) (owner wire.AccountID) {
	h := fnv.New64a()
	h.Write([]byte(node)) // never fails
	h.Sum(owner[:0])
	return owner
}

// synced is how far all that is followed at a node is known to be here.
type synced struct {
	state string    // by the node, empty where something was missing or wrong
	full  time.Time // when all was asked for
}

// changed returns which streams with readers at the asking node have another entry
// since a state that it was given, if any, and the state now. Where it may be more
// than that, such as another reader, there is none: it has to ask for all.
func (p peer) changed(ctx context.Context, since string) (state string, list []wire.ChangedStream, err error) {
	n, owner, list := p.node, stateOwner(p.name), []wire.ChangedStream{}
	if since == "" {
		return n.stateAt(owner, n.changes.now()), list, nil
	}
	before, known := n.openState(owner, since)
	if !known {
		return "", list, nil
	}
	events, now, all := n.changes.eventsSince(before, maxEvents)
	if !all || slices.Contains(events, nil) {
		return "", list, nil
	}
	looked := make(map[*stream]bool)
	for _, s := range events {
		if looked[s] {
			continue
		}
		looked[s] = true
		if s.copy || !n.follows.isNear(s.name.author, p.name) {
			continue
		}
		readers, err := n.readersAt(ctx, p.name, s)
		if err != nil {
			return "", list, err
		}
		if len(readers) > 0 {
			list = append(list, wire.ChangedStream{Author: s.name.author, Audience: s.name.audience})
		}
	}
	if len(list) > wire.MaxSyncStreams {
		return "", []wire.ChangedStream{}, nil
	}
	return n.stateAt(owner, now), list, nil
}

// pullChanged brings up to date what changed at a node since all that is followed
// there was. Without a state there is nothing to begin from: all has to be asked for.
func (n *Node) pullChanged(ctx context.Context, node wire.NodeName, list []followed) (to synced, err error) {
	from := n.follows.syncedAt(node)
	if from.state == "" || time.Since(from.full) >= syncInFull {
		return synced{}, nil
	}
	reply, err := n.askSync(ctx, node, wire.SyncRequest{Streams: []wire.SyncStream{}, Since: from.state})
	if err != nil || reply.State == "" {
		return synced{}, err
	}
	changed := make(map[streamName]bool, len(reply.Changed))
	for _, c := range reply.Changed {
		changed[streamName{c.Author, c.Audience}] = true
	}
	var ask, same []followed
	for _, f := range list {
		if changed[f.stream] {
			ask = append(ask, f)
		} else {
			same = append(same, f)
		}
	}
	if len(ask) < len(changed) { // it tells of something else, or nothing that is so
		return synced{}, nil
	}
	if _, whole, err := n.pullList(ctx, node, ask); err != nil || !whole {
		return synced{}, err
	}
	for _, f := range same {
		if err := n.confirm(ctx, f.stream); err != nil {
			return synced{}, err
		}
	}
	return synced{reply.State, from.full}, nil
}

// confirm notes that a copy is what the author's node has now.
func (n *Node) confirm(ctx context.Context, name streamName) error {
	s, err := n.stream(ctx, name)
	if err != nil || s == nil {
		return err
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil {
		return err
	}
	return n.keep(ctx, s, nil, nil, true)
}
