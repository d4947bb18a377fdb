package federation

import (
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestTrust ends a quarantine by the word of an operator: for the root that is named
// and shown, and no other, over a restart, and not for a node that is in none.
func TestTrust(t *testing.T) {
	inBubble(t, func(w *web) {
		s, lost, thief := testSecrets("a"), testSecrets("b"), testSecrets("thief")
		refused := func(what string, node wire.NodeName, root Secrets, words string) {
			t.Helper()
			err := w.client.Trust(w.t.Context(), node, root.Root.Public())
			w.want(what, err, wire.Invalid)
			if err != nil && !strings.Contains(err.Error(), words) {
				t.Errorf("%s: got %v, want %q", what, err, words)
			}
		}
		refused("a node that was never met", nodeA, s, "not in quarantine")
		w.publish(nodeA, s, 0)
		w.want("first contact", w.key(nodeA, s), nil)
		refused("a node that is well", nodeA, s, "not in quarantine")
		refused("another root of it", nodeA, lost, "not in quarantine")

		w.publish(nodeA, lost, 1)
		time.Sleep(2 * time.Minute)
		w.want("in quarantine", w.key(nodeA, lost), wire.Tampered)
		refused("the old root", nodeA, s, "shows the root key "+wire.Nonce(lost.Root.Public()).String())
		refused("a root that nobody shows", nodeA, thief, "shows the root key")
		w.want("still in quarantine", w.key(nodeA, lost), wire.Tampered)

		shown := w.docs[nodeA]
		w.docs[nodeA] = testDocument(t, nodeB, lost, 1, time.Now())
		if err := w.client.Trust(w.t.Context(), nodeA, lost.Root.Public()); err == nil {
			t.Error("a document of another name was taken")
		}
		delete(w.docs, nodeA)
		w.want("while it is down", w.client.Trust(w.t.Context(), nodeA, lost.Root.Public()), wire.Unavailable)
		w.docs[nodeA] = shown
		w.shelf.fail = wire.Errorf(wire.Internal, "", "the disk is full")
		w.want("while nothing can be stored", w.client.Trust(w.t.Context(), nodeA, lost.Root.Public()), wire.Internal)
		w.shelf.fail = nil
		w.want("still in quarantine", w.key(nodeA, lost), wire.Tampered)

		w.want("the word of the operator", w.client.Trust(w.t.Context(), nodeA, lost.Root.Public()), nil)
		w.want("its key", w.key(nodeA, lost), nil)
		w.restart()
		w.want("its key after a restart", w.key(nodeA, lost), nil)
		w.publish(nodeA, s, 2)
		time.Sleep(10 * time.Minute)
		w.want("the root before", w.key(nodeA, s), wire.Tampered)
	})
}
