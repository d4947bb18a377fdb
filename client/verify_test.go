package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// number is what somebody sees of o.
func (s *someone) number(o *someone) SafetyNumber {
	s.t.Helper()
	c, err := s.SafetyNumber(context.Background(), o.address)
	s.must(err)
	return c.Number
}

func (s *someone) verifies(o *someone) {
	s.t.Helper()
	f, err := s.VerifyFriend(context.Background(), o.address, o.number(s))
	s.must(err)
	if !f.Verified || f.KeysChanged {
		s.t.Errorf("%s verifies %s: got %+v", s.address, o.address, f)
	}
}

// sees checks the state of o in the list of s.
func (s *someone) sees(o *someone, state wire.FriendState, verified, changed bool) {
	s.t.Helper()
	list, err := s.Friends(context.Background())
	s.must(err)
	i := slices.IndexFunc(list, func(f Friend) bool { return f.Account == o.me() })
	if i < 0 || list[i].State != state || list[i].Verified != verified || list[i].KeysChanged != changed {
		s.t.Errorf("%s has %s in %+v, want %s, verified %t, changed %t", s.address, o.address, list, state, verified, changed)
	}
}

// vaults counts the versions of the vault of s.
func (s *someone) vaults() int { return len(s.w.people[s.me()].heads) }

func TestVerify(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	if n, m := s.ada.number(s.bob), s.bob.number(s.ada); n != m {
		t.Errorf("ada sees %s, bob %s", n, m)
	}
	before := s.bob.vaults()
	s.bob.sees(s.ada, wire.StateFriend, false, false)
	wrong := s.ada.number(s.bob)
	wrong[0] ^= 1
	if _, err := s.bob.VerifyFriend(ctx, s.ada.address, wrong); !errors.Is(err, ErrOtherNumber) || !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "1 of 12 groups") {
		t.Errorf("a wrong number: %v", err)
	}
	if s.bob.vaults() != before {
		t.Error("a wrong number is written down")
	}
	s.bob.verifies(s.ada)
	s.bob.verifies(s.ada)
	if n := s.bob.vaults() - before; n != 1 {
		t.Errorf("%d new versions of the vault, want one for both times", n)
	}
	s.bob.sees(s.ada, wire.StateFriend, true, false)
	s.bob.again().sees(s.ada, wire.StateFriend, true, false)
	s.ada.sees(s.bob, wire.StateFriend, false, false)
	for range 2 {
		f, err := s.bob.UnverifyFriend(ctx, s.ada.address)
		if err != nil || f.Verified {
			t.Errorf("unverified: %+v, %v", f, err)
		}
	}
	if n := s.bob.vaults() - before; n != 2 {
		t.Errorf("%d new versions of the vault, want two", n)
	}
	s.bob.again().sees(s.ada, wire.StateFriend, false, false)
	s.bob.reads("bob's", "three", "two", "one")
}

