package keyservice

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Proof shows that a leaf is in a log: its number, the hashes that lead from it to the
// root, and a signed checkpoint. As bytes it is a c2sp.org/tlog-proof without extra data,
// which can be kept, and verified by whoever has the log's name and key:
//
//	c2sp.org/tlog-proof@v1
//	index 1
//	hk/cgK4EU+E5vl1Wb2O15nzH6dGhXUg/iVKxP4vEHrY=
//
//	node.example/v1/log/1790000000
//	2
//	zhy39Mpri3DbYDAR2l9Lmk2mn4FNrF/01WkwHSP/ZhU=
//
//	— node.example/v1/log/1790000000 ...
type Proof struct {
	Checkpoint Checkpoint
	Signed     []byte // the checkpoint as it was shown, with the signatures
	Number     uint64 // of the leaf
	hashes     tlog.RecordProof
}

const (
	proofHead   = "c2sp.org/tlog-proof@v1\nindex "
	maxProof    = 64 // hashes that lead to the root of any tree
	hashText    = 44 // base64
	proofHashes = "\n\n"
)

// formatProof is the inverse of OpenProof.
func formatProof(number uint64, hashes tlog.RecordProof, checkpoint []byte) []byte {
	b := fmt.Appendf(nil, "%s%d\n", proofHead, number)
	for _, h := range hashes {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	return append(append(b, '\n'), checkpoint...)
}

// OpenProof verifies the checkpoint of a proof. What it is a proof of is for Verify.
func OpenProof(b []byte, origin string, key wire.NodeLogKey) (*Proof, error) {
	if len(b) == 0 {
		return nil, wire.Errorf(wire.Tampered, "proof", "there is none")
	}
	if len(b) > wire.MaxLogProof {
		return nil, wire.Errorf(wire.TooLarge, "proof", "at most %d bytes", wire.MaxLogProof)
	}
	p := new(Proof)
	head, checkpoint, ok := bytes.Cut(b, []byte(proofHashes))
	if !ok || !p.parse(string(head)) || !bytes.Equal(formatProof(p.Number, p.hashes, checkpoint), b) {
		return nil, wire.Errorf(wire.Tampered, "proof", "it is not one of c2sp.org/tlog-proof@v1")
	}
	p.Signed = checkpoint
	var err error
	if p.Checkpoint, err = OpenCheckpoint(checkpoint, origin, key); err != nil {
		return nil, err
	}
	return p, nil
}

// parse reads what stands before the checkpoint.
func (p *Proof) parse(head string) bool {
	text, ok := strings.CutPrefix(head, proofHead)
	lines := strings.Split(text, "\n")
	if !ok || len(lines) > 1+maxProof {
		return false
	}
	number, err := strconv.ParseUint(lines[0], 10, 64)
	if err != nil || number > wire.MaxInteger {
		return false
	}
	p.Number = number
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || len(line) != hashText {
			return false
		}
		p.hashes = append(p.hashes, h)
	}
	return true
}

// Verify reports, as a Tampered error, that the leaf is not where the proof says.
func (p *Proof) Verify(leaf []byte) error {
	missing := wire.Errorf(wire.Tampered, "proof", "the statement is not in the log")
	if p.Number >= p.Checkpoint.Size {
		return missing
	}
	if tlog.CheckRecord(p.hashes, int64(p.Checkpoint.Size), tlog.Hash(p.Checkpoint.Root), int64(p.Number), tlog.RecordHash(leaf)) != nil {
		return missing
	}
	return nil
}

// Leaf is what stands in the log about statement number seq of the chain. NotExist when
// the chain is not that long.
func (c *Chain) Leaf(seq uint64) (*wire.LogLeaf, error) {
	k, hash, err := c.At(seq)
	if err != nil {
		return nil, err
	}
	return &wire.LogLeaf{
		Version: wire.Version, Suite: wire.Suite, Address: wire.LogAddress(k.Address()), Account: c.account, Seq: seq, Statement: hash,
	}, nil
}

// InLog verifies that the newest statement of the chain is where the proof says. It
// names all before it.
func (p *Proof) InLog(c *Chain) error {
	leaf, err := c.Leaf(c.Newest().Seq)
	if err != nil {
		return err
	}
	b, err := leaf.Encode()
	if err != nil {
		return err
	}
	return p.Verify(b)
}
