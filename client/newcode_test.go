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

// tryRenewCode replaces a recovery code, and notes the one that is shown.
func (s *someone) tryRenewCode(present string) error {
	c, err := ParseRecoveryCode([]byte(present))
	s.must(err)
	return s.RenewCode(context.Background(), c, func(code string) error { s.code = code; return nil })
}

// TestRenewCode: the new code opens and the old one does not, other sessions end, and
// friends go on as before: nothing is wrapped to them anew, and who was verified is.
func TestRenewCode(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	ada, bob := s.ada, s.bob
	bob.verifies(ada)
	number := bob.number(ada)
	phone, code, wraps := ada.again(), ada.code, len(ada.w.uploaded)
	ada.must(ada.tryRenewCode(code))
	if ada.code == code || ada.opensBy(code) || !ada.opensBy(ada.code) {
		t.Error("the old code opens, or the new one does not")
	}
	if _, ok := ada.opens(secretWord); !ok {
		t.Error("the password does not open")
	}
	if _, err := phone.Feed(ctx, FeedOptions{}); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("the other session: %v", err)
	}
	if k := ada.chain.Newest(); k.Seq != 1 || k.Identity != ada.vault.identity.Public() || !sameKeys(ada.chain, 0) {
		t.Errorf("statement %d, with other keys", k.Seq)
	}
	ada.writes("with the new code")
	want := append([]string{"with the new code"}, "bob's", "three", "two", "one")
	bob.reads(want...)
	bob.sees(ada, wire.StateFriend, true, false)
	if f := bob.vault.friend(ada.me()); f.PinSeq != 1 || bob.number(ada) != number || len(bob.Notes()) > 0 {
		t.Errorf("bob has pinned statement %d, and the number of before: %v", f.PinSeq, bob.number(ada) == number)
	}
	bob.again().reads(want...)
	bob.writes("to ada")
	for _, u := range ada.w.uploaded[wraps:] {
		if u.author == bob.me() {
			t.Error("bob wraps something anew")
		}
	}
	ada.reads(append([]string{"to ada"}, want...)...)
	ada.again().reads(append([]string{"to ada"}, want...)...)
	ada.restart()
	ada.removes(bob)
	ada.writes("not for bob")
	if list, err := bob.Friends(ctx); err != nil || len(list) > 1 || bob.feedTexts()[0] == "not for bob" {
		t.Errorf("bob has %+v, %v", list, err)
	}
}

func (s *someone) wantsNothingSent(calls int) {
	s.t.Helper()
	if slices.ContainsFunc(s.line.calls[calls:], func(c call) bool { return c.method == "PUT" }) {
		s.t.Error("something was sent")
	}
}

func TestRenewCodeRefuses(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	calls, code := len(ada.line.calls), ada.code
	if err := ada.tryRenewCode(bob.code); err != error(ErrWrongCode) {
		t.Errorf("somebody else's: %v", err)
	}
	unsafe := errors.New("it is not written down")
	c, err := ParseRecoveryCode([]byte(code))
	ada.must(err)
	if err := ada.RenewCode(context.Background(), c, func(string) error { return unsafe }); err != unsafe {
		t.Errorf("not confirmed: %v", err)
	}
	d := ada.beside()
	_, _, err = d.client().Recover(context.Background(), RecoverOptions{
		Address: ada.address, Code: c, Password: password(t, newWord), Device: "test", ShowCode: func(string) error { return unsafe },
	})
	if err != unsafe {
		t.Errorf("not confirmed in a recovery: %v", err)
	}
	ada.wantsNothingSent(calls)
	d.wantsNothingSent(0)
	if names, _ := ada.device.List(fileNewCode); len(names) > 0 {
		t.Errorf("the device keeps %q", names)
	}
	ada.must(ada.tryRenewCode(code))
	for range 2 { // two statements later, too
		if err := ada.tryRenewCode(code); err != error(ErrOldCode) {
			t.Errorf("the one before: %v", err)
		}
		if err := ada.CheckCode(context.Background(), c); err != error(ErrOldCode) {
			t.Errorf("the one before, checked: %v", err)
		}
		ada.must(ada.tryRenewCode(ada.code))
	}
}

