package keyservice

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestGrowth proves to a witness that a log has grown out of each size that it had, and no
// other log out of any.
func TestGrowth(t *testing.T) {
	m := newMemoryLog()
	l := openTestLog(t, m)
	forked := openTestLog(t, newMemoryLog())
	roots := []wire.Hash{must(OpenCheckpoint(m.checkpoints[0], testOrigin, testLogSecret.Public())).Root}
	for n := range 20 {
		if err := l.Add(t.Context(), testLeaf(n)); err != nil {
			t.Fatal(err)
		}
		if err := forked.Add(t.Context(), testLeaf(n+n/10)); err != nil {
			t.Fatal(err)
		}
		roots = append(roots, must(OpenCheckpoint(must(l.File(t.Context(), CheckpointFile)), testOrigin, testLogSecret.Public())).Root)
	}
	for old := range uint64(21) {
		a := must(ParseAddCheckpoint(must(l.Growth(t.Context(), old)).Format()))
		if err := a.Follows(roots[old]); err != nil || a.Old != old || a.New != (Checkpoint{20, roots[20]}) {
			t.Errorf("from %d: %+v, %v", old, a, err)
		}
		other := must(ParseAddCheckpoint(must(forked.Growth(t.Context(), old)).Format()))
		if err := other.Follows(roots[old]); (err == nil) != (old <= 10) {
			t.Errorf("the other from %d: %v", old, err)
		}
		if old > 0 {
			kind(t, a.Follows(wire.Hash{1}), wire.Tampered)
		}
	}
	_, err := l.Growth(t.Context(), 21)
	kind(t, err, wire.Invalid)
	a := must(l.Growth(t.Context(), 0))
	a.proof = tlog.TreeProof{{1}}
	kind(t, a.Follows(roots[0]), wire.Tampered)
	none := must(ParseAddCheckpoint(append([]byte("old 0\n\n"), must(Checkpoint{0, wire.Hash{1}}.sign(testOrigin, testLogSecret))...)))
	kind(t, none.Follows(wire.Hash{}), wire.Tampered)
}

// TestSignedBy: one of the keys of a log has signed, and none of them wrongly.
func TestSignedBy(t *testing.T) {
	a := must(openTestLog(t, newMemoryLog()).Growth(t.Context(), 0))
	right := must(NodeVerifier(testOrigin, testLogSecret.Public()))
	other := must(NodeVerifier(testOrigin, wire.NodeLogKey{1}))
	for _, c := range []struct {
		keys []note.Verifier
		want wire.Kind
	}{{[]note.Verifier{right}, ""}, {[]note.Verifier{other, right}, ""}, {[]note.Verifier{other}, wire.Forbidden}, {nil, wire.Forbidden}} {
		if err := a.SignedBy(c.keys...); (err == nil) != (c.want == "") || err != nil && wire.KindOf(err) != c.want {
			t.Errorf("%d keys: got %v, want %q", len(c.keys), err, c.want)
		}
	}
	a.Signed = []byte(strings.Replace(string(a.Signed), "\n0\n", "\n1\n", 1))
	kind(t, a.SignedBy(right), wire.Forbidden)
	a.Signed = []byte("text\n\nno line\n")
	kind(t, a.SignedBy(right), wire.Invalid)
	_, err := NodeVerifier("two words", wire.NodeLogKey{1})
	kind(t, err, wire.Invalid)
}
