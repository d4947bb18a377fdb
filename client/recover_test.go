package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// tryRecover recovers somebody's account on this device with a code, and gives it the
// other password of tests.
func (s *someone) tryRecover(code string) (LoginReport, error) {
	c, err := ParseRecoveryCode([]byte(code))
	s.must(err)
	p, r, err := s.client().Recover(context.Background(), RecoverOptions{
		Address: s.address, Code: c, Password: password(s.t, newWord), Device: "test",
		ShowCode: func(code string) error { s.code = code; return nil },
	})
	s.Person = p
	return r, err
}

// beside is a device of the same person that knows nothing.
func (s *someone) beside() *someone {
	d := s.w.device(s.address.String())
	d.t = s.t
	return d
}

// TestRecover: the code opens everything on a new device, the old password and all
// sessions end, and another code takes its place.
func TestRecover(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	bob.writes("hello")
	ada.writes("before")
	for round := range 2 {
		d, code := ada.beside(), ada.code
		r, err := d.tryRecover(strings.ToLower(strings.ReplaceAll(code, "-", " ")))
		d.must(err)
		ada.code = d.code
		if _, err := ada.beside().tryRecover(code); err != error(ErrWrongCode) {
			t.Errorf("round %d: the code before: %v", round, err)
		}
		if names, _ := d.device.List(fileNewCode); len(names) > 0 {
			t.Errorf("round %d: the new code is kept", round)
		}
		if r.Friends != 1 || r.Answered != 1 {
			t.Errorf("%+v: friends' nodes were not asked", r)
		}
		d.reads("before", "hello")
		if _, ok := ada.opens(secretWord); ok {
			t.Error("the old password opens")
		}
		if _, ok := ada.opens(newWord); !ok {
			t.Error("the new password does not open")
		}
		list, _, err := d.Sessions(ctx)
		if d.must(err); len(list) != 2 { // of opens
			t.Errorf("round %d: %d sessions are open", round, len(list))
		}
	}
	if _, err := ada.Feed(ctx, FeedOptions{}); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("the session of the lost device: %v", err)
	}
	_, err := ada.tryRecover(ada.code) // where somebody was logged in
	ada.must(err)
	ada.writes("after")
	bob.reads("after", "before", "hello")
	bob.sees(ada, wire.StateFriend, false, false)
	ada.must(ada.ChangePassword(ctx, password(t, newWord), password(t, secretWord)))
	d := ada.beside()
	_, err = d.tryRecover(ada.code)
	d.must(err)
	d.reads("after", "before", "hello")
}

func TestRecoverRefuses(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	none := seal.NewRecoveryCode()
	for name, try := range map[string]struct {
		address, code, password string
		want                    error
	}{
		"another code":      {"ada@one.example", none.Reveal(), newWord, ErrWrongCode},
		"somebody else's":   {"ada@one.example", bob.code, newWord, ErrWrongCode},
		"nobody":            {"eve@one.example", ada.code, newWord, ErrWrongCode},
		"a common password": {"ada@one.example", ada.code, "Password1", wire.Invalid},
	} {
		d := w.device(try.address)
		c, err := ParseRecoveryCode([]byte(try.code))
		d.must(err)
		_, _, err = d.client().Recover(ctx, RecoverOptions{
			Address: d.address, Code: c, Password: password(t, try.password), Device: "test", ShowCode: func(string) error { t.Error("a code is shown"); return nil },
		})
		if !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", name, err, try.want)
		}
		if slices.ContainsFunc(d.line.calls, func(c call) bool { return c.method == "PUT" }) {
			t.Errorf("%s: something was changed", name)
		}
		if names, _ := d.device.List(""); len(names) > 0 {
			t.Errorf("%s: the device keeps %q", name, names)
		}
	}
	for _, code := range []string{"", "x", ada.code[1:], ada.code + "0", strings.Repeat("0", 500), ada.code[:35] + "!"} {
		if _, err := ParseRecoveryCode([]byte(code)); !errors.Is(err, wire.Invalid) || len(code) > 5 && strings.Contains(err.Error(), code[:6]) {
			t.Errorf("%.50q: %v", code, err)
		}
	}
	c, err := ParseRecoveryCode([]byte(ada.code))
	ada.must(err)
	if got := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(got, ada.code[:4]) {
		t.Errorf("printed as %s", got)
	}
}

