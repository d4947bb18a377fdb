package wire

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// Deterministic encoding of RFC 8949, section 4.2.1, and a decoder that refuses
// what the encoder would not have written.
var (
	cborEnc = mustEnc()
	cborDec = mustDec()
)

func mustEnc() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func mustDec() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   8,
		MaxArrayElements:  1 << 16,
		MaxMapPairs:       1 << 10,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// EncodeCBOR writes v, a struct of this module with integer keys, in its one
// encoding. It panics on types that cannot be encoded: that is a programming
// error, no input reaches it.
func EncodeCBOR(v any) []byte {
	b, err := cborEnc.Marshal(v)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

// DecodeCBOR reads b into v, a pointer to a zero struct, and refuses everything
// but the bytes EncodeCBOR writes for the result. what names the object in the
// error.
func DecodeCBOR(what string, b []byte, v any) error {
	if err := cborDec.Unmarshal(b, v); err != nil {
		return Errorf(Invalid, what, "not the expected CBOR: %v", err)
	}
	if !bytes.Equal(EncodeCBOR(v), b) {
		return Errorf(Invalid, what, "not in the deterministic encoding")
	}
	return nil
}
