package node

import (
	"context"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// openedVault is the current vault of an account as far as it verifies.
type openedVault struct {
	record *vaultRecord    // nil: it is missing, or cannot be read
	head   *wire.VaultHead // nil: nor does it verify
}

func (d *side) openedVault(ctx context.Context, account wire.AccountID) (v openedVault, held *heldChain, err error) {
	if held, err = d.chain(ctx, account); err != nil {
		return v, held, err
	}
	var r vaultRecord
	_, legible, err := d.get(ctx, vaultKey(account), &r)
	if err != nil || !legible {
		return v, held, err
	}
	v.record = &r
	if held.chain != nil {
		if head, err := held.chain.OpenVaultHead(r.Head); err == nil {
			v.head = head
		}
	}
	return v, held, nil
}

// judgeVault checks vault/<account> and that what it names is there.
func (d *side) judgeVault(ctx context.Context, rec store.Record) error {
	account, err := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "vault/"))
	if err != nil {
		d.wrong(Finding{Key: rec.Key, Problem: "its key names no account"})
		return nil
	}
	var r vaultRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		d.lost(ctx, rec.Key, account, "%s", problem)
		return nil
	}
	held, err := d.chain(ctx, account)
	if err != nil {
		return err
	}
	if held.chain == nil {
		return d.unverified(ctx, account, held)
	}
	head, err := held.chain.OpenVaultHead(r.Head)
	switch {
	case err != nil && !held.whole:
		d.loose++
		return nil
	case err != nil:
		d.lost(ctx, rec.Key, account, "its head does not verify: %v", err)
		return nil
	case held.whole && r.commits(held.newest()):
		d.lost(ctx, rec.Key, account, "the key statement in it does not follow those of the account")
		return nil
	case wire.SlotsHash(r.Slots) != head.SlotsHash:
		d.lost(ctx, rec.Key, account, "its slots are not those that were signed")
		return nil
	}
	if _, err := wire.DecodeSlots(r.Slots); err != nil {
		d.lost(ctx, rec.Key, account, "its slots cannot be read: %v", err)
	}
	there, _, err := d.get(ctx, sealedKey(account, head.VaultHash), new(sealedRecord))
	if err == nil && !there {
		d.lost(ctx, sealedKey(account, head.VaultHash), account, "the sealed vault is missing")
	}
	if err != nil {
		return err
	}
	key := vheadKey(account, head.Counter, headHash(r.Head))
	if there, _, err = d.get(ctx, key, new(statementRecord)); err == nil && !there {
		d.wrong(Finding{
			Key: key, Problem: "the newest head of the vault is missing", Person: d.who(ctx, account),
			Repair: "write it again from the vault", fix: d.applies(put(key, &statementRecord{recordVersion, r.Head})),
		})
	}
	return err
}

// unverified counts what cannot be verified for want of keys. That they are
// damaged is named where they are checked, that they are missing here.
func (d *side) unverified(ctx context.Context, account wire.AccountID, held *heldChain) error {
	d.loose++
	if !held.there {
		d.lost(ctx, statementsKey(account)+hex16(0), account, "the keys of the account are missing")
	}
	return nil
}

// judgeSealed checks sealed/<account>/<hash>. One that the vault does not name is
// what an interruption left.
func (d *side) judgeSealed(ctx context.Context, rec store.Record) error {
	parts := strings.Split(rec.Key, "/")
	var hash wire.Hash
	account, err := wire.ParseAccountID(parts[1])
	if err != nil || len(parts) != 3 || hash.UnmarshalText([]byte(parts[2])) != nil {
		d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a sealed vault", Repair: "remove it", fix: d.removal(rec)})
		return nil
	}
	v, _, err := d.openedVault(ctx, account)
	if err != nil {
		return err
	}
	var r sealedRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" && wire.VaultHash(r.Vault) != hash {
		problem = "it is not the vault that was signed"
	}
	switch {
	case v.head == nil || v.head.VaultHash == hash:
		if problem != "" {
			d.lost(ctx, rec.Key, account, "%s", problem)
		}
	case problem == "":
		problem = "a sealed vault that is the newest no more, or never was"
		d.wrong(Finding{Key: rec.Key, Problem: problem, Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	default:
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "remove it: it is not the newest", fix: d.removal(rec)})
	}
	return nil
}

// headsCheck checks the heads of one vault, which are a chain from the newest to
// version 1. Others are attempts that came to nothing.
type headsCheck struct {
	d       *side
	account wire.AccountID
	known   bool                 // whose they are
	chain   map[uint64]wire.Hash // of each version; nil until the first record
	newest  uint64               // version; 0: the vault is damaged
}

