package keyservice

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Checkpoint is how far a log had grown when its node signed it: how many leaves it
// has, and the hash of the tree over them (RFC 6962, section 2.1).
type Checkpoint struct {
	Size uint64
	Root wire.Hash
}

// text is what is signed (c2sp.org/tlog-checkpoint), without extensions:
//
//	node.example/v1/log/1790000000
//	2
//	zhy39Mpri3DbYDAR2l9Lmk2mn4FNrF/01WkwHSP/ZhU=
func (c Checkpoint) text(origin string) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// sign returns the checkpoint as a signed note (c2sp.org/signed-note), whose key has
// the name of the log. The same checkpoint has the same bytes, whoever signs it.
func (c Checkpoint) sign(origin string, secret wire.NodeLogSecret) ([]byte, error) {
	v, err := logVerifier(origin, secret.Public())
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: c.text(origin)}, logSigner{v, secret})
}

// OpenCheckpoint verifies a checkpoint that a log has signed. Other signatures on it are
// those of witnesses, and ignored. Tampered is what this log has not signed.
func OpenCheckpoint(b []byte, origin string, key wire.NodeLogKey) (Checkpoint, error) {
	v, err := logVerifier(origin, key)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(b, note.VerifierList(v))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		return Checkpoint{}, wire.Errorf(wire.Tampered, "checkpoint", "it is not signed with the key of %s", origin)
	case err != nil:
		return Checkpoint{}, wire.Errorf(wire.Tampered, "checkpoint", "it does not verify under the key of %s", origin)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if n.Text != c.text(origin) {
		return Checkpoint{}, wire.Errorf(wire.Tampered, "checkpoint", "it is not one of %s", origin)
	}
	return c, nil
}

// ReadCheckpoint reads a checkpoint without verifying it, as somebody does who has kept
// it.
func ReadCheckpoint(b []byte) (Checkpoint, error) {
	text, _, _ := strings.Cut(string(b), "\n\n")
	return parseCheckpoint(text + "\n")
}

func parseCheckpoint(text string) (c Checkpoint, _ error) {
	malformed := wire.Errorf(wire.Tampered, "checkpoint", "origin, size and hash were expected")
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return c, malformed
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > wire.MaxInteger {
		return c, malformed
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return c, malformed
	}
	return Checkpoint{size, wire.Hash(root)}, nil
}

// logVerifier is a key of a log as package note wants it.
func logVerifier(origin string, key wire.NodeLogKey) (note.Verifier, error) {
	k, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(key[:]))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(k)
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, "log", "%q is no name of a log", origin)
	}
	return v, nil
}

// logSigner implements note.Signer.
type logSigner struct {
	note.Verifier
	secret wire.NodeLogSecret
}

// Sign implements note.Signer.
func (s logSigner) Sign(text []byte) ([]byte, error) { return s.secret.Sign(text), nil }
