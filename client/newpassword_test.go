package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const newWord = "another long enough password"

// tryNewPassword changes the password of tests to another.
func (s *someone) tryNewPassword() error {
	return s.ChangePassword(context.Background(), password(s.t, secretWord), password(s.t, newWord))
}

// opens logs in from a device that is new, and reports whether that works.
func (s *someone) opens(word string) (*someone, bool) {
	s.t.Helper()
	d := s.w.device(s.address.String())
	d.t = s.t
	p, _, err := d.client().Login(context.Background(), LoginOptions{Address: s.address, Password: password(s.t, word), Device: "new"})
	if err != nil && err != error(ErrWrongPassword) {
		s.t.Errorf("log-in with %q: %v", word, err)
	}
	d.Person = p
	return d, err == nil
}

// TestChangePassword: the new password opens everything, the old one nothing, and the
// other device is told.
func TestChangePassword(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	bob.writes("hello")
	phone := ada.again()
	before := ada.session.VaultKey.Bytes()
	ada.must(ada.tryNewPassword())
	if slices.Equal(ada.session.VaultKey.Bytes(), before) {
		t.Error("the vault key is the old one")
	}
	if _, ok := ada.opens(secretWord); ok {
		t.Error("the old password opens")
	}
	_, err := phone.Feed(ctx, FeedOptions{})
	if !errors.Is(err, wire.Unauthenticated) || !strings.Contains(err.Error(), "the password is a new one") {
		t.Errorf("the other device: %v", err)
	}
	d, ok := ada.opens(newWord)
	if !ok {
		t.Fatal("the new password does not open")
	}
	d.reads("hello")
	d.writes("from the new device")
	ada.reads("from the new device", "hello")
	ada.restart()
	ada.writes("from the old one")
	d.removes(bob)
	ada.writes("for nobody")
	bob.reads("hello")

	ada.must(ada.tryNewPassword()) // again changes nothing
	counter := ada.vault.counter()
	ada.must(ada.tryNewPassword())
	if ada.vault.counter() != counter {
		t.Error("again, and there is another version")
	}
	p, _, err := phone.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, newWord), Device: "phone"})
	phone.must(err)
	phone.Person = p
	phone.writes("phone")
	ada.must(ada.ChangePassword(ctx, password(t, newWord), password(t, secretWord)))
	if _, ok := ada.opens(secretWord); !ok {
		t.Error("back to the first password: it does not open")
	}
}

// TestPasswordIsHeardOf: the nodes of friends hear of a new password at once, so that who
// logs in on a new device, at a node that has gone back to the old one, is told; also where
// the command was interrupted after the change, by whatever comes next.
func TestPasswordIsHeardOf(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob, cid := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("cid@one.example")
	ada.befriends(bob)
	ada.befriends(cid)
	ada.writes("hello")
	cid.reads("hello")
	for name, change := range map[string]func(s *someone){
		"at once": func(s *someone) { s.must(s.tryNewPassword()) },
		"interrupted, and run again": func(s *someone) {
			s.interruptedChange()
			s.must(s.tryNewPassword())
		},
		"interrupted, and then a post": func(s *someone) {
			s.interruptedChange()
			s.restart()
			s.writes("after")
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := copies(ada, bob, cid)
			s, friend := all[0], all[2]
			old := s.w.clone()
			before := s.w.people[s.me()].epochs()
			change(s)
			if got := s.w.people[s.me()].epochs(); got != before+1 {
				t.Errorf("%d epochs have begun, want one", got-before)
			}
			friend.restart()
			if got := friend.feedTexts(); got[len(got)-1] != "hello" {
				t.Errorf("a friend reads %q", got)
			}
			streams := s.w.people[s.me()].streams
			s.w.rollBack(old)
			s.w.people[s.me()].streams = streams // which the nodes of friends have copies of
			d := s.w.device(s.address.String())
			_, _, err := d.client().Login(ctx, LoginOptions{Address: s.address, Password: password(t, secretWord), Device: "new"})
			if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "an old or forked vault") {
				t.Errorf("a new device, with the old password: %v", err)
			}
		})
	}
}

// interruptedChange loses all that follows the new password.
func (s *someone) interruptedChange() {
	s.t.Helper()
	put := false
	s.line.before = func(_ int, r *Request) error {
		if put {
			return errors.New("cut")
		}
		put = r.Method == "PUT"
		return nil
	}
	if err := s.tryNewPassword(); err == nil {
		s.t.Fatal("nothing was cut")
	}
	s.line.before = nil
}

// epochs counts those that have begun.
func (r *resident) epochs() (n int) {
	for _, entries := range r.streams {
		for _, e := range entries {
			if e.h.Kind == wire.KindEpoch {
				n++
			}
		}
	}
	return n
}

