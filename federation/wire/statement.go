package wire

import (
	"crypto/ed25519"
)

// Signed is a statement as it travels and is stored: 64 bytes of signature, then
// the payload. In JSON it is base64url.
type Signed []byte

// MarshalText writes base64url.
func (s Signed) MarshalText() ([]byte, error) { return Bytes(s).MarshalText() }

// UnmarshalText accepts exactly what MarshalText writes.
func (s *Signed) UnmarshalText(t []byte) error { return (*Bytes)(s).UnmarshalText(t) }

// payload returns the signed bytes, or nil when s is too short to have any.
func (s Signed) payload() []byte {
	if len(s) <= ed25519.SignatureSize {
		return nil
	}
	return s[ed25519.SignatureSize:]
}

// Hash names the statement: SHA-256(label || 0x00 || payload).
func (s Signed) Hash(l Label) Hash { return l.Hash(s.payload()) }

// sign encodes a checked statement and signs it.
func sign(l Label, statement any, key seed) Signed {
	p := EncodeCBOR(statement)
	s := make(Signed, 0, ed25519.SignatureSize+len(p))
	s = append(s, ed25519.Sign(key.key(), l.Message(p))...)
	return append(s, p...)
}

// verify checks the signature over the bytes as received.
func (s Signed) verify(l Label, key [32]byte, limit int) error {
	if len(s) > limit {
		return Errorf(TooLarge, string(l), "a statement has at most %d bytes", limit)
	}
	if s.payload() == nil || !ed25519.Verify(key[:], l.Message(s.payload()), s[:ed25519.SignatureSize]) {
		return Errorf(Tampered, string(l), "the signature does not verify")
	}
	return nil
}

// checker is a statement that knows what its fields may be.
type checker interface{ check() error }

// open verifies s as received, then decodes and checks it.
func open(l Label, s Signed, key [32]byte, v checker) error {
	if err := s.verify(l, key, MaxStatement); err != nil {
		return err
	}
	return decode(l, s.payload(), v)
}

// decode reads a payload whose signature is verified, or whose key stands inside.
func decode(l Label, payload []byte, v checker) error {
	if err := DecodeCBOR(string(l), payload, v); err != nil {
		if LaterVersion(payload) {
			return Errorf(Update, string(l), "its version or suite is not known here; a newer release is needed")
		}
		return err
	}
	return v.check()
}