// TestVerifyOffers: both ends of an offer can be verified, and it lasts; nobody else can.
func TestVerifyOffers(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
	ada.asks(bob)
	ada.sees(bob, wire.StateOutgoing, false, false)
	bob.verifies(ada)
	ada.verifies(bob)
	bob.sees(ada, wire.StateIncoming, true, false)
	ada.sees(bob, wire.StateOutgoing, true, false)
	if len(w.people[bob.me()].wraps) > 0 {
		t.Error("a key is wrapped for somebody who was not accepted")
	}
	bob.accepts(ada)
	bob.sees(ada, wire.StateFriend, true, false)
	ada.sees(bob, wire.StateFriend, true, false)
	for what, who := range map[string]wire.Address{"a stranger": eve.address, "nobody": address("nobody@one.example")} {
		_, err := ada.SafetyNumber(ctx, who)
		_, err2 := ada.VerifyFriend(ctx, who, SafetyNumber{})
		_, err3 := ada.UnverifyFriend(ctx, who)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, wire.NotExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := ada.SafetyNumber(ctx, ada.address); !errors.Is(err, wire.Invalid) || !strings.Contains(err.Error(), "is you") {
		t.Errorf("oneself: %v", err)
	}
	ada.removes(bob)
	if _, err := ada.SafetyNumber(ctx, bob.address); !errors.Is(err, wire.NotExist) {
		t.Errorf("an ex-friend: %v", err)
	}
	ada.befriends(bob)
	ada.sees(bob, wire.StateFriend, true, false) // the keys are the same
}

// renew gives somebody new keys, as the nodes know them; their own device goes on
// with the old ones. It returns the chain.
func (s *someone) renew() *keyservice.Chain {
	s.t.Helper()
	r := s.w.people[s.me()]
	chain, err := r.chain.Append(s.nextStatement())
	s.must(err)
	r.chain = chain
	return chain
}

// wrapsTo counts the wraps that are made to a key statement.
func (s *someone) wrapsTo(key wire.Hash) (n int) {
	for _, u := range s.w.uploaded {
		if u.author == s.me() && u.wrap.Key == key {
			n++
		}
	}
	return n
}

// TestVerifiedIsNotReplaced: keys that follow those that were verified, by a valid
// chain, are shown and not used, until they are compared too.
func TestVerifiedIsNotReplaced(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	bob, ada := s.bob, s.ada
	s.eve.befriends(bob)
	bob.verifies(ada)
	old := ada.number(bob)
	chain := ada.renew()

	phone := bob.again() // which has no keys of ada's yet
	phone.sees(ada, wire.StateFriend, false, true)
	page, err := phone.Feed(ctx, FeedOptions{})
	phone.must(err)
	if len(page.Problems) != 1 || !errors.Is(page.Problems[0], ErrKeysChanged) || !strings.Contains(page.Problems[0].Error(), "since you verified them in person") || slices.Contains(texts(page), "one") {
		t.Errorf("got %q, %v", texts(page), page.Problems)
	}
	phone.removes(s.eve) // wraps anew
	phone.writes("not for ada's new keys")
	if n := phone.wrapsTo(chain.NewestHash()); n > 0 {
		t.Errorf("%d wraps are made to keys that were not compared", n)
	}

	c, err := phone.SafetyNumber(ctx, ada.address)
	phone.must(err)
	if c.Number == old || c.Number != safetyNumber(chain, bob.chain) {
		t.Errorf("got %s, want the number of the new keys", c.Number)
	}
	for _, device := range []*someone{phone, bob} { // bob's has kept the old keys
		if c, err := device.SafetyNumber(ctx, ada.address); err != nil || !c.Newer || c.Verified || !c.KeysChanged {
			t.Errorf("got %+v, %v, want to hear of new keys", c, err)
		}
	}
	before := phone.vaults()
	if _, err := phone.VerifyFriend(ctx, ada.address, old); !errors.Is(err, ErrOtherNumber) {
		t.Errorf("the number of the old keys: %v", err)
	}
	if phone.vaults() != before {
		t.Error("the number of the old keys is written down")
	}
	epoch := phone.cache.track(phone.ownStream().streamID).Top.Epoch
	if f, err := phone.VerifyFriend(ctx, ada.address, c.Number); err != nil || !f.Verified || f.KeysChanged || f.Problem != "" {
		t.Errorf("the number of the new keys: %+v, %v", f, err)
	}
	if n := phone.wrapsTo(chain.NewestHash()); n != 1 {
		t.Errorf("%d wraps are made to the new keys, want that of a new epoch", n)
	}
	if now := phone.cache.track(phone.ownStream().streamID).Top.Epoch; now == epoch {
		t.Error("the epoch that the old keys open goes on")
	}
	for _, device := range []*someone{phone, bob, bob.again()} {
		device.sees(ada, wire.StateFriend, true, false)
		device.reads("not for ada's new keys", "bob's", "three", "two", "one")
	}
}

// TestNewKeysOfUnverified: keys that follow those of somebody who was never verified take
// their place; the person is told, and a new epoch begins, which the old keys do not open.
func TestNewKeysOfUnverified(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	chain := s.ada.renew()
	phone := s.bob.again()
	epoch := phone.w.people[phone.me()].streams[phone.ownStream().Audience]
	phone.sees(s.ada, wire.StateFriend, false, false)
	if notes := phone.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "ada@one.example has new keys") {
		t.Errorf("got the notes %q", notes)
	}
	if f := phone.vault.friend(s.ada.me()); f.PinSeq != 1 || f.PinHash != chain.NewestHash() {
		t.Errorf("statement %d is pinned", f.PinSeq)
	}
	phone.writes("for the new keys")
	now := phone.w.people[phone.me()].streams[phone.ownStream().Audience]
	if n := phone.wrapsTo(chain.NewestHash()); n != 1 || len(now) != len(epoch)+2 {
		t.Errorf("%d wraps are made to the new keys, in %d entries; want that of a new epoch, and a post", n, len(now)-len(epoch))
	}
	s.bob.writes("too")
	if n := s.bob.wrapsTo(s.ada.chain.NewestHash()); n != 1 {
		t.Errorf("%d wraps are made to the old keys, want that of the beginning", n)
	}
	if _, err := phone.VerifyFriend(ctx, s.ada.address, safetyNumber(chain, s.bob.chain)); err != nil {
		t.Error(err)
	}
	phone.sees(s.ada, wire.StateFriend, true, false)
}

