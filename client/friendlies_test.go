package client

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestFriendLies: nobody becomes a friend, or ceases to be one, by a node's word.
func TestFriendLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	original.eve.asks(original.ada) // a true offer to somebody else
	states := func(s *someone) map[wire.Address]wire.FriendState {
		list, err := s.Friends(ctx)
		s.must(err)
		m := make(map[wire.Address]wire.FriendState)
		for _, f := range list {
			m[f.Address] = f.State
		}
		return m
	}
	evesBond := func(c scene) *bond { return c.eve.w.people[c.eve.me()].friends[c.ada.me()] }
	lies := []struct {
		name string
		tell func(c scene, r *wire.FriendsReply)
		eve  wire.FriendState
	}{
		{"says friend", func(c scene, r *wire.FriendsReply) {
			r.Friends = append(r.Friends, wire.FriendRecord{Account: c.eve.me(), Address: c.eve.address, State: wire.StateFriend})
		}, ""},
		{"an offer to somebody else", func(c scene, r *wire.FriendsReply) {
			r.Friends = append(r.Friends, wire.FriendRecord{Account: c.eve.me(), Address: c.eve.address, OfferGot: evesBond(c).OfferMade})
		}, ""},
		{"an offer under a friend's name", func(c scene, r *wire.FriendsReply) {
			for i := range r.Friends {
				r.Friends[i].OfferGot = evesBond(c).OfferMade
			}
		}, ""},
		{"another account at a friend's address", func(c scene, r *wire.FriendsReply) {
			for i := range r.Friends {
				r.Friends[i].Account = c.eve.me()
			}
		}, ""},
		{"an end that somebody else said", func(c scene, r *wire.FriendsReply) {
			end := &wire.End{Version: 1, Suite: 1, From: c.eve.me(), To: c.bob.me(), Offers: []wire.Hash{{1}}, Created: 1}
			signed, err := end.Sign(c.eve.vault.identity)
			c.eve.must(err)
			for i := range r.Friends {
				r.Friends[i].EndsGot = append(r.Friends[i].EndsGot, signed)
			}
		}, ""},
		{"an offer that was taken back", func(c scene, r *wire.FriendsReply) {
			c.eve.asks(c.bob)
			if _, err := c.eve.CancelFriend(ctx, c.bob.address); err != nil {
				t.Fatal(err)
			}
			b := c.eve.w.people[c.eve.me()].friends[c.bob.me()]
			r.Friends = append(r.Friends, wire.FriendRecord{
				Account: c.eve.me(), Address: c.eve.address, State: wire.StateIncoming, OfferGot: b.OfferMade, EndsGot: b.EndsMade,
			})
		}, ""},
		{"nobody", func(c scene, r *wire.FriendsReply) { r.Friends = []wire.FriendRecord{} }, ""},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c := original.copy()
			lie(c.bob, "GET", wire.PathFriends, func(_ *Request, r *wire.FriendsReply) { l.tell(c, r) })
			got := states(c.bob)
			if got[c.ada.address] != wire.StateFriend || got[c.eve.address] != l.eve {
				t.Errorf("got %v", got)
			}
			wrapped := len(c.bob.w.people[c.bob.me()].wraps)
			if _, err := c.bob.Post(ctx, "text", ""); err != nil {
				t.Error(err)
			}
			if n := len(c.bob.w.people[c.bob.me()].wraps); n != wrapped {
				t.Errorf("%d new wraps", n-wrapped)
			}
			if _, err := c.bob.AcceptFriend(ctx, c.eve.address, true); err == nil {
				t.Error("an offer that was never made is accepted")
			}
		})
	}
	t.Run("an offer again after it was declined", func(t *testing.T) {
		c := original.copy()
		c.eve.asks(c.bob)
		offer := c.eve.w.people[c.eve.me()].friends[c.bob.me()].OfferMade
		if _, err := c.bob.DeclineFriend(ctx, c.eve.address); err != nil {
			t.Fatal(err)
		}
		lie(c.bob, "GET", wire.PathFriends, func(_ *Request, r *wire.FriendsReply) {
			r.Friends = append(r.Friends, wire.FriendRecord{Account: c.eve.me(), Address: c.eve.address, OfferGot: offer})
		})
		if got := states(c.bob); got[c.eve.address] != "" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("other keys at first contact", func(t *testing.T) {
		c := original.copy()
		lie(c.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { // with their proof
			proof, err := c.bob.w.logOf(c.ada.address.Node).ProveChain(ctx, c.ada.chain)
			c.bob.must(err)
			r.Statements, r.Proof = c.ada.chain.Statements(), proof
		})
		if _, err := c.bob.AddFriend(ctx, c.eve.address, true); !errors.Is(err, wire.Tampered) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("keys change while a wrap is due", func(t *testing.T) {
		c := original.copy()
		c.bob.asks(c.eve)
		phone := c.bob.w.device(c.bob.address.String())
		phone.must(phone.tryLogin())
		lie(phone, "POST", wire.PathKeys, func(r *Request, k *wire.KeysReply) {
			if bytes.Contains(r.Body, []byte(c.eve.address.String())) {
				k.Statements = append(k.Statements, c.eve.nextStatement())
			}
		})
		phone.removes(c.ada) // wraps anew for eve
		for key, w := range c.bob.w.people[c.bob.me()].wraps {
			if w.Key != c.eve.chain.NewestHash() && w.Key != c.ada.chain.NewestHash() {
				t.Errorf("%s is wrapped to key %s", key, w.Key)
			}
		}
		list, err := phone.Friends(ctx)
		phone.must(err)
		if len(list) != 1 || list[0].State != wire.StateOutgoing {
			t.Errorf("got %v", list)
		}
	})
}

// TestForgedRecords: each is refused by name, also where the friend has signed
// what is in it.
func TestForgedRecords(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	ada, bob, eve := s.ada, s.bob, s.eve
	offer := func(change func(o *wire.Offer)) wire.Signed {
		o := &wire.Offer{
			Version: wire.Version, Suite: wire.Suite, From: ada.me(), FromHandle: ada.address.Handle, FromNode: ada.address.Node,
			To: bob.me(), ToHandle: bob.address.Handle, ToNode: bob.address.Node, Audience: ada.ownStream().Audience, Created: 1,
		}
		change(o)
		signed, err := o.Sign(ada.vault.identity)
		ada.must(err)
		return signed
	}
	accept := func(by *someone, to wire.AccountID) wire.Signed {
		a := &wire.Accept{Version: wire.Version, Suite: wire.Suite, From: ada.me(), To: to, Offer: wire.Hash{1}, Audience: ada.ownStream().Audience, Created: 1}
		signed, err := a.Sign(by.vault.identity)
		by.must(err)
		return signed
	}
	end := &wire.End{Version: wire.Version, Suite: wire.Suite, From: ada.me(), To: eve.me(), Offers: []wire.Hash{{1}}, Created: 1}
	endOfEve, err := end.Sign(ada.vault.identity)
	ada.must(err)
	const toOther = "it is to somebody else"
	for _, l := range []struct {
		name string
		tell func(r *wire.FriendRecord)
		says string // "" for the truth
	}{
		{"an offer", func(r *wire.FriendRecord) { r.OfferGot = offer(func(*wire.Offer) {}) }, ""},
		{"an acceptance", func(r *wire.FriendRecord) { r.AcceptGot = accept(ada, bob.me()) }, ""},
		{"another account", func(r *wire.FriendRecord) { r.Account = eve.me() }, "shows another account"},
		{"another address", func(r *wire.FriendRecord) { r.Address = eve.address }, "is found at"},
		{"an offer to another account", func(r *wire.FriendRecord) {
			r.OfferGot = offer(func(o *wire.Offer) { o.To = eve.me() })
		}, toOther},
		{"an offer to another address", func(r *wire.FriendRecord) {
			r.OfferGot = offer(func(o *wire.Offer) { o.ToHandle = eve.address.Handle })
		}, toOther},
		{"an offer from another address", func(r *wire.FriendRecord) {
			r.OfferGot = offer(func(o *wire.Offer) { o.FromHandle = eve.address.Handle })
		}, toOther},
		{"an acceptance that somebody else signed", func(r *wire.FriendRecord) { r.AcceptGot = accept(eve, bob.me()) }, "has not made"},
		{"an acceptance to somebody else", func(r *wire.FriendRecord) { r.AcceptGot = accept(ada, eve.me()) }, toOther},
		{"an end to somebody else", func(r *wire.FriendRecord) { r.EndsGot = []wire.Signed{endOfEve} }, toOther},
	} {
		r := wire.FriendRecord{Account: ada.me(), Address: ada.address}
		l.tell(&r)
		bob.must(bob.do(ctx, func() error {
			_, err := bob.hear(ctx, bob.vault.friend(ada.me()), r)
			if l.says == "" {
				return err
			}
			if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), l.says) {
				t.Errorf("%s: got %v, want %q", l.name, err, l.says)
			}
			return nil
		}))
	}
}
