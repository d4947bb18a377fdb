package node

import (
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestTrustRoot lets an operator end the quarantine of a node: what waited for it
// arrives, and what is malformed or about a blocked node is refused with a sentence.
func TestTrustRoot(t *testing.T) {
	w := newLiveWorld(t)
	home, west, other := w.host(), w.host(), w.host()
	root := wire.Nonce(must(other.client.Document(t.Context(), west.name)).Root).String()
	r := somePeer(t, west.name, 9, 1)
	r.Fetched = time.Time{}
	if err := home.known.SavePeer(t.Context(), r, r.Root); err != nil {
		t.Fatal(err)
	}
	ann, bob := home.person("ann"), west.person("bob")
	_, err := ann.as().Tell(t.Context(), ann.offer(bob))
	if err == nil {
		t.Error("an offer was made at a node in quarantine")
	}
	trust := func(name, root, want string) {
		t.Helper()
		if err := home.TrustRoot(t.Context(), name, root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %q: got %v, want %q", name, root, err, want)
		}
	}
	name := string(west.name)
	trust("Evil_Node", root, `"Evil_Node" is no name of a node`)
	trust(name, strings.ToUpper(root), "is no root key")
	trust(name, wire.Nonce(r.Root).String(), "shows the root key "+root)
	if err := home.SetRule(t.Context(), name, RuleBlock); err != nil {
		t.Fatal(err)
	}
	trust(name, root, name+" is blocked")
	if err := home.DropRule(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := home.TrustRoot(t.Context(), name, root); err != nil {
		t.Fatal(err)
	}
	ann.befriend(bob)
	ann.wants(bob, wire.StateFriend, wire.StateFriend)
	trust(name, root, name+" is not in quarantine")
}
