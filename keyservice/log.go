package keyservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A LogLedger keeps a log for a Log. Its methods may be called by many goroutines at
// once, and several processes may keep one log in the same place.
type LogLedger interface {
	// Checkpoint returns the checkpoint of the largest size that was kept, or NotExist.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Leaves returns at most so many leaves, from a number on, up to the first that is
	// not there.
	Leaves(ctx context.Context, from uint64, most int) ([][]byte, error)
	// Tile returns a whole tile as Append kept it.
	Tile(ctx context.Context, level int, n uint64) ([]byte, error)
	// Find returns the number of the leaf of a statement, or NotExist.
	Find(ctx context.Context, statement wire.Hash) (uint64, error)
	// Append keeps what is in a, in that order. Where a leaf is there already it keeps
	// nothing that comes later, and the error is a Conflict; it may be an echo of the
	// same Append. After any other error, any part of the beginning may be there. When
	// it returns nil, all is durable.
	Append(ctx context.Context, a Appending) error
}

// An Appending is what is kept together.
type Appending struct {
	From       uint64   // number of the first of Leaves
	Leaves     [][]byte // new ones
	Places     []Place  // of all leaves since the last checkpoint
	Tiles      []Tile   // that have become whole
	Size       uint64   // of the tree that Checkpoint is about
	Checkpoint []byte
}

// A Place is where the leaf of a statement is.
type Place struct {
	Number uint64
	Leaf   *wire.LogLeaf
}

// A Tile is a whole tile of a log: 256 hashes (c2sp.org/tlog-tiles).
type Tile struct {
	Level int
	N     uint64
	Data  []byte
}

const (
	// appendAtOnce is how many leaves are kept together.
	appendAtOnce  = 256
	appendTimeout = 10 * time.Second
	tilesKept     = 256 // in memory, 8 KiB each
)

// A Log is the log of key statements of one node. Its methods may be called by many
// goroutines at once.
//
// The leaves are the log: each number has one, which whoever is first puts there, for
// ever. All else follows from them, the bytes of the checkpoints included. So any number
// of processes may append at once, and be killed anywhere: whoever comes next reads what
// there is behind the last checkpoint, and signs it together with its own. A tree is
// signed over leaves that were kept before, or in the same Append, and shown to nobody
// before that has succeeded: no two checkpoints contradict each other.
type Log struct {
	origin string
	secret wire.NodeLogSecret
	ledger LogLedger

	turn    chan struct{} // held by whoever appends, for all who wait
	mu      sync.Mutex
	waiting []*adding
	tiles   tileCache

	tree    atomic.Pointer[tree]
	reading sync.Mutex
	signed  atomic.Pointer[[]byte] // a checkpoint with the lines of witnesses
	closed  atomic.Pointer[error]  // why nothing is added any more
	forgot  atomic.Uint64          // how often it was said that others may have appended
	read    atomic.Uint64          // of these, what tree has taken in
}

// An adding is a leaf that waits.
type adding struct {
	leaf  *wire.LogLeaf
	bytes []byte
	done  chan struct{} // closed when it is in a checkpoint, or err is set
	err   error
}

// NewLog returns the log that ledger keeps. origin is its name. Nothing is read before it
// is needed.
func NewLog(origin string, secret wire.NodeLogSecret, ledger LogLedger) *Log {
	l := &Log{origin: origin, secret: secret, ledger: ledger, turn: make(chan struct{}, 1)}
	l.tiles.init(tilesKept)
	l.tree.Store(new(tree))
	l.Forget()
	return l
}

// Ready begins a log, or signs what a process that was killed has left. It is as good to
// call nothing: whoever asks first waits for it.
func (l *Log) Ready(ctx context.Context) error {
	if l.tree.Load().checkpoint != nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	return l.write(ctx, nil)
}

// Cosigned lets a checkpoint be shown with the lines of witnesses below it, in proofs too,
// as long as it is the newest.
func (l *Log) Cosigned(note []byte) { l.signed.Store(&note) }

// shown returns the checkpoint of a tree as others see it.
func (l *Log) shown(t *tree) []byte {
	if note := l.signed.Load(); note != nil && bytes.HasPrefix(*note, t.checkpoint) {
		return *note
	}
	return t.checkpoint
}

// Close lets nothing be added any more, nor signed: whoever tries gets err. What is in the
// log is shown as before.
func (l *Log) Close(err error) { l.closed.Store(&err) }

// Closed returns why nothing is added any more; nil while something is.
func (l *Log) Closed() error {
	if err := l.closed.Load(); err != nil {
		return *err
	}
	return nil
}

// Holds reports whether the newest tree that was kept is that of a checkpoint, or has grown
// out of it.
func (l *Log) Holds(ctx context.Context, c Checkpoint) (bool, error) {
	l.Forget()
	t, err := l.current(ctx)
	if err != nil || c.Size > t.size {
		return false, err
	}
	root, err := tlog.TreeHash(int64(c.Size), l.reader(ctx, t))
	return wire.Hash(root) == c.Root, err
}

