package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A second factor is a code that the node wants beside the password, at log-in and
// before the account changes. It keeps out whoever knows the password. It does nothing
// against the node, which knows the secret and checks the codes: what is encrypted
// opens with the password alone.

// A CodeSource gets a code when a node wants one. Again says that the one before was
// refused: it was wrong, or had been used.
type CodeSource func(ctx context.Context, again bool) (wire.FactorCode, error)

// WithCodes makes the client ask source where a node wants a code. Without it, such a
// request fails with wire.SecondFactor.
func WithCodes(source CodeSource) Option { return func(c *Client) { c.codes = source } }

// codeTries is how often a code is asked for until the request fails.
const codeTries = 3

// withCode sends a request without a code, and with one if the node wants it.
func (c *Client) withCode(ctx context.Context, send func(wire.FactorCode) error) error {
	err := send(wire.FactorCode{})
	for try := 0; errors.Is(err, wire.SecondFactor) && c.codes != nil && try < codeTries; try++ {
		code, failed := c.codes(ctx, try > 0)
		if failed != nil {
			return failed
		}
		err = send(code)
	}
	return err
}

// ParseFactorCode reads a code as people type it: with any spaces and dashes or
// without, a backup code in either case, with O for 0 and I or L for 1. Errors are
// wire.Invalid and never repeat what was typed.
func ParseFactorCode(b []byte) (wire.FactorCode, error) {
	return wire.ParseFactorCode(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r):
			return -1
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		}
		switch r {
		case 'O':
			return '0'
		case 'I', 'L':
			return '1'
		}
		return r
	}, string(b)))
}

// SecondFactor is what a log-in needs beside the password, by the word of the node.
type SecondFactor struct {
	On     bool
	Backup int // backup codes that were not used yet
}

// SecondFactor asks for it.
func (p *Person) SecondFactor(ctx context.Context) (f SecondFactor, err error) {
	err = p.do(ctx, func() error {
		f, err = p.secondFactor(ctx)
		return err
	})
	return f, err
}

func (p *Person) secondFactor(ctx context.Context) (SecondFactor, error) {
	var reply wire.SecondFactorReply
	if err := p.get(ctx, wire.PathFactor, &reply); err != nil {
		return SecondFactor{}, err
	}
	if reply.Backup < 0 || reply.Backup > wire.BackupCodes {
		return SecondFactor{}, wire.Errorf(wire.Unavailable, "node", "%s counts %d backup codes", p.session.Address.Node, reply.Backup)
	}
	return SecondFactor{len(reply.Kinds) > 0, reply.Backup}, nil
}

// An Authenticator is what an app is told, and a node once its first code is known.
type Authenticator struct {
	secret wire.TOTPSecret
	at     wire.Address
}

// NewAuthenticator makes a secret for an app. Nobody knows it yet.
func (p *Person) NewAuthenticator() Authenticator {
	return Authenticator{wire.NewTOTPSecret(random()), p.session.Address}
}

// IsZero reports whether it is none.
func (a Authenticator) IsZero() bool { return a.at.IsZero() }

// URI is what apps read (the key URI format of Google Authenticator):
//
//	otpauth://totp/PeerBrain:ada@node.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=PeerBrain
func (a Authenticator) URI() string {
	return fmt.Sprintf("otpauth://totp/PeerBrain:%s?secret=%s&issuer=PeerBrain", a.at, a.secret.Reveal())
}

// Secret is what people type into an app that has no camera.
func (a Authenticator) Secret() string { return a.secret.Reveal() }

func (Authenticator) String() string             { return wire.Redacted }
func (Authenticator) GoString() string           { return wire.Redacted }
func (Authenticator) Format(f fmt.State, _ rune) { io.WriteString(f, wire.Redacted) }

// QR returns the code that says the URI.
func (a Authenticator) QR() QR {
	code, err := TextQR(a.URI())
	if err != nil {
		panic("client: " + err.Error()) // of an address, always short enough
	}
	return code
}

// BackupCodes are for when the app is lost, each once. They do not print, and no other
// copy is kept.
type BackupCodes struct {
	codes func() []wire.FactorCode // a function for the reason given at wire.Hidden
}

func (BackupCodes) String() string             { return wire.Redacted }
func (BackupCodes) GoString() string           { return wire.Redacted }
func (BackupCodes) Format(f fmt.State, _ rune) { io.WriteString(f, wire.Redacted) }
func (BackupCodes) MarshalText() ([]byte, error) {
	return nil, wire.Errorf(wire.Invalid, "backup codes", "they are not written out")
}

// Reveal returns the codes for a person to keep, in groups of four.
func (b BackupCodes) Reveal() (shown []string) {
	for _, code := range b.codes() {
		s := code.Reveal()
		shown = append(shown, s[:4]+"-"+s[4:8]+"-"+s[8:12]+"-"+s[12:])
	}
	return shown
}

// newBackupCodes returns codes, and what the node is told of them.
func newBackupCodes(account wire.AccountID) (BackupCodes, []wire.Hash) {
	var codes []wire.FactorCode
	var hashes []wire.Hash
	for range wire.BackupCodes {
		code := wire.NewBackupCode(random())
		codes, hashes = append(codes, code), append(hashes, code.Hash(account))
	}
	return BackupCodes{func() []wire.FactorCode { return codes }}, hashes
}

// TurnOnSecondFactor tells the node what the app knows, with its first code. wire.Invalid
// if that is another one. If the command is interrupted, SecondFactor tells whether it is
// on; without its backup codes then, for which NewBackupCodes makes others.
func (p *Person) TurnOnSecondFactor(ctx context.Context, a Authenticator, first wire.FactorCode) (codes BackupCodes, err error) {
	codes, hashes := newBackupCodes(p.me())
	return codes, p.do(ctx, func() error {
		r := wire.SecondFactorRequest{Kind: wire.FactorTOTP, Secret: a.secret, Code: first, Backup: hashes}
		if err := p.home(ctx, "PUT", wire.PathFactor, &r, nil); err != nil {
			return err
		}
		return p.isOn(ctx, true)
	})
}

// TurnOffSecondFactor makes the password enough.
func (p *Person) TurnOffSecondFactor(ctx context.Context) error {
	return p.do(ctx, func() error {
		if err := p.home(ctx, "DELETE", wire.PathFactor, nil, nil); err != nil {
			return err
		}
		return p.isOn(ctx, false)
	})
}

// NewBackupCodes replaces all backup codes. wire.NotExist where the password is enough.
func (p *Person) NewBackupCodes(ctx context.Context) (codes BackupCodes, err error) {
	codes, hashes := newBackupCodes(p.me())
	return codes, p.do(ctx, func() error {
		if err := p.home(ctx, "PUT", wire.PathBackup, &wire.BackupRequest{Backup: hashes}, nil); err != nil {
			return err
		}
		return p.isOn(ctx, true)
	})
}

// isOn refuses the word of a node that it has done what it does not show.
func (p *Person) isOn(ctx context.Context, on bool) error {
	f, err := p.secondFactor(ctx)
	if err != nil {
		return err
	}
	if f.On != on || on && f.Backup != wire.BackupCodes {
		return wire.Errorf(wire.Tampered, "second factor", "the node says that it is changed, and does not show it")
	}
	return nil
}
