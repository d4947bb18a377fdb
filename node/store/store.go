// Package store is the one place where a node keeps things: ordered records
// under printable keys, with four operations.
//
// It offers what every backend can keep, and no more: single records are
// atomic, the changes of one Apply take effect in order, and a change may
// depend on a record being absent or unchanged. There is no transaction over
// several records, because MongoDB has none that is cheap and works sharded.
// Whoever stores writes so that each operation has one commit record: what is
// written before it is invisible without it, what comes after it is derived
// from it and can be repaired.
//
// Package bolt is the embedded default, package mongo keeps records in
// MongoDB, and package storetest holds the suite that both pass and a store
// that misbehaves, on purpose, as far as this contract lets it.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Limits of keys and values, the same in all backends.
const (
	MaxKey   = 512     // bytes in a key; the shortest has 1
	MaxValue = 8 << 20 // bytes in a value; the shortest has 0
)

// The kinds of error of this package. Errors that a Store returns match at
// most one of them with errors.Is; anything else is trouble below the store
// (disk, network) or the error of the caller's context.
var (
	// ErrNotExist says that no record has this key. It is an ordinary answer
	// and returned as it is, without the key.
	ErrNotExist = errors.New("no such record")
	// ErrConflict says that a condition did not hold; see ConflictError.
	ErrConflict = errors.New("condition does not hold")
	// ErrInvalid says that a key, value, query or condition is outside the limits.
	// It is the fault of the calling code, and nothing was read or written.
	ErrInvalid = errors.New("invalid use of the store")
	// ErrClosed says that the store was closed before or during the call.
	ErrClosed = errors.New("store is closed")
	// ErrDamaged says that what lies below the store is not what was written; see
	// DamagedError. The store goes on with everything else.
	ErrDamaged = errors.New("damaged")
	// ErrFull says that there is no room for what was to be written. Reading goes
	// on, and so does writing once there is room, without a restart.
	ErrFull = errors.New("no room is left")
)

// A ConflictError names the record whose condition did not hold.
// It matches ErrConflict.
type ConflictError struct{ Key string }

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("store: apply %q: %v", e.Key, ErrConflict)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// A DamagedError names the record that cannot be read, or the range in which
// nobody can tell what there was. It matches ErrDamaged. Such a record can be
// written, or deleted, by a Change without a condition, and is well again then.
type DamagedError struct {
	Key      string // of the record; empty if that cannot be told
	From, To string // else it lies behind From and before To; empty: no bound
	Detail   string // what was found
}

// Error implements error.
func (e *DamagedError) Error() string {
	if e.Key != "" {
		return fmt.Sprintf("store: record %q is %v: %s", e.Key, ErrDamaged, e.Detail)
	}
	return fmt.Sprintf("store: what lies between %q and %q is %v: %s", e.From, e.To, ErrDamaged, e.Detail)
}

// Unwrap returns ErrDamaged.
func (e *DamagedError) Unwrap() error { return ErrDamaged }

// A Record is one key with its value.
type Record struct {
	Key string
	// Value is never nil. It belongs to whoever received the record.
	Value []byte
	// Revision is from 1 to 2^63-1 and changes with each write of the record,
	// even if the value stays. One key never has the same revision twice, not
	// even when it was deleted and created again in between (a backend that
	// draws revisions at random may promise this only overwhelmingly), so an
	// old revision cannot match by accident. Revisions say nothing else: they
	// need not grow, nor be next to each other.
	Revision uint64
}

// A Condition is what must be true of a record for a Change to happen.
// The zero value is Always.
type Condition struct {
	bound    bool
	revision uint64
}

// Always sets no condition: the change happens, whether the record exists or not.
func Always() Condition { return Condition{} }

// IfAbsent demands that no record has the key.
func IfAbsent() Condition { return Condition{bound: true} }

// IfRevision demands that the record exists and has this revision. Revision 0,
// which no record has, means absence, so that the revision of the empty
// Record that comes with ErrNotExist can be passed on as it is.
func IfRevision(revision uint64) Condition {
	return Condition{bound: true, revision: revision}
}

