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
		if got.Code == wire.NotExist && !n.takeGone(ctx, f) {
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
	back := got.Head < f.after && len(got.Closed) < len(f.readers)
	for range 3 {
		_, _, err = openBy(ctx, n, author.address(), f.stream.author, keysOfHome, func(c *keyservice.Chain) (struct{}, error) {
			more, err := n.takeEntries(ctx, s, f, c, got, !back && f.all(got))
			progress = progress || more
			return struct{}{}, err
		})
		if !errors.Is(err, store.ErrConflict) {
			break // else another process takes the same
		}
	}
	if err == nil && back {
		err = wire.Errorf(wire.Tampered, "stream", "entry %d was there before, now the newest is %d", f.after, got.Head)
	}
	return progress, err
}

// all reports whether an answer has all that it says there is.
func (f followed) all(got wire.SyncedStream) bool {
	return f.after+uint64(len(got.Entries)) >= got.Head
}

// takeEntries takes in entries and wraps. What another process of this node took
// since it was asked for is left out. It is called again where there are newer keys;
// meanwhile the stream is free. heard says that the home shows all it has.
func (n *Node) takeEntries(ctx context.Context, s *stream, f followed, c *keyservice.Chain, got wire.SyncedStream, heard bool) (progress bool, err error) {
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil {
		return false, err
	}
	if at := s.state().Seq; at > f.after {
		got.Entries = got.Entries[min(at-f.after, uint64(len(got.Entries))):]
	}
	if f.readers = n.follows.still(f.readers, s.name.author); len(f.readers) == 0 {
		return false, nil // nobody here reads it any more: it may have been dropped
	}
	drafts, wrong := n.copyDrafts(c, s.name, s.state(), got.Entries)
	wraps := n.goodWraps(f, got.Wraps)
	if err := n.keep(ctx, s, wraps, drafts, heard && wrong == nil); err != nil {
		return false, err
	}
	return len(wraps)+len(drafts) > 0, wrong
}

// goodWraps returns those that can be kept. One that cannot holds up no other.
func (n *Node) goodWraps(f followed, wraps []wire.SyncedWrap) (good []wire.SyncedWrap) {
	for _, w := range wraps {
		if !slices.Contains(f.readers, w.Wrap.Reader) {
			continue
		}
		if err := w.Wrap.Check(); err != nil {
			n.log.Warn("a wrap that came with a stream is left out", "stream", f.stream.String(), "error", err)
			continue
		}
		good = append(good, w)
	}
	return good
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
func (n *Node) copyDrafts(c *keyservice.Chain, name streamName, at streamHead, entries []wire.Entry) (drafts []*draft, err error) {
	now := n.now().UnixMilli()
	for _, e := range entries {
		d, err := n.copyDraft(c, name, at, e, now)
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
	asOf := s.asOf.Load()
	if heard {
		asOf = n.now().UnixMilli()
	}
	names, changes, grown, err := n.copyChanges(ctx, s, wraps, drafts, asOf)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		s.stale = true // until it is known to have succeeded
		err := n.copies.Apply(ctx, changes...)
		for _, name := range names {
			n.wraps.forget(name)
			n.noteReader(name)
		}
		if err != nil {
			return fmt.Errorf("keep a copy: %w", err)
		}
		s.stale, s.saved = false, asOf
		s.grow(grown)
		n.room.grow(grown)
		if s.bytes < 0 {
			n.room.mark()
		}
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

// copyChanges are the changes that keep wraps and entries of a copy: of which
// wraps, and how many bytes they add. The caller holds s.appending.
func (n *Node) copyChanges(ctx context.Context, s *stream, wraps []wire.SyncedWrap, drafts []*draft, asOf int64) (names []keyservice.WrapName, changes []store.Change, grown int64, err error) {
	names, changes = wrapChanges(s, wraps)
	grown, err = n.newWraps(ctx, s, names, changes, drafts)
	if err != nil {
		return nil, nil, 0, err
	}
	seq := s.state().Seq
	if grown > 0 && len(drafts) == 0 { // it is counted again, unless all of this is done
		changes = slices.Insert(changes, 0, syncChange(s.name, s.saved, seq, -1))
	}
	for _, d := range drafts {
		of := d.changes(s, store.IfAbsent())
		changes, grown, seq = append(changes, of...), grown+sizeOf(of...), d.head.Seq
	}
	if grown > 0 || seq > 0 && asOf-s.saved >= saveAsOf.Milliseconds() { // of one that was dropped there is nothing to say
		bytes := s.bytes
		if bytes >= 0 {
			bytes += grown
		}
		changes = append(changes, syncChange(s.name, asOf, seq, bytes))
	}
	return names, changes, grown, nil
}

// grow notes that a copy takes more, if it is known what it took. The caller holds
// s.appending.
func (s *stream) grow(bytes int64) {
	if s.bytes >= 0 {
		s.bytes += bytes
	}
}

// wrapChanges are the changes that keep wraps of a copy, and of which.
func wrapChanges(s *stream, wraps []wire.SyncedWrap) (names []keyservice.WrapName, changes []store.Change) {
	for _, w := range wraps {
		name := keyservice.WrapName{Author: s.name.author, Audience: s.name.audience, Commitment: w.Commitment, Reader: w.Wrap.Reader}
		names, changes = append(names, name), append(changes, wrapChange(name, w.Wrap))
	}
	return names, changes
}

// syncChange notes when a copy was heard of, and what it takes up to an entry;
// bytes are below 0 where nobody knows.
func syncChange(name streamName, asOf int64, seq uint64, bytes int64) store.Change {
	return put(syncKey(name), &syncRecord{Version: recordVersion, AsOf: asOf, Seq: seq, Bytes: max(bytes, 0)})
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
