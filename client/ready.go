package client

import (
	"context"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// ready brings vault, friendships, epochs, wraps and statements up to date. It
// runs before anything is written: a command that was interrupted anywhere is
// finished by it, and nothing is written that somebody could read who is no
// longer entitled.
func (p *Person) ready(ctx context.Context) error {
	if err := p.refreshVault(ctx); err != nil {
		return err
	}
	if err := p.takeIn(ctx); err != nil {
		return err
	}
	return p.settle(ctx)
}

// settle makes the node's side agree with the vault: epochs and wraps first,
// then the statements that rest on them.
func (p *Person) settle(ctx context.Context) error {
	if err := p.settleEpochs(ctx); err != nil {
		return err
	}
	news, err := p.sendStatements(ctx)
	if err != nil {
		return err
	}
	return p.tidy(ctx, news)
}

// tidy takes what has arrived at the node off the vault's lists, and what the
// node has told into it.
func (p *Person) tidy(ctx context.Context, news []heard) error {
	if len(news) == 0 && !p.vault.waits() {
		return nil
	}
	return p.updateVault(ctx, func(v *vault) (bool, error) {
		changed := false
		for _, n := range news {
			if f := v.friend(n.account); f != nil && n.apply(f) {
				changed = true
			}
		}
		for i := range v.Friends {
			f := &v.Friends[i]
			before := len(f.Pending)
			f.Pending = slices.DeleteFunc(f.Pending, func(s statement) bool { return p.atNode(f, s) || f.moot(s) })
			changed = changed || len(f.Pending) < before
		}
		for i := range v.friends().Epochs {
			e := &v.friends().Epochs[i]
			before := len(e.Owed)
			e.Owed = slices.DeleteFunc(e.Owed, func(id wire.AccountID) bool { return p.paid[epochMember{e.Content, id}] })
			changed = changed || len(e.Owed) < before
		}
		return changed, nil
	})
}

// waits reports whether anything in the vault may not have reached the node.
func (v *vault) waits() bool {
	return slices.ContainsFunc(v.Friends, func(f friend) bool { return len(f.Pending) > 0 }) ||
		slices.ContainsFunc(v.friends().Epochs, func(e epochMembers) bool { return len(e.Owed) > 0 })
}

// moot reports whether a pending statement has nothing left to say.
func (f *friend) moot(s statement) bool {
	switch s.Kind {
	case kindOffer:
		return !slices.Contains(f.Friendship.LiveOffers(), s.hash())
	case kindAccept:
		return f.state() != wire.StateFriend
	}
	return false
}

// atNode reports whether the node has a statement of mine.
func (p *Person) atNode(f *friend, s statement) bool {
	hash := s.hash()
	if p.sent[hash] {
		return true
	}
	r, ok := p.records[f.Account]
	if !ok {
		return false
	}
	held := []wire.Signed{}
	switch s.Kind {
	case kindOffer:
		held = append(held, r.OfferMade)
	case kindAccept:
		held = append(held, r.AcceptMade)
	case kindEnd:
		held = r.EndsMade
	}
	return slices.ContainsFunc(held, func(h wire.Signed) bool { return h.Hash(s.label()) == hash })
}

func (s statement) label() wire.Label {
	return []wire.Label{kindOffer: wire.LabelOffer, kindAccept: wire.LabelAccept, kindEnd: wire.LabelEnd}[s.Kind]
}

// hash names the statement.
func (s statement) hash() wire.Hash { return s.Signed.Hash(s.label()) }