func TestChangePasswordRefuses(t *testing.T) {
	ctx := context.Background()
	ada := newWorld(t).newPerson("ada@one.example")
	for _, test := range []struct {
		name, present, next string
		want                error
	}{
		{"a wrong one", newWord, "yet another one", ErrPresentPassword},
		{"a common one", secretWord, "Password123", wire.Invalid},
		{"the same", secretWord, secretWord, wire.Invalid},
	} {
		requests := len(ada.line.calls)
		err := ada.ChangePassword(ctx, password(t, test.present), password(t, test.next))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if slices.ContainsFunc(ada.line.calls[requests:], func(c call) bool { return c.method != "GET" }) {
			t.Errorf("%s: something was sent", test.name)
		}
	}
	if _, ok := ada.opens(secretWord); !ok {
		t.Error("the password does not open any more")
	}
}

// TestLostPasswordChange loses each request of a change, or its answer: exactly one of
// the two passwords opens then, whatever comes next on the device works, and the same
// command again ends the matter.
func TestLostPasswordChange(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	ada.befriends(bob)
	one := func() *someone { return copies(ada, bob)[0] }
	clean := one()
	clean.must(clean.tryNewPassword())
	for i := range 8 * len(clean.line.calls) {
		n, arrives, restart, other := i/8, i%2 == 0, i/2%2 == 0, i/4%2 == 0
		what := fmt.Sprintf("%v lost (arrived: %v, restart: %v, a post next: %v)", clean.line.calls[n], arrives, restart, other)
		s := one()
		lose(s, n, arrives)
		if err := s.tryNewPassword(); err == nil {
			t.Fatalf("%s: no error", what)
		}
		s.line.before, s.line.after = nil, nil
		if restart {
			s.restart()
		}
		_, old := s.opens(secretWord)
		_, opens := s.opens(newWord)
		if old == opens {
			t.Errorf("%s: the old password opens: %v, the new one: %v", what, old, opens)
		}
		if other {
			s.writes("in between")
		}
		s.must(s.tryNewPassword())
		if _, ok := s.opens(secretWord); ok {
			t.Errorf("%s: again: the old password opens", what)
		}
		d, ok := s.opens(newWord)
		if !ok {
			t.Errorf("%s: again: the new password does not open", what)
			continue
		}
		d.writes("hello")
		if got := s.feedTexts(); got[0] != "hello" {
			t.Errorf("%s: reads %q", what, got)
		}
		if names, _ := s.device.List(fileChange); len(names) > 0 {
			t.Errorf("%s: the change is still kept", what)
		}
		_, err := s.Post(ctx, "the end", "")
		s.must(err)
	}
}

// TestDeviceFailsInChange lets the device fail at each file that a change writes: what
// is there then opens, also after a start, and the same command again ends the matter.
func TestDeviceFailsInChange(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for n := 0; ; n++ {
		s := copies(ada)[0]
		failing := &failingDevice{memory: s.device, left: n}
		s.c = New(s.line, failing, WithClock(s.w.now), withDeriver(quick))
		err := s.tryNewPassword()
		s.restart()
		s.writes("hello")
		s.reads("hello")
		s.must(s.tryNewPassword())
		d, ok := s.opens(newWord)
		if !ok {
			t.Fatalf("failed at file %d: the new password does not open", n)
		}
		d.writes("from elsewhere")
		s.reads("from elsewhere", "hello")
		if err == nil {
			if n < 5 {
				t.Errorf("only %d files were written", n)
			}
			return
		}
	}
}

// failingDevice cannot write or delete after a while.
type failingDevice struct {
	*memory
	left int
}

func (d *failingDevice) Save(name string, data []byte) error {
	if d.left--; d.left < 0 {
		return errors.New("the disk is full")
	}
	return d.memory.Save(name, data)
}

func (d *failingDevice) Delete(name string) error {
	if d.left--; d.left < 0 {
		return errors.New("the disk is full")
	}
	return d.memory.Delete(name)
}

// TestChangePasswordBesideOthers lets another device act right before the new password
// arrives.
func TestChangePasswordBesideOthers(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	phone := ada.again()
	for name, act := range map[string]func(phone, bob *someone) error{
		"a friend": func(phone, bob *someone) error { _, err := phone.AddFriend(ctx, bob.address, true); return err },
		"the password": func(phone, _ *someone) error {
			return phone.ChangePassword(ctx, password(t, secretWord), password(t, "of the phone"))
		},
	} {
		c := copies(ada, phone, bob)
		ada, phone := c[0], c[1]
		ada.line.before = func(_ int, r *Request) error {
			if r.Method == "PUT" {
				ada.line.before = nil
				phone.must(act(phone, c[2]))
			}
			return nil
		}
		err := ada.tryNewPassword()
		_, mine := ada.opens(newWord)
		_, other := ada.opens("of the phone")
		_, old := ada.opens(secretWord)
		if name == "a friend" {
			ada.must(err)
			if !mine || other || old || len(ada.vault.Friends) != 1 {
				t.Errorf("%s: the new password opens: %v, the old one: %v; %d friends", name, mine, old, len(ada.vault.Friends))
			}
			continue
		}
		if !errors.Is(err, wire.Unauthenticated) || mine || !other || old {
			t.Errorf("%s: %v; passwords open: %v %v %v", name, err, mine, other, old)
		}
	}
}

