package keyservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// memoryLog is a LogLedger. It fails, where told to, after some of what it was to keep.
type memoryLog struct {
	mu          sync.Mutex
	leaves      [][]byte
	places      map[wire.Hash]uint64
	tiles       map[[2]uint64][]byte
	checkpoints map[uint64][]byte
	interrupt   func() bool // asked before each thing that is kept
}

var errInterrupted = errors.New("interrupted")

func newMemoryLog() *memoryLog {
	return &memoryLog{places: map[wire.Hash]uint64{}, tiles: map[[2]uint64][]byte{}, checkpoints: map[uint64][]byte{}}
}

func (m *memoryLog) Checkpoint(context.Context) (newest []byte, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := uint64(0)
	for s, b := range m.checkpoints {
		if newest == nil || s > size {
			size, newest = s, b
		}
	}
	if newest == nil {
		return nil, wire.NotExist
	}
	return newest, nil
}

func (m *memoryLog) Leaves(_ context.Context, from uint64, most int) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.leaves[min(from, uint64(len(m.leaves))):]
	return slices.Clone(list[:min(most, len(list))]), nil
}

func (m *memoryLog) Tile(_ context.Context, level int, n uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.tiles[[2]uint64{uint64(level), n}]), nil
}

func (m *memoryLog) Find(_ context.Context, statement wire.Hash) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.places[statement]
	if !ok {
		return 0, wire.NotExist
	}
	return n, nil
}

