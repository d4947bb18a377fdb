package keyservice

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Witness says of the checkpoints of a log that none of them contradicts those which it
// saw before. Its word is another signature on the checkpoint, with the time of it
// (c2sp.org/tlog-cosignature, for Ed25519):
//
//	node.example/v1/log/1790000000
//	2
//	zhy39Mpri3DbYDAR2l9Lmk2mn4FNrF/01WkwHSP/ZhU=
//
//	— node.example/v1/log/1790000000 ...
//	— other.example/v1/witness ...
//
// where the last is 4 bytes of SHA-256(name || 0x0a || 0x04 || key), 8 of the time in
// seconds since 1970, big-endian, and the signature over
//
//	cosignature/v1
//	time 1790000001
//	node.example/v1/log/1790000000
//	2
//	zhy39Mpri3DbYDAR2l9Lmk2mn4FNrF/01WkwHSP/ZhU=
type Witness struct {
	Name string
	Key  wire.NodeWitnessKey
}

const (
	// MaxWitnesses is how many are counted on one checkpoint.
	MaxWitnesses = 16
	// maxWitnessName leaves room for all of them in a proof.
	maxWitnessName = 280

	witnessSuffix  = "/v1/witness"
	witnessKeyKind = 4 // cosignature/v1, of those that c2sp.org/signed-note lists
	signatureDash  = "— "
)

// NodeWitness is the witness that a node is: its name is where the node is asked.
func NodeWitness(node wire.NodeName, key wire.NodeWitnessKey) Witness {
	return Witness{string(node) + witnessSuffix, key}
}

// ParseWitness accepts what String returns (a verifier key of c2sp.org/signed-note), such
// as
//
//	other.example/v1/witness+7e1a6b2c+BGqm...
func ParseWitness(s string) (Witness, error) {
	malformed := wire.Errorf(wire.Invalid, "witness", "%q is no verifier key of a witness: name+hash+key was expected, for Ed25519 cosignatures", s)
	parts := strings.SplitN(s, "+", 3)
	if len(parts) != 3 {
		return Witness{}, malformed
	}
	b, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != witnessKeyKind {
		return Witness{}, malformed
	}
	w := Witness{parts[0], wire.NodeWitnessKey(b[1:])}
	if w.String() != s || !w.named() {
		return Witness{}, malformed
	}
	return w, wire.CheckEd25519("witness", w.Key)
}

// String returns the witness as others are told to know it by.
func (w Witness) String() string {
	key := append([]byte{witnessKeyKind}, w.Key[:]...)
	return fmt.Sprintf("%s+%08x+%s", w.Name, w.hash(), base64.StdEncoding.EncodeToString(key))
}

// named reports whether the name may stand on a note, and leaves room there.
func (w Witness) named() bool {
	printable := func(r rune) bool { return r > ' ' && r <= '~' && r != '+' }
	return w.Name != "" && len(w.Name) <= maxWitnessName && strings.IndexFunc(w.Name, func(r rune) bool { return !printable(r) }) < 0
}

func (w Witness) hash() uint32 {
	h := sha256.Sum256(slices.Concat([]byte(w.Name), []byte{'\n', witnessKeyKind}, w.Key[:]))
	return binary.BigEndian.Uint32(h[:])
}

// Cosign returns the line that a node, as a witness, puts below a checkpoint. Whether it
// may is for the caller to know.
func Cosign(checkpoint []byte, node wire.NodeName, secret wire.NodeWitnessSecret, at time.Time) (line []byte, err error) {
	text, _, ok := cutNote(checkpoint)
	if !ok || at.Unix() <= 0 {
		return nil, wire.Errorf(wire.Invalid, "checkpoint", "a signed note, and a time after 1970, were expected")
	}
	w := NodeWitness(node, secret.Public())
	b := binary.BigEndian.AppendUint32(nil, w.hash())
	b = binary.BigEndian.AppendUint64(b, uint64(at.Unix()))
	b = append(b, secret.Sign(cosigned(text, uint64(at.Unix())))...)
	return fmt.Appendf(nil, "%s%s %s\n", signatureDash, w.Name, base64.StdEncoding.EncodeToString(b)), nil
}

// cosigned is what a witness signs.
func cosigned(text []byte, at uint64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}

// Cosigned reports whether the witness has cosigned a checkpoint, and when as it says. A
// signature of it that does not verify is none.
func (w Witness) Cosigned(checkpoint []byte) (at time.Time, ok bool) {
	if !w.named() {
		return at, false
	}
	n, err := note.Open(checkpoint, note.VerifierList(witnessVerifier{w}))
	if err != nil {
		return at, false
	}
	b, _ := base64.StdEncoding.DecodeString(n.Sigs[0].Base64) // Open has read it
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0), true
}

// witnessVerifier implements note.Verifier.
type witnessVerifier struct{ w Witness }

// Name implements note.Verifier.
func (v witnessVerifier) Name() string { return v.w.Name }

// KeyHash implements note.Verifier.
func (v witnessVerifier) KeyHash() uint32 { return v.w.hash() }

// Verify implements note.Verifier.
func (v witnessVerifier) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at > 0 && at <= math.MaxInt64 && ed25519.Verify(v.w.Key[:], cosigned(text, at), sig[8:])
}

// cutNote returns the text of a signed note, its last newline included, and the lines of
// the signatures.
func cutNote(b []byte) (text, lines []byte, ok bool) {
	i := bytes.LastIndex(b, []byte("\n\n"))
	if i < 0 || b[len(b)-1] != '\n' {
		return nil, nil, false
	}
	return b[:i+1], b[i+2:], true
}

// AddCosignature puts the line of a witness below a checkpoint, in place of one under the
// same name. It was verified: it is one that Cosign has returned, or Line.
func AddCosignature(checkpoint, line []byte) []byte {
	text, lines, _ := cutNote(checkpoint)
	name, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(signatureDash)), []byte(" "))
	note := slices.Concat(text, []byte{'\n'})
	for one := range bytes.Lines(lines) {
		if !bytes.HasPrefix(one, slices.Concat([]byte(signatureDash), name, []byte(" "))) {
			note = append(note, one...)
		}
	}
	return append(note, line...)
}

// Line returns the line with which the witness has cosigned a checkpoint; of others' lines
// in the answer of a witness nothing is kept.
func (w Witness) Line(checkpoint, answer []byte) (line []byte, ok bool) {
	text, _, _ := cutNote(checkpoint)
	for one := range bytes.Lines(answer) {
		if _, ok := w.Cosigned(slices.Concat(text, []byte{'\n'}, one)); ok {
			return one, true
		}
	}
	return nil, false
}

// WitnessNodes returns the nodes whose names are below a checkpoint as those of
// witnesses, at most MaxWitnesses. Whether they have signed is for Cosigned to tell.
func WitnessNodes(checkpoint []byte) (nodes []wire.NodeName) {
	_, lines, _ := cutNote(checkpoint)
	for line := range bytes.Lines(lines) {
		name, _, _ := strings.Cut(strings.TrimPrefix(string(line), signatureDash), " ")
		text, ok := strings.CutSuffix(name, witnessSuffix)
		node, err := wire.ParseNodeName(text)
		if !ok || err != nil || slices.Contains(nodes, node) {
			continue
		}
		if nodes = append(nodes, node); len(nodes) == MaxWitnesses {
			break
		}
	}
	return nodes
}