// TestMovedPin: where another client has moved the pin of somebody who was verified,
// and has not compared, nothing is done with the new keys until the person says so.
func TestMovedPin(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	original.bob.verifies(original.ada)
	for name, accept := range map[string]func(bob *someone, ada wire.Address, n SafetyNumber) (Friend, error){
		"compared": func(bob *someone, ada wire.Address, n SafetyNumber) (Friend, error) {
			return bob.VerifyFriend(ctx, ada, n)
		},
		"taken as it is": func(bob *someone, ada wire.Address, _ SafetyNumber) (Friend, error) {
			return bob.UnverifyFriend(ctx, ada)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := original.copy()
			chain := s.ada.renew()
			move := func(v *vault) (bool, error) {
				f := v.friend(s.ada.me())
				f.PinSeq, f.PinHash = 1, chain.NewestHash()
				return true, nil
			}
			s.bob.must(s.bob.do(ctx, func() error { return s.bob.updateVault(ctx, move) }))
			s.bob.sees(s.ada, wire.StateFriend, false, true)
			if page, err := s.bob.Feed(ctx, FeedOptions{}); err != nil || len(page.Problems) != 1 || !errors.Is(page.Problems[0], ErrKeysChanged) {
				t.Errorf("feed: %v, %v", page.Problems, err)
			}
			s.eve.asks(s.bob)
			if _, err := s.bob.AcceptFriend(ctx, s.eve.address, false); err != nil { // a new epoch
				t.Error(err)
			}
			s.bob.writes("before")
			if n := s.bob.wrapsTo(chain.NewestHash()); n > 0 {
				t.Errorf("%d wraps are made to keys that were not compared", n)
			}
			c, err := s.bob.SafetyNumber(ctx, s.ada.address)
			if err != nil || !c.Newer {
				t.Errorf("got %+v, %v", c, err)
			}
			f, err := accept(s.bob, s.ada.address, c.Number)
			if err != nil || f.KeysChanged || f.Verified != (name == "compared") {
				t.Errorf("got %+v, %v", f, err)
			}
			s.bob.writes("after")
			if n := s.bob.wrapsTo(chain.NewestHash()); n != 1 {
				t.Errorf("%d wraps are made to the new keys, want that of a new epoch", n)
			}
		})
	}
}

// TestFollows: keys that do not go on from the pinned ones are no keys to compare.
func TestFollows(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	first := original.ada.chain
	original.ada.renew()
	phone := original.bob.again()
	phone.must(func() error {
		_, err := phone.VerifyFriend(ctx, original.ada.address, phone.number(original.ada))
		return err
	}())
	fork, err := first.Append(original.ada.nextStatement())
	original.ada.must(err)
	for name, chain := range map[string]*keyservice.Chain{"rolled back": first, "forked": fork} {
		s := copies(original.ada, original.bob, phone)
		s[0].w.people[s[0].me()].chain = chain
		for _, device := range []*someone{s[1], s[2], s[1].again()} {
			before := device.vaults()
			_, err := device.SafetyNumber(ctx, s[0].address)
			_, err2 := device.VerifyFriend(ctx, s[0].address, safetyNumber(chain, device.chain))
			for _, err := range []error{err, err2} {
				if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "not those that were confirmed") {
					t.Errorf("%s: %v", name, err)
				}
			}
			if device.vaults() != before {
				t.Errorf("%s: the vault has changed", name)
			}
		}
		list, err := s[1].again().Friends(ctx)
		s[1].must(err)
		if !strings.Contains(list[0].Problem, "not those that were confirmed") {
			t.Errorf("%s: got the problem %q", name, list[0].Problem)
		}
	}
}

// TestVerifyAtOnce: a device that was shown older keys does not undo what another one
// has compared meanwhile.
func TestVerifyAtOnce(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	old := s.ada.chain
	phone := s.bob.again()
	chain := s.ada.renew()
	lie(s.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = old.Statements() })
	s.bob.line.before = func(_ int, r *Request) error {
		if r.Method == "PUT" && r.Path == wire.PathVault {
			s.bob.line.before = nil
			if _, err := phone.VerifyFriend(ctx, s.ada.address, safetyNumber(chain, phone.chain)); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	if _, err := s.bob.VerifyFriend(ctx, s.ada.address, safetyNumber(old, s.bob.chain)); !errors.Is(err, wire.Tampered) {
		t.Errorf("got %v", err)
	}
	if f := s.bob.vault.friend(s.ada.me()); f.PinSeq != 1 || f.Compared != chain.NewestHash() {
		t.Errorf("the pin is at statement %d", f.PinSeq)
	}
}

// TestVerifyLooksIntoLog: newer keys take the place of the pinned ones only if the log of
// their node holds them.
func TestVerifyLooksIntoLog(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	s.ada.renew()
	c, err := s.bob.SafetyNumber(ctx, s.ada.address)
	s.bob.must(err)
	before := s.bob.vaults()
	lie(s.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Proof = nil })
	if _, err := s.bob.VerifyFriend(ctx, s.ada.address, c.Number); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "log of keys") || s.bob.vaults() != before {
		t.Errorf("without a proof: got %v", err)
	}
	s.bob.line.after = nil
	if f, err := s.bob.VerifyFriend(ctx, s.ada.address, c.Number); err != nil || !f.Verified {
		t.Errorf("with one: got %+v, %v", f, err)
	}
}
