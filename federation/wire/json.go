package wire

import "strings"

// EncodeJSON writes v for an API answer or request. It panics on types that
// cannot be encoded: that is a programming error, no input reaches it.
func EncodeJSON(v any) []byte {
	if plain, ok := appendPlain(nil, v); ok {
		return plain
	}
	b, err := marshalJSON(v)
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
	return unmarshalJSON(b, v)
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
