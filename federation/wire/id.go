package wire

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
)

// A Hash is a SHA-256 of a labelled message.
type Hash [32]byte

// An AccountID is the hash of a person's first key statement. It stays when the
// handle or the node changes.
type AccountID [32]byte

// An EntryID is the hash of an entry's header.
type EntryID [32]byte

// An AudienceID names a set of friends that an author writes to, and its stream.
type AudienceID [32]byte

// A Commitment is the labelled hash of a secret key that is published before the
// key is handed out.
type Commitment [32]byte

// A Nonce is used once.
type Nonce [32]byte

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// encode32 writes 32 bytes as 52 characters of lower-case unpadded base32
// (RFC 4648, section 6).
func encode32(b [32]byte) string {
	var text [len32]byte
	base32Lower.Encode(text[:], b[:])
	return string(text[:])
}

// AppendID adds what encode32 writes of an id, a hash or a nonce.
func AppendID(text []byte, id [32]byte) []byte { return base32Lower.AppendEncode(text, id[:]) }

const len32 = 52

// bits32 has the five bits of each character of base32, and more for what is none.
var bits32 = func() (bits [256]byte) {
	for c := range bits {
		bits[c] = 0xff
	}
	for v, c := range []byte("abcdefghijklmnopqrstuvwxyz234567") {
		bits[c] = byte(v)
	}
	return bits
}()

// parse32 accepts exactly what encode32 writes. The standard decoder skips line
// breaks, which leaves fewer bytes, and the unused bits of the last character; and it
// takes three times as long, which each request has to wait for.
func parse32[S string | []byte](what string, s S) (b [32]byte, err error) {
	var all byte // bits of the characters
	for i, at := 0, 0; len(s) == len32 && i < len32; i, at = i+8, at+5 {
		var group [8]byte // of five bytes
		copy(group[:], "aaaaaaaa")
		copy(group[:], s[i:min(i+8, len32)])
		var v uint64
		for _, c := range group {
			v = v<<5 | uint64(bits32[c])
			all |= bits32[c]
		}
		var five [8]byte
		binary.BigEndian.PutUint64(five[:], v<<24)
		if n := copy(b[at:], five[:5]); n < 5 && five[n] != 0 {
			all = 0xff
		}
	}
	if len(s) != len32 || all > 31 {
		return [32]byte{}, Errorf(Invalid, what, "%q is no id: 52 characters of a-z and 2-7 were expected", clip(string(s)))
	}
	return b, nil
}

func (h Hash) String() string       { return encode32(h) }
func (i AccountID) String() string  { return encode32(i) }
func (i EntryID) String() string    { return encode32(i) }
func (i AudienceID) String() string { return encode32(i) }
func (c Commitment) String() string { return encode32(c) }
func (n Nonce) String() string      { return encode32(n) }

// IsZero reports whether h is the hash of nothing, as before a first statement.
func (h Hash) IsZero() bool { return h == Hash{} }

// IsZero reports whether i names nobody.
func (i AccountID) IsZero() bool { return i == AccountID{} }

// IsZero reports whether i names no entry.
func (i EntryID) IsZero() bool { return i == EntryID{} }

// IsZero reports whether i names no audience.
func (i AudienceID) IsZero() bool { return i == AudienceID{} }

// ParseAccountID accepts the one spelling of an account id.
func ParseAccountID(s string) (AccountID, error) {
	b, err := parse32("account", s)
	return b, err
}

// ParseEntryID accepts the one spelling of an entry id.
func ParseEntryID(s string) (EntryID, error) {
	b, err := parse32("entry", s)
	return b, err
}

// ParseAudienceID accepts the one spelling of an audience id.
func ParseAudienceID(s string) (AudienceID, error) {
	b, err := parse32("audience", s)
	return b, err
}

// ParseCommitment accepts the one spelling of a commitment.
func ParseCommitment(s string) (Commitment, error) {
	b, err := parse32("commitment", s)
	return b, err
}

func (h Hash) MarshalText() ([]byte, error)       { return []byte(h.String()), nil }
func (i AccountID) MarshalText() ([]byte, error)  { return []byte(i.String()), nil }
func (i EntryID) MarshalText() ([]byte, error)    { return []byte(i.String()), nil }
func (i AudienceID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }
func (c Commitment) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (n Nonce) MarshalText() ([]byte, error)      { return []byte(n.String()), nil }

func (h *Hash) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(h), err = parse32("hash", b)
	return err
}

func (i *AccountID) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(i), err = parse32("account", b)
	return err
}

func (i *EntryID) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(i), err = parse32("entry", b)
	return err
}

func (i *AudienceID) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(i), err = parse32("audience", b)
	return err
}

func (c *Commitment) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(c), err = parse32("commitment", b)
	return err
}

func (n *Nonce) UnmarshalText(b []byte) (err error) {
	*(*[32]byte)(n), err = parse32("nonce", b)
	return err
}

// Bytes are binary data that stand in JSON as unpadded base64url (RFC 4648,
// section 5), of which one spelling is accepted.
type Bytes []byte

var base64Strict = base64.RawURLEncoding.Strict()

// MarshalText writes base64url.
func (b Bytes) MarshalText() ([]byte, error) { return base64Strict.AppendEncode(nil, b), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (b *Bytes) UnmarshalText(t []byte) error {
	for _, c := range t { // the standard decoder skips line breaks
		if c == '\r' || c == '\n' {
			return Errorf(Invalid, "bytes", "line breaks do not belong into base64url")
		}
	}
	raw, err := base64Strict.AppendDecode([]byte{}, t)
	if err != nil {
		return Errorf(Invalid, "bytes", "unpadded base64url was expected")
	}
	*b = raw
	return nil
}
