package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A new password and a new recovery code are a version of the vault like any other, with
// other slots, and for the code with a key statement: one record at the node, so that at
// each moment one password opens, and one code,
// the old one or the new one. The device keeps the version before it sends it, and with it
// the key, which nothing else on the device opens. Whichever command comes next finds out
// whether the node has taken it (refreshVault).

// Errors that callers treat apart from others of their kind.
var (
	ErrPresentPassword = wire.Errorf(wire.Invalid, "password", "this is not the present password")
	ErrNewerPassword   = wire.Errorf(wire.Conflict, "password", "the node has a newer password of this account again, which was set on this device")
)

// accountChange is a new password, a new code or both, that may not have reached the node.
type accountChange struct {
	update wire.VaultUpdate
	key    seal.VaultKey
}

// changeFile is how the device keeps it, sealed under the cache key.
type changeFile struct {
	Version   uint64      `cbor:"1,keyasint"`
	Head      wire.Signed `cbor:"2,keyasint"`
	Slots     []byte      `cbor:"3,keyasint"`
	Vault     []byte      `cbor:"4,keyasint"`
	VaultKey  hidden      `cbor:"5,keyasint"`
	Statement wire.Signed `cbor:"6,keyasint,omitempty"`
}

func (p *Person) saveChange(c *accountChange) error {
	u := c.update
	f := changeFile{1, u.Head, u.Slots, u.Vault, wire.Hide(c.key.Bytes()), u.KeyStatement}
	return p.saveSealed(fileChange, wire.EncodeCBOR(&f))
}

// loadChange returns nil where there is none.
func (p *Person) loadChange() *accountChange {
	var f changeFile
	b := p.loadSealed(fileChange)
	if b == nil || wire.DecodeCBOR("change", b, &f) != nil || f.Version != 1 {
		return nil
	}
	key, err := seal.VaultKeyFromBytes(f.VaultKey.Reveal())
	if err != nil {
		return nil
	}
	return &accountChange{wire.VaultUpdate{VaultRecord: wire.VaultRecord{Head: f.Head, Slots: f.Slots, Vault: f.Vault}, KeyStatement: f.Statement}, key}
}

// follow returns the chain that verifies what c holds: chain, and behind it the statement.
func (c *accountChange) follow(chain *keyservice.Chain) (*keyservice.Chain, error) {
	s := c.update.KeyStatement
	if len(s) == 0 || chain.NewestHash() == s.Hash(wire.LabelKeyStatement) {
		return chain, nil
	}
	return chain.Append(s)
}

// locks are what the next version of the vault is to open with. What is absent stays.
type locks struct {
	password *Password
	code     *nextCode
	keys     bool // new identity, encryption and self keys, which the code signs
}

// ChangePassword replaces the password. All other sessions end. It may be run again,
// with the same two passwords, after any failure: until it succeeds, one of them opens the
// account. ErrPresentPassword where present is not the password, Invalid for a new one that
// nobody should choose, Tampered where the node says it is done and shows otherwise.
// A new epoch follows, whose entry takes the new version of the vault to the nodes of
// friends: a new device that is shown an older one, as by who had the old password, is told.
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
		err := p.change(ctx, func() (*accountChange, error) {
			if done, err := p.hasChanged(present, next); err != nil || done {
				return nil, err
			}
			return p.prepareChange(locks{password: &next})
		})
		if err != nil {
			return err
		}
		return p.ready(ctx)
	})
}