// TestLostRenewCode loses each request of a renewal, or its answer: exactly one of the two
// codes opens then, whatever comes next on the device works, and the same command again,
// with the same code, ends the matter and shows the same new one.
func TestLostRenewCode(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	ada.befriends(bob)
	clean := copies(ada)[0]
	clean.must(clean.tryRenewCode(ada.code))
	for i := range 8 * len(clean.line.calls) {
		n, arrives, restart, other := i/8, i%2 == 0, i/2%2 == 0, i/4%2 == 0
		what := fmt.Sprintf("%v lost (arrived: %v, restart: %v, a post next: %v)", clean.line.calls[n], arrives, restart, other)
		s := copies(ada)[0]
		s.code = ""
		lose(s, n, arrives)
		if err := s.tryRenewCode(ada.code); err == nil {
			t.Fatalf("%s: no error", what)
		}
		s.line.before, s.line.after = nil, nil
		if restart {
			s.restart()
		}
		shown := s.code
		if old, opens := s.opensBy(ada.code), shown != "" && s.opensBy(shown); old == opens {
			t.Errorf("%s: the old code opens: %v, the new one: %v", what, old, opens)
		}
		if other {
			s.writes("in between")
		}
		s.must(s.tryRenewCode(ada.code))
		if shown != "" && s.code != shown {
			t.Errorf("%s: again: another code is shown", what)
		}
		if s.opensBy(ada.code) || !s.opensBy(s.code) {
			t.Errorf("%s: again: the old code opens, or the new one does not", what)
		}
		for _, file := range []string{fileChange, fileNewCode} {
			if names, _ := s.device.List(file); len(names) > 0 {
				t.Errorf("%s: %q is still kept", what, names)
			}
		}
		s.restart()
		s.writes("hello")
		d := s.again()
		if got := d.feedTexts(); got[0] != "hello" {
			t.Errorf("%s: reads %q", what, got)
		}
	}
}

// TestDeviceFailsInRenewal lets the device fail at each file that a renewal writes: what is
// there then opens, also after a start, and the same command again ends the matter.
func TestDeviceFailsInRenewal(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("first")
	for n := 0; ; n++ {
		s := copies(ada)[0]
		failing := &failingDevice{memory: s.device, left: n}
		s.c = New(s.line, failing, WithClock(s.w.now), withDeriver(quick))
		err := s.tryRenewCode(ada.code)
		s.restart()
		s.writes("hello")
		s.reads("hello", "first")
		if err != nil {
			s.must(s.tryRenewCode(ada.code))
		}
		if s.opensBy(ada.code) || !s.opensBy(s.code) {
			t.Errorf("failed at file %d: the old code opens, or the new one does not", n)
		}
		if err == nil {
			if n < 8 {
				t.Errorf("only %d files were written", n)
			}
			return
		}
	}
}

// TestRenewalHandedBack: a node that went back to before a renewal has it again, as it was
// sent, when the device logs in.
func TestRenewalHandedBack(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("one")
	old, code := w.clone(), ada.code
	ada.must(ada.tryRenewCode(code))
	ada.writes("two")
	newest := ada.chain.NewestHash()
	w.rollBack(old)
	p, r, err := ada.client().Login(context.Background(), LoginOptions{Address: ada.address, Password: password(t, secretWord), Device: "test"})
	ada.must(err)
	if ada.Person = p; !r.HandedBack || ada.chain.NewestHash() != newest || ada.opensBy(code) || !ada.opensBy(ada.code) {
		t.Errorf("%+v, at statement %d; the old code opens: %v", r, ada.chain.Newest().Seq, ada.opensBy(code))
	}
	ada.writes("three")
	ada.reads("three", "two", "one")
}

