package client

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// maxSeq is above every seq: before it is the newest entry.
const maxSeq = 1<<53 + 1

// stream is one that this person may read.
type stream struct {
	streamID
	address wire.Address
	chain   *keyservice.Chain // nil until something has to be verified
	own     bool
}

// verified is an entry of a stream whose signature and body were verified.
type verified struct {
	edge
	h     *wire.EntryHeader
	entry wire.Entry
}

// ownStream is what this person writes to all friends.
func (p *Person) ownStream() stream {
	return stream{streamID{p.me(), p.vault.friends().ID}, p.session.Address, p.chain, true}
}

// streamOf returns the stream of somebody whom the vault calls a friend.
func streamOf(f *friend) stream {
	return stream{streamID{f.Account, f.Friendship.Yours.Audience}, f.address(), nil, false}
}

// verifier returns s with the chain that verifies its entries.
func (p *Person) verifier(ctx context.Context, s stream) (stream, error) {
	if s.chain != nil {
		return s, nil
	}
	f := p.vault.friend(s.Author)
	if f == nil {
		return s, errEnded
	}
	var err error
	s.chain, err = p.chainOf(ctx, f)
	return s, err
}

// errEnded tells of entries by somebody who is no friend any more, or not yet:
// the node may not have heard. They are left out.
var errEnded = wire.Errorf(wire.NotExist, "friend", "they are not a friend")

// streamBy returns the stream with an id that a node names.
func (p *Person) streamBy(id streamID) (stream, error) {
	if own := p.ownStream(); own.streamID == id {
		return own, nil
	}
	f := p.vault.friend(id.Author)
	if f != nil && f.state() != wire.StateFriend {
		return stream{}, errEnded
	}
	if f == nil || f.Friendship.Yours.Audience != id.Audience {
		return stream{}, wire.Errorf(wire.Tampered, "entry", "the node shows entries of somebody who is not a friend (account %s)", id.Author)
	}
	return streamOf(f), nil
}

// open verifies that e was signed by the author for this stream.
func (s stream) open(e wire.Entry) (verified, error) {
	h, err := s.chain.OpenEntry(e)
	if err != nil {
		return verified{}, s.unopened("an entry is not as it was signed", err)
	}
	if h.Audience != s.Audience {
		return verified{}, s.tampered(wire.Errorf(wire.Tampered, "entry", "it belongs to another stream"))
	}
	return verified{edge{h.Seq, e.ID(), h.Prev, h.Created, h.KeySeq, h.Kind, h.Epoch}, h, e}, nil
}

// openEntry verifies that e was signed by the author for this stream. Where it was not
// signed under the keys that are pinned, there may be newer ones, with which s goes on.
func (p *Person) openEntry(ctx context.Context, s stream, e wire.Entry) (stream, verified, error) {
	v, err := s.open(e)
	if err == nil {
		return s, v, nil
	}
	chain, failed := p.newerChain(ctx, s)
	if failed != nil || chain == nil {
		return s, v, cmp.Or(failed, err)
	}
	s.chain = chain
	v, err = s.open(e)
	return s, v, err
}

// untrue is the kind of what does not verify: malformed or wrong, it is not what
// was signed, unless a later release has signed it.
func untrue(err error) wire.Kind {
	if errors.Is(err, wire.Update) {
		return wire.Update
	}
	return wire.Tampered
}

// tampered says of which stream err speaks.
func (s stream) tampered(err error) error {
	return wire.Errorf(untrue(err), "posts", "the posts of %s: %s", s.address, reason(err))
}

// unopened says what of a stream err is about.
func (s stream) unopened(what string, err error) error {
	return s.tampered(wire.Errorf(wire.KindOf(err), "entry", "%s: %s", what, reason(err)))
}

func (s stream) missing(from, to uint64) error {
	return wire.Errorf(wire.Tampered, "entry", "the posts of %s: entries %d to %d are missing", s.address, from, to)
}

// connect verifies that newer is the entry after e. A post under an epoch that
// is not the newest does not follow.
func (e edge) connect(newer edge) error {
	head := wire.StreamHead{Seq: e.Seq, ID: e.ID, Epoch: e.Epoch, Created: e.Created, KeySeq: e.KeySeq}
	_, err := head.Next(&wire.EntryHeader{
		Seq: newer.Seq, Prev: newer.Prev, Created: newer.Created, KeySeq: newer.KeySeq, Kind: newer.Kind, Epoch: newer.Epoch,
	}, newer.ID)
	return err
}