// Key returns the key that verifies the checkpoints.
func (l *Log) Key() wire.NodeLogKey { return l.secret.Public() }

// Size returns how many leaves the newest checkpoint has.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	t, err := l.current(ctx)
	if err != nil {
		return 0, err
	}
	return t.size, nil
}

// Forget lets what others have appended be read, when the log is next asked.
func (l *Log) Forget() { l.forgot.Add(1) }

// Add returns when the leaf is in a checkpoint. Adding it again does nothing.
func (l *Log) Add(ctx context.Context, leaf *wire.LogLeaf) error {
	b, err := leaf.Encode()
	if err != nil {
		return err
	}
	a := &adding{leaf: leaf, bytes: b, done: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, a)
	l.mu.Unlock()
	for {
		select {
		case <-a.done:
			return a.err
		case <-ctx.Done():
			return ctx.Err()
		case l.turn <- struct{}{}:
			l.serve(ctx)
			<-l.turn
		}
	}
}

// serve appends what waits. The caller has the turn. It is not given up with the request
// that happens to have it, since others wait as well.
func (l *Log) serve(ctx context.Context) {
	l.mu.Lock()
	batch := l.waiting[:min(len(l.waiting), appendAtOnce)]
	l.waiting = slices.Clone(l.waiting[len(batch):])
	l.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	err := l.write(ctx, batch)
	for _, a := range batch {
		a.err = err
		close(a.done)
	}
}

// write appends a batch behind all leaves that are there, and signs. It begins again
// where another process was faster.
func (l *Log) write(ctx context.Context, batch []*adding) error {
	for {
		t, err := l.newest(ctx)
		if err != nil {
			return err
		}
		left, err := l.ledger.Leaves(ctx, t.size, appendAtOnce) // that no checkpoint counts
		if err != nil {
			return err
		}
		a, next, err := l.plan(ctx, t, left, batch)
		if err != nil {
			return err
		}
		if next.size == t.size && t.checkpoint != nil {
			return nil
		}
		if err := l.Closed(); err != nil {
			if len(batch) == 0 && t.checkpoint != nil {
				return nil // what nobody has signed stays so
			}
			return err
		}
		err = l.ledger.Append(ctx, a)
		if err == nil {
			l.advance(next)
			if len(left) == 0 {
				return nil
			}
			continue // there may be more
		}
		l.Forget()
		if !errors.Is(err, wire.Conflict) {
			return err
		}
	}
}

// plan returns what is to be kept, and the tree that comes of it: left are leaves behind
// the tree that are there already. What of the batch is in the log stays out.
func (l *Log) plan(ctx context.Context, t *tree, left [][]byte, batch []*adding) (a Appending, next *tree, err error) {
	next = t.clone()
	seen := map[wire.Hash]bool{}
	add := func(leaf *wire.LogLeaf, b []byte) {
		seen[leaf.Statement] = true
		a.Places = append(a.Places, Place{next.size, leaf})
		a.Tiles = append(a.Tiles, next.grow(tlog.RecordHash(b))...)
	}
	for _, b := range left {
		leaf, err := wire.DecodeLogLeaf(b)
		if err != nil {
			return a, nil, fmt.Errorf("leaf %d of the log: %w", next.size, err)
		}
		add(leaf, b)
	}
	a.From = next.size
	if len(left) == appendAtOnce {
		batch = nil // there may be more of them, and the batch among these
	}
	for _, one := range batch {
		_, err := l.ledger.Find(ctx, one.leaf.Statement)
		if err != nil && !errors.Is(err, wire.NotExist) {
			return a, nil, err
		}
		if err == nil || seen[one.leaf.Statement] {
			continue
		}
		a.Leaves = append(a.Leaves, one.bytes)
		add(one.leaf, one.bytes)
	}
	c := Checkpoint{next.size, next.root()}
	if next.checkpoint, err = c.sign(l.origin, l.secret); err != nil {
		return a, nil, err
	}
	a.Size, a.Checkpoint = next.size, next.checkpoint
	return a, next, nil
}

// current returns the tree of the newest checkpoint that was kept.
func (l *Log) current(ctx context.Context) (*tree, error) {
	if err := l.Ready(ctx); err != nil {
		return nil, err
	}
	return l.newest(ctx)
}

