// Package seal turns what a person says into ciphertext and back, and makes and
// derives every secret that takes part in it. Nodes do not link it; it has no
// clock, no network and no disk, and its only input from outside is randomness
// (crypto/rand).
//
// # Sealed bytes
//
// Everything under a symmetric key is c2sp.org/chunked-encryption with SHA-512
// and AEAD_CHACHA20_POLY1305 (chunk.go): one function seals, one opens. The
// context of each object is a label and the deterministic CBOR of all that fixes
// its place, so that a row put elsewhere does not open.
//
// Everything to a public key is HPKE (RFC 9180) in base mode with
// MLKEM768-X25519, HKDF-SHA256 and ChaCha20-Poly1305 (box.go); there the same
// message is the info. HPKE tells nothing about who sealed: what it opens to is
// checked against a commitment (wraps) or lies under a signature (slots, self
// keys).
//
// Derived keys are HKDF-SHA256 (RFC 5869) with an empty salt and the label as info.
//
// # What it refuses
//
// What does not open gives one error, wire.Tampered with the object's name:
// nobody learns from it whether key, place, length or a bit was wrong. A key
// that was never set neither seals nor opens. Secrets print as "[redacted]",
// refuse to be marshalled, cannot be compared with ==, and have one type for
// each purpose.
//
// The formats are specified in docs/protocol.md; docs/vectors has frozen cases
// for each (TestVectors).
package seal
