package load

import (
	"context"
	"net/http"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// register founds the account.
func (p *person) register(ctx context.Context) error {
	now, c := time.Now().UnixMilli(), p.crowd
	recovery := wire.NewRecoverySecret(c.secret("recovery", p.number))
	statement := &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: p.handle, Node: p.home.name,
		Identity: p.identity.Public(), Encryption: p.encryption.Public(), Recovery: recovery.Public(), RecoveryBox: c.box,
		SealedSelfKey: c.selfKey, Signer: wire.ByIdentity, Created: now,
	}
	signed, err := statement.Sign(p.identity)
	if err != nil {
		return err
	}
	p.account = wire.AccountID(signed.Hash(wire.LabelKeyStatement))
	vault, err := p.firstVault(now)
	if err != nil {
		return err
	}
	var reply wire.RegisterReply
	_, err = p.call(ctx, http.MethodPost, wire.PathRegister, wire.RegisterRequest{KeyStatement: signed, Vault: vault}, &reply)
	if err == nil && reply.Account != p.account {
		err = wire.Errorf(wire.Tampered, "register", "%s has registered another account than was sent", p.home.name)
	}
	if err == nil {
		p.vault = vault.Head
	}
	return err
}

// firstVault makes a vault with nothing in it.
func (p *person) firstVault(now int64) (r wire.VaultRecord, err error) {
	key, c := seal.NewVaultKey(), p.crowd
	slots := &wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: c.secret("salt", p.number), Argon2: wire.DefaultArgon2,
		Login: p.login.Public(), RecoveryLogin: wire.NewRecoveryLoginSecret(c.secret("recovery log-in", p.number)).Public(),
		RecoverySlot: c.slot,
	}
	if slots.PasswordSlot, err = seal.SealPasswordSlot(seal.NewSlotKey(), p.account, key); err != nil {
		return r, err
	}
	encoded, err := slots.Encode()
	if err != nil {
		return r, err
	}
	sealed, err := seal.SealVault(key, seal.VaultPlace{Account: p.account, Counter: 1}, nil)
	if err != nil {
		return r, err
	}
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: p.account, Counter: 1,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(encoded), Created: now,
	}
	signed, err := head.Sign(p.identity)
	return wire.VaultRecord{Head: signed, Slots: encoded, Vault: sealed}, err
}

// join registers somebody, logs in and begins the stream, from where an earlier
// attempt came to.
func (p *person) join(ctx context.Context) error {
	if p.vault == nil {
		if err := p.register(ctx); err != nil {
			return err
		}
	}
	if token, _ := p.session.current(); token.IsZero() {
		if _, err := p.logIn(ctx); err != nil {
			return err
		}
	}
	return p.begin(ctx)
}

// begin publishes the first epoch of the stream.
func (p *person) begin(ctx context.Context) error {
	if len(p.pending) == 0 {
		err := p.sign(wire.KindEpoch, func(h *wire.EntryHeader) ([]byte, error) {
			self := seal.NewSelfKey()
			place := seal.EpochPlace{Author: h.Author, Audience: h.Audience, Seq: h.Seq, Prev: h.Prev}
			secret, err := seal.SealEpochSecret(self, place, p.epoch)
			if err != nil {
				return nil, err
			}
			return (&wire.EpochBody{
				Version: wire.Version, Suite: wire.Suite, Content: p.content.Commitment(), Chain: p.chain.Commitment(),
				VaultHead: p.vault, SealedSecret: secret,
			}).Encode()
		})
		if err != nil {
			return err
		}
	}
	_, err := p.publish(ctx)
	return err
}
