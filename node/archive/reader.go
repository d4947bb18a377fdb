package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A Reader reads one file. NewReader makes one.
type Reader struct {
	header Header
	from   *bufio.Reader
	sum    hash.Hash
	last   string
	count  uint64
	err    error // what Next said last
}

// NewReader reads the header of a file. The error, as each of a Reader, is one of
// this package, or that of r.
func NewReader(r io.Reader) (*Reader, error) {
	a := &Reader{from: bufio.NewReaderSize(r, bufferSize), sum: sha256.New()}
	start, err := a.read(len(magic) + 4)
	if err != nil && !errors.Is(err, ErrCut) {
		return nil, err
	}
	switch {
	case err != nil || string(start[:len(magic)]) != magic:
		return nil, ErrForeign
	case binary.BigEndian.Uint32(start[len(magic):]) > format:
		return nil, ErrLater
	case binary.BigEndian.Uint32(start[len(magic):]) != format:
		return nil, fmt.Errorf("%w: there is no format 0", ErrDamaged)
	}
	rest, err := a.read(4 + 8 + 1)
	if err != nil {
		return nil, err
	}
	name, err := a.read(int(rest[12]))
	if err != nil {
		return nil, err
	}
	created := binary.BigEndian.Uint64(rest[4:])
	a.header = Header{Node: wire.NodeName(name), Schema: binary.BigEndian.Uint32(rest), Created: int64(min(created, maxCreated+1))}
	if err := a.header.check(); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrDamaged, err)
	}
	return a, nil
}

// Header is what the file says of itself. Only io.EOF from Next proves it.
func (a *Reader) Header() Header { return a.header }

// Count is the number of records so far.
func (a *Reader) Count() uint64 { return a.count }

// Next returns the next record, with revision 0. The error is io.EOF after the
// last, once the checksum over the whole file was right and nothing followed.
func (a *Reader) Next() (store.Record, error) {
	if a.err != nil {
		return store.Record{}, a.err
	}
	var r store.Record
	r, a.err = a.next()
	return r, a.err
}

func (a *Reader) next() (store.Record, error) {
	var none store.Record
	length, err := a.read(2)
	if err != nil {
		return none, err
	}
	key := int(binary.BigEndian.Uint16(length))
	if key == 0 {
		return none, a.end()
	}
	if length, err = a.read(4); err != nil {
		return none, err
	}
	value := binary.BigEndian.Uint32(length)
	if key > store.MaxKey || value > store.MaxValue {
		return none, fmt.Errorf("%w: record %d has a key of %d bytes and a value of %d", ErrDamaged, a.count+1, key, value)
	}
	b, err := a.read(key + int(value))
	if err != nil {
		return none, err
	}
	r := store.Record{Key: string(b[:key]), Value: b[key:]}
	if err := checkRecord(a.last, r); err != nil {
		return none, fmt.Errorf("%w: record %d: %v", ErrDamaged, a.count+1, err)
	}
	a.last = r.Key
	a.count++
	return r, nil
}

// end reads what follows the last record.
func (a *Reader) end() error {
	count, err := a.read(8)
	if err != nil {
		return err
	}
	want := a.sum.Sum(nil)
	sum, err := a.read(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, want) || binary.BigEndian.Uint64(count) != a.count {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	switch _, err := a.from.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	case err != io.EOF:
		return err
	}
	return io.EOF
}

// read reads n bytes, which take memory only as they come.
func (a *Reader) read(n int) ([]byte, error) {
	const piece = 64 << 10
	var b []byte
	for len(b) < n {
		at := len(b)
		b = append(b, make([]byte, min(n-at, max(piece, at)))...)
		if _, err := io.ReadFull(a.from, b[at:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, ErrCut
		} else if err != nil {
			return nil, err
		}
	}
	a.sum.Write(b)
	return b, nil
}
