package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Keys of others. What counts is the key statement that the vault pins at first
// contact, after the log of its node was shown to hold it (log.go). A later one that
// follows it in the chain, and is in the log, takes its place (followKeys). Where it has the
// same identity and encryption keys, and another recovery code, nothing else changes. Where
// it has others, the person is told, and a new epoch begins. But keys that were verified
// in person are followed by no others in silence (TestVerifiedIsNotReplaced): then the
// later statement is refused and shown, nothing is verified with it and nothing is
// wrapped to it before the two have compared their safety number again (VerifyFriend).

// peer is a person's chain up to the pinned statement, and what wraps need of it.
// A device keeps it sealed, so it is not verified at each use.
type peer struct {
	Statements []wire.Signed      `cbor:"1,keyasint"`
	Newest     wire.Hash          `cbor:"2,keyasint"`
	Encryption wire.EncryptionKey `cbor:"3,keyasint"`

	chain *keyservice.Chain // nil until it is needed
}

func peerOf(chain *keyservice.Chain) *peer {
	return &peer{Statements: chain.Statements(), Newest: chain.NewestHash(), Encryption: chain.Newest().Encryption, chain: chain}
}

func (p *Person) loadPeer(id wire.AccountID) *peer {
	if k := p.peers[id]; k != nil {
		return k
	}
	b := p.loadSealed(fileKeys + id.String())
	k := new(peer)
	if b == nil || wire.DecodeCBOR("keys", b, k) != nil {
		return nil
	}
	p.peers[id] = k
	return k
}

func (p *Person) savePeer(id wire.AccountID, k *peer) error {
	p.peers[id] = k
	return p.saveSealed(fileKeys+id.String(), wire.EncodeCBOR(k))
}

// fetchChain asks the home node for the keys of a person; account is nil at
// first contact.
func (c *Client) fetchChain(ctx context.Context, r Request, who wire.Address, account *wire.AccountID) (shownChain, error) {
	var none shownChain
	var reply wire.KeysReply
	r.Method, r.Path = "POST", wire.PathKeys
	if err := c.ask(ctx, &r, &wire.KeysRequest{Address: who, Account: account}, &reply); err != nil {
		return none, err
	}
	chain, err := keyservice.ParseChain(reply.Statements)
	if err != nil {
		return none, wire.Errorf(wire.Tampered, "keys", "the keys that the node shows for %s do not verify: %s", who, reason(err))
	}
	if account != nil && chain.Account() != *account {
		return none, wire.Errorf(wire.Tampered, "keys", "the node shows another person's keys for %s", who)
	}
	if chain.Address() != who {
		return none, wire.Errorf(wire.Tampered, "keys", "the node shows the keys of %s for %s", chain.Address(), who)
	}
	return shownChain{chain, reply.Proof}, nil
}

func (p *Person) fetchChain(ctx context.Context, who wire.Address, account *wire.AccountID) (shownChain, error) {
	chain, err := p.c.fetchChain(ctx, Request{Node: p.session.Address.Node, Token: p.session.Token}, who, account)
	if err != nil && wire.KindOf(err) == wire.Unauthenticated {
		return shownChain{}, sessionEnded(p.session.Address)
	}
	return chain, err
}

// checkPin checks that chain still holds what the vault has pinned of f: it may go on
// from there.
func checkPin(f *friend, chain *keyservice.Chain) error {
	if _, hash, err := chain.At(f.PinSeq); err != nil || hash != f.PinHash {
		return wire.Errorf(wire.Tampered, "keys", "the keys that the node shows for %s are not those that were confirmed", f.address())
	}
	return nil
}

// ErrKeysChanged says, beside the kind wire.Tampered, that somebody has other keys than
// those that are trusted. VerifyFriend is the way to trust them.
var ErrKeysChanged = errors.New("the keys of a friend have changed")

type keysChangedError struct{ cause error }

func (e *keysChangedError) Error() string        { return reason(e.cause) }
func (e *keysChangedError) Unwrap() error        { return e.cause }
func (e *keysChangedError) Is(target error) bool { return target == ErrKeysChanged }

func errKeysChanged(f *friend) error {
	since := ""
	if f.Verified {
		since = " since you verified them in person"
	}
	return &keysChangedError{wire.Errorf(wire.Tampered, "keys", "the keys of %s have changed%s; neither the old nor the new ones are used before you compare the safety number", f.address(), since)}
}

