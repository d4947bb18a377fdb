package client

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// DeleteAccount deletes the account, for good: a tombstone, signed with the identity
// key, which the home node keeps and hands to the nodes of friends. All sessions end with
// it. Everything of the person is removed from this device. ErrPresentPassword where
// present is not the password; Tampered where the node says it is done, and still serves
// the session.
func (p *Person) DeleteAccount(ctx context.Context, present Password) error {
	return p.do(ctx, func() error {
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		slots, err := wire.DecodeSlots(p.vault.record.Slots)
		if err != nil {
			return err
		}
		is, err := p.isPassword(present, slots)
		if err == nil && !is {
			err = ErrPresentPassword
		}
		if err != nil {
			return err
		}
		return p.bury(ctx, wire.ByIdentity, func(t *wire.Tombstone) (wire.Signed, error) { return t.Sign(p.vault.identity) })
	})
}

// DeleteOptions say whose account is deleted with the recovery code.
type DeleteOptions struct {
	Address wire.Address
	Code    RecoveryCode
	Device  string // name of the session that is opened for it, 1 to wire.MaxDeviceName bytes
}

// DeleteByCode deletes an account as Person.DeleteAccount does, for who has lost the
// password: the recovery key signs the tombstone. The vault is not needed, so whatever
// somebody has made of it is no hindrance. A second factor is not asked for, and is off from
// the first moment on. ErrWrongCode for a wrong name or code, also where the account is
// deleted already.
func (c *Client) DeleteByCode(ctx context.Context, o DeleteOptions) (Whoami, error) {
	code := newByCode(o.Code)
	l := &login{c: c, with: code, at: o.Address, device: o.Device}
	p, _, err := l.begin(ctx)
	if err != nil {
		return Whoami{}, err
	}
	if err = l.takeKeys(ctx, p); err == nil && !code.fits(p.chain) {
		err = errOtherAccount
	}
	if err == nil {
		err = p.bury(ctx, wire.ByRecovery, func(t *wire.Tombstone) (wire.Signed, error) { return t.SignRecovery(code.signs) })
	}
	if err != nil {
		p.giveUp(ctx)
	}
	return p.Whoami(), err
}

// bury hands in the tombstone of the person, and removes everything from this device once
// the node does not serve the session any more.
func (p *Person) bury(ctx context.Context, signer wire.Signer, sign func(*wire.Tombstone) (wire.Signed, error)) error {
	now, err := p.c.stamp()
	if err != nil {
		return err
	}
	newest := p.chain.Newest()
	signed, err := sign(&wire.Tombstone{
		Version: wire.Version, Suite: wire.Suite, Account: p.me(), KeySeq: newest.Seq, Statement: p.chain.NewestHash(),
		Handle: newest.Handle, Node: newest.Node, Signer: signer, Created: now,
	})
	if err != nil {
		return err
	}
	if err := p.home(ctx, "POST", wire.PathTombstone, &wire.DeleteRequest{Tombstone: signed}, nil); err != nil {
		return err
	}
	err = p.get(ctx, wire.PathSession, new(wire.SessionReply))
	if err == nil {
		return wire.Errorf(wire.Tampered, "account", "the node says that the account is deleted, and still serves its session")
	}
	if !errors.Is(err, wire.Unauthenticated) {
		return err
	}
	return p.leave()
}

// leave removes everything of the person from this device. Where nobody is logged in,
// that leaves alone what there is of other addresses.
func (p *Person) leave() error {
	if _, err := p.c.loadSession(); err != error(ErrNoSession) {
		if err := p.c.wipe(); err != nil {
			return err
		}
	}
	at := p.session.Address
	for _, prefix := range []string{fileKnown, fileFounded, fileNewCode} {
		if err := p.c.drop(knownName(prefix, at)); err != nil {
			return err
		}
	}
	p.session = session{Address: at, Account: p.session.Account, Device: p.session.Device, ended: true}
	p.vault = vaultState{}
	return nil
}

// hearTombstone verifies that somebody in the vault has deleted their account. Their
// newest keys sign that; where this device does not know them yet, they are followed
// from the pinned ones for this alone: who has the older keys could have signed it
// before.
func (p *Person) hearTombstone(ctx context.Context, f *friend, r wire.FriendRecord) (*wire.Tombstone, error) {
	shown, err := p.knownChain(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := checkPin(f, shown.Chain); err != nil {
		return nil, err
	}
	t, err := shown.Chain.OpenTombstone(r.Tombstone)
	if err != nil {
		return nil, wire.Errorf(wire.Tampered, "friend", "the node shows as deleted the account of %s, who has not signed that: %s", f.address(), reason(err))
	}
	return t, nil
}

// hasLeft reports whether somebody has deleted their account, by a tombstone that was
// verified.
func (p *Person) hasLeft(f *friend) bool {
	r := p.records[f.Account]
	return len(r.Tombstone) > 0 && p.cache.digests[f.Account] == digest(r)
}
