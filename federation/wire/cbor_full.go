//go:build !js

package wire

import "github.com/fxamacker/cbor/v2"

// In a browser, smallcbor.go takes the place of the library.
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

func marshalCBOR(v any) ([]byte, error)   { return cborEnc.Marshal(v) }
func unmarshalCBOR(b []byte, v any) error { return cborDec.Unmarshal(b, v) }

// firstTwo returns the numbers under the keys 1 and 2 of a map, 0 where there is none.
func firstTwo(b []byte) (one, two uint64, ok bool) {
	var v struct {
		One cbor.RawMessage `cbor:"1,keyasint"`
		Two cbor.RawMessage `cbor:"2,keyasint"` // something else where there are no suites
	}
	if cborLoose.Unmarshal(b, &v) != nil {
		return 0, 0, false
	}
	return unsigned(v.One), unsigned(v.Two), true
}

// unsigned returns an unsigned integer, 0 for anything else.
func unsigned(item []byte) (v uint64) {
	if len(item) > 0 && item[0]>>5 == 0 && cborLoose.Unmarshal(item, &v) == nil {
		return v
	}
	return 0
}
