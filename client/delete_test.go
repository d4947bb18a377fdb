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

// byCode deletes the account with a recovery code.
func (s *someone) byCode(code string) error {
	c, err := ParseRecoveryCode([]byte(code))
	s.must(err)
	who, err := s.client().DeleteByCode(context.Background(), DeleteOptions{Address: s.address, Code: c, Device: "test"})
	if err == nil && (who.Address != s.address || who.Account.IsZero()) {
		s.t.Errorf("got %+v", who)
	}
	return err
}

// TestDeleteByCode: the recovery code deletes the account on any device, signed by the
// recovery key and without the vault, whatever there is of that, and leaves nothing there.
func TestDeleteByCode(t *testing.T) {
	ctx := context.Background()
	for name, where := range map[string]func(ada *someone) *someone{
		"on a new device":             (*someone).beside,
		"where the person logged in":  func(ada *someone) *someone { return ada },
		"where they have logged out":  func(ada *someone) *someone { ada.must(ada.Logout(ctx)); return ada },
		"where a recovery was begun":  begunRecovery,
		"where the vault is not told": func(ada *someone) *someone { return vaultless(ada.beside()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
			ada.befriends(bob)
			bob.reads()
			s := where(ada)
			if err := s.byCode(bob.code); err != error(ErrWrongCode) {
				t.Fatalf("with another code: %v", err)
			}
			s.must(s.client().save(knownName(fileFounded, bob.address), []byte("somebody else's")))
			_, err := s.client().loadSession()
			loggedIn := err == nil
			s.must(s.byCode(ada.code))
			if names, _ := s.device.List(""); len(names) > 1 || loggedIn && len(names) > 0 || !loggedIn && names[0] != knownName(fileFounded, bob.address) {
				t.Errorf("left on the device: %q", names)
			}
			stone, err := w.people[ada.me()].chain.OpenTombstone(w.people[ada.me()].gone)
			if err != nil || stone.Signer != wire.ByRecovery {
				t.Errorf("got %+v, %v", stone, err)
			}
			if err := s.byCode(ada.code); err != error(ErrWrongCode) {
				t.Errorf("again: %v", err)
			}
			bob.restart()
			list, err := bob.Friends(ctx)
			if bob.must(err); len(list) != 1 || !list[0].Deleted {
				t.Errorf("a friend is shown %+v", list)
			}
		})
	}
}

// begunRecovery is a device on which a recovery of the account was interrupted.
func begunRecovery(ada *someone) *someone {
	s := ada.beside()
	s.line.before = func(_ int, r *Request) error {
		if r.Method == "PUT" {
			return errors.New("cut")
		}
		return nil
	}
	if _, err := s.tryRecover(ada.code); err == nil {
		ada.t.Fatal("a recovery went through")
	}
	s.line.before = nil
	return s
}

// vaultless is a device that no vault is shown to.
func vaultless(s *someone) *someone {
	s.line.before = func(_ int, r *Request) error {
		if strings.HasPrefix(r.Path, wire.PathVault) {
			return errors.New("cut")
		}
		return nil
	}
	return s
}

// TestDeleteByCodeLies: whatever account the node shows, nothing but that of the code is
// deleted, nor said to be; and the session that was opened for it has ended.
func TestDeleteByCodeLies(t *testing.T) {
	w := newWorld(t)
	ada, eve := w.newPerson("ada@one.example"), w.newPerson("eve@one.example")
	theirs := func(w *world) *resident { return w.people[eve.me()] }
	for name, tell := range map[string]func(s *someone){
		"another account": func(s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Account = eve.me() })
		},
		"somebody else's keys": func(s *someone) {
			lie(s, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = theirs(s.w).chain.Statements() })
		},
		"a deletion that is not made": func(s *someone) {
			s.line.before = func(_ int, r *Request) error {
				if r.Path == wire.PathTombstone {
					r.Method, r.Path, r.Body = "GET", wire.PathFriends, nil
				}
				return nil
			}
		},
	} {
		s := copies(ada)[0].beside()
		before := len(s.w.sessions)
		tell(s)
		if err := s.byCode(ada.code); !errors.Is(err, wire.Tampered) {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.device.files) > 0 || len(s.w.people[ada.me()].gone)+len(theirs(s.w).gone) > 0 || len(s.w.sessions) != before {
			t.Errorf("%s: left are %d files, and %d sessions of %d; or an account is deleted", name, len(s.device.files), len(s.w.sessions), before)
		}
	}

	// A false account of the same name, into which the code logs in.
	other := newWorld(t)
	false1 := other.newPerson("ada@one.example")
	c, err := ParseRecoveryCode([]byte(ada.code))
	ada.must(err)
	record := &other.people[false1.me()].record
	slots, err := wire.DecodeSlots(record.Slots)
	ada.must(err)
	slots.RecoveryLogin = newByCode(c).login.Public()
	record.Slots, err = slots.Encode()
	ada.must(err)
	s := false1.beside()
	if err := s.byCode(ada.code); err != error(errOtherAccount) || len(other.people[false1.me()].gone) > 0 || len(other.sessions) != 1 {
		t.Errorf("a false account: %v; %d sessions are open", err, len(other.sessions))
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