// run asks for entries of a stream in order of seq, and verifies that they are
// one run without a gap. query is "after=N" or "before=N".
func (p *Person) run(ctx context.Context, s stream, query string, limit int) ([]verified, wire.StreamReply, error) {
	var r wire.StreamReply
	s, err := p.verifier(ctx, s)
	if err != nil {
		return nil, r, err
	}
	path := pathOf(wire.PathStream, s.Author.String(), s.Audience.String()) + "?" + query + "&limit=" + number(uint64(limit))
	if err := p.get(ctx, path, &r); err != nil {
		return nil, r, err
	}
	var entries []verified
	for i, e := range r.Entries {
		var v verified
		if s, v, err = p.openEntry(ctx, s, e); err != nil {
			return nil, r, err
		}
		if i > 0 {
			if err := entries[i-1].connect(v.edge); err != nil {
				return nil, r, s.tampered(err)
			}
		}
		entries = append(entries, v)
	}
	if n := len(entries); n > 0 && entries[n-1].Seq > r.Head {
		return nil, r, s.tampered(wire.Errorf(wire.Tampered, "entry", "entry %d is newer than what the node calls the newest", entries[n-1].Seq))
	}
	return entries, r, nil
}

// runAfter returns entries from seq after+1 on: at least one if the node has it.
func (p *Person) runAfter(ctx context.Context, s stream, after uint64, limit int) ([]verified, uint64, error) {
	entries, r, err := p.run(ctx, s, "after="+number(after), limit)
	if err != nil {
		return nil, r.Head, err
	}
	if len(entries) == 0 && r.Head > after || len(entries) > 0 && entries[0].Seq != after+1 {
		return nil, r.Head, s.missing(after+1, r.Head)
	}
	return entries, r.Head, nil
}

// runBefore returns entries below before, or the newest: at least one if there is any.
func (p *Person) runBefore(ctx context.Context, s stream, before uint64, limit int) ([]verified, wire.StreamReply, error) {
	entries, r, err := p.run(ctx, s, "before="+number(before), limit)
	if err != nil {
		return nil, r, err
	}
	newest := min(before-1, r.Head)
	if n := len(entries); n == 0 && newest > 0 || n > 0 && entries[n-1].Seq != newest {
		return nil, r, s.missing(newest, newest)
	}
	return entries, r, nil
}

// refreshOwn brings the track of the own stream up to date, and returns it; nil
// for a stream that has no entry yet. The node may not lead it back.
func (p *Person) refreshOwn(ctx context.Context) (*track, error) {
	s := p.ownStream()
	t := p.cache.track(s.streamID)
	p.current = true
	if t == nil {
		newest, _, err := p.runBefore(ctx, s, maxSeq, 1)
		if errors.Is(err, wire.NotExist) {
			return nil, nil
		}
		if err != nil || len(newest) == 0 {
			return nil, err
		}
		p.landed(newest)
		p.cache.setTrack(s.streamID, track{newest[0].edge, newest[0].edge})
		return p.cache.track(s.streamID), nil
	}
	if err := p.climb(ctx, s, maxSeq); err != nil {
		return nil, err
	}
	return p.cache.track(s.streamID), nil
}

// climb extends the track of a stream upwards, to seq to if the node has that.
func (p *Person) climb(ctx context.Context, s stream, to uint64) error {
	for {
		t := p.cache.track(s.streamID)
		entries, head, err := p.runAfter(ctx, s, t.Top.Seq, int(min(to-t.Top.Seq, wire.MaxPage)))
		if errors.Is(err, wire.NotExist) {
			head, err = 0, nil
		}
		if err != nil {
			return err
		}
		if head < t.Top.Seq {
			return rolledBack(s, head, t.Top.Seq)
		}
		if len(entries) == 0 {
			return nil
		}
		if err := t.Top.connect(entries[0].edge); err != nil {
			return s.tampered(err)
		}
		if s.own {
			p.landed(entries)
		}
		p.cache.setTrack(s.streamID, track{t.Low, entries[len(entries)-1].edge})
		if top := entries[len(entries)-1].Seq; top >= head || top >= to {
			return nil
		}
	}
}

// landed notes which entries of this device are in the stream.
func (p *Person) landed(entries []verified) {
	for _, v := range entries {
		p.arrived[v.ID] = true
	}
}

// reversed returns entries from the newest to the oldest.
func reversed(entries []verified) []verified {
	r := slices.Clone(entries)
	slices.Reverse(r)
	return r
}
