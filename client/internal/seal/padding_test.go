package seal

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		b       buckets
		n, want int
	}{
		{entryBuckets, -1, 0}, {entryBuckets, 0, 256}, {entryBuckets, 1, 256}, {entryBuckets, 252, 256},
		{entryBuckets, 253, 512}, {entryBuckets, 508, 512}, {entryBuckets, 509, 1024}, {entryBuckets, 600, 1024},
		{entryBuckets, 1020, 1024}, {entryBuckets, 1021, 2048}, {entryBuckets, 4092, 4096}, {entryBuckets, 4093, 8192},
		{entryBuckets, 16380, 16384}, {entryBuckets, 16381, 32768}, {entryBuckets, 32764, 32768}, {entryBuckets, 32765, 65536},
		{entryBuckets, MaxPlaintext, 65536}, {entryBuckets, MaxPlaintext + 1, 0}, {entryBuckets, 1 << 40, 0},
		{vaultBuckets, 0, 4096}, {vaultBuckets, 4092, 4096}, {vaultBuckets, 4093, 8192}, {vaultBuckets, 1<<20 - 4, 1 << 20},
		{vaultBuckets, 1<<20 - 3, 2 << 20}, {vaultBuckets, MaxVaultPlaintext, 2 << 20}, {vaultBuckets, MaxVaultPlaintext + 1, 0},
	} {
		if got := c.b.bucket(c.n); got != c.want {
			t.Errorf("%d bytes in %v: got %d, want %d", c.n, c.b, got, c.want)
		}
	}
}

func TestPad(t *testing.T) {
	p, err := entryBuckets.pad("entry", []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "padded", p, append([]byte{0, 0, 0, 2, 'h', 'i'}, make([]byte, 250)...))
	_, err = entryBuckets.pad("entry", make([]byte, MaxPlaintext+1))
	wantKind(t, wire.TooLarge, err)
}

// badPadding is what no entry is padded to, by what is wrong.
func badPadding() map[string][]byte {
	of := func(size int, head ...byte) []byte { return append(head, make([]byte, size-len(head))...) }
	return map[string][]byte{
		"nothing":                     {},
		"no whole header":             {0, 0, 0},
		"below the smallest bucket":   of(128, 0, 0, 0, 2),
		"no bucket":                   of(300, 0, 0, 1, 0),
		"one byte less than a bucket": of(511, 0, 0, 1, 0),
		"above the largest bucket":    of(128<<10, 0, 1, 0, 0),
		"a bucket too large":          of(512, 0, 0, 0, 252),
		"a bucket too small":          of(256, 0, 0, 0, 253),
		"a length beyond the end":     of(256, 0, 0, 1, 0),
		"a huge length":               of(256, 0xff, 0xff, 0xff, 0xff),
		"not zero behind the content": of(256, 0, 0, 0, 1, 'a', 1),
		"not zero at the end":         append(of(255, 0, 0, 0, 1, 'a'), 1),
	}
}

func TestUnpadRefuses(t *testing.T) {
	for name, p := range badPadding() {
		if _, err := entryBuckets.unpad("entry", p); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			wantTampered(t, "entry", err)
		}
	}
}

func TestPadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom([]buckets{entryBuckets, vaultBuckets}).Draw(t, "buckets")
		n := rapid.OneOf(rapid.IntRange(0, 5000), rapid.IntRange(0, MaxPlaintext)).Draw(t, "n")
		p, err := b.pad("x", pattern(n))
		if err != nil || len(p) != b.bucket(n) || len(p) < n+padHeader || len(p) > b.low && len(p)/2 >= n+padHeader || len(p)&(len(p)-1) != 0 {
			t.Fatalf("%d bytes: error %v, or padded to %d", n, err, len(p))
		}
		content, err := b.unpad("x", p)
		if err != nil || !bytes.Equal(content, pattern(n)) {
			t.Fatalf("%d bytes: error %v, or other content", n, err)
		}
	})
}
