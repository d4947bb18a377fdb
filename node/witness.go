package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A node is a witness of the logs of others (c2sp.org/tlog-witness): of those of nodes that
// are known here, by the keys in their documents, and of those that its operator names. It
// cosigns a checkpoint when it has noted it, by compare-and-swap, and never one that
// contradicts what it noted before: that is in the store, so it holds for all processes of
// the node, and whatever interrupts them (TestWitnessIsInterrupted). A node that was
// restored from a backup does not know all that it has cosigned. So the key is not in
// backups: whoever restores one gets another, which has said nothing yet
// (TestWitnessOfRestored).

// witnessIdentity: node/witness. The key by which this node cosigns.
type witnessIdentity struct {
	Version uint64                `cbor:"1,keyasint"`
	Seed    wire.Hidden[[32]byte] `cbor:"2,keyasint"`
	Created int64                 `cbor:"3,keyasint"` // ms since 1970
}

func (id *witnessIdentity) secret() wire.NodeWitnessSecret {
	return wire.NewNodeWitnessSecret(id.Seed.Reveal())
}

// seenRecord: witness/<domain>/<node>, witness/-/<origin>. What was cosigned last of a log: of the log of a
// node, by its name, the one with the largest number; of another log, by the hash of its
// origin, with a dash in place of the domain. Never deleted, and of what it says nothing
// is ever taken back.
type seenRecord struct {
	Version uint64    `cbor:"1,keyasint"`
	Number  uint64    `cbor:"2,keyasint,omitempty"` // of the log of a node
	Size    uint64    `cbor:"3,keyasint"`
	Root    wire.Hash `cbor:"4,keyasint"`
	// Signed is the checkpoint as the log of a node has signed it, with that line alone.
	// An earlier release kept none.
	Signed wire.Bytes `cbor:"5,keyasint,omitempty"`
}

const (
	witnessKey = "node/witness"
	seenPrefix = "witness/"
	outside    = "-" // in place of a domain
	// witnessLimit is that of a request: a checkpoint may come with many signatures.
	witnessLimit = 64 << 10
	// Logs of which something is noted, for ever: of the nodes of one domain, and in all.
	maxDomainSeen = maxDomainPeers
	maxSeen       = 10_000
	// seenTries is how often a record is read anew that others change meanwhile.
	seenTries = 16
	// maxSeenSigned is more than the checkpoint of a node has bytes.
	maxSeenSigned = 1 << 10
)

func seenKey(node wire.NodeName) string {
	return seenPrefix + string(federation.DomainOf(node)) + "/" + string(node)
}

// A witnessed is a log that this node may cosign.
type witnessed struct {
	key    string // of its seenRecord
	number uint64
	by     []note.Verifier
}

// openWitness reads the key by which the node cosigns, or makes it.
func (n *Node) openWitness(ctx context.Context) error {
	made := witnessIdentity{recordVersion, wire.Hide(random32()), n.now().Truncate(time.Hour).UnixMilli()}
	err := n.own.Apply(ctx, putIf(witnessKey, &made, store.IfAbsent()))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	_, err = read(ctx, n.own, witnessKey, &n.cosigner)
	return err
}

// ParseWitnessedLogs reads what an operator lists of other logs: their keys as verifier
// keys of c2sp.org/signed-note, with commas. The name of each is the origin of its log.
func ParseWitnessedLogs(s string) (list []note.Verifier, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		v, err := note.NewVerifier(part)
		if err != nil {
			return nil, fmt.Errorf("%q was found, a verifier key of a log, name+hash+key, was expected", part)
		}
		list = append(list, v)
	}
	return list, nil
}

// witnessedLog returns the log that a checkpoint says it is of, with the keys that count,
// or errs with NotExist.
func (n *Node) witnessedLog(ctx context.Context, asked *keyservice.AddCheckpoint) (w witnessed, err error) {
	for _, v := range n.watched {
		if v.Name() == asked.Origin {
			w.by = append(w.by, v)
		}
	}
	if len(w.by) > 0 {
		w.key = fmt.Sprintf("%s%s/%x", seenPrefix, outside, sha256.Sum256([]byte(asked.Origin)))
		return w, nil
	}
	unknown := wire.Errorf(wire.NotExist, "checkpoint", "there is no log of that origin that is known here")
	name, _, _ := strings.Cut(asked.Origin, "/")
	node, err := wire.ParseNodeName(name)
	if err != nil {
		return w, unknown
	}
	document, err := n.client.Known(ctx, node, func(d *wire.NodeDocument) bool {
		if d.Log == nil || d.Log.Origin(node) != asked.Origin {
			return false
		}
		v, err := keyservice.NodeVerifier(asked.Origin, d.LogKey())
		if err != nil {
			return false
		}
		w.by = []note.Verifier{v}
		return asked.SignedBy(v) == nil
	})
	switch {
	case errors.Is(err, wire.NotExist), errors.Is(err, wire.Invalid):
		return w, unknown
	case err != nil:
		return w, err
	case document.Log == nil || document.Log.Origin(node) != asked.Origin:
		return w, unknown
	}
	w.key, w.number = seenKey(node), document.Log.Number
	return w, nil
}

