package keyservice

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// tileHeight is that of c2sp.org/tlog-tiles: 256 hashes.
const tileHeight = 8

const tileSize = wire.LogBundle * tlog.HashSize // bytes

// A tree is a log of some size, as far as it is kept in memory: the hashes of the tile on
// the right edge of each level, none of them whole. All whole tiles are in the ledger.
// It is not modified once others have it.
type tree struct {
	size       uint64
	edge       [][]byte // by level
	checkpoint []byte   // signed; nil before the first
}

// clone returns a copy that grow may change.
func (t *tree) clone() *tree {
	c := &tree{size: t.size, edge: slices.Clone(t.edge)}
	for i := range c.edge {
		c.edge[i] = bytes.Clone(c.edge[i])
	}
	return c
}

// grow adds a leaf, and returns the tiles that have become whole.
func (t *tree) grow(h tlog.Hash) (whole []Tile) {
	for level := 0; ; level++ {
		if level == len(t.edge) {
			t.edge = append(t.edge, nil)
		}
		t.edge[level] = append(t.edge[level], h[:]...)
		if len(t.edge[level]) < tileSize {
			break
		}
		data := t.edge[level]
		whole = append(whole, Tile{level, t.size >> (tileHeight * (level + 1)), data})
		t.edge[level], h = nil, tileRoot(data)
	}
	t.size++
	return whole
}

// root returns the hash of the tree.
func (t *tree) root() wire.Hash {
	h, err := tlog.TreeHash(int64(t.size), tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return eachHash(indexes, func(tile tlog.Tile) ([]byte, error) { return t.edge[tile.L], nil })
	}))
	if err != nil {
		panic("keyservice: " + err.Error()) // all that it asks for is on the edge
	}
	return wire.Hash(h)
}

// tileRoot returns the hash over a whole tile.
func tileRoot(data []byte) (h tlog.Hash) {
	level := make([]tlog.Hash, len(data)/tlog.HashSize)
	for i := range level {
		level[i] = tlog.Hash(data[i*tlog.HashSize:])
	}
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// eachHash returns the hashes with these numbers (tlog.HashReader), of tiles that read
// returns at least so far as they are asked for.
func eachHash(indexes []int64, read func(tlog.Tile) ([]byte, error)) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		tile := tlog.TileForIndex(tileHeight, index)
		data, err := read(tile)
		if err == nil {
			list[i], err = tlog.HashFromTile(tile, data, index)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// reader returns the hashes of a tree.
func (l *Log) reader(ctx context.Context, t *tree) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return eachHash(indexes, func(tile tlog.Tile) ([]byte, error) { return l.tileOf(ctx, t, tile.L, uint64(tile.N)) })
	})
}

// tileOf returns a tile of a tree, which may not be whole. It is not to be modified.
func (l *Log) tileOf(ctx context.Context, t *tree, level int, n uint64) ([]byte, error) {
	if n == t.size>>(tileHeight*(level+1)) {
		return t.edge[level], nil
	}
	return l.wholeTile(ctx, level, n)
}

// wholeTile returns a tile of the ledger.
func (l *Log) wholeTile(ctx context.Context, level int, n uint64) ([]byte, error) {
	if data := l.tiles.get(level, n); data != nil {
		return data, nil
	}
	data, err := l.ledger.Tile(ctx, level, n)
	if err != nil || len(data) != tileSize {
		return nil, fmt.Errorf("tile %d of level %d of this log: %d bytes: %v; run peerbrain-node fsck", n, level, len(data), err)
	}
	l.tiles.add(level, n, data)
	return data, nil
}

// A tileCache remembers tiles, which never change.
type tileCache struct {
	mu    sync.Mutex
	known *simplelru.LRU[[2]uint64, []byte]
}

func (c *tileCache) init(size int) {
	c.known, _ = simplelru.NewLRU[[2]uint64, []byte](size, nil) // fails for no positive size
}

func (c *tileCache) get(level int, n uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, _ := c.known.Get([2]uint64{uint64(level), n})
	return data
}

func (c *tileCache) add(level int, n uint64, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Add([2]uint64{uint64(level), n}, data)
}

// A Tree grows by leaves, and keeps nothing but its right edge. NewTree is the only way
// in.
type Tree struct{ t *tree }

// NewTree returns the tree of no leaves.
func NewTree() *Tree { return &Tree{new(tree)} }

// Add adds a leaf, and returns the tiles that have become whole.
func (t *Tree) Add(leaf []byte) []Tile { return t.t.grow(tlog.RecordHash(leaf)) }

// Size returns how many leaves there are.
func (t *Tree) Size() uint64 { return t.t.size }

// Root returns the hash over all leaves.
func (t *Tree) Root() wire.Hash { return t.t.root() }
