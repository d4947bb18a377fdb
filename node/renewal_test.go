package node

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// renewal makes the key statement that follows the newest, signed by the recovery key, and
// the vault that goes with it: with another recovery code, and another identity key if one
// is given. p goes on with both, but for the list of heads.
func (p *testPerson) renewal(identity *wire.IdentitySecret) wire.VaultUpdate {
	p.t.Helper()
	before, next := p.keys[len(p.keys)-1], *p.newest
	recovery, login := wire.NewRecoverySecret(random32()), wire.NewRecoveryLoginSecret(random32())
	next.Account, next.Seq, next.Prev, next.Signer = p.account, next.Seq+1, before.Hash(wire.LabelKeyStatement), wire.ByRecovery
	next.Recovery, next.Created = recovery.Public(), p.home.world.clock.now().UnixMilli()
	if identity != nil {
		next.Identity, p.identity = identity.Public(), *identity
	}
	signed := must(next.SignRecovery(p.recovery))
	p.keys, p.newest, p.recovery = append(slices.Clone(p.keys), signed), &next, recovery
	slots := must(wire.DecodeSlots(p.slots))
	slots.RecoveryLogin = login.Public()
	p.slots = must(slots.Encode())
	return wire.VaultUpdate{VaultRecord: p.nextVault(), KeyStatement: signed}
}

// identityRenewal is what a thief of the identity key can make: a statement with keys of
// their own and the same recovery keys; and the vault, which may have another log-in key for
// the recovery code.
func (p *testPerson) identityRenewal(locksOut bool) wire.VaultUpdate {
	p.t.Helper()
	before, next, identity := p.keys[len(p.keys)-1], *p.newest, wire.NewIdentitySecret(random32())
	next.Account, next.Seq, next.Prev, next.Signer = p.account, next.Seq+1, before.Hash(wire.LabelKeyStatement), wire.ByIdentity
	next.Identity = identity.Public()
	signed := must(next.Sign(p.identity))
	p.keys, p.newest, p.identity = append(slices.Clone(p.keys), signed), &next, identity
	if locksOut {
		slots := must(wire.DecodeSlots(p.slots))
		slots.RecoveryLogin = wire.NewRecoveryLoginSecret(random32()).Public()
		p.slots = must(slots.Encode())
	}
	return wire.VaultUpdate{VaultRecord: p.nextVault(), KeyStatement: signed}
}

// TestRecoveryWins: where a thief of the identity key was first, the recovery code goes on
// from there, and nothing that the thief signs counts any more.
func TestRecoveryWins(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(1)
	thief := *ann
	locked := *ann
	slots := must(wire.DecodeSlots(locked.slots))
	slots.RecoveryLogin = wire.NewRecoveryLoginSecret(random32()).Public()
	locked.slots = must(slots.Encode())
	kind(t, ann.as().PutVault(t.Context(), locked.nextVault()), wire.Invalid) // the owner is not locked out
	thief.renews(thief.identityRenewal(false))
	ann.keys, ann.newest, ann.heads, ann.identity = thief.keys, thief.newest, thief.heads, thief.identity
	identity := wire.NewIdentitySecret(random32())
	ann.renews(ann.renewal(&identity))
	if k := ann.shownKeys(n.Node).Newest(); k.Seq != 2 || k.Identity != identity.Public() {
		t.Errorf("statement %d, with other keys", k.Seq)
	}
	locked = *ann
	slots = must(wire.DecodeSlots(locked.slots))
	slots.RecoveryLogin = wire.NewRecoveryLoginSecret(random32()).Public()
	locked.slots = must(slots.Encode())
	kind(t, ann.as().PutVault(t.Context(), locked.nextVault()), wire.Invalid) // nor by a stolen session afterwards
	late := thief.identityRenewal(false)
	kind(t, ann.as().RenewKeys(t.Context(), late), wire.Conflict)
	kind(t, ann.as().PutVault(t.Context(), thief.nextVault()), wire.Invalid) // under keys that never counted
	ann.publish(ann.epoch())
	_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: thief.post()})
	kind(t, err, wire.Invalid)
}

