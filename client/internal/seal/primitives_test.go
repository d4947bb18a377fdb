package seal

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const primitivesFile = "primitives.json"

// A primitiveFile is docs/vectors/primitives.json: what goes wrong with primitives, in
// the manner of Wycheproof, as it looks at the doors through which bytes come in.
type primitiveFile struct {
	Comment  string          `json:"comment"`
	Accepted []primitiveCase `json:"accepted"`
	Refused  []primitiveCase `json:"refused"`
}

// A primitiveCase has what its primitive takes. Result is valid, invalid, or acceptable:
// accepted here, and other implementations may refuse it.
type primitiveCase struct {
	Name      string       `json:"name"`
	Primitive string       `json:"primitive"`
	Result    string       `json:"result"`
	Comment   string       `json:"comment"`
	Key       *hexBytes    `json:"key,omitempty"` // public, or input key, or the seed of a private one
	Label     wire.Label   `json:"label,omitempty"`
	Context   hexBytes     `json:"context,omitempty"` // or HPKE info
	Message   *hexBytes    `json:"message,omitempty"`
	Signature hexBytes     `json:"signature,omitempty"`
	Sealed    *hexBytes    `json:"sealed,omitempty"`
	Output    hexBytes     `json:"output,omitempty"`
	Argon2    *wire.Argon2 `json:"argon2,omitempty"`
}

// accepts asks the door of each primitive.
var accepts = map[string]func(c primitiveCase) bool{
	"ed25519 key": func(c primitiveCase) bool {
		var k wire.IdentityKey
		return wire.DecodeCBOR("key", wire.EncodeCBOR([]byte(*c.Key)), &k) == nil && wire.CheckEd25519("key", k) == nil
	},
	"ed25519": func(c primitiveCase) bool {
		return c.Label == wire.LabelLogin && wire.AnswersChallenge(wire.Signed(slices.Concat(c.Signature, *c.Message)), *c.Message, wire.LoginKey(*c.Key))
	},
	"mlkem768-x25519 key": func(c primitiveCase) bool {
		var k wire.EncryptionKey
		return wire.DecodeCBOR("key", wire.EncodeCBOR([]byte(*c.Key)), &k) == nil && wire.CheckEncryptionKey("key", k) == nil
	},
	"hpke": func(c primitiveCase) bool {
		secret, err := secretFrom("key", *c.Key)
		if err != nil {
			return false
		}
		b, err := boxOpen("box", newKEM(secret), c.Context, *c.Sealed, 32)
		return err == nil && bytes.Equal(b, c.Output)
	},
	"chunked-encryption": func(c primitiveCase) bool {
		secret, err := secretFrom("key", *c.Key)
		if err != nil {
			return false
		}
		b, err := openBytes("bytes", secret, c.Context, *c.Sealed)
		return err == nil && bytes.Equal(b, c.Output)
	},
	"hkdf-sha256": func(c primitiveCase) bool {
		b := derive(*c.Key, c.Label)
		return bytes.Equal(b[:], c.Output)
	},
	"sha-256": func(c primitiveCase) bool {
		h := c.Label.Hash(*c.Message)
		return bytes.Equal(h[:], c.Output)
	},
	"argon2id": func(c primitiveCase) bool { return c.Argon2.Check() == nil },
}

// TestPrimitives asks the doors about each case of the file.
func TestPrimitives(t *testing.T) {
	raw, err := os.ReadFile(vectorPath(primitivesFile))
	if err != nil {
		t.Fatal(err)
	}
	var f primitiveFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range slices.Concat(f.Accepted, f.Refused) {
		if got, want := accepts[c.Primitive](c), c.Result != "invalid"; got != want {
			t.Errorf("%s, %s: accepted %t, want %s", c.Primitive, c.Name, got, c.Result)
		}
		count[c.Primitive+" "+c.Result]++
	}
	for _, c := range f.Accepted {
		if c.Result != "valid" && c.Result != "acceptable" || c.Comment == "" {
			t.Errorf("%s, %s: %q among what is accepted", c.Primitive, c.Name, c.Result)
		}
	}
	for primitive := range accepts {
		if count[primitive+" valid"] == 0 || count[primitive+" invalid"] == 0 {
			t.Errorf("%s: %d are valid, %d invalid", primitive, count[primitive+" valid"], count[primitive+" invalid"])
		}
	}
	t.Logf("%v", count)
}
