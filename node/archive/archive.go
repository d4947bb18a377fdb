// Package archive is the file that a backup of a node is kept in: the records of
// one store, in order, whatever backend they came from.
//
// It knows nothing of what the records mean; package node decides which of them
// go into a backup. It refuses to hand out the end of a file before the checksum
// over all of it was found to be right: whoever restores reads the file to its
// end once before writing anything.
//
// A file is a header, records and an end. All numbers are unsigned and
// big-endian.
//
//	header  16  "peerbrain-backup"
//	         4  format, 1
//	         4  schema of the records
//	         8  when it was made, ms since 1970, at most 2^53-1
//	         1  length of the node's name, n
//	         n  the node's name
//	record   2  length of the key, k, 1 to 512
//	         4  length of the value, v, 0 to 8,388,608
//	         k  key, 0x21 to 0x7e, above the key before it
//	         v  value
//	end      2  0
//	         8  number of records
//	        32  SHA-256 of all bytes before
//
// Nothing follows the end. TestExample spells out a small file, which
// docs/operating.md shows.
package archive

import (
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	magic      = "peerbrain-backup"
	format     = 1
	maxCreated = 1<<53 - 1
	bufferSize = 64 << 10
)

// The kinds of error of a Reader.
var (
	// ErrForeign says that the file is none of this package.
	ErrForeign = errors.New("it is no backup of a PeerBrain node")
	// ErrLater says that the file has a format that a later release writes.
	ErrLater = errors.New("a later release of peerbrain-node wrote it")
	// ErrCut says that the file ends too early.
	ErrCut = errors.New("it was cut short, its end is missing")
	// ErrDamaged says that the bytes are not those that were written.
	ErrDamaged = errors.New("it is damaged")
)

// A Header says whose records follow.
type Header struct {
	Node    wire.NodeName
	Schema  uint32
	Created int64 // ms since 1970
}

func (h Header) check() error {
	if _, err := wire.ParseNodeName(string(h.Node)); err != nil {
		return err
	}
	if h.Created < 0 || h.Created > maxCreated {
		return fmt.Errorf("time %d is not 0 to %d ms since 1970", h.Created, uint64(maxCreated))
	}
	return nil
}

// checkRecord says what keeps a record from following the key before it.
func checkRecord(before string, r store.Record) error {
	if err := (store.Change{Key: r.Key, Value: r.Value}).Check(); err != nil {
		return err
	}
	if r.Key <= before {
		return fmt.Errorf("key %q comes after %q", r.Key, before)
	}
	return nil
}