// Revision is for backends. It returns the revision the record must have,
// 0 for "must be absent", and whether there is a condition at all.
func (c Condition) Revision() (revision uint64, bound bool) { return c.revision, c.bound }

// Holds is for backends. It reports whether the condition is true of a record
// that now has the given revision, 0 if there is none.
func (c Condition) Holds(current uint64) bool { return !c.bound || c.revision == current }

// A Change writes or deletes one record.
type Change struct {
	Key string
	// Value is what the record will hold. Nil deletes the record; an empty
	// slice that is not nil is a value like any other. Deleting what is not
	// there is no error, unless a condition says so.
	Value []byte
	If    Condition
}

// A Query selects the records with From <= key < To, in byte order of keys.
// An empty To means no upper end, so the zero value selects everything.
// Bounds need not be possible keys: any ASCII of up to MaxKey+1 bytes will do.
type Query struct {
	From, To string
	Reverse  bool // from the last to the first
	Limit    int  // at most so many records; 0 sets no limit
}

// Prefix selects all records whose key begins with p.
func Prefix(p string) Query { return Query{From: p, To: p + "\x7f"} }

// After returns the bound that lies directly behind a key: as From it excludes
// the key and selects all behind it, as To it includes the key. With it a
// caller pages through records.
func After(key string) string { return key + "!" }

// A Store keeps records. All methods may be called by many goroutines at once,
// and many processes may share one store if its backend says so.
//
// Every method gives up with the error of its context when that ends, as far
// as the outcome is still open: once a backend has begun to write, it may
// rather wait and return what came of it.
type Store interface {
	// Get returns the record with this key, or ErrNotExist. The value is a
	// copy that belongs to the caller. ErrDamaged means that there is such a
	// record, or may be, but not what it holds.
	//
	// What an Apply wrote before it returned is seen by every Get and Scan
	// that starts after. What an Apply is still writing may be seen too, a
	// moment before it is durable.
	Get(ctx context.Context, key string) (Record, error)

	// Scan returns the selected records in order. Nothing is read before the
	// sequence is ranged over, and each range reads anew. An error is yielded
	// once, with an empty Record, and ends the sequence.
	//
	// Not so a *DamagedError: it stands where the damaged records are, with a
	// Record that holds the Key if that is known, counts against the limit, and
	// what can be read behind it follows. So whoever needs all records gives up
	// at any error, and whoever is content with the others goes on. If the key is
	// not known, the record may lie outside of what was asked for.
	//
	// Records are read in batches, and between batches the store holds
	// nothing open: a consumer may take its time, stop early, or call the
	// store from the loop. The price is that a scan is no snapshot. Keys come
	// in strict order and never twice; each record is as it was at some moment
	// during the scan; a record that is there throughout is not missed, one
	// that comes or goes meanwhile may be. Records of one batch may share
	// memory: each may be modified and appended to without touching another,
	// but to keep one for long, clone its Key and Value.
	Scan(ctx context.Context, q Query) iter.Seq2[Record, error]

	// Apply makes the changes, in their order, each depending on its
	// condition. Several changes may concern the same key; each condition is
	// about the record as the changes before it left it. Each record changes
	// atomically: readers see it before or after, never between, and of many
	// concurrent changes with the same condition at most one happens.
	//
	// If Apply returns nil, all changes are made and durable: they survive
	// the end of the process and of the machine. If a condition does not
	// hold, Apply stops there and returns a *ConflictError; that change and
	// those after it are not made by this attempt, and those before it may or
	// may not be. Invalid changes are found before anything is made. After
	// any other error, any prefix of the changes may be there, all or none
	// included. Nothing more is promised, least of all that changes come
	// together.
	//
	// A condition on a damaged record is answered with ErrDamaged.
	//
	// A conflict can be with oneself: when an acknowledgement is lost, the
	// changes may be tried again on top of their own effect. So on a conflict,
	// read the record before concluding that somebody else wrote it.
	//
	// Apply keeps neither the slice of changes nor their values after it
	// returns, and modifies neither.
	Apply(ctx context.Context, changes ...Change) error

	// Close waits for the calls of Apply that have begun, and gives
	// everything back. Afterwards all methods return ErrClosed, but for Close
	// itself, which does nothing and returns what it returned at first.
	Close() error
}
