package node

import (
	"context"
	"errors"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// takeVaults takes the vaults with their sealed bytes. Both are in order of the
// accounts.
func (c *cut) takeVaults(ctx context.Context) error {
	sealed, err := c.spool.fill(func(add func(store.Record) error) error {
		vaults, err := c.spool.fill(func(addVault func(store.Record) error) error {
			for rec, err := range c.own.Scan(ctx, store.Prefix("vault/")) {
				if err == nil && c.has(rec.Key) {
					err = c.takeVault(ctx, rec, addVault, add)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			c.lists = append(c.lists, vaults.records())
		}
		return err
	})
	if err == nil {
		c.lists = append(c.lists, sealed.records())
	}
	return err
}

// takeVault takes one vault. It may be replaced until its sealed bytes are read:
// then it is read again.
func (c *cut) takeVault(ctx context.Context, rec store.Record, add, addSealed func(store.Record) error) error {
	account, err := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "vault/"))
	if err != nil {
		return add(rec)
	}
	for {
		var r vaultRecord
		var head *wire.VaultHead
		if decodeRecord(rec, &r) == nil {
			if head, err = c.vaultHead(ctx, account, r.Head); err != nil {
				return err
			}
		}
		if head == nil {
			return errors.Join(add(rec), c.takeSealed(ctx, account, addSealed))
		}
		c.people[account], c.keys[account] = head.Counter, head.KeySeq
		sealed, err := c.own.Get(ctx, sealedKey(account, head.VaultHash))
		if err == nil {
			return errors.Join(add(rec), addSealed(sealed))
		}
		if !errors.Is(err, store.ErrNotExist) {
			return err
		}
		again, err := c.own.Get(ctx, rec.Key)
		if errors.Is(err, store.ErrNotExist) {
			return nil // the account was deleted
		}
		if err != nil {
			return err
		}
		if again.Revision == rec.Revision {
			return add(rec) // the bytes are missing in the store too
		}
		rec = again
	}
}

// takeSealed takes all that may be the sealed bytes of a vault that is damaged.
func (c *cut) takeSealed(ctx context.Context, account wire.AccountID, add func(store.Record) error) error {
	for rec, err := range c.own.Scan(ctx, store.Prefix("sealed/"+account.String()+"/")) {
		if err == nil {
			err = add(rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// vaultHead opens a head with the keys of an account, nil if it does not verify.
func (c *cut) vaultHead(ctx context.Context, account wire.AccountID, s wire.Signed) (*wire.VaultHead, error) {
	for range 2 {
		held, err := c.held.chain(ctx, account)
		if err != nil {
			return nil, err
		}
		if held.chain != nil {
			if head, err := held.chain.OpenVaultHead(s); err == nil {
				return head, nil
			}
		}
		c.held.chains.remove(account) // there may be newer keys by now
	}
	return nil, nil
}
