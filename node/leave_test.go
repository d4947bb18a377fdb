package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// tombstone is the end of the person.
func (p *testPerson) tombstone() *wire.Tombstone {
	chain := p.chain()
	k := chain.Newest()
	return &wire.Tombstone{
		Version: wire.Version, Suite: wire.Suite, Account: p.account, KeySeq: k.Seq, Statement: chain.NewestHash(),
		Handle: k.Handle, Node: k.Node, Signer: wire.ByIdentity, Created: p.home.world.clock.now().UnixMilli(),
	}
}

// deletes deletes the account, however often it is called.
func (p *testPerson) deletes(t *wire.Tombstone) func(context.Context) error {
	signed := must(t.Sign(p.identity))
	return func(ctx context.Context) error {
		err := p.as().Delete(ctx, wire.DeleteRequest{Tombstone: signed})
		if held, failed := p.home.holder(ctx, p.address.Handle); failed == nil && len(held.Tombstone) > 0 && errors.Is(err, wire.Unauthenticated) {
			return nil
		}
		return err
	}
}

func (p *testPerson) delete() {
	p.t.Helper()
	if err := p.deletes(p.tombstone())(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// leftBehind are the keys of what the node of a person has of them that a deletion is to
// remove.
func leftBehind(t testing.TB, p *testPerson) (keys []string) {
	t.Helper()
	for _, s := range []store.Store{p.home.own, p.home.copies} {
		for rec, err := range s.Scan(context.Background(), store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			switch kind, _, _ := strings.Cut(rec.Key, "/"); kind {
			case "handle", "key", "log", "leaf", "logtile", "logtop", "leaving", "news":
				continue
			case "friend": // the records of friends name them, and their tombstone
				if strings.HasSuffix(rec.Key, p.account.String()) {
					continue
				}
			}
			text := rec.Key + " " + string(rec.Value)
			if strings.Contains(text, p.account.String()) || strings.Contains(text, string(p.account[:])) {
				keys = append(keys, rec.Key)
			}
		}
	}
	return keys
}

// leavesFor lets the time pass until nothing is to be done for a deletion any more.
func (n *testNode) leavesFor(account wire.AccountID) {
	n.world.t.Helper()
	eventually(n.world.t, "the deletion is over", func() bool {
		n.world.clock.advance(leaveAgain)
		n.leaving.look()
		if n.twin != nil {
			n.twin.leaving.look()
		}
		_, err := n.own.Get(context.Background(), leavingKey(account))
		return errors.Is(err, store.ErrNotExist)
	})
}

// TestDelete: of an account that is deleted nothing is left but the tombstone in its
// handle, its public keys and the log; its sessions are dead, its friends are told, its
// name is nobody's.
func TestDelete(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		cid, dan := ben.home.person("cid"), ann.home.person("dan")
		ann.befriend(ben)
		ann.befriend(dan)
		ann.rotate(ben, dan)
		ben.rotate(ann, cid)
		dan.rotate(ann)
		ann.posts(3)
		ben.posts(2)
		cid.tell(cid.offer(ann)) // which stays open
		if len(ben.reads(ann)) == 0 || len(ann.reads(ben)) == 0 {
			t.Fatal("friends read nothing")
		}
		tokens := []wire.Token{must(ann.visits(ann.home.any())), must(ann.visits(ann.home.any()))}
		bens := must(ben.visits(ben.home.any()))
		tombstone := must(ann.tombstone().Sign(ann.identity))
		if err := ann.home.in(tokens[0]).Delete(t.Context(), wire.DeleteRequest{Tombstone: tombstone}); err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			if ann.home.isOpen(token) {
				t.Error("a session of somebody who is deleted is open")
			}
		}
		ann.home.leavesFor(ann.account)
		if left := leftBehind(t, ann); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if !ben.home.isOpen(bens) {
			t.Error("somebody else's session has ended")
		}
		for _, p := range []*testPerson{ben, cid, dan} {
			f := p.record(ann)
			if string(f.Tombstone) != string(tombstone) || f.State != wire.StateNone || f.Undelivered != 0 {
				t.Errorf("%s is shown %+v", p.address, f)
			}
			if got := p.home.streamKeys(t, ann); len(got) > 0 {
				t.Errorf("at the node of %s: %q", p.address, got)
			}
			_, err := p.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 10)
			kind(t, err, wire.NotExist)
			_, err = p.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address})
			kind(t, err, wire.NotExist)
			keys, err := p.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address, Account: &ann.account})
			if err != nil || string(keys.Tombstone) != string(tombstone) || len(keys.Statements) != 1 {
				t.Errorf("the keys that the tombstone verifies under: got %+v, %v", keys, err)
			}
			_, err = p.as().Tell(t.Context(), p.offer(ann))
			kind(t, err, wire.NotExist)
		}
		late := ann.home.person("late") // who has never heard of ann
		_, err := late.as().Tell(t.Context(), late.offer(ann))
		kind(t, err, wire.NotExist)
		ben.posts(1) // goes on
		_, err = ann.home.any().Register(t.Context(), ann.register)
		kind(t, err, wire.Exist)
		_, err = ann.home.any().Register(t.Context(), ann.home.newPerson("ann").register)
		kind(t, err, wire.Exist)
		for _, n := range []*testNode{ann.home, ben.home} {
			if got := fsckStores(t, n.own, n.copies, n.world.clock.now(), false); len(got.findings) > 0 {
				t.Errorf("fsck finds %s", got)
			}
		}
	})
}

