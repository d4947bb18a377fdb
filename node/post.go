package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Post returns an entry that the person may read, of any kind. NotExist for all
// others.
func (p *Person) Post(ctx context.Context, id wire.EntryID) (wire.FeedItem, error) {
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
		r, err := p.node.entry(ctx, s, at.Seq)
		if errors.Is(err, wire.NotExist) || err == nil && r.entry().ID() != id {
			return wire.FeedItem{}, none
		}
		if err != nil {
			return wire.FeedItem{}, err
		}
		return r.item(s.name), nil
	}
	return wire.FeedItem{}, none
}

func (r *entryRecord) item(s streamName) wire.FeedItem {
	return wire.FeedItem{Author: s.author, Audience: s.audience, Entry: r.entry(), Position: r.position()}
}
