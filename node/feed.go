package node

import (
	"bytes"
	"context"
	"crypto/hmac"

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

// Feed returns a page of all streams that the person may read, newest first: at
// most limit entries, of every kind, wire.MaxPage if 0, and wire.MaxPageBytes. An
// empty cursor begins with the newest, after asking the nodes of friends
// elsewhere; who does not answer in time is read from the copies. since is the
// State of a reply before: what changed since is told of the streams, or all where
// that cannot be known. Invalid for a cursor that this node did not make for this
// person.
func (person *Person) Feed(ctx context.Context, limit int, cursor, since string) (wire.FeedReply, error) {
	p := &page{Person: person}
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
	} else if err := p.refresh(ctx, nil); err != nil {
		return wire.FeedReply{}, err
	}
	if err := p.ownFound(ctx); err != nil {
		return wire.FeedReply{}, err
	}
	p.node.noteLate()
	number := p.node.changes.now() // before anything that may change
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return wire.FeedReply{}, err
	}
	r, err := p.ranking(ctx, c, number)
	if err != nil {
		return wire.FeedReply{}, err
	}
	reply := wire.FeedReply{State: p.node.stateAt(p.account, number)}
	if err := p.fill(ctx, c, r, limit, after, since, &reply); err != nil || len(p.gaps) == 0 {
		return reply, err
	}
	closed, err := p.refill(ctx, p.gaps...)
	if !closed || err != nil {
		return reply, err
	}
	*p, reply = page{Person: person}, wire.FeedReply{State: p.node.stateAt(p.account, number)}
	return reply, p.fill(ctx, c, r, limit, after, since, &reply)
}

// fill fills a page with at most limit entries below a place.
func (p *page) fill(ctx context.Context, c *circle, r *ranking, limit int, after *place, since string, reply *wire.FeedReply) error {
	reply.Items = make([]wire.FeedItem, 0, limit)
	if err := p.statuses(ctx, c, r, since, reply); err != nil {
		return err
	}
	m, err := p.merge(ctx, r, after, reply)
	if err != nil {
		return err
	}
	last, more, err := m.fill(ctx, limit, reply)
	if p.left {
		reply.State = p.node.stateAt(wire.AccountID{}, 0) // foreign: when it can be read again, there is no change of it
	}
	if more {
		reply.Cursor = p.node.cursor(p.account, last.place())
	}
	return err
}
