package client

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Password is what a person types. It does not print, cannot be compared, and
// never leaves the device.
type Password struct{ get func() []byte } // nil for none; a function, so that fmt has nothing to print

func (p Password) bytes() []byte {
	if p.get == nil {
		return nil
	}
	return p.get()
}

// Limits of a password in bytes.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// NewPassword checks the length, 8 to 1,024 bytes of UTF-8, and copies b. The
// bytes count as typed: they are not normalised, so a password with an accent
// must be entered in the same form on each device.
func NewPassword(b []byte) (Password, error) {
	switch {
	case len(b) < MinPassword || len(b) > MaxPassword:
		return Password{}, wire.Errorf(wire.Invalid, "password", "it must have %d to %d bytes", MinPassword, MaxPassword)
	case !utf8.Valid(b):
		return Password{}, wire.Errorf(wire.Invalid, "password", "it must be valid UTF-8")
	}
	kept := bytes.Clone(b)
	return Password{func() []byte { return kept }}, nil
}

func (Password) String() string             { return wire.Redacted }
func (Password) GoString() string           { return wire.Redacted }
func (Password) Format(f fmt.State, _ rune) { io.WriteString(f, wire.Redacted) }

// MarshalText refuses: a password is not written out.
func (Password) MarshalText() ([]byte, error) {
	return nil, wire.Errorf(wire.Invalid, "password", "a password is not written out")
}
