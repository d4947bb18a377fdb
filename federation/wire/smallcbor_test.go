package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

// manyKinds has what the structs of this module have between them.
type manyKinds struct {
	Version uint64            `cbor:"1,keyasint"`
	Signed  int64             `cbor:"2,keyasint"`
	Small   uint32            `cbor:"3,keyasint,omitzero"`
	Kind    EntryKind         `cbor:"4,keyasint"`
	Is      bool              `cbor:"5,keyasint"`
	Text    string            `cbor:"6,keyasint,omitempty"`
	Bytes   []byte            `cbor:"7,keyasint,omitempty"`
	Hash    Hash              `cbor:"8,keyasint,omitzero"`
	List    []Signed          `cbor:"9,keyasint"`
	Pairs   [2]int64          `cbor:"10,keyasint"`
	Many    []Argon2          `cbor:"11,keyasint,omitempty"`
	Inner   Friendship        `cbor:"12,keyasint"`
	Hidden  Hidden[[]byte]    `cbor:"13,keyasint"`
	Word    Hidden[string]    `cbor:"14,keyasint"`
	Seed    Hidden[[32]byte]  `cbor:"15,keyasint"`
	Late    []Hidden[[]byte]  `cbor:"30,keyasint"`
	Names   map[string]string `cbor:"-"`
	inside  int
	embedded
}

type embedded struct {
	Deep uint64 `cbor:"31,keyasint,omitempty"`
}

// kindsOf are a few of them, of which one is zero.
func kindsOf() []manyKinds {
	full := manyKinds{
		Version: 1 << 40, Signed: -1, Small: 1<<32 - 1, Kind: KindPost, Is: true, Text: "é", Bytes: []byte{1}, Hash: Hash{1},
		List: []Signed{{}, {1, 2}}, Pairs: [2]int64{-1 << 62, 1<<63 - 1}, Many: []Argon2{{}, DefaultArgon2}, Hidden: Hide([]byte{1, 2}), Word: Hide("x"),
		Seed: Hide([32]byte{3}), Late: []Hidden[[]byte]{Hide([]byte{}), Hide(make([]byte, 300))}, inside: 1, embedded: embedded{24},
	}
	full.Inner.Yours.Audience[0] = 1
	negative := full
	negative.Signed, negative.Pairs, negative.Version = -1<<63, [2]int64{-25, -257}, 1<<64-1
	return []manyKinds{{}, full, negative}
}

// alikeCBOR has both readers take b as a type, and wants them to agree whether it is what
// both write of the result.
func alikeCBOR(t *testing.T, b []byte, as reflect.Type) {
	t.Helper()
	want, got := reflect.New(as), reflect.New(as)
	ok1 := cborDec.Unmarshal(b, want.Interface()) == nil
	if ok1 {
		again, err := cborEnc.Marshal(want.Interface())
		ok1 = err == nil && bytes.Equal(again, b)
	}
	ok2 := unmarshalSmallCBOR(b, got.Interface()) == nil
	if ok2 {
		again, err := appendSmallCBOR(nil, got.Interface())
		ok2 = err == nil && bytes.Equal(again, b)
		if again, err = cborEnc.Marshal(got.Interface()); ok2 && (err != nil || !bytes.Equal(again, b)) {
			t.Errorf("%s: %.60x is written as %.60x by the library: %v", as, b, again, err)
		}
	}
	if ok1 != ok2 {
		t.Errorf("%s: %.60x is taken: %v, by the library: %v", as, b, ok2, ok1)
	}
	one1, two1, ok1 := firstTwo(b)
	one2, two2, ok2 := smallFirstTwo(b)
	if ok1 && ok2 && (one1 != one2 || two1 != two2) { // what follows may be more than a browser knows
		t.Errorf("%.60x begins with %d and %d, by the library %d and %d", b, one2, two2, one1, two1)
	}
}

// What a browser reads and writes is what everybody else does: each statement, in other
// forms and with bytes of it changed.
func TestSmallCBOR(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	try := func(v any) {
		want, err := cborEnc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := appendSmallCBOR(nil, v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T is written as %.60x (%v), want %.60x", v, got, err, want)
		}
		as := reflect.TypeOf(v)
		if as.Kind() == reflect.Pointer {
			as = as.Elem()
		}
		read := reflect.New(as)
		if err := unmarshalSmallCBOR(want, read.Interface()); err != nil {
			t.Errorf("%T is not read: %v", v, err)
		}
		if one, two, ok := smallFirstTwo(want); !ok {
			t.Errorf("%T: its first two are %d and %d, %v", v, one, two, ok)
		}
		alikeCBOR(t, want, as)
		for _, form := range otherForms(pairsOf(t, want)) {
			alikeCBOR(t, form, as)
		}
		variants(want, func(b []byte) { alikeCBOR(t, b, as) })
		for range 2000 {
			alikeCBOR(t, changedBytes(r, want), as)
		}
	}
	for _, o := range samples() {
		try(o.fields())
	}
	for _, k := range kindsOf() {
		try(k)
	}
}

// changedBytes is b with some of its first bytes changed: behind them are keys, mostly.
func changedBytes(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(3) {
		at := r.IntN(min(len(b), 200))
		switch r.IntN(3) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			b = append(b[:at:at], b[min(len(b), at+1+r.IntN(4)):]...)
		case 2:
			b = append(b[:at:at], append([]byte{byte(r.Uint32())}, b[at:]...)...)
		}
		if len(b) == 0 {
			return b
		}
	}
	return b
}

// What is larger than its bytes can be costs no memory, and what is nested too deep, no
// stack.
func TestSmallCBORBounds(t *testing.T) {
	type list struct {
		Items []manyKinds `cbor:"1,keyasint"`
	}
	for name, b := range map[string][]byte{
		"an array of 2^63":  {0xa1, 0x01, 0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"an array of 65537": append([]byte{0xa1, 0x01, 0x9a, 0, 1, 0, 1}, bytes.Repeat([]byte{0xa0}, 1<<16+1)...),
		"a string of 2^63":  {0xa1, 0x06, 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a map of 2^63":     {0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"deep":              append([]byte{0xa1, 0x0d}, bytes.Repeat([]byte{0x81}, 1<<20)...),
		"deep maps":         bytes.Repeat([]byte{0xa1, 0x01}, 1<<20),
		"nothing":           {},
	} {
		if unmarshalSmallCBOR(b, new(list)) == nil || unmarshalSmallCBOR(b, new(manyKinds)) == nil {
			t.Errorf("%s is read", name)
		}
		if _, _, ok := smallFirstTwo(b); ok {
			t.Errorf("%s: it has first members", name)
		}
	}
	for name, v := range map[string]any{"a map": map[string]int{}, "a secret": unwritten{}, "nothing": nil} {
		if b, err := appendSmallCBOR(nil, v); err == nil {
			t.Errorf("%s is written as %x", name, b)
		}
	}
}

// unwritten refuses to be written, as secrets do.
type unwritten struct{}

func (unwritten) MarshalBinary() ([]byte, error) { return nil, errors.New("it is secret") }

func FuzzSmallCBOR(f *testing.F) {
	all := samples()
	for i, o := range all {
		f.Add(uint8(i), EncodeCBOR(o.fields()))
	}
	for _, k := range kindsOf() {
		f.Add(uint8(len(all)), EncodeCBOR(k))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		if n := int(which) % (len(all) + 1); n < len(all) {
			alikeCBOR(t, b, reflect.TypeOf(all[n].fields()).Elem())
			return
		}
		alikeCBOR(t, b, reflect.TypeFor[manyKinds]())
	})
}
