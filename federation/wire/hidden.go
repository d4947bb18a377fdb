package wire

import (
	"fmt"
	"io"
)

// Hidden is a secret on its way into a record or out of one: in CBOR it is T, and
// it goes into nothing else. It does not print and cannot be compared. Keys that
// are used have a type for each purpose; this is for what a file holds.
type Hidden[T []byte | string | [32]byte] struct {
	get func() T // a function for the reason given at seed; nil is the zero T
}

// Hide hides v, which the caller no longer changes.
func Hide[T []byte | string | [32]byte](v T) Hidden[T] { return Hidden[T]{func() T { return v }} }

// Reveal returns what is hidden.
func (h Hidden[T]) Reveal() (v T) {
	if h.get == nil {
		return v
	}
	return h.get()
}

func (Hidden[T]) String() string               { return Redacted }
func (Hidden[T]) GoString() string             { return Redacted }
func (Hidden[T]) Format(f fmt.State, _ rune)   { io.WriteString(f, Redacted) }
func (Hidden[T]) MarshalText() ([]byte, error) { return nil, fmt.Errorf("a secret is not written out") }

// MarshalCBOR writes T.
func (h Hidden[T]) MarshalCBOR() ([]byte, error) { return marshalCBOR(h.Reveal()) }

// UnmarshalCBOR reads T.
func (h *Hidden[T]) UnmarshalCBOR(b []byte) error {
	var v T
	if err := unmarshalCBOR(b, &v); err != nil {
		return err
	}
	*h = Hide(v)
	return nil
}
