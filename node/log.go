package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// The transparency log of the key statements of people here (keyservice.Log). A
// statement is in it before it is shown to anybody: a registration is answered when its
// leaf is in a checkpoint, and what an interruption has left out is added when the keys
// are next asked for. So is what an earlier release has registered. Nothing is added
// before the handle is settled: whoever loses a race for it leaves no leaf.

// logIdentity: node/log. What the log of this node is called, and its key. A restore
// gives it another number, and notes what it knows of the log before.
type logIdentity struct {
	Version uint64                `cbor:"1,keyasint"`
	Seed    wire.Hidden[[32]byte] `cbor:"2,keyasint"`
	Log     wire.NodeLog          `cbor:"3,keyasint"`
	Seen    wire.Bytes            `cbor:"4,keyasint,omitempty"` // a checkpoint of it that it does not hold (closedlog.go)
}

// leafRecord: log/<n16>. Commits the leaf; never changed.
type leafRecord struct {
	Version uint64     `cbor:"1,keyasint"`
	Leaf    wire.Bytes `cbor:"2,keyasint"`
}

// placeRecord: leaf/<statement>. Where the leaf of a key statement is, derived from it.
type placeRecord struct {
	Version uint64         `cbor:"1,keyasint"`
	Number  uint64         `cbor:"2,keyasint"`
	Account wire.AccountID `cbor:"3,keyasint"`
	Seq     uint64         `cbor:"4,keyasint"`
}

func leafPlace(number uint64, l *wire.LogLeaf) *placeRecord {
	return &placeRecord{recordVersion, number, l.Account, l.Seq}
}

// tileRecord: logtile/<level16>/<n16>. A whole tile, derived from the leaves.
type tileRecord struct {
	Version uint64     `cbor:"1,keyasint"`
	Hashes  wire.Bytes `cbor:"2,keyasint"`
}

// checkpointRecord: logtop/<size16>. What was signed last; of several, that of the
// largest size counts.
type checkpointRecord struct {
	Version    uint64     `cbor:"1,keyasint"`
	Checkpoint wire.Bytes `cbor:"2,keyasint"`
}

const (
	logKey     = "node/log"
	leafPrefix = "log/"
	findPrefix = "leaf/"
	tilePrefix = "logtile/"
	topPrefix  = "logtop/"
)

func leafKey(n uint64) string            { return leafPrefix + hex16(n) }
func findKey(statement wire.Hash) string { return findPrefix + statement.String() }
func tileKey(level int, n uint64) string { return tilePrefix + hex16(uint64(level)) + "/" + hex16(n) }
func topKey(size uint64) string          { return topPrefix + hex16(size) }

// logLedger keeps the log in the own store. It implements keyservice.LogLedger.
type logLedger struct{ s store.Store }

// Checkpoint implements keyservice.LogLedger.
func (l logLedger) Checkpoint(ctx context.Context) ([]byte, error) {
	q := store.Prefix(topPrefix)
	q.Reverse, q.Limit = true, 1
	for rec, err := range l.s.Scan(ctx, q) {
		var r checkpointRecord
		if err == nil {
			err = decodeRecord(rec, &r)
		}
		return r.Checkpoint, err
	}
	return nil, wire.NotExist
}

// Leaves implements keyservice.LogLedger.
func (l logLedger) Leaves(ctx context.Context, from uint64, most int) (list [][]byte, err error) {
	q := store.Prefix(leafPrefix)
	q.From, q.Limit = leafKey(from), most
	for rec, err := range l.s.Scan(ctx, q) {
		if err != nil {
			return nil, err
		}
		if rec.Key != leafKey(from+uint64(len(list))) {
			break
		}
		var r leafRecord
		if err := decodeRecord(rec, &r); err != nil {
			return nil, err
		}
		list = append(list, r.Leaf)
	}
	return list, nil
}

// Tile implements keyservice.LogLedger.
func (l logLedger) Tile(ctx context.Context, level int, n uint64) ([]byte, error) {
	var r tileRecord
	_, err := read(ctx, l.s, tileKey(level, n), &r)
	return r.Hashes, err
}

// Find implements keyservice.LogLedger.
func (l logLedger) Find(ctx context.Context, statement wire.Hash) (uint64, error) {
	var r placeRecord
	_, err := read(ctx, l.s, findKey(statement), &r)
	return r.Number, err
}

