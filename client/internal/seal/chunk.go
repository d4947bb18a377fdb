package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Sealed bytes, c2sp.org/chunked-encryption, with HKDF-Expand of SHA-512:
//
//	salt         24 bytes, random
//	commitment   32 bytes
//	chunks       16,384 bytes of plaintext and 16 of tag each; the last one is
//	             shorter, and empty when the plaintext is a multiple of 16,384
//
//	key (32) || base nonce (12) || commitment (32) = HKDF-Expand(input key,
//	    "c2sp.org/chunked-encryption@v1+" || name of the AEAD || 0x00 || salt || context, 76)
//
// Chunk i has no associated data and the nonce (base nonce XOR i), i as 12 bytes
// big-endian. For example 32 bytes of plaintext are sealed as 104 bytes.
const (
	saltSize       = 24
	commitmentSize = 32
	headerSize     = saltSize + commitmentSize
	chunkSize      = 16 << 10
	tagSize        = 16
	nonceSize      = 12
	maxChunks      = 1 << 38
	infoPrefix     = "c2sp.org/chunked-encryption@v1+"
)

// A suite is an AEAD and its name in IANA's registry. There is one; tests run
// the same code with AEAD_AES_256_GCM, which has public vectors.
type suite struct {
	name string
	aead func(key []byte) (cipher.AEAD, error)
}

var suite1 = suite{"AEAD_CHACHA20_POLY1305", chacha20poly1305.New}

// A message is one sealed message: its derived keys and the number of its next
// chunk. It works chunk by chunk, for streams as for bytes in memory.
type message struct {
	aead       cipher.AEAD
	base       [nonceSize]byte
	commitment [commitmentSize]byte
	next       uint64
}

var errSeal = errors.New("seal: the message has no such form")

// message derives the keys of a message from a 32-byte input key.
func (s suite) message(key, salt, context []byte) (*message, error) {
	if len(key) != secretSize {
		return nil, errSeal
	}
	info := make([]byte, 0, len(infoPrefix)+len(s.name)+1+len(salt)+len(context))
	info = append(info, infoPrefix...)
	info = append(info, s.name...)
	info = append(info, 0)
	info = append(info, salt...)
	info = append(info, context...)
	b, err := hkdf.Expand(sha512.New, key, string(info), secretSize+nonceSize+commitmentSize)
	if err != nil {
		return nil, err
	}
	aead, err := s.aead(b[:secretSize])
	if err != nil {
		return nil, err
	}
	return &message{
		aead:       aead,
		base:       [nonceSize]byte(b[secretSize:]),
		commitment: [commitmentSize]byte(b[secretSize+nonceSize:]),
	}, nil
}

// nonce returns the nonce of the next chunk and counts it.
func (m *message) nonce() (n [nonceSize]byte, err error) {
	if m.next >= maxChunks {
		return n, errSeal
	}
	n = m.base
	low := n[nonceSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^m.next)
	m.next++
	return n, nil
}

// seal appends the next chunk to dst; it is the last one if it is shorter than
// chunkSize.
func (m *message) seal(dst, chunk []byte) ([]byte, error) {
	n, err := m.nonce()
	if err != nil {
		return nil, err
	}
	return m.aead.Seal(dst, n[:], chunk, nil), nil
}

// open appends the plaintext of the next chunk to dst.
func (m *message) open(dst, chunk []byte) ([]byte, error) {
	n, err := m.nonce()
	if err != nil {
		return nil, err
	}
	return m.aead.Open(dst, n[:], chunk, nil)
}

// seal is the whole message of plaintext. A salt must not repeat under a key.
func (s suite) seal(salt [saltSize]byte, key, context, plaintext []byte) ([]byte, error) {
	m, err := s.message(key, salt[:], context)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, sealedSize(len(plaintext)))
	out = append(out, salt[:]...)
	out = append(out, m.commitment[:]...)
	for {
		n := min(len(plaintext), chunkSize)
		if out, err = m.seal(out, plaintext[:n]); err != nil || n < chunkSize {
			return out, err
		}
		plaintext = plaintext[n:]
	}
}

// open returns the plaintext of a whole message, or nothing of it.
func (s suite) open(key, context, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+tagSize {
		return nil, errSeal
	}
	m, err := s.message(key, sealed[:saltSize], context)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(m.commitment[:], sealed[saltSize:headerSize]) != 1 {
		return nil, errSeal
	}
	rest := sealed[headerSize:]
	out := make([]byte, 0, len(rest))
	for {
		// A message that was cut between two chunks ends here with n = 0, which
		// is too short for a tag.
		n := min(len(rest), chunkSize+tagSize)
		if out, err = m.open(out, rest[:n]); err != nil {
			return nil, err
		}
		if n < chunkSize+tagSize {
			return out, nil
		}
		rest = rest[n:]
	}
}

// sealedSize is the length of n bytes once they are sealed.
func sealedSize(n int) int { return headerSize + n + tagSize*(n/chunkSize+1) }

// context is what fixes the place of a sealed object: label || 0x00 || CBOR of at,
// a pointer to a struct with integer keys.
func context(l wire.Label, at any) []byte { return l.Message(wire.EncodeCBOR(at)) }

// sealBytes is the only way to seal under a key. what names the object in errors.
func sealBytes(what string, key secret, context, plaintext []byte) ([]byte, error) {
	if key.IsZero() {
		return nil, errUnset(what)
	}
	var salt [saltSize]byte
	rand.Read(salt[:])
	return suite1.seal(salt, key.raw(), context, plaintext)
}

// openBytes is the only way to open what sealBytes made.
func openBytes(what string, key secret, context, sealed []byte) ([]byte, error) {
	if key.IsZero() {
		return nil, errTampered(what)
	}
	b, err := suite1.open(key.raw(), context, sealed)
	if err != nil {
		return nil, errTampered(what)
	}
	return b, nil
}

// errTampered is the one answer to whatever does not open.
func errTampered(what string) error { return wire.Errorf(wire.Tampered, what, "does not open") }

// errUnset tells of a mistake in the program: there is no key to seal with.
func errUnset(what string) error {
	return wire.Errorf(wire.Internal, what, "cannot be sealed: a key was never set")
}
