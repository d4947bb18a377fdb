package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// TestCopyOfBoth lets two processes take what another node says of the same stream,
// the one in the middle of the other, before each change that it makes, with the
// same answer, an earlier and a later one. The copy is whole afterwards, both show
// all of it, and neither calls it an error.
func TestCopyOfBoth(t *testing.T) {
	for _, test := range []struct {
		name        string
		here, there int // entries behind those that both have
	}{{"the same", 5, 5}, {"an earlier one", 5, 2}, {"a later one", 2, 5}, {"nothing new", 5, 0}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for k := 0; ; k++ {
				if !copyOfBoth(t, test.here, test.there, k) {
					if k < 4 {
						t.Errorf("only %d changes were interrupted", k)
					}
					return
				}
			}
		})
	}
}

// copyOfBoth reports whether there was a k-th change.
func copyOfBoth(t *testing.T, first, second, k int) (interrupted bool) {
	t.Helper()
	o := newOffice(t, still)
	here, there := o.opens(), o.opens()
	ann, wil := here.person("ann"), o.w.open(south, nil, nil).person("wil")
	ann.befriend(wil)
	here.pulls(wil.home)
	there.pulls(wil.home) // else it begins to by itself, at some moment
	wil.posts(1)
	wil.rotate(ann)
	wil.posts(3)
	answer := func(n *worker, entries int) (followed, wire.SyncedStream) {
		list, _ := here.follows.of(south)
		f := list[0]
		ask := must(n.syncAsk(t.Context(), f))
		f.after = ask.After
		got := must(n.askSync(t.Context(), south, wire.SyncRequest{Streams: []wire.SyncStream{ask}})).Streams[0]
		got.Entries = got.Entries[:entries]
		return f, got
	}
	f, mine := answer(here, first)
	g, theirs := answer(there, second)
	at := 0
	hook := func(store.Change) {
		if at++; at == k+1 {
			interrupted = true
			if _, err := there.takeStream(t.Context(), g, theirs); err != nil {
				t.Errorf("change %d, the other: %v", k, err)
			}
		}
	}
	here.copying.Store(&hook)
	if _, err := here.takeStream(t.Context(), f, mine); err != nil {
		t.Errorf("change %d: %v", k, err)
	}
	here.copying.Store(nil)
	if got := fsckStores(t, o.own, o.copies, o.w.clock.now(), false); len(got.findings)+len(got.left) > 0 {
		t.Errorf("change %d: %s", k, got)
	}
	var want []uint64
	for seq := range 1 + uint64(max(first, second)) {
		want = append(want, seq+1)
	}
	if interrupted {
		wants(t, fmt.Sprint("change ", k), ann, wil, want, here, there)
	}
	here.pulls(wil.home)
	wants(t, "another pull", ann, wil, []uint64{1, 2, 3, 4, 5, 6}, here, there)
	return interrupted
}

// wants compares what each process shows somebody of a stream.
func wants(t *testing.T, when string, reader, author *testPerson, want []uint64, workers ...*worker) {
	t.Helper()
	for i, n := range workers {
		reply, err := n.at(reader).Stream(t.Context(), author.account, author.audience, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := []uint64{}
		for _, e := range reply.Entries {
			got = append(got, must(author.chain().OpenEntry(e)).Seq)
		}
		if !slices.Equal(got, want) || reply.Head != want[len(want)-1] {
			t.Errorf("%s: process %d shows %v up to %d, want %v", when, i+1, got, reply.Head, want)
		}
	}
}
