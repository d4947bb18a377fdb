package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// A pair is one member of a CBOR map, as bytes.
type pair struct {
	key   uint64
	value []byte
}

// pairsOf takes the map of a payload apart.
func pairsOf(t testing.TB, payload []byte) []pair {
	var m map[uint64]cbor.RawMessage
	if err := cbor.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	var ps []pair
	for k := range uint64(32) {
		if v, ok := m[k]; ok {
			ps = append(ps, pair{k, v})
		}
	}
	if len(ps) != len(m) {
		t.Fatalf("%d of %d members were found", len(ps), len(m))
	}
	return ps
}

// head writes the head of a data item in its shortest form.
func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
}

func cborBytes(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

// mapOf puts a map together again.
func mapOf(ps ...pair) []byte {
	b := head(5, uint64(len(ps)))
	for _, p := range ps {
		b = append(append(b, head(0, p.key)...), p.value...)
	}
	return b
}

func with(ps []pair, i int, value []byte) []byte {
	c := append([]pair(nil), ps...)
	c[i].value = value
	return mapOf(c...)
}

// otherForms are payloads of the same or of no meaning, by what is wrong.
func otherForms(ps []pair) map[string][]byte {
	whole := mapOf(ps...)
	body := whole[1:]
	forms := map[string][]byte{
		"nothing":            {},
		"trailing byte":      append(bytes.Clone(whole), 0),
		"trailing item":      append(bytes.Clone(whole), whole...),
		"cut":                whole[:len(whole)-1],
		"unknown key":        mapOf(append(append([]pair(nil), ps...), pair{99, []byte{0}})...),
		"negative key":       append(append(head(5, uint64(len(ps)+1)), body...), 0x20, 0),
		"text key":           append(append(head(5, uint64(len(ps)+1)), body...), 0x61, 'x', 0),
		"duplicate key":      mapOf(append([]pair{ps[0]}, ps...)...),
		"swapped keys":       mapOf(append([]pair{ps[1], ps[0]}, ps[2:]...)...),
		"long map head":      append([]byte{0xb8, byte(len(ps))}, body...),
		"indefinite map":     append(append([]byte{0xbf}, body...), 0xff),
		"long key":           append(append([]byte{whole[0]}, 0x18, byte(ps[0].key)), body[1:]...),
		"self-described tag": append([]byte{0xd9, 0xd9, 0xf7}, whole...),
		"array of it":        append([]byte{0x81}, whole...),
		"byte string of it":  cborBytes(whole),
		"as an array":        append([]byte{0x80 | byte(len(ps))}, whole[1:]...),
	}
	for i, p := range ps {
		forms[fmt.Sprintf("without key %d", p.key)] = mapOf(append(append([]pair(nil), ps[:i]...), ps[i+1:]...)...)
	}
	return forms
}

// otherValues do not belong into any field.
func otherValues(p pair) map[string][]byte {
	vs := map[string][]byte{
		"null": {0xf6}, "undefined": {0xf7}, "false": {0xf4}, "true": {0xf5}, "float 1": {0xf9, 0x3c, 0}, "NaN": {0xf9, 0x7e, 0}, "-1": {0x20},
		"2^64-1": head(0, 1<<64-1), "2^63": head(0, 1<<63), "2^53": head(0, 1<<53), "bignum 1": {0xc2, 0x41, 1}, "NUL": {0x61, 0}, "bad UTF-8": {0x61, 0xff}, "empty bytes": {0x40},
		"indefinite bytes": {0x5f, 0x41, 1, 0xff}, "indefinite text": {0x7f, 0x61, 'a', 0xff}, "empty array": {0x80}, "indefinite array": {0x9f, 0xff},
		"empty map": {0xa0}, "tagged": append([]byte{0xc1}, p.value...), "break": {0xff}, "simple 32": {0xf8, 32},
	}
	switch n := len(p.value); p.value[0] >> 5 {
	case 0:
		var v uint64
		if cbor.Unmarshal(p.value, &v) != nil || v >= 1<<32 {
			break
		}
		vs["8 bytes long"] = binary.BigEndian.AppendUint64([]byte{0x1b}, v)
		vs["as text"] = []byte{0x61, '1'}
	case 2:
		var b []byte
		if err := cbor.Unmarshal(p.value, &b); err != nil || n < 34 || n > 10 && len(b) != 32 && len(b) != SelfKeySize && len(b) != 1216 {
			break
		}
		vs["one byte less"] = cborBytes(b[:len(b)-1])
		vs["one byte more"] = cborBytes(append(bytes.Clone(b), 0))
		vs["long head"] = append(binary.BigEndian.AppendUint64([]byte{0x5b}, uint64(len(b))), b...)
		vs["as text"] = append(head(3, uint64(len(b))), bytes.Repeat([]byte{'a'}, len(b))...)
		numbers := head(4, uint64(len(b)))
		for _, c := range b {
			numbers = append(numbers, head(0, uint64(c))...)
		}
		vs["array of numbers"] = numbers
	case 3:
		vs["as bytes"] = append([]byte{p.value[0] ^ 0x20}, p.value[1:]...)
	}
	return vs
}

// objects are all strictly decoded formats, signed or not.
func objects() []sample {
	all := samples()
	add := func(name string, fields func() checker, decode func(b []byte) (any, error)) {
		all = append(all, sample{name: name, fields: fields, open: func(s Signed) (any, error) { return decode(s[64:]) }})
	}
	add("slots", func() checker { return slots() }, func(b []byte) (any, error) { return some(DecodeSlots(b)) })
	add("epoch body", func() checker { b := epochBody(); b.Links = nil; return b }, func(b []byte) (any, error) {
		body, _, err := OpenEpochBody(epochEntry(b), b, 0, aliceKey.Public())
		return some(body, err)
	})
	return all
}

func (o sample) sign(payload []byte) Signed {
	if o.label == "" {
		return append(make(Signed, 64), payload...)
	}
	return raw(o.label, payload, o.key)
}

// Only the deterministic encoding is accepted, even from who has the key.
func TestOnlyOneEncoding(t *testing.T) {
	for _, o := range objects() {
		payload := EncodeCBOR(o.fields())
		ps := pairsOf(t, payload)
		if !bytes.Equal(mapOf(ps...), payload) {
			t.Fatalf("%s: the test's own encoder differs", o.name)
		}
		if _, err := o.open(o.sign(payload)); err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
		for what, form := range otherForms(ps) {
			if o.label == LabelNodeDocument && what == "without key 11" {
				continue // the contact is optional
			}
			refused(t, o, what, form)
		}
		for i, p := range ps {
			for what, v := range otherValues(p) {
				refused(t, o, fmt.Sprintf("%s in key %d", what, p.key), with(ps, i, v))
			}
		}
	}
}

func refused(t *testing.T, o sample, what string, payload []byte) {
	t.Helper()
	v, err := o.open(o.sign(payload))
	var e *Error
	if err == nil || v != nil || !errors.As(err, &e) {
		t.Errorf("%s, %s: got %T, %v; want an error", o.name, what, v, err)
		return
	}
	if k := e.Kind; k != Invalid && k != Update && k != Tampered && k != TooLarge {
		t.Errorf("%s, %s: kind %s", o.name, what, k)
	}
}

// Absent optional fields are left out, not written as empty.
func TestOptionalFields(t *testing.T) {
	doc := nodeDocument()
	doc.Contact = ""
	ps := pairsOf(t, EncodeCBOR(doc))
	empty := mapOf(append(append(append([]pair(nil), ps[:10]...), pair{11, []byte{0x60}}), ps[10:]...)...)
	_, err := OpenNodeDocument(raw(LabelNodeDocument, empty, rootKey.seed), "node.example")
	wantKind(t, "empty contact", err, Invalid)
	for key, v := range map[uint64][]byte{11: {0x40}, 12: {0x80}} {
		ps := pairsOf(t, EncodeCBOR(epochEntry([]byte("body"))))
		ps = append(append(append([]pair(nil), ps[:10]...), pair{key, v}), ps[10:]...)
		_, err := OpenEntryHeader(raw(LabelEntry, mapOf(ps...), aliceKey.seed), aliceKey.Public())
		wantKind(t, fmt.Sprint("empty member ", key), err, Invalid)
	}
}

// A head that claims far more than there is costs no memory.
func TestHugeCBOR(t *testing.T) {
	big := func(major byte, n uint64) []byte { return head(major, n) }
	deep := bytes.Repeat([]byte{0x81}, 4000)
	cases := map[string][]byte{
		"array of 2^32":    big(4, 1<<32),
		"array of 2^31":    big(4, 1<<31),
		"array of 2^63":    big(4, 1<<63),
		"array of 2^16":    big(4, 1<<16),
		"map of 2^32":      big(5, 1<<32),
		"map of 2^63":      big(5, 1<<63),
		"bytes of 2^32":    big(2, 1<<32),
		"bytes of 2^62":    big(2, 1<<62),
		"text of 2^32":     big(3, 1<<32),
		"4000 levels":      deep,
		"levels of tags":   bytes.Repeat([]byte{0xc1}, 4000),
		"levels of maps":   bytes.Repeat([]byte{0xa1, 0x00}, 4000),
		"array of 2^16+1":  append(big(4, 1<<16+1), make([]byte, 1<<16+1)...),
		"map of 2^10+1":    append(big(5, 1<<10+1), make([]byte, 1<<11+2)...),
		"unknown in depth": append([]byte{0xa1, 0x18, 99}, deep...),
	}
	for what, value := range cases {
		for _, payload := range [][]byte{value, append([]byte{0xa1, 0x06}, value...)} {
			if n := allocated(func() { wantKind(t, what, DecodeCBOR("test", payload, new(NodeDocument)), Invalid) }); n > 64<<10 {
				t.Errorf("%s: %d bytes were allocated", what, n)
			}
		}
	}
}

// allocated is how many bytes f takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What is decoded does not share memory with the input.
func TestDecodedIsACopy(t *testing.T) {
	for _, o := range objects() {
		s := o.sign(EncodeCBOR(o.fields()))
		want := bytes.Clone(s[64:])
		v, err := o.open(s)
		if err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
		for i := range s {
			s[i] ^= 0xff
		}
		if got := EncodeCBOR(v); !bytes.Equal(got, want) {
			t.Errorf("%s changes when its input changes", o.name)
		}
	}
}

// An empty list has one form, the array of none: not null, whatever made it.
func TestEmptyLists(t *testing.T) {
	type lists struct {
		IDs   []Hash `cbor:"1,keyasint"`
		Bytes []byte `cbor:"2,keyasint"`
	}
	want := []byte{0xa2, 1, 0x80, 2, 0x40}
	for _, v := range []*lists{{}, {[]Hash{}, []byte{}}} {
		if got := EncodeCBOR(v); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
	for _, b := range [][]byte{{0xa2, 1, 0xf6, 2, 0x40}, {0xa2, 1, 0x80, 2, 0xf6}} {
		wantKind(t, "null for a list", DecodeCBOR("lists", b, new(lists)), Invalid)
	}
}

// An object of a later version or another suite is told as such even where
// nothing else of it is understood; garbage with such numbers is not.
func TestLaterVersion(t *testing.T) {
	for _, o := range objects() {
		ps := pairsOf(t, EncodeCBOR(o.fields()))
		unknown := append(append([]pair(nil), ps...), pair{99, []byte{0}})
		for what, c := range map[string]struct {
			payload []byte
			want    Kind
		}{
			"a new member":                {mapOf(unknown...), Invalid},
			"version 2":                   {with(ps, 0, []byte{2}), Update},
			"version 2, a new member":     {with(unknown, 0, []byte{2}), Update},
			"suite 2, a new member":       {with(unknown, 1, []byte{2}), Update},
			"suite 2, other types":        {mapOf(ps[0], pair{2, []byte{2}}, pair{3, []byte{0x61, 'x'}}), Update},
			"version 2, members swapped":  {mapOf(append([]pair{{2, []byte{1}}, {1, []byte{2}}}, ps[2:]...)...), Update},
			"version 2, cut":              {with(unknown, 0, []byte{2})[:40], Invalid},
			"version 2, two objects":      {append(with(ps, 0, []byte{2}), 0xa0), Invalid},
			"version 2, the version also": {mapOf(append([]pair{{1, []byte{2}}}, ps...)...), Invalid},
			"a simple value, 32":          {with(ps, 0, []byte{0xf8, 32}), Invalid},
			"version 0, a new member":     {with(unknown, 0, []byte{0}), Invalid},
		} {
			_, err := o.open(o.sign(c.payload))
			wantKind(t, o.name+", "+what, err, c.want)
		}
	}
}