// A staleSize is the size of the checkpoint that a witness saw last, where another one was
// expected.
type staleSize uint64

func (s staleSize) Error() string {
	return fmt.Sprintf("the log had %d leaves when it was seen last", uint64(s))
}

// A notCosigned is a staleSize, or wire.Tampered, with what was cosigned last, as the log
// has signed it.
type notCosigned struct {
	error
	seen wire.Bytes
}

// Unwrap returns the error itself.
func (e *notCosigned) Unwrap() error { return e.error }

// cosign notes a checkpoint as the newest of its log, and returns the line with which this
// node cosigns it. Before that it errs with a staleSize where the log was seen at another
// size than it says, and with wire.Tampered where it does not follow from what was seen.
func (n *Node) cosign(ctx context.Context, asked *keyservice.AddCheckpoint) ([]byte, error) {
	if n.keyLog.Closed() != nil {
		return nil, wire.Errorf(wire.Unavailable, "", "this node goes on from an old copy, and does not know what it has cosigned")
	}
	w, err := n.witnessedLog(ctx, asked)
	if err != nil {
		return nil, err
	}
	if err := asked.SignedBy(w.by...); err != nil {
		return nil, err
	}
	if asked.Old > asked.New.Size {
		return nil, wire.Errorf(wire.Invalid, "old", "the checkpoint is of %d leaves, which is less", asked.New.Size)
	}
	for range seenTries {
		err = n.note(ctx, w, asked)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return keyservice.Cosign(asked.Signed, n.name, n.cosigner.secret(), n.now())
	}
	return nil, wire.Errorf(wire.Unavailable, "", "others ask for the same log; try again")
}

// note writes down that a checkpoint is about to be cosigned.
func (n *Node) note(ctx context.Context, w witnessed, asked *keyservice.AddCheckpoint) error {
	var seen seenRecord
	rev, err := read(ctx, n.own, w.key, &seen)
	if ignoreAbsent(err) != nil {
		return err
	}
	if rev == 0 {
		if err := n.roomForLog(ctx, w); err != nil {
			return err
		}
	}
	switch {
	case seen.Number > w.number:
		return wire.Errorf(wire.Tampered, "checkpoint", "the node had a later log than this before")
	case seen.Number < w.number:
		seen = seenRecord{Number: w.number}
	}
	if asked.Old != seen.Size {
		return &notCosigned{staleSize(seen.Size), seen.Signed}
	}
	if err := asked.Follows(seen.Root); err != nil {
		return &notCosigned{err, seen.Signed}
	}
	if rev != 0 && asked.New.Size == seen.Size && asked.New.Root == seen.Root {
		return nil
	}
	next := seenRecord{Version: recordVersion, Number: w.number, Size: asked.New.Size, Root: asked.New.Root}
	if signed := asked.Signature(w.by...); w.number > 0 && len(signed) <= maxSeenSigned {
		next.Signed = signed
	}
	return n.own.Apply(ctx, putIf(w.key, &next, store.IfRevision(rev)))
}

// roomForLog errs with wire.Limit where no more logs are noted. Those that the operator
// names are.
func (n *Node) roomForLog(ctx context.Context, w witnessed) error {
	if w.number == 0 {
		return nil
	}
	for prefix, most := range map[string]int{w.key[:strings.LastIndex(w.key, "/")+1]: maxDomainSeen, seenPrefix: maxSeen} {
		q := store.Prefix(prefix)
		q.Limit = most
		there := 0
		for _, err := range n.own.Scan(ctx, q) {
			if err != nil && !errors.Is(err, store.ErrDamaged) {
				return err
			}
			there++
		}
		if there >= most {
			return wire.Errorf(wire.Limit, "checkpoint", "so many logs are witnessed here that no more are taken")
		}
	}
	return nil
}

// serveAddCheckpoint serves add-checkpoint of c2sp.org/tlog-witness. What a witness finds
// has the answers that are fixed there.
func serveAddCheckpoint(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askWitness, network(r.from)); err != nil {
		return nil, err
	}
	asked, err := keyservice.ParseAddCheckpoint(r.body)
	if err != nil {
		return nil, err
	}
	line, err := a.node.cosign(ctx, asked)
	var stale staleSize
	var seen wire.Bytes
	if not := (*notCosigned)(nil); errors.As(err, &not) {
		seen = not.seen
	}
	switch {
	case errors.As(err, &stale):
		return reply{status: 409, contentType: wire.MediaLogSize, body: fmt.Appendf(nil, "%d\n", uint64(stale)), checkpoint: seen}, nil
	case errors.Is(err, wire.Tampered):
		a.node.log.Warn("a log is not cosigned: it shows what contradicts what it showed before, or cannot prove that it does not", "log", asked.Origin, "size", asked.New.Size, "old", asked.Old)
		return reply{status: 422, contentType: wire.MediaText, body: []byte(err.Error() + "\n"), checkpoint: seen}, nil
	case err != nil:
		return nil, err
	}
	return reply{status: 200, contentType: wire.MediaText, body: line}, nil
}
