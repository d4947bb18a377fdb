package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// recordVersion stands at the front of each record's CBOR, recordSchema in the
// record "schema" of both stores: a release that changes what others cannot
// read raises it.
const (
	recordVersion uint64 = 1
	recordSchema  uint64 = 2
)

// schemaRecord: schema
type schemaRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	Schema  uint64 `cbor:"2,keyasint"`
}

// nodeKeys: node/keys. The seeds of the node's own keys. Request is the oldest of
// its request keys, Newer the others, oldest first: there are some while it changes
// them. Changes led to Root, oldest first.
type nodeKeys struct {
	Version uint64                  `cbor:"1,keyasint"`
	Root    wire.Hidden[[32]byte]   `cbor:"2,keyasint"`
	Request wire.Hidden[[32]byte]   `cbor:"3,keyasint"`
	Secret  wire.Hidden[[32]byte]   `cbor:"4,keyasint"`
	Newer   []wire.Hidden[[32]byte] `cbor:"5,keyasint,omitempty"`
	Changes []wire.Signed           `cbor:"6,keyasint,omitempty"`
}

// documentRecord: node/document. The last document, which the first release did
// not keep, and its number.
type documentRecord struct {
	Version  uint64      `cbor:"1,keyasint"`
	Number   uint64      `cbor:"2,keyasint"`
	Document wire.Signed `cbor:"3,keyasint,omitempty"`
}

// handleRecord: handle/<handle>. Commits a registration and, with a tombstone, that
// the account is deleted; never deleted itself.
type handleRecord struct {
	Version   uint64         `cbor:"1,keyasint"`
	Account   wire.AccountID `cbor:"2,keyasint"`
	Tombstone wire.Signed    `cbor:"3,keyasint,omitempty"`
}

// accountRecord: account/<account>. Counts only if the handle names the account.
type accountRecord struct {
	Version uint64      `cbor:"1,keyasint"`
	Handle  wire.Handle `cbor:"2,keyasint"`
}

// statementRecord: key/<account>/<seq16>, and vhead/<account>/<counter16>/<hash>.
type statementRecord struct {
	Version   uint64      `cbor:"1,keyasint"`
	Statement wire.Signed `cbor:"2,keyasint"`
}

// vaultRecord: vault/<account>. Commits each new version of a vault, and the key
// statement that came with it, if one did (keys.go). The sealed
// bytes lie apart, so that a log-in costs the same whatever they have grown to. It
// also says which sessions of the account are open: those of its era, and Keeper, which
// is zero in era 0 (sessions.go).
type vaultRecord struct {
	Version uint64      `cbor:"1,keyasint"`
	Head    wire.Signed `cbor:"2,keyasint"`
	Slots   wire.Bytes  `cbor:"3,keyasint"`
	Era     uint64      `cbor:"4,keyasint,omitempty"`
	Keeper  wire.Hash   `cbor:"5,keyasint,omitzero"` // a session of an earlier era that goes on

	Statement wire.Signed `cbor:"6,keyasint,omitempty"`
}

// sealedRecord: sealed/<account>/<hash>. A vault, by the hash in its head.
type sealedRecord struct {
	Version uint64     `cbor:"1,keyasint"`
	Vault   wire.Bytes `cbor:"2,keyasint"`
}

// wrapRecord: wrap/<author>/<audience>/<commitment>/<reader>
type wrapRecord struct {
	Version uint64     `cbor:"1,keyasint"`
	Key     wire.Hash  `cbor:"2,keyasint"`
	Sealed  wire.Bytes `cbor:"3,keyasint"`
}

// entryRecord: entry/<author>/<audience>/<seq16>. Commits the entry, and the
// ends that came with it. From Kind on it repeats what the signed header and
// body say, which were verified before they were stored.
type entryRecord struct {
	Version   uint64          `cbor:"1,keyasint"`
	Header    wire.Signed     `cbor:"2,keyasint"`
	Body      wire.Bytes      `cbor:"3,keyasint"`
	Arrival   int64           `cbor:"4,keyasint"` // ms since 1970
	Ends      []endRecord     `cbor:"5,keyasint,omitempty"`
	Kind      wire.EntryKind  `cbor:"6,keyasint"`
	Epoch     uint64          `cbor:"7,keyasint"`
	PrevEpoch uint64          `cbor:"8,keyasint"` // the newest epoch before this entry
	Created   int64           `cbor:"9,keyasint"` // ms since 1970
	KeySeq    uint64          `cbor:"10,keyasint"`
	Content   wire.Commitment `cbor:"11,keyasint"` // of an epoch entry, else zero
}

// endRecord is an end that an entry commits.
type endRecord struct {
	Other     wire.AccountID `cbor:"1,keyasint"`
	Statement wire.Signed    `cbor:"2,keyasint"`
}