// change sends what prepare makes until the node has it, or prepare makes nothing.
func (p *Person) change(ctx context.Context, prepare func() (*accountChange, error)) error {
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
func (p *Person) prepareChange(next locks) (*accountChange, error) {
	slots, err := wire.DecodeSlots(p.vault.record.Slots)
	if err != nil {
		return nil, err
	}
	if c := p.loadChange(); c != nil {
		if is, err := p.goesOn(c, next); err != nil || is {
			return c, err
		}
	}
	c, err := p.newChange(next, slots)
	if err != nil {
		return nil, err
	}
	return c, p.saveChange(c)
}

// goesOn reports whether an interrupted change is one to what next says, and follows.
func (p *Person) goesOn(c *accountChange, next locks) (bool, error) {
	chain, err := c.follow(p.chain)
	if err != nil {
		return false, nil
	}
	at, err := p.vault.next(chain, c.update.Head)
	if err != nil || at.head.SlotsHash != wire.SlotsHash(c.update.Slots) {
		return false, nil
	}
	if next.keys != (chain.Newest().Identity != p.chain.Newest().Identity) {
		return false, nil
	}
	slots, err := wire.DecodeSlots(c.update.Slots)
	if err != nil || next.code != nil != (chain != p.chain) || next.code != nil && slots.RecoveryLogin != next.code.login.Public() {
		return false, nil
	}
	if next.password == nil {
		return true, nil
	}
	return p.isPassword(*next.password, slots)
}

// isPassword reports whether slots are those of a password.
func (p *Person) isPassword(password Password, slots *wire.Slots) (bool, error) {
	login, _, err := p.c.derive(password.bytes(), p.session.Address, slots.Argon2, slots.Random)
	return err == nil && login.Public() == slots.Login, err
}

// newChange makes the next version of the vault. A password brings another key of it.
func (p *Person) newChange(next locks, slots *wire.Slots) (*accountChange, error) {
	c := &accountChange{key: p.session.VaultKey}
	if next.password != nil {
		slots.Random, slots.Argon2 = wire.Nonce(random()), wire.DefaultArgon2
		login, slot, err := p.c.derive(next.password.bytes(), p.session.Address, slots.Argon2, slots.Random)
		if err != nil {
			return nil, err
		}
		slots.Login, c.key = login.Public(), seal.NewVaultKey()
		if slots.PasswordSlot, err = seal.SealPasswordSlot(slot, p.me(), c.key); err != nil {
			return nil, err
		}
	}
	v, k, err := p.vault.clone(), p.chain.Newest(), error(nil)
	if next.password != nil {
		v.forgetEpochs()
	}
	if next.code != nil {
		slots.RecoveryLogin = next.code.login.Public()
		if next.keys {
			v.replaceKeys()
		}
		if k, c.update.KeyStatement, err = p.nextStatement(next.code, v); err != nil {
			return nil, err
		}
		if err := p.resign(v, k.Seq); err != nil {
			return nil, err
		}
	}
	if slots.RecoverySlot, err = seal.SealRecoverySlot(k.RecoveryBox, p.me(), c.key); err != nil {
		return nil, err
	}
	encoded, err := slots.Encode()
	if err != nil {
		return nil, err
	}
	at, err := p.sealNext(v, c.key, encoded)
	c.update.VaultRecord = at.record
	return c, err
}

// sendChange sends a version, and reports whether the node shows it. It does not where
// another device was faster.
func (p *Person) sendChange(ctx context.Context, c *accountChange) (bool, error) {
	before := p.vault.counter()
	err := p.home(ctx, "PUT", wire.PathVault, &c.update, nil)
	if err != nil && !errors.Is(err, wire.Conflict) {
		return false, err
	}
	if err := p.refreshVault(ctx); err != nil {
		return false, err
	}
	switch {
	case bytes.Equal(p.vault.record.Slots, c.update.Slots):
		return true, nil
	case err == nil:
		return false, wire.Errorf(wire.Tampered, "vault", "the node says that it has %s, and does not show it", c.what())
	case p.vault.counter() == before:
		return false, wire.Errorf(wire.Tampered, "vault", "the node refuses version %d as late, but shows no newer one than %d", before+1, before)
	}
	return false, nil
}

// what says what the node says that it has.
func (c *accountChange) what() string {
	if len(c.update.KeyStatement) > 0 {
		return "the new recovery code"
	}
	return "the new password"
}

// takeChange goes on with a change that the node may have taken.
func (p *Person) takeChange(ctx context.Context, c *accountChange) (err error) {
	before := p.chain
	if p.chain, err = c.follow(before); err == nil {
		var at knownHead
		var record *wire.VaultRecord
		at, record, err = p.fetchVault(ctx, p.vault.knownHead, true, func(knownHead) {})
		if err == nil {
			var v vaultState
			if v, err = openVault(p.chain, c.key, at, *record); err == nil {
				return p.adopt(c, v)
			}
		}
	}
	p.chain = before
	return err
}

// adopt goes on under the key and the keys of a change that the node has taken. v is the newest
// vault. The session comes first: what cannot be opened with its key is fetched again.
func (p *Person) adopt(c *accountChange, v vaultState) error {
	if err := p.keepSent("PUT", wire.PathVault, &c.update); err != nil {
		return err
	}
	s := p.session
	s.VaultKey = c.key
	if err := p.c.saveSession(s); err != nil {
		return err
	}
	p.session = s
	if err := p.savePeer(p.me(), peerOf(p.chain)); err != nil {
		return err
	}
	if err := p.keepVault(v); err != nil {
		return err
	}
	return p.c.drop(fileChange)
}