// record is what the node of a person shows them of somebody.
func (p *testPerson) record(o *testPerson) wire.FriendRecord {
	p.t.Helper()
	for _, f := range must(p.as().Friends(p.t.Context())).Friends {
		if f.Account == o.account {
			return f
		}
	}
	return wire.FriendRecord{}
}

// streamKeys are the keys of what a node has of the streams of somebody.
func (n *testNode) streamKeys(t testing.TB, p *testPerson) (keys []string) {
	t.Helper()
	for _, s := range []store.Store{n.own, n.copies} {
		for _, prefix := range []string{"entry/", "wrap/", "gap/", "sync/", "read/"} {
			keys = append(keys, keysOf(t, s, prefix+p.account.String()+"/")...)
		}
		for _, key := range keysOf(t, s, "id/") {
			var r idRecord
			if _, err := read(t.Context(), s, key, &r); err != nil || r.Author == p.account {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// TestDeleteTellsNothing: log-in and recovery of somebody who is deleted are answered
// like those of nobody, in shape and in number of operations.
func TestDeleteTellsNothing(t *testing.T) {
	n, own := counted(t)
	ann := n.person("ann")
	ann.posts(1)
	ann.delete()
	n.leavesFor(ann.account)
	ask := func(h wire.Handle, p wire.Purpose) (wire.ChallengeReply, int) {
		before := own.Gets()
		c, err := n.Challenge(t.Context(), wire.ChallengeRequest{Handle: h, Purpose: p}, newAddress())
		if err != nil {
			t.Fatal(err)
		}
		v := &visitor{handle: h, login: ann.login, recovery: wire.NewRecoveryLoginSecret(random32())}
		_, err = n.Login(t.Context(), v.answer(t, north, p, c, nil), newAddress())
		silent(t, "a log-in of "+string(h), err)
		return c, own.Gets() - before
	}
	for _, p := range []wire.Purpose{wire.PurposeLogin, wire.PurposeRecovery} {
		gone, cost := ask("ann", p)
		again, _ := ask("ann", p)
		nobody, like := ask("nobody", p)
		if gone.Random != again.Random || gone.Argon2 != nobody.Argon2 || gone.Random == must(wire.DecodeSlots(ann.slots)).Random {
			t.Errorf("%s: got %+v and %+v, of nobody %+v", p, gone, again, nobody)
		}
		if cost != like {
			t.Errorf("%s: %d look-ups for who is deleted, %d for nobody", p, cost, like)
		}
	}
}

// TestDeleteRefuses what is no tombstone of the person, and changes nothing.
func TestDeleteRefuses(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	for name, c := range map[string]struct {
		want wire.Kind
		sign func(s *wire.Tombstone) wire.Signed
	}{
		"nothing":          {wire.Invalid, func(s *wire.Tombstone) wire.Signed { return nil }},
		"somebody else's":  {wire.Invalid, func(*wire.Tombstone) wire.Signed { return must(ben.tombstone().Sign(ben.identity)) }},
		"by somebody else": {wire.Invalid, func(s *wire.Tombstone) wire.Signed { return must(s.Sign(ben.identity)) }},
		"another address":  {wire.Invalid, func(s *wire.Tombstone) wire.Signed { s.Handle = "ben"; return must(s.Sign(ann.identity)) }},
		"other keys":       {wire.Invalid, func(s *wire.Tombstone) wire.Signed { s.KeySeq = 1; return must(s.Sign(ann.identity)) }},
		"ahead":            {wire.Clock, func(s *wire.Tombstone) wire.Signed { s.Created += 180_000; return must(s.Sign(ann.identity)) }},
		"another kind":     {wire.Invalid, func(s *wire.Tombstone) wire.Signed { return ann.heads[0] }},
	} {
		before := snapshotOf(t, n.own)
		kind(t, ann.as().Delete(t.Context(), wire.DeleteRequest{Tombstone: c.sign(ann.tombstone())}), c.want)
		if after := snapshotOf(t, n.own); after != before {
			t.Errorf("%s: the store is changed", name)
		}
	}
	_, err := ben.as().Tell(t.Context(), about(ann, wire.FriendTombstone, must(ben.tombstone().Sign(ben.identity))))
	kind(t, err, wire.Invalid)

	// A session that has ended meanwhile deletes nothing.
	token := must(ann.visits(n.Node))
	late := n.in(token)
	ann.putVault() // of the same era
	if err := ann.as().PutVault(t.Context(), ann.newPassword()); err != nil {
		t.Fatal(err)
	}
	silent(t, "in a session of the old password", late.Delete(t.Context(), wire.DeleteRequest{Tombstone: must(ann.tombstone().Sign(ann.identity))}))
	ann.delete()
	silent(t, "twice", ann.as().Delete(t.Context(), wire.DeleteRequest{Tombstone: must(ann.tombstone().Sign(ann.identity))}))
}

func snapshotOf(t testing.TB, s store.Store) string {
	t.Helper()
	all := ""
	for rec, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%s %x\n", rec.Key, rec.Value)
	}
	return all
}

// TestDeleteByRecovery: who has lost the identity key signs with the recovery key.
func TestDeleteByRecovery(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	s := ann.tombstone()
	s.Signer = wire.ByRecovery
	if err := ann.as().Delete(t.Context(), wire.DeleteRequest{Tombstone: must(s.SignRecovery(ann.recovery))}); err != nil {
		t.Fatal(err)
	}
}

// TestRenewalDuringDeletion: another device that gets the account other keys while it is
// being deleted is too late, or else nothing is deleted: a tombstone under the keys before
// is taken by nobody.
func TestRenewalDuringDeletion(t *testing.T) {
	for name, when := range map[string]func(account wire.AccountID) string{
		"before the other sessions end": vaultKey, "before the tombstone": leavingKey,
	} {
		t.Run(name, func(t *testing.T) {
			n := newOffice(t, still).opens()
			ann, ben := n.person("ann"), n.person("ben")
			ann.befriend(ben)
			mine, other := must(ann.visits(n.Node)), must(ann.visits(n.Node))
			stone := must(ann.tombstone().Sign(ann.identity))
			renewed := *ann
			u := renewed.renewal(nil)
			late := must(n.Authenticate(t.Context(), other))
			var failed error
			n.interrupts(func(c store.Change) bool { return c.Key == when(ann.account) }, func() {
				failed = late.RenewKeys(t.Context(), u)
			})
			err := n.in(mine).Delete(t.Context(), wire.DeleteRequest{Tombstone: stone})
			holder := must(n.holder(t.Context(), "ann"))
			if deleted := err == nil; deleted != (len(holder.Tombstone) > 0) || deleted == (failed == nil) {
				t.Fatalf("deleted: %v, with a tombstone of %d bytes; renewed: %v", err, len(holder.Tombstone), failed)
			}
			if failed == nil { // the owner says it again, under the keys that there are now
				kind(t, err, wire.Unauthenticated)
				renewed.delete()
			} else {
				kind(t, failed, wire.Unauthenticated)
			}
			keys := must(n.localKeys(t.Context(), ann.address))
			if _, err := keys.chain.OpenTombstone(keys.tombstone); err != nil {
				t.Errorf("the tombstone under statement %d: %v", keys.chain.Newest().Seq, err)
			}
			eventually(t, "a friend is told", func() bool { return len(ben.record(ann).Tombstone) > 0 })
		})
	}
}

// TestDeletionsAtOnce: who is overtaken is told what anybody without a session is.
func TestDeletionsAtOnce(t *testing.T) {
	n := newOffice(t, still).opens()
	ann := n.person("ann")
	request := wire.DeleteRequest{Tombstone: must(ann.tombstone().Sign(ann.identity))}
	first, second := n.As(ann.account, "ann"), n.As(ann.account, "ann")
	n.interrupts(func(c store.Change) bool { return c.Key == vaultKey(ann.account) }, func() {
		if err := first.Delete(t.Context(), request); err != nil {
			t.Error(err)
		}
	})
	silent(t, "the second", second.Delete(t.Context(), request))
}

// TestDeleteAfterRenewal: the newest keys, which only the record of the vault has yet, are
// among those that stay.
func TestDeleteAfterRenewal(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	if err := ann.as().RenewKeys(t.Context(), ann.renewal(nil)); err != nil {
		t.Fatal(err)
	}
	ann.delete()
	n.leavesFor(ann.account)
	keys, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address, Account: &ann.account})
	if err != nil || len(keys.Statements) != 2 || len(ben.record(ann).Tombstone) == 0 {
		t.Errorf("got %d statements, %v", len(keys.Statements), err)
	}
}

// TestTombstoneWaits for a friend's node that is away, over a restart. Nothing of the
// friendship stays meanwhile but who has to be told.
func TestTombstoneWaits(t *testing.T) {
	w := newWorld(t)
	n, m := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := n.person("ann"), m.person("ben")
	ann.befriend(ben)
	w.fail(south, away)
	ann.delete()
	eventually(t, "the friendship is gone", func() bool {
		return len(keysOf(t, n.own, "friend/"))+len(keysOf(t, n.own, elsewherePrefix+"/"))+len(keysOf(t, n.own, "deliver/")) == 0
	})
	w.clock.advance(time.Hour)
	n.leaving.look()
	n.close()
	n = w.open(north, n.own, n.copies)
	if got := keysOf(t, n.own, farewellPrefix); len(got) != 1 {
		t.Fatalf("got %q", got)
	}
	w.fail(south, nil)
	if _, err := (worldPeers{w, south}).To(north).Keys(t.Context(), wire.KeysRequest{Address: ann.address}); !errors.Is(err, wire.NotExist) {
		t.Fatal(err)
	}
	eventually(t, "who is heard of again is told", func() bool { return len(ben.record(ann).Tombstone) > 0 })
	n.leavesFor(ann.account)
}

// TestTombstoneIsPulled: a node that has forgotten that somebody left finds out when it
// asks for what they write.
func TestTombstoneIsPulled(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	n, m := w.open(north, nil, nil), w.open(south, own, nil)
	ann, ben := n.person("ann"), m.person("ben")
	ann.befriend(ben)
	ann.rotate(ben)
	ann.posts(2)
	m.pulls(n)
	m.close()
	before, copies := own.Snapshot(), m.copies
	m = w.open(south, own, copies)
	ben.home = m
	ann.delete()
	n.leavesFor(ann.account)
	m.close()
	own.Restore(before)
	m = w.open(south, own, copies)
	ben.home = m
	if len(ben.record(ann).Tombstone) > 0 {
		t.Fatal("nothing was forgotten")
	}
	w.clock.advance(time.Hour)
	m.follows.renew(north)
	_ = m.pull(t.Context(), north)
	if f := ben.record(ann); len(f.Tombstone) == 0 || f.State != wire.StateNone {
		t.Errorf("got %+v", f)
	}
	if got := m.streamKeys(t, ann); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// TestTombstoneLies: no node makes one up, and after a true one nothing more is taken.
func TestTombstoneLies(t *testing.T) {
	w := newWorld(t)
	n, m := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, eve := n.person("ann"), m.person("ben"), n.person("eve")
	ann.befriend(ben)
	deliver := func(from wire.NodeName, f wire.FriendStatement) error {
		_, err := (worldPeers{w, from}).To(south).Deliver(t.Context(), wire.PeerFriendRequest{
			From: ann.address, FromAccount: ann.account, To: ben.address, ToAccount: ben.account, FriendStatement: f,
		})
		return err
	}
	stone := func(s *wire.Tombstone, by wire.IdentitySecret) wire.FriendStatement {
		return wire.FriendStatement{Kind: wire.FriendTombstone, Statement: must(s.Sign(by))}
	}
	kind(t, deliver(north, stone(ann.tombstone(), eve.identity)), wire.Invalid)
	kind(t, deliver(north, stone(eve.tombstone(), eve.identity)), wire.Invalid)
	later := ann.tombstone()
	later.Created += 180_000
	kind(t, deliver(north, stone(later, ann.identity)), wire.Clock)
	kind(t, deliver("west.example", stone(ann.tombstone(), ann.identity)), wire.Forbidden)
	if f := ben.record(ann); f.State != wire.StateFriend || len(f.Tombstone) > 0 {
		t.Fatalf("got %+v", f)
	}
	end := wire.FriendStatement{Kind: wire.FriendEnd, Statement: ann.end(ben).Statement}
	if err := deliver(north, stone(ann.tombstone(), ann.identity)); err != nil {
		t.Fatal(err)
	}
	again := ann.offer(ben)
	kind(t, deliver(north, wire.FriendStatement{Kind: wire.FriendOffer, Statement: again.Statement}), wire.Forbidden)
	if err := deliver(north, end); err != nil {
		t.Errorf("an end that was under way: %v", err)
	}
	if f := ben.record(ann); f.State != wire.StateNone || len(f.Tombstone) == 0 {
		t.Errorf("got %+v", f)
	}
}

// TestGoneIsToldNothing: nothing that is said to somebody who has deleted their account is
// taken, not even while their records are being removed.
func TestGoneIsToldNothing(t *testing.T) {
	w := newWorld(t)
	n, m := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, cid := n.person("ann"), m.person("ben"), m.person("cid")
	ann.befriend(ben)
	offer, end := cid.offer(ann), ben.end(ann)
	ann.delete()
	for name, f := range map[*testPerson]wire.FriendRequest{cid: offer, ben: end} {
		_, err := (worldPeers{w, south}).To(north).Deliver(t.Context(), wire.PeerFriendRequest{
			From: name.address, FromAccount: name.account, To: ann.address, ToAccount: ann.account, FriendStatement: f.FriendStatement,
		})
		kind(t, err, wire.NotExist)
	}
	n.leavesFor(ann.account)
	if left := leftBehind(t, ann); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestTombstoneIsVerified: a home that shows keys with a tombstone that their owner did not
// sign is not believed.
func TestTombstoneIsVerified(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ann, eve := n.person("ann"), n.person("eve")
	stone := must(ann.tombstone().Sign(eve.identity))
	w.lies = map[wire.NodeName]Peers{south: &liar{API: worldPeer{w, south, north}, keys: func(r *wire.KeysReply) { r.Tombstone = stone }}}
	ben := w.open(south, nil, nil).person("ben")
	for range 2 {
		_, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address, Account: &ann.account})
		kind(t, err, wire.Tampered)
	}
	stone = must(ann.tombstone().Sign(ann.identity))
	reply, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address, Account: &ann.account})
	if err != nil || string(reply.Tombstone) != string(stone) {
		t.Errorf("a true one: got %x, %v", reply.Tombstone, err)
	}
}

