package node

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// giveBack answers about the copy of a stream that is kept here. It asks for no
// reader: only the home of the author may do that, by their newest key statement
// that is known here. It had all of these entries and lost them, or gave them to
// nobody (regain.go). For all others the copy does not exist.
func (p peer) giveBack(ctx context.Context, s *stream, ask wire.SyncStream, room int) (one wire.SyncedStream, size int, more bool, err error) {
	n := p.node
	chain, err := n.copyKeys.Chain(ctx, ask.Author)
	if err != nil {
		return one, 0, false, err
	}
	if chain.Address().Node != p.name {
		return one, 0, false, wire.NotExist
	}
	if err := n.found(ctx, s); err != nil {
		return one, 0, false, err
	}
	gap, head := s.gap.Load(), s.state().Seq
	one.Head = head
	if ask.After > head {
		return one, 0, false, nil
	}
	if ask.After > 0 && s.has(ask.After) {
		if err := n.checkHave(ctx, s, ask); err != nil {
			return wire.SyncedStream{}, 0, false, n.unlessGone(ctx, s, gap, err)
		}
	}
	if ask.After == head || room <= 0 {
		return one, 0, ask.After < head, nil
	}
	if !s.has(ask.After + 1) {
		return wire.SyncedStream{}, 0, false, wire.Errorf(wire.Unavailable, "stream", "its older entries are not kept here")
	}
	_, high := s.around(ask.After + 1)
	q := store.Query{From: s.entryKey(ask.After + 1), To: store.After(s.entryKey(min(high, head)))}
	records, err := n.records(ctx, s, q, min(room, wire.MaxPageBytes))
	if err != nil {
		return wire.SyncedStream{}, 0, false, err
	}
	if err := n.unlessGone(ctx, s, gap, nil); err != nil {
		return wire.SyncedStream{}, 0, false, err
	}
	for _, r := range records {
		one.Entries = append(one.Entries, r.entry())
		size += r.entry().Size()
	}
	return one, size, ask.After+uint64(len(one.Entries)) < head, nil
}

// unlessGone returns what came of reading a copy, or Unavailable where entries went
// meanwhile: that says nothing of what it held.
func (n *Node) unlessGone(ctx context.Context, s *stream, before *gap, result error) error {
	same, err := n.steady(ctx, s, before)
	if err != nil {
		return err
	}
	if !same {
		return wire.Errorf(wire.Unavailable, "stream", "entries of it went while they were read")
	}
	return result
}
