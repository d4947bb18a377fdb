package client

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Friend is a person as the vault knows them, or an offer that arrived.
type Friend struct {
	Address     wire.Address
	Account     wire.AccountID
	State       wire.FriendState
	Keys        KeysState
	Verified    bool   // the keys were compared in person
	KeysChanged bool   // others were, and the keys have changed since
	Undelivered bool   // a statement is still on its way to them
	Deleted     bool   // they have deleted their account; State is none
	Problem     string // "" or what is wrong, for people
}

// maxStrangers bounds the offers of strangers that one list verifies.
const maxStrangers = 50

// AddFriend offers friendship to who, with the keys to all that was written
// before if history is true. Where they have offered already, this accepts; where
// an offer is out, it stays as it is. Exist for a friend, NotExist for an address
// that nobody has.
func (p *Person) AddFriend(ctx context.Context, who wire.Address, history bool) (Friend, error) {
	return p.befriend(ctx, who, func() error {
		f := p.vault.friendAt(who)
		switch state := stateOf(f); {
		case state == wire.StateFriend && len(f.Pending) == 0:
			return wire.Errorf(wire.Exist, "friend", "%s is your friend already", who)
		case state == wire.StateFriend || state == wire.StateOutgoing:
			return nil
		case state == wire.StateIncoming:
			return p.accept(ctx, f, history)
		case f != nil && p.hasLeft(f):
			return wire.Errorf(wire.NotExist, "friend", "%s has deleted their account", who)
		}
		if offered, err := p.offerOf(ctx, who); err == nil {
			return p.accept(ctx, offered, history)
		}
		return p.offer(ctx, who, f, history)
	})
}

// AcceptFriend accepts the offer of who. NotExist if there is none.
func (p *Person) AcceptFriend(ctx context.Context, who wire.Address, history bool) (Friend, error) {
	return p.befriend(ctx, who, func() error {
		f := p.vault.friendAt(who)
		if stateOf(f) == wire.StateFriend {
			return nil
		}
		offered, err := p.offerOf(ctx, who)
		if err != nil {
			return err
		}
		return p.accept(ctx, offered, history)
	})
}

// DeclineFriend declines the offer of who. NotExist if there was none.
func (p *Person) DeclineFriend(ctx context.Context, who wire.Address) (Friend, error) {
	return p.befriend(ctx, who, func() error {
		f := p.vault.friendAt(who)
		if stateOf(f) != wire.StateNone || f == nil {
			offered, err := p.offerOf(ctx, who)
			if err != nil {
				return err
			}
			return p.end(ctx, offered, false)
		}
		return nil // declined before
	})
}

// CancelFriend takes back an offer to who. NotExist if there was none.
func (p *Person) CancelFriend(ctx context.Context, who wire.Address) (Friend, error) {
	return p.befriend(ctx, who, func() error {
		f := p.vault.friendAt(who)
		switch state := stateOf(f); {
		case state == wire.StateOutgoing:
			return p.end(ctx, f, false)
		case state == wire.StateFriend:
			return wire.Errorf(wire.Exist, "friend", "%s has accepted and is your friend: remove them instead", who)
		case f == nil || state != wire.StateNone:
			return wire.Errorf(wire.NotExist, "friend", "no offer to %s is open", who)
		}
		return nil // cancelled before
	})
}

// RemoveFriend ends the friendship with who: what is written from here on is
// closed to them. It sends one wrap for each remaining friend and touches no
// post. NotExist for somebody who is unknown.
func (p *Person) RemoveFriend(ctx context.Context, who wire.Address) (Friend, error) {
	return p.befriend(ctx, who, func() error {
		f := p.vault.friendAt(who)
		switch state := stateOf(f); {
		case state == wire.StateFriend:
			return p.end(ctx, f, true)
		case f == nil || state != wire.StateNone:
			return notFriend(who)
		}
		return nil // ended before
	})
}

func stateOf(f *friend) wire.FriendState {
	if f == nil {
		return wire.StateNone
	}
	return f.state()
}

