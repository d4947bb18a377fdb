package keyservice

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// An AddCheckpoint is what a log sends to a witness: a checkpoint, and the proof that it
// has grown out of the one that the witness saw last (add-checkpoint of
// c2sp.org/tlog-witness):
//
//	old 1
//	M2lRZkbqMgRY7pwQ8FEt5z5nStjOdXflRws911XP6x4=
//
//	node.example/v1/log/1790000000
//	2
//	zhy39Mpri3DbYDAR2l9Lmk2mn4FNrF/01WkwHSP/ZhU=
//
//	— node.example/v1/log/1790000000 ...
type AddCheckpoint struct {
	Old    uint64
	Origin string // of New
	New    Checkpoint
	Signed []byte // the note of New

	proof tlog.TreeProof
}

const (
	maxGrowth = 63 // hashes of a proof
	maxOrigin = 512
)

// ParseAddCheckpoint reads what a log sends. Nothing is verified.
func ParseAddCheckpoint(b []byte) (*AddCheckpoint, error) {
	head, signed, ok := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	text, ok1 := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseUint(text, 10, 64)
	if !ok || !ok1 || err != nil || strconv.FormatUint(old, 10) != text || old > wire.MaxInteger || len(lines) > 1+maxGrowth {
		return nil, wire.Errorf(wire.Invalid, "old", "a line with old and a size, at most %d hashes, an empty line and a checkpoint were expected", maxGrowth)
	}
	a := &AddCheckpoint{Old: old, Signed: signed}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || len(line) != hashText {
			return nil, wire.Errorf(wire.Invalid, "proof", "hashes of 32 bytes in base64 were expected")
		}
		a.proof = append(a.proof, h)
	}
	return a, a.read()
}

// read reads the text of the checkpoint, which may have lines after its three.
func (a *AddCheckpoint) read() error {
	text, _, ok := cutNote(a.Signed)
	lines := strings.SplitN(string(text), "\n", 4)
	malformed := wire.Errorf(wire.Invalid, "checkpoint", "a signed note with origin, size and hash was expected")
	if !ok || len(lines) < 4 || lines[0] == "" || len(lines[0]) > maxOrigin || len(lines[2]) != hashText {
		return malformed
	}
	c, err := parseCheckpoint(strings.Join(lines[:3], "\n") + "\n")
	if err != nil || strconv.FormatUint(c.Size, 10) != lines[1] {
		return malformed
	}
	a.Origin, a.New = lines[0], c
	return nil
}

// Format is the inverse of ParseAddCheckpoint.
func (a *AddCheckpoint) Format() []byte {
	b := fmt.Appendf(nil, "old %d\n", a.Old)
	for _, h := range a.proof {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	return append(append(b, '\n'), a.Signed...)
}

// SignedBy reports whether the log with these keys has signed the checkpoint: one of them
// has, and a line of none of them is wrong.
func (a *AddCheckpoint) SignedBy(keys ...note.Verifier) error {
	_, err := note.Open(a.Signed, note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified) || errors.As(err, &wrong):
		return wire.Errorf(wire.Forbidden, "checkpoint", "it is not signed with a key of %s that is known here", a.Origin)
	case err != nil:
		return wire.Errorf(wire.Invalid, "checkpoint", "it is no signed note")
	}
	return nil
}

// Signature returns the checkpoint with one line below it: that of the first of these keys
// which has signed it. nil where none has.
func (a *AddCheckpoint) Signature(keys ...note.Verifier) []byte {
	n, err := note.Open(a.Signed, note.VerifierList(keys...))
	if err != nil {
		return nil
	}
	return fmt.Appendf(nil, "%s\n%s%s %s\n", n.Text, signatureDash, n.Sigs[0].Name, n.Sigs[0].Base64)
}

// NodeVerifier returns the key of the log of a node, for SignedBy.
func NodeVerifier(origin string, key wire.NodeLogKey) (note.Verifier, error) {
	return logVerifier(origin, key)
}

// Follows reports, as a Tampered error, that the checkpoint does not follow from an older
// one of the size Old.
func (a *AddCheckpoint) Follows(root wire.Hash) error {
	wrong := wire.Errorf(wire.Tampered, "proof", "it does not show that the log of %d leaves has grown out of that of %d", a.New.Size, a.Old)
	empty, _ := tlog.TreeHash(0, nil) // reads nothing
	switch {
	case a.New.Size == 0 && a.New.Root != wire.Hash(empty), a.Old == 0 && len(a.proof) > 0:
		return wrong
	case a.Old == 0:
		return nil
	}
	if tlog.CheckTree(a.proof, int64(a.New.Size), tlog.Hash(a.New.Root), int64(a.Old), tlog.Hash(root)) != nil {
		return wrong
	}
	return nil
}

// Growth returns what a witness is to be sent, which saw the log at the size old last: the
// newest checkpoint. Invalid where the log was never that large.
func (l *Log) Growth(ctx context.Context, old uint64) (*AddCheckpoint, error) {
	t, err := l.current(ctx)
	if err != nil {
		return nil, err
	}
	if old > t.size {
		return nil, wire.Errorf(wire.Invalid, "old", "the log has %d leaves, not %d", t.size, old)
	}
	a := &AddCheckpoint{Old: old, Origin: l.origin, New: Checkpoint{t.size, t.root()}, Signed: t.checkpoint}
	if old > 0 {
		a.proof, err = tlog.ProveTree(int64(t.size), int64(old), l.reader(ctx, t))
	}
	return a, err
}
