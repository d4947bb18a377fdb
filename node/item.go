package node

import (
	"cmp"
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// itemsSize is about how much memory items take: entries as they stand in feeds,
// in JSON too. The newest are on the pages of all who may read them. An entry that
// was committed never changes.
const itemsSize = 24 << 20 // bytes

type itemName struct {
	stream *stream
	seq    uint64
}

type item struct {
	wire.FeedItem
	size int // about what it takes
}

func (i *item) weight() int { return i.size }

// item returns one entry of a stream as it stands in a feed, or NotExist, or
// errGap where it is not kept. It is not to be modified.
func (n *Node) item(ctx context.Context, s *stream, seq uint64) (*item, error) {
	name := itemName{s, seq}
	if i, ok := n.items.get(name); ok {
		return i, nil
	}
	before := s.gap.Load()
	if !s.has(seq) {
		return nil, errGap
	}
	r, err := n.entry(ctx, s, seq)
	if s.copy && errors.Is(err, wire.NotExist) { // it may have gone just now
		if same, err := n.steady(ctx, s, before); err != nil || !same {
			return nil, cmp.Or(err, errGap)
		}
	}
	if err != nil {
		return nil, err
	}
	const around = 512 // bytes: names in JSON, and what the cache needs
	i := &item{r.item(s.name).Keep(), around + 7*r.entry().Size()/3}
	n.items.add(name, i)
	return i, nil
}
