package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// An oldCopy is a node that goes on from an older copy of its store, beside a witness that
// has seen its log at three leaves.
type oldCopy struct {
	w       *world
	own     *storetest.Memory
	n       *testNode
	witness *testNode
	ann     *testPerson
	seen    []byte // what was signed last
}

// nearPeers reach one witness without a network.
type nearPeers struct {
	worldPeers
	near neighbour
}

func (p nearPeers) AddCheckpoint(ctx context.Context, node wire.NodeName, body []byte) (federation.WitnessAnswer, error) {
	return p.near.AddCheckpoint(ctx, node, body)
}

func (p nearPeers) AddCheckpointAt(ctx context.Context, at *url.URL, body []byte) (federation.WitnessAnswer, error) {
	return p.near.AddCheckpointAt(ctx, at, body)
}

// newOldCopy lets a node go back. Then as many people are registered as there are names.
func newOldCopy(t *testing.T, again ...wire.Handle) *oldCopy {
	t.Helper()
	c := &oldCopy{w: newWorld(t), own: storetest.NewMemory()}
	c.witness = c.w.open(south, nil, nil)
	c.w.lies = map[wire.NodeName]Peers{north: nearPeers{worldPeers{c.w, north}, neighbour{c.witness}}}
	n := c.w.open(north, c.own, nil)
	c.ann = n.person("ann")
	c.ann.befriend(c.witness.person("ben"))
	before := c.own.Snapshot()
	n.person("cid")
	n.person("dan")
	c.witness.knows(t, n.Node)
	n.brings(nil)
	c.seen = must(n.keyLog.File(t.Context(), keyservice.CheckpointFile))
	copies := n.copies
	n.close()
	c.own.Restore(before)
	c.n = c.w.open(north, c.own, copies)
	c.ann.home = c.n
	for _, handle := range again {
		c.n.person(handle)
	}
	return c
}

// isClosed checks that nothing is added to a log any more, and that all else goes on.
func (c *oldCopy) isClosed(t *testing.T, n *testNode) {
	t.Helper()
	size := must(n.keyLog.Size(t.Context()))
	late := n.newPerson("late")
	before := snapshotOf(t, n.own)
	_, err := n.Register(t.Context(), late.register)
	kind(t, err, wire.Unavailable)
	kind(t, n.As(c.ann.account, c.ann.address.Handle).RenewKeys(t.Context(), (&testPerson{
		t: t, home: n, address: c.ann.address, account: c.ann.account, identity: c.ann.identity, recovery: c.ann.recovery,
		keys: c.ann.keys, newest: c.ann.newest, slots: c.ann.slots, heads: c.ann.heads,
	}).renewal(nil)), wire.Unavailable)
	if after := snapshotOf(t, n.own); after != before {
		t.Error("something was written")
	}
	if _, err := n.Register(t.Context(), c.ann.register); err != nil {
		t.Errorf("who is registered: %v", err)
	}
	if _, err := n.As(c.ann.account, "ann").Keys(t.Context(), wire.KeysRequest{Address: c.ann.address}); err != nil {
		t.Errorf("keys that are in it: %v", err)
	}
	c.ann.posts(1)
	if got := must(n.keyLog.Size(t.Context())); got != size {
		t.Errorf("%d leaves are signed, after %d", got, size)
	}
	_, err = n.cosign(t.Context(), must(n.keyLog.Growth(t.Context(), 0)))
	kind(t, err, wire.Unavailable)
}