// renews hands a renewal in.
func (p *testPerson) renews(u wire.VaultUpdate) {
	p.t.Helper()
	if err := p.as().RenewKeys(context.Background(), u); err != nil {
		p.t.Fatal(err)
	}
	p.heads = append(p.heads, u.Head)
}

// shownKeys are the keys of p as the node shows them, verified in its log.
func (p *testPerson) shownKeys(n *Node) *keyservice.Chain {
	p.t.Helper()
	reply := must(n.As(p.account, p.address.Handle).Keys(context.Background(), wire.KeysRequest{Address: p.address}))
	chain := must(keyservice.ParseChain(reply.Statements))
	id := must(storedLog(context.Background(), n.own))
	proof := must(keyservice.OpenProof(reply.Proof, id.Log.Origin(n.name), id.secret().Public()))
	if err := proof.InLog(chain); err != nil {
		p.t.Error(err)
	}
	return chain
}

// TestRenewKeys: a statement and the vault that goes with it are taken together, once; the
// statement is in the log, all other sessions end, and nothing under the one before is
// taken afterwards.
func TestRenewKeys(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	mine, other := must(ann.visits(n.Node)), must(ann.visits(n.Node))
	old := *ann
	late := old.renewal(nil)
	u := ann.renewal(nil)
	for range 2 {
		if err := n.in(mine).RenewKeys(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if !n.isOpen(mine) || n.isOpen(other) {
			t.Error("the session of the renewal has ended, or another goes on")
		}
		if got := ann.shownKeys(n.Node); got.NewestHash() != u.KeyStatement.Hash(wire.LabelKeyStatement) {
			t.Errorf("the node shows statement %d", got.Newest().Seq)
		}
	}
	ann.heads = append(ann.heads, u.Head)
	if got := keysOf(t, n.own, statementsKey(ann.account)); len(got) != 2 {
		t.Errorf("the statements lie under %q", got)
	}
	reply := must(ann.as().Vault(t.Context(), 1))
	if len(reply.Heads) != 1 || !bytes.Equal(reply.Record.Head, u.Head) || !bytes.Equal(reply.Record.Slots, u.Slots) {
		t.Error("the node shows another vault")
	}
	kind(t, ann.as().RenewKeys(t.Context(), late), wire.Conflict)
	ann.putVault()
	kind(t, ann.as().RenewKeys(t.Context(), u), wire.Conflict) // no longer the newest vault
	for range 2 {                                              // the next but one, too
		ann.renews(ann.renewal(nil))
	}
	if got := ann.shownKeys(n.Node); got.Newest().Seq != 3 {
		t.Errorf("the node shows statement %d", got.Newest().Seq)
	}
	ann.publish(ann.epoch())
	ann.posts(1)
}

func TestRenewKeysRefuses(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	for name, c := range map[string]struct {
		want   wire.Kind
		change func(p *testPerson) wire.VaultUpdate
	}{
		"a vault under the old statement": {wire.Conflict, func(p *testPerson) wire.VaultUpdate {
			v := p.nextVault()
			u := p.renewal(nil)
			u.VaultRecord = v
			return u
		}},
		"a vault under another statement": {wire.Invalid, func(p *testPerson) wire.VaultUpdate {
			o := *p
			u := p.renewal(nil)
			identity := wire.NewIdentitySecret(random32())
			u.VaultRecord = o.renewal(&identity).VaultRecord
			return u
		}},
		"another person's": {wire.Invalid, func(*testPerson) wire.VaultUpdate { o := *ben; return o.renewal(nil) }},
		"signed by the identity key": {wire.Invalid, func(p *testPerson) wire.VaultUpdate {
			u := p.renewal(nil)
			next := *p.newest
			next.Signer = wire.ByIdentity
			u.KeyStatement = must(next.Sign(p.identity))
			return u
		}},
		"one that was left out": {wire.Invalid, func(p *testPerson) wire.VaultUpdate { p.renewal(nil); return p.renewal(nil) }},
		"another recovery code, signed by the identity key": {wire.Invalid, func(p *testPerson) wire.VaultUpdate {
			return p.identityRenewal(true)
		}},
		"a bad signature": {wire.Invalid, func(p *testPerson) wire.VaultUpdate {
			u := p.renewal(nil)
			u.KeyStatement[70] ^= 1
			return u
		}},
		"a version skipped": {wire.Conflict, func(p *testPerson) wire.VaultUpdate {
			v := p.nextVault()
			p.heads = append(slices.Clone(p.heads), v.Head)
			return p.renewal(nil)
		}},
		"a statement of later": {wire.Clock, func(p *testPerson) wire.VaultUpdate {
			n.world.clock.advance(wire.MaxSkew + time.Second)
			u := p.renewal(nil)
			n.world.clock.advance(-wire.MaxSkew - time.Second)
			u.VaultRecord = p.nextVault() // of now
			return u
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := *ann
			kind(t, ann.as().RenewKeys(t.Context(), c.change(&p)), c.want)
			if got := ann.shownKeys(n.Node); got.Newest().Seq != 0 {
				t.Errorf("the node shows statement %d", got.Newest().Seq)
			}
		})
	}
	ann.putVault()
	ann.renews(ann.renewal(nil))
	old, before := *ann, *ann.newest // a device that does not know of it yet
	before.Seq--
	old.newest = &before
	kind(t, ann.as().PutVault(t.Context(), old.nextVault()), wire.Conflict)
	ann.putVault()
}

// TestRenewalsRace: of many renewals at once, one is taken, with the vault that came with it.
func TestRenewalsRace(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	updates := make([]wire.VaultUpdate, 4)
	errs := make(chan error, len(updates))
	for i := range updates {
		p := *ann
		updates[i] = p.renewal(nil)
	}
	for _, u := range updates {
		go func() { errs <- ann.as().RenewKeys(context.Background(), u) }()
	}
	won := 0
	for range updates {
		if err := <-errs; err == nil {
			won++
		} else {
			kind(t, err, wire.Conflict)
		}
	}
	chain := ann.shownKeys(n.Node)
	reply := must(ann.as().Vault(t.Context(), 1))
	i := slices.IndexFunc(updates, func(u wire.VaultUpdate) bool { return bytes.Equal(u.Head, reply.Record.Head) })
	if won != 1 || i < 0 || chain.Newest().Seq != 1 || chain.NewestHash() != updates[i].KeyStatement.Hash(wire.LabelKeyStatement) {
		t.Errorf("%d were taken; the vault is that of %d, and the statement of another", won, i)
	}
}

// TestRenewalAtEachPoint stops the node before each change that a renewal makes, and after
// the last: statement and vault are there, or neither, before and after a start; whoever
// is shown the statement is shown that it is in the log; fsck has nothing to complain of;
// and the same request again ends the matter.
func TestRenewalAtEachPoint(t *testing.T) {
	sawApart := false
	for at := 0; ; at++ {
		w, own, copies := newWorld(t), storetest.NewMemory(), storetest.NewMemory()
		n := w.open(north, own, copies)
		ann := n.person("ann")
		mine, other := must(ann.visits(n.Node)), must(ann.visits(n.Node))
		if !n.isOpen(other) {
			t.Fatal("a session is not open")
		}
		u, before := ann.renewal(nil), own.Changes()
		own.StopAfter(at)
		done := n.in(mine).RenewKeys(t.Context(), u) == nil
		made := own.Changes() - before
		own.Resume()
		for _, started := range []bool{false, true} {
			if started {
				n.close()
				n = w.open(north, own, copies)
			}
			reply := must(ann.as().Vault(t.Context(), 0))
			taken := bytes.Equal(reply.Record.Head, u.Head)
			if done && !taken {
				t.Errorf("stopped after %d changes: acknowledged, and the vault is the one before", at)
			}
			if n.isOpen(other) != !taken || !n.isOpen(mine) {
				t.Errorf("stopped after %d changes, started: %v: the sessions do not go with the vault", at, started)
			}
			if !started { // nobody has asked for the keys
				got := must(tryFsck(t, own, copies, w.clock.now(), false))
				if len(got.findings) > 0 {
					t.Errorf("stopped after %d changes: fsck finds%s", at, got)
				}
				sawApart = sawApart || slices.ContainsFunc(got.left, func(f Finding) bool { return f.Key == statementsKey(ann.account)+hex16(1) })
			}
			if got := ann.shownKeys(n.Node).Newest().Seq; got != uint64(len(reply.Heads)-1) {
				t.Errorf("stopped after %d changes, started: %v: the node shows statement %d and version %d of the vault", at, started, got, len(reply.Heads))
			}
		}
		if err := n.in(mine).RenewKeys(t.Context(), u); err != nil {
			t.Errorf("stopped after %d changes: again: %v", at, err)
		}
		ann.heads = append(ann.heads, u.Head)
		ann.home = n
		ann.putVault()
		if got := keysOf(t, own, statementsKey(ann.account)); len(got) != 2 || n.isOpen(other) {
			t.Errorf("stopped after %d changes: again: the statements lie under %q, or the other session goes on", at, got)
		}
		if done {
			if made < 6 || !sawApart {
				t.Errorf("only %d changes were made, or the statement never stood in the vault's record alone: %v", made, sawApart)
			}
			return
		}
	}
}

// TestNextVaultKeepsStatement: the version after an interrupted renewal, which takes the
// statement out of the record of the vault, puts it where the others lie.
func TestNextVaultKeepsStatement(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	u := ann.renewal(nil)
	ann.renews(u)
	key := statementsKey(ann.account) + hex16(1)
	if err := n.own.Apply(t.Context(), store.Change{Key: key}); err != nil {
		t.Fatal(err)
	}
	n.ownKeys.ForgetAll()
	if err := ann.as().EndOtherSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	ann.putVault()
	var r statementRecord
	if _, err := read(t.Context(), n.own, key, &r); err != nil || !bytes.Equal(r.Statement, u.KeyStatement) {
		t.Errorf("the statement is not where it belongs: %v", err)
	}
	var v vaultRecord
	if _, err := read(t.Context(), n.own, vaultKey(ann.account), &v); err != nil || len(v.Statement) > 0 {
		t.Errorf("it stands in the record of the vault still: %v", err)
	}
	ann.publish(ann.epoch())
}

// TestKeysOfDamagedVault: a record of a vault that is damaged takes the keys of its owner
// from nobody.
func TestKeysOfDamagedVault(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	if err := n.own.Apply(t.Context(), store.Change{Key: vaultKey(ann.account), Value: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	n.ownKeys.ForgetAll()
	reply, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address})
	if err != nil || len(reply.Statements) != 1 {
		t.Errorf("got %d statements, %v", len(reply.Statements), err)
	}
}

// TestFsckOfRenewals: a statement in the record of a vault that does not follow is named.
func TestFsckOfRenewals(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.renews(ann.renewal(nil))
	var r vaultRecord
	must(read(t.Context(), n.own, vaultKey(ann.account), &r))
	other := *ben
	r.Statement = other.renewal(nil).KeyStatement
	if err := n.own.Apply(t.Context(), put(vaultKey(ann.account), &r)); err != nil {
		t.Fatal(err)
	}
	got := must(tryFsck(t, n.own, n.copies, n.world.clock.now(), false))
	if len(got.findings) != 1 || got.findings[0].Key != vaultKey(ann.account) {
		t.Errorf("found%s", got)
	}
}