// idRecord: id/<entry>. Derived from the entry.
type idRecord struct {
	Version  uint64          `cbor:"1,keyasint"`
	Author   wire.AccountID  `cbor:"2,keyasint"`
	Audience wire.AudienceID `cbor:"3,keyasint"`
	Seq      uint64          `cbor:"4,keyasint"`
}

// friendRecord: friend/<me>/<other>. Commits friendship statements.
type friendRecord struct {
	Version    uint64          `cbor:"1,keyasint"`
	Handle     wire.Handle     `cbor:"2,keyasint"` // of the other
	Node       wire.NodeName   `cbor:"3,keyasint"`
	Friendship wire.Friendship `cbor:"4,keyasint"`
	OfferMade  wire.Signed     `cbor:"5,keyasint"`
	OfferGot   wire.Signed     `cbor:"6,keyasint"`
	AcceptMade wire.Signed     `cbor:"7,keyasint"`
	AcceptGot  wire.Signed     `cbor:"8,keyasint"`
	EndsMade   []keptEnd       `cbor:"9,keyasint"` // oldest first
	EndsGot    []keptEnd       `cbor:"10,keyasint"`
	Queue      []queuedRecord  `cbor:"11,keyasint"`           // not yet taken by the other's node, oldest first
	Problem    string          `cbor:"12,keyasint"`           // why the last delivery was refused for good
	Tombstone  wire.Signed     `cbor:"13,keyasint,omitempty"` // of the other
}

// keptEnd is an end with the offers that it names.
type keptEnd struct {
	Statement wire.Signed `cbor:"1,keyasint"`
	Offers    []wire.Hash `cbor:"2,keyasint"`
}

// queuedRecord is a statement that waits for delivery.
type queuedRecord struct {
	Kind      wire.FriendKind `cbor:"1,keyasint"`
	Statement wire.Signed     `cbor:"2,keyasint"`
}

// deliverRecord: deliver/<node>/<me>/<other>. Written before the first statement
// is queued in the friendRecord, deleted after the last was taken.
type deliverRecord struct {
	Version uint64 `cbor:"1,keyasint"`
}

// addressRecord: address/<node>/<handle>, in the copies. Whose keys were there.
type addressRecord struct {
	Version uint64         `cbor:"1,keyasint"`
	Account wire.AccountID `cbor:"2,keyasint"`
	AsOf    int64          `cbor:"3,keyasint"`           // ms since 1970
	Proof   wire.Bytes     `cbor:"4,keyasint,omitempty"` // what the home gave with the keys

	Tombstone wire.Signed `cbor:"5,keyasint,omitempty"` // the account is deleted
}

// leavingRecord: leaving/<account>. Written before the tombstone of an account, deleted
// after nothing of the account is left, and all who had to be told are.
type leavingRecord struct {
	Version uint64      `cbor:"1,keyasint"`
	Handle  wire.Handle `cbor:"2,keyasint"`
	Since   int64       `cbor:"3,keyasint"` // ms since 1970
}

// farewellRecord: farewell/<me>/<node>/<other>. Somebody has to be told that an
// account is deleted. Written before their friendRecord is deleted.
type farewellRecord struct {
	Version uint64      `cbor:"1,keyasint"`
	Handle  wire.Handle `cbor:"2,keyasint"` // of the other
}

// syncRecord: sync/<author>/<audience>, in the copies.
type syncRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	AsOf    int64  `cbor:"2,keyasint"`           // ms since 1970
	Seq     uint64 `cbor:"3,keyasint,omitempty"` // the newest entry that is counted in Bytes
	Bytes   int64  `cbor:"4,keyasint,omitempty"` // keys and values of entries, ids and wraps; 0 where they were not counted
}

// peerRecord: peer/<node>
type peerRecord struct {
	Version  uint64           `cbor:"1,keyasint"`
	Root     wire.NodeRootKey `cbor:"2,keyasint"`
	Document wire.Signed      `cbor:"3,keyasint"`
	Fetched  int64            `cbor:"4,keyasint"`           // ms since 1970
	Changes  []wire.Signed    `cbor:"5,keyasint,omitempty"` // that led to Root from that of the first contact
}

// ruleRecord: rule/<name>. What the operator decided about a node and those under it,
// or "*".
type ruleRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	Rule    Rule   `cbor:"2,keyasint"`
	Made    int64  `cbor:"3,keyasint"` // ms since 1970
}

// highWaterRecord: replay/highwater
type highWaterRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	Created int64  `cbor:"2,keyasint"` // ms since 1970
}

// What is read at each log-in has a short way, which all bytes go that EncodeCBOR
// writes (TestPlainRecords).
type plainRecord interface{ decodePlain(b []byte) bool }

func (r *handleRecord) decodePlain(b []byte) bool {
	p := wire.ReadPlain(b)
	p.Pairs(2)
	return take(r, handleRecord{Version: p.Number(1), Account: p.ID(2)}, &p)
}

