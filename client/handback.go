package client

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// What a device has handed to its node stays on the device for a while after the
// node has acknowledged it, as it was sent. A node that was restored from an old
// copy has lost the newest of it. Then the device hands the same bytes in again, in
// the same order: the same versions of the vault follow each other, and the same
// entries continue the stream that friends' nodes have copies of. Nothing is signed
// anew, so a node that only pretends to be restored gets what it has had already.

// maxSent is how many requests are kept.
const maxSent = 200

// sentFile is one of them.
type sentFile struct {
	Version uint64 `cbor:"1,keyasint"`
	Method  string `cbor:"2,keyasint"`
	Path    string `cbor:"3,keyasint"`
	Body    []byte `cbor:"4,keyasint"`
}

// ErrRolledBack says, beside the kind wire.Tampered, that the node shows less of
// what this person has written than this device has seen: it was restored from an
// old copy, or hides what is newest.
var ErrRolledBack = errors.New("the node shows less than was seen before")

type rolledBackError struct{ cause error }

func (e *rolledBackError) Error() string   { return e.cause.Error() }
func (e *rolledBackError) Unwrap() []error { return []error{e.cause, ErrRolledBack} }

// hand asks the home node to keep something, and keeps what was sent.
func (p *Person) hand(ctx context.Context, method, path string, in, out any) error {
	if err := p.home(ctx, method, path, in, out); err != nil {
		return err
	}
	return p.keepSent(method, path, in)
}

// keepSent keeps what the home node has taken.
func (p *Person) keepSent(method, path string, in any) error {
	names, err := p.c.device.List(fileSent)
	if err != nil {
		return deviceError(err)
	}
	next := uint64(1)
	if n := len(names); n > 0 {
		next = fromHex16(names[n-1][len(fileSent):]) + 1
	}
	f := sentFile{1, method, path, wire.EncodeJSON(in)}
	if err := p.saveSealed(fileSent+hex16(next), wire.EncodeCBOR(&f)); err != nil {
		return err
	}
	for ; len(names) >= maxSent; names = names[1:] {
		if err := p.c.device.Delete(names[0]); err != nil {
			return deviceError(err)
		}
	}
	return nil
}

// handBack hands in again all that this device still has. What the node has
// already, and what does not follow what it has, changes nothing there. It returns
// the friendship statements that answer to what the node has not heard again yet.
func (p *Person) handBack(ctx context.Context) (early []wire.FriendRequest, err error) {
	names, err := p.c.device.List(fileSent)
	if err != nil {
		return nil, deviceError(err)
	}
	for _, name := range names {
		var f sentFile
		b := p.loadSealed(name)
		if b == nil || wire.DecodeCBOR("sent", b, &f) != nil || f.Version != 1 {
			continue
		}
		r := &Request{Method: f.Method, Node: p.session.Address.Node, Path: f.Path, Token: p.session.Token, Body: f.Body}
		err := p.c.ask(ctx, r, nil, nil)
		if err != nil && !final(err) {
			return nil, err
		}
		var said wire.FriendRequest
		if f.Path == wire.PathFriends && errors.Is(err, wire.NotExist) && wire.DecodeJSON(f.Body, &said) == nil {
			early = append(early, said)
		}
	}
	return early, nil
}

// repeat puts statements on the vault's lists again, from where they are sent
// until the node has them.
func (p *Person) repeat(ctx context.Context, early []wire.FriendRequest) error {
	return p.do(ctx, func() error {
		return p.updateVault(ctx, func(v *vault) (bool, error) {
			changed := false
			for _, r := range early {
				s := statement{Kind: kindAccept, Signed: r.Statement}
				f := v.friendAt(r.Address)
				if r.Kind == wire.FriendAccept && f != nil && !f.moot(s) {
					f.Pending, changed = append(f.Pending, s), true
				}
			}
			return changed, nil
		})
	})
}

// final reports whether the node says no, and will say so again.
func final(err error) bool {
	switch wire.KindOf(err) {
	case wire.Conflict, wire.Invalid, wire.NotExist, wire.Exist, wire.TooLarge, wire.Limit, wire.Clock:
		return true
	}
	return false
}

// foundAgain hands in again the registration that was made on this device, where
// the node answers as for somebody who does not exist: it asks for another salt
// than that of the account.
func (l *login) foundAgain(ctx context.Context, key seal.CacheKey) bool {
	p := newPerson(l.c, session{CacheKey: key}, nil)
	var r wire.RegisterRequest
	b := p.loadSealed(fileFoundation)
	if b == nil || wire.DecodeJSON(b, &r) != nil {
		return false
	}
	slots, err := wire.DecodeSlots(r.Vault.Slots)
	if err != nil || slots.Random == l.reply.Random {
		return false
	}
	return l.c.ask(ctx, &Request{Method: "POST", Node: l.at.Node, Path: wire.PathRegister, Body: b}, nil, nil) == nil
}

// compare brings the node that a device logs in at up to what the device has seen
// before. wrong is what was wrong with the vault that the node showed, nil if it
// was not. Where something stays lost, reading goes on, with the vault that lies on
// this device.
func (l *login) compare(ctx context.Context, p *Person, seen knownHead, wrong error, report *LoginReport) error {
	var early []wire.FriendRequest
	for _, again := range []bool{false, true} {
		if again {
			var err error
			if early, err = p.handBack(ctx); err != nil {
				return err
			}
			l.heads, l.handed = nil, true
			if err := l.takeKeys(ctx, p); err != nil {
				return err
			}
			wrong = l.take(ctx, p, seen)
		}
		var behind error
		if wrong == nil {
			behind = p.do(ctx, func() error { _, err := p.refreshOwn(ctx); return err })
		}
		switch {
		case wrong == nil && !errors.Is(behind, ErrRolledBack):
			if report.HandedBack = again; len(early) > 0 {
				return p.repeat(ctx, early)
			}
			return nil
		case wrong != nil && !errors.Is(wrong, ErrRolledBack):
			return wrong
		}
	}
	report.Behind = true
	if wrong != nil {
		return l.stay(ctx, p, seen, wrong)
	}
	return nil
}

// stay goes on with the vault on this device, where the node shows an older one
// that opens with the same key. wrong is the error for all other cases.
func (l *login) stay(ctx context.Context, p *Person, seen knownHead, wrong error) error {
	newest, record, err := p.fetchVault(ctx, knownHead{}, true, func(knownHead) {})
	if err != nil {
		return err
	}
	if newest.counter() >= seen.counter() {
		return wrong // forked
	}
	if p.session.VaultKey, err = l.unlock(p.chain, *record); err != nil {
		return err
	}
	if err := p.loadVault(); err != nil {
		return err
	}
	if p.vault.vault == nil {
		return wrong
	}
	return nil
}
