package seal

import (
	"crypto/hpke"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What is sealed to a public key, HPKE (RFC 9180) in base mode, KEM 0x647a, KDF
// 0x0001, AEAD 0x0003, no associated data:
//
//	encapsulated key   1,120 bytes: 1,088 of ML-KEM-768, 32 of X25519
//	ciphertext         the plaintext and 16 bytes of tag
//
// The info is label || 0x00 || CBOR of the place.

// boxSeal is the only way to seal to a public key.
func boxSeal(what string, to [1216]byte, info, plaintext []byte) ([]byte, error) {
	key, err := wire.KEM().NewPublicKey(to[:])
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, what, "cannot be sealed: the key it goes to is malformed")
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plaintext)
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, what, "cannot be sealed to the key it goes to")
	}
	return sealed, nil
}

// boxOpen is the only way to open what boxSeal made of a plaintext of size bytes.
func boxOpen(what string, s kemSecret, info, sealed []byte, size int) ([]byte, error) {
	if s.IsZero() {
		return nil, errTampered(what)
	}
	b, err := hpke.Open(*s.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
	if err != nil || len(b) != size {
		return nil, errTampered(what)
	}
	return b, nil
}