// opensBy reports whether a code opens the account, as it stands now, on another device.
func (s *someone) opensBy(code string) bool {
	s.t.Helper()
	_, err := copies(s)[0].beside().tryRecover(code)
	if err != nil && err != error(ErrWrongCode) {
		s.t.Errorf("with %q: %v", code, err)
	}
	return err == nil
}

// TestLostRecover loses each request of a recovery, or its answer: at each moment exactly
// one password and one code open, and the same again ends the matter; on another device,
// with the code that opens.
func TestLostRecover(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("hello")
	clean := copies(ada)[0].beside()
	_, err := clean.tryRecover(ada.code)
	clean.must(err)
	for i := range 4 * len(clean.line.calls) {
		n, arrives, same := i/4, i%2 == 0, i/2%2 == 0
		what := fmt.Sprintf("%v lost (arrived: %v, then on the same device: %v)", clean.line.calls[n], arrives, same)
		was := copies(ada)[0]
		s := was.beside()
		lose(s, n, arrives)
		if _, err := s.tryRecover(ada.code); err == nil {
			t.Fatalf("%s: no error", what)
		}
		s.line.before, s.line.after = nil, nil
		shown := s.code
		_, old := was.opens(secretWord)
		_, opens := was.opens(newWord)
		byOld, byNew := was.opensBy(ada.code), shown != "" && was.opensBy(shown)
		if old == opens || byOld == byNew || byOld != old {
			t.Errorf("%s: the old password opens: %v, the new one: %v; the old code: %v, the new one: %v", what, old, opens, byOld, byNew)
		}
		code := ada.code
		if !same {
			s = was.beside()
			if byNew {
				code = shown
			}
		}
		_, err := s.tryRecover(code)
		s.must(err)
		if same && shown != "" && s.code != shown {
			t.Errorf("%s: again: another code is shown", what)
		}
		if _, ok := was.opens(secretWord); ok || was.opensBy(ada.code) || !was.opensBy(s.code) {
			t.Errorf("%s: again: the old password opens: %v, or the old code, or the new one does not", what, ok)
		}
		if _, err := was.Feed(context.Background(), FeedOptions{}); !errors.Is(err, wire.Unauthenticated) {
			t.Errorf("%s: again: the session of the lost device: %v", what, err)
		}
		s.restart()
		s.writes("after")
		s.reads("after", "hello")
	}
}

