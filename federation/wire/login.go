package wire

import "bytes"

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
	w := WritePlain(256, 7)
	w.Number(1, c.Version)
	w.Number(2, c.Suite)
	w.Text(3, string(c.Node))
	w.Text(4, string(c.Handle))
	w.Text(5, string(c.Purpose))
	w.ID(6, c.Nonce)
	w.Time(7, c.Expires)
	return w.Bytes()
}

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
