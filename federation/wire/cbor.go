package wire

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// Deterministic encoding of RFC 8949, section 4.2.1, and a decoder that refuses
// what the encoder would not have written.
var (
	cborEnc   = mustEnc()
	cborDec   = mustDec(cbor.ExtraDecErrorUnknownField)
	cborLoose = mustDec(cbor.ExtraDecErrorNone) // for LaterVersion alone
)

func mustEnc() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // an empty list is written in one way, whatever Go calls it
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func mustDec(unknown cbor.ExtraDecErrorCond) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: unknown,
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
	var v struct {
		Version cbor.RawMessage `cbor:"1,keyasint"`
		Suite   cbor.RawMessage `cbor:"2,keyasint"` // something else where there are no suites
	}
	return cborLoose.Unmarshal(b, &v) == nil && (above(v.Version, Version) || above(v.Suite, Suite))
}

// above reports whether item is an unsigned integer greater than n.
func above(item []byte, n uint64) bool {
	var v uint64
	return len(item) > 0 && item[0]>>5 == 0 && cborLoose.Unmarshal(item, &v) == nil && v > n
}

// DecodeOwn is DecodeCBOR for what the caller wrote with EncodeCBOR and kept
// where nobody else writes. It is not encoded again to compare, which takes half
// of the time.
func DecodeOwn(what string, b []byte, v any) error {
	if decodePlain(b, v) {
		return nil
	}
	if err := cborDec.Unmarshal(b, v); err != nil {
		return Errorf(Invalid, what, "not the expected CBOR: %v", err)
	}
	return nil
}
