package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/peerbrain/peerbrain/node/store"
)

// A Writer writes one file. NewWriter makes one.
type Writer struct {
	to     io.Writer
	buffer *bufio.Writer // to to and sum
	sum    hash.Hash
	last   string
	count  uint64
}

// NewWriter writes the header of a file to w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("archive: header: %w", err)
	}
	a := &Writer{to: w, sum: sha256.New()}
	a.buffer = bufio.NewWriterSize(io.MultiWriter(w, a.sum), bufferSize)
	b := binary.BigEndian.AppendUint32([]byte(magic), format)
	b = binary.BigEndian.AppendUint32(b, h.Schema)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Created))
	b = append(b, byte(len(h.Node))) // at most 253
	_, err := a.buffer.Write(append(b, h.Node...))
	return a, err
}

// Add writes a record, whose key has to be above that of the record before. Its
// revision is left out.
func (a *Writer) Add(r store.Record) error {
	if err := checkRecord(a.last, r); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	var lengths [6]byte
	binary.BigEndian.PutUint16(lengths[:], uint16(len(r.Key)))
	binary.BigEndian.PutUint32(lengths[2:], uint32(len(r.Value)))
	a.buffer.Write(lengths[:]) // an error stays, and comes again
	a.buffer.WriteString(r.Key)
	_, err := a.buffer.Write(r.Value)
	a.last = r.Key
	a.count++
	return err
}

// Count is the number of records so far.
func (a *Writer) Count() uint64 { return a.count }

// Close writes the end of the file. What it was written to stays open.
func (a *Writer) Close() error {
	a.buffer.Write(binary.BigEndian.AppendUint64([]byte{0, 0}, a.count)) // an error stays
	if err := a.buffer.Flush(); err != nil {
		return err
	}
	_, err := a.to.Write(a.sum.Sum(nil))
	return err
}
