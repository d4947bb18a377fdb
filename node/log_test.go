package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// webTiles reads a log over HTTP with nothing of ours: package tlog knows how, but for
// the names of the files, which C2SP has changed. It implements tlog.TileReader.
type webTiles struct {
	t      *testing.T
	prefix string
}

func (w webTiles) get(name string) []byte {
	w.t.Helper()
	r, err := http.Get(w.prefix + "/" + name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	b := must(io.ReadAll(r.Body))
	hold(w.t, "GET", r.Request.URL.Path, nil, answered{r.StatusCode, r.Header, b})
	media, cache := "application/octet-stream", "public, max-age=31536000, immutable"
	if name == "checkpoint" {
		media, cache = "text/plain; charset=utf-8", "no-store"
	}
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != media || r.Header.Get("Cache-Control") != cache {
		w.t.Fatalf("%s: %d, %q, %q", name, r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"))
	}
	return b
}

func (w webTiles) Height() int                     { return 8 }
func (w webTiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (w webTiles) name(path string) string         { return strings.Replace(path, "tile/8/", "tile/", 1) }
func (w webTiles) ReadTiles(tiles []tlog.Tile) (all [][]byte, _ error) {
	for _, t := range tiles {
		all = append(all, w.get(w.name(t.Path())))
	}
	return all, nil
}

// readWeb reads a whole log of a node that is served at addr, and returns its checkpoint
// and its leaves.
func readWeb(t *testing.T, addr string, d *wire.NodeDocument) (keyservice.Checkpoint, [][]byte) {
	t.Helper()
	origin := fmt.Sprintf("%s/v1/log/%d", d.Name, d.Log.Number)
	w := webTiles{t, "http://" + addr + strings.TrimPrefix(origin, string(d.Name))}
	key := d.LogKey()
	verifier := must(note.NewVerifier(must(note.NewEd25519VerifierKey(origin, key[:]))))
	n := must(note.Open(w.get("checkpoint"), note.VerifierList(verifier)))
	var size int64
	var name, root string
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &name, &size, &root); err != nil || name != origin {
		t.Fatalf("checkpoint %q: %v", n.Text, err)
	}
	hash := must(tlog.ParseHash(root))

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, _ error) {
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	var leaves [][]byte
	for at := int64(0); at < size; at += 256 {
		path := tlog.Tile{H: 8, L: -1, N: at / 256, W: int(min(256, size-at))}.Path()
		b := w.get(strings.Replace(path, "tile/8/data/", "tile/entries/", 1))
		for len(b) > 0 {
			n := int(binary.BigEndian.Uint16(b))
			leaf := b[2 : 2+n]
			stored = append(stored, must(tlog.StoredHashes(int64(len(leaves)), leaf, reader))...)
			leaves, b = append(leaves, leaf), b[2+n:]
		}
	}
	if int64(len(leaves)) != size || must(tlog.TreeHash(size, reader)) != hash {
		t.Fatalf("%d leaves, which have another root than that of %d", len(leaves), size)
	}
	tiles := tlog.TileHashReader(tlog.Tree{N: size, Hash: hash}, w)
	for i := int64(0); i < size; i += 37 {
		index := tlog.StoredHashIndex(0, i)
		if got := must(tiles.ReadHashes([]int64{index})); got[0] != stored[index] {
			t.Fatalf("leaf %d has another hash in the tiles", i)
		}
	}
	return keyservice.Checkpoint{Size: uint64(size), Root: wire.Hash(hash)}, leaves
}

func documentOf(t *testing.T, n *Node) *wire.NodeDocument {
	t.Helper()
	return must(wire.OpenNodeDocument(n.Document(), n.name))
}

// Whoever has an independent reader of tlog-tiles reads and verifies the whole log.
func TestLogOverHTTP(t *testing.T) {
	home := newLiveWorld(t).host()
	readWeb(t, home.addr, documentOf(t, home.Node)) // empty
	for _, path := range []string{"/v1/log/1/checkpoint", "/v1/log/1/tile/0/000", home.logID.File("tile/0/000"), home.logID.File("tile/entries/000"), home.logID.File("tile/x")} {
		got := home.sends("GET", path, nil)
		hold(t, "GET", path, nil, answered{status: got.status, body: []byte(got.body)})
		if got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	var all sync.WaitGroup
	people := make([]*testPerson, 300)
	for i := range people {
		people[i] = home.newPerson(wire.Handle(fmt.Sprint("p", i)))
	}
	for i := range 10 {
		all.Go(func() {
			for _, p := range people[i*30 : i*30+30] {
				must(home.Register(t.Context(), p.register))
			}
		})
	}
	all.Wait()
	c, leaves := readWeb(t, home.addr, documentOf(t, home.Node))
	if c.Size != 300 {
		t.Fatalf("%d leaves, want 300", c.Size)
	}
	seen := map[wire.AccountID]bool{}
	for _, b := range leaves {
		leaf := must(wire.DecodeLogLeaf(b))
		seen[leaf.Account] = true
	}
	for _, p := range people {
		if !seen[p.account] {
			t.Fatalf("%s is not in the log", p.address)
		}
	}
}

// restoredLog is what the store of a node says of its log.
func restoredLog(t *testing.T, own store.Store) (*logIdentity, [][]byte, keyservice.Checkpoint) {
	t.Helper()
	id := must(storedLog(t.Context(), own))
	l := logLedger{own}
	leaves := must(l.Leaves(t.Context(), 0, 1<<20))
	c := must(keyservice.OpenCheckpoint(must(l.Checkpoint(t.Context())), id.Log.Origin(north), id.secret().Public()))
	return id, leaves, c
}

// proofOf verifies what a node shows of somebody.
func (n *testNode) proofOf(t *testing.T, p *testPerson) *keyservice.Proof {
	t.Helper()
	r := must(n.As(p.account, p.address.Handle).Keys(t.Context(), wire.KeysRequest{Address: p.address}))
	d := documentOf(t, n.Node)
	proof := must(keyservice.OpenProof(r.Proof, d.Log.Origin(n.name), d.LogKey()))
	if err := proof.InLog(must(keyservice.ParseChain(r.Statements))); err != nil {
		t.Fatal(err)
	}
	return proof
}

// Two processes register at once: each statement has one leaf, and both show the same log.
func TestLogOfTwoProcesses(t *testing.T) {
	o := newOffice(t, usualPace)
	workers := []*worker{o.opens(), o.opens()}
	people := make([]*testPerson, 60)
	for i := range people {
		people[i] = workers[0].newPerson(wire.Handle(fmt.Sprint("p", i)))
	}
	var all sync.WaitGroup
	for i, at := range workers {
		all.Go(func() {
			for k := range people { // each registers everybody
				p := people[(k+i*30)%len(people)]
				must(at.Node.Register(t.Context(), p.register))
			}
		})
	}
	all.Wait()
	sizes := map[uint64]bool{}
	for _, at := range workers {
		for _, p := range people {
			at.at(p)
			sizes[at.proofOf(t, p).Checkpoint.Size] = true
		}
	}
	_, leaves, c := restoredLog(t, o.own)
	if len(sizes) != 1 || c.Size != 60 || len(leaves) != 60 {
		t.Errorf("checkpoints of %v, and of %d; %d leaves", sizes, c.Size, len(leaves))
	}
	second, first := workers[0].newPerson("second"), workers[0].newPerson("first")
	interrupted := false
	workers[0].interrupts(func(c store.Change) bool { return c.Key == leafKey(60) && !interrupted }, func() {
		interrupted = true
		must(workers[1].Node.Register(t.Context(), first.register))
	})
	must(workers[0].Node.Register(t.Context(), second.register)) // to whose leaf there was another before
	if a, b := workers[0].proofOf(t, first), workers[0].proofOf(t, second); !interrupted || a.Number != 60 || b.Number != 61 {
		t.Errorf("leaves %d and %d", a.Number, b.Number)
	}
	next := workers[0].newPerson("next")
	must(workers[0].Node.Register(t.Context(), next.register))
	workers[1].at(next) // hears
	if proof := workers[1].proofOf(t, next); proof.Checkpoint.Size != 63 {
		t.Errorf("the other process shows a log of %d", proof.Checkpoint.Size)
	}
}

// A registration that is interrupted anywhere is done again, and leaves one leaf.
func TestLogIsInterrupted(t *testing.T) {
	for after := range 12 {
		w := newWorld(t)
		memory := storetest.NewMemory()
		first := w.open(north, memory, nil)
		must(first.Node.Register(t.Context(), first.newPerson("first").register))
		before := first.proofOfAny(t)
		p := first.newPerson("ann")
		first.close()
		cut := &stopsAfter{Store: memory, left: after}
		n := w.open(north, cut, nil)
		cut.on.Store(true)
		_, failed := n.Node.Register(t.Context(), p.register)
		n.close()
		again := w.open(north, memory, nil)
		if failed == nil {
			if c := again.proofOf(t, p).Checkpoint; c.Size != 2 {
				t.Errorf("after %d changes: a log of %d", after, c.Size)
			}
		}
		must(again.Node.Register(t.Context(), p.register))
		proof := again.proofOf(t, p)
		_, leaves, c := restoredLog(t, memory)
		if len(leaves) != 2 || c.Size != 2 || proof.Number != 1 {
			t.Errorf("after %d changes: %d leaves, a checkpoint of %d", after, len(leaves), c.Size)
		}
		r := keyservice.NewLogReader(t.Context(), c, again.keyLog.File)
		if err := r.Extends(before); err != nil {
			t.Error(err)
		}
		report := must(Fsck(t.Context(), FsckOptions{Own: memory, Found: func(f Finding) { t.Errorf("after %d changes: %+v", after, f) }}))
		if report.Records["own log"] != 2 || report.Records["own leaf"] != 2 || report.Records["own logtop"] != 1 {
			t.Errorf("after %d changes: %v", after, report.Records)
		}
		again.close()
	}
}

func (n *testNode) proofOfAny(t *testing.T) keyservice.Checkpoint {
	t.Helper()
	d := documentOf(t, n.Node)
	return must(keyservice.OpenCheckpoint(must(n.keyLog.File(t.Context(), keyservice.CheckpointFile)), d.Log.Origin(n.name), d.LogKey()))
}

// stopsAfter makes so many changes, one by one, and then none.
type stopsAfter struct {
	store.Store
	on   atomic.Bool
	left int
}

func (s *stopsAfter) Apply(ctx context.Context, changes ...store.Change) error {
	if !s.on.Load() {
		return s.Store.Apply(ctx, changes...)
	}
	for _, c := range changes {
		if s.left--; s.left < 0 {
			return errors.New("stopped")
		}
		if err := s.Store.Apply(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// A node of an earlier release has no log. Whoever was registered there is in it before
// their keys are shown.
func TestLogOfEarlierRelease(t *testing.T) {
	w := newWorld(t)
	memory := storetest.NewMemory()
	n := w.open(north, memory, nil)
	ann, ben := n.person("ann"), n.person("ben")
	n.close()
	var gone []store.Change
	for rec, err := range memory.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{leafPrefix, findPrefix, tilePrefix, topPrefix, logKey} {
			if strings.HasPrefix(rec.Key, prefix) {
				gone = append(gone, store.Change{Key: rec.Key})
			}
		}
	}
	if err := memory.Apply(t.Context(), gone...); err != nil {
		t.Fatal(err)
	}
	again := w.open(north, memory, nil)
	if c := again.proofOfAny(t); c.Size != 0 {
		t.Fatalf("a log of %d", c.Size)
	}
	if a, b := again.proofOf(t, ben), again.proofOf(t, ann); a.Number != 0 || b.Number != 1 {
		t.Errorf("leaves %d and %d", a.Number, b.Number)
	}
}

// A node that was restored begins another log, with the leaves that it has, and signs
// nothing more of the one before.
func TestLogOfRestored(t *testing.T) {
	w := newWorld(t)
	memory := must(bolt.Open(filepath.Join(t.TempDir(), ownFile), bolt.Options{}))
	t.Cleanup(func() { memory.Close() })
	n := w.open(north, memory, nil)
	ann := n.person("ann")
	var archive bytes.Buffer
	if err := memory.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north), If: store.IfAbsent()}); err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	if err := backup(t.Context(), memory, &archive, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	n.person("ben") // after the copy was made
	was := documentOf(t, n.Node)
	saved := n.proofOfAny(t)
	n.close()

	numbers := map[uint64]bool{was.Log.Number: true}
	for range 2 { // restored twice, it is another log each time
		w.clock.advance(time.Hour)
		again := storetest.NewMemory()
		if err := restore(t.Context(), again, bytes.NewReader(archive.Bytes()), w.clock.now()); err != nil {
			t.Fatal(err)
		}
		r := w.open(north, again, nil)
		d := documentOf(t, r.Node)
		if d.Log.Number <= was.Log.Number || numbers[d.Log.Number] || d.Log.Before != was.Log.Number || d.Log.Size != 1 || saved.Size != 2 {
			t.Fatalf("log %+v after %+v, of %d", d.Log, was.Log, saved.Size)
		}
		numbers[d.Log.Number] = true
		if _, err := keyservice.OpenCheckpoint(must(r.keyLog.File(t.Context(), keyservice.CheckpointFile)), was.Log.Origin(north), was.LogKey()); err == nil {
			t.Error("it signs in the name of the log before")
		}
		if proof := r.proofOf(t, ann); proof.Number != 0 || proof.Checkpoint.Size != 1 || proof.Checkpoint.Root != d.Log.Root {
			t.Errorf("%+v of %+v", proof, d.Log)
		}
		r.asksNobody()
		cid := r.person("cid")
		if proof := r.proofOf(t, cid); proof.Number != 1 {
			t.Errorf("leaf %d", proof.Number)
		}
		must(Fsck(t.Context(), FsckOptions{Own: again, Now: w.clock.now, Found: func(f Finding) { t.Errorf("%+v", f) }}))
		r.close()
	}
}

// What is damaged of a log is made again from the statements and the leaves.
func TestFsckRepairsLog(t *testing.T) {
	w := newWorld(t)
	memory := storetest.NewMemory()
	n := w.open(north, memory, nil)
	for i := range 300 {
		must(n.Node.Register(t.Context(), n.newPerson(wire.Handle(fmt.Sprint("p", i))).register))
	}
	want := n.proofOfAny(t)
	n.close()
	intact := memory.Snapshot()
	lost := must(wire.DecodeLogLeaf(must(logLedger{memory}.Leaves(t.Context(), 7, 1))[0]))
	other := *lost
	other.Address[0]++
	stranger := *lost
	stranger.Account, stranger.Statement = wire.AccountID{1}, wire.Hash{1}
	for name, c := range map[string]store.Change{
		"a leaf is gone":             {Key: leafKey(7)},
		"the last leaf is gone":      {Key: leafKey(299)},
		"a leaf of another address":  put(leafKey(7), &leafRecord{recordVersion, wire.EncodeCBOR(&other)}),
		"a leaf is malformed":        put(leafKey(7), &leafRecord{recordVersion, wire.Bytes("leaf")}),
		"a place is gone":            {Key: findKey(lost.Statement)},
		"a place is another":         put(findKey(lost.Statement), &placeRecord{recordVersion, 8, lost.Account, lost.Seq}),
		"a tile is gone":             {Key: tileKey(0, 0)},
		"a tile is another":          put(tileKey(0, 0), &tileRecord{recordVersion, make([]byte, 8192)}),
		"a tile too many":            put(tileKey(0, 9), &tileRecord{recordVersion, make([]byte, 8192)}),
		"the checkpoint is another":  put(topKey(300), &checkpointRecord{recordVersion, wire.Bytes("a\n300\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nb\n")}),
		"a checkpoint of the future": put(topKey(400), &checkpointRecord{recordVersion, wire.Bytes("none")}),
	} {
		t.Run(name, func(t *testing.T) {
			damaged := storetest.NewMemory()
			damaged.Restore(intact)
			if err := damaged.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			found := 0
			report := must(Fsck(t.Context(), FsckOptions{Own: damaged, Repair: true, Found: func(f Finding) { found++ }}))
			if found == 0 || report.Findings != 0 || report.Repaired == 0 {
				t.Errorf("%d findings in all, %d left, %d repaired", found, report.Findings, report.Repaired)
			}
			again := w.open(north, damaged, nil)
			defer again.close()
			if got := again.proofOfAny(t); got != want {
				t.Errorf("a log of %d, which is another than that of %d", got.Size, want.Size)
			}
		})
	}
	t.Run("a leaf of nobody", func(t *testing.T) { // in the place of one: nothing says what it was but the checkpoint
		damaged := storetest.NewMemory()
		damaged.Restore(intact)
		for _, c := range []store.Change{put(leafKey(299), &leafRecord{recordVersion, wire.EncodeCBOR(&stranger)}), put(findKey(stranger.Statement), &placeRecord{recordVersion, 299, stranger.Account, 0})} {
			if err := damaged.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		report := must(Fsck(t.Context(), FsckOptions{Own: damaged, Repair: true}))
		if report.Findings == 0 {
			t.Error("it is not found")
		}
	})
}

// BenchmarkLog appends leaves from many goroutines, as registrations do, to a log in
// files; and beside it single records, which cost one sync for all who write at once.
func BenchmarkLog(b *testing.B) {
	own := must(bolt.Open(filepath.Join(b.TempDir(), ownFile), bolt.Options{}))
	defer own.Close()
	l := keyservice.NewLog("node.example/v1/log/1", wire.NewNodeLogSecret([32]byte{1}), logLedger{own})
	var number atomic.Uint64
	leaf := func() *wire.LogLeaf {
		one := &wire.LogLeaf{Version: wire.Version, Suite: wire.Suite, Address: wire.Hash{1}, Statement: wire.LabelKeyStatement.Hash(binary.BigEndian.AppendUint64(nil, number.Add(1)))}
		one.Account = wire.AccountID(one.Statement)
		return one
	}
	at := func(b *testing.B, do func() error) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	}
	b.Run("leaves", func(b *testing.B) { at(b, func() error { return l.Add(b.Context(), leaf()) }) })
	b.Run("records", func(b *testing.B) {
		at(b, func() error {
			one := leaf()
			return own.Apply(b.Context(), putIf("x/"+one.Statement.String(), &leafRecord{recordVersion, wire.EncodeCBOR(one)}, store.IfAbsent()))
		})
	})
	b.Run("proofs", func(b *testing.B) {
		one := leaf()
		must(l.Prove(b.Context(), one))
		for b.Loop() {
			must(l.Prove(b.Context(), one))
		}
	})
}
