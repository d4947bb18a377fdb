package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

func vaultKey(a wire.AccountID) string { return keyOf("vault/", a) }

func vheadKey(a wire.AccountID, counter uint64, h wire.Hash) string {
	return "vhead/" + a.String() + "/" + hex16(counter) + "/" + h.String()
}

func sealedKey(a wire.AccountID, h wire.Hash) string {
	return "sealed/" + a.String() + "/" + h.String()
}

func headHash(s wire.Signed) wire.Hash { return s.Hash(wire.LabelVaultHead) }

// vaultChanges write a version of a vault: the last of them, r, commits it.
func vaultChanges(v wire.VaultRecord, r *vaultRecord, account wire.AccountID, h *wire.VaultHead, c store.Condition) []store.Change {
	return []store.Change{
		put(vheadKey(account, h.Counter, headHash(v.Head)), &statementRecord{recordVersion, v.Head}),
		put(sealedKey(account, h.VaultHash), &sealedRecord{recordVersion, v.Vault}),
		putIf(vaultKey(account), r, c),
	}
}

// prepareVault writes the first vault of an account that is not registered yet.
func (n *Node) prepareVault(ctx context.Context, account wire.AccountID, r wire.VaultRecord, head *wire.VaultHead) error {
	first := &vaultRecord{Version: recordVersion, Head: r.Head, Slots: r.Slots}
	err := n.own.Apply(ctx, vaultChanges(r, first, account, head, store.IfAbsent())...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	found, _, err := n.vault(ctx, account)
	if err == nil && headHash(found.Head) != headHash(r.Head) {
		err = wire.Errorf(wire.Conflict, "vault", "another vault was handed in for this account before")
	}
	return err
}

// vault returns the current vault of an account and its revision, or NotExist.
func (n *Node) vault(ctx context.Context, account wire.AccountID) (*vaultRecord, uint64, error) {
	r := new(vaultRecord)
	rev, err := read(ctx, n.own, vaultKey(account), r)
	return r, rev, err
}

// vaultHead returns the current vault of an account with its head opened.
func (n *Node) vaultHead(ctx context.Context, chain *keyservice.Chain) (*vaultRecord, *wire.VaultHead, uint64, error) {
	r, rev, err := n.vault(ctx, chain.Account())
	if err != nil {
		return nil, nil, 0, err
	}
	h, err := chain.OpenVaultHead(r.Head)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("vault of %s: %v", chain.Account(), err)
	}
	return r, h, rev, nil
}

// slots returns how the vault of an account is opened, and the era of its sessions, or
// NotExist. Whether the account is registered is not asked.
func (n *Node) slots(ctx context.Context, account wire.AccountID) (*wire.Slots, uint64, error) {
	r, _, err := n.vault(ctx, account)
	if err != nil {
		return nil, 0, err
	}
	slots, err := storedSlots(r.Slots)
	return slots, r.Era, err
}

// storedSlots decodes slots that were checked when they were stored.
func storedSlots(b []byte) (*wire.Slots, error) {
	s := new(wire.Slots)
	return s, wire.DecodeOwn("slots", b, s)
}

// Vault returns the heads after version after, at most wire.MaxHeads, and the
// newest record unless that is version after.
func (p *Person) Vault(ctx context.Context, after uint64) (wire.VaultReply, error) {
	chain, err := p.chain(ctx)
	if err != nil {
		return wire.VaultReply{}, err
	}
	reply := wire.VaultReply{Heads: []wire.Signed{}}
	for again := 0; ; again++ {
		r, head, _, err := p.node.vaultHead(ctx, chain)
		if err != nil || head.Counter == after {
			return reply, err
		}
		var sealed sealedRecord
		_, err = read(ctx, p.node.own, sealedKey(p.account, head.VaultHash), &sealed)
		if errors.Is(err, wire.NotExist) && again < 3 {
			continue // another device replaced it in between
		}
		if err != nil {
			return wire.VaultReply{}, fmt.Errorf("sealed vault of %s: %v", p.account, err)
		}
		reply.Record = &wire.VaultRecord{Head: r.Head, Slots: r.Slots, Vault: sealed.Vault}
		if head.Counter > after {
			reply.Heads, err = p.node.headsAfter(ctx, chain, after, r.Head, head.Counter)
		}
		return reply, err
	}
}

