package wire

import (
	"fmt"
	"io"
)

// A Token is 256 random bits that a node knows a session or a device by. It
// travels in the Authorization header and in log-in bodies only, does not print,
// and nodes store its hash.
type Token struct {
	_ [0]func()
	b [32]byte
}

// NewToken wraps 32 random bytes.
func NewToken(b [32]byte) Token { return Token{b: b} }

func (Token) String() string             { return Redacted }
func (Token) GoString() string           { return Redacted }
func (Token) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// Reveal returns the 52 characters that stand in the Authorization header.
func (t Token) Reveal() string { return encode32(t.b) }

// Hash returns what a node stores of the token used as l.
func (t Token) Hash(l Label) Hash { return l.Hash(t.b[:]) }

// IsZero reports whether the token was never set.
func (t Token) IsZero() bool { return t.b == [32]byte{} }

// ParseToken accepts the one spelling of a token.
func ParseToken(s string) (Token, error) {
	b, err := parse32("token", s)
	if err != nil {
		return Token{}, Errorf(Unauthenticated, "", "")
	}
	return Token{b: b}, nil
}

// MarshalText writes the token into an API body.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.Reveal()), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (t *Token) UnmarshalText(b []byte) (err error) {
	*t, err = ParseToken(string(b))
	return err
}
