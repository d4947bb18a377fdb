package seal

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// secrets are one of each type, all of the same bytes.
func secrets(t testing.TB) map[string]any {
	return map[string]any{
		"self key":                fixed(t, SelfKeyFromBytes, "print"),
		"vault key":               fixed(t, VaultKeyFromBytes, "print"),
		"slot key":                fixed(t, SlotKeyFromBytes, "print"),
		"epoch secret":            fixed(t, EpochSecretFromBytes, "print"),
		"content key":             fixed(t, ContentKeyFromBytes, "print"),
		"chain key":               fixed(t, ChainKeyFromBytes, "print"),
		"cache key":               fixed(t, CacheKeyFromBytes, "print"),
		"encryption key":          fixed(t, EncryptionSecretFromSeed, "print"),
		"recovery encryption key": RecoveryEncryptionSecret{newKEM(fixed(t, CacheKeyFromBytes, "print").secret)},
		"recovery code":           fixedCode("print"),
	}
}

// fixedCode returns the recovery code that stands for name.
func fixedCode(name string) RecoveryCode {
	b := bytesOf(name)
	return newCode((*[codeSize]byte)(b[:codeSize]))
}

// spellings are how four bytes of a secret could appear.
func spellings(b []byte, code string) []string {
	return []string{
		hex.EncodeToString(b[:4]), strings.ToUpper(hex.EncodeToString(b[:4])), string(b[:4]),
		strings.Trim(fmt.Sprint(b[:4]), "[]"), strings.Trim(fmt.Sprintf("%#v", b[:4]), "[]byte{}"),
		strings.TrimSuffix(string(must(json.Marshal(b[:3]))), `"`)[1:], code[:9],
	}
}

type nested struct {
	Exported any
	hidden   any
}

func TestSecretsDoNotPrint(t *testing.T) {
	b, code := bytesOf("print"), fixedCode("print").Reveal()
	for name, s := range secrets(t) {
		pointer := reflect.New(reflect.TypeOf(s))
		pointer.Elem().Set(reflect.ValueOf(s))
		// A struct with a field of the secret's own type that is not exported: there
		// fmt does not ask Format.
		hidden := reflect.New(reflect.StructOf([]reflect.StructField{
			{Name: "k", PkgPath: "example", Type: reflect.TypeOf(s)}})).Elem()
		reflect.NewAt(hidden.Field(0).Type(), hidden.Field(0).Addr().UnsafePointer()).Elem().Set(reflect.ValueOf(s))
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %c %U %o %b %e %t %p %T") {
			got := fmt.Sprintf(verb, s)
			if verb != "%T" && verb != "%p" && got != wire.Redacted {
				t.Errorf("%s with %s: got %q, want %q", name, verb, got, wire.Redacted)
			}
			all := got + fmt.Sprintf(verb, pointer.Interface()) + fmt.Sprintf(verb, nested{s, s}) + fmt.Sprintf(verb, &nested{s, s}) +
				fmt.Sprintf(verb, []any{s}) + fmt.Sprintf(verb, map[string]any{"k": s}) + fmt.Sprintf(verb, hidden.Interface()) +
				fmt.Sprintf(verb, hidden.Addr().Interface())
			for _, bad := range spellings(b[:], code) {
				if strings.Contains(all, bad) {
					t.Errorf("%s with %s: %q holds the secret's %q", name, verb, all, bad)
				}
			}
		}
		if got := s.(fmt.Stringer).String() + s.(fmt.GoStringer).GoString(); got != wire.Redacted+wire.Redacted {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestSecretsAreNotMarshalled(t *testing.T) {
	for name, s := range secrets(t) {
		for kind, marshal := range map[string]func(any) ([]byte, error){
			"JSON":        json.Marshal,
			"strict JSON": func(v any) (b []byte, err error) { defer catch(&err); return wire.EncodeJSON(v), nil },
			"CBOR":        cbor.Marshal,
			"gob":         func(v any) ([]byte, error) { var b bytes.Buffer; return nil, gob.NewEncoder(&b).Encode(v) },
		} {
			if b, err := marshal(s); err == nil {
				t.Errorf("%s: marshalled to %s as %q", name, kind, b)
			}
		}
	}
}

func catch(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%v", p)
	}
}

func TestSecretsAreNotComparable(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for name, s := range secrets(t) {
		if reflect.TypeOf(s).Comparable() {
			t.Errorf("%s: can be compared with ==", name)
		}
		if seen[reflect.TypeOf(s)] {
			t.Errorf("%s: shares its type with another purpose", name)
		}
		seen[reflect.TypeOf(s)] = true
	}
}

func TestSecretBytes(t *testing.T) {
	want := bytesOf("bytes")
	in := want
	k, err := VaultKeyFromBytes(in[:])
	if err != nil {
		t.Fatal(err)
	}
	in[0] ^= 1
	out := k.Bytes()
	out[1] ^= 1
	wantBytes(t, "after changes to input and output", k.Bytes(), want[:])
	if k.IsZero() || !(VaultKey{}).IsZero() || (VaultKey{}).Bytes() != nil {
		t.Error("IsZero or Bytes is wrong about a key that was never set")
	}
	for _, b := range [][]byte{nil, {}, make([]byte, 32), want[:31], append(want[:], 0)} {
		k, err := VaultKeyFromBytes(b)
		wantKind(t, wire.Invalid, err)
		if !k.IsZero() {
			t.Errorf("%x: a key in spite of the error", b)
		}
		_, err = EncryptionSecretFromSeed(b)
		wantKind(t, wire.Invalid, err)
	}
}

func TestNewIsRandom(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range [][]byte{
		NewSelfKey().Bytes(), NewSelfKey().Bytes(), NewVaultKey().Bytes(), NewSlotKey().Bytes(), NewEpochSecret().Bytes(),
		NewContentKey().Bytes(), NewChainKey().Bytes(), NewCacheKey().Bytes(), NewEncryptionSecret().Seed(), NewEncryptionSecret().Seed(),
		NewIdentity().Seed(), NewIdentity().Seed(), NewRecoveryCode().get()[:], NewRecoveryCode().get()[:],
	} {
		if seen[string(b)] || len(b) < 20 || isZero(b) {
			t.Errorf("%d bytes that were drawn before, or not at all", len(b))
		}
		seen[string(b)] = true
	}
}

func TestEncryptionSecret(t *testing.T) {
	s := NewEncryptionSecret()
	again, err := EncryptionSecretFromSeed(s.Seed())
	if err != nil || again.Public() != s.Public() {
		t.Errorf("from its seed: error %v, or another key", err)
	}
	if err := wire.CheckEncryptionKey("key", s.Public()); err != nil {
		t.Error(err)
	}
	var unset EncryptionSecret
	if !unset.IsZero() || s.IsZero() || unset.Seed() != nil || wire.CheckEncryptionKey("key", unset.Public()) == nil {
		t.Error("a key that was never set looks like one")
	}
}
