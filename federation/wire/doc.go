// Package wire holds the words that clients and nodes exchange: names and ids,
// signed statements, stream entries, wraps, the types of the two HTTP APIs,
// error kinds and limits. It is pure data: it computes, parses and checks, and
// touches neither network, disk, clock nor randomness.
//
// # Signed statements
//
// A statement travels as its 64-byte Ed25519 signature (RFC 8032) followed by
// its payload. The signature covers
//
//	label || 0x00 || payload
//
// where label is one of the constants in label.go, so that no signature can be
// read as one of another kind. The payload is a CBOR map with small integer
// keys in the deterministic encoding of RFC 8949, section 4.2. The only way from
// bytes to a statement is its Open function: it verifies the bytes as received
// and only then decodes them, strictly. Unknown and duplicate keys, trailing
// bytes, other lengths and every second spelling are refused, so
// encode(decode(x)) == x holds for all that is accepted (FuzzStatements).
//
// A statement is named by SHA-256(label || 0x00 || payload). The signature is
// left out, so nobody can give one statement two names.
//
// # What is refused
//
// Every object starts with a version and a suite. Those this package does not
// know are refused with kind "update"; nothing is negotiated. The limits in
// limits.go hold before anything is decoded.
//
// The formats are specified for other implementations in docs/protocol.md, with
// vectors in docs/vectors.
package wire
