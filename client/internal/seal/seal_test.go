package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bytesOf returns 32 fixed bytes that stand for name.
func bytesOf(name string) [32]byte { return sha256.Sum256([]byte("peerbrain vector: " + name)) }

// fixed makes the secret of a name by one of the FromBytes functions.
func fixed[T any](t testing.TB, from func([]byte) (T, error), name string) T {
	t.Helper()
	b := bytesOf(name)
	k, err := from(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wantTampered demands the one error of whatever does not open, without detail.
func wantTampered(t testing.TB, what string, err error) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || *e != (wire.Error{Kind: wire.Tampered, Field: what, Detail: "does not open"}) {
		t.Errorf("got error %v, want that of a %s that does not open", err, what)
	}
}

// wantKind demands an error of a kind.
func wantKind(t testing.TB, kind wire.Kind, err error) {
	t.Helper()
	if err == nil || wire.KindOf(err) != kind {
		t.Errorf("got error %v, want one of kind %q", err, kind)
	}
}

// eachField calls open with place, which must work, and with copies of it that
// differ in one field each, which must not. It finds the fields by itself, so a
// field that is added and not bound to the ciphertext turns it red.
func eachField[P any](t *testing.T, what string, place P, open func(P) error) {
	t.Helper()
	if err := open(place); err != nil {
		t.Fatalf("the right place: %v", err)
	}
	n := 0
	var walk func(path string, at func(*P) reflect.Value)
	walk = func(path string, at func(*P) reflect.Value) {
		if v := at(&place); v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(p *P) reflect.Value { return at(p).Field(i) })
			}
			return
		}
		changed := place
		change(t, at(&changed))
		n++
		t.Run(path[1:], func(t *testing.T) { wantTampered(t, what, open(changed)) })
	}
	walk("", func(p *P) reflect.Value { return reflect.ValueOf(p).Elem() })
	if n < 1 {
		t.Error("no field was changed")
	}
}

func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Array:
		last := v.Index(v.Len() - 1)
		last.SetUint(last.Uint() ^ 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	default:
		t.Fatalf("no way to change a %v", v.Type())
	}
}

// eachBit demands that sealed opens, and no longer once any one bit is flipped;
// step 1 takes all bits, 9 one in each byte.
func eachBit(t *testing.T, what string, sealed []byte, step int, open func([]byte) error) {
	t.Helper()
	if err := open(sealed); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for i := 0; i < 8*len(sealed); i += step {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if err := open(b); err == nil {
			t.Fatalf("opens with bit %d flipped", i)
		} else {
			wantTampered(t, what, err)
		}
	}
}

// eachLength demands that no other length than sealed's opens.
func eachLength(t *testing.T, what string, sealed []byte, open func([]byte) error) {
	t.Helper()
	for n := range sealed {
		wantTampered(t, what, open(sealed[:n:n]))
	}
	for _, more := range []int{1, 16, 100, 20000} {
		wantTampered(t, what, open(append(bytes.Clone(sealed), make([]byte, more)...)))
	}
	wantTampered(t, what, open(append(bytes.Clone(sealed), sealed...)))
}

// pattern is n bytes that do not repeat with the chunks: i mod 251.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func wantBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %s, want %s", what, clipped(got), clipped(want))
	}
}

func clipped(b []byte) string {
	if len(b) > 64 {
		return fmt.Sprintf("%x... (%d bytes)", b[:64], len(b))
	}
	return fmt.Sprintf("%x", b)
}
