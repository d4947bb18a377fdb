package client

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxBegun bounds a text that is being written, in bytes: what is longer than a post is
// kept too, so that it can be made shorter.
const maxBegun = 4 * wire.MaxPost

// A Begun is a text that is being written: the key of the draft that it will be, and what
// there is of it.
type Begun struct {
	Key  string
	Text string
}

type begunFile struct {
	Version uint64 `cbor:"1,keyasint"`
	Key     string `cbor:"2,keyasint"`
	Text    string `cbor:"3,keyasint"`
}

// KeepBegun keeps what is being written, sealed as all that the device has; an empty text
// removes it. No request is made.
func (p *Person) KeepBegun(ctx context.Context, b Begun) error {
	if err := checkDraftKey(b.Key); err != nil {
		return err
	}
	if len(b.Text) > maxBegun {
		return wire.Errorf(wire.TooLarge, "text", "at most %d bytes of a text that is being written are kept", maxBegun)
	}
	return p.do(ctx, func() error {
		if b.Text == "" {
			return p.c.device.Delete(fileBegun)
		}
		return p.saveSealed(fileBegun, wire.EncodeCBOR(&begunFile{1, b.Key, b.Text}))
	})
}

// Begun returns what was being written when it was kept last; zero for nothing.
func (p *Person) Begun(ctx context.Context) (b Begun, err error) {
	err = p.do(ctx, func() error {
		var f begunFile
		if sealed := p.loadSealed(fileBegun); sealed != nil && wire.DecodeCBOR("begun", sealed, &f) == nil && f.Version == 1 {
			b = Begun{f.Key, f.Text}
		}
		return nil
	})
	return b, err
}
