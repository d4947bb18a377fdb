package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// An outsideLog is a log that is not ours, and what it sends is made with nothing of ours.
type outsideLog struct {
	signer note.Signer
	vkey   string
	stored []tlog.Hash
	size   int64
}

func newOutsideLog(t testing.TB, origin string) *outsideLog {
	secret, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	return &outsideLog{signer: must(note.NewSigner(secret)), vkey: vkey}
}

func (l *outsideLog) ReadHashes(indexes []int64) (list []tlog.Hash, _ error) {
	for _, i := range indexes {
		list = append(list, l.stored[i])
	}
	return list, nil
}

func (l *outsideLog) grow(leaf string, count int) {
	for range count {
		l.stored = append(l.stored, must(tlog.StoredHashes(l.size, []byte(leaf), l))...)
		l.size++
	}
}

// fork returns a log that is the same so far.
func (l *outsideLog) fork() *outsideLog {
	other := *l
	other.stored = slices.Clone(l.stored)
	return &other
}

func (l *outsideLog) checkpoint(more string) []byte {
	root := must(tlog.TreeHash(l.size, l))
	return must(note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n%s", l.signer.Name(), l.size, base64.StdEncoding.EncodeToString(root[:]), more)}, l.signer))
}

// request is what the log sends to a witness that saw it at a size.
func (l *outsideLog) request(old int64) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	if old > 0 && old <= l.size {
		for _, h := range must(tlog.ProveTree(l.size, old, l)) {
			b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
		}
	}
	return append(append(b, '\n'), l.checkpoint("")...)
}

// cosignedAt verifies an answer as c2sp.org/tlog-cosignature says, by hand.
func cosignedAt(t *testing.T, answer string, checkpoint []byte, name string, key wire.NodeWitnessKey) time.Time {
	t.Helper()
	text, ok := strings.CutPrefix(answer, "— "+name+" ")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, "\n"))
	if !ok || err != nil || len(b) != 76 || !strings.HasSuffix(answer, "\n") {
		t.Fatalf("no line of %s: %q", name, answer)
	}
	id := sha256.Sum256(append([]byte(name+"\n\x04"), key[:]...))
	at := binary.BigEndian.Uint64(b[4:])
	body := string(checkpoint[:bytes.Index(checkpoint, []byte("\n\n"))+1])
	if !bytes.Equal(b[:4], id[:4]) || !ed25519.Verify(key[:], fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, body), b[12:]) {
		t.Fatalf("it does not verify: %q", answer)
	}
	return time.Unix(int64(at), 0)
}

