package client

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// adds puts a leaf about some keys for an address into the log of its node.
func (l *fakeLog) adds(t *testing.T, address wire.Address, name string) {
	t.Helper()
	leaf := &wire.LogLeaf{Version: wire.Version, Suite: wire.Suite, Address: wire.LogAddress(address), Statement: wire.LabelKeyStatement.Hash([]byte(name))}
	leaf.Account = wire.AccountID(leaf.Statement)
	if err := l.Add(context.Background(), leaf); err != nil {
		t.Fatal(err)
	}
}

// saysAboutLog wants a refusal that names the log of a node.
func saysAboutLog(t *testing.T, err error, kind wire.Kind, what string) {
	t.Helper()
	if wire.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), what) {
		t.Errorf("got %v, want %s that says %q", err, kind, what)
	}
}

func (s *someone) adding(who string) error {
	_, err := s.AddFriend(context.Background(), address(who), true)
	return err
}

// Keys for a person's address that they did not make are told to them at the next
// log-in, once, and pinned by nobody.
func TestForeignLeaf(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	if r, err := bob.reports(); err != nil || r.Foreign != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.logOf("two.example").adds(t, bob.address, "a thief's")
	w.logOf("two.example").adds(t, address("eve@two.example"), "eve's")
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "leaf 1 is about other keys of bob@two.example")
	if ada.vault.friendAt(bob.address) != nil {
		t.Error("his keys are pinned")
	}
	for _, want := range []int{1, 0} {
		if r, err := bob.reports(); err != nil || r.Foreign != want {
			t.Errorf("%+v, %v, want %d", r, err, want)
		}
	}
	if r, err := w.device("bob@two.example").reports(); err != nil || r.Foreign != 1 { // which has looked at nothing
		t.Errorf("%+v, %v", r, err)
	}
}

// A log-in looks at so many leaves, and the next goes on. A first contact looks at so
// many of the newest.
func TestProveLimits(t *testing.T) {
	w := newWorld(t)
	l := w.logOf("two.example")
	leaf := wire.LogLeaf{Version: wire.Version, Suite: wire.Suite}
	for i := range maxLooked + 600 {
		leaf.Account = wire.AccountID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		leaf.Statement = wire.Hash(leaf.Account)
		leaf.Address = wire.Hash{1}
		if i == maxLooked+300 {
			leaf.Address = wire.LogAddress(address("bob@two.example"))
		}
		b, err := leaf.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l.leaves = append(l.leaves, b)
	}
	bob := w.newPerson("bob@two.example")
	if files := bob.line.files(); files > 64+64+10 {
		t.Errorf("the first log-in asks for %d files", files)
	}
	if at := bob.pins()["two.example"]; at.Looked != maxLooked || at.Size != maxLooked+601 {
		t.Errorf("it has looked at %d of %d", at.Looked, at.Size)
	}
	for _, want := range []int{1, 0} {
		if r, err := bob.reports(); err != nil || r.Foreign != want {
			t.Errorf("%+v, %v, want %d", r, err, want)
		}
	}
	l.adds(t, bob.address, "newest")
	for i := range maxLooked {
		leaf.Account[4], leaf.Account[0], leaf.Account[1] = 1, byte(i), byte(i>>8)
		leaf.Address, leaf.Statement = wire.Hash{1}, wire.Hash(leaf.Account)
		b, err := leaf.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l.leaves = append(l.leaves, b)
	}
	l.adds(t, address("eve@two.example"), "eve's")
	ada := w.newPerson("ada@one.example")
	ada.must(ada.adding("bob@two.example")) // the other keys are behind what is looked at, as docs/protocol.md says
	if files := ada.line.files(); files > 64+64+20 {
		t.Errorf("a first contact asks for %d files", files)
	}
}

// files counts what was asked for of logs.
func (l *line) files() (n int) {
	for _, c := range l.calls {
		if strings.HasPrefix(c.path, "/v1/log/") {
			n++
		}
	}
	return n
}

// A log that begins anew under a greater number, as its node's document says, is
// followed, and the person is told. One that goes back is not.
func TestLogBeginsAnew(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	w.newPerson("eve@two.example")
	ada.must(ada.adding("bob@two.example"))
	before := w.logs["two.example"]
	if notes := ada.Notes(); notes != nil {
		t.Errorf("notes %q", notes)
	}
	w.logs["two.example"] = newFakeLog("two.example", before.log.Number+5)
	r, err := bob.reports()
	if notes := bob.Notes(); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "has begun anew") || bob.Notes() != nil {
		t.Errorf("%+v, %v, notes %q", r, err, notes)
	}
	ada.must(ada.adding("eve@two.example"))
	if notes := ada.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "two.example has begun anew") {
		t.Errorf("notes %q", notes)
	}
	w.logs["two.example"] = before
	saysAboutLog(t, bob.tryLogin(), wire.Tampered, "it has gone back: log 1790000000 is shown, and log 1790000005 was seen before")
	fresh := ada.again() // knows it from the vault
	if got := fresh.pins()["two.example"]; got == nil || got.Number != before.log.Number+5 {
		t.Errorf("a new device has %+v", got)
	}
}

