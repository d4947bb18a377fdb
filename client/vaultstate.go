package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// maxTries bounds how often an operation starts again because another device of
// the same person was faster.
const maxTries = 16

// knownHead is a vault head that was verified; the zero value is none.
type knownHead struct {
	signed wire.Signed
	head   *wire.VaultHead
	hash   wire.Hash
}

func (k knownHead) counter() uint64 {
	if k.head == nil {
		return 0
	}
	return k.head.Counter
}

// openHead verifies a head under its owner's chain.
func openHead(chain *keyservice.Chain, s wire.Signed) (knownHead, error) {
	h, err := chain.OpenVaultHead(s)
	if err != nil {
		return knownHead{}, vaultError(err)
	}
	return knownHead{s, h, s.Hash(wire.LabelVaultHead)}, nil
}

// next verifies that s follows k.
func (k knownHead) next(chain *keyservice.Chain, s wire.Signed) (knownHead, error) {
	n, err := openHead(chain, s)
	if err != nil {
		return k, err
	}
	if k.head == nil && n.head.Counter != 1 {
		return k, wire.Errorf(wire.Tampered, "vault", "its history begins with version %d", n.head.Counter)
	}
	if k.head != nil {
		if err := n.head.Follows(k.head, k.hash); err != nil {
			return k, rolledBackVault("%s", reason(err))
		}
	}
	return n, nil
}

func rolledBackVault(format string, args ...any) error {
	return &rolledBackError{wire.Errorf(wire.Tampered, "vault", "the node shows a vault that was rolled back or forked: "+format, args...)}
}

// vaultError says that err is about the vault that the node shows.
func vaultError(err error) error {
	return wire.Errorf(untrue(err), "vault", "the vault that the node shows is not right: %s", reason(err))
}

// vaultState is the newest vault that this device has verified, opened.
type vaultState struct {
	knownHead
	record wire.VaultRecord
	*vault
	identity   wire.IdentitySecret
	encryption seal.EncryptionSecret
	self       seal.SelfKey
}

// openVault verifies and opens a record whose head is known.
func openVault(chain *keyservice.Chain, key seal.VaultKey, at knownHead, r wire.VaultRecord) (vaultState, error) {
	head, _, err := chain.OpenVaultRecord(r)
	if err != nil {
		return vaultState{}, vaultError(err)
	}
	plain, err := seal.OpenVault(key, seal.VaultPlace{Account: head.Account, Counter: head.Counter}, r.Vault)
	if err != nil {
		return vaultState{}, vaultError(err)
	}
	v, err := decodeVault(plain, head.Account)
	if err != nil {
		return vaultState{}, err
	}
	s := vaultState{knownHead: at, record: r, vault: v}
	s.identity = v.signs()
	if s.encryption, err = seal.EncryptionSecretFromSeed(v.Encryption.Reveal()); err != nil {
		return vaultState{}, err
	}
	if s.self, err = seal.SelfKeyFromBytes(v.Self.Reveal()); err != nil {
		return vaultState{}, err
	}
	newest := chain.Newest()
	if s.identity.Public() != newest.Identity || s.encryption.Public() != newest.Encryption || v.KeySeq != newest.Seq {
		return vaultState{}, wire.Errorf(wire.Tampered, "vault", "the keys in it are not those that the node shows for %s", chain.Address())
	}
	return s, nil
}

// vaultFile is a record as the device keeps it.
type vaultFile struct {
	Head  wire.Signed `cbor:"1,keyasint"`
	Slots []byte      `cbor:"2,keyasint"`
	Vault []byte      `cbor:"3,keyasint"`
}

// loadVault opens the vault on this device, if there is one that is not older
// than the newest head the device has seen.
func (p *Person) loadVault() error {
	k, err := p.c.loadKnown(p.session.Address)
	if err != nil {
		return err
	}
	var seen knownHead
	if len(k.Head) > 0 {
		if seen, err = openHead(p.chain, k.Head); err != nil {
			return err
		}
	}
	p.vault = vaultState{knownHead: seen}
	b, err := p.c.load(fileVault)
	if err != nil || b == nil {
		return err
	}
	var f vaultFile
	if wire.DecodeCBOR("vault", b, &f) != nil {
		return nil // it is fetched again
	}
	at, err := openHead(p.chain, f.Head)
	if err != nil || at.counter() < seen.counter() {
		return nil
	}
	if v, err := openVault(p.chain, p.session.VaultKey, at, wire.VaultRecord{Head: f.Head, Slots: f.Slots, Vault: f.Vault}); err == nil {
		p.vault = v
	}
	return nil
}

// keepVault makes v the newest vault of this device: first the record, then the
// mark below which nothing is accepted.
func (p *Person) keepVault(v vaultState) error {
	r := v.record
	if err := p.c.save(fileVault, wire.EncodeCBOR(&vaultFile{r.Head, r.Slots, r.Vault})); err != nil {
		return err
	}
	k, err := p.c.loadKnown(p.session.Address)
	if err != nil {
		return err
	}
	k.Account, k.Head = p.me(), v.signed
	if err := p.c.saveKnown(p.session.Address, k); err != nil {
		return err
	}
	p.vault = v
	return nil
}