// TestWitnessOverHTTP asks a node as any log does that knows tlog-witness, and gets each
// answer that there is.
func TestWitnessOverHTTP(t *testing.T) {
	l := newOutsideLog(t, "example.com/log")
	w := newLiveWorld(t)
	home := w.host()
	home.watched = must(ParseWitnessedLogs(" " + l.vkey + ","))
	key, ok := documentOf(t, home.Node).WitnessKey()
	if !ok {
		t.Fatal("the document has no key of a witness")
	}
	asks := func(request []byte, status int) string {
		t.Helper()
		got := home.sends("POST", wire.PathWitness, request, "Content-Type: text/plain")
		hold(t, "POST", wire.PathWitness, request, answered{status: got.status, body: []byte(got.body)})
		if got.status != status || status == 409 != strings.Contains(got.header, "text/x.tlog.size") {
			t.Fatalf("%.100q: got %d %q, want %d", request, got.status, got.body, status)
		}
		return got.body
	}
	cosigned := func(l *outsideLog, old int64) {
		t.Helper()
		at := cosignedAt(t, asks(l.request(old), 200), l.checkpoint(""), string(home.name)+"/v1/witness", key)
		if age := time.Since(at); age < 0 || age > time.Minute {
			t.Errorf("it says %v", at)
		}
	}
	asks(newOutsideLog(t, "example.com/other").request(0), 404)
	asks(newOutsideLog(t, "example.com/log").request(0), 403)
	asks(newOutsideLog(t, "unknown.example/v1/log/1").request(0), 404)
	asks(newOutsideLog(t, "No.example/v1/log/1").request(0), 404)
	cosigned(l, 0) // empty
	asks(append([]byte("old 0\n\n"), must(note.Sign(&note.Note{Text: "example.com/log\n0\n" + strings.Repeat("A", 43) + "=\n"}, l.signer))...), 422)
	l.grow("a", 5)
	cosigned(l, 0)
	forked := l.fork()
	l.grow("b", 300)
	if got := asks(l.request(0), 409); got != "5\n" {
		t.Errorf("it says %q", got)
	}
	cosigned(l, 5)
	cosigned(l, 305) // again
	for _, old := range []int64{5, 304, 0} {
		if got := asks(l.request(old), 409); got != "305\n" {
			t.Errorf("it says %q", got)
		}
	}
	asks(l.request(306), 400)
	asks(forked.request(5), 409) // gone back
	forked.grow("c", 300)
	asks(forked.request(305), 422) // another root of that size
	forked.grow("c", 1)
	asks(forked.request(305), 422)
	asks(append([]byte("old 305\n"+strings.Repeat("A", 43)+"=\n\n"), l.checkpoint("")...), 422)
	spoilt := bytes.Replace(l.request(305), []byte("\n305\n"), []byte("\n306\n"), 1)
	asks(spoilt, 403)
	more := append([]byte("old 305\n\n"), l.checkpoint("a line more\n")...)
	cosignedAt(t, asks(more, 200), more[len("old 305\n\n"):], string(home.name)+"/v1/witness", key)
	asks(make([]byte, witnessLimit+1), 413)
	for _, request := range []string{"", "old", "old 305", "old 305\n\n", "old 0305\n\n" + string(l.checkpoint("")), "old 305\nAAAA\n\n" + string(l.checkpoint("")), "old 305\n\nexample.com/log\n305\n"} {
		asks([]byte(request), 400)
	}
	home.door.throttle.generous = false
	for range 3000 { // the budget fills up meanwhile
		got := home.sends("POST", wire.PathWitness, []byte("old"), "Content-Type: text/plain")
		if got.status == 429 {
			hold(t, "POST", wire.PathWitness, []byte("old"), answered{status: got.status, body: []byte(got.body)})
			return
		}
	}
	t.Error("nobody is throttled")
}

// knows pins a node at another, as it is now.
func (n *testNode) knows(t *testing.T, other *Node) {
	t.Helper()
	d := documentOf(t, other)
	if err := n.known.SavePeer(t.Context(), federation.PeerRecord{Name: other.name, Root: d.Root, Document: other.Document(), Fetched: n.now()}, d.Root); err != nil {
		t.Fatal(err)
	}
}

// asked is what a node sends to a witness that saw its log at a size.
func (n *testNode) asked(t *testing.T, old uint64) *keyservice.AddCheckpoint {
	t.Helper()
	return must(keyservice.ParseAddCheckpoint(must(n.keyLog.Growth(t.Context(), old)).Format()))
}

// TestWitnessOfNodes: a node cosigns the log of another that it knows, and no other.
func TestWitnessOfNodes(t *testing.T) {
	w := newWorld(t)
	n, other := w.open(north, nil, nil), w.open(south, nil, nil)
	other.person("ben")
	_, err := n.cosign(t.Context(), other.asked(t, 0))
	kind(t, err, wire.NotExist)
	n.knows(t, other.Node)
	key, _ := documentOf(t, n.Node).WitnessKey()
	witness := keyservice.NodeWitness(north, key)
	cosigned := func(old uint64) {
		t.Helper()
		q := other.asked(t, old)
		line := must(n.cosign(t.Context(), q))
		if at, ok := witness.Cosigned(keyservice.AddCosignature(q.Signed, line)); !ok || !at.Equal(w.clock.now().Truncate(time.Second)) {
			t.Errorf("cosigned at %v: %t", at, ok)
		}
	}
	cosigned(0)
	other.person("cid")
	cosigned(1)
	var stale staleSize
	if _, err := n.cosign(t.Context(), other.asked(t, 0)); !errors.As(err, &stale) || stale != 2 {
		t.Errorf("got %v, want 2", err)
	}
	stranger := newOutsideLog(t, other.logID.Origin(south))
	_, err = n.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(stranger.request(0))))
	kind(t, err, wire.Forbidden)

	renumbered := *must(storedLog(t.Context(), other.own)) // as after a restore, and back
	before := renumbered
	renumbered.Log.Number++
	for i, want := range []wire.Kind{"", wire.Tampered} {
		id := []logIdentity{renumbered, before}[i]
		other.close()
		if err := other.own.Apply(t.Context(), put(logKey, &id)); err != nil {
			t.Fatal(err)
		}
		deleteAllOf(t, other.own, topPrefix)
		w.clock.advance(time.Minute)
		other = w.open(south, other.own, nil)
		n.client.Close() // and what it remembers of the document
		reopened := w.open(north, n.own, nil)
		reopened.knows(t, other.Node)
		_, err := reopened.cosign(t.Context(), other.asked(t, 0))
		kind(t, err, want)
		n = reopened
	}
}