func openHeadsCheck(d *side, group string) groupCheck {
	account, err := wire.ParseAccountID(strings.TrimPrefix(group, "vhead/"))
	return &headsCheck{d: d, account: account, known: err == nil}
}

// follow goes down the chain from the vault.
func (c *headsCheck) follow(ctx context.Context) error {
	v, held, err := c.d.openedVault(ctx, c.account)
	if err != nil || v.head == nil {
		return err
	}
	at, hash := v.head, headHash(v.record.Head)
	c.newest = at.Counter
	for {
		c.chain[at.Counter] = hash
		if at.Counter == 1 {
			return nil
		}
		c.chain[at.Counter-1] = at.Prev
		key := vheadKey(c.account, at.Counter-1, at.Prev)
		var r statementRecord
		there, legible, err := c.d.get(ctx, key, &r)
		if err != nil {
			return err
		}
		if !there {
			c.d.lost(ctx, key, c.account, "version %d of the vault names this head, which is missing", at.Counter)
		}
		if !legible {
			return nil
		}
		before, err := held.chain.OpenVaultHead(r.Statement)
		if err != nil || headHash(r.Statement) != at.Prev {
			return nil // named in record
		}
		if err := at.Follows(before, at.Prev); err != nil {
			c.d.lost(ctx, vheadKey(c.account, at.Counter, hash), c.account, "it does not follow: %v", err)
			return nil
		}
		at, hash = before, at.Prev
	}
}

func (c *headsCheck) record(ctx context.Context, rec store.Record) error {
	parts := strings.Split(rec.Key, "/")
	var hash wire.Hash
	counter, ok := uint64(0), false
	if len(parts) == 4 {
		counter, ok = parseHex16(parts[2])
	}
	if !c.known || !ok || hash.UnmarshalText([]byte(parts[3])) != nil {
		c.d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a vault's head", Repair: "remove it", fix: c.d.removal(rec)})
		return nil
	}
	if c.chain == nil {
		c.chain = map[uint64]wire.Hash{}
		if err := c.follow(ctx); err != nil {
			return err
		}
	}
	held, err := c.d.chain(ctx, c.account)
	if err != nil {
		return err
	}
	if held.chain == nil {
		return c.d.unverified(ctx, c.account, held)
	}
	problem := c.problem(rec, held, counter, hash)
	if problem == "" && !held.whole {
		c.d.loose++
	}
	counts, followed := c.chain[counter]
	switch {
	case followed && counts != hash, c.newest > 0 && counter > c.newest:
		one := Finding{Key: rec.Key, Problem: problem, Repair: "remove it: it does not count", fix: c.d.removal(rec)}
		if problem == "" || intactHead(rec, hash) { // the statement that it is signed under has come to nothing as well
			one.Problem, one.Leftover = "a head of the vault that came to nothing", true
		}
		c.d.wrong(one)
	case problem != "":
		return c.spoiled(ctx, rec, problem)
	}
	return nil
}

// intactHead reports whether a head is the one that its key names, whoever has signed it.
func intactHead(rec store.Record, hash wire.Hash) bool {
	var r statementRecord
	return decodeStrictly(rec, &r) == "" && headHash(r.Statement) == hash
}

// problem returns what is wrong with a head.
func (c *headsCheck) problem(rec store.Record, held *heldChain, counter uint64, hash wire.Hash) string {
	var r statementRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		return problem
	}
	head, err := held.chain.OpenVaultHead(r.Statement)
	switch {
	case err != nil && !held.whole:
		return ""
	case err != nil:
		return "it does not verify: " + err.Error()
	case head.Counter != counter || headHash(r.Statement) != hash:
		return "it is another head than its key says"
	}
	return ""
}

// spoiled notes a head that counts. The vault has the newest once more.
func (c *headsCheck) spoiled(ctx context.Context, rec store.Record, problem string) error {
	v, _, err := c.d.openedVault(ctx, c.account)
	if err != nil {
		return err
	}
	one := Finding{Key: rec.Key, Problem: problem, Person: c.d.who(ctx, c.account)}
	if v.head != nil && rec.Key == vheadKey(c.account, v.head.Counter, headHash(v.record.Head)) {
		one.Repair, one.fix = "write it again from the vault", c.d.rewriting(rec, &statementRecord{recordVersion, v.record.Head})
	}
	c.d.wrong(one)
	return nil
}

func (c *headsCheck) end(context.Context) error { return nil }
