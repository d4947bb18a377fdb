package client

import (
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Client speaks for the one person whose things lie on its device.
type Client struct {
	transport Transport
	device    Device
	now       func() time.Time
	derive    deriver
	codes     CodeSource // nil for none
	keeps     bool       // the newest posts, for Kept
	skew      skew
}

// deriver turns a password into keys; seal.DerivePassword outside of tests.
type deriver func(password []byte, a wire.Address, p wire.Argon2, random wire.Nonce) (wire.LoginSecret, seal.SlotKey, error)

// An Option changes how a Client works.
type Option func(*Client)

// WithClock replaces the system's clock.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// withDeriver replaces Argon2id, which takes 0.15 s on purpose.
func withDeriver(d deriver) Option { return func(c *Client) { c.derive = d } }

// New returns a client that reaches nodes through t and keeps its things on d.
// The device must not be used by another client at the same time; Folder sees to
// that with a lock.
func New(t Transport, d Device, opts ...Option) *Client {
	c := &Client{transport: t, device: d, now: time.Now, derive: seal.DerivePassword}
	for _, o := range opts {
		o(c)
	}
	return c
}