func (r *vaultRecord) decodePlain(b []byte) bool {
	p := wire.ReadPlain(b)
	p.Pairs(3)
	if take(r, vaultRecord{Version: p.Number(1), Head: p.Bytes(2), Slots: p.Bytes(3)}, &p) {
		return true
	}
	p = wire.ReadPlain(b)
	p.Pairs(5)
	read := vaultRecord{Version: p.Number(1), Head: p.Bytes(2), Slots: p.Bytes(3), Era: p.Number(4), Keeper: p.ID(5)}
	return read.Era > 0 && !read.Keeper.IsZero() && take(r, read, &p)
}

func (d *device) decodePlain(b []byte) bool {
	p := wire.ReadPlain(b)
	p.Pairs(2)
	return take(d, device{p.Number(1), p.Time(2)}, &p)
}

// What is written at each log-in has a short way, too.
type plainWritten interface{ encodePlain() []byte }

func (d *device) encodePlain() []byte {
	w := wire.WritePlain(16, 2)
	w.Number(1, d.Version)
	w.Time(2, d.Used)
	return w.Bytes()
}

func (s *session) encodePlain() []byte {
	pairs := uint64(6)
	if s.Era > 0 {
		pairs++
	}
	w := wire.WritePlain(80+len(s.Handle)+len(s.Device), pairs)
	w.Number(1, s.Version)
	w.ID(2, s.Account)
	w.Text(3, string(s.Handle))
	w.Text(4, s.Device)
	w.Time(5, s.Created)
	w.Time(6, s.Expires)
	if s.Era > 0 {
		w.Number(7, s.Era)
	}
	return w.Bytes()
}

// take keeps what was read, if all was as it should be.
func take[T any](v *T, read T, p *wire.PlainReader) bool {
	if !p.End() {
		return false
	}
	*v = read
	return true
}

// decodeRecord reads the value of rec into v, a pointer to a zero record. A
// record that cannot be read is no fault of whoever asks: the error has no kind.
func decodeRecord(rec store.Record, v any) error {
	if plain, ok := v.(plainRecord); ok && plain.decodePlain(rec.Value) {
		return nil
	}
	if err := wire.DecodeOwn("record", rec.Value, v); err != nil {
		return fmt.Errorf("record %q: %v", rec.Key, err)
	}
	return nil
}

// read gets a record and decodes it into v. It returns the revision, or 0 and
// wire.NotExist if there is none.
func read(ctx context.Context, s store.Store, key string, v any) (uint64, error) {
	rec, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotExist) {
		return 0, wire.NotExist
	}
	if err != nil {
		return 0, err
	}
	return rec.Revision, decodeRecord(rec, v)
}

// keyOf is prefix and the text of ids, with slashes between, made at once.
func keyOf(prefix string, ids ...[32]byte) string {
	var room [256]byte
	b := append(room[:0], prefix...)
	for i, id := range ids {
		if i > 0 {
			b = append(b, '/')
		}
		b = wire.AppendID(b, id)
	}
	return string(b)
}

// put is the change that writes a record without a condition.
func put(key string, v any) store.Change { return putIf(key, v, store.Always()) }

// putIf is the change that writes a record under a condition.
func putIf(key string, v any, c store.Condition) store.Change {
	if plain, ok := v.(plainWritten); ok {
		return store.Change{Key: key, Value: plain.encodePlain(), If: c}
	}
	return store.Change{Key: key, Value: wire.EncodeCBOR(v), If: c}
}

// openSchema refuses stores of another release, and marks empty ones.
func (n *Node) openSchema(ctx context.Context) error {
	for _, s := range []store.Store{n.own, n.copies} {
		err := checkSchema(ctx, s)
		if errors.Is(err, wire.NotExist) {
			err = s.Apply(ctx, put("schema", &schemaRecord{recordVersion, recordSchema}))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSchema refuses a store of another release. NotExist for an empty one.
func checkSchema(ctx context.Context, s store.Store) error {
	var found schemaRecord
	_, err := read(ctx, s, "schema", &found)
	switch {
	case err != nil:
		return err
	case found.Schema < recordSchema:
		return fmt.Errorf("the store has schema %d, this release %d; bring it up with peerbrain-node migrate", found.Schema, recordSchema)
	case found.Schema > recordSchema:
		return fmt.Errorf("the store has schema %d, of a later release; this one knows %d", found.Schema, recordSchema)
	}
	return nil
}

// refuse turns what was found wrong in statements that somebody hands in into
// an answer to them. Tampered is for readers: it would say that this node
// failed.
func refuse(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Kind == wire.Tampered {
		return &wire.Error{Kind: wire.Invalid, Field: e.Field, Detail: e.Detail}
	}
	return err
}

// ahead refuses times further ahead of the node's clock than clocks may differ.
func (n *Node) ahead(what string, created int64) error {
	now := n.now()
	if created > now.Add(wire.MaxSkew).UnixMilli() {
		return wire.Errorf(wire.Clock, what, "its time is ahead of this node's, where it is %s", now.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return nil
}
