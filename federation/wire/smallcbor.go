package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The CBOR of a browser, for the reason given in smalljson.go: deterministic encoding of
// RFC 8949, section 4.2.1, of what this module writes (TestSmallCBOR, FuzzSmallCBOR), and
// a reader that takes nothing else. Integers, byte and text strings, arrays, booleans, and
// structs as maps with integer keys.

// The major types (RFC 8949, section 3.1).
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	_
	majorSimple
)

// Simple values with their major type.
const (
	simpleFalse = majorSimple<<5 | 20
	simpleTrue  = majorSimple<<5 | 21
)

// Bounds of what is read.
const (
	maxCBORDepth = 8
	maxCBORArray = 1 << 16
	maxCBORMap   = 1 << 10
)

func appendCBORHead(b []byte, major byte, n uint64) []byte {
	switch major <<= 5; {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// appendSmallCBOR writes v behind b.
func appendSmallCBOR(b []byte, v any) ([]byte, error) { return appendCBOR(b, reflect.ValueOf(v)) }

func appendCBOR(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return b, errors.New("nothing has no CBOR")
	}
	if own, ok := v.Interface().(interface{ MarshalCBOR() ([]byte, error) }); ok {
		item, err := own.MarshalCBOR()
		return append(b, item...), err
	}
	if secret, ok := v.Interface().(interface{ MarshalBinary() ([]byte, error) }); ok {
		_, err := secret.MarshalBinary()
		return b, fmt.Errorf("%s has no CBOR: %w", v.Type(), err)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return appendCBOR(b, v.Elem())
	case reflect.Bool:
		if v.Bool() {
			return append(b, simpleTrue), nil
		}
		return append(b, simpleFalse), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendCBORHead(b, majorUnsigned, v.Uint()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n < 0 {
			return appendCBORHead(b, majorNegative, uint64(-1-n)), nil
		}
		return appendCBORHead(b, majorUnsigned, uint64(v.Int())), nil
	case reflect.String:
		return append(appendCBORHead(b, majorText, uint64(v.Len())), v.String()...), nil
	case reflect.Slice, reflect.Array:
		return appendCBORList(b, v)
	case reflect.Struct:
		return appendCBORMap(b, v)
	}
	return b, fmt.Errorf("%s has no CBOR", v.Type())
}

func appendCBORList(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b = appendCBORHead(b, majorBytes, uint64(v.Len()))
		for i := range v.Len() {
			b = append(b, byte(v.Index(i).Uint()))
		}
		return b, nil
	}
	b = appendCBORHead(b, majorArray, uint64(v.Len()))
	for i := range v.Len() {
		if b, err = appendCBOR(b, v.Index(i)); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendCBORMap(b []byte, v reflect.Value) (_ []byte, err error) {
	var there []keyed
	for _, f := range keysOf(v.Type()) {
		if member := v.FieldByIndex(f.index); !(f.omitZero && isZero(member) || f.omitEmpty && isEmptyCBOR(member)) {
			there = append(there, f)
		}
	}
	b = appendCBORHead(b, majorMap, uint64(len(there)))
	for _, f := range there {
		if b, err = appendCBOR(appendCBORHead(b, majorUnsigned, f.key), v.FieldByIndex(f.index)); err != nil {
			return b, err
		}
	}
	return b, nil
}

func isEmptyCBOR(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// A keyed is a field with an integer key.
type keyed struct {
	key                 uint64
	index               []int
	omitZero, omitEmpty bool
}

var knownKeys sync.Map // of reflect.Type, []keyed

// keysOf returns the fields of a struct, in order of their keys.
func keysOf(t reflect.Type) []keyed {
	if known, ok := knownKeys.Load(t); ok {
		return known.([]keyed)
	}
	list := addKeys(nil, t, nil)
	slices.SortFunc(list, func(a, b keyed) int { return int(a.key) - int(b.key) })
	knownKeys.Store(t, list)
	return list
}

func addKeys(list []keyed, t reflect.Type, at []int) []keyed {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		tag := f.Tag.Get("cbor")
		key, options, _ := strings.Cut(tag, ",")
		switch n, err := strconv.ParseUint(key, 10, 32); {
		case f.Anonymous && tag == "":
			list = addKeys(list, f.Type, index)
		case tag == "-" || !f.IsExported() && tag == "":
		case err != nil || !strings.HasPrefix(options, "keyasint"):
			panic("wire: the field " + f.Name + " of " + t.String() + " has no key")
		default:
			list = append(list, keyed{n, index, strings.HasSuffix(options, ",omitzero"), strings.HasSuffix(options, ",omitempty")})
		}
	}
	return list
}

// unmarshalSmallCBOR reads b, all of it, into v.
func unmarshalSmallCBOR(b []byte, v any) error {
	r := &cborReader{b: b}
	if err := r.value(reflect.ValueOf(v).Elem(), 0); err != nil {
		return err
	}
	if len(r.b) > 0 {
		return errCBOR
	}
	return nil
}

// errCBOR is for everything that the writer would not have written.
var errCBOR = errors.New("it is malformed, or another type")

// A cborReader reads what is left in b.
type cborReader struct{ b []byte }

// head reads the beginning of an item, in its shortest form.
func (r *cborReader) head() (major byte, n uint64, err error) {
	if len(r.b) == 0 {
		return 0, 0, errCBOR
	}
	major, n = r.b[0]>>5, uint64(r.b[0]&31)
	r.b = r.b[1:]
	if n < 24 {
		return major, n, nil
	}
	size := 1 << (n - 24)
	if n > 27 || len(r.b) < size {
		return 0, 0, errCBOR
	}
	n = 0
	for _, c := range r.b[:size] {
		n = n<<8 | uint64(c)
	}
	r.b = r.b[size:]
	if size == 1 && n < 24 || size > 1 && n>>(4*size) == 0 {
		return 0, 0, errCBOR
	}
	return major, n, nil
}

// of reads the beginning of an item of a type.
func (r *cborReader) of(major byte) (uint64, error) {
	got, n, err := r.head()
	if err == nil && got != major {
		err = errCBOR
	}
	return n, err
}

// text reads the n bytes of a string.
func (r *cborReader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)) {
		return nil, errCBOR
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b, nil
}

// skip reads an item of any type.
func (r *cborReader) skip(depth int) error {
	major, n, err := r.head()
	if err != nil || depth > maxCBORDepth {
		return errCBOR
	}
	items := uint64(0)
	switch major {
	case majorUnsigned, majorNegative, majorSimple:
	case majorBytes:
		_, err = r.take(n)
	case majorText:
		var s []byte
		if s, err = r.take(n); err == nil && !utf8.Valid(s) {
			err = errCBOR
		}
	case majorArray:
		items = n
	case majorMap:
		items = 2 * min(n, maxCBORMap+1)
	default:
		err = errCBOR
	}
	if items > max(maxCBORArray, 2*maxCBORMap) {
		return errCBOR
	}
	for ; items > 0 && err == nil; items-- {
		err = r.skip(depth + 1)
	}
	return err
}

func (r *cborReader) value(v reflect.Value, depth int) error {
	if depth > maxCBORDepth {
		return errCBOR
	}
	if own, ok := v.Addr().Interface().(interface{ UnmarshalCBOR([]byte) error }); ok {
		before := r.b
		if err := r.skip(depth); err != nil {
			return err
		}
		return own.UnmarshalCBOR(before[:len(before)-len(r.b)])
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem(), depth)
	case reflect.Bool:
		return r.truth(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := r.of(majorUnsigned)
		if err != nil || v.OverflowUint(n) {
			return errCBOR
		}
		v.SetUint(n)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.signed(v)
	case reflect.String:
		n, err := r.of(majorText)
		if err != nil {
			return err
		}
		s, err := r.take(n)
		if err != nil || !utf8.Valid(s) {
			return errCBOR
		}
		v.SetString(string(s))
		return nil
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return r.bytes(v)
		}
		return r.list(v, depth)
	case reflect.Struct:
		return r.object(v, depth)
	}
	panic("wire: " + v.Type().String() + " has no CBOR")
}

func (r *cborReader) truth(v reflect.Value) error {
	is, err := r.take(1)
	if err != nil || is[0] != simpleTrue && is[0] != simpleFalse {
		return errCBOR
	}
	v.SetBool(is[0] == simpleTrue)
	return nil
}

func (r *cborReader) signed(v reflect.Value) error {
	major, n, err := r.head()
	if err != nil || major > majorNegative || n > math.MaxInt64 {
		return errCBOR
	}
	i := int64(n)
	if major == majorNegative {
		i = -1 - i
	}
	if v.OverflowInt(i) {
		return errCBOR
	}
	v.SetInt(i)
	return nil
}

func (r *cborReader) bytes(v reflect.Value) error {
	n, err := r.of(majorBytes)
	if err != nil {
		return err
	}
	b, err := r.take(n)
	switch {
	case err != nil:
		return err
	case v.Kind() == reflect.Slice:
		v.SetBytes(append([]byte{}, b...))
	case v.Len() != len(b):
		return errCBOR
	default:
		reflect.Copy(v, reflect.ValueOf(b))
	}
	return nil
}

func (r *cborReader) list(v reflect.Value, depth int) error {
	n, err := r.of(majorArray)
	if err != nil || n > maxCBORArray || n > uint64(len(r.b)) {
		return errCBOR
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
	} else if uint64(v.Len()) != n {
		return errCBOR
	}
	for i := range int(n) {
		if err := r.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// object reads a map whose keys are in order, and all known.
func (r *cborReader) object(v reflect.Value, depth int) error {
	n, err := r.of(majorMap)
	if err != nil || n > maxCBORMap {
		return errCBOR
	}
	fields := keysOf(v.Type())
	for range n {
		key, err := r.of(majorUnsigned)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(fields, func(f keyed) bool { return f.key == key })
		if at < 0 {
			return errCBOR
		}
		if err := r.value(v.FieldByIndex(fields[at].index), depth+1); err != nil {
			return err
		}
		fields = fields[at+1:]
	}
	return nil
}

// smallFirstTwo returns the numbers under the keys 1 and 2 of a map, 0 where there is none.
func smallFirstTwo(b []byte) (one, two uint64, ok bool) {
	r := &cborReader{b: b}
	n, err := r.of(majorMap)
	if err != nil || n > maxCBORMap {
		return 0, 0, false
	}
	last := uint64(0)
	for i := range n {
		key, err := r.of(majorUnsigned)
		if err != nil || i > 0 && key <= last {
			return 0, 0, false
		}
		last = key
		before := r.b
		if r.skip(1) != nil {
			return 0, 0, false
		}
		value := &cborReader{b: before}
		number, err := value.of(majorUnsigned)
		if err != nil {
			number = 0
		}
		switch key {
		case 1:
			one = number
		case 2:
			two = number
		}
	}
	return one, two, len(r.b) == 0
}
