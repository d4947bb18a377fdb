package keyservice

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzParseChain cuts bytes into a chain of three. What is accepted gives the
// same statements back, belongs to the first of them, and grows by the last.
func FuzzParseChain(f *testing.F) {
	o := newOwner(f)
	o.rotate()
	o.rotate()
	f.Add([]byte(o.chain[0]), []byte(o.chain[1]), []byte(o.chain[2]))
	f.Add([]byte(o.chain[0]), []byte(o.chain[2]), []byte(o.chain[1]))
	f.Add([]byte(o.chain[0]), []byte{}, []byte{})
	f.Add([]byte(o.chain[1]), []byte(o.chain[0][:64]), []byte{})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var statements []wire.Signed
		for _, s := range [][]byte{a, b, c} {
			if len(s) > 0 {
				statements = append(statements, s)
			}
		}
		chain, err := ParseChain(statements)
		if err != nil {
			return
		}
		same := func(a, b wire.Signed) bool { return slices.Equal(a, b) }
		if !slices.EqualFunc(chain.Statements(), statements, same) || chain.Account() != wire.AccountID(statements[0].Hash(wire.LabelKeyStatement)) {
			t.Errorf("%x became %x of %s", statements, chain.Statements(), chain.Account())
		}
		if n := len(statements) - 1; n > 0 {
			longer, err := must(ParseChain(statements[:n])).Append(statements[n])
			if err != nil || longer.NewestHash() != chain.NewestHash() || chain.Extends(longer) != nil {
				t.Errorf("%x does not grow: %v", statements, err)
			}
		}
	})
}

// FuzzOpenProof opens bytes as a proof: what is accepted is written as it was read, and
// its checkpoint is one that was signed.
func FuzzOpenProof(f *testing.F) {
	_, leaves, l, m := vectorLog(f)
	key := wire.NewNodeLogSecret(vectorSeed("log")).Public()
	for _, leaf := range leaves[:2] {
		f.Add(must(l.Prove(f.Context(), leaf)))
	}
	f.Add(m.checkpoints[5])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := OpenProof(b, testOrigin, key)
		if err != nil {
			return
		}
		_, checkpoint, _ := strings.Cut(string(b), "\n\n")
		if again := formatProof(p.Number, p.hashes, []byte(checkpoint)); string(again) != string(b) {
			t.Errorf("%q is written again as %q", b, again)
		}
		if c := must(ReadCheckpoint([]byte(checkpoint))); c != p.Checkpoint || m.checkpoints[c.Size] == nil {
			t.Errorf("%q has a checkpoint of %d", b, p.Checkpoint.Size)
		}
	})
}

// FuzzLogFiles reads a name of a file, and bytes as a bundle of its leaves, and as one
// leaf: each has one spelling.
func FuzzLogFiles(f *testing.F) {
	_, leaves, l, _ := vectorLog(f)
	f.Add("tile/entries/000.p/5", must(l.File(f.Context(), "tile/entries/000.p/5")))
	f.Add("tile/0/x001/234", []byte{})
	f.Add("checkpoint", must(leaves[0].Encode()))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if file, ok := parseFileName(name); ok {
			if file.name() != name || file.width < 1 || file.width > wire.LogBundle {
				t.Errorf("%q is %+v", name, file)
			}
			if list, ok := parseBundle(b, file.width); ok && (len(list) != file.width || string(formatBundle(list)) != string(b)) {
				t.Errorf("%x is %x", b, list)
			}
		}
		if leaf, err := wire.DecodeLogLeaf(b); err == nil && string(must(leaf.Encode())) != string(b) {
			t.Errorf("%x is %+v", b, leaf)
		}
	})
}

// FuzzCosigned opens bytes as a cosigned checkpoint, with and without them as the answer
// of a witness, and as a witness: what is accepted is what was signed, and has one
// spelling.
func FuzzCosigned(f *testing.F) {
	_, _, _, m := vectorLog(f)
	secret := wire.NewNodeWitnessSecret(vectorSeed("witness"))
	w := NodeWitness("other.example", secret.Public())
	line := must(Cosign(m.checkpoints[5], "other.example", secret, time.Unix(1_790_000_001, 0)))
	f.Add(AddCosignature(m.checkpoints[5], line))
	f.Add(line)
	f.Add([]byte(w.String()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := w.Cosigned(b); ok {
			if !bytes.Equal(textOf(b), textOf(m.checkpoints[5])) {
				t.Errorf("%q is cosigned", b)
			}
		}
		if got, ok := w.Line(m.checkpoints[5], b); ok && !bytes.Equal(got, line) {
			t.Errorf("%q answers %q", b, got)
		}
		if one, err := ParseWitness(string(b)); err == nil && one.String() != string(b) {
			t.Errorf("%q is %q", b, one)
		}
		if nodes := WitnessNodes(b); len(nodes) > MaxWitnesses {
			t.Errorf("%q names %d witnesses", b, len(nodes))
		}
	})
}

func textOf(b []byte) []byte {
	text, _, _ := cutNote(b)
	return text
}

// FuzzAddCheckpoint reads bytes as what a log sends to a witness: they have one spelling,
// and nothing but what the log has signed is taken.
func FuzzAddCheckpoint(f *testing.F) {
	secret, _, l, m := vectorLog(f)
	for _, old := range []uint64{0, 3} {
		f.Add(must(l.Growth(f.Context(), old)).Format())
	}
	f.Add([]byte("old 0\n\n"))
	v := must(NodeVerifier(testOrigin, secret.Public()))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAddCheckpoint(b)
		if err != nil {
			return
		}
		if again := a.Format(); !bytes.Equal(again, b) || a.Old > wire.MaxInteger || a.New.Size > wire.MaxInteger || len(a.proof) > maxGrowth {
			t.Errorf("%q is written again as %q", b, again)
		}
		if a.SignedBy(v) == nil && m.checkpoints[a.New.Size] == nil {
			t.Errorf("%q is signed", b)
		}
		_ = a.Follows(wire.Hash{})
	})
}