// TestLateWriter: what was under way when an account was deleted, and writes later,
// leaves nothing.
func TestLateWriter(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(1)
	late := ann.as()
	ann.delete()
	eventually(t, "the first look is over", func() bool { return len(leftBehind(t, ann)) == 0 })
	if err := n.own.Apply(t.Context(), put(deviceKey(ann.account, new(wire.Token)), &device{recordVersion, 1})); err != nil {
		t.Fatal(err)
	}
	kind(t, late.Person.PutVault(t.Context(), ann.nextVault()), wire.NotExist)
	n.leavesFor(ann.account)
	if left := leftBehind(t, ann); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestMarkerWithoutTombstone: a deletion that was interrupted before its tombstone
// deletes nothing.
func TestMarkerWithoutTombstone(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(1)
	mark := leavingRecord{recordVersion, "ann", n.world.clock.now().UnixMilli()}
	if err := n.own.Apply(t.Context(), put(leavingKey(ann.account), &mark)); err != nil {
		t.Fatal(err)
	}
	before := slices.DeleteFunc(keysOf(t, n.own, ""), func(k string) bool { return strings.HasPrefix(k, leavingPrefix) })
	eventually(t, "the marker is gone", func() bool {
		n.world.clock.advance(leaveUndone)
		n.leaving.look()
		return len(keysOf(t, n.own, leavingPrefix)) == 0
	})
	if after := keysOf(t, n.own, ""); !slices.Equal(before, after) {
		t.Errorf("got %q, want %q", after, before)
	}
}

// TestCutOfDeleted deletes an account at each moment of a backup of a database: what is
// made of it has the account as it was, or deletes what is left of it.
func TestCutOfDeleted(t *testing.T) {
	c := newCutTown(t)
	c.ben.befriend(c.wil)
	c.worker.close() // nobody finishes the deletion
	before := c.office.own.Snapshot()
	for _, all := range []bool{false, true} {
		for k := 1; ; k += 3 {
			c.office.own.Restore(before)
			reads := 0
			var file bytes.Buffer
			s := busyStore{c.office.own, func(string) {
				if reads++; reads == k {
					c.tombstones(t, c.ben, all)
				}
			}}
			if err := backup(t.Context(), cutStore{s, north, filepath.Join(t.TempDir(), "spool")}, &file, c.office.w.clock.now()); err != nil {
				t.Fatal(err)
			}
			if reads < k {
				if k < 100 {
					t.Errorf("a backup makes %d reads", reads)
				}
				break
			}
			restored := storetest.NewMemory()
			if err := restore(t.Context(), restored, &file, c.office.w.clock.now()); err != nil {
				t.Fatal(err)
			}
			if got := fsckStores(t, restored, c.office.copies, time.Now(), false); len(got.findings) > 0 {
				t.Fatalf("after %d reads: %s", k, got)
			}
			var h handleRecord
			if _, err := read(t.Context(), restored, handleKey("ben"), &h); err != nil {
				t.Fatalf("after %d reads: %v", k, err)
			}
			_, err := restored.Get(t.Context(), leavingKey(c.ben.account))
			if marked := err == nil; marked != (len(h.Tombstone) > 0) {
				t.Fatalf("after %d reads: there is a marker: %v, and a tombstone of %d bytes", k, marked, len(h.Tombstone))
			}
			if len(h.Tombstone) == 0 && reads > k+6 {
				t.Errorf("after %d of %d reads: the copy does not say that the account is deleted", k, reads)
			}
		}
	}
}

// tombstones does what a deletion does in the store, all of it or its beginning.
func (c *cutTown) tombstones(t *testing.T, p *testPerson, all bool) {
	t.Helper()
	changes := []store.Change{
		put(leavingKey(p.account), &leavingRecord{recordVersion, p.address.Handle, c.office.w.clock.now().UnixMilli()}),
		put(handleKey(p.address.Handle), &handleRecord{recordVersion, p.account, must(p.tombstone().Sign(p.identity))}),
		{Key: vaultKey(p.account)},
	}
	if all {
		for _, prefix := range append(personPrefixes(p.account), factorKey(p.account), "entry/"+p.account.String(), "wrap/"+p.account.String(), friendsKey(p.account), accountKey(p.account)) {
			for _, key := range keysOf(t, c.office.own, prefix) {
				changes = append(changes, store.Change{Key: key})
			}
		}
	}
	if err := c.office.own.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

// blindStore cannot read records of one kind.
type blindStore struct {
	store.Store
	kind string
}

func (s blindStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	if strings.HasPrefix(q.From, s.kind) {
		return func(yield func(store.Record, error) bool) {
			yield(store.Record{}, errors.New("canary: not read"))
		}
	}
	return s.Store.Scan(ctx, q)
}

// TestDeletionIsNotOver while something of the account cannot be removed, however long
// that lasts.
func TestDeletionIsNotOver(t *testing.T) {
	own := storetest.NewMemory()
	n := newWorld(t).open(north, blindStore{own, "sealed/"}, nil)
	ann := n.person("ann")
	ann.delete()
	for range 5 {
		n.world.clock.advance(leaveAgain)
		mark := leavingRecord{Version: recordVersion, Handle: ann.address.Handle}
		if done, err := n.leave(t.Context(), ann.account, mark); done || err == nil {
			t.Fatalf("done: %v, %v", done, err)
		}
	}
	if len(keysOf(t, own, leavingPrefix)) != 1 || len(keysOf(t, own, "sealed/")) == 0 {
		t.Errorf("got %q", keysOf(t, own, ""))
	}
}
