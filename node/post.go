package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Post returns an entry that the person may read, of any kind. NotExist for all
// others. Soon after a start, one that is not found may still get the record that
// finds it by its id: that is waited for.
func (p *Person) Post(ctx context.Context, id wire.EntryID) (wire.FeedItem, error) {
	all := p.node.isWarm() // before it is looked for: what is found meanwhile counts
	item, err := p.postNow(ctx, id)
	if !errors.Is(err, wire.NotExist) {
		return item, err
	}
	if all {
		return item, p.orNotKept(ctx, err)
	}
	defer waiting(ctx)()
	select {
	case <-p.node.warmed:
	case <-ctx.Done():
		return item, ctx.Err()
	}
	if item, err = p.postNow(ctx, id); errors.Is(err, wire.NotExist) {
		err = p.orNotKept(ctx, err)
	}
	return item, err
}

// orNotKept says of what was not found that it may be among the older entries of a
// friend that are not kept here, where there are such.
func (p *Person) orNotKept(ctx context.Context, none error) error {
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return err
	}
	for i := range c.friends {
		if s := p.node.streams.get(c.friends[i].link.Value().stream); s != nil && !s.has(1) {
			return wire.Errorf(wire.NotExist, "post", "no such post is kept here; older ones of friends elsewhere are fetched when their posts are read")
		}
	}
	return none
}

func (p *Person) postNow(ctx context.Context, id wire.EntryID) (wire.FeedItem, error) {
	none := wire.Errorf(wire.NotExist, "post", "no such post")
	for _, kept := range []store.Store{p.node.own, p.node.copies} {
		var at idRecord
		_, err := read(ctx, kept, idKey(id), &at)
		if errors.Is(err, wire.NotExist) {
			continue
		}
		if err != nil {
			return wire.FeedItem{}, err
		}
		s, err := p.node.readable(ctx, p.account, streamName{at.Author, at.Audience})
		if errors.Is(err, wire.NotExist) {
			return wire.FeedItem{}, none
		}
		if err != nil {
			return wire.FeedItem{}, err
		}
		if !s.has(at.Seq) {
			return wire.FeedItem{}, none
		}
		r, err := p.node.entry(ctx, s, at.Seq)
		if errors.Is(err, wire.NotExist) || err == nil && r.entry().ID() != id {
			return wire.FeedItem{}, none
		}
		if err != nil {
			return wire.FeedItem{}, err
		}
		p.node.touch(s, p.node.now())
		return r.item(s.name), nil
	}
	return wire.FeedItem{}, none
}

func (r *entryRecord) item(s streamName) wire.FeedItem {
	return wire.FeedItem{Author: s.author, Audience: s.audience, Entry: r.entry(), Position: r.position()}
}

// isWarm reports whether what is left of interrupted work has been looked through.
func (n *Node) isWarm() bool {
	select {
	case <-n.warmed:
		return true
	default:
		return false
	}
}
