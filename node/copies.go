package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

func syncKey(s streamName) string { return "sync/" + s.String() }

// saveAsOf is how much older the stored asOf of a stream may be than the one in
// memory.
const saveAsOf = time.Minute

// takeStream takes in what another node says of a stream that is followed there.
// Of entries that do not verify, or do not follow, those before are kept. It
// reports whether there was anything new.
func (n *Node) takeStream(ctx context.Context, f followed, got wire.SyncedStream) (progress bool, err error) {
	if got.Author != f.stream.author || got.Audience != f.stream.audience {
		return false, wire.Errorf(wire.Tampered, "stream", "the answer is about another stream")
	}
	if got.Code != "" {
		if got.Code == wire.NotExist {
			n.remind(ctx, f, f.readers)
		}
		return false, &wire.Error{Kind: got.Code}
	}
	author, _, err := n.friendship(ctx, pair{f.readers[0], f.stream.author})
	if err != nil {
		return false, err
	}
	n.takeClosed(ctx, f, author.address(), got.Closed)
	s, err := n.stream(ctx, f.stream)
	if err != nil {
		return false, err
	}
	if len(got.Entries) == 0 && s == nil {
		return false, nil
	}
	if s, err = n.streams.open(f.stream, true, maxStreams); err != nil {
		return false, err
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	for range 3 {
		progress, err = n.takeEntries(ctx, s, f, author.address(), got)
		if !errors.Is(err, store.ErrConflict) {
			break // else another process takes the same
		}
	}
	return progress, err
}

// takeEntries takes in entries and wraps. What another process of this node took
// since it was asked for is left out. The caller holds s.appending.
func (n *Node) takeEntries(ctx context.Context, s *stream, f followed, author wire.Address, got wire.SyncedStream) (progress bool, err error) {
	if err := n.ready(ctx, s); err != nil {
		return false, err
	}
	if at := s.state().Seq; at > f.after {
		got.Entries = got.Entries[min(at-f.after, uint64(len(got.Entries))):]
	}
	drafts, _, wrong := openSigned(ctx, n, author, f.stream.author, func(c *keyservice.Chain) ([]*draft, error) {
		return n.copyDrafts(c, s, got.Entries)
	})
	if wrong == nil && got.Head < f.after && len(got.Closed) < len(f.readers) {
		wrong = wire.Errorf(wire.Tampered, "stream", "entry %d was there before, now the newest is %d", f.after, got.Head)
	}
	wraps := slices.DeleteFunc(slices.Clone(got.Wraps), func(w wire.SyncedWrap) bool {
		return !slices.Contains(f.readers, w.Wrap.Reader) || w.Wrap.Check() != nil
	})
	if err := n.keep(ctx, s, wraps, drafts, wrong == nil); err != nil {
		return false, err
	}
	return len(wraps)+len(drafts) > 0, wrong
}

// takeClosed takes in the ends that say why readers here are no longer served.
// Who is closed without any is just not served; their friendship may be forgotten there.
func (n *Node) takeClosed(ctx context.Context, f followed, author wire.Address, closed []wire.ClosedTo) {
	for _, c := range closed {
		if !slices.Contains(f.readers, c.Account) {
			continue
		}
		if len(c.Ends) == 0 {
			n.remind(ctx, f, []wire.AccountID{c.Account})
		}
		for _, end := range c.Ends[:min(len(c.Ends), maxEnds)] {
			p := parties{pair{c.Account, f.stream.author}, author}
			if _, err := n.ingest(ctx, byNode, p, wire.FriendStatement{Kind: wire.FriendEnd, Statement: end}); err != nil {
				n.log.Warn("the end of a friendship was not taken from a stream", "stream", f.stream.String(), "error", err)
			}
		}
	}
}

// copyDrafts verifies the next entries of a copy, up to the first that is wrong.
// The caller holds s.appending.
func (n *Node) copyDrafts(c *keyservice.Chain, s *stream, entries []wire.Entry) (drafts []*draft, err error) {
	at, now := s.state(), n.now().UnixMilli()
	for _, e := range entries {
		d, err := n.copyDraft(c, s.name, at, e, now)
		if err != nil {
			return drafts, err
		}
		drafts, at = append(drafts, d), d.head
	}
	return drafts, nil
}

func (n *Node) copyDraft(c *keyservice.Chain, name streamName, before streamHead, e wire.Entry, now int64) (*draft, error) {
	h, err := c.OpenEntry(e)
	if err != nil {
		return nil, err
	}
	if h.Audience != name.audience {
		return nil, wire.Errorf(wire.Tampered, "entry", "it is of another stream")
	}
	after, err := before.Next(h, e.ID())
	if err != nil {
		return nil, err
	}
	if err := n.ahead("entry", h.Created); err != nil {
		return nil, err
	}
	var body *wire.EpochBody
	if h.Kind == wire.KindEpoch {
		if body, _, err = c.OpenEpoch(h, e.Body, before.Epoch); err != nil {
			return nil, err
		}
	}
	return newDraft(before, after, h, e, body, now), nil
}

// keep stores wraps and entries of a copy, the wraps first: an entry that is
// there has its wraps. The caller holds s.appending.
func (n *Node) keep(ctx context.Context, s *stream, wraps []wire.SyncedWrap, drafts []*draft, heard bool) error {
	var changes []store.Change
	for _, w := range wraps {
		changes = append(changes, wrapChange(wrapName(s, w), w.Wrap))
	}
	for _, d := range drafts {
		changes = append(changes, d.changes(s)...)
	}
	asOf := s.asOf.Load()
	if heard {
		asOf = n.now().UnixMilli()
	}
	if asOf-s.saved >= saveAsOf.Milliseconds() || len(drafts) > 0 && asOf != s.saved {
		changes = append(changes, put(syncKey(s.name), &syncRecord{recordVersion, asOf}))
	}
	if len(changes) > 0 {
		s.stale = true // until it is known to have succeeded
		err := n.copies.Apply(ctx, changes...)
		for _, w := range wraps {
			n.wraps.forget(wrapName(s, w))
			n.noteReader(wrapName(s, w))
		}
		if err != nil {
			return fmt.Errorf("keep a copy: %w", err)
		}
		s.stale, s.saved = false, asOf
	}
	if len(drafts) > 0 {
		last := &drafts[len(drafts)-1].head
		s.told = last.Seq
		s.head.Store(last)
		n.changes.ofStream(s)
	}
	if heard {
		n.heardOf(s, asOf)
	}
	return nil
}

func wrapName(s *stream, w wire.SyncedWrap) keyservice.WrapName {
	return keyservice.WrapName{Author: s.name.author, Audience: s.name.audience, Commitment: w.Commitment, Reader: w.Wrap.Reader}
}

// syncAsk returns the question for one followed stream.
func (n *Node) syncAsk(ctx context.Context, f followed) (wire.SyncStream, error) {
	ask := wire.SyncStream{Author: f.stream.author, Audience: f.stream.audience}
	s, err := n.stream(ctx, f.stream)
	if err != nil {
		return ask, err
	}
	at := new(streamHead)
	if s != nil {
		at = s.head.Load()
	}
	ask.After, ask.Head = at.Seq, at.ID
	for _, reader := range f.readers {
		r := wire.SyncReader{Account: reader}
		if at.Seq > 0 {
			if r.Have, err = n.wrapHash(ctx, s, at.content, reader); err != nil && !errors.Is(err, wire.NotExist) {
				return ask, err
			}
		}
		ask.Readers = append(ask.Readers, r)
	}
	return ask, nil
}
