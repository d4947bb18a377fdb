package wire

import (
	"fmt"
	"io"
)

// A Token is 256 bits that a node knows a session or a device by: random ones, but
// for the beginning of a session's (TokenShelf). It
// travels in the Authorization header and in log-in bodies only, does not print,
// and nodes store its hash.
type Token struct {
	b func() [32]byte // a function for the reason given at seed; nil is all zero
}

// NewToken wraps 32 random bytes.
func NewToken(b [32]byte) Token { return Token{b: func() [32]byte { return b }} }

// A TokenShelf is how the token of a session begins: with the first bytes of its
// account's id, so that a node finds all sessions of one account together.
type TokenShelf [8]byte

// ShelfOf returns how the tokens of an account's sessions begin.
func ShelfOf(a AccountID) TokenShelf { return TokenShelf(a[:8]) }

// NewSessionToken makes the token of a session out of 32 random bytes, of which 24,
// 192 bits, go into it.
func NewSessionToken(a AccountID, random [32]byte) Token {
	shelf := ShelfOf(a)
	copy(random[:], shelf[:])
	return NewToken(random)
}

// Shelf returns how the token begins.
func (t Token) Shelf() TokenShelf {
	b := t.bytes()
	return TokenShelf(b[:8])
}

func (Token) String() string             { return Redacted }
func (Token) GoString() string           { return Redacted }
func (Token) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

func (t Token) bytes() [32]byte {
	if t.b == nil {
		return [32]byte{}
	}
	return t.b()
}

// Reveal returns the 52 characters that stand in the Authorization header.
func (t Token) Reveal() string { return encode32(t.bytes()) }

// Hash returns what a node stores of the token used as l.
func (t Token) Hash(l Label) Hash {
	b := t.bytes()
	return l.Hash(b[:])
}

// IsZero reports whether the token was never set.
func (t Token) IsZero() bool { return t.bytes() == [32]byte{} }

// ParseToken accepts the one spelling of a token.
func ParseToken(s string) (Token, error) {
	b, err := parse32("token", s)
	if err != nil {
		return Token{}, Errorf(Unauthenticated, "", "")
	}
	return NewToken(b), nil
}

// UnmarshalText reads what stands in a body, where it does not say who asks: what
// is no token is Invalid there.
func (t *Token) UnmarshalText(b []byte) (err error) {
	if *t, err = ParseToken(string(b)); err != nil {
		return Errorf(Invalid, "token", "it is none")
	}
	return nil
}
