package wire

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// EncodeJSON writes v for an API answer or request. It panics on types that
// cannot be encoded: that is a programming error, no input reaches it.
func EncodeJSON(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

// DecodeJSON reads one JSON value strictly (RFC 8259 and I-JSON): duplicate and
// unknown members, other case, bad UTF-8, lone surrogates, a byte order mark and
// trailing data are refused.
func DecodeJSON(b []byte, v any) error {
	err := json.Unmarshal(b, v, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	field := "body"
	var sem *json.SemanticError
	if errors.As(err, &sem) && sem.JSONPointer != "" {
		field = clip(string(sem.JSONPointer))
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) && syn.JSONPointer != "" {
		field = clip(string(syn.JSONPointer))
	}
	return Errorf(Invalid, field, "not the expected JSON")
}
