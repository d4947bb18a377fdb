package wire

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A second factor is something that a log-in needs beside the password, and so does
// what changes an account: the code that an app shows at the moment (TOTP, RFC 6238),
// or one of ten backup codes. It guards the session alone. The node knows the secret
// and checks the codes, so nothing of it is between the node and what is encrypted.

// HeaderSecondFactor is the header with a code, in requests of a session. A log-in has
// it in its body.
const HeaderSecondFactor = "Second-Factor"

// A FactorKind is a kind of second factor.
type FactorKind uint64

// FactorTOTP is the only kind so far: SHA-1, 30 s, 6 digits, as all apps know it.
const FactorTOTP FactorKind = 1

// What a TOTP is made of (RFC 6238, section 4).
const (
	TOTPStep       = 30 // s
	totpDigits     = 6
	totpSecretSize = 20 // bytes, as RFC 4226 recommends
)

// What backup codes are: 80 random bits each, so that their hashes can be kept.
const (
	BackupCodes        = 10 // of an account
	backupCodeSize     = 10 // bytes
	backupCodeLength   = 16
	backupCodeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // as in the recovery code
)

var backupCodeEncoding = base32.NewEncoding(backupCodeAlphabet)

// A TOTPSecret is what an app and a node make codes of. It does not print.
type TOTPSecret struct {
	b func() [totpSecretSize]byte // a function for the reason given at seed; nil is none
}

// NewTOTPSecret takes 20 of 32 random bytes.
func NewTOTPSecret(random [32]byte) TOTPSecret {
	return TOTPSecret{func() [totpSecretSize]byte { return [totpSecretSize]byte(random[:totpSecretSize]) }}
}

// TOTPSecretFromBytes takes the bytes of a secret, as Bytes returns them.
func TOTPSecretFromBytes(b []byte) (TOTPSecret, error) {
	if len(b) != totpSecretSize {
		return TOTPSecret{}, Errorf(Invalid, "secret", "%d bytes were expected, not %d", totpSecretSize, len(b))
	}
	fixed := [totpSecretSize]byte(b)
	return TOTPSecret{func() [totpSecretSize]byte { return fixed }}, nil
}

func (TOTPSecret) String() string             { return Redacted }
func (TOTPSecret) GoString() string           { return Redacted }
func (TOTPSecret) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// IsZero reports whether the secret was never set.
func (s TOTPSecret) IsZero() bool { return s.b == nil }

// Bytes returns the 20 bytes, for a record only; none of a secret that was never set.
func (s TOTPSecret) Bytes() []byte {
	if s.b == nil {
		return nil
	}
	b := s.b()
	return b[:]
}

// Reveal returns the 32 characters that an app takes: base32 as in RFC 4648.
func (s TOTPSecret) Reveal() string { return base32.StdEncoding.EncodeToString(s.Bytes()) }

// Code returns the code of a time step, which is the time in s since 1970, divided by
// TOTPStep (RFC 4226, section 5.3; TestTOTP has the vectors of RFC 6238).
func (s TOTPSecret) Code(step uint64) FactorCode {
	mac := hmac.New(sha1.New, s.Bytes())
	mac.Write(binary.BigEndian.AppendUint64(nil, step))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[at:]) & (1<<31 - 1)
	return newFactorCode(fmt.Sprintf("%0*d", totpDigits, number%1_000_000))
}

// UnmarshalText accepts the one spelling of a secret. Errors never repeat it.
func (s *TOTPSecret) UnmarshalText(text []byte) error {
	b, _ := base32.StdEncoding.DecodeString(string(text)) // of what is malformed a part, which is written otherwise
	secret, err := TOTPSecretFromBytes(b)
	if err != nil || secret.Reveal() != string(text) {
		return Errorf(Invalid, "secret", "%d characters of base32 were expected", base32.StdEncoding.EncodedLen(totpSecretSize))
	}
	*s = secret
	return nil
}

// A FactorCode is what somebody shows: six digits of an app, or a backup code of 16
// characters. It works once, and does not print.
type FactorCode struct {
	text func() string // a function for the reason given at seed; nil is none
}

func newFactorCode(text string) FactorCode { return FactorCode{func() string { return text }} }

// NewBackupCode makes a backup code out of 10 of 32 random bytes.
func NewBackupCode(random [32]byte) FactorCode {
	return newFactorCode(backupCodeEncoding.EncodeToString(random[:backupCodeSize]))
}

// ParseFactorCode accepts the one spelling of a code. Errors never repeat it.
func ParseFactorCode(s string) (FactorCode, error) {
	alphabet := backupCodeAlphabet
	if len(s) == totpDigits {
		alphabet = "0123456789"
	}
	if len(s) != totpDigits && len(s) != backupCodeLength || strings.Trim(s, alphabet) != "" {
		return FactorCode{}, Errorf(Invalid, "second factor", "a code has %d digits, or it is a backup code of %d characters", totpDigits, backupCodeLength)
	}
	return newFactorCode(s), nil
}

func (FactorCode) String() string             { return Redacted }
func (FactorCode) GoString() string           { return Redacted }
func (FactorCode) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// IsZero reports whether the code was never set.
func (c FactorCode) IsZero() bool { return c.text == nil }

// IsBackup reports whether it is a backup code.
func (c FactorCode) IsBackup() bool { return len(c.Reveal()) == backupCodeLength }

// Reveal returns the characters of the code.
func (c FactorCode) Reveal() string {
	if c.text == nil {
		return ""
	}
	return c.text()
}

// Hash returns what a node keeps of a backup code of an account.
func (c FactorCode) Hash(a AccountID) Hash { return LabelBackupCode.Hash(a[:], []byte(c.Reveal())) }

// UnmarshalText is ParseFactorCode.
func (c *FactorCode) UnmarshalText(b []byte) (err error) {
	*c, err = ParseFactorCode(string(b))
	return err
}

// SecondFactorReply tells what a log-in of the caller needs beside the password.
type SecondFactorReply struct {
	Kinds  []FactorKind `json:"kinds"`  // none: the password is enough
	Backup int          `json:"backup"` // backup codes that were not used yet
}

// SecondFactorRequest makes an app the second factor. Code is its first one, and shows
// that the app has the secret. Backup are the hashes of BackupCodes codes.
type SecondFactorRequest struct {
	Kind   FactorKind `json:"kind"`
	Secret TOTPSecret `json:"secret"`
	Code   FactorCode `json:"code"`
	Backup []Hash     `json:"backup"`
}

// BackupRequest replaces the backup codes, by the hashes of BackupCodes others.
type BackupRequest struct {
	Backup []Hash `json:"backup"`
}