func deleteAllOf(t *testing.T, s store.Store, prefix string) {
	t.Helper()
	for _, key := range keysOf(t, s, prefix) {
		if err := s.Apply(t.Context(), store.Change{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWitnessIsAtomic shows two forks of a log, and their growth, to two processes of a
// node at once: what is cosigned is one log.
func TestWitnessIsAtomic(t *testing.T) {
	o := newOffice(t, usualPace)
	workers := []*worker{o.opens(), o.opens()}
	l := newOutsideLog(t, "example.com/log")
	l.grow("a", 3)
	forks := []*outsideLog{l.fork(), l.fork()}
	for i, at := range workers {
		at.Node.watched = must(ParseWitnessedLogs(l.vkey))
		forks[i].grow(fmt.Sprint("fork ", i), 20)
	}
	must(workers[0].cosign(t.Context(), must(keyservice.ParseAddCheckpoint(l.request(0)))))
	var mu sync.Mutex
	said := map[string]bool{} // by size and root
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			grown := l.fork()
			for size := int64(3); size < 20; {
				one := grown.fork()
				one.grow(fmt.Sprint("fork ", i%2), 1)
				q := must(keyservice.ParseAddCheckpoint(one.request(size)))
				_, err := workers[i/4].cosign(t.Context(), q)
				var stale staleSize
				switch {
				case err == nil:
					mu.Lock()
					said[fmt.Sprint(q.New.Size, " ", q.New.Root)] = true
					mu.Unlock()
					grown, size = one, size+1
				case errors.As(err, &stale) && int64(stale) > size && int64(stale) <= 20:
					for ; size < int64(stale); size++ {
						grown.grow(fmt.Sprint("fork ", i%2), 1)
					}
				default:
					return
				}
			}
		})
	}
	all.Wait()
	sizes := map[string]int{}
	for one := range said {
		size, _, _ := strings.Cut(one, " ")
		sizes[size]++
	}
	if len(sizes) != 17 {
		t.Errorf("%d sizes were cosigned", len(sizes))
	}
	for size, roots := range sizes {
		if roots != 1 {
			t.Errorf("%d roots of the size %s were cosigned", roots, size)
		}
	}
}

// TestWitnessIsInterrupted: what was cosigned is known after any end of the process.
func TestWitnessIsInterrupted(t *testing.T) {
	l := newOutsideLog(t, "example.com/log")
	l.grow("a", 3)
	grown := l.fork()
	grown.grow("b", 2)
	forked := l.fork()
	forked.grow("c", 2)
	for after := range 3 {
		w := newWorld(t)
		memory := storetest.NewMemory()
		cut := &stopsAfter{Store: memory, left: after}
		n := w.open(north, cut, nil)
		n.watched = must(ParseWitnessedLogs(l.vkey))
		must(n.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(l.request(0)))))
		cut.on.Store(true)
		_, failed := n.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(grown.request(3))))
		if (failed == nil) != (after > 0) {
			t.Errorf("after %d changes: %v", after, failed)
		}
		n.close()
		again := w.open(north, memory, nil)
		again.watched = n.watched
		_, err := again.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(forked.request(3))))
		var stale staleSize
		if failed == nil != (errors.As(err, &stale) && stale == 5) {
			t.Errorf("after %d changes, %v: a fork gets %v", after, failed, err)
		}
		again.close()
	}
}

