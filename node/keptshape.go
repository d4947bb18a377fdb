package node

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A keptShape is how a value of a record, or a part of one, is taken apart: what
// keptRows and keptForms say of it, and how it is declared.
type keptShape struct {
	what, field string // as in keptRows; no field for a whole record or statement
	path        string // in the record, such as Header.Author
	class       keptClass
	known       bool   // the class is said
	lock        string // what private key it is the lock of

	sort   itemSort
	size   int    // of bytes and of lists, if it is always the same
	most   uint64 // of a number, and of the size of a negative one, less one
	signed bool   // numbers below 0 are possible
	form   *form
	fields []keptField  // of a map, ascending
	elem   *keptShape   // of a list
	inside []*keptShape // of the form
	signer *keptShape   // of the form: the signature
}

// A keptField is one pair of a map.
type keptField struct {
	number uint64
	always bool // it is never left out
	*keptShape
}

// An itemSort is a sort of item of CBOR.
type itemSort int

const (
	itemNumber itemSort = iota
	itemFlag
	itemText
	itemBytes
	itemList
	itemMap
)

// major are the major types of each (RFC 8949, section 3.1).
var major = [...][2]byte{itemNumber: {0, 1}, itemFlag: {7, 7}, itemText: {3, 3}, itemBytes: {2, 2}, itemList: {4, 4}, itemMap: {5, 5}}

// A keptPlace is a keptKind that is ready to be taken apart.
type keptPlace struct {
	keptKind
	parts []*keptShape // of the key; of a fixed part, nil
	shape *keptShape   // of the value
}

// keptPlaces are all kinds, by the first part of their keys.
var keptPlaces = sync.OnceValue(func() map[string][]*keptPlace {
	places := map[string][]*keptPlace{}
	for _, k := range keptKinds() {
		p := &keptPlace{keptKind: k}
		names := strings.Split(k.key, "/")
		for _, name := range names {
			var part *keptShape
			if name, ok := strings.CutPrefix(name, "<"); ok {
				part = newKeptShape(k.key, strings.TrimSuffix(name, ">"), "")
			}
			p.parts = append(p.parts, part)
		}
		if k.record != nil {
			p.shape = shapeOf(reflect.TypeOf(k.record).Elem(), k.key, "", "")
		} else {
			p.shape = newKeptShape(k.key, fieldOfValue, "")
			p.shape.sort, p.shape.form, p.shape.size = itemBytes, k.value, k.value.size
		}
		places[names[0]] = append(places[names[0]], p)
	}
	return places
})

func newKeptShape(what, field, above string) *keptShape {
	s := &keptShape{what: what, field: field, path: strings.Trim(above+"."+field, ".")}
	s.class, s.known = classOf(what, field)
	s.lock = keptLocks[what+" "+field]
	return s
}

// shapeOf makes the shape of a field of type t.
func shapeOf(t reflect.Type, what, field, above string) *keptShape {
	if t.Kind() == reflect.Pointer { // left out where it is nil
		t = t.Elem()
	}
	s := newKeptShape(what, field, above)
	switch {
	case t == reflect.TypeFor[wire.Hidden[[32]byte]]():
		s.sort, s.size = itemBytes, 32
	case t == reflect.TypeFor[wire.Hidden[[]byte]]():
		s.sort, s.form = itemBytes, keptForms[what+" "+field]
		s.addForm()
		s.size = s.form.size
	case t.Kind() == reflect.Bool:
		s.sort = itemFlag
	case t.Kind() == reflect.String:
		s.sort = itemText
	case t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8:
		s.sort, s.size = itemBytes, t.Len()
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.sort, s.form = itemBytes, keptForms[what+" "+field]
		s.addForm()
	case t.Kind() == reflect.Array, t.Kind() == reflect.Slice:
		s.sort, s.elem = itemList, shapeOf(t.Elem(), what, field, above)
		if t.Kind() == reflect.Array {
			s.size = t.Len()
		}
	case t.Kind() == reflect.Struct:
		s.sort, s.fields = itemMap, fieldsOf(t, what, s)
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		s.sort, s.most, s.signed = itemNumber, 1<<(t.Bits()-1)-1, true
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		s.sort, s.most = itemNumber, 1<<t.Bits()-1
	default:
		panic(fmt.Sprintf("node: no record has a field such as %s of %s", field, what))
	}
	return s
}

// addForm makes the shapes of what is inside of bytes.
func (s *keptShape) addForm() {
	if s.form == nil {
		return
	}
	for _, of := range s.form.of {
		t := reflect.TypeOf(of).Elem()
		s.inside = append(s.inside, shapeOf(t, t.Name(), "", s.path))
		if s.form.signed {
			s.signer = newKeptShape(t.Name(), fieldOfSigner, s.path)
		}
	}
}

// fieldsOf makes the shapes of the fields of a record, a statement or a part of one.
func fieldsOf(t reflect.Type, what string, s *keptShape) (fields []keptField) {
	if s.field != "" { // a part: its fields are named by its type
		what = t.Name()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		number, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		if !f.IsExported() {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("node: %s of %s has no number", f.Name, what))
		}
		fields = append(fields, keptField{n, !strings.Contains(options, "omit"), shapeOf(f.Type, what, f.Name, s.path)})
	}
	return fields
}
