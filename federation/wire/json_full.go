//go:build !js

package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// marshalJSON is EncodeJSON. In a browser it is marshalSmallJSON.
func marshalJSON(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }

// appendQuote writes valid UTF-8 as a JSON string.
func appendQuote(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // fails for bad UTF-8 alone
	return b
}

// unmarshalJSON is DecodeJSON. In a browser it is unmarshalSmallJSON.
func unmarshalJSON(b []byte, v any) error {
	strict := []json.Options{json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false)}
	err := json.Unmarshal(b, v, strict...)
	if err == nil && onlyStrings(b) {
		return nil
	}
	if err == nil {
		return checkTokens(b)
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var at jsontext.Pointer
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	if errors.As(err, &sem) {
		at = sem.JSONPointer
	} else if errors.As(err, &syn) {
		at = syn.JSONPointer
	}
	return Errorf(Invalid, where(at), "not the expected JSON")
}

// where names the place in a JSON text, or the whole of it.
func where(at jsontext.Pointer) string {
	if at == "" {
		return "body"
	}
	return clip(string(at))
}

// onlyStrings reports whether valid JSON has nothing that checkTokens looks at: no
// number, no null, and no escape in a string. Posts have not, and to read their
// tokens once more takes a third of the time.
func onlyStrings(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return !bytes.ContainsAny(b, "n-0123456789")
		}
		if bytes.ContainsAny(b[:i], "n-0123456789") {
			return false
		}
		b = b[i+1:]
		end := bytes.IndexByte(b, '"')
		if bytes.IndexByte(b[:end], '\\') >= 0 {
			return false
		}
		b = b[end+1:]
	}
}

// checkTokens refuses in valid JSON what the decoder takes for something else:
// null for any zero value, -0 for 0, and NUL, at which other software ends a string.
func checkTokens(b []byte) error {
	escaped := bytes.Contains(b, []byte(`\u0000`)) // most texts have no escapes: their strings need not be copied
	d := jsontext.NewDecoder(bytes.NewBuffer(b))
	for {
		t, err := d.ReadToken()
		if err == io.EOF {
			return nil
		}
		switch {
		case err != nil,
			t.Kind() == 'n',
			t.Kind() == '0' && !plainInteger(t.String()),
			t.Kind() == '"' && escaped && strings.Contains(t.String(), "\x00"):
			return Errorf(Invalid, where(d.StackPointer()), "not the expected JSON")
		}
	}
}

// MarshalJSONTo writes the token into an API body. Only EncodeJSON knows this
// method: loggers look for MarshalText and MarshalJSON, and would write it out.
func (t Token) MarshalJSONTo(e *jsontext.Encoder) error {
	return e.WriteToken(jsontext.String(t.Reveal()))
}

// MarshalJSONTo writes the secret into an API body, and nothing else does.
func (s TOTPSecret) MarshalJSONTo(e *jsontext.Encoder) error {
	return e.WriteToken(jsontext.String(s.Reveal()))
}

// MarshalJSONTo writes the code into an API body, and nothing else does.
func (c FactorCode) MarshalJSONTo(e *jsontext.Encoder) error {
	return e.WriteToken(jsontext.String(c.Reveal()))
}