func (m *memoryLog) Append(_ context.Context, a Appending) error {
	stop := func() bool { return m.interrupt != nil && m.interrupt() }
	for i, leaf := range a.Leaves {
		if stop() {
			return errInterrupted
		}
		m.mu.Lock()
		n := uint64(len(m.leaves))
		if a.From+uint64(i) == n {
			m.leaves = append(m.leaves, leaf)
		}
		m.mu.Unlock()
		if a.From+uint64(i) > n {
			panic("a gap in the log")
		}
		if a.From+uint64(i) < n {
			return wire.Errorf(wire.Conflict, "leaf", "another was first")
		}
	}
	for _, p := range a.Places {
		if stop() {
			return errInterrupted
		}
		m.mu.Lock()
		m.places[p.Leaf.Statement] = p.Number
		m.mu.Unlock()
	}
	for _, t := range a.Tiles {
		if stop() {
			return errInterrupted
		}
		m.mu.Lock()
		m.tiles[[2]uint64{uint64(t.Level), t.N}] = t.Data
		m.mu.Unlock()
	}
	if stop() {
		return errInterrupted
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.checkpoints[a.Size]; was != nil && !bytes.Equal(was, a.Checkpoint) {
		panic("two checkpoints of one size")
	}
	m.checkpoints[a.Size] = a.Checkpoint
	if stop() {
		return errInterrupted
	}
	return nil
}

const testOrigin = "node.example/v1/log/1790000000"

var testLogSecret = wire.NewNodeLogSecret([32]byte{7})

func testLeaf(n int) *wire.LogLeaf {
	l := &wire.LogLeaf{
		Version: wire.Version, Suite: wire.Suite, Address: wire.LogAddress(wire.Address{Handle: wire.Handle(fmt.Sprint("u", n)), Node: "node.example"}),
		Statement: wire.LabelKeyStatement.Hash(fmt.Append(nil, n)),
	}
	l.Account = wire.AccountID(l.Statement)
	return l
}

func openTestLog(t testing.TB, m *memoryLog) *Log {
	t.Helper()
	l, err := openLog(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func openLog(ctx context.Context, m *memoryLog) (*Log, error) {
	l := NewLog(testOrigin, testLogSecret, m)
	return l, l.Ready(ctx)
}

// checkLog reads the whole log by its files with package tlog alone, and returns its
// checkpoint.
func checkLog(t testing.TB, l *Log) Checkpoint {
	t.Helper()
	fetch := func(ctx context.Context, name string) ([]byte, error) { return l.File(ctx, name) }
	signed := must(l.File(t.Context(), CheckpointFile))
	c, err := OpenCheckpoint(signed, testOrigin, testLogSecret.Public())
	if err != nil {
		t.Fatal(err)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, _ error) {
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	r := NewLogReader(t.Context(), c, fetch)
	seen := map[wire.Hash]bool{}
	err = r.Leaves(0, c.Size, func(n uint64, leaf *wire.LogLeaf) error {
		if seen[leaf.Statement] {
			return fmt.Errorf("statement %s stands twice", leaf.Statement)
		}
		seen[leaf.Statement] = true
		stored = append(stored, must(tlog.StoredHashes(int64(n), must(leaf.Encode()), reader))...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if root := must(tlog.TreeHash(int64(c.Size), reader)); wire.Hash(root) != c.Root {
		t.Fatalf("the root of %d leaves is %v, not %v", c.Size, root, c.Root)
	}
	return c
}

func TestLog(t *testing.T) {
	m := newMemoryLog()
	l := openTestLog(t, m)
	if c := checkLog(t, l); c.Size != 0 {
		t.Fatalf("a new log has %d leaves", c.Size)
	}
	var trees []Checkpoint
	for n := range 600 {
		proof, err := l.Prove(t.Context(), testLeaf(n))
		if err != nil {
			t.Fatal(err)
		}
		p, err := OpenProof(proof, testOrigin, testLogSecret.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(must(testLeaf(n).Encode())); err != nil || p.Number != uint64(n) {
			t.Fatalf("leaf %d is number %d: %v", n, p.Number, err)
		}
		kind(t, p.Verify(must(testLeaf(n+1).Encode())), wire.Tampered)
		trees = append(trees, p.Checkpoint)
	}
	c := checkLog(t, l)
	again := openTestLog(t, m) // from tiles
	if checkLog(t, again) != c || c.Size != 600 {
		t.Fatal("read again, it is another log")
	}
	r := NewLogReader(t.Context(), c, l.File)
	for _, older := range trees {
		if err := r.Extends(older); err != nil {
			t.Fatalf("from %d: %v", older.Size, err)
		}
		older.Root[0]++
		kind(t, r.Extends(older), wire.Tampered)
	}
	kind(t, r.Extends(Checkpoint{Size: 601}), wire.Tampered)
	for n := range 600 {
		p := must(OpenProof(must(again.Prove(t.Context(), testLeaf(n))), testOrigin, testLogSecret.Public()))
		if err := p.Verify(must(testLeaf(n).Encode())); err != nil || p.Number != uint64(n) || p.Checkpoint != c {
			t.Fatalf("leaf %d is number %d of %v: %v", n, p.Number, p.Checkpoint, err)
		}
	}
}

// TestClosedLog: nothing is added to a log that is closed, nor signed, not even what an
// interruption has left; what is in it is shown as before.
func TestClosedLog(t *testing.T) {
	m := newMemoryLog()
	l := openTestLog(t, m)
	must(l.Prove(t.Context(), testLeaf(1)))
	c := checkLog(t, l)
	kept := 0
	m.interrupt = func() bool { kept++; return kept > 1 }
	if err := l.Add(t.Context(), testLeaf(2)); err != errInterrupted {
		t.Fatal(err)
	}
	m.interrupt = nil
	why := wire.Errorf(wire.Unavailable, "log", "closed")
	again := NewLog(testOrigin, testLogSecret, m)
	again.Close(why)
	for _, closed := range []*Log{l, again} {
		closed.Close(why)
		if err := closed.Ready(t.Context()); err != nil {
			t.Errorf("what an interruption has left: %v", err)
		}
		for n := 2; n < 4; n++ {
			if _, err := closed.Prove(t.Context(), testLeaf(n)); err != error(why) {
				t.Errorf("leaf %d: %v", n, err)
			}
		}
		if got := checkLog(t, closed); got != c {
			t.Errorf("%+v is signed, after %+v", got, c)
		}
		if _, err := closed.Prove(t.Context(), testLeaf(1)); err != nil {
			t.Errorf("a leaf that is in it: %v", err)
		}
		for _, one := range []struct {
			Checkpoint
			want bool
		}{{c, true}, {Checkpoint{c.Size, wire.Hash{1}}, false}, {Checkpoint{c.Size + 1, c.Root}, false}} {
			if holds, err := closed.Holds(t.Context(), one.Checkpoint); err != nil || holds != one.want {
				t.Errorf("it holds %+v: %v, %v", one.Checkpoint, holds, err)
			}
		}
	}
	if m := openTestLog(t, m); checkLog(t, m).Size != 2 { // restored, as it were
		t.Error("the leaf that was left is lost")
	}
}

// Three levels of tiles, of a tree that was read from the ledger.
func TestLogIsHigh(t *testing.T) {
	if testing.Short() {
		t.Skip("66,000 leaves")
	}
	const size = 256*256 + 300
	m := newMemoryLog()
	for n := range size {
		m.leaves = append(m.leaves, must(testLeaf(n).Encode()))
	}
	l := openTestLog(t, m) // signs what it finds
	again := openTestLog(t, m)
	if again.tree.Load().root() != l.tree.Load().root() || l.tree.Load().size != size || len(m.tiles) != 258 {
		t.Fatalf("another tree, of %d leaves and %d tiles", l.tree.Load().size, len(m.tiles))
	}
	for _, n := range []int{0, 255, 256, 65535, 65536, size - 1} {
		p := must(OpenProof(must(again.Prove(t.Context(), testLeaf(n))), testOrigin, testLogSecret.Public()))
		if err := p.Verify(must(testLeaf(n).Encode())); err != nil || p.Number != uint64(n) {
			t.Errorf("leaf %d is number %d: %v", n, p.Number, err)
		}
	}
	r := NewLogReader(t.Context(), p0(l), l.File)
	if err := r.Extends(Checkpoint{65536, wire.Hash(tileRoot(m.tiles[[2]uint64{1, 0}]))}); err != nil {
		t.Error(err)
	}
}

func p0(l *Log) Checkpoint { return Checkpoint{l.tree.Load().size, l.tree.Load().root()} }

// Several processes append to one log, some of them end at any moment, and all add the
// same leaves: none stands twice, none is missing that was acknowledged, and all
// checkpoints are of one log.
func TestLogOfSeveral(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var rngMu sync.Mutex
		m := newMemoryLog()
		m.interrupt = func() bool {
			rngMu.Lock()
			defer rngMu.Unlock()
			return rng.IntN(20) == 0
		}
		var mu sync.Mutex
		acked := map[int][]byte{}
		var all sync.WaitGroup
		for process := range 4 {
			all.Go(func() {
				l, err := openLog(t.Context(), m)
				for n := range 150 {
					if err != nil || (n+process)%17 == 0 { // killed
						l, err = openLog(t.Context(), m)
					}
					if err != nil {
						continue
					}
					if n%5 == 0 {
						l.Forget()
					}
					var proof []byte
					if proof, err = l.Prove(t.Context(), testLeaf((n*7+process*31)%200)); err == nil {
						mu.Lock()
						acked[(n*7+process*31)%200] = proof
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		m.interrupt = nil
		l := openTestLog(t, m)
		c := checkLog(t, l)
		r := NewLogReader(t.Context(), c, l.File)
		for size, b := range m.checkpoints {
			older, err := OpenCheckpoint(b, testOrigin, testLogSecret.Public())
			if err != nil || older.Size != size {
				t.Fatal(err)
			}
			if err := r.Extends(older); err != nil {
				t.Fatalf("seed %d: checkpoint of %d: %v", seed, size, err)
			}
		}
		for n, proof := range acked {
			p := must(OpenProof(proof, testOrigin, testLogSecret.Public()))
			if err := p.Verify(must(testLeaf(n).Encode())); err != nil {
				t.Fatal(err)
			}
			if m.places[testLeaf(n).Statement] != p.Number || !bytes.Equal(m.leaves[p.Number], must(testLeaf(n).Encode())) {
				t.Fatalf("leaf %d is not where it was", n)
			}
		}
		if len(acked) < 100 {
			t.Fatalf("seed %d: %d leaves were acknowledged", seed, len(acked))
		}
	}
}

func TestOpenProofRefuses(t *testing.T) {
	l := openTestLog(t, newMemoryLog())
	for n := range 5 {
		if err := l.Add(t.Context(), testLeaf(n)); err != nil {
			t.Fatal(err)
		}
	}
	good := string(must(l.Prove(t.Context(), testLeaf(1))))
	key := testLogSecret.Public()
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	head, checkpoint, _ := strings.Cut(good, "\n\n")
	lines := strings.Split(checkpoint, "\n")
	for name, b := range map[string]string{
		"nothing":                "",
		"another format":         swap("@v1", "@v2"),
		"extra data":             swap("\nindex", "\nextra AA==\nindex"),
		"a number with zeros":    swap("index 1", "index 01"),
		"no number":              swap("index 1", "index -1"),
		"a broken hash":          swap(strings.Split(head, "\n")[2], "AAAA"),
		"a hash with a space":    swap(strings.Split(head, "\n")[2], strings.Split(head, "\n")[2]+" "),
		"many hashes":            head + strings.Repeat("\n"+strings.Split(head, "\n")[2], 70) + "\n\n" + checkpoint,
		"another size":           swap("\n5\n", "\n6\n"),
		"another origin":         strings.ReplaceAll(good, testOrigin, "node.example/v1/log/1790000001"),
		"no signature":           head + "\n\n" + strings.Join(lines[:4], "\n"),
		"two lines of it":        head + "\n\n" + lines[0] + "\n" + lines[1] + "\n\n" + lines[4] + "\n",
		"a signature of another": head + "\n\n" + string(must(Checkpoint{5, p0(l).Root}.sign(testOrigin, wire.NewNodeLogSecret([32]byte{8})))),
		"another checkpoint by the same key": head + "\n\n" +
			string(must(note.Sign(&note.Note{Text: "node.example/other\n5\n" + lines[2] + "\n"}, must(signerOf(testOrigin))))),
		"an extension": head + "\n\n" +
			string(must(note.Sign(&note.Note{Text: testOrigin + "\n5\n" + lines[2] + "\nmore\n"}, must(signerOf(testOrigin))))),
	} {
		if good == b {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := OpenProof([]byte(b), testOrigin, key)
		if err == nil || wire.KindOf(err) != wire.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := OpenProof(make([]byte, wire.MaxLogProof+1), testOrigin, key)
	kind(t, err, wire.TooLarge)
	_, err = OpenProof([]byte(good), testOrigin, wire.NodeLogKey{1})
	if err == nil {
		t.Error("another key verifies it")
	}
	witnessed := string(must(note.Sign(must(note.Open([]byte(checkpoint), note.VerifierList(must(logVerifier(testOrigin, key))))), must(signerOf("witness.example")))))
	if _, err := OpenProof([]byte(head+"\n\n"+witnessed), testOrigin, key); err != nil {
		t.Errorf("with the signature of a witness: %v", err)
	}
	_, err = OpenProof([]byte(good), "two words", key)
	kind(t, err, wire.Invalid)
	p := must(OpenProof([]byte(good), testOrigin, key))
	p.Number = 9
	kind(t, p.Verify(must(testLeaf(1).Encode())), wire.Tampered)
}

func signerOf(name string) (note.Signer, error) {
	v, err := logVerifier(name, testLogSecret.Public())
	return logSigner{v, testLogSecret}, err
}

func TestLogFiles(t *testing.T) {
	l := openTestLog(t, newMemoryLog())
	for n := range 300 {
		if err := l.Add(t.Context(), testLeaf(n)); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range map[string]int{
		"tile/0/000": 8192, "tile/0/000.p/7": 224, "tile/0/001.p/44": 44 * 32, "tile/0/001.p/1": 32, "tile/1/000.p/1": 32,
	} {
		if b, err := l.File(t.Context(), name); err != nil || len(b) != size {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	for _, name := range []string{
		"", "checkpoint/", "tile", "tile/", "tile/0", "tile/0/0", "tile/0/001", "tile/0/001.p/45", "tile/0/002.p/1", "tile/0/001.p/0", "tile/0/000.p/256", "tile/0/000.p/257",
		"tile/1/000", "tile/1/000.p/2", "tile/2/000.p/1", "tile/63/000.p/1", "tile/8/0/000", "tile/data/000", "tile/-1/000", "tile/00/000", "tile/0/x000/000", "tile/0/x001/000",
		"tile/0/000.p/01", "tile/entries/001", "tile/entries/001.p/45", "tile/entries/x999/x999/x999/x999/x999/x999/999.p/1", "../checkpoint", "tile/0/999999",
	} {
		if _, err := l.File(t.Context(), name); !errors.Is(err, wire.NotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A log that lies in its files is found out.
func TestLogReaderRefuses(t *testing.T) {
	m := newMemoryLog()
	l := openTestLog(t, m)
	var older Checkpoint
	for n := range 300 {
		if err := l.Add(t.Context(), testLeaf(n)); err != nil {
			t.Fatal(err)
		}
		if n == 99 {
			older = p0(l)
		}
	}
	var r *LogReader
	for name, lie := range map[string]func(name string, b []byte) ([]byte, error){
		"a leaf": func(name string, b []byte) ([]byte, error) {
			return flipIf(strings.Contains(name, "entries"), b, 20), nil
		},
		"a tile": func(name string, b []byte) ([]byte, error) { return flipIf(name == "tile/0/000", b, 50), nil },
		"an upper": func(name string, b []byte) ([]byte, error) {
			return flipIf(strings.HasPrefix(name, "tile/1"), b, 0), nil
		},
		"a short bundle": func(name string, b []byte) ([]byte, error) {
			if strings.Contains(name, "entries") {
				b = b[:len(b)-1]
			}
			return b, nil
		},
		"a short tile": func(name string, b []byte) ([]byte, error) { return b[:len(b)-1], nil },
		"no files":     func(name string, b []byte) ([]byte, error) { return nil, wire.NotExist },
	} {
		r = NewLogReader(t.Context(), p0(l), func(ctx context.Context, name string) ([]byte, error) {
			return lie(name, must(l.File(ctx, name)))
		})
		err := errors.Join(r.Extends(older), r.Leaves(0, 300, func(uint64, *wire.LogLeaf) error { return nil }))
		if !errors.Is(err, wire.Tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tree, none := NewTree(), []byte("no leaf") // which the log has signed all the same
	tree.Add(none)
	r = NewLogReader(t.Context(), Checkpoint{1, tree.Root()}, func(_ context.Context, name string) ([]byte, error) {
		if root := tree.Root(); strings.HasPrefix(name, "tile/0") {
			return root[:], nil
		}
		return formatBundle([][]byte{none}), nil
	})
	kind(t, r.Leaves(0, 1, func(uint64, *wire.LogLeaf) error { return nil }), wire.Tampered)
	for _, down := range []error{wire.Errorf(wire.Unavailable, "node", "down"), io.ErrUnexpectedEOF, context.Canceled} { // it did not lie
		r = NewLogReader(t.Context(), p0(l), func(_ context.Context, name string) ([]byte, error) {
			if strings.Contains(name, "entries") {
				return must(l.File(t.Context(), name)), nil
			}
			return nil, down
		})
		for what, err := range map[string]error{"extends": r.Extends(older), "leaves": r.Leaves(0, 1, nil)} {
			if !errors.Is(err, down) || errors.Is(err, wire.Tampered) {
				t.Errorf("%s: got %v, want %v", what, err, down)
			}
		}
	}
}

func flipIf(yes bool, b []byte, at int) []byte {
	if yes {
		b[at] ^= 1
	}
	return b
}

// What a ledger holds that does not add up is not signed over.
func TestLogIsDamaged(t *testing.T) {
	m := newMemoryLog()
	l := openTestLog(t, m)
	for n := range 10 {
		if err := l.Add(t.Context(), testLeaf(n)); err != nil {
			t.Fatal(err)
		}
	}
	m.leaves[3] = must(testLeaf(99).Encode())
	if _, err := openLog(t.Context(), m); err == nil {
		t.Error("another leaf 3 was taken")
	}
	m.leaves = m.leaves[:3]
	if _, err := l.File(t.Context(), "tile/entries/000.p/10"); err == nil {
		t.Error("leaves that are gone are served")
	}
	if _, err := openLog(t.Context(), m); err == nil {
		t.Error("leaves that the checkpoint counts are gone, and it goes on")
	}
	m = newMemoryLog()
	m.leaves = [][]byte{[]byte("no leaf")}
	if _, err := openLog(t.Context(), m); err == nil {
		t.Error("what is no leaf was signed")
	}
}
