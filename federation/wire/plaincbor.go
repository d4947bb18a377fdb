package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// A PlainReader reads a map as EncodeCBOR writes it: keys in order, heads in their
// shortest form, nothing behind. Whatever is otherwise in any way is left to
// DecodeCBOR, or DecodeOwn, which take five times as long and tell what is wrong
// (TestPlainEntry). Its methods read one pair after the other; what they return
// counts once End has said that all was well.
type PlainReader struct {
	rest []byte
	odd  bool // something is otherwise
}

// ReadPlain begins to read b, which stays the caller's.
func ReadPlain(b []byte) PlainReader { return PlainReader{rest: b} }

// shortest is the least number that a head with so many bytes behind it may hold:
// 1, 2, 4, 8.
var shortest = [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}

// head reads the head of an item of a major type.
func (r *PlainReader) head(major byte) (n uint64) {
	if len(r.rest) == 0 || r.rest[0]>>5 != major {
		r.odd = true
		return 0
	}
	return r.number()
}

// number reads what a head holds. There is a byte of it.
func (r *PlainReader) number() (n uint64) {
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

// bytes takes so many of them.
func (r *PlainReader) bytes(count uint64) []byte {
	if r.odd = r.odd || count > uint64(len(r.rest)); r.odd {
		return nil
	}
	b := r.rest[:count]
	r.rest = r.rest[count:]
	return b
}

// Head reads the head of whatever comes next: its major type (RFC 8949, section 3.1)
// and what number stands in it, which for texts and bytes is how many follow. It is
// for who knows what may come, and asks Left how far it is.
func (r *PlainReader) Head() (major byte, n uint64) {
	if len(r.rest) == 0 {
		r.odd = true
		return 0, 0
	}
	major = r.rest[0] >> 5
	return major, r.number()
}

// Content takes so many bytes, which follow a head, and are part of what is read.
func (r *PlainReader) Content(count uint64) []byte { return r.bytes(count) }

// Left returns how many bytes were not read yet, and whether all before them was as
// EncodeCBOR writes it.
func (r *PlainReader) Left() (count int, plain bool) { return len(r.rest), !r.odd }

// Pairs begins a map.
func (r *PlainReader) Pairs(count uint64) { r.odd = r.head(5) != count || r.odd }

// key reads the key of a pair.
func (r *PlainReader) key(key uint64) { r.odd = r.head(0) != key || r.odd }

// Number reads an unsigned integer under key.
func (r *PlainReader) Number(key uint64) uint64 {
	r.key(key)
	return r.head(0)
}

// Text reads a text under key, which is part of what is read.
func (r *PlainReader) Text(key uint64) []byte {
	r.key(key)
	b := r.bytes(r.head(3))
	r.odd = r.odd || !utf8.Valid(b)
	return b
}

// flag reads a truth value under key.
func (r *PlainReader) flag(key uint64) bool {
	r.key(key)
	n := r.head(7)
	r.odd = r.odd || n != 20 && n != 21
	return n == 21
}

// Skip goes past what is under key, whatever it is: of its parts, only the sizes
// are looked at.
func (r *PlainReader) Skip(key uint64) {
	r.key(key)
	r.skip(maxSkipped)
}

const maxSkipped = 6 // levels of lists and maps

func (r *PlainReader) skip(levels int) {
	if r.odd = r.odd || levels == 0 || len(r.rest) == 0; r.odd {
		return
	}
	major := r.rest[0] >> 5
	n := r.head(major)
	switch major {
	case 2, 3:
		r.bytes(n)
	case 4, 5:
		r.odd = r.odd || n > uint64(len(r.rest))
		for i := uint64(0); i < n*uint64(major-3) && !r.odd; i++ { // a map has two items in each pair
			r.skip(levels - 1)
		}
	case 6:
		r.odd = true
	}
}

// small reads a number that an uint32 holds, under key.
func (r *PlainReader) small(key uint64) uint32 {
	n := r.Number(key)
	r.odd = r.odd || n > math.MaxUint32
	return uint32(n)
}

// Time reads a number that an int64 holds, under key.
func (r *PlainReader) Time(key uint64) int64 {
	n := r.Number(key)
	r.odd = r.odd || n > math.MaxInt64
	return int64(n)
}

// Bytes reads a byte string under key, which is part of what is read.
func (r *PlainReader) Bytes(key uint64) []byte {
	r.key(key)
	return r.bytes(r.head(2))
}

// ID reads 32 bytes under key.
func (r *PlainReader) ID(key uint64) (b [32]byte) {
	id := r.Bytes(key)
	r.odd = r.odd || len(id) != len(b)
	copy(b[:], id)
	return b
}

// End reports whether all was as EncodeCBOR writes it, and nothing is left.
func (r *PlainReader) End() bool { return !r.odd && len(r.rest) == 0 }

// A PlainWriter writes a map as EncodeCBOR does, in a tenth of the time: the keys are
// small numbers, and come in order (TestChallengeBytes).
type PlainWriter struct{ b []byte }

// WritePlain begins a map of so many pairs, in room for some bytes.
func WritePlain(room int, pairs uint64) PlainWriter {
	return PlainWriter{appendHead(make([]byte, 0, room), 5, pairs)}
}

// Number writes an unsigned integer under key.
func (w *PlainWriter) Number(key, n uint64) { w.b = appendHead(appendHead(w.b, 0, key), 0, n) }

// Time writes a time in ms under key.
func (w *PlainWriter) Time(key uint64, ms int64) {
	if ms < 0 {
		w.b = appendHead(appendHead(w.b, 0, key), 1, uint64(^ms))
		return
	}
	w.Number(key, uint64(ms))
}

// Text writes a text under key.
func (w *PlainWriter) Text(key uint64, s string) {
	w.b = append(appendHead(appendHead(w.b, 0, key), 3, uint64(len(s))), s...)
}

// ID writes 32 bytes under key.
func (w *PlainWriter) ID(key uint64, id [32]byte) {
	w.b = append(appendHead(appendHead(w.b, 0, key), 2, uint64(len(id))), id[:]...)
}

// Bytes returns what was written.
func (w *PlainWriter) Bytes() []byte { return w.b }

// appendHead writes the head of an item of a major type, in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < shortest[0]:
		return append(b, major|byte(n))
	case n < shortest[1]:
		return append(b, major|24, byte(n))
	case n < shortest[2]:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < shortest[3]:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
