package keyservice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Files of a log (c2sp.org/tlog-tiles), by their names below its prefix.

// CheckpointFile is the name of the newest checkpoint.
const CheckpointFile = "checkpoint"

// leavesLevel stands for bundles of leaves, in place of a level of the tree.
const leavesLevel = -1

// A logFile is a tile, or a bundle of leaves: of so many hashes or leaves.
type logFile struct {
	level int
	n     uint64
	width int
}

// name returns where a file lies: package tlog has the height of the tiles in it, and
// another word for leaves.
func (f logFile) name() string {
	path := tlog.Tile{H: tileHeight, L: f.level, N: int64(f.n), W: f.width}.Path()
	path = strings.Replace(path, "tile/8/", "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

// parseFileName accepts exactly what name returns.
func parseFileName(name string) (f logFile, ok bool) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok || len(name) > 64 {
		return f, false
	}
	if entries, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + entries
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil || t.N < 0 {
		return f, false
	}
	f = logFile{t.L, uint64(t.N), t.W}
	return f, f.name() == name && f.level < 7 && f.n <= wire.MaxInteger/wire.LogBundle
}

// formatBundle writes leaves with their lengths before them.
func formatBundle(leaves [][]byte) (b []byte) {
	for _, leaf := range leaves {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(leaf))), leaf...)
	}
	return b
}

// parseBundle reads so many leaves.
func parseBundle(b []byte, count int) (leaves [][]byte, ok bool) {
	for len(b) >= 2 {
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < n {
			return nil, false
		}
		leaves, b = append(leaves, b[:n:n]), b[n:]
	}
	return leaves, len(b) == 0 && len(leaves) == count
}

// A LogReader reads a log up to a checkpoint by its files, and believes none of them that
// does not follow from the checkpoint. It is for one goroutine.
type LogReader struct {
	tree   Checkpoint
	tiles  map[string][]byte // as they were fetched: each is verified again whenever it is used
	fetch  func(name string) ([]byte, error)
	hashes tlog.HashReader
}

// NewLogReader returns the reader of a log whose checkpoint was verified. fetch gets a
// file by its name; where it errs, that is returned, but a NotExist is the fault of the
// log.
func NewLogReader(ctx context.Context, tree Checkpoint, fetch func(ctx context.Context, name string) ([]byte, error)) *LogReader {
	r := &LogReader{tree: tree, tiles: map[string][]byte{}}
	r.fetch = func(name string) ([]byte, error) {
		b, err := fetch(ctx, name)
		if errors.Is(err, wire.NotExist) {
			return nil, wire.Errorf(wire.Tampered, "log", "%s is missing in it", name)
		}
		return b, err
	}
	r.hashes = tlog.TileHashReader(tlog.Tree{N: int64(tree.Size), Hash: tlog.Hash(tree.Root)}, tileFetcher{r})
	return r
}

// Checkpoint returns how far the log is read.
func (r *LogReader) Checkpoint() Checkpoint { return r.tree }

// tileFetcher implements tlog.TileReader.
type tileFetcher struct{ r *LogReader }

// Height implements tlog.TileReader.
func (tileFetcher) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader.
func (tileFetcher) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (f tileFetcher) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		name := logFile{t.L, uint64(t.N), t.W}.name()
		b, err := f.r.tiles[name], error(nil)
		if b == nil {
			b, err = f.r.fetch(name)
		}
		if err != nil {
			return nil, &fetchError{err}
		}
		if len(b) != t.W*tlog.HashSize {
			return nil, wire.Errorf(wire.Tampered, "log", "%s has another length", name)
		}
		f.r.tiles[name] = b
		all = append(all, b)
	}
	return all, nil
}

// A fetchError is what fetch has returned, on its way through package tlog.
type fetchError struct{ error }

// forged is the error of a reader: one that fetch has returned, or the log's fault.
func forged(err error) error {
	var fetched *fetchError
	if errors.As(err, &fetched) {
		return fetched.error
	}
	var e *wire.Error
	if errors.As(err, &e) {
		return err
	}
	return wire.Errorf(wire.Tampered, "log", "its files do not add up to its checkpoint (%v)", err)
}

// ErrFork says, beside the kind wire.Tampered, that a log has signed two checkpoints that
// contradict each other. That its files cannot be read, or are wrong, does not show it.
var ErrFork = errors.New("the log forks")

type forkError struct{ cause error }

func (e *forkError) Error() string        { return e.cause.Error() }
func (e *forkError) Unwrap() error        { return e.cause }
func (e *forkError) Is(target error) bool { return target == ErrFork }

// Extends reports, as a Tampered error, that the log has not grown out of an older
// checkpoint: it forks.
func (r *LogReader) Extends(older Checkpoint) error {
	fork := &forkError{wire.Errorf(wire.Tampered, "log", "its checkpoints of %d and %d contradict each other", older.Size, r.tree.Size)}
	switch {
	case older.Size > r.tree.Size:
		return wire.Errorf(wire.Tampered, "log", "it has gone back from %d to %d", older.Size, r.tree.Size)
	case older.Size == r.tree.Size && older.Root != r.tree.Root:
		return fork
	case older.Size == r.tree.Size || older.Size == 0:
		return nil
	}
	proof, err := tlog.ProveTree(int64(r.tree.Size), int64(older.Size), r.hashes)
	if err != nil {
		return forged(err)
	}
	if tlog.CheckTree(proof, int64(r.tree.Size), tlog.Hash(r.tree.Root), int64(older.Size), tlog.Hash(older.Root)) != nil {
		return fork
	}
	return nil
}

// Leaves shows visit the leaves from one number up to another, which is not shown.
func (r *LogReader) Leaves(from, to uint64, visit func(number uint64, leaf *wire.LogLeaf) error) error {
	for from < to {
		n := from / wire.LogBundle
		start := n * wire.LogBundle
		count := min(wire.LogBundle, r.tree.Size-start)
		leaves, err := r.bundle(n, int(count))
		if err != nil {
			return err
		}
		for ; from < min(to, start+count); from++ {
			leaf, err := wire.DecodeLogLeaf(leaves[from-start])
			if err != nil && !errors.Is(err, wire.Update) {
				return wire.Errorf(wire.Tampered, "log", "its leaf %d is none", from)
			}
			if err == nil {
				err = visit(from, leaf)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// bundle fetches a bundle of leaves and verifies it.
func (r *LogReader) bundle(n uint64, count int) ([][]byte, error) {
	name := logFile{leavesLevel, n, count}.name()
	b, err := r.fetch(name)
	if err != nil {
		return nil, err
	}
	leaves, ok := parseBundle(b, count)
	if !ok {
		return nil, wire.Errorf(wire.Tampered, "log", "%s is no bundle of leaves", name)
	}
	indexes := make([]int64, count)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(n*wire.LogBundle)+int64(i))
	}
	hashes, err := r.hashes.ReadHashes(indexes)
	if err != nil {
		return nil, forged(err)
	}
	for i, leaf := range leaves {
		if tlog.RecordHash(leaf) != hashes[i] {
			return nil, forged(fmt.Errorf("leaf %d is another", n*wire.LogBundle+uint64(i)))
		}
	}
	return leaves, nil
}
