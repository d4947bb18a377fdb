package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var update = flag.Bool("update", false, "write docs/vectors anew; they are frozen, so only for a new format")

// A vectorFile is one file of docs/vectors: the plaintext of what a client seals.
type vectorFile struct {
	About    string   `json:"about"`
	Accepted []vector `json:"accepted"`
	Refused  []vector `json:"refused"`
}

// A vector is one plaintext, in lower-case hex; then it goes on with Times bytes
// Then, so that long ones need no room.
type vector struct {
	Name       string    `json:"name"`
	Account    string    `json:"account,omitempty"` // of the vault's owner, hex
	Text       string    `json:"text,omitempty"`    // of the post, where it is short
	Payload    string    `json:"payload"`
	Then       string    `json:"then,omitempty"`
	Times      int       `json:"times,omitempty"`
	Diagnostic string    `json:"diagnostic,omitempty"` // RFC 8949, section 8
	Error      wire.Kind `json:"error,omitempty"`
	Why        string    `json:"why,omitempty"`
}

func (v vector) bytes(t testing.TB) []byte {
	b, err := hex.DecodeString(v.Payload)
	then, err2 := hex.DecodeString(v.Then)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return append(b, bytes.Repeat(then, v.Times)...)
}

// A plaintext is a format: how it is read, and written again.
type plaintext struct {
	made   func(t testing.TB) vectorFile
	reread func(v vector, b []byte) ([]byte, error)
}

var plaintexts = map[string]plaintext{
	"vault-content.json": {vaultContentVectors, func(v vector, b []byte) ([]byte, error) {
		account, err := hex.DecodeString(v.Account)
		if err != nil {
			return nil, err
		}
		opened, err := decodeVault(b, wire.AccountID(account))
		if err != nil {
			return nil, err
		}
		return opened.encode(), nil
	}},
	"post.json": {postVectors, func(v vector, b []byte) ([]byte, error) {
		text, err := decodePost(b)
		if err == nil && v.Text != "" && text != v.Text {
			err = errors.New("the text is " + text)
		}
		return encodePost(text), err
	}},
}

// TestVectors checks the frozen files against the code, reading nothing but the
// files, and that the generator still makes the same ones. With -update it writes
// them first: a changed file is a changed format.
func TestVectors(t *testing.T) {
	for name, p := range plaintexts {
		path := filepath.Join("..", "docs", "vectors", name)
		var made bytes.Buffer
		e := json.NewEncoder(&made)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(p.made(t)); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, made.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (go test ./client -run TestVectors -update writes it)", err)
		}
		var f vectorFile
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(f.Accepted) == 0 || len(f.Refused) == 0 {
			t.Errorf("%s has no cases", name)
		}
		if !bytes.Equal(b, made.Bytes()) {
			t.Errorf("%s is not what the generator makes: either the format or the file was changed", name)
		}
		for _, v := range append(f.Accepted, f.Refused...) {
			t.Run(name+", "+v.Name, func(t *testing.T) { p.check(t, v) })
		}
	}
}

func (p plaintext) check(t *testing.T, v vector) {
	b := v.bytes(t)
	again, err := p.reread(v, b)
	switch {
	case v.Error == "" && err != nil:
		t.Error(err)
	case v.Error == "" && !bytes.Equal(again, b):
		t.Errorf("it is written again as %x", again)
	case v.Error != "" && (!errors.Is(err, v.Error) || v.Why == ""):
		t.Errorf("got %v, want %s, and a reason in the file", err, v.Error)
	}
	if v.Diagnostic != "" {
		if d, err := cbor.Diagnose(b); err != nil || d != v.Diagnostic {
			t.Errorf("the bytes say %s, %v", d, err)
		}
	}
}
