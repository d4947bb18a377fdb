package wire

import (
	"bytes"
	"crypto/hpke"
	"math/big"
	"slices"
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

// ParseNodeRootKey accepts the one spelling in which root keys are shown to operators:
// 52 characters of base32, as of an id.
func ParseNodeRootKey(s string) (NodeRootKey, error) {
	b, err := parse32("root", s)
	return b, err
}

// NodeRequestKey verifies requests between nodes.
type NodeRequestKey [32]byte

// NodeLogKey verifies the checkpoints of a node's transparency log.
type NodeLogKey [32]byte

// NodeWitnessKey verifies what a witness says of the checkpoints of logs.
type NodeWitnessKey [32]byte

// EncryptionKey is an HPKE public key for MLKEM768-X25519 (KEM 0x647a): 1,184
// bytes of ML-KEM-768 (FIPS 203) and 32 of X25519 (RFC 7748).
type EncryptionKey [1216]byte

// RecoveryEncryptionKey is the same for what the recovery code opens.
type RecoveryEncryptionKey [1216]byte

func (k NodeRootKey) MarshalText() ([]byte, error)    { return []byte(encode32(k)), nil }
func (k NodeRequestKey) MarshalText() ([]byte, error) { return []byte(encode32(k)), nil }
func (k IdentityKey) MarshalText() ([]byte, error)    { return []byte(encode32(k)), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (k *NodeRootKey) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(k), err = parse32("node root key", b)
	return err
}

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
	// x^2 = num/den has a root where num*den has one; den is never 0.
	num, den := new(big.Int).Sub(y2, big.NewInt(1)), new(big.Int).Mul(curveD, y2)
	den.Add(den, big.NewInt(1))
	if num.Mul(num, den); big.Jacobi(num.Mod(num, curveP), curveP) < 0 {
		return Errorf(Invalid, what, "the key is not a point of the curve")
	}
	if lowOrderY(y) {
		return Errorf(Invalid, what, "the key has low order")
	}
	return nil
}

// lowOrderY reports whether y is one of the five y-coordinates of points of
// edwards25519 of order 1, 2, 4 or 8.
func lowOrderY(y *big.Int) bool { return edges(y) || contains(lowOrderYs, y) }

var (
	lowOrderYs = decimals(
		"2707385501144840649318225287225658788936804267575313519463743609750303402022",
		"55188659117513257062467267217118295137698188065244968500265048394206261417927",
	)
	lowOrderUs = decimals(
		"325606250916557431795983626356110631294008115727848805560023387167927233504",
		"39382357235489614581723060781553021112529911719440698176882885853963445705823",
	)
)

// edges reports whether n is 0, 1 or p-1.
func edges(n *big.Int) bool {
	return n.Cmp(big.NewInt(1)) <= 0 || new(big.Int).Add(n, big.NewInt(1)).Cmp(curveP) == 0
}

func contains(list []*big.Int, n *big.Int) bool {
	return slices.ContainsFunc(list, func(one *big.Int) bool { return one.Cmp(n) == 0 })
}

func decimals(texts ...string) []*big.Int {
	list := make([]*big.Int, len(texts))
	for i, s := range texts {
		list[i], _ = new(big.Int).SetString(s, 10)
	}
	return list
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
func lowOrderU(u *big.Int) bool { return edges(u) || contains(lowOrderUs, u) }