// fetchVault asks for the heads after from, and for the newest record. The record is
// nil when from is the newest; with need set it always comes. visit gets each
// head that follows from.
func (p *Person) fetchVault(ctx context.Context, from knownHead, need bool, visit func(knownHead)) (knownHead, *wire.VaultRecord, error) {
	at := from
	after := from.counter()
	repeat := need && after > 0 // ask for from itself once more, so that the record comes
	if repeat {
		after--
	}
	for {
		var r wire.VaultReply
		if err := p.get(ctx, wire.PathVault+"?after="+number(after), &r); err != nil {
			return at, nil, err
		}
		heads := r.Heads
		if repeat {
			if len(heads) == 0 || heads[0].Hash(wire.LabelVaultHead) != from.hash {
				return at, nil, rolledBackVault("it does not have version %d that this device has seen", after+1)
			}
			heads, repeat = heads[1:], false
		}
		for _, s := range heads {
			next, err := at.next(p.chain, s)
			if err != nil {
				return at, nil, err
			}
			at = next
			visit(at)
		}
		switch {
		case r.Record == nil && (len(r.Heads) > 0 || need):
			return at, nil, wire.Errorf(wire.Tampered, "vault", "the node shows the head of version %d and not the vault", at.counter())
		case r.Record == nil:
			return at, nil, nil
		case bytes.Equal(r.Record.Head, at.signed):
			return at, r.Record, nil
		case len(heads) == 0:
			return at, nil, rolledBackVault("it is not version %d that this device has seen", at.counter())
		}
		after = at.counter()
	}
}

// refreshVault takes in what other devices of this person have done.
func (p *Person) refreshVault(ctx context.Context) error {
	at, record, err := p.fetchVault(ctx, p.vault.knownHead, p.vault.vault == nil, func(knownHead) {})
	if err == nil && record == nil {
		return nil
	}
	if err == nil {
		var v vaultState
		if v, err = openVault(p.chain, p.session.VaultKey, at, *record); err == nil {
			return p.keepVault(v)
		}
	}
	if c := p.loadChange(); c != nil && errors.Is(err, wire.Tampered) && p.takeChange(ctx, c) == nil { // the node may have taken it
		return nil
	}
	return err
}

// updateVault changes the vault at the node by compare-and-swap. change gets a
// copy, again after each conflict with another device, and says whether it has
// changed anything; where it has not, nothing is sent.
func (p *Person) updateVault(ctx context.Context, change func(v *vault) (bool, error)) error {
	for range maxTries {
		v := p.vault.clone()
		changed, err := change(v)
		if err != nil || !changed {
			return err
		}
		p.pinLogs(v)
		next, err := p.sealVault(v)
		if err != nil {
			return err
		}
		err = p.hand(ctx, "PUT", wire.PathVault, &next.record, nil)
		if err == nil {
			return p.keepVault(next)
		}
		if !errors.Is(err, wire.Conflict) {
			return err
		}
		before := p.vault.counter()
		if err := p.refreshVault(ctx); err != nil {
			return err
		}
		if p.vault.hash == next.hash { // it was not late
			return nil
		}
		if p.vault.counter() == before {
			return wire.Errorf(wire.Tampered, "vault", "the node refuses version %d as late, but shows no newer one than %d", before+1, before)
		}
	}
	return wire.Errorf(wire.Conflict, "vault", "other devices change it all the time")
}

// sealVault makes the next version of the vault, under the slots of the one before.
func (p *Person) sealVault(v *vault) (vaultState, error) {
	return p.sealNext(v, p.session.VaultKey, p.vault.record.Slots)
}

// sealNext makes the next version of the vault, under a key that slots hold.
func (p *Person) sealNext(v *vault, key seal.VaultKey, slots []byte) (vaultState, error) {
	now, err := p.c.stamp()
	if err != nil {
		return vaultState{}, err
	}
	old := p.vault
	sealed, err := seal.SealVault(key, seal.VaultPlace{Account: p.me(), Counter: old.counter() + 1}, v.encode())
	if errors.Is(err, wire.TooLarge) {
		return vaultState{}, wire.Errorf(wire.Limit, "vault", "it holds no more friends")
	}
	if err != nil {
		return vaultState{}, err
	}
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: p.me(), KeySeq: v.KeySeq,
		Counter: old.counter() + 1, Prev: old.hash,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(slots),
		Created: max(now, old.head.Created),
	}
	signed, err := head.Sign(v.signs())
	if err != nil {
		return vaultState{}, err
	}
	next := old
	next.knownHead = knownHead{signed, head, signed.Hash(wire.LabelVaultHead)}
	next.record = wire.VaultRecord{Head: signed, Slots: slots, Vault: sealed}
	next.vault = v
	return next, nil
}
