package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// The format of the file, in the bucket "format" under "version", in decimal.
// A file without it has format 1, which had no checksums.
const format = "2"

var (
	bucketName   = []byte("records")
	formatBucket = []byte("format")
	formatKey    = []byte("version")
	sequenceKey  = []byte("frames") // sequence of the last frame of a log that is in the file, 8 bytes
	logKey       = []byte("log")    // id of the log, 8 bytes, as long as there is one
)

// What a value of the bucket begins with; all numbers are big-endian.
const (
	keySum     = 0  // 4 bytes: CRC-32C of the key
	recordSum  = 4  // 4 bytes: CRC-32C of key || revision || value
	revisionAt = 8  // 8 bytes
	headSize   = 16 // bytes in front of the record's value
)

// CRC-32C is there against accidents, and costs little: processors have it, so
// a record of 1.6 KB takes a tenth of a microsecond.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFormat is what Open answers for a file of another format than this
// release's; Migrate reads format 1.
var ErrFormat = errors.New("the file has another format")

// A FormatError tells which. It matches ErrFormat.
type FormatError struct{ Found string }

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("the file has format %.10q, this release writes %q", e.Found, format)
}

// Unwrap returns ErrFormat.
func (e *FormatError) Unwrap() error { return ErrFormat }

// makeFormat makes the buckets of a new file.
func makeFormat(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucket(bucketName); err != nil {
		return err
	}
	b, err := tx.CreateBucket(formatBucket)
	if err != nil {
		return err
	}
	return b.Put(formatKey, []byte(format))
}

// formatOf returns the format of a file, empty for one without records.
func formatOf(tx *bbolt.Tx) string {
	c := contentOf(tx)
	if t, ok := c.bucket(formatBucket); ok {
		return string(t.get(formatKey))
	}
	if _, ok := c.bucket(bucketName); ok {
		return "1"
	}
	return ""
}

// A fileState is what the file says of the log.
type fileState struct {
	sequence, revision uint64
	id                 uint64
	logged             bool
}

func stateOf(records tree) (s fileState) {
	t, _ := records.bucket(formatBucket)
	s.revision = records.sequence
	if v := t.get(sequenceKey); len(v) == 8 {
		s.sequence = binary.BigEndian.Uint64(v)
	}
	if v := t.get(logKey); len(v) == 8 {
		s.id, s.logged = binary.BigEndian.Uint64(v), true
	}
	return s
}

// seal fills the head of a stored value whose value is in place.
func seal(key, stored []byte, revision uint64) {
	binary.BigEndian.PutUint64(stored[revisionAt:], revision)
	sum := crc32.Checksum(key, castagnoli)
	binary.BigEndian.PutUint32(stored[keySum:], sum)
	binary.BigEndian.PutUint32(stored[recordSum:], crc32.Update(sum, castagnoli, stored[revisionAt:]))
}

// A pair is a record as it lies in the file: valid during the transaction.
type pair struct{ key, stored []byte }

func (p pair) possible() bool {
	return len(p.key) <= store.MaxKey && len(p.stored) >= headSize && len(p.stored) <= headSize+store.MaxValue
}

// intact reports whether the pair is what was written. An empty key, which
// stands for the end of the file, is not.
func (p pair) intact() bool {
	if !p.possible() {
		return false
	}
	sum := crc32.Update(crc32.Checksum(p.key, castagnoli), castagnoli, p.stored[revisionAt:])
	return binary.BigEndian.Uint32(p.stored[recordSum:]) == sum
}

// finding is the pair, or an error in its place.
func (p pair) finding() finding {
	if p.stored != nil && !p.intact() {
		return finding{pair{p.key, nil}, p.damaged()}
	}
	return finding{p, nil}
}

func (p pair) damaged() error {
	return &store.DamagedError{Key: string(p.key), Detail: "its checksum does not fit"}
}

// legible reports whether at least the key is what was written.
func (p pair) legible() bool {
	return p.possible() && binary.BigEndian.Uint32(p.stored[keySum:]) == crc32.Checksum(p.key, castagnoli) || p.intact()
}

func (p pair) revision() uint64 { return binary.BigEndian.Uint64(p.stored[revisionAt:]) }

// find returns the pair of a key, and the zero pair if there is none; a pair with
// an error if it is there, but not intact.
//
// The checksum of a record shows that it is whole, but not that none is missing:
// a key that was changed, in a record or on the way to it, hides records from the
// search. So a key counts as absent only if the search ended between two
// neighbours that belong there.
func find(c *cursor, key []byte) (pair, error) {
	var p, before pair
	c.find(key)
	if s := c.at(); s.index < s.count {
		p.key, p.stored = c.pair()
	}
	if bytes.Equal(p.key, key) {
		if !p.intact() {
			return p, p.damaged()
		}
		return p, nil
	}
	if c.astray() {
		return pair{}, &store.DamagedError{Key: string(key), Detail: "a page of the file has other keys than those that lead there"}
	}
	if p.key == nil {
		p.key, p.stored = c.Next()
	}
	before.key, before.stored = c.Prev()
	if p.key != nil && !(p.legible() && string(p.key) > string(key)) || before.key != nil && !(before.legible() && string(before.key) < string(key)) {
		return pair{}, &store.DamagedError{Key: string(key), Detail: "the records beside it are not in order"}
	}
	return pair{}, nil
}