// A log that is not what was seen of it, on this device or on another, is refused.
func TestForkedLog(t *testing.T) {
	w := newWorld(t)
	w.newPerson("bob@two.example")
	ada := w.newPerson("ada@one.example")
	w.newPerson("eve@two.example")
	ada.must(ada.adding("bob@two.example"))
	fresh := ada.again()
	fork := newFakeLog("two.example", w.logs["two.example"].log.Number)
	w.logs["two.example"] = fork // it has the leaves of whoever is asked for
	for _, s := range []*someone{ada, fresh} {
		saysAboutLog(t, s.adding("eve@two.example"), wire.Tampered, "the log of keys of two.example: it shows something else than before")
	}
	saysAboutLog(t, w.device("bob@two.example").tryLogin(), wire.Tampered, "it shows something else than before") // his vault was written when he was registered
	for i := range 5 {
		fork.adds(t, address("x@two.example"), fmt.Sprint(i))
	}
	for _, s := range []*someone{ada, fresh} {
		saysAboutLog(t, s.adding("eve@two.example"), wire.Tampered, "the log of keys of two.example: it shows something else than before")
	}
}

// At a first contact the node of the other is asked, and no other: its document and the
// log that it names. Keys that are pinned already need neither.
func TestLogOfSilentNode(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	w.newPerson("eve@two.example")
	bob.writes("hello")
	silent := func(s *someone) {
		s.line.before = func(_ int, r *Request) error {
			if r.Node == "two.example" {
				return wire.Errorf(wire.Unavailable, "node", "two.example does not answer")
			}
			return nil
		}
	}
	silent(ada)
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Unavailable, "two.example does not answer")
	ada.line.before = nil
	ada.must(ada.adding("bob@two.example"))
	bob.accepts(ada)
	ada.reads("hello")
	silent(ada)
	ada.must(ada.adding("eve@two.example")) // the log is known, and has not grown
	for range 300 {
		w.logs["two.example"].adds(t, address("x@two.example"), fmt.Sprint(len(w.logs["two.example"].leaves)))
	}
	fresh := ada.again()
	silent(fresh)
	fresh.reads("hello")
}

// Copies of a proof are older than what was seen: they have to be of the same log all the
// same.
func TestOlderProof(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	var old wire.KeysReply
	lie(bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { old = *r })
	bob.must(bob.tryLogin())
	bob.line.after = nil
	eve := w.newPerson("eve@two.example")
	ada.must(ada.adding("eve@two.example")) // has seen two leaves
	stale := func(s *someone) {
		lie(s, "POST", wire.PathKeys, func(r *Request, reply *wire.KeysReply) {
			if strings.Contains(string(r.Body), "bob@") {
				*reply = old
			}
		})
	}
	stale(ada)
	ada.must(ada.adding("bob@two.example"))
	stale(eve) // whose own node shows it
	saysAboutLog(t, eve.adding("bob@two.example"), wire.Tampered, "it has gone back: it had 2 statements when it was last seen, and shows 1")
	for range 3 {
		w.logs["two.example"].adds(t, address("x@two.example"), fmt.Sprint(len(w.logs["two.example"].leaves)))
	}
	bob.must(bob.tryLogin())
	stale(bob)
	saysAboutLog(t, bob.tryLogin(), wire.Tampered, "it has gone back: it had 5 statements when it was last seen, and shows 1")
}

// What a vault says of logs is never led back, whichever device writes it.
func TestPinsAreMerged(t *testing.T) {
	at := func(number, size uint64) logPin { return logPin{Node: "two.example", Number: number, Size: size} }
	for _, c := range []struct{ vault, device, want logPin }{
		{at(1, 5), at(1, 7), at(1, 7)}, {at(1, 7), at(1, 5), at(1, 7)}, {at(2, 1), at(1, 9), at(2, 1)}, {at(1, 9), at(2, 1), at(2, 1)},
	} {
		w := newWorld(t)
		p := w.newPerson("ada@one.example")
		p.logs = map[wire.NodeName]*logPin{"two.example": &c.device}
		p.vault.Logs = []logPin{c.vault}
		if got := *p.pins()["two.example"]; got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
		v := p.vault.clone()
		if p.pinLogs(v); v.Logs != nil { // nobody of the vault is there
			t.Errorf("%+v", v.Logs)
		}
		v.Friends = []friend{{Node: "two.example"}}
		if p.pinLogs(v); !slices.Equal(v.Logs, []logPin{c.want}) {
			t.Errorf("%+v, want %+v", v.Logs, c.want)
		}
	}
}

