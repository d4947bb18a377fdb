package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

func TestRegister(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.newPerson("ann")
	for range 2 {
		reply, err := n.Register(t.Context(), ann.register)
		if err != nil || reply.Account != ann.account {
			t.Fatalf("got %v, %v, want %v", reply.Account, err, ann.account)
		}
	}
	ann.putVault()
	if _, err := n.Register(t.Context(), ann.register); err != nil {
		t.Fatalf("again after the vault went on: %v", err)
	}
	if reply, err := ann.as().Vault(t.Context(), 0); err != nil || len(reply.Heads) != 2 {
		t.Fatalf("got %d heads, %v, want the vault as it was put", len(reply.Heads), err)
	}
	if account, err := n.account(t.Context(), "ann"); err != nil || account != ann.account {
		t.Fatalf("got %v, %v, want %v", account, err, ann.account)
	}
	if _, _, err := n.slots(t.Context(), ann.account); err != nil {
		t.Fatal(err)
	}
	_, err := n.account(t.Context(), "ben")
	kind(t, err, wire.NotExist)
}

func TestRegisterRefuses(t *testing.T) {
	w := newWorld(t)
	n, elsewhere := w.open(north, nil, nil), w.open(south, nil, nil)
	n.person("ann")
	for name, c := range map[string]struct {
		want   wire.Kind
		change func(p *testPerson)
		handle wire.Handle
	}{
		"taken":          {want: wire.Exist, handle: "ann"},
		"reserved":       {want: wire.Exist, handle: "admin"},
		"other node":     {want: wire.Invalid, change: func(p *testPerson) { *p = *elsewhere.newPerson("ben") }},
		"no statement":   {want: wire.Invalid, change: func(p *testPerson) { p.register.KeyStatement = nil }},
		"bad signature":  {want: wire.Invalid, change: func(p *testPerson) { p.register.KeyStatement[0] ^= 1 }},
		"no vault":       {want: wire.Invalid, change: func(p *testPerson) { p.register.Vault = wire.VaultRecord{} }},
		"other vault":    {want: wire.Invalid, change: func(p *testPerson) { p.register.Vault.Vault = wire.Bytes("other") }},
		"second version": {want: wire.Invalid, change: func(p *testPerson) { p.register.Vault = p.nextVault() }},
		"another's vault": {want: wire.Invalid, change: func(p *testPerson) {
			p.register.Vault = n.newPerson("ben").register.Vault
		}},
		"vault for another account": {want: wire.Invalid, change: func(p *testPerson) {
			p.account, p.heads = random32(), nil
			p.register.Vault = p.nextVault()
		}},
		"early": {want: wire.Clock, change: func(p *testPerson) {
			p.newest.Created += (wire.MaxSkew + time.Second).Milliseconds()
			p.register.KeyStatement = must(p.newest.Sign(p.identity))
		}},
		"early vault": {want: wire.Clock, change: func(p *testPerson) {
			w.clock.advance(wire.MaxSkew + time.Second)
			defer w.clock.advance(-wire.MaxSkew - time.Second)
			p.heads = nil
			p.register.Vault = p.nextVault()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.handle == "" {
				c.handle = "ben"
			}
			p := n.newPerson(c.handle)
			if c.change != nil {
				c.change(p)
			}
			before := n.own.(interface{ Changes() int }).Changes()
			_, err := n.Register(t.Context(), p.register)
			kind(t, err, c.want)
			if after := n.own.(interface{ Changes() int }).Changes(); after != before {
				t.Fatalf("%d changes were made", after-before)
			}
		})
	}
	// The name is not lost by any of it.
	ben := n.newPerson("ben")
	if _, err := n.Register(t.Context(), ben.register); err != nil {
		t.Fatal(err)
	}
}

func TestVaultAfterTheFirstIsKept(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.newPerson("ann")
	chain, head := must2(n.checkRegistration(ann.register))
	if err := n.prepareVault(t.Context(), chain.Account(), ann.register.Vault, head); err != nil {
		t.Fatal(err)
	}
	other := ann.register
	ann.heads = nil
	other.Vault = ann.nextVault()
	_, err := n.Register(t.Context(), other)
	kind(t, err, wire.Conflict)
	if _, err := n.Register(t.Context(), ann.register); err != nil {
		t.Fatal(err)
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func TestRegisterRace(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	for i := range 10 {
		people := make([]*testPerson, 4)
		errs := make([]error, len(people))
		for j := range people {
			people[j] = n.newPerson(wire.Handle(fmt.Sprintf("p%d", i)))
		}
		var all sync.WaitGroup
		for j, p := range people {
			all.Go(func() { _, errs[j] = n.Register(context.Background(), p.register) })
		}
		all.Wait()
		holder, err := n.account(t.Context(), people[0].address.Handle)
		if err != nil {
			t.Fatal(err)
		}
		for j, p := range people {
			if p.account == holder {
				kind(t, errs[j], "")
			} else {
				kind(t, errs[j], wire.Exist)
			}
			if here, err := n.isHere(t.Context(), p.account); err != nil || here != (p.account == holder) {
				t.Fatalf("here: %t, %v", here, err)
			}
		}
	}
}

// TestRegisterTooLate: who finds the name free, and is overtaken before it is theirs, is
// told that it is taken.
func TestRegisterTooLate(t *testing.T) {
	n := newOffice(t, still).opens()
	first, late := n.newPerson("ann"), n.newPerson("ann")
	n.interrupts(func(c store.Change) bool { return c.Key == handleKey("ann") }, func() {
		if _, err := n.Register(t.Context(), first.register); err != nil {
			t.Error(err)
		}
	})
	_, err := n.Register(t.Context(), late.register)
	kind(t, err, wire.Exist)
	if holder, err := n.account(t.Context(), "ann"); err != nil || holder != first.account {
		t.Errorf("got %v, %v, want %v", holder, err, first.account)
	}
	if here, err := n.isHere(t.Context(), late.account); err != nil || here {
		t.Errorf("who came too late is here: %t, %v", here, err)
	}
}