// TestPasswordLies: a node that says it has the new password, or has not, is believed
// what it shows.
func TestPasswordLies(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for name, test := range map[string]struct {
		arrives bool
		kind    wire.Kind // that is answered; "" for done
		want    string
	}{
		"said to be kept":               {false, "", "does not show it"},
		"said to be late":               {false, wire.Conflict, "shows no newer one"},
		"said to be late that was kept": {true, wire.Conflict, ""},
	} {
		s := copies(ada)[0]
		told := false
		s.line.before = func(_ int, r *Request) error {
			if r.Method == "PUT" && !test.arrives {
				r.Body = nil
			}
			return nil
		}
		s.line.after = func(_ int, r *Request, a *Response) error {
			if r.Method != "PUT" || told {
				return nil
			}
			told = true
			if a.Status, a.Body = 204, nil; test.kind != "" {
				a.refuse(test.kind)
			}
			return nil
		}
		err := s.tryNewPassword()
		s.line.before, s.line.after = nil, nil
		if test.want == "" != (err == nil) || err != nil && (!errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if _, opens := s.opens(newWord); opens != test.arrives {
			t.Errorf("%s: the new password opens: %v", name, opens)
		}
		s.must(s.tryNewPassword())
		if _, opens := s.opens(newWord); !opens {
			t.Errorf("%s: again, and the new password does not open", name)
		}
	}
}

// TestPasswordHandedBack: a node that went back to before a change knows the old
// password. Who logs in with it, on the device that made the change, hands in the new
// one, and is told to use that.
func TestPasswordHandedBack(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("one")
	old := w.clone()
	ada.must(ada.tryNewPassword())
	ada.writes("two")
	w.rollBack(old)
	log := func(word string) error {
		p, r, err := ada.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, word), Device: "test"})
		if ada.Person = p; err == nil && (r.Behind || r.HandedBack) {
			t.Errorf("with %q: %+v", word, r)
		}
		return err
	}
	if err := log(newWord); err != error(ErrWrongPassword) {
		t.Errorf("the new password, at first: %v", err)
	}
	if err := log(secretWord); !errors.Is(err, ErrNewerPassword) {
		t.Errorf("the old password: %v", err)
	}
	ada.must(log(newWord))
	ada.writes("three")
	ada.reads("three", "two", "one")
	if _, opens := ada.opens(secretWord); opens {
		t.Error("the old password opens")
	}
}

func TestCommonPasswords(t *testing.T) {
	list := strings.Split(strings.TrimSuffix(commonPasswords, "\n"), "\n")
	if len(list) < 1000 || len(commonPasswords) > 20_000 || !slices.IsSorted(list) {
		t.Errorf("%d passwords in %d bytes, sorted: %v", len(list), len(commonPasswords), slices.IsSorted(list))
	}
	for i, word := range list {
		if len(word) < MinPassword || word != strings.ToLower(word) || strings.ContainsAny(word, " \r\t") || i > 0 && word == list[i-1] {
			t.Errorf("%q does not belong there", word)
		}
		if err := password(t, word).CheckNew(); !errors.Is(err, wire.Invalid) {
			t.Errorf("%q may be chosen: %v", word, err)
		}
	}
	for word, may := range map[string]bool{
		"PassWord": false, "password2027": false, "Password123!": false, "sunshine..": false, "12345678901234567": true,
		"password20271": true, "!password": true, "correct horse": true, "xpassword": true, "password\niloveyou": true, "passwordx": true,
	} {
		if err := password(t, word).CheckNew(); (err == nil) != may {
			t.Errorf("%q: %v, want it taken: %v", word, err, may)
		}
	}
	s := newWorld(t).device("ada@one.example")
	_, err := s.client().Register(context.Background(), RegisterOptions{
		Address: s.address, Password: password(t, "Sunshine1"), Device: "test", ShowCode: func(string) error { return nil },
	})
	if !errors.Is(err, wire.Invalid) || len(s.line.calls) > 0 {
		t.Errorf("registered with a common password: %v, %v", err, s.line.calls)
	}
}