// 200 friends whose keys are checked at a log-in: the proof of each, of a node with
// 100,000 people.
func BenchmarkProofs(b *testing.B) {
	l := newFakeLog("two.example", 1)
	leaf := wire.LogLeaf{Version: wire.Version, Suite: wire.Suite, Address: wire.Hash{1}}
	for i := range 100_000 {
		leaf.Account = wire.AccountID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		leaf.Statement = wire.Hash(leaf.Account)
		l.leaves = append(l.leaves, wire.EncodeCBOR(&leaf))
	}
	var proofs [][]byte
	for i := range 200 {
		one, err := wire.DecodeLogLeaf(l.leaves[i*499])
		if err == nil {
			var p []byte
			p, err = l.Prove(context.Background(), one)
			proofs = append(proofs, p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			one, _ := wire.DecodeLogLeaf(l.leaves[77_777])
			if _, err := l.Prove(context.Background(), one); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify 200", func(b *testing.B) {
		for b.Loop() {
			for i, proof := range proofs {
				p, err := keyservice.OpenProof(proof, l.log.Origin("two.example"), l.secret.Public())
				if err == nil {
					err = p.Verify(l.leaves[i*499])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("verify 200 cosigned", func(b *testing.B) { // by two witnesses each
		by := []*fakeLog{newFakeLog("three.example", 1), newFakeLog("four.example", 1)}
		cosigned := make([][]byte, len(proofs))
		for i, proof := range proofs {
			cosigned[i] = bytes.Replace(proof, l.top(), l.top(by...), 1)
		}
		for b.Loop() {
			for i, proof := range cosigned {
				p, err := keyservice.OpenProof(proof, l.log.Origin("two.example"), l.secret.Public())
				if err == nil {
					err = p.Verify(l.leaves[i*499])
				}
				if err != nil {
					b.Fatal(err)
				}
				for _, node := range keyservice.WitnessNodes(p.Signed) {
					w := by[0]
					if node != w.node {
						w = by[1]
					}
					if _, ok := keyservice.NodeWitness(node, w.word.Public()).Cosigned(p.Signed); !ok {
						b.Fatal(node)
					}
				}
			}
		}
	})
	b.Run("verify 200 signatures", func(b *testing.B) { // for comparison
		key := wire.NewIdentitySecret([32]byte{1})
		q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: wire.AccountID{1}, Node: "two.example"}
		s, err := q.Sign(key)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			for range 200 {
				if _, err := wire.OpenHeadQuery(s, key.Public()); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// What is no proof of the keys that are shown pins nothing, and opens no session.
func TestWrongProofs(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	w.newPerson("eve@two.example")
	for name, c := range map[string]struct {
		change func(proof string) string
		says   string
	}{
		"none":             {func(string) string { return "" }, "what is shown as proof is not of it: there is none"},
		"too long":         {func(p string) string { return p + strings.Repeat("\n", wire.MaxLogProof) }, "what is shown as proof is not of it: at most"},
		"malformed":        {func(p string) string { return p[1:] }, "what is shown as proof is not of it: it is not one of"},
		"of another size":  {func(p string) string { return strings.Replace(p, "\n2\n", "\n3\n", 1) }, "what is shown as proof is not of it: it does not verify"},
		"of another place": {func(p string) string { return strings.Replace(p, "index 0", "index 1", 1) }, "are not in it"},
	} {
		lie(ada, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Proof = wire.Bytes(c.change(string(r.Proof))) })
		if err := ada.adding("bob@two.example"); wire.KindOf(err) != wire.Tampered || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "the log of keys of two.example") {
			t.Errorf("%s: %v", name, err)
		}
		ada.line.after = nil
		if c.says == "are not in it" {
			continue
		}
		lie(bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Proof = wire.Bytes(c.change(string(r.Proof))) })
		saysAboutLog(t, bob.tryLogin(), wire.Tampered, c.says)
		bob.line.after = nil
		bob.must(bob.tryLogin())
	}
	lie(ada, "GET", wire.PathDocument, func(_ *Request, r *wire.NodeDocumentReply) { r.Document[3] ^= 1 })
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "the document that two.example shows is not right")
	ada.line.after = nil
	w.logs["two.example"].root = wire.NewNodeRootSecret([32]byte{9})
	ada.must(ada.adding("bob@two.example")) // first contact
	lie(bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Proof = nil })
	saysAboutLog(t, bob.tryLogin(), wire.Tampered, "it is signed under another root key than was seen before")
}
