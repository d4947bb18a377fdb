package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// signsWith are the keys that the node signs with, in their order.
func (n *Node) signsWith() (all []wire.NodeRequestKey) {
	for _, s := range n.signing() {
		all = append(all, s.Public())
	}
	return all
}

// lists are the keys in the document that the node shows.
func (n *Node) lists() (all []wire.NodeRequestKey) {
	for _, k := range must(wire.OpenNodeDocument(n.Document(), n.name)).KeysFor(wire.KeyForRequests) {
		all = append(all, k.Key)
	}
	return all
}

// has are the keys of which the node has the seeds.
func has(t *testing.T, own store.Store) []wire.NodeRequestKey {
	t.Helper()
	var keys nodeKeys
	if _, err := read(t.Context(), own, keysKey, &keys); err != nil {
		t.Fatal(err)
	}
	return keys.public()
}

func wantKeys(t *testing.T, what string, got []wire.NodeRequestKey, want ...wire.NodeRequestKey) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %x, want %x", what, got, want)
	}
}

// TestRotate follows a change of the request key to its end; a start in between
// changes nothing.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	old := n.lists()[0]
	at := w.clock.now()
	r, err := n.Rotate(t.Context())
	if err != nil || r.Node != north || r.Signs != at.Add(90*time.Second) || r.Ends != at.Add(4*time.Minute) {
		t.Fatalf("got %+v, %v", r, err)
	}
	listed := n.lists()
	if len(listed) != 2 || listed[0] != old || listed[1] == old {
		t.Fatalf("got %x, want %x and another", listed, old)
	}
	next := listed[1]
	for _, test := range []struct {
		at    time.Duration
		signs []wire.NodeRequestKey
	}{
		{0, []wire.NodeRequestKey{old, next}},
		{89 * time.Second, []wire.NodeRequestKey{old, next}},
		{90 * time.Second, []wire.NodeRequestKey{next, old}},
		{4 * time.Minute, []wire.NodeRequestKey{next, old}},
		{4*time.Minute + time.Second, []wire.NodeRequestKey{next}},
		{5 * time.Minute, []wire.NodeRequestKey{next}},
	} {
		w.clock.advance(at.Add(test.at).Sub(w.clock.now()))
		what := fmt.Sprintf("%v after", test.at)
		wantKeys(t, what, n.signsWith(), test.signs...)
		if err := n.keepKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		document := n.Document()
		n.close()
		n = w.open(north, n.own, n.copies)
		wantKeys(t, what+", and a start", n.signsWith(), test.signs...)
		if string(n.Document()) != string(document) {
			t.Errorf("%s, and a start: another document", what)
		}
		wantKeys(t, what+": the document", n.lists(), old, next)
	}
	w.clock.advance(time.Second)
	if err := n.keepKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, "in the end the document", n.lists(), next)
	wantKeys(t, "in the end the seeds", has(t, n.own), next)
	wantKeys(t, "in the end", n.signsWith(), next)
}

// TestRotateOften changes the key again and again, until the first is forgotten.
func TestRotateOften(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	first := n.lists()[0]
	for range maxRequestKeys - 1 {
		w.clock.advance(time.Second)
		if _, err := n.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	document := n.Document()
	_, err := n.Rotate(t.Context())
	kind(t, err, wire.Limit)
	if string(n.Document()) != string(document) || len(has(t, n.own)) != maxRequestKeys {
		t.Error("what was refused changed something")
	}
	wantKeys(t, "at first", n.signsWith()[:1], first)
	w.clock.advance(90 * time.Second)
	wantKeys(t, "when all have settled", n.signsWith()[:1], n.lists()[maxRequestKeys-1])
	w.clock.advance(10 * time.Minute)
	if err := n.keepKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Rotate(t.Context()); err != nil || len(n.lists()) != 2 {
		t.Errorf("when they are forgotten: %d keys, %v", len(n.lists()), err)
	}
}

// TestKeyLifetime: a node changes its key when it has had it for so long, however
// often it was started meanwhile, and not before.
func TestKeyLifetime(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	old, began := n.lists()[0], w.clock.now()
	due := lifetimeOf(old, DefaultKeyLifetime).Truncate(time.Millisecond) + time.Millisecond
	for w.clock.now().Sub(began) < due-time.Hour {
		if err := n.keepKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, fmt.Sprint(w.clock.now().Sub(began)), n.lists(), old)
		n.close()
		w.clock.advance(min(30*time.Hour, due-time.Hour-w.clock.now().Sub(began)))
		n = w.open(north, n.own, n.copies)
	}
	w.clock.advance(time.Hour)
	if err := n.keepKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := n.lists(); len(l) != 2 || l[0] != old {
		t.Fatalf("after %v: got %x", due, l)
	}
	if err := n.keepKeys(t.Context()); err != nil || len(n.lists()) != 2 {
		t.Errorf("right after that: %d keys, %v", len(n.lists()), err)
	}
}