// TestLogIsClosed: a node that goes on from an old copy is shown what it has signed since,
// by a witness, and adds nothing more to its log: where it has fewer leaves, as many, or
// more; in all its processes, and over a start. A restore begins another log, in which
// people register.
func TestLogIsClosed(t *testing.T) {
	for name, again := range map[string][]wire.Handle{
		"fewer leaves": {"eve"}, "as many leaves": {"eve", "fay"}, "more leaves": {"eve", "fay", "gus"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newOldCopy(t, again...)
			if err := c.n.keyLog.Closed(); err != nil {
				t.Fatalf("before anybody was asked: %v", err)
			}
			c.n.brings(nil)
			c.isClosed(t, c.n)
			got := must(tryFsck(t, c.own, c.n.copies, c.w.clock.now(), false))
			if len(got.findings) != 1 || got.findings[0].Key != logKey {
				t.Errorf("fsck finds%s", got)
			}
			c.n.close()
			c.n = c.w.open(north, c.own, c.n.copies)
			c.ann.home = c.n
			c.isClosed(t, c.n)

			id := must(storedLog(t.Context(), c.own))
			next := id.renumbered(must(keyservice.ReadCheckpoint(must(c.n.keyLog.File(t.Context(), keyservice.CheckpointFile)))), c.w.clock.now())
			if len(next.Seen) > 0 || next.Log.Number <= id.Log.Number {
				t.Errorf("after a restore: %+v", next)
			}
			c.n.close()
			if err := c.own.Apply(t.Context(), put(logKey, next), store.Change{Key: witnessKey}); err != nil {
				t.Fatal(err)
			}
			for _, key := range keysOf(t, c.own, topPrefix) { // as restore leaves them out
				if err := c.own.Apply(t.Context(), store.Change{Key: key}); err != nil {
					t.Fatal(err)
				}
			}
			r := c.w.open(north, c.own, c.n.copies)
			r.person("hal")
		})
	}
}

// TestLogIsNotClosed by what a witness makes up, by what was signed of a log that this one
// has grown out of, or while another process of the node has only been faster.
func TestLogIsNotClosed(t *testing.T) {
	c := newOldCopy(t)
	forged := newOutsideLog(t, c.n.logID.Origin(north))
	forged.grow("leaf", 9)
	long := slices.Concat(c.seen, bytes.Repeat([]byte(fmt.Sprintf("— a%s AAAAAAAA\n", strings.Repeat("a", 100))), 10))
	must(keyservice.OpenCheckpoint(long, c.n.logID.Origin(north), c.n.keyLog.Key()))
	grown := must(c.n.keyLog.File(t.Context(), keyservice.CheckpointFile))
	c.n.person("eve")
	for name, shown := range map[string][]byte{
		"nothing": nil, "no checkpoint": []byte("9\n"), "one that another key has signed": forged.checkpoint(""), "an earlier one": grown, "one that is too long": long,
	} {
		if err := c.n.doubt(t.Context(), shown); err != nil || c.n.keyLog.Closed() != nil {
			t.Errorf("%s: %v, %v", name, err, c.n.keyLog.Closed())
		}
	}
	if err := c.n.doubt(t.Context(), c.seen); err != nil || c.n.keyLog.Closed() == nil {
		t.Errorf("what was signed last: %v, %v", err, c.n.keyLog.Closed())
	}
	o := newOffice(t, still)
	here, there := o.opens(), o.opens()
	here.person("ann")
	must(there.keyLog.Size(t.Context()))
	here.person("ben")
	newest := must(here.keyLog.File(t.Context(), keyservice.CheckpointFile))
	if err := there.doubt(t.Context(), newest); err != nil || there.keyLog.Closed() != nil {
		t.Errorf("while another process was faster: %v, %v", err, there.keyLog.Closed())
	}
}

// TestClosedLogOfTwoProcesses: what one process finds out, the others go by.
func TestClosedLogOfTwoProcesses(t *testing.T) {
	for _, lost := range []bool{false, true} {
		o := newOffice(t, still)
		here, there := o.opens(), o.opens()
		here.person("ann")
		before := o.own.Snapshot()
		here.person("ben")
		seen := must(here.keyLog.File(t.Context(), keyservice.CheckpointFile))
		for _, n := range []*worker{here, there} {
			n.close()
		}
		o.own.Restore(before)
		here, there = o.opens(), o.opens()
		if err := here.doubt(t.Context(), seen); err != nil || here.keyLog.Closed() == nil {
			t.Fatalf("%v, %v", err, here.keyLog.Closed())
		}
		if lost {
			here.tellNot(t)
		}
		eventually(t, "the other process has heard", func() bool {
			if err := there.hear(context.Background()); err != nil {
				t.Fatal(err)
			}
			return there.keyLog.Closed() != nil
		})
		_, err := there.Register(t.Context(), there.newPerson("cid").register)
		if !errors.Is(err, wire.Unavailable) {
			t.Errorf("news lost: %v: %v", lost, err)
		}
	}
}
