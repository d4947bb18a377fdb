package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// EncodeJSON writes v for an API answer or request. It panics on types that
// cannot be encoded: that is a programming error, no input reaches it.
func EncodeJSON(v any) []byte {
	if plain, ok := appendPlain(nil, v); ok {
		return plain
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

// AppendJSON is EncodeJSON behind what is in b. What is sent most is written
// there without a copy in between.
func AppendJSON(b []byte, v any) []byte {
	if plain, ok := appendPlain(b, v); ok {
		return plain
	}
	return append(b, EncodeJSON(v)...)
}

// appendPlain writes what is sent most, to the bytes that it is encoded to.
func appendPlain(b []byte, v any) (written []byte, ok bool) {
	switch v := v.(type) {
	case FeedReply:
		return v.append(b), true
	case PublishReply:
		return v.append(b), true
	case ChallengeReply:
		return v.append(b), true
	case LoginReply:
		return v.append(b), true
	}
	return nil, false
}

// DecodeJSON reads one JSON value strictly (RFC 8259 and I-JSON, RFC 7493) into
// v, a pointer to a zero value. Refused are duplicate and unknown members, other
// case, bad UTF-8, lone surrogates, a byte order mark, trailing data, null, NUL
// in strings, and all numbers but integers in their one spelling up to MaxInteger.
// Members may be absent: they are zero, and whoever needs them checks.
func DecodeJSON(b []byte, v any) error {
	if plain, ok := v.(interface{ decodePlain([]byte) bool }); ok && plain.decodePlain(b) {
		return nil
	}
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

// plainInteger reports whether a JSON number is an integer as EncodeJSON writes
// it, of at most 2^53-1 in magnitude.
func plainInteger(s string) bool {
	const limit = "9007199254740991"
	digits, negative := strings.CutPrefix(s, "-")
	if strings.Trim(digits, "0123456789") != "" || negative && digits == "0" {
		return false
	}
	return len(digits) < len(limit) || len(digits) == len(limit) && digits <= limit
}
