package seal

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A recovery code is 160 random bits and 20 bits of checksum, the first of
// LabelRecoveryCheck over the 20 bytes, written as 36 characters of Crockford's
// base32, most significant bits first, in 9 groups:
//
//	0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-866H
//
// The alphabet has no I, L, O and U, so that those who read one of the first
// three off a sheet can have meant one thing only.
const (
	codeSize     = 20 // bytes
	codeData     = 32 // characters of the 160 bits
	codeLength   = 36 // characters in all
	codeGroup    = 4
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	maxCodeInput = 256 // bytes looked at, separators included
)

// RecoveryCode is what a person keeps on paper. It opens the account without the
// password and depends neither on the node nor on the address.
type RecoveryCode struct{ get func() *[codeSize]byte } // a closure, as in secret

func newCode(b *[codeSize]byte) RecoveryCode {
	return RecoveryCode{get: func() *[codeSize]byte { return b }}
}

func (RecoveryCode) String() string                 { return wire.Redacted }
func (RecoveryCode) GoString() string               { return wire.Redacted }
func (RecoveryCode) Format(f fmt.State, _ rune)     { io.WriteString(f, wire.Redacted) }
func (RecoveryCode) MarshalText() ([]byte, error)   { return nil, errWritten }
func (RecoveryCode) MarshalBinary() ([]byte, error) { return nil, errWritten }

// IsZero reports whether the code was never set.
func (c RecoveryCode) IsZero() bool { return c.get == nil }

// NewRecoveryCode draws a random code.
func NewRecoveryCode() RecoveryCode {
	b := new([codeSize]byte)
	rand.Read(b[:])
	return newCode(b)
}

// Reveal returns the code as it is shown to its owner, 36 characters in groups
// of four; "" if it was never set.
func (c RecoveryCode) Reveal() string {
	if c.get == nil {
		return ""
	}
	b := c.get()[:]
	check := wire.LabelRecoveryCheck.Hash(b)
	var s strings.Builder
	for i := range codeLength {
		if i > 0 && i%codeGroup == 0 {
			s.WriteByte('-')
		}
		if i < codeData {
			s.WriteByte(codeAlphabet[five(b, i)])
		} else {
			s.WriteByte(codeAlphabet[five(check[:], i-codeData)])
		}
	}
	return s.String()
}

// five returns the bits 5i to 5i+4 of b, the most significant first.
func five(b []byte, i int) (v byte) {
	for bit := 5 * i; bit < 5*i+5; bit++ {
		v = v<<1 | b[bit/8]>>(7-bit%8)&1
	}
	return v
}

// ParseRecoveryCode reads a code as people type it: in either case, with any
// spaces and dashes or without, with O for 0 and I or L for 1. Errors are
// wire.Invalid and never repeat what was typed.
func ParseRecoveryCode(s string) (RecoveryCode, error) {
	if len(s) > maxCodeInput {
		return RecoveryCode{}, wire.Errorf(wire.Invalid, "recovery code", "it has %d characters in groups of %d", codeLength, codeGroup)
	}
	var digits []byte
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			continue
		}
		v := digit(r)
		if v < 0 {
			return RecoveryCode{}, wire.Errorf(wire.Invalid, "recovery code", "character %d cannot occur in it", len(digits)+1)
		}
		digits = append(digits, byte(v))
	}
	if len(digits) != codeLength {
		return RecoveryCode{}, wire.Errorf(wire.Invalid, "recovery code", "it has %d characters, not %d", codeLength, len(digits))
	}
	b := new([codeSize]byte)
	for i, v := range digits[:codeData] {
		for bit := range 5 {
			b[(5*i+bit)/8] |= v >> (4 - bit) & 1 << (7 - (5*i+bit)%8)
		}
	}
	check := wire.LabelRecoveryCheck.Hash(b[:])
	for i, v := range digits[codeData:] {
		if v != five(check[:], i) {
			return RecoveryCode{}, wire.Errorf(wire.Invalid, "recovery code", "a character is wrong, or two are swapped")
		}
	}
	return newCode(b), nil
}

// digit returns the value of a character, -1 if it has none.
func digit(r rune) int {
	if r >= 'a' && r <= 'z' {
		r -= 'a' - 'A'
	}
	switch r {
	case 'O':
		return 0
	case 'I', 'L':
		return 1
	}
	return strings.IndexRune(codeAlphabet, r)
}

// Secrets derives, by HKDF-SHA256, the key that signs key statements after a
// loss, the key that opens the recovery slot and the self key, and the key that
// answers log-in challenges; zero secrets if the code was never set.
func (c RecoveryCode) Secrets() (wire.RecoverySecret, RecoveryEncryptionSecret, wire.RecoveryLoginSecret) {
	if c.get == nil {
		return wire.RecoverySecret{}, RecoveryEncryptionSecret{}, wire.RecoveryLoginSecret{}
	}
	b := c.get()[:]
	return wire.NewRecoverySecret(derive(b, wire.LabelRecoverySeed)),
		RecoveryEncryptionSecret{newKEM(derivedSecret(b, wire.LabelRecoveryEncryption))},
		wire.NewRecoveryLoginSecret(derive(b, wire.LabelRecoveryLogin))
}
