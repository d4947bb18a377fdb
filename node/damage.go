package node

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Damage in a store concerns whom it concerns: a node starts without the streams
// and friendships that it cannot read, and asks for them again when somebody
// does; a feed leaves out streams of others that fail. What is damaged is
// logged by its key, and an error to its owner.

// leftOut logs damage that is met where there is more to read.
func (n *Node) leftOut(err error) { n.log.Error("damage in the store is left out", "error", err) }

// intactRecords are the records that a scan can read; damage is told to leftOut.
func intactRecords(records iter.Seq2[store.Record, error], leftOut func(error)) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for rec, err := range records {
			if errors.Is(err, store.ErrDamaged) {
				leftOut(err)
				continue
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// firstKey yields the first record of a query whose key can be read, even if that
// is all. What lies before it is told to leftOut.
func firstKey(ctx context.Context, s store.Store, q store.Query, leftOut func(error)) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		damaged := false
		for _, q.Limit = range []int{1, 0} { // one is enough, unless it is damaged
			for rec, err := range s.Scan(ctx, q) {
				if errors.Is(err, store.ErrDamaged) && rec.Key == "" {
					leftOut(err)
					damaged = true
					continue
				}
				if errors.Is(err, store.ErrDamaged) {
					err = nil
				}
				yield(rec, err)
				return
			}
			if !damaged {
				return
			}
		}
	}
}

// found looks again for the head of a stream that damage hides.
func (n *Node) found(ctx context.Context, s *stream) error {
	if s == nil || !s.lost.Load() {
		return nil
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	return n.ready(ctx, s)
}

// ownFound is found for all streams of a person.
func (p *Person) ownFound(ctx context.Context) error {
	p.node.streams.mu.RLock()
	own := slices.Clone(p.node.streams.byAuthor[p.account])
	p.node.streams.mu.RUnlock()
	for _, s := range own {
		if err := p.node.found(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// mayLeaveOut reports whether a feed of reader goes on without a stream.
func (n *Node) mayLeaveOut(reader wire.AccountID, s streamName, err error) bool {
	if !errors.Is(err, store.ErrDamaged) || s.author == reader {
		return false
	}
	n.log.Error("a stream is left out of a feed", "stream", s.String(), "error", err)
	return true
}

// leaveOut takes what a feed says of a stream back.
func leaveOut(reply *wire.FeedReply, s *stream) {
	reply.Streams = slices.DeleteFunc(reply.Streams, func(t wire.StreamStatus) bool { return t.Author == s.name.author && t.Audience == s.name.audience })
	if !reply.All {
		reply.Streams = append(reply.Streams, s.status)
	}
}