// headsAfter returns the heads after version after, oldest first. Attempts that
// came to nothing left heads behind too: where a version has several, the head
// after it tells which one counts.
func (n *Node) headsAfter(ctx context.Context, chain *keyservice.Chain, after uint64, newest wire.Signed, counter uint64) ([]wire.Signed, error) {
	from, to := vheadKey(chain.Account(), after+1, wire.Hash{}), vheadKey(chain.Account(), counter+1, wire.Hash{})
	hash := len("/") + len(wire.Hash{}.String())
	var versions [][]wire.Signed
	var at string
	for rec, err := range n.own.Scan(ctx, store.Query{From: from[:len(from)-hash], To: to[:len(to)-hash]}) {
		if err != nil {
			return nil, err
		}
		var r statementRecord
		if err := decodeRecord(rec, &r); err != nil {
			return nil, err
		}
		if v := rec.Key[:len(rec.Key)-hash]; v != at {
			if len(versions) > wire.MaxHeads && len(versions[len(versions)-1]) == 1 {
				return chooseHeads(chain, versions)
			}
			at, versions = strings.Clone(v), append(versions, nil)
		}
		versions[len(versions)-1] = append(versions[len(versions)-1], r.Statement)
	}
	if uint64(len(versions)) != counter-after {
		return nil, fmt.Errorf("vault of %s: %d heads after version %d, not %d", chain.Account(), len(versions), after, counter-after)
	}
	versions[len(versions)-1] = []wire.Signed{newest}
	return chooseHeads(chain, versions)
}

// chooseHeads returns the head that counts of each version, at most
// wire.MaxHeads of them. The last version has one.
func chooseHeads(chain *keyservice.Chain, versions [][]wire.Signed) ([]wire.Signed, error) {
	heads := make([]wire.Signed, len(versions))
	for i := len(versions) - 1; i >= 0; i-- {
		heads[i] = versions[i][0]
		if len(versions[i]) == 1 {
			continue
		}
		next, err := chain.OpenVaultHead(heads[i+1])
		if err != nil {
			return nil, fmt.Errorf("vault of %s: %v", chain.Account(), err)
		}
		for _, s := range versions[i] {
			if headHash(s) == next.Prev {
				heads[i] = s
			}
		}
	}
	return heads[:min(len(heads), wire.MaxHeads)], nil
}

// PutVault replaces the vault. Kinds of errors: Conflict unless the new head
// follows the current one and is signed under the newest keys, Invalid, TooLarge,
// Clock. The very same record again is no error.
func (p *Person) PutVault(ctx context.Context, v wire.VaultRecord) error {
	chain, err := p.chain(ctx)
	if err != nil {
		return err
	}
	return p.putVault(ctx, chain, wire.VaultUpdate{VaultRecord: v})
}

// RenewKeys is PutVault with the key statement that follows the newest one, under which
// the head is signed. One record commits both; that the statement lies with the others,
// and is in the log, follows from it. Also a Conflict where another statement was first.
func (p *Person) RenewKeys(ctx context.Context, u wire.VaultUpdate) error {
	chain, err := p.chain(ctx)
	if err != nil {
		return err
	}
	if chain.NewestHash() != u.KeyStatement.Hash(wire.LabelKeyStatement) { // else it is said again
		if chain, err = chain.Append(u.KeyStatement); err != nil {
			return refuse(err)
		}
		if err := p.node.keyLog.Closed(); err != nil {
			return err
		}
	}
	if err := p.node.ahead("key_statement", chain.Newest().Created); err != nil {
		return err
	}
	return p.putVault(ctx, chain, u)
}

// putVault replaces the vault by one that is signed under the newest keys of chain.
func (p *Person) putVault(ctx context.Context, chain *keyservice.Chain, v wire.VaultUpdate) error {
	head, slots, err := chain.OpenVaultRecord(v.VaultRecord)
	if err != nil {
		return refuse(err)
	}
	if err := checkNewest("vault", chain, head.KeySeq); err != nil {
		return err
	}
	if err := p.node.ahead("vault", head.Created); err != nil {
		return err
	}
	current, before, rev, err := p.node.vaultHead(ctx, chain)
	if err != nil {
		return err
	}
	if headHash(current.Head) == headHash(v.Head) {
		return p.finishVault(ctx, chain, head, current)
	}
	if err := head.Follows(before, headHash(current.Head)); err != nil {
		return refuse(err)
	}
	next, err := p.successor(chain, current, v, slots)
	if err != nil {
		return err
	}
	if len(v.KeyStatement) > 0 || !bytes.Equal(v.Slots, current.Slots) {
		if err := p.cleared(ctx); err != nil {
			return err
		}
	}
	if err := p.keepStatement(ctx, current); err != nil {
		return err
	}
	changes := vaultChanges(v.VaultRecord, next, p.account, head, store.IfRevision(rev))
	if before.VaultHash != head.VaultHash {
		changes = append(changes, store.Change{Key: sealedKey(p.account, before.VaultHash)})
	}
	err = p.node.own.Apply(ctx, changes...)
	p.node.door.asked.forgetAll()
	if next.Era > current.Era {
		p.node.ownKeys.Forget(p.account)
		if err == nil {
			return p.finishEra(ctx, chain, next)
		}
		p.node.door.cache.forgetAll() // the record may be there
	}
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	// Somebody else was first, or our own change was made twice.
	current, now, _, err := p.node.vaultHead(ctx, chain)
	if err != nil {
		return err
	}
	if headHash(current.Head) == headHash(v.Head) {
		return p.finishVault(ctx, chain, head, current)
	}
	if headHash(current.Head) == head.Prev { // an era began, and the vault is as before
		return p.putVault(ctx, chain, v)
	}
	if now.VaultHash != head.VaultHash {
		if err := p.node.own.Apply(ctx, store.Change{Key: sealedKey(p.account, head.VaultHash)}); err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Conflict, "vault", "another device was first")
}

