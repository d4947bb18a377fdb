package client

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestDeleteAccount deletes an account with the password, and nothing of it is left on
// the device.
func TestDeleteAccount(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	ada.writes("hello")
	phone := ada.again()
	if err := ada.DeleteAccount(ctx, password(t, "not the password")); err != error(ErrPresentPassword) {
		t.Fatalf("with another password: %v", err)
	}
	ada.reads("hello")
	ada.must(ada.DeleteAccount(ctx, password(t, secretWord)))
	if len(ada.device.files) > 0 {
		t.Errorf("left on the device: %q", ada.device.files)
	}
	if _, err := phone.Feed(ctx, FeedOptions{}); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("another device: %v", err)
	}
	if err := phone.DeleteAccount(ctx, password(t, secretWord)); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("again, on another device: %v", err)
	}
	if err := w.device("ada@one.example").tryLogin(); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("a log-in: %v", err)
	}
}

// TestDeleteAccountLies: the word of the node that an account is deleted counts for
// nothing while it serves the session.
func TestDeleteAccountLies(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	s := copies(ada)[0]
	s.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathTombstone {
			r.Method, r.Path = "DELETE", wire.PathSessions
		}
		return nil
	}
	if err := s.DeleteAccount(ctx, password(t, secretWord)); !errors.Is(err, wire.Tampered) {
		t.Errorf("said to be deleted: %v", err)
	}
	if len(s.device.files) == 0 {
		t.Error("the device has forgotten everything")
	}
	s = copies(ada)[0]
	s.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathSession {
			return errors.New("cut")
		}
		return nil
	}
	if err := s.DeleteAccount(ctx, password(t, secretWord)); err == nil || len(s.device.files) == 0 {
		t.Errorf("nobody says whether it is deleted: %v", err)
	}
}

// TestFriendLeft: who was left sees it, on a new device too, writes nothing more under an
// epoch that the other can open, and does not ask again.
func TestFriendLeft(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob, cid := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("cid@one.example")
	ada.befriends(bob)
	bob.befriends(cid)
	bob.writes("before")
	gone := ada.me()
	ada.must(ada.DeleteAccount(ctx, password(t, secretWord)))
	bob.restart()
	bob.writes("after")
	r := w.people[bob.me()]
	for audience, entries := range r.streams {
		last := entries[len(entries)-1].h
		epoch := entries[last.Epoch-1]
		b, _, err := r.chain.OpenEpoch(epoch.h, epoch.Entry.Body, entries[last.Epoch-2].h.Epoch)
		bob.must(err)
		if _, has := r.wraps[wrapKey(audience, b.Content, cid.me())]; !has {
			t.Error("the newest epoch is not wrapped for a friend")
		}
		if _, has := r.wraps[wrapKey(audience, b.Content, gone)]; has || last.Epoch < 2 {
			t.Errorf("the newest post is of epoch %d, wrapped for somebody who has left: %v", last.Epoch, has)
		}
	}
	for _, s := range []*someone{bob, bob.again()} {
		list, err := s.Friends(ctx)
		s.must(err)
		if len(list) != 2 || !list[0].Deleted || list[0].State != wire.StateNone || list[0].Problem != "" || list[1].Deleted || list[1].State != wire.StateFriend {
			t.Errorf("got %+v", list)
		}
		if _, err := s.AddFriend(ctx, ada.address, true); !errors.Is(err, wire.NotExist) || !strings.Contains(err.Error(), "deleted") {
			t.Errorf("asked again: %v", err)
		}
	}
	cid.reads("after", "before")
}

// TestTombstoneLies: nobody but a friend says that their account is deleted.
func TestTombstoneLies(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
	ada.befriends(bob)
	stone := func(of *someone, by *someone) wire.Signed {
		k := of.chain.Newest()
		s := &wire.Tombstone{
			Version: wire.Version, Suite: wire.Suite, Account: of.me(), KeySeq: k.Seq, Statement: of.chain.NewestHash(),
			Handle: k.Handle, Node: k.Node, Signer: wire.ByIdentity, Created: w.now().UnixMilli(),
		}
		signed, err := s.Sign(by.vault.identity)
		of.must(err)
		return signed
	}
	for name, shown := range map[string]wire.Signed{
		"by somebody else": stone(ada, eve), "of somebody else": stone(eve, eve), "of oneself": stone(bob, bob), "no statement": {1},
	} {
		s := copies(bob)[0]
		lie(s, "GET", wire.PathFriends, func(_ *Request, r *wire.FriendsReply) {
			for i := range r.Friends {
				r.Friends[i].Tombstone = shown
			}
		})
		list, err := s.Friends(ctx)
		s.must(err)
		if len(list) != 1 || list[0].Deleted || list[0].State != wire.StateFriend || !strings.Contains(list[0].Problem, "has not signed that") {
			t.Errorf("%s: got %+v", name, list)
		}
	}
	// Nor does who has signed other keys than those that were confirmed.
	s := copies(bob)[0]
	s.vault.friend(ada.me()).PinHash[0]++
	lie(s, "GET", wire.PathFriends, func(_ *Request, r *wire.FriendsReply) { r.Friends[0].Tombstone = stone(ada, ada) })
	list, err := s.Friends(ctx)
	s.must(err)
	if len(list) != 1 || list[0].Deleted || !strings.Contains(list[0].Problem, "not those that were confirmed") {
		t.Errorf("under other keys: got %+v", list)
	}
}