// knownChain asks for the keys of somebody in the vault, where no node can say that
// there is nobody.
func (p *Person) knownChain(ctx context.Context, f *friend) (shownChain, error) {
	shown, err := p.fetchChain(ctx, f.address(), &f.Account)
	switch wire.KindOf(err) {
	case wire.NotExist, wire.Invalid:
		return shown, wire.Errorf(wire.Tampered, "keys", "the node has no keys of %s, who is known here", f.address())
	}
	return shown, err
}

// keysOf returns the pinned keys of somebody in the vault.
func (p *Person) keysOf(ctx context.Context, f *friend) (*peer, error) {
	if f.replaced() {
		return nil, errKeysChanged(f)
	}
	if k := p.loadPeer(f.Account); k != nil && k.Newest == f.PinHash {
		return k, nil
	}
	return p.followKeys(ctx, f)
}

// followKeys asks for the keys of somebody in the vault, moves the pin where newer ones follow
// those that are pinned, and returns what is pinned then. Others than were verified in
// person are ErrKeysChanged.
func (p *Person) followKeys(ctx context.Context, f *friend) (*peer, error) {
	shown, err := p.knownChain(ctx, f)
	if err != nil {
		return nil, err
	}
	return p.followShown(ctx, f, shown)
}

// followShown is followKeys for keys that were shown just now.
func (p *Person) followShown(ctx context.Context, f *friend, shown shownChain) (*peer, error) {
	if err := checkPin(f, shown.Chain); err != nil {
		return nil, err
	}
	k := peerOf(shown.Chain)
	if k.Newest != f.PinHash {
		met, err := p.meet(ctx, shown)
		if err != nil {
			return nil, err
		}
		if err := p.movePin(ctx, shown.Chain, met); err != nil {
			if errors.Is(err, ErrKeysChanged) { // nor are the old ones used any more
				delete(p.peers, f.Account)
				if failed := p.c.drop(fileKeys + f.Account.String()); failed != nil {
					return nil, failed
				}
			}
			return nil, err
		}
	}
	return k, p.savePeer(f.Account, k)
}

// movePin pins the newest keys of chain in the vault. That the keys before were verified
// holds for the same keys under a later statement.
func (p *Person) movePin(ctx context.Context, chain *keyservice.Chain, met meeting) error {
	others := false
	err := p.updateVault(ctx, func(v *vault) (bool, error) {
		f := v.friend(chain.Account())
		if f == nil {
			return false, nil
		}
		if err := checkPin(f, chain); err != nil {
			return false, err // another device has seen newer ones
		}
		if f.PinHash == chain.NewestHash() {
			return false, nil
		}
		if others = !sameKeys(chain, f.PinSeq); others {
			if f.Verified {
				return false, errKeysChanged(f)
			}
			v.forgetEpochsOf(f.Account)
		}
		if f.verified() {
			f.Compared = chain.NewestHash()
		}
		f.pin(chain, met)
		return true, nil
	})
	if err == nil && others {
		p.notes = append(p.notes, fmt.Sprintf("%s has new keys, which follow the ones before; compare your safety number to be sure that they are theirs", chain.Address()))
	}
	return err
}

// newerChain returns a chain of the author of s that is longer than that of s, nil if there
// is none. Their home is asked once in an operation.
func (p *Person) newerChain(ctx context.Context, s stream) (*keyservice.Chain, error) {
	f := p.vault.friend(s.Author)
	if s.own || f == nil {
		return nil, nil
	}
	if f.PinSeq == s.chain.Newest().Seq && !p.followed[s.Author] {
		p.followed[s.Author] = true
		if _, err := p.followKeys(ctx, f); err != nil {
			return nil, err
		}
		f = p.vault.friend(s.Author)
	}
	if f == nil || f.PinSeq <= s.chain.Newest().Seq {
		return nil, nil
	}
	return p.chainOf(ctx, f)
}

// chainOf returns the chain that verifies what somebody in the vault signs.
func (p *Person) chainOf(ctx context.Context, f *friend) (*keyservice.Chain, error) {
	k, err := p.keysOf(ctx, f)
	if err != nil || k.chain != nil {
		return k.chainOrNil(), err
	}
	if k.chain, err = keyservice.ParseChain(k.Statements); err != nil {
		return nil, err
	}
	return k.chain, nil
}

func (k *peer) chainOrNil() *keyservice.Chain {
	if k == nil {
		return nil
	}
	return k.chain
}