// finishVault does what an interrupted PutVault of the current version may have left
// undone.
func (p *Person) finishVault(ctx context.Context, chain *keyservice.Chain, head *wire.VaultHead, current *vaultRecord) error {
	if err := p.finishEra(ctx, chain, current); err != nil {
		return err
	}
	return p.dropBefore(ctx, chain, head)
}

// finishEra does what follows from r, which is in the store: the sessions of earlier eras
// end, and a statement that it commits gets to its place, and into the log.
func (p *Person) finishEra(ctx context.Context, chain *keyservice.Chain, r *vaultRecord) error {
	if err := p.endEarlier(ctx, r); err != nil {
		return err
	}
	if len(r.Statement) == 0 {
		return nil
	}
	if err := p.keepStatement(ctx, r); err != nil {
		return err
	}
	_, err := p.node.prove(ctx, chain)
	return err
}

// keepStatement puts the statement that r commits where the others lie.
func (p *Person) keepStatement(ctx context.Context, r *vaultRecord) error {
	if len(r.Statement) == 0 {
		return nil
	}
	chain, err := p.chain(ctx)
	if err != nil {
		return err
	}
	return ledger{p.node.own}.SaveStatements(ctx, p.account, int(chain.Newest().Seq), []wire.Signed{r.Statement})
}

// dropBefore deletes the sealed bytes of the version before head, where an
// interrupted PutVault left them.
func (p *Person) dropBefore(ctx context.Context, chain *keyservice.Chain, head *wire.VaultHead) error {
	if head.Counter == 1 {
		return nil
	}
	var r statementRecord
	if _, err := read(ctx, p.node.own, vheadKey(p.account, head.Counter-1, head.Prev), &r); err != nil {
		return ignoreAbsent(err)
	}
	before, err := chain.OpenVaultHead(r.Statement)
	if err != nil {
		return fmt.Errorf("vault of %s: %v", p.account, err)
	}
	if before.VaultHash == head.VaultHash {
		return nil
	}
	key := sealedKey(p.account, before.VaultHash)
	if _, err := p.node.own.Get(ctx, key); err != nil {
		if errors.Is(err, store.ErrNotExist) {
			return nil
		}
		return err
	}
	return p.node.own.Apply(ctx, store.Change{Key: key})
}

// checkNewest refuses what is signed under other than the newest keys.
func checkNewest(what string, c *keyservice.Chain, keySeq uint64) error {
	if newest := c.Newest().Seq; keySeq != newest {
		return wire.Errorf(wire.Conflict, what, "it is signed under key statement %d, the newest is %d", keySeq, newest)
	}
	return nil
}

// headQueryLifetime is how far a query may be from the node's clock.
const headQueryLifetime = 5 * time.Minute

// SeenHead answers somebody from elsewhere, who need not be registered here, with
// the newest head of their vault that stands in what this node has copied. All
// that is wrong, and nothing found, is one NotExist.
func (n *Node) SeenHead(ctx context.Context, r wire.HeadsRequest) (wire.HeadsReply, error) {
	none := wire.Errorf(wire.NotExist, "account", "no vault head of this account was seen here")
	chain, err := n.copyKeys.Chain(ctx, r.Account)
	if err != nil {
		return wire.HeadsReply{}, none
	}
	q, err := chain.OpenHeadQuery(r.Query)
	if err != nil || q.Node != n.name || n.now().Sub(time.UnixMilli(q.Created)).Abs() > headQueryLifetime {
		return wire.HeadsReply{}, none
	}
	var newest uint64
	var reply wire.HeadsReply
	streams, err := n.streamsOf(ctx, r.Account)
	if err != nil {
		return wire.HeadsReply{}, err
	}
	for _, s := range streams {
		signed, counter, err := n.epochHead(ctx, chain, s)
		if ctx.Err() != nil {
			return wire.HeadsReply{}, ctx.Err()
		}
		if err == nil && counter > newest {
			newest, reply.Head = counter, signed
		}
	}
	if newest == 0 {
		return wire.HeadsReply{}, none
	}
	return reply, nil
}

// epochHead returns the vault head in the newest epoch entry of a stream.
func (n *Node) epochHead(ctx context.Context, chain *keyservice.Chain, s *stream) (wire.Signed, uint64, error) {
	at := s.state()
	r, err := n.entry(ctx, s, at.Epoch)
	if err != nil {
		return nil, 0, err
	}
	h, err := chain.OpenEntry(wire.Entry{Header: r.Header, Body: r.Body})
	if err != nil {
		return nil, 0, err
	}
	body, head, err := chain.OpenEpoch(h, r.Body, r.PrevEpoch)
	if err != nil {
		return nil, 0, err
	}
	return body.VaultHead, head.Counter, nil
}