// TestWitnessOfRestored: who restores a backup does not know what it has cosigned since,
// and cosigns with another key.
func TestWitnessOfRestored(t *testing.T) {
	l := newOutsideLog(t, "example.com/log")
	l.grow("a", 3)
	w := newWorld(t)
	memory := must(bolt.Open(filepath.Join(t.TempDir(), ownFile), bolt.Options{}))
	t.Cleanup(func() { memory.Close() })
	n := w.open(north, memory, nil)
	n.watched = must(ParseWitnessedLogs(l.vkey))
	must(n.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(l.request(0)))))
	var archive bytes.Buffer
	if err := errors.Join(memory.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}), backup(t.Context(), memory, &archive, w.clock.now())); err != nil {
		t.Fatal(err)
	}
	was, _ := documentOf(t, n.Node).WitnessKey()
	n.close()
	w.clock.advance(time.Minute)
	if again := w.open(north, memory, nil); witnessKeyOf(t, again) != was {
		t.Error("a start changes the key")
	} else {
		again.close()
	}
	restored := storetest.NewMemory()
	if err := restore(t.Context(), restored, bytes.NewReader(archive.Bytes()), w.clock.now()); err != nil {
		t.Fatal(err)
	}
	r := w.open(north, restored, nil)
	r.watched = n.watched
	if key := witnessKeyOf(t, r); key == was || key != r.cosigner.secret().Public() {
		t.Error("it cosigns with the key from before")
	}
	l.grow("b", 1)
	must(r.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(l.request(3)))))
	must(Fsck(t.Context(), FsckOptions{Own: restored, Now: w.clock.now, Found: func(f Finding) { t.Errorf("%+v", f) }}))
}

func witnessKeyOf(t *testing.T, n *testNode) wire.NodeWitnessKey {
	t.Helper()
	key, ok := documentOf(t, n.Node).WitnessKey()
	if !ok {
		t.Fatal("there is no key of a witness")
	}
	return key
}

