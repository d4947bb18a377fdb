package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// roots are the root keys that a node shows it had, oldest first, and its present one
// last. What it shows fits together.
func (n *testNode) roots() []wire.NodeRootKey {
	n.world.t.Helper()
	return rootsIn(n.world.t, *n.document.Load(), n.name)
}

func rootsIn(t testing.TB, reply wire.NodeDocumentReply, name wire.NodeName) []wire.NodeRootKey {
	t.Helper()
	root := must(wire.OpenNodeDocument(reply.Document, name)).Root
	before, err := wire.OpenRootChanges(reply.RootChanges, name, root)
	if err != nil {
		t.Fatalf("the changes that it shows: %v", err)
	}
	return append(before, root)
}

// TestRotateRoot changes the root key as often as it can be, and once more. The
// request keys stay, the old seeds are gone, and a start changes nothing.
func TestRotateRoot(t *testing.T) {
	w := newWorld(t)
	own, copies := storetest.NewMemory(), storetest.NewMemory()
	n := w.open(north, own, copies)
	n.person("ann") // by whom fsck knows the name of the node
	listed, signs, roots := n.lists(), n.signsWith(), n.roots()
	for i := range wire.MaxRootChanges {
		keys, _, err := storedKeys(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		was := must(wire.OpenNodeDocument(n.Document(), north))
		old := keys.Root.Reveal()
		r, err := n.RotateRoot(t.Context())
		if err != nil || r.Node != north || r.Old != roots[i] || r.Left != wire.MaxRootChanges-i-1 {
			t.Fatalf("change %d: got %+v, %v", i+1, r, err)
		}
		roots = append(roots, r.New)
		if got := n.roots(); !slices.Equal(got, roots) {
			t.Fatalf("change %d: got %x, want %x", i+1, got, roots)
		}
		if d := must(wire.OpenNodeDocument(n.Document(), north)); d.Number <= was.Number {
			t.Errorf("change %d: document %d follows %d", i+1, d.Number, was.Number)
		}
		for key, value := range contentsOf(t, own) {
			if strings.Contains(value, string(old[:])) {
				t.Errorf("change %d: the old seed is in %s", i+1, key)
			}
		}
		wantKeys(t, "listed", n.lists(), listed...)
		wantKeys(t, "signing", n.signsWith(), signs...)
	}
	before := own.Changes()
	_, err := n.RotateRoot(t.Context())
	kind(t, err, wire.Limit)
	if own.Changes() != before {
		t.Error("what was refused changed something")
	}
	document := n.Document()
	n.close()
	n = w.open(north, own, copies)
	if string(n.Document()) != string(document) || !slices.Equal(n.roots(), roots) {
		t.Error("a start changed something")
	}
	if got := fsckStores(t, own, copies, w.clock.now(), false); len(got.findings) > 0 {
		t.Errorf("fsck: %s", got)
	}
}

// TestDamagedRootChanges: a node whose changes do not lead to its root adds none.
func TestDamagedRootChanges(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	if _, err := n.RotateRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, _, err := storedKeys(t.Context(), n.own)
	if err != nil {
		t.Fatal(err)
	}
	keys.Changes = []wire.Signed{wire.Signed("?")}
	if err := n.own.Apply(t.Context(), put(keysKey, keys)); err != nil {
		t.Fatal(err)
	}
	before := contentsOf(t, n.own)
	if _, err := n.RotateRoot(t.Context()); err == nil || !maps.Equal(before, contentsOf(t, n.own)) {
		t.Errorf("got %v, or something was changed", err)
	}
}

// TestRootChangesAreInterrupted stops a node after each change that it makes while it
// changes its root. Whether it goes on, is looked at, or starts again: it has the old
// root or the new one, what it shows fits, and the end is the same.
func TestRootChangesAreInterrupted(t *testing.T) {
	for _, before := range []int{0, 2} {
		w := newWorld(t)
		own, copies := storetest.NewMemory(), storetest.NewMemory()
		n := w.open(north, own, copies)
		n.person("ann") // by whom fsck knows the name of the node
		for range before {
			if _, err := n.RotateRoot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		roots := n.roots()
		n.close()
		snapshot := own.Snapshot()
		interrupted := func(what string, stop func()) (changed bool, err error) {
			own.Restore(snapshot)
			n := w.open(north, own, copies)
			stop()
			_, err = n.RotateRoot(context.Background())
			own.Resume()
			holds := func(when string, least int) {
				t.Helper()
				got := n.roots()
				if !slices.Equal(got[:min(len(got), len(roots))], roots) || len(got) < least || len(got) > len(roots)+1 {
					t.Errorf("%s, %s: got %x, want %x and at most another", what, when, got, roots)
				}
				if found := fsckStores(t, own, copies, w.clock.now(), false); len(found.findings) > 0 {
					t.Errorf("%s, %s: %s", what, when, found)
				}
			}
			holds("at once", len(roots))
			left := own.Snapshot()
			keys, _, _ := storedKeys(t.Context(), own)
			count := len(keys.Changes) + 1
			if err := n.keepKeys(t.Context()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			holds("when it goes on", count)
			n.close()
			own.Restore(left)
			n = w.open(north, own, copies)
			holds("after a start", count)
			n.close()
			return count > len(roots), err
		}
		for k := 0; ; k++ {
			changed, err := interrupted(fmt.Sprintf("stopped after %d changes", k), func() { own.StopAfter(k) })
			if changed != (k > 0) {
				t.Errorf("stopped after %d changes: whether the root is changed: %t", k, changed)
			}
			if err == nil {
				if k != 2 {
					t.Errorf("it was done after %d changes, want 2", k)
				}
				break
			}
			if !errors.Is(err, storetest.ErrStopped) {
				t.Fatalf("stopped after %d changes: %v", k, err)
			}
		}
		for seed := range uint64(6) {
			_, _ = interrupted(fmt.Sprintf("with seed %d", seed), func() { own.Chaos(seed) })
		}
	}
}

// TestTwoProcessesChangeTheRoot: whichever of them does, or the command, both show
// the same then, and a process that had not heard of it does not bring the old root
// back.
func TestTwoProcessesChangeTheRoot(t *testing.T) {
	o := newOffice(t, usualPace)
	a, b := o.opens(), o.opens()
	first := a.roots()
	alike := func(what string, count int) {
		t.Helper()
		for _, n := range []*worker{a, b} {
			if err := n.hear(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := n.roots(); len(got) != count || got[0] != first[0] || got[count-1] != a.roots()[count-1] {
				t.Errorf("%s: got %x, want %d roots", what, got, count)
			}
		}
	}
	change := func(n *worker) {
		t.Helper()
		if _, err := n.RotateRoot(t.Context()); err != nil {
			t.Error(err)
		}
	}
	change(a)
	alike("one of them", 2)
	for _, key := range []string{keysKey, documentKey} { // in the middle of a change of the request key
		a.interrupts(func(c store.Change) bool { return c.Key == key }, func() { change(b) })
		if _, err := a.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	alike("in the middle of another change", 4)
	if got := len(a.lists()); got != 3 {
		t.Errorf("%d request keys, want 3", got)
	}
	a.interrupts(func(c store.Change) bool { return c.Key == keysKey }, func() { change(b) })
	change(a)
	alike("one in the middle of the other", 6)
	a.interrupts(func(c store.Change) bool { return c.Key == documentKey }, func() { change(b) })
	if err := a.openDocument(t.Context(), Options{Contact: "ann"}); err != nil {
		t.Error(err)
	}
	alike("in the middle of a start", 7)
	var all sync.WaitGroup
	for _, n := range []*worker{a, b} {
		all.Go(func() { change(n) })
	}
	all.Wait()
	alike("at once", 9)

	if err := o.own.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}); err != nil {
		t.Fatal(err)
	}
	err := rekeyTold(t.Context(), Config{Name: north}, o.own, func(own store.Store, name wire.NodeName) error {
		return rotations["root key"](t.Context(), own, name, time.Now())
	})
	if err != nil {
		t.Error(err)
	}
	alike("by command", 10)
}

// TestRotateRootCommand changes the root of a node that runs, and of one that does
// not.
func TestRotateRootCommand(t *testing.T) {
	c := devConfig(t)
	r := runs(t, c)
	shows := func(r *running, want ...wire.NodeRootKey) {
		t.Helper()
		var reply wire.NodeDocumentReply
		r.succeeds(t, "GET", wire.PathDocument, nil, nil, &reply)
		if got := rootsIn(t, reply, r.name); !slices.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
	first, err := RotateRoot(t.Context(), c)
	if err != nil || first.Node != r.name || first.Left != wire.MaxRootChanges-1 {
		t.Fatalf("a node that runs: got %+v, %v", first, err)
	}
	shows(r, first.Old, first.New)
	if log := r.log.String(); !strings.Contains(log, "the root key is changed") || !strings.Contains(log, wire.Nonce(first.Old).String()) || !strings.Contains(log, wire.Nonce(first.New).String()) {
		t.Error("the log does not tell")
	}
	r.ends(t)
	second, err := RotateRoot(t.Context(), c)
	if err != nil || second.Old != first.New || second.Left != wire.MaxRootChanges-2 {
		t.Errorf("a node that does not run: got %+v, %v", second, err)
	}
	c.Name, c.Listen = r.name, strings.TrimPrefix(r.url, "http://")
	r = runs(t, c)
	shows(r, first.Old, first.New, second.New)
	for range second.Left {
		if _, err := RotateRoot(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RotateRoot(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the running node refuses: root key: it was changed 16 times") {
		t.Errorf("once too often: got %v", err)
	}
}

// TestOddRootRotation is an answer of a node that is not understood.
func TestOddRootRotation(t *testing.T) {
	good := RootRotation{Node: north, Old: wire.NodeRootKey{1}, New: wire.NodeRootKey{2}, Left: 3}
	text := string(wire.EncodeJSON(good))
	for line, fits := range map[string]bool{
		text + "\n": true, text: false, "\n": false, "{}x\n": false, `{"old":"x"}` + "\n": false, strings.Replace(text, "node", "name", 1) + "\n": false,
	} {
		here, there := net.Pipe()
		go func() {
			_, _ = io.WriteString(there, line)
			there.Close()
		}()
		r, err := readRootRotation(&controlReply{bufio.NewReader(here), here, func() bool { return true }})
		if (err == nil) != fits || fits && r != good {
			t.Errorf("%q: got %+v, %v", line, r, err)
		}
	}
}

// TestFsckFindsRootChanges: what does not lead to the root is found, in the node's own
// record and in that of a peer.
func TestFsckFindsRootChanges(t *testing.T) {
	w := newWorld(t)
	own, copies := storetest.NewMemory(), storetest.NewMemory()
	n := w.open(north, own, copies)
	n.person("ann")
	for range 2 {
		if _, err := n.RotateRoot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.close()
	keys, _, err := storedKeys(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	peer := somePeer(t, south, 1, 1)
	before := own.Snapshot()
	for what, changes := range map[string][]wire.Signed{
		"none": nil, "the first": keys.Changes[:1], "the last": keys.Changes[1:], "the wrong way round": {keys.Changes[1], keys.Changes[0]},
		"rubbish": {wire.Signed("?")}, "more": append(slices.Clone(keys.Changes), keys.Changes[0]),
	} {
		spoilt := *keys
		spoilt.Changes = changes
		record := peerRecord{Version: recordVersion, Root: peer.Root, Document: peer.Document, Fetched: w.clock.now().UnixMilli(), Changes: changes}
		for key, rec := range map[string]store.Change{keysKey: put(keysKey, &spoilt), peerPrefix + string(south): put(peerPrefix+string(south), &record)} {
			own.Restore(before)
			if err := own.Apply(t.Context(), put(domainKey(south), &domainRecord{recordVersion}), rec); err != nil {
				t.Fatal(err)
			}
			want := 1
			if what == "none" || key == keysKey && what == "the last" {
				want = 0 // nothing vouches for how many there were
			}
			got := fsckStores(t, own, copies, w.clock.now(), false)
			if len(got.findings) != want || want == 1 && got.findings[0].Key != key {
				t.Errorf("%s, %s: %d findings, want %d: %s", key, what, len(got.findings), want, got)
			}
		}
	}
}

// A between is a store at which something happens right after a record was read,
// once.
type between struct {
	store.Store

	mu  sync.Mutex
	key string
	f   func()
}

// after lets f happen after the next look at key. The loops of a node look, too.
func (b *between) after(key string, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.key, b.f = key, f
}

func (b *between) Get(ctx context.Context, key string) (store.Record, error) {
	rec, err := b.Store.Get(ctx, key)
	b.mu.Lock()
	f := b.f
	if key == b.key {
		b.f = nil
	}
	b.mu.Unlock()
	if key == b.key && f != nil {
		f()
	}
	return rec, err
}

// TestRootChangesWhileRead: whatever of keys and document a process has read when
// another changes the root, it publishes no old root over a new one, and shows what
// fits.
func TestRootChangesWhileRead(t *testing.T) {
	for what, does := range map[string]func(n *testNode) error{
		"publish": func(n *testNode) error {
			_, err := publishKeys(t.Context(), n.Node.own, north, n.world.clock.now())
			return err
		},
		"load":   func(n *testNode) error { return n.loadDocument(t.Context()) },
		"start":  func(n *testNode) error { return n.openDocument(t.Context(), Options{Contact: "ann"}) },
		"forget": func(n *testNode) error { return n.keepKeys(t.Context()) },
	} {
		for _, key := range []string{keysKey, documentKey} {
			w := newWorld(t)
			own := &between{Store: storetest.NewMemory()}
			n := w.open(north, own, nil)
			first := n.roots()[0]
			own.after(key, func() {
				if _, err := rotateRoot(t.Context(), own, north, w.clock.now()); err != nil {
					t.Error(err)
				}
			})
			if err := does(n); err != nil {
				t.Errorf("%s, after %s was read: %v", what, key, err)
			}
			if got := n.roots(); len(got) > 2 || got[0] != first {
				t.Errorf("%s, after %s was read: it shows %x", what, key, got)
			}
			keys, _, err := storedKeys(t.Context(), own)
			if err != nil {
				t.Fatal(err)
			}
			if d, _, err := storedDocument(t.Context(), own, north); err != nil || d.Root != keys.root().Public() {
				t.Errorf("%s, after %s was read: the document is under another root than the node has (%v)", what, key, err)
			}
			if err := n.loadDocument(t.Context()); err != nil || len(n.roots()) != 2 {
				t.Errorf("%s, after %s was read: in the end it shows %x, %v", what, key, n.roots(), err)
			}
		}
	}
}

// An unsure is a store that makes a change once, says that it did not, and lets
// something happen in between.
type unsure struct {
	store.Store
	f func()
}

func (u *unsure) Apply(ctx context.Context, changes ...store.Change) error {
	err := u.Store.Apply(ctx, changes...)
	if f := u.f; f != nil && err == nil {
		u.f = nil
		f()
		return store.ErrConflict
	}
	return err
}

// TestRootIsChangedOnce: a change that was made, and was said not to be, is not made
// again, though another has followed it.
func TestRootIsChangedOnce(t *testing.T) {
	for _, follows := range []int{0, 1} {
		w := newWorld(t)
		n := w.open(north, nil, nil)
		own := n.Node.own
		r, err := changeRoot(t.Context(), &unsure{own, func() {
			for range follows {
				if _, err := rotateRoot(t.Context(), own, north, w.clock.now()); err != nil {
					t.Error(err)
				}
			}
		}}, north, wire.Hide(random32()), w.clock.now())
		keys, _, stored := storedKeys(t.Context(), own)
		if err != nil || stored != nil || len(keys.Changes) != 1+follows || must(wire.OpenRootChange(keys.Changes[0], north)).New != r.New {
			t.Errorf("%d follow: got %+v and %d changes, %v", follows, r, len(keys.Changes), err)
		}
	}
}
