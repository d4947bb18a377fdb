package node

import (
	"context"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A taking is what came of an answer.
type taking int

const (
	takenAll     taking = iota // there is nothing more that could be taken
	takenSome                  // there is more
	takenNothing               // there may be more, another time
	shownNothing               // there is more, and nothing of it was shown
	awaitsEpoch                // there is more behind an epoch that is not here
)

// takeBack takes in what a node shows of its copy of a stream of a person here,
// behind an entry. An error beside takenAll is about the copy.
func (n *Node) takeBack(ctx context.Context, r *regain, l *lost, after uint64, got wire.SyncedStream) (taking, error) {
	name := l.streamName
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
		r.epochs[name], l.awaits = epoch, s.state().Seq+1
		return awaitsEpoch, nil
	case got.Head <= s.state().Seq:
		return takenAll, nil
	case len(drafts) > 0:
		return takenSome, nil
	}
	return shownNothing, nil
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
