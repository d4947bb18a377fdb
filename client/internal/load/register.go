package load

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// found makes the key statement, and with it the account, which nobody has heard
// of yet.
func (p *person) found() (err error) {
	c := p.crowd
	statement := &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: p.handle, Node: p.home.name,
		Identity: p.identity.Public(), Encryption: p.encryption.Public(), RecoveryBox: c.box,
		Recovery:      wire.NewRecoverySecret(c.secret("recovery", p.number)).Public(),
		SealedSelfKey: c.setting.Self, Signer: wire.ByIdentity, Created: c.setting.Created,
	}
	if p.founded, err = statement.Sign(p.identity); err == nil {
		p.account = wire.AccountID(p.founded.Hash(wire.LabelKeyStatement))
	}
	return err
}

// register hands in the key statement and a vault.
func (p *person) register(ctx context.Context) error {
	vault, err := p.firstVault()
	if err != nil {
		return err
	}
	var reply wire.RegisterReply
	_, err = p.call(ctx, http.MethodPost, wire.PathRegister, wire.RegisterRequest{KeyStatement: p.founded, Vault: vault}, &reply)
	if err == nil && reply.Account != p.account {
		err = wire.Errorf(wire.Tampered, "register", "%s has registered another account than was sent", p.home.name)
	}
	if err == nil {
		p.vault = vault.Head
	}
	return err
}

func (p *person) firstVault() (r wire.VaultRecord, err error) {
	c := p.crowd
	slots := &wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: c.secret("salt", p.number), Argon2: wire.DefaultArgon2,
		Login: p.login.Public(), RecoveryLogin: wire.NewRecoveryLoginSecret(c.secret("recovery log-in", p.number)).Public(),
		PasswordSlot: c.setting.Slots[0], RecoverySlot: c.setting.Slots[1],
	}
	encoded, err := slots.Encode()
	if err != nil {
		return r, err
	}
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: p.account, Counter: 1,
		VaultHash: wire.VaultHash(c.setting.Vault), SlotsHash: wire.SlotsHash(encoded), Created: c.setting.Created,
	}
	signed, err := head.Sign(p.identity)
	return wire.VaultRecord{Head: signed, Slots: encoded, Vault: c.setting.Vault}, err
}

// join registers somebody, logs in, hands in the wraps for the friends to be and
// begins the stream, from where an earlier attempt came to: who has a stream has
// everything before it.
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
	if p.crowd.setting.again {
		if begun, err := p.resume(ctx); begun || err != nil {
			return err
		}
	}
	if len(p.pending) == 0 {
		var readers []*person
		for _, number := range slices.Sorted(maps.Keys(p.friends)) {
			readers = append(readers, p.crowd.people[number])
		}
		if _, err := p.sendWraps(ctx, readers...); err != nil {
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