// Append implements keyservice.LogLedger. The checkpoint before it is of no use any more.
func (l logLedger) Append(ctx context.Context, a keyservice.Appending) error {
	var changes []store.Change
	for i, leaf := range a.Leaves {
		changes = append(changes, putIf(leafKey(a.From+uint64(i)), &leafRecord{recordVersion, leaf}, store.IfAbsent()))
	}
	for _, p := range a.Places {
		changes = append(changes, put(findKey(p.Leaf.Statement), leafPlace(p.Number, p.Leaf)))
	}
	for _, t := range a.Tiles {
		changes = append(changes, put(tileKey(t.Level, t.N), &tileRecord{recordVersion, t.Data}))
	}
	changes = append(changes, put(topKey(a.Size), &checkpointRecord{recordVersion, a.Checkpoint}))
	if before := a.Size - uint64(len(a.Places)); before < a.Size {
		changes = append(changes, store.Change{Key: topKey(before)})
	}
	err := l.s.Apply(ctx, changes...)
	if errors.Is(err, store.ErrConflict) {
		return wire.Errorf(wire.Conflict, "leaf", "another was first")
	}
	return err
}

// openLog opens the log, or begins one.
func (n *Node) openLog(ctx context.Context) error {
	made := logIdentity{recordVersion, wire.Hide(random32()), wire.NodeLog{Number: uint64(max(n.now().Unix(), 1))}, nil}
	err := n.own.Apply(ctx, putIf(logKey, &made, store.IfAbsent()))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	id, err := storedLog(ctx, n.own)
	if err != nil {
		return err
	}
	n.logID = id.Log
	n.keyLog = keyservice.NewLog(id.Log.Origin(n.name), id.secret(), logLedger{n.own})
	if err = n.heardOfLog(ctx); err == nil {
		err = n.keyLog.Ready(ctx)
	}
	if err == nil {
		err = dropTops(ctx, n.own)
	}
	if err == nil {
		err = n.readCosigned(ctx, false)
	}
	if err != nil && ctx.Err() == nil {
		n.log.Error("the log of key statements cannot be read: nobody registers, and no keys are shown, until it can", "error", err)
		return nil
	}
	return err
}

// dropTops deletes the checkpoints before the newest: an interruption leaves them behind.
func dropTops(ctx context.Context, own store.Store) error {
	var old []store.Change
	for rec, err := range own.Scan(ctx, store.Prefix(topPrefix)) {
		if err != nil {
			return err
		}
		old = append(old, store.Change{Key: strings.Clone(rec.Key)})
	}
	if len(old) < 2 {
		return nil
	}
	return own.Apply(ctx, old[:len(old)-1]...)
}

// storedLog returns the name and the key of the node's log.
func storedLog(ctx context.Context, own store.Store) (*logIdentity, error) {
	var id logIdentity
	_, err := read(ctx, own, logKey, &id)
	return &id, err
}

func (id *logIdentity) secret() wire.NodeLogSecret { return wire.NewNodeLogSecret(id.Seed.Reveal()) }

// renumbered is what a restore makes of the name of a log: another log begins, with the
// leaves that are in the backup. What was signed last before the backup is of that size;
// what was signed after it, nobody here knows.
func (id logIdentity) renumbered(signed keyservice.Checkpoint, now time.Time) *logIdentity {
	id.Log = wire.NodeLog{
		Number: max(id.Log.Number+1, uint64(max(now.Unix(), 0))), Before: id.Log.Number, Size: signed.Size, Root: signed.Root,
	}
	id.Seen = nil
	return &id
}

// prove returns the proof that the newest key statement of somebody here is in the log,
// and adds it where it is not.
func (n *Node) prove(ctx context.Context, c *keyservice.Chain) (wire.Bytes, error) {
	proof, err := n.keyLog.ProveChain(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.Address(), err)
	}
	return proof, nil
}

// forever is the caching of files that never change.
const forever = "public, max-age=31536000, immutable"

// serveLogFile serves a file of the log (c2sp.org/tlog-tiles). Its name is the end of the
// path.
func serveLogFile(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askLog, network(r.from)); err != nil {
		return nil, err
	}
	file, ok := strings.CutPrefix(r.target, a.node.logID.File(""))
	if !ok {
		return nil, wire.Errorf(wire.NotExist, "number", "there is no such log here")
	}
	var b []byte
	var err error
	if file == cosignedFile {
		b, err = a.node.cosignedCheckpoint()
	} else {
		b, err = a.node.keyLog.File(ctx, file)
	}
	if err != nil {
		return nil, err
	}
	if file == keyservice.CheckpointFile || file == cosignedFile {
		return reply{status: 200, contentType: wire.MediaText, body: b}, nil
	}
	return reply{status: 200, contentType: wire.MediaOctets, body: b, cache: forever}, nil
}
