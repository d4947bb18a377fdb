package client

import (
	"bytes"
	"context"
	"errors"
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
		lie(c.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = c.ada.chain.Statements() })
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
