package node

import (
	"context"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Stream returns entries of a stream that the person may read, in order of seq:
// those after a seq, or the newest before one; one of the two is 0. At most limit
// of them, wire.MaxPage if 0, and wire.MaxPageBytes. Kinds of errors: NotExist,
// Invalid.
func (p *Person) Stream(ctx context.Context, author wire.AccountID, audience wire.AudienceID, after, before uint64, limit int) (wire.StreamReply, error) {
	if after != 0 && before != 0 {
		return wire.StreamReply{}, wire.Errorf(wire.Invalid, "before", "after or before was expected, not both")
	}
	limit, err := pageLimit(limit)
	if err != nil {
		return wire.StreamReply{}, err
	}
	name := streamName{author, audience}
	if err := p.refresh(ctx, &author); err != nil {
		return wire.StreamReply{}, err
	}
	s, err := p.node.readable(ctx, p.account, name)
	if err != nil {
		return wire.StreamReply{}, err
	}
	reply := wire.StreamReply{Head: s.state().Seq, AsOf: p.node.asOf(s)}
	var records []*entryRecord
	for range 3 { // entries may go while they are read
		q, err := p.span(ctx, s, reply.Head, after, before, limit)
		if err != nil {
			return wire.StreamReply{}, err
		}
		g := s.gap.Load()
		if records, err = p.node.records(ctx, s, q, wire.MaxPageBytes); err != nil {
			return wire.StreamReply{}, err
		}
		same, err := p.node.steady(ctx, s, g)
		if err != nil {
			return wire.StreamReply{}, err
		}
		if same {
			break
		}
		records = nil
	}
	reply.Entries = make([]wire.Entry, len(records))
	for i, r := range records {
		reply.Entries[i] = r.entry()
	}
	p.node.touch(s, p.node.now())
	return reply, nil
}

// span selects the entries of a stream after one, or before one, up to what is not
// kept here. Where that is the first that was asked for, it is fetched, or the
// answer is Unavailable.
func (p *Person) span(ctx context.Context, s *stream, head, after, before uint64, limit int) (store.Query, error) {
	first := after + 1
	if before != 0 {
		first = min(before-1, head)
	}
	if g := s.gap.Load(); g != nil && first > 0 && first < g.From && (first != g.Epoch || limit > 1) {
		if _, err := p.refill(ctx, s); err != nil {
			return store.Query{}, err
		}
		if !s.has(first) {
			return store.Query{}, notKept()
		}
	}
	low, high := s.around(first)
	if before != 0 {
		return store.Query{From: s.entryKey(min(low, first)), To: store.After(s.entryKey(first)), Reverse: true, Limit: limit}, nil
	}
	return store.Query{From: s.entryKey(first), To: store.After(s.entryKey(min(high, head))), Limit: limit}, nil
}

// records reads entries until they have more bytes than limit: at least one, in
// order of seq.
func (n *Node) records(ctx context.Context, s *stream, q store.Query, limit int) ([]*entryRecord, error) {
	var list []*entryRecord
	size := 0
	for rec, err := range n.storeOf(s).Scan(ctx, q) {
		if err != nil {
			return nil, err
		}
		r := new(entryRecord)
		if err := decodeRecord(rec, r); err != nil {
			return nil, err
		}
		if size += r.entry().Size(); size > limit && len(list) > 0 {
			break
		}
		list = append(list, r)
	}
	if q.Reverse {
		slices.Reverse(list)
	}
	return list, nil
}

// asOf tells when the author's node was last heard, ms since 1970.
func (n *Node) asOf(s *stream) int64 {
	if s.copy {
		return s.asOf.Load()
	}
	return n.now().UnixMilli()
}

// pageLimit returns how many items a page may have; 0 asks for the most.
func pageLimit(limit int) (int, error) {
	if limit < 0 {
		return 0, wire.Errorf(wire.Invalid, "limit", "a number from 1 to %d was expected", wire.MaxPage)
	}
	if limit == 0 {
		limit = wire.MaxPage
	}
	return min(limit, wire.MaxPage), nil
}
