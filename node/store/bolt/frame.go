package bolt

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is what a group of calls changes, as it stands in the log: a head, the
// records, and zeros up to the next block. It begins a block of its own, so nothing
// is ever written to a block that holds something acknowledged.
//
// The head; all numbers are big-endian:
//
//	 0  4 bytes  CRC-32C of the rest of the head
//	 4  4 bytes  CRC-32C of the records
//	 8  8 bytes  id of the log
//	16  8 bytes  sequence: one more than that of the frame before
//	24  8 bytes  the last revision that was given out
//	32  4 bytes  bytes of the records
//
// A record has the length of its key (2 bytes), that of what is stored (4 bytes),
// the key, and the value as it is stored in the file, whose sums tell which
// records of a damaged frame are whole. For one that is deleted, the sum of the
// key stands there.
const (
	blockSize  = 4096
	frameHead  = 36
	recordHead = 6
	deleted    = 4 // bytes that are stored for a record that is deleted
)

// A frame that was read.
type frame struct {
	sequence, revision uint64
	records            []byte
}

// appendRecord adds a record to a frame.
func appendRecord(b []byte, p pair) []byte {
	stored := p.stored
	if stored == nil {
		stored = binary.BigEndian.AppendUint32(nil, crc32.Checksum(p.key, castagnoli))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(stored)))
	return append(append(b, p.key...), stored...)
}

// closeFrame fills in the head of a frame whose records are in place, and the
// zeros behind them.
func closeFrame(b []byte, id, sequence, revision uint64) []byte {
	payload := b[frameHead:]
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	binary.BigEndian.PutUint64(b[8:], id)
	binary.BigEndian.PutUint64(b[16:], sequence)
	binary.BigEndian.PutUint64(b[24:], revision)
	binary.BigEndian.PutUint32(b[32:], uint32(len(payload)))
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:frameHead], castagnoli))
	return append(b, make([]byte, -len(b)&(blockSize-1))...)
}

// parseFrame reads the frame that b begins with, if it is one of the log.
func parseFrame(b []byte, id uint64) (f frame, ok bool) {
	if len(b) < frameHead || binary.BigEndian.Uint64(b[8:]) != id || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:frameHead], castagnoli) {
		return frame{}, false
	}
	size := int64(binary.BigEndian.Uint32(b[32:]))
	if size > int64(len(b)-frameHead) {
		return frame{}, false
	}
	f.sequence, f.revision = binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])
	f.records = b[frameHead : frameHead+size : frameHead+size]
	return f, binary.BigEndian.Uint32(b[4:]) == crc32.Checksum(f.records, castagnoli)
}

// blocks is how many bytes a frame takes in the log.
func (f frame) blocks() int { return (frameHead + len(f.records) + blockSize - 1) &^ (blockSize - 1) }

// nextRecord takes a record off a list of them. A pair without a stored value is
// one that is deleted. It is not ok unless at least the key is what was written.
func nextRecord(b []byte) (p pair, rest []byte, ok bool) {
	if len(b) < recordHead {
		return pair{}, nil, false
	}
	key, stored := int(binary.BigEndian.Uint16(b)), int64(binary.BigEndian.Uint32(b[2:]))
	b = b[recordHead:]
	if key == 0 || int64(key)+stored > int64(len(b)) {
		return pair{}, nil, false
	}
	end := key + int(stored)
	p, rest = pair{b[:key:key], b[key:end:end]}, b[end:]
	if stored == deleted {
		return pair{key: p.key}, rest, binary.BigEndian.Uint32(p.stored) == crc32.Checksum(p.key, castagnoli)
	}
	return p, rest, p.legible()
}
