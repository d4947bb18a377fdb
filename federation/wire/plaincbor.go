package wire

import "math"

// A plainReader reads a map of numbers and 32 bytes as EncodeCBOR writes it: keys
// in order, heads in their shortest form, nothing behind. Whatever is otherwise in
// any way is left to DecodeCBOR, which takes five times as long and tells what is
// wrong (TestPlainEntry).
type plainReader struct {
	rest []byte
	odd  bool // something is otherwise
}

// shortest is the least number that a head with so many bytes behind it may hold:
// 1, 2, 4, 8.
var shortest = [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}

// head reads the head of an item of a major type.
func (r *plainReader) head(major byte) (n uint64) {
	if len(r.rest) == 0 || r.rest[0]>>5 != major {
		r.odd = true
		return 0
	}
	info := r.rest[0] & 31
	r.rest = r.rest[1:]
	if info < 24 {
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.rest) < size {
		r.odd = true
		return 0
	}
	for _, c := range r.rest[:size] {
		n = n<<8 | uint64(c)
	}
	r.rest = r.rest[size:]
	r.odd = r.odd || n < shortest[info-24]
	return n
}

// pairs begins a map.
func (r *plainReader) pairs(count uint64) { r.odd = r.head(5) != count || r.odd }

// number reads an unsigned integer under key.
func (r *plainReader) number(key uint64) uint64 {
	r.odd = r.head(0) != key || r.odd
	return r.head(0)
}

// time reads a number that an int64 holds.
func (r *plainReader) time(key uint64) int64 {
	n := r.number(key)
	r.odd = r.odd || n > math.MaxInt64
	return int64(n)
}

// id reads 32 bytes under key.
func (r *plainReader) id(key uint64) (b [32]byte) {
	r.odd = r.head(0) != key || r.odd
	if r.odd = r.head(2) != 32 || len(r.rest) < 32 || r.odd; r.odd {
		return b
	}
	r.rest = r.rest[copy(b[:], r.rest):]
	return b
}

// end reports whether all was as EncodeCBOR writes it, and nothing is left.
func (r *plainReader) end() bool { return !r.odd && len(r.rest) == 0 }
