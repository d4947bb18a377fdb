package node

import (
	"context"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// TestDamagedRecords shows that a record that cannot be read is an error of the
// node, and never taken for an empty one.
func TestDamagedRecords(t *testing.T) {
	reopen := func(n *testNode, _ *testPerson) error {
		_, err := n.world.tryOpen(n.name, n.own, n.copies)
		return err
	}
	for name, c := range map[string]struct {
		prefix string
		call   func(n *testNode, ann *testPerson) error
	}{
		"friends are listed": {"friend/", func(_ *testNode, ann *testPerson) error { _, err := ann.as().Friends(context.Background()); return err }},
		"friends are read": {"friend/", func(n *testNode, ann *testPerson) error {
			n.circles.init()
			_, err := n.circle(context.Background(), ann.account)
			return err
		}},
		"the node starts with friends": {"friend/", reopen},
		"keys are read": {"key/", func(n *testNode, ann *testPerson) error {
			_, err := ledger{n.own}.Statements(context.Background(), ann.account)
			return err
		}},
		"a stream is read": {"entry/", func(_ *testNode, ann *testPerson) error {
			_, err := ann.as().Stream(context.Background(), ann.account, ann.audience, 0, 0, 0)
			return err
		}},
		"a stream is begun": {"entry/", func(n *testNode, ann *testPerson) error {
			return n.loadHead(context.Background(), newStream(streamName{ann.account, ann.audience}, false))
		}},
		"heads of a vault are read": {"vhead/", func(_ *testNode, ann *testPerson) error {
			_, err := ann.as().Vault(context.Background(), 1)
			return err
		}},
		"sessions are swept": {"sess/", func(n *testNode, _ *testPerson) error { return n.sweep(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newWorld(t).open(north, nil, nil)
			ann, ben := n.person("ann"), n.person("ben")
			ann.putVault()
			ann.befriend(ben)
			if err := n.own.Apply(t.Context(), store.Change{Key: "sess/x", Value: []byte{0}}); err != nil {
				t.Fatal(err)
			}
			for _, key := range keysOf(t, n.own, c.prefix) {
				if err := n.own.Apply(t.Context(), store.Change{Key: key, Value: []byte{0xff}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.call(n, ann); err == nil || wire.KindOf(err) != wire.Internal {
				t.Errorf("got %v, want an error of the node", err)
			}
		})
	}
}
