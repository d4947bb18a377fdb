package client

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Keys that two people compared in person. The vault names the key statement that was
// compared, so the mark is on all devices and holds for these keys only. Whatever comes
// to move a pin, keys that took the place of verified ones count for nothing before
// they are compared too, or the person takes the mark away (keysOf).

// A Comparison is what one of the two sees.
type Comparison struct {
	Friend
	Number SafetyNumber
	Newer  bool // of keys that came after those that are trusted
}

// ErrOtherNumber says, beside the kind wire.Tampered, that two people do not see the
// same keys, or that what was typed is not what the other one sees.
var ErrOtherNumber = errors.New("the safety numbers differ")

type otherNumberError struct{ cause error }

func (e *otherNumberError) Error() string        { return reason(e.cause) }
func (e *otherNumberError) Unwrap() error        { return e.cause }
func (e *otherNumberError) Is(target error) bool { return target == ErrOtherNumber }

// verified reports whether the keys that are trusted are those that were compared.
func (f *friend) verified() bool { return f.Verified && f.Compared == f.PinHash }

// replaced reports whether they are not, though others were.
func (f *friend) replaced() bool { return f.Verified && f.Compared != f.PinHash }

// renewed reports whether the newest keys of chain are others than those that are trusted.
func (f *friend) renewed(chain *keyservice.Chain) bool {
	return !sameKeys(chain, f.PinSeq) || f.replaced()
}

// SafetyNumber returns the number of this person and who, a friend or the other end
// of an open offer, for the newest keys that the node shows. NotExist for a stranger.
func (p *Person) SafetyNumber(ctx context.Context, who wire.Address) (Comparison, error) {
	var now Comparison
	err := p.do(ctx, func() error {
		f, shown, err := p.compare(ctx, who)
		if err != nil {
			return err
		}
		chain := shown.Chain
		now = Comparison{Friend: p.show(f), Number: safetyNumber(p.chain, chain), Newer: f.renewed(chain)}
		if now.Newer { // this device may not have heard of them before
			now.Verified, now.KeysChanged, now.Keys = false, f.Verified, KeysNew
		}
		return nil
	})
	return now, err
}

// VerifyFriend marks the keys of who as verified in person if number, which who sees
// on their side, is the number here too; else ErrOtherNumber. If the keys are newer
// than those that were trusted, they are trusted from here on, and the next epoch
// begins, which the old ones do not open.
func (p *Person) VerifyFriend(ctx context.Context, who wire.Address, number SafetyNumber) (Friend, error) {
	var now Friend
	err := p.do(ctx, func() error {
		f, shown, err := p.compare(ctx, who)
		if err != nil {
			return err
		}
		chain := shown.Chain
		if here := safetyNumber(p.chain, chain); here != number {
			return &otherNumberError{wire.Errorf(wire.Tampered, "safety number", "%d of %d groups are others than here", here.differs(number), numberDigits/numberGroup)}
		}
		var met meeting
		if f.PinHash != chain.NewestHash() {
			if met, err = p.meet(ctx, shown); err != nil {
				return err
			}
		}
		renewed, err := p.mark(ctx, f, chain, met)
		if err != nil {
			return err
		}
		f = p.vault.friend(chain.Account())
		if renewed && f.entitled() {
			delete(p.problems, f.Account)
			err = p.settle(ctx)
		}
		now = p.show(f)
		return err
	})
	return now, err
}

// compare returns somebody who is known here, with the keys that the node shows for
// them now: what this device has kept is not asked.
func (p *Person) compare(ctx context.Context, who wire.Address) (*friend, shownChain, error) {
	var none shownChain
	if who == p.session.Address {
		return nil, none, wire.Errorf(wire.Invalid, "friend", "%s is you", who)
	}
	if err := p.refreshVault(ctx); err != nil {
		return nil, none, err
	}
	if err := p.takeIn(ctx); err != nil {
		return nil, none, err
	}
	f := p.vault.friendAt(who)
	if stateOf(f) == wire.StateNone {
		var err error
		if f, err = p.offerOf(ctx, who); err != nil {
			return nil, none, err
		}
	}
	shown, err := p.knownChain(ctx, f)
	if err != nil {
		return nil, none, err
	}
	return f, shown, checkPin(f, shown.Chain)
}

// mark writes into the vault that the newest keys of chain were compared, and that
// they are the ones to trust, which it reports if they were not before. met tells of keys
// that are pinned now.
func (p *Person) mark(ctx context.Context, about *friend, chain *keyservice.Chain, met meeting) (renewed bool, err error) {
	err = p.updateVault(ctx, func(v *vault) (bool, error) {
		_, known := v.find(about.Account)
		f := v.add(*about)
		if err := checkPin(f, chain); err != nil {
			return false, err // another device has seen newer ones
		}
		if renewed = f.renewed(chain); renewed {
			v.forgetEpochsOf(f.Account)
		} else if f.verified() && f.PinHash == chain.NewestHash() {
			return false, nil
		}
		if f.PinHash != chain.NewestHash() {
			f.pin(chain, met)
		}
		f.Verified, f.Compared = true, f.PinHash
		if !known && len(v.encode()) > maxFilled {
			return false, wire.Errorf(wire.Limit, "friend", "the vault has no room for more people")
		}
		return true, nil
	})
	if err != nil {
		return false, err
	}
	return renewed, p.savePeer(chain.Account(), peerOf(chain))
}

// UnverifyFriend takes the mark away: the keys that are pinned are trusted as at first
// contact, also those that took the place of verified ones. NotExist for somebody who is unknown.
func (p *Person) UnverifyFriend(ctx context.Context, who wire.Address) (Friend, error) {
	var now Friend
	err := p.do(ctx, func() error {
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		known := p.vault.friendAt(who)
		if known == nil {
			return notFriend(who)
		}
		err := p.updateVault(ctx, func(v *vault) (bool, error) {
			f := v.friend(known.Account)
			was := f.Verified
			if f.replaced() {
				v.forgetEpochsOf(f.Account)
			}
			f.Verified, f.Compared = false, wire.Hash{}
			return was, nil
		})
		now = p.show(p.vault.friend(known.Account))
		return err
	})
	return now, err
}
