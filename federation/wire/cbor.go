package wire

import "bytes"

// Deterministic encoding of RFC 8949, section 4.2.1, and a decoder that refuses
// what the encoder would not have written.

// EncodeCBOR writes v, a struct of this module with integer keys, in its one
// encoding. It panics on types that cannot be encoded: that is a programming
// error, no input reaches it.
func EncodeCBOR(v any) []byte {
	b, err := marshalCBOR(v)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

// DecodeCBOR reads b into v, a pointer to a zero struct, and refuses everything
// but the bytes EncodeCBOR writes for the result. what names the object in the
// error.
func DecodeCBOR(what string, b []byte, v any) error {
	if decodePlain(b, v) {
		return nil
	}
	if err := DecodeOwn(what, b, v); err != nil {
		return err
	}
	if !bytes.Equal(EncodeCBOR(v), b) {
		return Errorf(Invalid, what, "not in the deterministic encoding")
	}
	return nil
}

// decodePlain reads what is read most, if it is as EncodeCBOR writes it.
func decodePlain(b []byte, v any) bool {
	switch v := v.(type) {
	case *EntryHeader:
		return v.decodePlain(b)
	case *Slots:
		return v.decodePlain(b)
	}
	return false
}

// LaterVersion reports whether b, which DecodeCBOR refuses, is a map of a later
// version (key 1) or another suite (key 2): it may have other members, and whoever
// reads it is told to update, not that the bytes are malformed.
func LaterVersion(b []byte) bool {
	version, suite, ok := firstTwo(b)
	return ok && (version > Version || suite > Suite)
}

// DecodeOwn is DecodeCBOR for what the caller wrote with EncodeCBOR and kept
// where nobody else writes. It is not encoded again to compare, which takes half
// of the time.
func DecodeOwn(what string, b []byte, v any) error {
	if decodePlain(b, v) {
		return nil
	}
	if err := unmarshalCBOR(b, v); err != nil {
		return Errorf(Invalid, what, "not the expected CBOR: %v", err)
	}
	return nil
}