// befriend runs one change of a friendship: the vault first, then all that
// follows from it.
func (p *Person) befriend(ctx context.Context, who wire.Address, change func() error) (Friend, error) {
	var now Friend
	err := p.do(ctx, func() error {
		if who == p.session.Address {
			return wire.Errorf(wire.Invalid, "friend", "%s is you", who)
		}
		if err := p.ready(ctx); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		if err := p.settle(ctx); err != nil {
			return err
		}
		f := p.vault.friendAt(who)
		if f == nil {
			return wire.Errorf(wire.Internal, "friend", "%s is not in the vault", who)
		}
		now = p.show(f)
		if err := p.problems[f.Account]; err != nil && p.unsent(f) {
			return err
		}
		return nil
	})
	return now, err
}

// unsent reports whether a statement to f has not reached the node.
func (p *Person) unsent(f *friend) bool {
	return slices.ContainsFunc(f.Pending, func(s statement) bool { return !p.atNode(f, s) && !f.moot(s) })
}

func (p *Person) show(f *friend) Friend {
	r, problem := p.records[f.Account], p.problems[f.Account]
	changed := f.replaced() || f.Verified && errors.Is(problem, ErrKeysChanged)
	now := Friend{
		Address: f.address(), Account: f.Account, State: f.state(), Verified: f.verified() && !changed, KeysChanged: changed,
		Undelivered: r.Undelivered > 0 || p.unsent(f), Problem: printable(r.ProblemDetail), Deleted: p.hasLeft(f),
	}
	if now.Keys = p.keys(f); now.Verified {
		now.Keys = KeysVerified
	}
	if problem != nil {
		now.Problem = reason(problem)
	}
	return now
}

// Friends lists friends, offers made and offers received, and who has deleted their
// account since, by address.
func (p *Person) Friends(ctx context.Context) (list []Friend, err error) {
	err = p.do(ctx, func() error {
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		if err := p.takeIn(ctx); err != nil {
			return err
		}
		if err := p.confirmFriends(ctx); err != nil {
			return err
		}
		for i := range p.vault.Friends {
			if f := &p.vault.Friends[i]; f.state() != wire.StateNone || p.hasLeft(f) {
				list = append(list, p.show(f))
			}
		}
		strangers, err := p.strangers(ctx)
		list = append(list, strangers...)
		slices.SortFunc(list, func(a, b Friend) int { return cmp.Compare(a.Address.String(), b.Address.String()) })
		return err
	})
	return list, err
}

// strangers lists the verified offers of people who are not in the vault. What
// does not verify is left out.
func (p *Person) strangers(ctx context.Context) (list []Friend, err error) {
	for id, r := range p.records {
		if p.vault.friend(id) != nil || len(r.OfferGot) == 0 {
			continue
		}
		if len(list) == maxStrangers {
			break
		}
		f, _, err := p.stranger(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, wire.Unavailable):
			list = append(list, Friend{Address: r.Address, Account: id, State: wire.StateIncoming, Keys: KeysNew, Problem: "the offer cannot be verified now: " + err.Error()})
		case err == nil:
			list = append(list, p.show(f))
		}
	}
	return list, nil
}

// offerOf returns who has offered friendship, from the vault or newly verified.
func (p *Person) offerOf(ctx context.Context, who wire.Address) (*friend, error) {
	if f := p.vault.friendAt(who); f != nil {
		if f.state() == wire.StateIncoming {
			return f, nil
		}
		if err := p.problems[f.Account]; err != nil {
			return nil, err
		}
		return nil, noOffer(who)
	}
	for _, r := range p.records {
		if r.Address != who || len(r.OfferGot) == 0 {
			continue
		}
		f, shown, err := p.stranger(ctx, r)
		var met meeting
		if err == nil {
			met, err = p.meet(ctx, shown)
		}
		if err != nil {
			return nil, err
		}
		f.pin(shown.Chain, met)
		return f, p.savePeer(f.Account, peerOf(shown.Chain))
	}
	return nil, noOffer(who)
}

func noOffer(who wire.Address) error {
	return wire.Errorf(wire.NotExist, "friend", "%s has not offered you friendship", who)
}
