// Package secrettest tests that what is secret is not written out.
//
// A package that has secrets fills a Table with one value of each type and calls
// its Test, in one of its own tests. What has to be in the table is found by
// name, in the source: a new type that is called a key, a secret or a password
// fails the test until it is in the table, and shown to hide its bytes. It is
// linked into tests only.
package secrettest

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	jsonv2 "github.com/go-json-experiment/json"
)

// Redacted is what every secret prints as.
const Redacted = "[redacted]"

// Secret is what the values of all tables are made of.
var Secret = [32]byte([]byte("~Qx7#vW1!kZ9^pL3&mT5*yR2@uB8%hD6"))

// A Table is what a package knows of secrets. All values are made of Secret.
type Table struct {
	Secrets []any    // one value of each type that is a secret
	Holders []any    // values of other types, which hold secrets
	Open    []string // types, and fields as Type.Field, that sound like a secret and are none
	Spelled []string // parts of spellings that only this package knows
}

// Test checks all values, and that the table has every name of the package in
// the current folder that sounds like a secret. A secret prints as Redacted
// whatever the verb, cannot be compared, and is in no other output at all,
// whatever it lies in; an encoding writes it only by a method made for that.
func (table Table) Test(t *testing.T) {
	t.Helper()
	sounding, err := inFolder(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range table.faults(sounding) {
		t.Error(fault)
	}
}

// A trial collects what is wrong with the values of a table.
type trial struct {
	Table
	found []string
}

func (t *trial) fault(format string, args ...any) {
	t.found = append(t.found, fmt.Sprintf(format, args...))
}

// faults tests all values, and that they cover what sounds like a secret.
func (table Table) faults(sounding []string) []string {
	t := &trial{Table: table}
	known := make(map[string]bool)
	for _, name := range table.Open {
		known[name] = true
	}
	for _, v := range table.Holders {
		known[nameOf(v)] = true
		t.hides(v, generic)
	}
	for _, v := range table.Secrets {
		known[nameOf(v)] = true
		t.hides(v, encodings(v))
		for _, verb := range verbs {
			if got := fmt.Sprintf(verb, v); got != Redacted && verb != "%T" && verb != "%p" {
				t.fault("%T with %s: got %q, want %q", v, verb, got, Redacted)
			}
		}
		if reflect.TypeOf(v).Comparable() {
			t.fault("%T can be compared with ==", v)
		}
	}
	for _, name := range sounding {
		if !known[name] {
			t.fault("%s sounds like a secret and is not in the table", name)
		}
	}
	return t.found
}

// nameOf is the name of v's type in its package.
func nameOf(v any) string {
	of := reflect.TypeOf(v)
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	name, _, _ := strings.Cut(of.Name(), "[")
	return name
}

var verbs = strings.Fields("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %f %g %t %p %T %20v %-5s %010x %.3s")

// hides looks for the secret in everything that could show v.
func (t *trial) hides(v any, encodings map[string]encoding) {
	for _, in := range places(v) {
		for _, verb := range verbs {
			t.lacks(v, verb, fmt.Sprintf(verb, in))
		}
		t.lacks(v, "an error", fmt.Errorf("in vain: %w", fmt.Errorf("with %v", in)).Error())
		t.lacks(v, "a log", logged(in))
		for name, encode := range encodings {
			if b, err := encode(in); err == nil {
				t.lacks(v, name, string(b))
			} else {
				t.lacks(v, "the error of "+name, err.Error())
			}
		}
	}
}

func (t *trial) lacks(v any, where, text string) {
	for _, part := range append(spellings(Secret[:]), t.Spelled...) {
		if strings.Contains(text, part) {
			t.fault("%T: %s holds %q: %.300q", v, where, part, text)
		}
	}
}

// places puts v where code may have it when it prints.
func places(v any) []any {
	value := reflect.ValueOf(v)
	of := value.Type()
	pointer := reflect.New(of)
	pointer.Elem().Set(value)
	list := reflect.Append(reflect.MakeSlice(reflect.SliceOf(of), 0, 1), value)
	named := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), of))
	named.SetMapIndex(reflect.ValueOf("k"), value)
	// fmt asks no method of a field that is not exported.
	closed := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "k", PkgPath: "example", Type: of}})).Elem()
	reflect.NewAt(of, closed.Field(0).Addr().UnsafePointer()).Elem().Set(value)
	return []any{
		v, pointer.Interface(), list.Interface(), named.Interface(), closed.Interface(), closed.Addr().Interface(),
		[]any{v}, map[string]any{"k": v}, struct{ V any }{v}, &struct{ v any }{v},
	}
}

func logged(v any) string {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).With("w", v).Info("x", "v", v, slog.Group("g", "v", v))
	}
	return out.String()
}

type encoding func(any) ([]byte, error)

// generic are the encodings that loggers and strangers use. Those that bodies
// and files are written with are no business of what holds a secret, since some
// secrets have to travel in these.
var generic = map[string]encoding{
	"JSON": json.Marshal,
	"gob": func(v any) ([]byte, error) {
		var b bytes.Buffer
		err := gob.NewEncoder(&b).Encode(v)
		return b.Bytes(), err
	},
}

// encodings are those that a secret is not made for. One that has a method which
// no other encoding knows is written by that on purpose.
func encodings(v any) map[string]encoding {
	all := maps.Clone(generic)
	if _, ok := v.(jsonv2.MarshalerTo); !ok {
		all["JSON v2"] = func(v any) ([]byte, error) { return jsonv2.Marshal(v) }
	}
	if _, ok := v.(cbor.Marshaler); !ok {
		all["CBOR"] = cbor.Marshal
	}
	return all
}

// spellings are how the first bytes of b could appear.
func spellings(b []byte) []string {
	list := func(verb string) string { return strings.Trim(fmt.Sprintf(verb, b[:4]), "[]byte{}") }
	return []string{
		string(b[:4]), hex.EncodeToString(b[:4]), strings.ToUpper(hex.EncodeToString(b[:4])),
		list("%d"), strings.ReplaceAll(list("%d"), " ", ", "), strings.ReplaceAll(list("%d"), " ", ","), list("%#v"), list("%o"), list("%b"),
		strings.Trim(fmt.Sprintf("%x", [][]byte{b[:1], b[1:2], b[2:3], b[3:4]}), "[]"), strings.Trim(fmt.Sprintf("%q", []rune(string(b[:4]))), "[]"),
		base64.StdEncoding.EncodeToString(b[:6]), base64.URLEncoding.EncodeToString(b[:6]),
		base32.StdEncoding.EncodeToString(b[:5]), strings.ToLower(base32.StdEncoding.EncodeToString(b[:5])),
	}
}
