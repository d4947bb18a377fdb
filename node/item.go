package node

import (
	"context"
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// itemsSize is about how much memory items take.
const itemsSize = 32 << 20 // bytes

// items remember entries as they stand in feeds, in JSON too: the newest are on
// the pages of all who may read them. An entry that was committed never changes.
type items struct {
	mu    sync.Mutex
	known *simplelru.LRU[itemName, *item]
	size  int
}

type itemName struct {
	stream *stream
	seq    uint64
}

type item struct {
	wire.FeedItem
	size int // about what it takes
}

func (i *items) init() {
	i.known, _ = simplelru.NewLRU(math.MaxInt, func(_ itemName, gone *item) { i.size -= gone.size }) // fails for no positive size
}

func (i *items) get(name itemName) *item {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, _ := i.known.Get(name)
	return found
}

func (i *items) add(name itemName, made *item) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known.Contains(name) {
		return
	}
	i.known.Add(name, made)
	for i.size += made.size; i.size > itemsSize; {
		i.known.RemoveOldest()
	}
}

// item returns one entry of a stream as it stands in a feed, or NotExist. It is
// not to be modified.
func (n *Node) item(ctx context.Context, s *stream, seq uint64) (*item, error) {
	name := itemName{s, seq}
	if i := n.items.get(name); i != nil {
		return i, nil
	}
	r, err := n.entry(ctx, s, seq)
	if err != nil {
		return nil, err
	}
	const around = 512 // bytes: names in JSON, and what the cache needs
	i := &item{r.item(s.name).Keep(), around + 7*r.entry().Size()/3}
	n.items.add(name, i)
	return i, nil
}
