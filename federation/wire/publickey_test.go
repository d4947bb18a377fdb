package wire

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// The 8 points of low order of edwards25519 in canonical form.
var lowOrderPoints = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // order 1
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
	"0000000000000000000000000000000000000000000000000000000000000000", // order 4
	"0000000000000000000000000000000000000000000000000000000000000080", // order 4
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", // order 8
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", // order 8
}

// Other encodings of points: x = 0 with the sign bit, and y of p and above.
var oddPoints = []string{
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, means 0
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p+1, means 1
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p+3, means 3: a point of high order
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestCheckEd25519(t *testing.T) {
	for _, s := range lowOrderPoints {
		err := CheckEd25519("key", [32]byte(unhex(s)))
		wantKind(t, s, err, Invalid)
		if err != nil && !strings.Contains(err.Error(), "low order") {
			t.Errorf("%s: %v, want low order", s, err)
		}
	}
	for _, s := range oddPoints {
		wantKind(t, s, CheckEd25519("key", [32]byte(unhex(s))), Invalid)
	}
	for i := range 1000 {
		k := NewIdentitySecret(seedOf("good key " + string(rune(i)))).Public()
		if err := CheckEd25519("key", k); err != nil {
			t.Fatalf("good key %x: %v", k, err)
		}
	}
}

// Of all small y about half are points; Go's own decoder is the reference.
func TestNotOnCurve(t *testing.T) {
	on, off := 0, 0
	for y := 2; y < 300; y++ {
		k := [32]byte{byte(y), byte(y >> 8)}
		err := CheckEd25519("key", k)
		if want := isPoint(k); (err == nil) != want {
			t.Errorf("y = %d: %v, want a point: %t", y, err, want)
		}
		if err == nil {
			on++
		} else if strings.Contains(err.Error(), "not a point") {
			off++
		}
	}
	if on < 100 || off < 100 {
		t.Errorf("%d points and %d others are not half and half", on, off)
	}
}

// isPoint solves the equation of the curve -x^2 + y^2 = 1 + d x^2 y^2 for x by
// Euler's criterion, which the code under test does not use.
func isPoint(k [32]byte) bool {
	slices.Reverse(k[:])
	y2 := new(big.Int).SetBytes(k[:])
	y2.Mul(y2, y2)
	u := new(big.Int).Sub(y2, big.NewInt(1))
	v := new(big.Int).Add(new(big.Int).Mul(curveD, y2), big.NewInt(1))
	e := new(big.Int).Rsh(new(big.Int).Sub(curveP, big.NewInt(1)), 1)
	return new(big.Int).Exp(u.Mul(u, v), e, curveP).Cmp(big.NewInt(1)) == 0
}

// Why low order is refused: under the neutral element one signature is valid for
// every message.
func TestLowOrderKeyVerifiesAnything(t *testing.T) {
	neutral := unhex(lowOrderPoints[0])
	sig := append(slices.Clone(neutral), make([]byte, 32)...)
	for _, m := range []string{"one", "other"} {
		if !ed25519.Verify(neutral, []byte(m), sig) {
			t.Errorf("message %q does not verify", m)
		}
	}
	if CheckEd25519("key", [32]byte(neutral)) == nil {
		t.Error("the key is accepted")
	}
}

// u-coordinates of low order on Curve25519 and its twist, and other encodings of them.
var lowUs = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func TestCheckEncryptionKey(t *testing.T) {
	good := encryptionKeyOf("good")
	wantKind(t, "a good key", CheckEncryptionKey("key", good), "")
	for _, s := range lowUs {
		for _, top := range []byte{0, 0x80} {
			k := good
			copy(k[1184:], unhex(s))
			k[1215] |= top
			wantKind(t, s, CheckEncryptionKey("key", k), Invalid)
		}
	}
	high := good
	high[1215] |= 0x80
	wantKind(t, "top bit", CheckEncryptionKey("key", high), Invalid)
	above := good
	copy(above[1184:], unhex("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")) // p+9: the base point again
	wantKind(t, "p+9", CheckEncryptionKey("key", above), Invalid)
	base := good
	copy(base[1184:], append([]byte{9}, make([]byte, 31)...))
	wantKind(t, "u = 9", CheckEncryptionKey("key", base), "")

	for i := 0; i < 1152; i += 3 { // two coefficients of 12 bits: q and above are refused
		for _, c := range []struct {
			v    uint16
			want Kind
		}{{3328, ""}, {3329, Invalid}, {4095, Invalid}} {
			k := good
			k[i], k[i+1] = byte(c.v), k[i+1]&0xf0|byte(c.v>>8)
			wantKind(t, "coefficient", CheckEncryptionKey("key", k), c.want)
		}
		if i > 30 && i < 1120 {
			i += 90
		}
	}
	wantKind(t, "all zero", CheckEncryptionKey("key", [1216]byte{}), Invalid)
	wantKind(t, "all ones", CheckEncryptionKey("key", [1216]byte(filled(1216, 0xff))), Invalid)
	for i := range 50 {
		wantKind(t, "good key", CheckEncryptionKey("key", encryptionKeyOf(string(rune(i)))), "")
	}
}
