package node

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestVault(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	for range 4 {
		ann.putVault()
	}
	for after := range uint64(7) {
		reply, err := ann.as().Vault(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		var want []wire.Signed
		if after < 5 {
			want = ann.heads[after:]
		}
		if len(reply.Heads) != len(want) {
			t.Fatalf("after %d: got %d heads, want %d", after, len(reply.Heads), len(want))
		}
		for i := range want {
			if !bytes.Equal(reply.Heads[i], want[i]) {
				t.Fatalf("after %d: head %d is another", after, i)
			}
		}
		if (reply.Record == nil) != (after == 5) || reply.Record != nil && !bytes.Equal(reply.Record.Head, ann.heads[4]) {
			t.Fatalf("after %d: got record %v", after, reply.Record)
		}
	}
}

func TestPutVault(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	first := ann.nextVault()
	other := ann.nextVault() // of another device
	for range 2 {
		kind(t, ann.as().PutVault(t.Context(), first), "")
	}
	kind(t, ann.as().PutVault(t.Context(), other), wire.Conflict)
	ann.heads = append(ann.heads, first.Head)
	for name, c := range map[string]struct {
		want   wire.Kind
		change func() wire.VaultRecord
	}{
		"version skipped": {wire.Conflict, func() wire.VaultRecord {
			v := ann.nextVault()
			ann.heads = append(ann.heads, v.Head)
			defer func() { ann.heads = ann.heads[:2] }()
			return ann.nextVault()
		}},
		"rolled back":   {wire.Conflict, func() wire.VaultRecord { return ann.register.Vault }},
		"bad signature": {wire.Invalid, func() wire.VaultRecord { v := ann.nextVault(); v.Head[70] ^= 1; return v }},
		"other vault":   {wire.Invalid, func() wire.VaultRecord { v := ann.nextVault(); v.Vault = wire.Bytes("other"); return v }},
		"another's":     {wire.Invalid, func() wire.VaultRecord { return ben.nextVault() }},
		"too large": {wire.TooLarge, func() wire.VaultRecord {
			v := ann.nextVault()
			v.Vault = make([]byte, wire.MaxVault+1)
			return v
		}},
		"early": {wire.Clock, func() wire.VaultRecord {
			n.world.clock.advance(wire.MaxSkew + time.Second)
			defer n.world.clock.advance(-wire.MaxSkew - time.Second)
			return ann.nextVault()
		}},
	} {
		t.Run(name, func(t *testing.T) { kind(t, ann.as().PutVault(t.Context(), c.change()), c.want) })
	}
	ann.putVault()
	// The heads of those who lost are there, and are not told of.
	reply, err := ann.as().Vault(t.Context(), 0)
	if err != nil || len(reply.Heads) != 3 {
		t.Fatalf("got %d heads, %v, want 3", len(reply.Heads), err)
	}
	for i, h := range reply.Heads {
		if !bytes.Equal(h, ann.heads[i]) {
			t.Fatalf("head %d is not the one that counts", i+1)
		}
	}
}

// The same bytes under a new head are one record of the store: it stays when the
// version before goes, also when the device asks again.
func TestSameVaultAgain(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	v := ann.nextVault()
	head := must(wire.OpenVaultHead(v.Head, ann.newest.Identity))
	v.Vault, head.VaultHash = ann.register.Vault.Vault, wire.VaultHash(ann.register.Vault.Vault)
	v.Head = must(head.Sign(ann.identity))
	for range 2 {
		kind(t, ann.as().PutVault(t.Context(), v), "")
		reply, err := ann.as().Vault(t.Context(), 1)
		if err != nil || !bytes.Equal(reply.Record.Vault, v.Vault) {
			t.Fatalf("the vault is gone: %v", err)
		}
	}
}

// TestDamagedHeadBefore: a head that the node cannot read is its own fault, also
// when a device only says again what was done.
func TestDamagedHeadBefore(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	v := ann.nextVault()
	kind(t, ann.as().PutVault(t.Context(), v), "")
	damaged := put(vheadKey(ann.account, 1, headHash(ann.heads[0])), &statementRecord{recordVersion, wire.Signed{1}})
	if err := n.own.Apply(t.Context(), damaged); err != nil {
		t.Fatal(err)
	}
	kind(t, ann.as().PutVault(t.Context(), v), wire.Internal)
}

// Two devices that race leave the heads of both behind.
func TestVaultRace(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	for range 5 {
		v := []wire.VaultRecord{ann.nextVault(), ann.nextVault(), ann.nextVault(), ann.nextVault()}
		won := make(chan wire.Signed, len(v))
		for _, one := range v {
			go func() {
				err := ann.as().PutVault(context.Background(), one)
				if err == nil {
					won <- one.Head
				} else {
					won <- nil
				}
			}()
		}
		count := 0
		for range v {
			if h := <-won; h != nil {
				ann.heads = append(ann.heads, h)
				count++
			}
		}
		if count != 1 {
			t.Fatalf("%d of %d devices were first", count, len(v))
		}
	}
	// Of the sealed bytes, those of the winner alone are kept.
	if keys := keysOf(t, n.own, "sealed/"); len(keys) != 1 {
		t.Errorf("%d sealed vaults are kept, want 1", len(keys))
	}
	reply, err := ann.as().Vault(t.Context(), 1)
	if err != nil || len(reply.Heads) != 5 {
		t.Fatalf("got %d heads, %v, want 5", len(reply.Heads), err)
	}
	for i, h := range reply.Heads {
		if !bytes.Equal(h, ann.heads[i+1]) {
			t.Fatalf("head %d is not the one that counts", i+2)
		}
	}
}

// More versions than one answer holds, with leftovers at each place.
func TestManyVaults(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	for i := range wire.MaxHeads + 20 {
		next := []wire.VaultRecord{ann.nextVault()}
		if i < 3 || i > wire.MaxHeads-6 {
			next = append(next, ann.nextVault()) // came too late
		}
		for _, v := range next {
			head, err := wire.OpenVaultHead(v.Head, ann.newest.Identity)
			if err != nil {
				t.Fatal(err)
			}
			changes := vaultChanges(v, new(vaultRecord), ann.account, head, store.Always())
			if err := n.own.Apply(t.Context(), changes[:2]...); err != nil { // not committed
				t.Fatal(err)
			}
		}
		ann.heads = append(ann.heads, next[0].Head)
	}
	_, rev, err := n.vault(t.Context(), ann.account)
	if err != nil {
		t.Fatal(err)
	}
	newest := vaultRecord{Version: recordVersion, Head: ann.heads[len(ann.heads)-1], Slots: ann.slots}
	if err := n.own.Apply(t.Context(), putIf(vaultKey(ann.account), &newest, store.IfRevision(rev))); err != nil {
		t.Fatal(err)
	}
	var got []wire.Signed
	for rounds := 0; ; rounds++ {
		reply, err := ann.as().Vault(t.Context(), uint64(len(got)))
		if err != nil || rounds > 2 {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if len(reply.Heads) == 0 {
			break
		}
		if len(reply.Heads) > wire.MaxHeads {
			t.Fatalf("got %d heads at once", len(reply.Heads))
		}
		got = append(got, reply.Heads...)
	}
	if len(got) != len(ann.heads) {
		t.Fatalf("got %d heads, want %d", len(got), len(ann.heads))
	}
	for i := range got {
		if !bytes.Equal(got[i], ann.heads[i]) {
			t.Fatalf("head %d is not the one that counts", i+1)
		}
	}
}

func TestSeenHead(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.befriend(ben)
	ann.putVault()
	ann.putVault()
	ann.rotate(ben)
	ask := func(change func(q *wire.HeadQuery, by *wire.IdentitySecret)) (wire.HeadsReply, error) {
		q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: ann.account, Node: south, Created: w.clock.now().UnixMilli()}
		by := ann.identity
		if change != nil {
			change(q, &by)
		}
		return other.SeenHead(t.Context(), wire.HeadsRequest{Account: ann.account, Query: must(q.Sign(by))})
	}
	other.pulls(home)
	reply, err := ask(nil)
	if err != nil || !bytes.Equal(reply.Head, ann.heads[2]) {
		t.Fatalf("got another head, or %v", err)
	}
	for name, change := range map[string]func(q *wire.HeadQuery, by *wire.IdentitySecret){
		"other node":   func(q *wire.HeadQuery, _ *wire.IdentitySecret) { q.Node = north },
		"other person": func(_ *wire.HeadQuery, by *wire.IdentitySecret) { *by = ben.identity },
		"old":          func(q *wire.HeadQuery, _ *wire.IdentitySecret) { q.Created -= 6 * time.Minute.Milliseconds() },
		"early":        func(q *wire.HeadQuery, _ *wire.IdentitySecret) { q.Created += 6 * time.Minute.Milliseconds() },
		"another's":    func(q *wire.HeadQuery, _ *wire.IdentitySecret) { q.Account = ben.account },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(change)
			kind(t, err, wire.NotExist)
		})
	}
	_, err = home.SeenHead(t.Context(), wire.HeadsRequest{Account: ann.account})
	kind(t, err, wire.NotExist)

	// Of somebody whose keys alone are here, nothing was seen.
	amy := home.person("amy")
	if _, err := ben.as().Keys(t.Context(), wire.KeysRequest{Address: amy.address}); err != nil {
		t.Fatal(err)
	}
	q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: amy.account, Node: south, Created: w.clock.now().UnixMilli()}
	_, err = other.SeenHead(t.Context(), wire.HeadsRequest{Account: amy.account, Query: must(q.Sign(amy.identity))})
	kind(t, err, wire.NotExist)

	// Nor is a head taken from an entry that does not verify.
	s := other.streams.get(streamName{ann.account, ann.audience})
	for _, damage := range []func(*entryRecord){
		func(r *entryRecord) { r.Header[80] ^= 1 },
		func(r *entryRecord) { r.PrevEpoch++ },
	} {
		r := must(other.entry(t.Context(), s, s.state().Epoch))
		whole := put(entryKey(s.name, s.state().Epoch), r)
		damage(r)
		if err := other.copies.Apply(t.Context(), put(whole.Key, r)); err != nil {
			t.Fatal(err)
		}
		_, err = ask(nil)
		kind(t, err, wire.NotExist)
		if err := other.copies.Apply(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSchemaOfALaterRelease(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	w.open(north, own, nil).close()
	if err := own.Apply(t.Context(), put("schema", &schemaRecord{recordVersion, recordSchema + 1})); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tryOpen(north, own, nil); err == nil {
		t.Fatal("a store of a later release was opened")
	}
}

func TestNodeKeepsItsKeys(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	first := must(wire.OpenNodeDocument(n.Document(), north))
	n.close()
	w.clock.advance(2 * documentYoung)
	again := w.open(north, n.own, n.copies)
	second := must(wire.OpenNodeDocument(again.Document(), north))
	if first.Root != second.Root || first.Keys[0].Key != second.Keys[0].Key || again.secret.Reveal() != n.secret.Reveal() {
		t.Error("the keys changed")
	}
	if second.Number <= first.Number {
		t.Errorf("document %d followed document %d", second.Number, first.Number)
	}
}

// TestDocumentIsKept: a start goes on with the document while it is young and true.
func TestDocumentIsKept(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	first := n.Document()
	n.close()
	again := func(contact string) *wire.NodeDocument {
		n, err := Open(t.Context(), Options{Name: north, Own: n.own, Copies: n.copies, Now: w.clock.now, Contact: contact})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close(t.Context())
		if same := string(n.Document()) == string(first); same != (contact == "") {
			t.Errorf("contact %q: the same document: %v", contact, same)
		}
		return must(wire.OpenNodeDocument(n.Document(), north))
	}
	w.clock.advance(documentYoung - time.Minute)
	again("")
	d := again("ann")
	if d.Contact != "ann" || d.Number <= must(wire.OpenNodeDocument(first, north)).Number {
		t.Errorf("got contact %q, document %d", d.Contact, d.Number)
	}
	w.clock.advance(documentYoung + time.Minute)
	if old := again("ann"); old.Number <= d.Number {
		t.Errorf("document %d is kept for longer than %v", old.Number, documentYoung)
	}
}

// TestDamagedDocument: what another process is said to have signed is shown to nobody
// unless the node's root key signed it.
func TestDamagedDocument(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	first := n.Document()
	var r documentRecord
	must(read(t.Context(), n.own, documentKey, &r))
	r.Document[len(r.Document)/2] ^= 1
	if err := n.own.Apply(t.Context(), put(documentKey, &r)); err != nil {
		t.Fatal(err)
	}
	if err := n.loadDocument(t.Context()); err == nil || !bytes.Equal(n.Document(), first) {
		t.Errorf("got %v, and another document is shown: %t", err, !bytes.Equal(n.Document(), first))
	}
}
