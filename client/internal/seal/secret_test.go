package seal

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// fixedCode returns the recovery code that stands for name.
func fixedCode(name string) RecoveryCode {
	b := bytesOf(name)
	return newCode((*[codeSize]byte)(b[:codeSize]))
}

// TestSecretsAreNotWritten holds all that is secret here to what secrettest asks.
func TestSecretsAreNotWritten(t *testing.T) {
	b := secrettest.Secret
	some := newSecret(&b)
	code := newCode((*[codeSize]byte)(b[:codeSize]))
	secrettest.Table{
		Secrets: []any{
			some, newKEM(some), SelfKey{some}, VaultKey{some}, SlotKey{some}, EpochSecret{some}, ContentKey{some}, ChainKey{some}, CacheKey{some},
			EncryptionSecret{newKEM(some)}, RecoveryEncryptionSecret{newKEM(some)}, code,
		},
		Spelled: []string{code.Reveal()[:9], strings.ReplaceAll(code.Reveal(), "-", "")[:8]},
	}.Test(t)
}

// TestSecretsDoNotMarshal shows that nothing of a secret goes into a body or a
// file, not even an empty value in its place.
func TestSecretsDoNotMarshal(t *testing.T) {
	some := randomSecret()
	for _, s := range []any{SelfKey{some}, EncryptionSecret{newKEM(some)}, NewRecoveryCode()} {
		for kind, marshal := range map[string]func(any) ([]byte, error){
			"JSON":        json.Marshal,
			"strict JSON": func(v any) (b []byte, err error) { defer catch(&err); return wire.EncodeJSON(v), nil },
			"CBOR":        cbor.Marshal,
			"gob":         func(v any) ([]byte, error) { var b bytes.Buffer; return nil, gob.NewEncoder(&b).Encode(v) },
		} {
			if b, err := marshal(s); err == nil {
				t.Errorf("%T: marshalled to %s as %q", s, kind, b)
			}
		}
	}
}

func catch(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%v", p)
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