// TestLifetimesAreSpread: nodes that were started together do not change their keys
// together.
func TestLifetimesAreSpread(t *testing.T) {
	least, most := MaxKeyLifetime, time.Duration(0)
	for range 200 {
		got := lifetimeOf(random32(), 100*time.Hour)
		if got < 90*time.Hour || got > 110*time.Hour {
			t.Fatalf("got %v, want a tenth more or less than 100 hours", got)
		}
		least, most = min(least, got), max(most, got)
	}
	if most-least < 10*time.Hour {
		t.Errorf("200 of them lie between %v and %v", least, most)
	}
}

// TestRotationIsInterrupted stops a node after each change that it makes while it
// changes its key, and while it forgets the old one. It starts again, signs with what
// its document lists, and comes to the same end.
func TestRotationIsInterrupted(t *testing.T) {
	rotates := func(n *testNode) error { _, err := n.Rotate(context.Background()); return err }
	keeps := func(n *testNode) error { return n.keepKeys(context.Background()) }
	for name, test := range map[string]struct {
		before func(n *testNode) error
		run    func(n *testNode) error
		most   int // keys in the end, and
		least  int // where nothing was changed
	}{
		"a new key":           {func(*testNode) error { return nil }, rotates, 2, 1},
		"another, soon after": {rotates, rotates, 3, 2},
		"an old key is forgotten": {func(n *testNode) error {
			err := rotates(n)
			n.world.clock.advance(time.Hour)
			return err
		}, keeps, 1, 1},
		"a key that is old": {func(n *testNode) error { n.world.clock.advance(2 * DefaultKeyLifetime); return nil }, keeps, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			own, copies := storetest.NewMemory(), storetest.NewMemory()
			n := w.open(north, own, copies)
			if err := test.before(n); err != nil {
				t.Fatal(err)
			}
			n.close()
			before := own.Snapshot()
			for k := 0; ; k++ {
				own.Restore(before)
				n := w.open(north, own, copies)
				own.StopAfter(k)
				err := test.run(n)
				n.close()
				own.Resume()
				what := fmt.Sprintf("stopped after %d changes", k)
				holdsKeys(t, w, own, copies, what, test.least, test.most)
				if err == nil {
					if k < 2 {
						t.Errorf("%s: it was done", what)
					}
					break
				}
				if !errors.Is(err, storetest.ErrStopped) {
					t.Fatalf("%s: %v", what, err)
				}
			}
			for seed := range uint64(4) {
				own.Restore(before)
				n := w.open(north, own, copies)
				own.Chaos(seed)
				_ = test.run(n) // may fail, as the store does
				n.close()
				own.Resume()
				holdsKeys(t, w, own, copies, fmt.Sprintf("with seed %d", seed), test.least, test.most)
			}
		})
	}
}

