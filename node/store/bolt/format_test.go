package bolt

import (
	"fmt"
	"testing"
)

// TestExample makes the value that the package comment shows.
func TestExample(t *testing.T) {
	key := []byte("post/ann/7")
	stored := append(make([]byte, headSize), "hi"...)
	seal(key, stored, 42)
	if got, want := fmt.Sprintf("% x", stored), "b5 88 ff 7c c2 c3 56 ab 00 00 00 00 00 00 00 2a 68 69"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestSums flips each bit of a record, and of its key.
func TestSums(t *testing.T) {
	key, stored := []byte("post/ann/7"), append(make([]byte, headSize), "hi"...)
	seal(key, stored, 42)
	p := pair{key, stored}
	if !p.intact() || !p.legible() {
		t.Fatal("a record that was just sealed is not intact")
	}
	for bit := range 8 * (len(key) + len(stored)) {
		b, at := key, bit/8
		if at >= len(key) {
			b, at = stored, at-len(key)
		}
		b[at] ^= 1 << (bit % 8)
		inKey, inKeySum := bit/8 < len(key), bit/8 >= len(key) && at < recordSum
		if got := p.intact(); got != inKeySum {
			t.Errorf("bit %d: got intact: %t", bit, got)
		}
		if got := p.legible(); got == inKey {
			t.Errorf("bit %d: got legible: %t", bit, got)
		}
		b[at] ^= 1 << (bit % 8)
	}
	if cut := (pair{key, stored[:len(stored)-1]}); cut.intact() || !cut.legible() {
		t.Error("of a value that was cut, not just the key is legible")
	}
	for _, p := range []pair{{}, {key, nil}, {key, stored[:headSize-1]}, {key[:9], stored}, {stored, key}} {
		if p.intact() || p.legible() {
			t.Errorf("%q, %q counts as a record", p.key, p.stored)
		}
	}
}

// TestFrames reads frames that were written, and none of which a bit was flipped,
// that was cut, or that is of another log.
func TestFrames(t *testing.T) {
	key, stored := []byte("post/ann/7"), append(make([]byte, headSize), "hi"...)
	seal(key, stored, 42)
	b := make([]byte, frameHead)
	for _, p := range []pair{{key, stored}, {[]byte("gone"), nil}} {
		b = appendRecord(b, p)
	}
	used := len(b)
	b = closeFrame(b, 7, 8, 43)
	f, ok := parseFrame(b, 7)
	if !ok || f.sequence != 8 || f.revision != 43 || f.blocks() != len(b) || len(b) != blockSize {
		t.Fatalf("got %+v, %t, %d bytes", f, ok, len(b))
	}
	first, rest, ok1 := nextRecord(f.records)
	second, rest, ok2 := nextRecord(rest)
	if !ok1 || !ok2 || len(rest) > 0 || string(first.key) != "post/ann/7" || !first.intact() || string(second.key) != "gone" || second.stored != nil {
		t.Errorf("got %q, %q and %d bytes", first, second, len(rest))
	}
	if _, ok := parseFrame(b, 6); ok {
		t.Error("a frame of another log counts")
	}
	for bit := range 8 * used {
		b[bit/8] ^= 1 << (bit % 8)
		if _, ok := parseFrame(b, 7); ok {
			t.Errorf("bit %d: the frame counts", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for n := range used {
		if _, ok := parseFrame(b[:n], 7); ok {
			t.Errorf("%d of %d bytes: the frame counts", n, used)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, recordHead), {0, 1, 0, 0, 0, 9, 'k'}, {0, 1, 0xff, 0xff, 0xff, 0xff, 'k'}} {
		if _, _, ok := nextRecord(b); ok {
			t.Errorf("%x counts as a record", b)
		}
	}
}