// TestRecoverLies: whatever else the node shows, the code opens the account that it was
// made for, or nothing.
func TestRecoverLies(t *testing.T) {
	w := newWorld(t)
	ada, eve := w.newPerson("ada@one.example"), w.newPerson("eve@one.example")
	theirs := func(w *world) *resident { return w.people[eve.me()] }
	for name, test := range map[string]struct {
		tell func(s *someone)
		want string
	}{
		"another account": {func(s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Account = eve.me() })
		}, "another account"},
		"somebody else's keys": {func(s *someone) {
			lie(s, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = theirs(s.w).chain.Statements() })
		}, "another person's keys"},
		"somebody else's account": {func(s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Account = eve.me() })
			lie(s, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = theirs(s.w).chain.Statements() })
		}, "a session of another account"},
		"somebody else's vault": {func(s *someone) {
			lie(s, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) {
				r.Heads, r.Record = theirs(s.w).heads, &theirs(s.w).record
			})
		}, "not right"},
		"other slots": {func(s *someone) {
			lie(s, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) {
				if r.Record != nil {
					r.Record.Slots = theirs(s.w).record.Slots
				}
			})
		}, "not those that were signed"},
		"a new password that is not kept": {func(s *someone) {
			s.line.before = func(_ int, r *Request) error {
				if r.Method == "PUT" {
					r.Method, r.Path, r.Body = "GET", wire.PathFriends, nil
				}
				return nil
			}
		}, "does not show it"},
	} {
		s := copies(ada)[0].beside()
		test.tell(s)
		if _, err := s.tryRecover(ada.code); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestRecoverFalseAccount: a node that makes up an account under the same name, with keys
// of its own and log-in keys that fit the code, shows nothing that the code opens.
func TestRecoverFalseAccount(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	false1 := newWorld(t).newPerson("ada@one.example") // other keys, the same name
	code, err := ParseRecoveryCode([]byte(ada.code))
	ada.must(err)
	b := newByCode(code)
	slots, err := wire.DecodeSlots(false1.vault.record.Slots)
	ada.must(err)
	slots.RecoveryLogin = b.login.Public()
	if slots.RecoverySlot, err = seal.SealRecoverySlot(b.opens.Public(), false1.me(), false1.session.VaultKey); err != nil {
		t.Fatal(err)
	}
	if _, err := b.unlock(nil, false1.chain, slots); !errors.Is(err, wire.Tampered) {
		t.Errorf("another account with these slots: %v", err)
	}
	slots, err = wire.DecodeSlots(ada.vault.record.Slots)
	ada.must(err)
	if _, err := b.unlock(nil, ada.chain, slots); err != nil {
		t.Errorf("the right account: %v", err)
	}
	slots.RecoveryLogin = wire.NewRecoveryLoginSecret(random()).Public()
	if _, err := b.unlock(nil, ada.chain, slots); !errors.Is(err, wire.Tampered) {
		t.Errorf("another log-in key: %v", err)
	}
	slots.RecoveryLogin = b.login.Public()
	slots.RecoverySlot[5] ^= 1
	if _, err := b.unlock(nil, ada.chain, slots); !errors.Is(err, wire.Tampered) {
		t.Errorf("another slot: %v", err)
	}
}

func TestCheckCode(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	phone := ada.again()
	check := func(s *someone, code string) error {
		c, err := ParseRecoveryCode([]byte(code))
		s.must(err)
		return s.CheckCode(ctx, c)
	}
	for range 2 {
		for _, s := range []*someone{ada, phone} {
			calls := len(s.line.calls)
			s.must(check(s, ada.code))
			if err := check(s, bob.code); err != error(ErrWrongCode) {
				t.Errorf("somebody else's: %v", err)
			}
			if slices.ContainsFunc(s.line.calls[calls:], func(c call) bool { return c.method != "GET" }) {
				t.Error("something was sent")
			}
		}
		ada.must(ada.tryNewPassword()) // the code stays good
		p, _, err := phone.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, newWord), Device: "test"})
		phone.must(err)
		phone.Person = p
	}

	// A device that made a recovery slot which does not open, or to another key.
	slots, err := wire.DecodeSlots(ada.vault.record.Slots)
	ada.must(err)
	for name, spoil := range map[string]func(){
		"does not open": func() { slots.RecoverySlot[7] ^= 1 },
		"opens to another key": func() {
			slots.RecoverySlot, err = seal.SealRecoverySlot(ada.chain.Newest().RecoveryBox, ada.me(), seal.NewVaultKey())
			ada.must(err)
		},
	} {
		spoil()
		encoded, err := slots.Encode()
		ada.must(err)
		next, err := ada.sealNext(ada.vault.clone(), ada.session.VaultKey, encoded)
		ada.must(err)
		ada.must(ada.home(ctx, "PUT", wire.PathVault, &next.record, nil))
		if err := check(ada, ada.code); !errors.Is(err, wire.Tampered) {
			t.Errorf("a slot that %s: %v", name, err)
		}
	}
}
