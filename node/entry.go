package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	maxStreams = wire.MaxStreams // of one account
	maxEndings = 100             // friendships that one entry ends
)

func idKey(id wire.EntryID) string { return keyOf("id/", id) }

func idChange(s streamName, seq uint64, id wire.EntryID) store.Change {
	return put(idKey(id), &idRecord{recordVersion, s.author, s.audience, seq})
}

// A draft is an entry that was verified and can be the next of its stream.
type draft struct {
	record *entryRecord
	head   streamHead // with it
}

// newDraft makes the draft of a verified entry. Arrival never falls along a
// stream, even when the node's clock does.
func newDraft(before streamHead, after wire.StreamHead, h *wire.EntryHeader, e wire.Entry, body *wire.EpochBody, now int64) *draft {
	r := &entryRecord{
		Version: recordVersion, Header: e.Header, Body: e.Body, Arrival: max(now, before.arrival),
		Kind: h.Kind, Epoch: h.Epoch, PrevEpoch: before.Epoch, Created: h.Created, KeySeq: h.KeySeq,
	}
	d := &draft{r, streamHead{StreamHead: after, content: before.content, arrival: r.Arrival, position: r.position()}}
	if body != nil {
		r.Content, d.head.content = body.Content, body.Content
	}
	return d
}

// changes commit the entry, under a condition on its record, and then derive its id.
func (d *draft) changes(s *stream, entry store.Condition) []store.Change {
	return []store.Change{
		putIf(s.entryKey(d.head.Seq), d.record, entry),
		idChange(s.name, d.head.Seq, d.head.ID),
	}
}

