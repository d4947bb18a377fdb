package wire

import (
	"bytes"
	"encoding/binary"
)

// Purpose tells which key answers a challenge.
type Purpose string

const (
	PurposeLogin    Purpose = "login"    // the key derived from the password
	PurposeRecovery Purpose = "recovery" // the key derived from the recovery code
)

// A Challenge is what a log-in signs: who, where, what for, and once.
type Challenge struct {
	Version uint64   `cbor:"1,keyasint"`
	Suite   uint64   `cbor:"2,keyasint"`
	Node    NodeName `cbor:"3,keyasint"`
	Handle  Handle   `cbor:"4,keyasint"`
	Purpose Purpose  `cbor:"5,keyasint"`
	Nonce   Nonce    `cbor:"6,keyasint"`
	Expires int64    `cbor:"7,keyasint"` // ms since 1970
}

// Bytes is EncodeCBOR, in a tenth of the time (TestChallengeBytes).
func (c *Challenge) Bytes() []byte {
	if c.Expires < 0 {
		return EncodeCBOR(c)
	}
	b := append(make([]byte, 0, 256), 0xa7, 1)
	b = append(appendHead(b, 0, c.Version), 2)
	b = append(appendHead(b, 0, c.Suite), 3)
	b = append(appendString(b, string(c.Node)), 4)
	b = append(appendString(b, string(c.Handle)), 5)
	b = append(appendString(b, string(c.Purpose)), 6)
	b = append(append(appendHead(b, 2, uint64(len(c.Nonce))), c.Nonce[:]...), 7)
	return appendHead(b, 0, uint64(c.Expires))
}

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

func appendString(b []byte, s string) []byte { return append(appendHead(b, 3, uint64(len(s))), s...) }

func (c *Challenge) check() error {
	if err := checkVersion("challenge", c.Version, c.Suite); err != nil {
		return err
	}
	if c.Purpose != PurposeLogin && c.Purpose != PurposeRecovery {
		return Errorf(Invalid, "purpose", "%q is none: login or recovery was expected", clip(string(c.Purpose)))
	}
	if _, err := ParseHandle(string(c.Handle)); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(c.Node)); err != nil {
		return err
	}
	return checkTime("challenge", c.Expires)
}

// Sign answers the challenge with the password's key.
func (c *Challenge) Sign(s LoginSecret) (Signed, error) { return c.sign(s.seed) }

// SignRecovery answers the challenge with the recovery code's key.
func (c *Challenge) SignRecovery(s RecoveryLoginSecret) (Signed, error) { return c.sign(s.seed) }

func (c *Challenge) sign(s seed) (Signed, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return sign(LabelLogin, c, s), nil
}

// OpenChallenge opens an answer with the account's log-in key.
func OpenChallenge(s Signed, key LoginKey) (*Challenge, error) {
	c := new(Challenge)
	if err := open(LabelLogin, s, key, c); err != nil {
		return nil, err
	}
	return c, nil
}

// AnswersChallenge reports whether s is a challenge as EncodeCBOR writes it, signed
// with the account's log-in key. Who made the challenge need not decode the answer.
func AnswersChallenge(s Signed, challenge []byte, key LoginKey) bool {
	return s.verify(LabelLogin, key, MaxStatement) == nil && bytes.Equal(s.payload(), challenge)
}

// LoginSalt is the salt of the password's key derivation. It holds the address,
// so that no node can make two people share a dictionary.
func LoginSalt(a Address, p Argon2, random Nonce) Hash {
	return LabelLoginSalt.Hash(EncodeCBOR(&loginSalt{a.Handle, a.Node, p, random}))
}

type loginSalt struct {
	Handle Handle   `cbor:"1,keyasint"`
	Node   NodeName `cbor:"2,keyasint"`
	Argon2 Argon2   `cbor:"3,keyasint"`
	Random Nonce    `cbor:"4,keyasint"`
}