// newest is current, but for a log that nobody has signed yet.
func (l *Log) newest(ctx context.Context) (*tree, error) {
	if l.read.Load() == l.forgot.Load() {
		return l.tree.Load(), nil
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	forgot := l.forgot.Load() // what is said from now on is for whoever asks next
	if l.read.Load() != forgot {
		if err := l.catchUp(ctx); err != nil {
			return nil, err
		}
		l.read.Store(forgot)
	}
	return l.tree.Load(), nil
}

// catchUp reads the newest checkpoint that was kept, and the tree of it.
func (l *Log) catchUp(ctx context.Context) error {
	b, err := l.ledger.Checkpoint(ctx)
	if errors.Is(err, wire.NotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := OpenCheckpoint(b, l.origin, l.secret.Public())
	if err != nil {
		return fmt.Errorf("the checkpoint that is kept of this log: %v", err)
	}
	t := l.tree.Load()
	if t.checkpoint != nil && t.size >= c.Size {
		return nil
	}
	if t, err = l.load(ctx, t, c.Size); err != nil {
		return err
	}
	if t.root() != c.Root {
		return fmt.Errorf("the leaves of this log do not add up to its checkpoint of %d: run peerbrain-node fsck", c.Size)
	}
	t.checkpoint = b
	l.advance(t)
	return nil
}

// advance makes t the newest tree, unless there is a later one.
func (l *Log) advance(t *tree) {
	for {
		before := l.tree.Load()
		if before.checkpoint != nil && before.size >= t.size || l.tree.CompareAndSwap(before, t) {
			return
		}
	}
}

// load returns the tree of a size, from one that is smaller or, where that is far behind,
// from tiles.
func (l *Log) load(ctx context.Context, t *tree, size uint64) (*tree, error) {
	if size-t.size > wire.LogBundle {
		var err error
		if t, err = l.loadTiles(ctx, size); err != nil {
			return nil, err
		}
	} else {
		t = t.clone()
	}
	leaves, err := l.ledger.Leaves(ctx, t.size, int(size-t.size)) // at most wire.LogBundle
	if err != nil {
		return nil, err
	}
	for _, leaf := range leaves {
		t.grow(tlog.RecordHash(leaf))
	}
	if t.size < size {
		return nil, fmt.Errorf("leaf %d of this log is missing: run peerbrain-node fsck", t.size)
	}
	return t, nil
}

// loadTiles returns the tree of all whole tiles of leaves up to a size.
func (l *Log) loadTiles(ctx context.Context, size uint64) (*tree, error) {
	t := &tree{size: size &^ (wire.LogBundle - 1), edge: [][]byte{nil}}
	for level := 1; size>>(tileHeight*level) > 0; level++ {
		var partial []byte
		whole := size >> (tileHeight * level)
		for n := whole &^ (wire.LogBundle - 1); n < whole; n++ {
			data, err := l.wholeTile(ctx, level-1, n)
			if err != nil {
				return nil, err
			}
			h := tileRoot(data)
			partial = append(partial, h[:]...)
		}
		t.edge = append(t.edge, partial)
	}
	return t, nil
}

// Prove returns the proof that a leaf is in the log, which it adds where it is not.
func (l *Log) Prove(ctx context.Context, leaf *wire.LogLeaf) ([]byte, error) {
	number, err := l.ledger.Find(ctx, leaf.Statement)
	if errors.Is(err, wire.NotExist) {
		if err = l.Add(ctx, leaf); err == nil {
			number, err = l.ledger.Find(ctx, leaf.Statement)
		}
	}
	if err != nil {
		return nil, err
	}
	t, err := l.current(ctx)
	if err == nil && number >= t.size { // another process has added it, or has it under way
		if err = l.Add(ctx, leaf); err == nil {
			l.Forget()
			t, err = l.current(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	hashes, err := tlog.ProveRecord(int64(t.size), int64(number), l.reader(ctx, t))
	if err != nil {
		return nil, err
	}
	return formatProof(number, hashes, l.shown(t)), nil
}

// File returns a file of the log as c2sp.org/tlog-tiles has it: "checkpoint", or a tile
// or bundle of leaves, which never changes. NotExist for all others.
func (l *Log) File(ctx context.Context, name string) ([]byte, error) {
	t, err := l.current(ctx)
	if err != nil {
		return nil, err
	}
	if name == CheckpointFile {
		return l.shown(t), nil
	}
	f, ok := parseFileName(name)
	none := wire.Errorf(wire.NotExist, "file", "the log has no such file")
	if !ok {
		return nil, none
	}
	if whole := t.size >> (tileHeight * max(f.level, 0)); f.n*wire.LogBundle+uint64(f.width) > whole {
		return nil, none
	}
	if f.level == leavesLevel {
		leaves, err := l.ledger.Leaves(ctx, f.n*wire.LogBundle, f.width)
		if err == nil && len(leaves) < f.width {
			err = fmt.Errorf("leaf %d of this log is missing: run peerbrain-node fsck", f.n*wire.LogBundle+uint64(len(leaves)))
		}
		return formatBundle(leaves), err
	}
	data, err := l.tileOf(ctx, t, f.level, f.n)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(data[:f.width*tlog.HashSize]), nil
}

// ProveChain is Prove for the newest statement of a chain. The others are in the log
// before it.
func (l *Log) ProveChain(ctx context.Context, c *Chain) ([]byte, error) {
	newest := c.Newest().Seq
	if _, err := l.ledger.Find(ctx, c.NewestHash()); errors.Is(err, wire.NotExist) {
		for seq := range newest {
			leaf, err := c.Leaf(seq)
			if err == nil {
				err = l.Add(ctx, leaf)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	leaf, err := c.Leaf(newest)
	if err != nil {
		return nil, err
	}
	return l.Prove(ctx, leaf)
}
