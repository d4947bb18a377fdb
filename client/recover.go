package client

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// The recovery code is a second way into an account, by keys of its own: one that
// answers the node's challenge, one that opens the vault. Both stand, as public keys, in
// what the owner has signed, so the code also tells whether the node shows the right
// account: no node can make up one that the code fits.

// ErrWrongCode is for a name or code that a node or an account does not know.
var ErrWrongCode = wire.Errorf(wire.Unauthenticated, "recovery code", "name or recovery code is wrong")

var errOtherAccount = wire.Errorf(wire.Tampered, "login", "the account that the node shows is not the one that the recovery code was made for")

// A RecoveryCode is what a person has on paper. It does not print, and never leaves the
// device.
type RecoveryCode struct{ code seal.RecoveryCode }

func (RecoveryCode) String() string             { return wire.Redacted }
func (RecoveryCode) GoString() string           { return wire.Redacted }
func (RecoveryCode) Format(f fmt.State, _ rune) { io.WriteString(f, wire.Redacted) }

// MarshalText refuses: a code is not written out.
func (RecoveryCode) MarshalText() ([]byte, error) {
	return nil, wire.Errorf(wire.Invalid, "recovery code", "a recovery code is not written out")
}

// ParseRecoveryCode reads a code as people type it: in either case, with or without
// spaces and dashes. Errors are wire.Invalid and never repeat what was typed.
func ParseRecoveryCode(b []byte) (RecoveryCode, error) {
	c, err := seal.ParseRecoveryCode(string(b))
	return RecoveryCode{c}, err
}

// RecoverOptions say who recovers an account.
// ShowCode gets the new recovery code, and returns when the person has it safe; its error ends the recovery, in which nothing was changed then.
type RecoverOptions struct {
	Address  wire.Address
	Code     RecoveryCode
	Password Password // from now on
	Device   string   // name for the list of sessions, 1 to wire.MaxDeviceName bytes
	ShowCode func(code string) error
	NewKeys  bool // replace identity, encryption and self keys too: somebody may have them
}

// Recover logs in with the recovery code, sets a new password, and replaces the code. All
// other sessions end. It may be run again after any failure, with the code that it was
// begun with on the same device, or with the one that opens: at each moment exactly one of
// the two codes does. ErrWrongCode for a wrong name or code, and else as Login and
// ChangePassword.
func (c *Client) Recover(ctx context.Context, o RecoverOptions) (*Person, LoginReport, error) {
	if err := o.Password.CheckNew(); err != nil {
		return nil, LoginReport{}, err
	}
	name := knownName(fileNewCode, o.Address)
	present := newByCode(o.Code)
	code, err := c.keptCode(name, present)
	if err != nil {
		return nil, LoginReport{}, err
	}
	l := &login{c: c, with: present, at: o.Address, device: o.Device}
	p, report, err := l.enter(ctx)
	if err == error(ErrWrongCode) && code != nil { // an earlier attempt may have done it
		p, report, err = (&login{c: c, with: newByCode(RecoveryCode{*code}), at: o.Address, device: o.Device}).enter(ctx)
	}
	if err != nil {
		return nil, report, err
	}
	err = p.do(ctx, func() error {
		next, err := c.showCode(name, p.me(), present, code, o.ShowCode)
		if err != nil {
			return err
		}
		if err := p.setLocks(ctx, locks{&o.Password, next, o.NewKeys}); err != nil {
			return err
		}
		return p.ready(ctx)
	})
	if err == nil {
		err = c.drop(name)
	}
	return p, report, err
}

// setLocks gives the account, in whose vault this device is already, what next says.
func (p *Person) setLocks(ctx context.Context, next locks) error {
	if err := p.refreshVault(ctx); err != nil {
		return err
	}
	if next.code.fits(p.chain) { // by an earlier attempt
		if next.keys && sameKeys(p.chain, p.chain.Newest().Seq-1) { // which was not asked for new keys
			next.code.present = next.code.byCode
		} else {
			next.code, next.keys = nil, false
		}
	}
	if next.code == nil {
		slots, err := wire.DecodeSlots(p.vault.record.Slots)
		if err != nil {
			return err
		}
		is, err := p.isPassword(*next.password, slots)
		if err != nil {
			return err
		}
		if is {
			return p.home(ctx, "DELETE", wire.PathSessions, nil, nil)
		}
	}
	return p.change(ctx, func() (*accountChange, error) { return p.prepareChange(next) })
}

// byCode logs in with the recovery code.
type byCode struct {
	signs wire.RecoverySecret
	opens seal.RecoveryEncryptionSecret
	login wire.RecoveryLoginSecret
}

func newByCode(code RecoveryCode) *byCode {
	b := new(byCode)
	b.signs, b.opens, b.login = code.code.Secrets()
	return b
}

func (b *byCode) purpose() wire.Purpose { return wire.PurposeRecovery }
func (b *byCode) refused() error        { return ErrWrongCode }

func (b *byCode) answer(_ *login, c *wire.Challenge) (wire.Signed, error) {
	return c.SignRecovery(b.login)
}

// fits reports whether the newest key statement of an account names the keys of the code,
// which no other account can have and open anything with.
func (b *byCode) fits(chain *keyservice.Chain) bool { return b.names(chain.Newest()) }

// names reports whether a key statement names the keys of the code.
func (b *byCode) names(k *wire.KeyStatement) bool {
	return b.signs.Public() == k.Recovery && b.opens.Public() == k.RecoveryBox
}

func (b *byCode) unlock(_ *login, chain *keyservice.Chain, slots *wire.Slots) (seal.VaultKey, error) {
	if !b.fits(chain) || slots.RecoveryLogin != b.login.Public() {
		return seal.VaultKey{}, errOtherAccount
	}
	key, err := seal.OpenRecoverySlot(b.opens, chain.Account(), slots.RecoverySlot)
	if err != nil {
		return seal.VaultKey{}, wire.Errorf(wire.Tampered, "login", "the vault that the node shows does not open with the recovery code that it took")
	}
	return key, nil
}

// CheckCode says whether a recovery code is that of this account: it would open the
// newest version of the vault, and the node would take it. Nothing is changed, and
// nothing of the code is sent. ErrWrongCode if it is not.
func (p *Person) CheckCode(ctx context.Context, code RecoveryCode) error {
	return p.do(ctx, func() error {
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		b := newByCode(code)
		slots, err := wire.DecodeSlots(p.vault.record.Slots)
		if err != nil {
			return err
		}
		if err := p.checkPresent(b); err != nil {
			return err
		}
		key, err := b.unlock(nil, p.chain, slots)
		if err != nil || !bytes.Equal(key.Bytes(), p.session.VaultKey.Bytes()) {
			return wire.Errorf(wire.Tampered, "recovery code", "the code is right, and does not open the newest vault: another device has made it for another one")
		}
		return nil
	})
}