// TestRenewalLies: a node that says it has the new code, or has not, is believed what it
// shows; and no statement that it makes up, or keeps back, is followed.
func TestRenewalLies(t *testing.T) {
	ada := newWorld(t).newPerson("ada@one.example")
	for name, test := range map[string]struct {
		arrives bool
		kind    wire.Kind // that is answered; "" for done
		want    string
	}{
		"said to be kept":               {false, "", "says that it has the new recovery code, and does not show it"},
		"said to be late":               {false, wire.Conflict, "shows no newer one"},
		"said to be late that was kept": {true, wire.Conflict, ""},
	} {
		s := copies(ada)[0]
		s.line.before = func(_ int, r *Request) error {
			if r.Method == "PUT" && !test.arrives {
				r.Body = nil
			}
			return nil
		}
		s.line.after = func(_ int, r *Request, a *Response) error {
			if r.Method != "PUT" || !slices.ContainsFunc(s.line.calls, func(c call) bool { return c.path == wire.PathVault }) {
				return nil
			}
			if a.Status, a.Body = 204, nil; test.kind != "" {
				a.refuse(test.kind)
			}
			s.line.after = nil
			return nil
		}
		err := s.tryRenewCode(ada.code)
		s.line.before, s.line.after = nil, nil
		if test.want == "" != (err == nil) || err != nil && (!errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if opens := s.opensBy(s.code); opens != test.arrives {
			t.Errorf("%s: the new code opens: %v", name, opens)
		}
	}
}

// TestRenewedPending: what the node has not taken when the code is replaced is signed
// under the new statement, and arrives.
func TestRenewedPending(t *testing.T) {
	ctx := context.Background()
	for name, act := range map[string]struct {
		do   func(ada *someone, bob, eve wire.Address) error
		want []wire.FriendState // of bob and eve
	}{
		"an offer":      {func(ada *someone, bob, _ wire.Address) error { _, err := ada.AddFriend(ctx, bob, true); return err }, []wire.FriendState{wire.StateOutgoing, wire.StateFriend}},
		"an acceptance": {func(ada *someone, _, eve wire.Address) error { _, err := ada.AcceptFriend(ctx, eve, true); return err }, []wire.FriendState{wire.StateNone, wire.StateFriend}},
		"an end":        {func(ada *someone, _, eve wire.Address) error { _, err := ada.RemoveFriend(ctx, eve); return err }, []wire.FriendState{wire.StateNone, wire.StateNone}},
	} {
		w := newWorld(t)
		ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
		eve.asks(ada)
		if name != "an acceptance" {
			ada.accepts(eve)
		}
		held := true
		ada.line.before = func(_ int, r *Request) error {
			if held && r.Method == "POST" && (r.Path == wire.PathFriends || r.Path == wire.PathEntries) {
				return wire.Errorf(wire.Unavailable, "node", "the line is cut")
			}
			return nil
		}
		if err := act.do(ada, bob.address, eve.address); err == nil {
			t.Fatalf("%s: no error", name)
		}
		// As from a device of before that knows nothing of pending statements: the change alone.
		c, err := ParseRecoveryCode([]byte(ada.code))
		ada.must(err)
		ada.must(ada.do(ctx, func() error {
			next := &nextCode{newByCode(c), newByCode(RecoveryCode{seal.NewRecoveryCode()})}
			return ada.change(ctx, func() (*accountChange, error) { return ada.prepareChange(locks{code: next}) })
		}))
		held = false
		ada.writes("and on")
		for i, other := range []*someone{bob, eve} {
			if got := stateOf(ada.vault.friend(other.me())); got != act.want[i] {
				t.Errorf("%s: %s is %q, want %q", name, other.address, got, act.want[i])
			}
		}
		for i := range ada.vault.Friends {
			if f := &ada.vault.Friends[i]; len(f.Pending) > 0 {
				t.Errorf("%s: %d statements about %s wait", name, len(f.Pending), f.address())
			}
		}
	}
}
