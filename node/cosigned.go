package node

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// cosignedRecord: cosigned/<size16>. A checkpoint of the log of this node with what
// witnesses have signed below it. It may be lost: they are asked again.
type cosignedRecord struct {
	Version uint64     `cbor:"1,keyasint"`
	Note    wire.Bytes `cbor:"2,keyasint"`
}

const (
	cosignedPrefix = "cosigned/"
	// cosignedFile is the name, beside that of the checkpoint, of the newest one that
	// enough witnesses have cosigned.
	cosignedFile = "cosigned"
	// enoughWitnesses make a checkpoint one that is shown there, rather than one with more.
	enoughWitnesses = 2
	// maxCosigned are kept: the one that is shown, and the newest.
	maxCosigned = 8
)

func cosignedKey(size uint64) string { return cosignedPrefix + hex16(size) }

// cosigned remembers what is kept.
type cosigned struct {
	mu    sync.Mutex // held to read the store anew
	shown []byte     // by cosignedFile; nil for none
}

// witnesses returns how many lines stand below a checkpoint, but for that of the log. Each
// was verified before it was kept.
func witnesses(note []byte) int {
	_, lines, _ := bytes.Cut(note, []byte("\n\n"))
	return bytes.Count(lines, []byte("\n")) - 1
}

// betterCosigned reports whether a checkpoint is rather to be shown than an older one.
func betterCosigned(newer, older []byte) bool {
	return witnesses(newer) >= min(witnesses(older), enoughWitnesses)
}

// keepCosignature keeps the line of a witness below a checkpoint. It was verified.
func (n *Node) keepCosignature(ctx context.Context, size uint64, checkpoint, line []byte) error {
	for {
		var r cosignedRecord
		rev, err := read(ctx, n.own, cosignedKey(size), &r)
		if ignoreAbsent(err) != nil {
			return err
		}
		if !bytes.HasPrefix(r.Note, checkpoint) { // there is none, or one that is damaged
			r.Note = checkpoint
		}
		r.Version, r.Note = recordVersion, keyservice.AddCosignature(r.Note, line)
		err = n.own.Apply(ctx, putIf(cosignedKey(size), &r, store.IfRevision(rev)))
		if err == nil {
			return n.readCosigned(ctx, true)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// readCosigned reads what is kept, and may delete what is of no use any more.
func (n *Node) readCosigned(ctx context.Context, tidy bool) error {
	n.cosigned.mu.Lock()
	defer n.cosigned.mu.Unlock()
	var shown, newest []byte
	var keys []string
	best := 0 // of keys
	for rec, err := range n.own.Scan(ctx, store.Prefix(cosignedPrefix)) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
		keys = append(keys, strings.Clone(rec.Key))
		var r cosignedRecord
		if err != nil || decodeRecord(rec, &r) != nil || !n.signedHere(r.Note, rec.Key) {
			continue // which is for fsck
		}
		if newest = r.Note; shown == nil || betterCosigned(newest, shown) {
			shown, best = newest, len(keys)-1
		}
	}
	n.keyLog.Cosigned(newest)
	n.cosigned.shown = shown
	var old []store.Change
	for i, key := range keys {
		if tidy && (i < best || i > best && i <= len(keys)-maxCosigned) {
			old = append(old, store.Change{Key: key})
		}
	}
	if old == nil {
		return nil
	}
	return n.own.Apply(ctx, old...)
}

// signedHere reports whether a checkpoint is one of this log, of the size in its key.
func (n *Node) signedHere(note []byte, key string) bool {
	c, err := keyservice.OpenCheckpoint(note, n.logID.Origin(n.name), n.keyLog.Key())
	return err == nil && cosignedKey(c.Size) == key
}

// cosignedCheckpoint returns the newest checkpoint that two witnesses have cosigned, or
// else the one with most, or NotExist.
func (n *Node) cosignedCheckpoint() ([]byte, error) {
	n.cosigned.mu.Lock()
	defer n.cosigned.mu.Unlock()
	if n.cosigned.shown == nil {
		return nil, wire.Errorf(wire.NotExist, "file", "no witness has cosigned a checkpoint of this log yet")
	}
	return n.cosigned.shown, nil
}
