package node

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// tail is the probability that at least count of n random bytes are in a set of
// share p, added up exactly.
func tail(count, n int, p float64) (sum float64) {
	choose := func(k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	for k := count; k <= n; k++ {
		sum += math.Exp(choose(k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return sum
}

// sealedSizes are all that is sealed has, up to the longest post.
func sealedSizes() (sizes []int) {
	for n := 32; n <= 64<<10+72+64; n++ {
		if exactly(sealedKeySize)(n) || exactly(wire.SelfKeySize)(n) || exactly(wire.WrapSize)(n) || padded(256, 64<<10)(n) {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// TestLegible: of what is sealed, less than 2 of 10^15 fields are called legible, at
// every size that there is, added up exactly; and what people write is, in whatever
// language or spelling, however short.
func TestLegible(t *testing.T) {
	sizes := sealedSizes()
	if len(sizes) != 3+9 {
		t.Fatalf("got %d sizes: %d", len(sizes), sizes)
	}
	for _, n := range sizes {
		chance := 0.
		for p, sets := range map[float64]float64{printableShare: 1, 1. / 256: 256} {
			count := int(p*float64(n)) + 1
			for ; count <= n && surprise(count, n, p) <= legibleBound; count++ {
			}
			chance += sets * tail(count, n, p)
		}
		chance += math.Pow(0.6, float64(n))
		if chance > 2e-15 {
			t.Errorf("%d random bytes are called legible with a probability of %g", n, chance)
		}
		plain := 0.
		for b := range 256 {
			if isPrintable(byte(b)) {
				plain++
			}
		}
		if plain/256 != printableShare {
			t.Errorf("the share of what can be printed is %v, not %v", plain/256, printableShare)
		}
	}
	random := mathrand.NewChaCha8([32]byte{1})
	for range 20_000 {
		b := make([]byte, sealedKeySize)
		random.Read(b)
		if why := legible(b); why != "" {
			t.Fatalf("random bytes are called legible: %s", why)
		}
	}
	random.Read(make([]byte, 1))
	some := sealedLike(1 << 10)
	record := must(json.Marshal(map[string]any{"name": "Ada", "seen": []int{1, 2, 3}, "text": strings.Repeat("words ", 20)}))
	for name, text := range map[string]string{
		"English": strings.Repeat("The quick brown fox jumps over the lazy dog. ", 4), "German": strings.Repeat("Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich. ", 4),
		"Russian": strings.Repeat("Съешь же ещё этих мягких французских булок. ", 4), "Chinese": strings.Repeat("天地玄黃宇宙洪荒日月盈昃辰宿列張", 4),
		"base64": base64.StdEncoding.EncodeToString(some), "hexadecimal": hex.EncodeToString(some), "JSON": string(record),
		"zeros": strings.Repeat("\x00", 104), "CBOR of ids": string(wire.EncodeCBOR(make([]wire.Hash, 4))),
		"a padded text": "\x00\x00\x00\x2a" + strings.Repeat("seen by nobody", 3) + strings.Repeat("\x00", 210),
		"UTF-16":        string(utf16(strings.Repeat("The quick brown fox. ", 6))),
		"half text":     string(some[:40]) + strings.Repeat("The quick brown fox jumps. ", 8),
	} {
		if len(text) < sealedKeySize || legible([]byte(text)) == "" {
			t.Errorf("%s, %d bytes: passes for sealed", name, len(text))
		}
	}
}

func utf16(s string) (b []byte) {
	for i := range len(s) {
		b = append(b, s[i], 0)
	}
	return b
}

// TestPadded: the sizes of what is sealed are those that docs/protocol.md names.
func TestPadded(t *testing.T) {
	for size, want := range map[int]bool{328: true, 327: false, 256: false, 1096: true, 584: true, 64<<10 + 136: true, 128<<10 + 56 + 9*16: false, 0: false} {
		if padded(256, 64<<10)(size) != want {
			t.Errorf("an entry of %d bytes: got %t", size, !want)
		}
	}
	for size, want := range map[int]bool{4168: true, 328: false, 2<<20 + 2120: true, 4096: false} {
		if padded(4<<10, 2<<20)(size) != want {
			t.Errorf("a vault of %d bytes: got %t", size, !want)
		}
	}
}
