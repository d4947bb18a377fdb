package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const secretSize = 32

// secret is 32 secret bytes. They are kept in a closure: fmt prints fields that
// are not exported without asking their Format method, and follows pointers there
// for some verbs; of a function it knows the address only (TestSecretsAreNotWritten).
// Nor can functions be compared. The purposes below embed it.
type secret struct{ get func() *[secretSize]byte }

func newSecret(b *[secretSize]byte) secret {
	return secret{get: func() *[secretSize]byte { return b }}
}

func (secret) String() string               { return wire.Redacted }
func (secret) GoString() string             { return wire.Redacted }
func (secret) Format(f fmt.State, _ rune)   { io.WriteString(f, wire.Redacted) }
func (secret) MarshalText() ([]byte, error) { return nil, errWritten }

// MarshalBinary keeps secrets out of gob and CBOR, which would ask for it.
func (secret) MarshalBinary() ([]byte, error) { return nil, errWritten }

var errWritten = errors.New("seal: a secret is not written out")

// IsZero reports whether the secret was never set.
func (s secret) IsZero() bool { return s.get == nil }

// Bytes returns a copy of the 32 bytes, for putting them inside sealed things
// only; nil if the secret was never set.
func (s secret) Bytes() []byte { return append([]byte(nil), s.raw()...) }

// raw returns the bytes themselves, nil if the secret was never set.
func (s secret) raw() []byte {
	if s.get == nil {
		return nil
	}
	return s.get()[:]
}

func randomSecret() secret {
	b := new([secretSize]byte)
	rand.Read(b[:])
	return newSecret(b)
}

// secretFrom copies b. Zeros are refused: they stand for a key that is not
// shared, and nobody draws them.
func secretFrom(what string, b []byte) (secret, error) {
	if len(b) != secretSize || isZero(b) {
		return secret{}, wire.Errorf(wire.Invalid, what, "%d bytes, not all of them zero, were expected", secretSize)
	}
	c := [secretSize]byte(b)
	return newSecret(&c), nil
}

// derive is HKDF-SHA256 of ikm with an empty salt and the label as info.
func derive(ikm []byte, l wire.Label) [secretSize]byte {
	b, err := hkdf.Key(sha256.New, ikm, nil, string(l), secretSize)
	if err != nil {
		panic("seal: " + err.Error()) // 32 bytes are far below the limit of HKDF
	}
	return [secretSize]byte(b)
}

func derivedSecret(ikm []byte, l wire.Label) secret {
	b := derive(ikm, l)
	return newSecret(&b)
}

func isZero(b []byte) bool {
	var or byte
	for _, c := range b {
		or |= c
	}
	return or == 0
}