// TestWitnessHasRoom: of one domain, and of all, so many logs are noted and no more.
func TestWitnessHasRoom(t *testing.T) {
	for name, keys := range map[string]func(i int) string{
		"of one domain": func(i int) string { return seenKey(wire.NodeName(fmt.Sprintf("n%d.%s", i, south))) },
		"of all":        func(i int) string { return seenKey(wire.NodeName(fmt.Sprintf("n%d.example", i))) },
	} {
		w := newWorld(t)
		n, other := w.open(north, nil, nil), w.open(south, nil, nil)
		n.knows(t, other.Node)
		most := maxDomainSeen
		if name == "of all" {
			most = maxSeen
		}
		var changes []store.Change
		for i := range most - 1 {
			changes = append(changes, put(keys(i), &seenRecord{Version: recordVersion, Number: 1}))
		}
		if err := n.own.Apply(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		q := other.asked(t, 0)
		must(n.cosign(t.Context(), q))
		deleteAllOf(t, n.own, seenKey(south))
		if err := n.own.Apply(t.Context(), put(keys(most), &seenRecord{Version: recordVersion, Number: 1})); err != nil {
			t.Fatal(err)
		}
		_, err := n.cosign(t.Context(), q)
		_, err = holdCall(t, "POST", wire.PathWitness, nil, struct{}{}, err)
		kind(t, err, wire.Limit)
		l := newOutsideLog(t, "example.com/log")
		n.watched = must(ParseWitnessedLogs(l.vkey))
		must(n.cosign(t.Context(), must(keyservice.ParseAddCheckpoint(l.request(0)))))
	}
}

// TestFsckOfWitness: what is not known of what was cosigned takes the key with it.
func TestFsckOfWitness(t *testing.T) {
	w := newWorld(t)
	memory := storetest.NewMemory()
	n := w.open(north, memory, nil)
	was := witnessKeyOf(t, n)
	n.close()
	l := hexOf(sha256.Sum256([]byte("example.com/log")))
	good := []store.Change{put(seenKey("a.example"), &seenRecord{Version: recordVersion, Number: 1, Size: 1}), put(seenPrefix+"-/"+l, &seenRecord{Version: recordVersion, Size: 1})}
	if err := memory.Apply(t.Context(), good...); err != nil {
		t.Fatal(err)
	}
	intact := memory.Snapshot()
	for name, c := range map[string]store.Change{
		"no domain":              put(seenPrefix+"b.example/c.example", &seenRecord{Version: recordVersion, Number: 1}),
		"a name that is none":    put(seenPrefix+"B/B", &seenRecord{Version: recordVersion, Number: 1}),
		"a hash that is none":    put(seenPrefix+"-/"+strings.ToUpper(l[:63])+"a", &seenRecord{Version: recordVersion}),
		"a short hash":           put(seenPrefix+"-/00", &seenRecord{Version: recordVersion}),
		"bytes":                  {Key: seenKey("a.example"), Value: []byte{1}},
		"a node without a log":   put(seenKey("a.example"), &seenRecord{Version: recordVersion}),
		"an origin with a log":   put(seenPrefix+"-/"+l, &seenRecord{Version: recordVersion, Number: 1}),
		"another size is signed": put(seenKey("a.example"), &seenRecord{Version: recordVersion, Number: 1, Size: 1, Signed: wire.Bytes("a\n2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nb\n")}),
		"another root is signed": put(seenKey("a.example"), &seenRecord{Version: recordVersion, Number: 1, Size: 2, Root: wire.Hash{1}, Signed: wire.Bytes("a\n2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nb\n")}),
		"nothing is signed":      put(seenKey("a.example"), &seenRecord{Version: recordVersion, Number: 1, Size: 2, Signed: wire.Bytes("a")}),
		"a size above the limit": put(seenKey("a.example"), &seenRecord{Version: recordVersion, Number: 1, Size: wire.MaxInteger + 1}),
		"no seed":                put(witnessKey, &witnessIdentity{Version: recordVersion}),
		"another seed":           put(witnessKey, &witnessIdentity{Version: recordVersion, Seed: wire.Hide([32]byte{1})}),
		"made tomorrow":          put(witnessKey, &witnessIdentity{recordVersion, n.cosigner.Seed, w.clock.now().Add(time.Hour).UnixMilli()}),
		"no identity":            {Key: witnessKey, Value: []byte{1}},
	} {
		memory := storetest.NewMemory()
		memory.Restore(intact)
		if err := memory.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		got := fsckStores(t, memory, storetest.NewMemory(), w.clock.now(), true)
		if len(got.findings) != 1 || got.findings[0].Key != c.Key || got.findings[0].Repair == "" {
			t.Errorf("%s: %+v", name, got.findings)
		}
		again := w.open(north, memory, nil)
		if witnessKeyOf(t, again) == was {
			t.Errorf("%s: it goes on with the key", name)
		}
		again.close()
	}
}

func hexOf(b [32]byte) string { return fmt.Sprintf("%x", b) }

// BenchmarkCosign lets 64 logs that grow be cosigned at once, each step on disk.
func BenchmarkCosign(b *testing.B) {
	const logs = 64
	own := must(bolt.Open(filepath.Join(b.TempDir(), ownFile), bolt.Options{}))
	defer own.Close()
	n := newWorld(b).open(north, own, nil)
	defer n.close()
	requests := make([][]*keyservice.AddCheckpoint, logs)
	for i := range requests {
		l := newOutsideLog(b, fmt.Sprintf("example.com/log%d", i))
		n.watched = append(n.watched, must(ParseWitnessedLogs(l.vkey))...)
		for size := range int64(b.N/logs + 1) {
			l.grow("a", 1)
			requests[i] = append(requests[i], must(keyservice.ParseAddCheckpoint(l.request(size))))
		}
	}
	b.ResetTimer()
	var all sync.WaitGroup
	for _, list := range requests {
		all.Go(func() {
			for _, q := range list {
				if _, err := n.cosign(context.Background(), q); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
