package wire

import (
	"bytes"
	"crypto/hpke"
	"math/big"
)

// IdentityKey is a person's Ed25519 verification key; each of the others below
// has its own purpose and its own type.
type IdentityKey [32]byte

// RecoveryKey verifies key statements made with the recovery code.
type RecoveryKey [32]byte

// LoginKey verifies log-ins.
type LoginKey [32]byte

// NodeRootKey verifies node documents.
type NodeRootKey [32]byte

// NodeRequestKey verifies requests between nodes.
type NodeRequestKey [32]byte

// EncryptionKey is an HPKE public key for MLKEM768-X25519 (KEM 0x647a): 1,184
// bytes of ML-KEM-768 (FIPS 203) and 32 of X25519 (RFC 7748).
type EncryptionKey [1216]byte

// RecoveryEncryptionKey is the same for what the recovery code opens.
type RecoveryEncryptionKey [1216]byte

func (k NodeRootKey) MarshalText() ([]byte, error)    { return []byte(encode32(k)), nil }
func (k NodeRequestKey) MarshalText() ([]byte, error) { return []byte(encode32(k)), nil }
func (k IdentityKey) MarshalText() ([]byte, error)    { return []byte(encode32(k)), nil }

// KEM returns the key encapsulation of suite 1.
func KEM() hpke.KEM { return hpke.MLKEM768X25519() }

// p is 2^255 - 19; d the constant of edwards25519 (RFC 8032, section 5.1).
var (
	curveP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD = curveConstant()
)

func curveConstant() *big.Int {
	inv := new(big.Int).ModInverse(big.NewInt(121666), curveP)
	d := inv.Mul(inv, big.NewInt(-121665))
	return d.Mod(d, curveP)
}

// littleEndian reads b as a number, without the top bit.
func littleEndian(b []byte) *big.Int {
	r := bytes.Clone(b)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	r[0] &= 0x7f
	return new(big.Int).SetBytes(r)
}

// CheckEd25519 refuses public keys that are not the canonical encoding of a
// point of the curve, or of low order: a signature under those can be valid for
// many messages. Keys are checked once, when they are imported.
func CheckEd25519(what string, k [32]byte) error {
	y := littleEndian(k[:])
	if y.Cmp(curveP) >= 0 {
		return Errorf(Invalid, what, "the key is not in canonical form")
	}
	y2 := new(big.Int).Mul(y, y)
	y2.Mod(y2, curveP)
	num := new(big.Int).Sub(y2, big.NewInt(1))
	den := new(big.Int).Mul(curveD, y2)
	den.Add(den, big.NewInt(1)).ModInverse(den.Mod(den, curveP), curveP)
	x2 := num.Mul(num, den)
	x2.Mod(x2, curveP)
	x := new(big.Int).ModSqrt(x2, curveP)
	if x == nil {
		return Errorf(Invalid, what, "the key is not a point of the curve")
	}
	if lowOrder(x, y) {
		return Errorf(Invalid, what, "the key has low order")
	}
	return nil
}

// lowOrder reports whether 8 * (x, y) is the neutral element. The sign of x does
// not matter.
func lowOrder(x, y *big.Int) bool {
	for range 3 {
		x, y = doublePoint(x, y)
	}
	return x.Sign() == 0 && y.Cmp(big.NewInt(1)) == 0
}

// doublePoint is the affine addition law of RFC 8032, section 5.1.4, for a point
// and itself.
func doublePoint(x, y *big.Int) (*big.Int, *big.Int) {
	mod := func(v *big.Int) *big.Int { return v.Mod(v, curveP) }
	x2, y2 := mod(new(big.Int).Mul(x, x)), mod(new(big.Int).Mul(y, y))
	t := mod(new(big.Int).Mul(curveD, mod(new(big.Int).Mul(x2, y2))))
	one := big.NewInt(1)
	dx := new(big.Int).ModInverse(mod(new(big.Int).Add(one, t)), curveP)
	dy := new(big.Int).ModInverse(mod(new(big.Int).Sub(one, t)), curveP)
	nx := mod(new(big.Int).Mul(new(big.Int).Lsh(new(big.Int).Mul(x, y), 1), dx))
	ny := mod(new(big.Int).Mul(new(big.Int).Add(y2, x2), dy))
	return nx, ny
}

// CheckEncryptionKey refuses keys that are malformed (ML-KEM modulus check,
// FIPS 203 section 7.2) or whose X25519 half is not canonical or of low order.
func CheckEncryptionKey(what string, k [1216]byte) error {
	if _, err := KEM().NewPublicKey(k[:]); err != nil {
		return Errorf(Invalid, what, "the key is malformed")
	}
	x := k[1184:]
	u := littleEndian(x)
	if x[31]&0x80 != 0 || u.Cmp(curveP) >= 0 {
		return Errorf(Invalid, what, "the X25519 key is not in canonical form")
	}
	if lowOrderU(u) {
		return Errorf(Invalid, what, "the X25519 key has low order")
	}
	return nil
}

// lowOrderU reports whether u is one of the five canonical u-coordinates of low
// order on Curve25519 or its twist.
func lowOrderU(u *big.Int) bool {
	minus1 := new(big.Int).Sub(curveP, big.NewInt(1))
	if u.Cmp(big.NewInt(1)) <= 0 || u.Cmp(minus1) == 0 {
		return true
	}
	for _, s := range []string{
		"325606250916557431795983626356110631294008115727848805560023387167927233504",
		"39382357235489614581723060781553021112529911719440698176882885853963445705823",
	} {
		if v, _ := new(big.Int).SetString(s, 10); u.Cmp(v) == 0 {
			return true
		}
	}
	return false
}
