package client

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// The statements of a friendship. Each is signed inside the vault it is written
// to, so that it is in the vault before anybody else has it.

// offer asks who for friendship; f is what the vault has of them, or nil.
func (p *Person) offer(ctx context.Context, who wire.Address, f *friend, history bool) error {
	if f == nil {
		shown, err := p.fetchChain(ctx, who, nil)
		var met meeting
		if err == nil {
			met, err = p.meet(ctx, shown)
		}
		if err != nil {
			return err
		}
		f = p.contact(shown.Chain, met)
		if err := p.savePeer(f.Account, peerOf(shown.Chain)); err != nil {
			return err
		}
	}
	return p.amend(ctx, f, history, func(v *vault, f *friend, now int64) (statement, error) {
		if s := f.state(); s != wire.StateNone {
			return statement{}, errSettled
		}
		me := p.session.Address
		o := &wire.Offer{
			Version: wire.Version, Suite: wire.Suite, From: p.me(), FromHandle: me.Handle, FromNode: me.Node, KeySeq: v.KeySeq,
			To: f.Account, ToHandle: f.Handle, ToNode: f.Node, Audience: v.friends().ID,
			Created: now,
		}
		signed, err := o.Sign(p.vault.identity)
		if err != nil {
			return statement{}, err
		}
		s := statement{Kind: kindOffer, Signed: signed}
		return s, f.Friendship.AddOffer(o, s.hash())
	})
}

// accept answers the offer of f.
func (p *Person) accept(ctx context.Context, f *friend, history bool) error {
	return p.amend(ctx, f, history, func(v *vault, f *friend, now int64) (statement, error) {
		if f.state() != wire.StateIncoming {
			return statement{}, errSettled
		}
		a := &wire.Accept{
			Version: wire.Version, Suite: wire.Suite, From: p.me(), KeySeq: v.KeySeq, To: f.Account,
			Offer: f.Friendship.Yours.Offer, Audience: v.friends().ID, Created: now,
		}
		signed, err := a.Sign(p.vault.identity)
		if err != nil {
			return statement{}, err
		}
		return statement{Kind: kindAccept, Signed: signed}, f.Friendship.AddAccept(a)
	})
}

// end declines, cancels or ends what there is with f. A friendship ends in one
// record with the epoch that closes the stream to them.
func (p *Person) end(ctx context.Context, f *friend, withEpoch bool) error {
	return p.amend(ctx, f, f.History, func(v *vault, f *friend, now int64) (statement, error) {
		offers := f.Friendship.LiveOffers()
		if len(offers) == 0 {
			return statement{}, errSettled
		}
		e := &wire.End{
			Version: wire.Version, Suite: wire.Suite, From: p.me(), KeySeq: v.KeySeq, To: f.Account,
			Offers: offers, Created: now,
		}
		signed, err := e.Sign(p.vault.identity)
		if err != nil {
			return statement{}, err
		}
		return statement{Kind: kindEnd, Signed: signed, WithEpoch: withEpoch}, f.Friendship.AddEnd(e)
	})
}

// maxFilled is the size up to which a vault takes friends, in bytes: the rest is
// room to end friendships and to begin epochs.
const maxFilled = seal.MaxVaultPlaintext / 4 * 3

// errSettled says that another device has done, or undone, what was to be done.
var errSettled = wire.Errorf(wire.Conflict, "friend", "another device was first")

// amend writes a new statement about f into the vault. Where that entitles them,
// and they share the past, the newest epoch's keys become theirs in the same step.
func (p *Person) amend(ctx context.Context, about *friend, history bool, sign func(v *vault, f *friend, now int64) (statement, error)) error {
	err := p.updateVault(ctx, func(v *vault) (bool, error) {
		now, err := p.c.stamp()
		if err != nil {
			return false, err
		}
		f := v.add(*about)
		s, err := sign(v, f, f.Friendship.NextCreated(now))
		if err != nil {
			return false, err
		}
		f.Pending = append(f.Pending, s)
		f.History = history
		if f.entitled() && (len(v.entitled()) > wire.MaxWraps || len(v.encode()) > maxFilled) {
			return false, wire.Errorf(wire.Limit, "friend", "the vault has no room for more friends")
		}
		if f.entitled() && history {
			if newest := v.friends().epoch(p.newestContent()); newest != nil {
				newest.admit(f.Account)
			}
		}
		return true, nil
	})
	if errors.Is(err, errSettled) {
		return nil // the vault has it as it is now
	}
	return err
}

// newestContent is the commitment of the own stream's newest epoch, zero for none.
func (p *Person) newestContent() wire.Commitment {
	id := p.ownStream().streamID
	if t := p.cache.track(id); t != nil {
		if k := p.cache.keys[epochID{id, t.Top.Epoch}]; k != nil {
			return k.content.Commitment()
		}
	}
	return wire.Commitment{}
}