// holdsKeys starts a node on what an interruption has left, lets it finish, and
// looks at its keys: it signs with what it lists only.
func holdsKeys(t *testing.T, w *world, own, copies *storetest.Memory, what string, least, most int) {
	t.Helper()
	fit := func(n *testNode) {
		t.Helper()
		for _, k := range n.signsWith() {
			if !slices.Contains(n.lists(), k) {
				t.Errorf("%s: it signs with a key that it does not list", what)
			}
		}
		if len(n.signsWith()) == 0 {
			t.Errorf("%s: it signs with no key", what)
		}
	}
	n := w.open(north, own, copies)
	defer n.close()
	fit(n)
	if err := n.keepKeys(t.Context()); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	fit(n)
	seeds := has(t, own)
	wantKeys(t, what+": the document", n.lists(), seeds...)
	if len(seeds) < least || len(seeds) > most {
		t.Errorf("%s: %d keys, want %d to %d", what, len(seeds), least, most)
	}
	if got := fsckStores(t, own, copies, w.clock.now(), false); len(got.findings) > 0 {
		t.Errorf("%s: %s", what, got)
	}
}

// TestTwoProcessesRotate: of two processes which notice that the key is old, one
// changes it. Both then sign with the same key at any time; so they do when the
// command changes it.
func TestTwoProcessesRotate(t *testing.T) {
	o := newOffice(t, usualPace)
	workers := []*worker{o.opens(), o.opens()}
	alike := func(what string, count int) {
		t.Helper()
		for _, n := range workers {
			if err := n.hear(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantKeys(t, what, workers[1].signsWith(), workers[0].signsWith()...)
		wantKeys(t, what+": documents", workers[1].lists(), workers[0].lists()...)
		wantKeys(t, what+": seeds", has(t, o.own), workers[0].lists()...)
		if len(workers[0].lists()) != count {
			t.Errorf("%s: %d keys, want %d", what, len(workers[0].lists()), count)
		}
	}
	for round := range 4 {
		o.w.clock.advance(2 * DefaultKeyLifetime)
		for _, n := range workers { // as the last round has left it
			if err := forgetSeeds(t.Context(), n.Node.own, north, o.w.clock.now()); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for _, n := range workers {
			all.Go(func() {
				if err := n.keepKeys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		alike(fmt.Sprint("round ", round), 2)
		o.w.clock.advance(91 * time.Second)
		alike(fmt.Sprint("round ", round, ", when the new key signs"), 2)
	}
	workers[0].interrupts(func(c store.Change) bool { return c.Key == keysKey }, func() {
		if _, err := workers[1].rotate(t.Context(), &workers[1].lists()[1]); err != nil {
			t.Error(err)
		}
	})
	if _, err := workers[0].rotate(t.Context(), &workers[0].lists()[1]); err != nil {
		t.Error(err)
	}
	alike("one in the middle of the other", 3)

	if err := o.own.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}); err != nil {
		t.Fatal(err)
	}
	command := func(own store.Store, name wire.NodeName) error {
		_, err := rotateKeys(t.Context(), own, name, nil, time.Now())
		return err
	}
	if err := rekeyTold(t.Context(), Config{Name: north}, o.own, command); err != nil {
		t.Errorf("by command: %v", err)
	}
	alike("by command", 4)
	if err := rekeyTold(t.Context(), Config{Name: south}, o.own, command); err == nil || !strings.Contains(err.Error(), "it is of node") {
		t.Errorf("under another name: got %v", err)
	}
}

// TestRotateCommand changes the key of a node that runs, and of one that does not;
// what is no node is left alone.
func TestRotateCommand(t *testing.T) {
	c := devConfig(t)
	keys := func(r *running) int {
		t.Helper()
		var reply wire.NodeDocumentReply
		r.succeeds(t, "GET", wire.PathDocument, nil, nil, &reply)
		return len(must(wire.OpenNodeDocument(reply.Document, r.name)).KeysFor(wire.KeyForRequests))
	}
	r := runs(t, c)
	got, err := Rotate(t.Context(), c)
	if err != nil || got.Node != r.name || time.Until(got.Signs) > 90*time.Second || time.Until(got.Ends) < 3*time.Minute {
		t.Errorf("a node that runs: got %+v, %v", got, err)
	}
	if n := keys(r); n != 2 {
		t.Errorf("a node that runs: %d keys, want 2", n)
	}
	for range maxRequestKeys - 2 {
		if _, err := Rotate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Rotate(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the running node refuses: ") || !strings.Contains(err.Error(), "try again in five minutes") {
		t.Errorf("once too often: got %v", err)
	}
	if !strings.Contains(r.log.String(), "the request key is changed") {
		t.Error("the log does not tell")
	}
	r.ends(t)

	c = devConfig(t)
	r = runs(t, c)
	r.ends(t)
	c.Name, c.Listen = r.name, strings.TrimPrefix(r.url, "http://")
	if _, err := Rotate(t.Context(), c); err != nil {
		t.Errorf("a node that does not run: %v", err)
	}
	if n := keys(runs(t, c)); n != 2 {
		t.Errorf("a node that did not run: %d keys, want 2", n)
	}
	if err := os.MkdirAll(c.Data+"-other", 0o700); err != nil {
		t.Fatal(err)
	}
	c.Data += "-other"
	refuses(t, c.Data, "holds no node", func() error { _, err := Rotate(t.Context(), c); return err })
}

// rotations change the keys of a node that no process serves.
var rotations = map[string]func(context.Context, store.Store, wire.NodeName, time.Time) error{
	"request key": func(ctx context.Context, own store.Store, name wire.NodeName, now time.Time) error {
		_, err := rotateKeys(ctx, own, name, nil, now)
		return err
	},
	"root key": func(ctx context.Context, own store.Store, name wire.NodeName, now time.Time) error {
		_, err := rotateRoot(ctx, own, name, now)
		return err
	},
}

// rotatesStored does one of them.
func rotatesStored(t *testing.T, own store.Store, what string) error {
	t.Helper()
	return rekeyStored(t.Context(), Config{}, own, func(own store.Store, name wire.NodeName) error {
		return rotations[what](t.Context(), own, name, time.Now())
	})
}

// TestRotateRefuses what has no document to go on with: it was not served since it
// was restored, or never.
func TestRotateRefuses(t *testing.T) {
	for what := range rotations {
		for name, spoil := range map[string]store.Change{
			"no keys":        {Key: keysKey},
			"no document":    {Key: documentKey},
			"a restored one": put(documentKey, &documentRecord{Version: recordVersion, Number: 1 << 31}),
		} {
			w := newWorld(t)
			own := storetest.NewMemory()
			w.open(north, own, nil).close()
			if err := own.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}, spoil); err != nil {
				t.Fatal(err)
			}
			changes := own.Changes()
			if err := rotatesStored(t, own, what); !errors.Is(err, errNeverServed) {
				t.Errorf("%s, %s: got %v", what, name, err)
			}
			if what == "root key" && own.Changes() != changes {
				t.Errorf("%s, %s: something was written", what, name)
			}
		}
		w := newWorld(t)
		own := storetest.NewMemory()
		w.open(north, own, nil).close()
		for name, test := range map[string]struct {
			spoil store.Change
			want  string
		}{
			"a later schema":     {put("schema", &schemaRecord{recordVersion, recordSchema + 1}), "of a later release"},
			"a damaged document": {put(documentKey, &documentRecord{Version: recordVersion, Number: 1, Document: wire.Signed("?")}), documentKey},
		} {
			before := own.Snapshot()
			if err := own.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}, test.spoil); err != nil {
				t.Fatal(err)
			}
			changes := own.Changes()
			if err := rotatesStored(t, own, what); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: got %v, want %q", what, name, err, test.want)
			}
			if (name == "a later schema" || what == "root key") && own.Changes() != changes {
				t.Errorf("%s, %s: something was written", what, name)
			}
			own.Restore(before)
		}
	}
}

// TestOddRotation is an answer of a node that is not understood.
func TestOddRotation(t *testing.T) {
	for line, good := range map[string]bool{"north.example 1000 2000\n": true, "north.example 1000\n": false, "\n": false, "north.example 1000": false} {
		here, there := net.Pipe()
		go func() {
			_, _ = io.WriteString(there, line)
			there.Close()
		}()
		r, err := readRotation(&controlReply{bufio.NewReader(here), here, func() bool { return true }})
		if (err == nil) != good || good && (r.Node != north || r.Ends != time.UnixMilli(2000)) {
			t.Errorf("%q: got %+v, %v", line, r, err)
		}
	}
}
