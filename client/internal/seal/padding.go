package seal

import (
	"encoding/binary"
	"math/bits"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Padded plaintext hides a length within its bucket, a power of two from low to
// high bytes:
//
//	length    4 bytes, big-endian
//	content   length bytes
//	zeros     up to the smallest bucket that holds the above
//
// For example "hi" in an entry is 00000002 6869 and 250 zeros.
const padHeader = 4

type buckets struct{ low, high int }

var (
	entryBuckets = buckets{256, 64 << 10}
	vaultBuckets = buckets{4 << 10, 2 << 20}
)

// bucket returns the bytes that n bytes of content are padded to, 0 if they are
// too many.
func (b buckets) bucket(n int) int {
	if n < 0 || n > b.high-padHeader {
		return 0
	}
	return max(b.low, 1<<bits.Len(uint(n+padHeader-1)))
}

func (b buckets) pad(what string, content []byte) ([]byte, error) {
	size := b.bucket(len(content))
	if size == 0 {
		return nil, wire.Errorf(wire.TooLarge, what, "at most %d bytes can be sealed, not %d", b.high-padHeader, len(content))
	}
	p := make([]byte, size)
	binary.BigEndian.PutUint32(p, uint32(len(content)))
	copy(p[padHeader:], content)
	return p, nil
}

// unpad accepts exactly what pad writes. The result is a part of p.
func (b buckets) unpad(what string, p []byte) ([]byte, error) {
	if len(p) < b.low || len(p) > b.high {
		return nil, errTampered(what)
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(b.high-padHeader) || b.bucket(int(n)) != len(p) {
		return nil, errTampered(what)
	}
	content, zeros := p[padHeader:padHeader+int(n)], p[padHeader+int(n):]
	if !isZero(zeros) {
		return nil, errTampered(what)
	}
	return content[:n:n], nil
}
