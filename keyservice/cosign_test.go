package keyservice

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var testAt = time.Unix(1_790_000_001, 0)

// cosignedBy returns a checkpoint and the line of a witness below it.
func cosignedBy(t *testing.T, node wire.NodeName, seed byte) (checkpoint, line []byte, w Witness) {
	t.Helper()
	secret := wire.NewNodeWitnessSecret([32]byte{seed})
	checkpoint = must(Checkpoint{5, wire.Hash{1}}.sign(testOrigin, testLogSecret))
	return checkpoint, must(Cosign(checkpoint, node, secret, testAt)), NodeWitness(node, secret.Public())
}

func TestCosigned(t *testing.T) {
	checkpoint, line, w := cosignedBy(t, "other.example", 1)
	_, third, other := cosignedBy(t, "third.example", 2)
	both := AddCosignature(AddCosignature(checkpoint, line), third)
	for _, one := range []Witness{w, other} {
		if at, ok := one.Cosigned(both); !ok || !at.Equal(testAt) {
			t.Errorf("%s: %v, %t", one, at, ok)
		}
		if _, ok := one.Cosigned(checkpoint); ok {
			t.Errorf("%s has cosigned nothing", one)
		}
	}
	later := must(Cosign(checkpoint, "other.example", wire.NewNodeWitnessSecret([32]byte{1}), testAt.Add(time.Hour)))
	replaced := AddCosignature(both, later)
	if at, ok := w.Cosigned(replaced); !ok || !at.Equal(testAt.Add(time.Hour)) || len(replaced) != len(both) {
		t.Errorf("a later line is not in place of the one before: %q", replaced)
	}
	if _, ok := other.Cosigned(replaced); !ok {
		t.Error("that of another is gone")
	}
	if c, err := OpenCheckpoint(both, testOrigin, testLogSecret.Public()); err != nil || c.Size != 5 {
		t.Errorf("it is no checkpoint any more: %v", err)
	}
	stranger := Witness{w.Name, other.Key}
	if _, ok := stranger.Cosigned(both); ok {
		t.Error("another key verifies it")
	}
	if _, ok := (Witness{"two words", w.Key}).Cosigned(both); ok {
		t.Error("a name of two words is one")
	}
	again := must(Cosign(checkpoint, "other.example", wire.NewNodeWitnessSecret([32]byte{1}), testAt.Add(time.Hour)))
	if string(again) == string(line) {
		t.Error("the time is not in it")
	}
	for name, at := range map[string]time.Time{string(checkpoint): time.Unix(0, 0), "no note": testAt, "": testAt} {
		if _, err := Cosign([]byte(name), "other.example", wire.NewNodeWitnessSecret([32]byte{1}), at); err == nil {
			t.Errorf("%q at %v is cosigned", name, at)
		}
	}
}

func TestAnswerOfWitness(t *testing.T) {
	checkpoint, line, w := cosignedBy(t, "other.example", 1)
	_, third, _ := cosignedBy(t, "third.example", 2)
	own := must(note.Open(checkpoint, note.VerifierList(must(logVerifier(testOrigin, testLogSecret.Public())))))
	for answer, want := range map[string]bool{
		string(line):                           true,
		string(third) + string(line):           true,
		string(line) + string(line):            true,
		strings.TrimSuffix(string(line), "\n"): false,
		string(third):                          false,
		"":                                     false,
		"\n" + own.Text:                        false,
		strings.Repeat("— a AAAAAAA=\n", 200):  false,
		strings.Replace(string(line), " o", " p", 1): false,
	} {
		if got, ok := w.Line(AddCosignature(checkpoint, third), []byte(answer)); ok != want || ok && string(got) != string(line) {
			t.Errorf("%q: %q, %t", answer, got, ok)
		}
	}
}

func TestParseWitness(t *testing.T) {
	_, _, w := cosignedBy(t, "other.example", 1)
	if got, err := ParseWitness(w.String()); err != nil || got != w {
		t.Errorf("%s is %v, %v", w, got, err)
	}
	log := must(note.NewEd25519VerifierKey(w.Name, w.Key[:]))
	for _, s := range []string{
		"", w.Name, log, w.String() + "=", w.String()[:len(w.String())-4], strings.Replace(w.String(), "+", "+0", 1), strings.Replace(w.String(), "other", "oth er", 1),
		Witness{"", w.Key}.String(), Witness{strings.Repeat("a", 281), w.Key}.String(), Witness{"a\nb", w.Key}.String(), Witness{"other.example", wire.NodeWitnessKey{1}}.String(),
	} {
		_, err := ParseWitness(s)
		kind(t, err, wire.Invalid)
	}
}

func TestWitnessNodes(t *testing.T) {
	checkpoint, line, _ := cosignedBy(t, "other.example", 1)
	all := AddCosignature(AddCosignature(checkpoint, line), []byte("— outside.example AAAAAAAA\n— other.example/v1/witness AAAAAAAA\n— Bad/v1/witness AAAAAAAA\n"))
	if got := fmt.Sprint(WitnessNodes(all)); got != "[other.example]" {
		t.Error(got)
	}
	for n := range 20 {
		all = AddCosignature(all, fmt.Appendf(nil, "— node%d.example/v1/witness AAAAAAAA\n", n))
	}
	if got := WitnessNodes(all); len(got) != MaxWitnesses || got[0] != "other.example" {
		t.Error(got)
	}
	if got := WitnessNodes([]byte("no note")); got != nil {
		t.Error(got)
	}
}
