package node

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/hmac"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A place is where an entry stands in a feed. Places are in one strict order:
// by position, then author, audience and seq. A cursor is the place of the last
// entry of a page, as CBOR, with the first 16 bytes of an HMAC-SHA256 under the
// node's secret over label || 0x00 || reader || CBOR behind it; base64url.
type place struct {
	Version  uint64          `cbor:"1,keyasint"`
	Position int64           `cbor:"2,keyasint"` // ms since 1970
	Author   wire.AccountID  `cbor:"3,keyasint"`
	Audience wire.AudienceID `cbor:"4,keyasint"`
	Seq      uint64          `cbor:"5,keyasint"`
}

func placeOf(s streamName, seq uint64, position int64) place {
	return place{recordVersion, position, s.author, s.audience, seq}
}

// before reports whether p is older than q: further down in a feed.
func (p place) before(q place) bool {
	if p.Position != q.Position {
		return p.Position < q.Position
	}
	if c := bytes.Compare(p.Author[:], q.Author[:]); c != 0 {
		return c < 0
	}
	if c := bytes.Compare(p.Audience[:], q.Audience[:]); c != 0 {
		return c < 0
	}
	return p.Seq < q.Seq
}

const (
	cursorTag = 16   // bytes
	maxCursor = 1024 // characters of one that is looked at
)

func (n *Node) cursor(reader wire.AccountID, p place) string {
	b := wire.EncodeCBOR(&p)
	tag := n.mac(wire.LabelCursorTag, append(reader[:], b...))
	text, _ := wire.Bytes(append(b, tag[:cursorTag]...)).MarshalText() // never fails
	return string(text)
}

func (n *Node) openCursor(reader wire.AccountID, s string) (p place, err error) {
	wrong := wire.Errorf(wire.Invalid, "before", "this cursor was not made by this node for you")
	var b wire.Bytes
	if len(s) > maxCursor || b.UnmarshalText([]byte(s)) != nil || len(b) < cursorTag {
		return p, wrong
	}
	b, got := b[:len(b)-cursorTag], b[len(b)-cursorTag:]
	tag := n.mac(wire.LabelCursorTag, append(reader[:], b...))
	if !hmac.Equal(tag[:cursorTag], got) || wire.DecodeCBOR("cursor", b, &p) != nil {
		return p, wrong
	}
	return p, nil
}

// A lane is one stream in the merge, at its newest entry that is not in the feed
// yet.
type lane struct {
	stream *stream
	place  place
	item   *item // nil until it is needed: the place of a head is in memory
}

// lanes are a heap, the newest first.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[j].place.before(l[i].place) }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*lane)) }
func (l *lanes) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// Feed returns a page of all streams that the person may read, newest first: at
// most limit entries, of every kind, wire.MaxPage if 0, and wire.MaxPageBytes. An
// empty cursor begins with the newest, after asking the nodes of friends
// elsewhere; who does not answer in time is read from the copies. Invalid for a
// cursor that this node did not make for this person.
func (p *Person) Feed(ctx context.Context, limit int, cursor string) (wire.FeedReply, error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return wire.FeedReply{}, err
	}
	var after *place
	if cursor != "" {
		at, err := p.node.openCursor(p.account, cursor)
		if err != nil {
			return wire.FeedReply{}, err
		}
		after = &at
	} else if err := p.refresh(ctx, func(friendLink) bool { return true }); err != nil {
		return wire.FeedReply{}, err
	}
	streams, err := p.readableStreams(ctx)
	if err != nil {
		return wire.FeedReply{}, err
	}
	reply := wire.FeedReply{Items: make([]wire.FeedItem, 0, limit), Streams: make([]wire.StreamStatus, 0, len(streams))}
	all, merge := make([]lane, len(streams)), make(lanes, 0, len(streams))
	for i, s := range streams {
		at := s.state()
		found, err := p.node.lane(ctx, s, at, after)
		if p.node.mayLeaveOut(p.account, s.name, err) {
			continue
		}
		if err != nil {
			return wire.FeedReply{}, err
		}
		status := s.status
		status.Head, status.AsOf = at.Seq, p.node.asOf(s)
		reply.Streams = append(reply.Streams, status)
		if found.stream != nil {
			all[i] = found
			merge = append(merge, &all[i])
		}
	}
	heap.Init(&merge)
	last, err := p.node.merge(ctx, p.account, &merge, limit, &reply)
	if err == nil && len(merge) > 0 {
		reply.Cursor = p.node.cursor(p.account, last)
	}
	return reply, err
}

// readableStreams returns what the person may read: their own, and those of
// their friends.
func (p *Person) readableStreams(ctx context.Context) ([]*stream, error) {
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return nil, err
	}
	if err := p.ownFound(ctx); err != nil {
		return nil, err
	}
	own, err := p.node.streamsOf(ctx, p.account)
	if err != nil {
		return nil, err
	}
	list := append(make([]*stream, 0, len(own)+len(c.friends)), own...)
	for i := range c.friends {
		s, err := p.node.readableFriend(ctx, p.account, &c.friends[i])
		if errors.Is(err, wire.NotExist) || p.node.mayLeaveOut(p.account, c.friends[i].stream, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// lane returns a stream at its newest entry below after; a zero lane if there is
// none. Places along a stream rise with seq, so it is found in steps from the
// newest on that double, and then by halving: what is asked for is mostly near.
func (n *Node) lane(ctx context.Context, s *stream, at streamHead, after *place) (lane, error) {
	head := placeOf(s.name, at.Seq, at.position)
	if after == nil || head.before(*after) {
		return lane{stream: s, place: head}, nil
	}
	var found lane
	low, high := uint64(1), at.Seq // the last below after is before high
	for step := uint64(1); low < high; {
		middle := low + (high-low)/2
		if found.stream == nil && step < high-middle {
			middle, step = high-step, 2*step
		}
		i, err := n.item(ctx, s, middle)
		if err != nil {
			return lane{}, err
		}
		if p := placeOf(s.name, middle, i.Position); p.before(*after) {
			low, found = middle+1, lane{s, p, i}
		} else {
			high = middle
		}
	}
	return found, nil
}

// merge moves entries from the lanes into reply until it is full. It returns the
// place of the last; lanes that are not at their end stay.
func (n *Node) merge(ctx context.Context, reader wire.AccountID, m *lanes, limit int, reply *wire.FeedReply) (last place, err error) {
	size := 0
	for len(*m) > 0 && len(reply.Items) < limit {
		l := (*m)[0]
		if l.item == nil {
			l.item, err = n.item(ctx, l.stream, l.place.Seq)
			if n.mayLeaveOut(reader, l.stream.name, err) {
				leaveOut(reply, l.stream.name)
				heap.Pop(m)
				continue
			}
			if err != nil {
				return last, err
			}
		}
		if size += l.item.Entry.Size(); size > wire.MaxPageBytes && len(reply.Items) > 0 {
			return last, nil
		}
		reply.Items, last = append(reply.Items, l.item.FeedItem), l.place
		if l.place.Seq == 1 {
			heap.Pop(m)
			continue
		}
		l.item, err = n.item(ctx, l.stream, l.place.Seq-1)
		if n.mayLeaveOut(reader, l.stream.name, err) {
			heap.Pop(m) // what is newer stays
			continue
		}
		if err != nil {
			return last, err
		}
		l.place = placeOf(l.stream.name, l.place.Seq-1, l.item.Position)
		heap.Fix(m, 0)
	}
	return last, nil
}
