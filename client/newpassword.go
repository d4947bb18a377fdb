package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A new password is a version of the vault like any other, with other slots and under
// another vault key: one record at the node, so that at each moment one password opens,
// the old one or the new one. The device keeps the version before it sends it, and with it
// the key, which nothing else on the device opens. Whichever command comes next finds out
// whether the node has taken it (refreshVault).

// Errors that callers treat apart from others of their kind.
var (
	ErrPresentPassword = wire.Errorf(wire.Invalid, "password", "this is not the present password")
	ErrNewerPassword   = wire.Errorf(wire.Conflict, "password", "the node has a newer password of this account again, which was set on this device")
)

// passwordChange is a new password that may not have reached the node.
type passwordChange struct {
	record wire.VaultRecord
	key    seal.VaultKey
}

// changeFile is how the device keeps it, sealed under the cache key.
type changeFile struct {
	Version  uint64      `cbor:"1,keyasint"`
	Head     wire.Signed `cbor:"2,keyasint"`
	Slots    []byte      `cbor:"3,keyasint"`
	Vault    []byte      `cbor:"4,keyasint"`
	VaultKey hidden      `cbor:"5,keyasint"`
}

func (p *Person) saveChange(c *passwordChange) error {
	f := changeFile{1, c.record.Head, c.record.Slots, c.record.Vault, wire.Hide(c.key.Bytes())}
	return p.saveSealed(fileChange, wire.EncodeCBOR(&f))
}

// loadChange returns nil where there is none.
func (p *Person) loadChange() *passwordChange {
	var f changeFile
	b := p.loadSealed(fileChange)
	if b == nil || wire.DecodeCBOR("change", b, &f) != nil || f.Version != 1 {
		return nil
	}
	key, err := seal.VaultKeyFromBytes(f.VaultKey.Reveal())
	if err != nil {
		return nil
	}
	return &passwordChange{wire.VaultRecord{Head: f.Head, Slots: f.Slots, Vault: f.Vault}, key}
}

// ChangePassword replaces the password. All other sessions end. It may be run again,
// with the same two passwords, after any failure: until it succeeds, one of them opens the
// account. ErrPresentPassword where present is not the password, Invalid for a new one that
// nobody should choose, Tampered where the node says it is done and shows otherwise.
func (p *Person) ChangePassword(ctx context.Context, present, next Password) error {
	if err := next.CheckNew(); err != nil {
		return err
	}
	if bytes.Equal(present.bytes(), next.bytes()) {
		return wire.Errorf(wire.Invalid, "password", "the new one is the present one")
	}
	return p.do(ctx, func() error {
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		return p.change(ctx, func() (*passwordChange, error) {
			if done, err := p.hasChanged(present, next); err != nil || done {
				return nil, err
			}
			return p.prepareChange(next)
		})
	})
}

// change sends what prepare makes until the node has it, or prepare makes nothing.
func (p *Person) change(ctx context.Context, prepare func() (*passwordChange, error)) error {
	for range maxTries {
		c, err := prepare()
		if err != nil || c == nil {
			return err
		}
		if done, err := p.sendChange(ctx, c); err != nil || done {
			return err
		}
	}
	return wire.Errorf(wire.Conflict, "vault", "other devices change it all the time")
}

// hasChanged reports whether the new password is that of the vault already; it errs
// unless the present one is.
func (p *Person) hasChanged(present, next Password) (bool, error) {
	slots, err := wire.DecodeSlots(p.vault.record.Slots)
	if err != nil {
		return false, err
	}
	if is, err := p.isPassword(present, slots); err != nil || is {
		return false, err
	}
	is, err := p.isPassword(next, slots)
	if err == nil && !is {
		err = ErrPresentPassword
	}
	return is, err
}

// prepareChange returns the version to send, after it was kept: that of an interrupted
// change if it still follows.
func (p *Person) prepareChange(next Password) (*passwordChange, error) {
	slots, err := wire.DecodeSlots(p.vault.record.Slots)
	if err != nil {
		return nil, err
	}
	if c := p.loadChange(); c != nil {
		at, err := p.vault.next(p.chain, c.record.Head)
		if err == nil && at.head.SlotsHash == wire.SlotsHash(c.record.Slots) {
			if slots, err := wire.DecodeSlots(c.record.Slots); err == nil {
				if is, err := p.isPassword(next, slots); err != nil || is {
					return c, err
				}
			}
		}
	}
	c, err := p.newChange(next, slots)
	if err != nil {
		return nil, err
	}
	return c, p.saveChange(c)
}

// isPassword reports whether slots are those of a password.
func (p *Person) isPassword(password Password, slots *wire.Slots) (bool, error) {
	login, _, err := p.c.derive(password.bytes(), p.session.Address, slots.Argon2, slots.Random)
	return err == nil && login.Public() == slots.Login, err
}

// newChange makes the next version of the vault, under a new key and for a password.
// Recovery goes on by the same code.
func (p *Person) newChange(password Password, before *wire.Slots) (*passwordChange, error) {
	slots := &wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: wire.Nonce(random()), Argon2: wire.DefaultArgon2,
		RecoveryLogin: before.RecoveryLogin,
	}
	login, slot, err := p.c.derive(password.bytes(), p.session.Address, slots.Argon2, slots.Random)
	if err != nil {
		return nil, err
	}
	slots.Login = login.Public()
	key := seal.NewVaultKey()
	if slots.PasswordSlot, err = seal.SealPasswordSlot(slot, p.me(), key); err != nil {
		return nil, err
	}
	if slots.RecoverySlot, err = seal.SealRecoverySlot(p.chain.Newest().RecoveryBox, p.me(), key); err != nil {
		return nil, err
	}
	encoded, err := slots.Encode()
	if err != nil {
		return nil, err
	}
	next, err := p.sealNext(p.vault.clone(), key, encoded)
	return &passwordChange{next.record, key}, err
}

// sendChange sends a version, and reports whether the node shows it. It does not where
// another device was faster.
func (p *Person) sendChange(ctx context.Context, c *passwordChange) (bool, error) {
	before := p.vault.counter()
	err := p.home(ctx, "PUT", wire.PathVault, &c.record, nil)
	if err != nil && !errors.Is(err, wire.Conflict) {
		return false, err
	}
	if err := p.refreshVault(ctx); err != nil {
		return false, err
	}
	switch {
	case bytes.Equal(p.vault.record.Slots, c.record.Slots):
		return true, nil
	case err == nil:
		return false, wire.Errorf(wire.Tampered, "vault", "the node says that it has the new password, and does not show it")
	case p.vault.counter() == before:
		return false, wire.Errorf(wire.Tampered, "vault", "the node refuses version %d as late, but shows no newer one than %d", before+1, before)
	}
	return false, nil
}

// adopt goes on under the key of a change that the node has taken. v is the newest
// vault. The session comes first: what cannot be opened with its key is fetched again.
func (p *Person) adopt(c *passwordChange, v vaultState) error {
	if err := p.keepSent("PUT", wire.PathVault, &c.record); err != nil {
		return err
	}
	s := p.session
	s.VaultKey = c.key
	if err := p.c.saveSession(s); err != nil {
		return err
	}
	p.session = s
	if err := p.keepVault(v); err != nil {
		return err
	}
	return p.c.drop(fileChange)
}