// Publish appends an entry to a stream of the person; it is on disk when Publish
// returns. Ends, with an epoch entry only, are committed by the same record. The
// very same entry again has the very same reply. Kinds of errors: Conflict when
// another entry was first or keys, epoch or vault are not the newest, Clock,
// Invalid, TooLarge, Limit.
func (p *Person) Publish(ctx context.Context, r wire.PublishRequest) (wire.PublishReply, error) {
	chain, err := p.chain(ctx)
	if err != nil {
		return wire.PublishReply{}, err
	}
	h, err := chain.OpenEntry(r.Entry)
	if err != nil {
		return wire.PublishReply{}, refuse(err)
	}
	if len(r.Ends) > 0 && h.Kind != wire.KindEpoch || len(r.Ends) > maxEndings {
		return wire.PublishReply{}, wire.Errorf(wire.Invalid, "ends", "at most %d ends, with an epoch entry, were expected", maxEndings)
	}
	name := streamName{p.account, h.Audience}
	s, err := p.node.stream(ctx, name)
	if err != nil {
		return wire.PublishReply{}, err
	}
	if s == nil { // do not remember what cannot be the first
		if _, err := (wire.StreamHead{}).Next(h, r.Entry.ID()); err != nil {
			return wire.PublishReply{}, refuse(err)
		}
		if s, err = p.node.streams.open(name, false, maxStreams); err != nil {
			return wire.PublishReply{}, err
		}
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	reply, err := p.append(ctx, chain, s, h, r)
	if err == nil {
		p.node.continued(name, reply.ID)
	}
	return reply, err
}

// append makes an entry the next of a stream, unless it is there already. The caller
// holds s.appending.
func (p *Person) append(ctx context.Context, chain *keyservice.Chain, s *stream, h *wire.EntryHeader, r wire.PublishRequest) (wire.PublishReply, error) {
	for range 2 {
		if err := p.node.ready(ctx, s); err != nil {
			return wire.PublishReply{}, err
		}
		if h.Seq <= s.state().Seq {
			return p.node.published(ctx, s, h.Seq, r.Entry.ID())
		}
		d, err := p.draft(ctx, chain, s.state(), h, r)
		if err != nil {
			return wire.PublishReply{}, refuse(err)
		}
		if err := p.node.mayContinue(s.name, d.head.ID); err != nil {
			return wire.PublishReply{}, err
		}
		if err = p.node.commit(ctx, s, d); err == nil {
			return wire.PublishReply{ID: d.head.ID, Arrival: d.record.Arrival}, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return wire.PublishReply{}, err
		}
	}
	return wire.PublishReply{}, wire.Errorf(wire.Conflict, "entry", "another entry was first")
}

// ready brings s up to the store after something failed, or another process
// wrote to it, and finishes what was left unfinished. The caller holds
// s.appending.
func (n *Node) ready(ctx context.Context, s *stream) error {
	if err := n.catchUp(ctx, s); err != nil {
		return err
	}
	return n.settle(ctx, s)
}

// published returns the reply to an entry that is there already.
func (n *Node) published(ctx context.Context, s *stream, seq uint64, id wire.EntryID) (wire.PublishReply, error) {
	r, err := n.entry(ctx, s, seq)
	if err != nil {
		return wire.PublishReply{}, err
	}
	if r.entry().ID() != id {
		return wire.PublishReply{}, wire.Errorf(wire.Conflict, "entry", "entry %d is another one already, the newest is %d", seq, s.state().Seq)
	}
	return wire.PublishReply{ID: id, Arrival: r.Arrival}, nil
}

// draft checks whether an entry of the person can be the next.
func (p *Person) draft(ctx context.Context, chain *keyservice.Chain, before streamHead, h *wire.EntryHeader, r wire.PublishRequest) (*draft, error) {
	after, err := before.Next(h, r.Entry.ID())
	if err != nil {
		return nil, err
	}
	if err := checkNewest("entry", chain, h.KeySeq); err != nil {
		return nil, err
	}
	if err := p.node.ahead("entry", h.Created); err != nil {
		return nil, err
	}
	var body *wire.EpochBody
	if h.Kind == wire.KindEpoch {
		_, vault, _, err := p.node.vaultHead(ctx, chain)
		if err != nil {
			return nil, err
		}
		if body, _, err = keyservice.CheckEpoch(chain, h, r.Entry.Body, before.Epoch, vault.Counter); err != nil {
			return nil, err
		}
	}
	d := newDraft(before, after, h, r.Entry, body, p.node.now().UnixMilli())
	for _, end := range r.Ends {
		e, err := p.checkEnd(ctx, chain, end)
		if err != nil {
			return nil, err
		}
		d.record.Ends = append(d.record.Ends, e)
	}
	return d, nil
}

// checkEnd verifies an end that an entry is to commit, like one that is told.
func (p *Person) checkEnd(ctx context.Context, chain *keyservice.Chain, r wire.FriendRequest) (endRecord, error) {
	if r.Kind != wire.FriendEnd {
		return endRecord{}, wire.Errorf(wire.Invalid, "ends", "an end was expected, not %.20q", string(r.Kind))
	}
	s, err := openStatement(chain, r.FriendStatement)
	if err != nil {
		return endRecord{}, err
	}
	if err := checkNewest("ends", chain, s.keySeq); err != nil {
		return endRecord{}, err
	}
	if err := p.node.ahead("ends", s.created); err != nil {
		return endRecord{}, err
	}
	f, rev, err := p.node.friendship(ctx, pair{p.account, s.to})
	if err != nil {
		return endRecord{}, err
	}
	switch {
	case rev == 0 || f.address() != r.Address:
		return endRecord{}, wire.Errorf(wire.NotExist, "ends", "there is no offer between you and %s", r.Address)
	case len(f.Queue) >= wire.MaxFriendQueue:
		return endRecord{}, wire.Errorf(wire.Limit, "ends", "%d statements wait for node %q already", len(f.Queue), f.Node)
	}
	return endRecord{s.to, s.Statement}, nil
}

// commit stores a draft and does what follows from it. The caller holds
// s.appending.
func (n *Node) commit(ctx context.Context, s *stream, d *draft) error {
	s.stale, s.unsettled = true, true // until it is known to have succeeded
	if err := n.storeOf(s).Apply(ctx, d.changes(s, store.IfAbsent())...); err != nil {
		return err
	}
	s.stale, s.unsettled = false, len(d.record.Ends) > 0
	s.told = d.head.Seq
	s.head.Store(&d.head)
	n.changes.ofStream(s)
	n.notices.entry(s, d.head.Seq)
	return n.settle(ctx, s)
}

// settle does what follows from the newest entries of a stream, unless it is
// known to be done: their ids can be looked up, and the ends that came with the
// newest are in the friendRecords. The caller holds s.appending, or is alone.
func (n *Node) settle(ctx context.Context, s *stream) error {
	if !s.unsettled {
		return nil
	}
	at := s.state()
	for seq := at.Seq; seq > 0; seq-- {
		r, err := n.entry(ctx, s, seq)
		if err != nil {
			return fmt.Errorf("entry %d: %v", seq, err)
		}
		if seq == at.Seq {
			if err := n.settleEnds(ctx, s.name.author, r.Ends); err != nil {
				return err
			}
		}
		id := r.entry().ID()
		_, err = read(ctx, n.storeOf(s), idKey(id), new(idRecord))
		if err == nil {
			break // those before have theirs too
		}
		if !errors.Is(err, wire.NotExist) {
			return err
		}
		if err := n.storeOf(s).Apply(ctx, idChange(s.name, seq, id)); err != nil {
			return err
		}
	}
	s.unsettled = false
	return nil
}

// settleEnds takes ends into the author's records and begins to deliver them.
func (n *Node) settleEnds(ctx context.Context, author wire.AccountID, ends []endRecord) error {
	for _, e := range ends {
		p := pair{author, e.Other}
		f, _, err := n.friendship(ctx, p)
		if err != nil {
			return err
		}
		end := wire.FriendStatement{Kind: wire.FriendEnd, Statement: e.Statement}
		if f, err = n.ingest(ctx, byEntry, parties{p, f.address()}, end); err != nil {
			return fmt.Errorf("end with %s: %w", e.Other, err)
		}
		if len(f.Queue) > 0 {
			n.queue.add(p, f.Node)
		}
	}
	return nil
}
