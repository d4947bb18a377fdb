package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestRegisterRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.newPerson("ada@one.example")
	register := func(s *someone, show func(string) error) error {
		_, err := s.client().Register(ctx, RegisterOptions{Address: s.address, Password: password(t, secretWord), Device: "test", ShowCode: show})
		return err
	}
	ok := func(string) error { return nil }
	taken := w.device("ada@one.example")
	if err := register(taken, ok); !errors.Is(err, wire.Exist) {
		t.Errorf("taken: %v", err)
	}
	if len(taken.device.files) != 0 {
		t.Errorf("taken: %d files are left", len(taken.device.files))
	}
	if err := register(w.device("admin@one.example"), ok); !errors.Is(err, wire.Invalid) {
		t.Errorf("reserved: %v", err)
	}
	stop := errors.New("stop")
	s := w.device("bob@one.example")
	if err := register(s, func(string) error { return stop }); err != stop || len(s.line.calls) > 0 || len(s.device.files) > 0 {
		t.Errorf("code not taken: %v, %v, %d files", err, s.line.calls, len(s.device.files))
	}
	lose(s, 0, true)
	if err := register(s, ok); !errors.Is(err, wire.Unavailable) {
		t.Errorf("lost: %v", err)
	}
	s.line.after = nil
	_, err := s.client().Register(ctx, RegisterOptions{Address: s.address, Password: password(t, "another password"), Device: "test", ShowCode: ok})
	if !errors.Is(err, wire.Invalid) || !strings.Contains(err.Error(), "with another password") || len(s.line.calls) > 1 {
		t.Errorf("another password: %v", err)
	}
	s.must(register(s, ok))
	asked := len(s.line.calls)
	if err := register(s, ok); !errors.Is(err, wire.Exist) || len(s.line.calls) > asked {
		t.Errorf("again: %v, %d calls", err, len(s.line.calls)-asked)
	}
	s = w.device("ada@one.example") // the node registers nobody and lets in who was there
	s.line.after = func(_ int, r *Request, a *Response) error {
		if r.Path != wire.PathRegister {
			return nil
		}
		var in wire.RegisterRequest
		s.must(wire.DecodeJSON(r.Body, &in))
		a.Status = 200
		a.Body = wire.EncodeJSON(&wire.RegisterReply{Account: wire.AccountID(in.KeyStatement.Hash(wire.LabelKeyStatement))})
		return nil
	}
	if err := register(s, ok); !errors.Is(err, wire.Tampered) {
		t.Errorf("another account: %v", err)
	}
}

// TestResumedRegistration: what this device has kept of a registration is looked at again
// before anything of it is shown or sent.
func TestResumedRegistration(t *testing.T) {
	w := newWorld(t)
	for name, plain := range map[string][]byte{
		"no secrets":       {0xff},
		"in another form":  slices.Insert(wire.EncodeCBOR(&foundingSecrets{Code: wire.Hide(seal.NewRecoveryCode().Reveal())}), 1, 0x18),
		"another code":     wire.EncodeCBOR(&foundingSecrets{Code: wire.Hide("no recovery code")}),
		"the code is gone": wire.EncodeCBOR(&foundingSecrets{}),
	} {
		s := w.device("ada@one.example")
		c := s.client()
		_, file, err := c.found(RegisterOptions{Address: s.address, Password: password(t, secretWord)})
		s.must(err)
		_, slot, err := c.derive([]byte(secretWord), s.address, file.Argon2, file.Random)
		s.must(err)
		wrapper, err := seal.OpenPasswordSlot(slot, file.Account, file.Slot)
		s.must(err)
		key, err := seal.CacheKeyFromBytes(wrapper.Bytes())
		s.must(err)
		file.Sealed, err = seal.SealCache(key, foundingName, plain)
		s.must(err)
		s.must(c.save(knownName(fileFounded, s.address), wire.EncodeCBOR(file)))
		shown := false
		_, err = c.Register(context.Background(), RegisterOptions{
			Address: s.address, Password: password(t, secretWord), Device: "test", ShowCode: func(string) error { shown = true; return nil },
		})
		if !errors.Is(err, wire.Invalid) || shown || len(s.line.calls) > 0 {
			t.Errorf("%s: %v; a code was shown: %v; asked: %v", name, err, shown, s.line.calls)
		}
	}
}

func TestLoginRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	s := w.device("ada@one.example")
	for _, name := range []string{"ada@one.example", "nobody@one.example"} {
		_, _, err := s.client().Login(ctx, LoginOptions{Address: address(name), Password: password(t, "the wrong one"), Device: "test"})
		if err != error(ErrWrongPassword) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := ada.client().Login(ctx, LoginOptions{Address: bob.address, Password: password(t, secretWord), Device: "test"})
	if !errors.Is(err, wire.Conflict) || !strings.Contains(err.Error(), "log out first") {
		t.Errorf("somebody else here: %v", err)
	}
	ada.must(ada.tryLogin()) // the same person again
	ada.writes("hello")
	if _, err := w.device("eve@one.example").client().Resume(ctx); err != error(ErrNoSession) {
		t.Errorf("nobody here: %v", err)
	}
}

// TestLogout: nothing stays but the device's token and the mark against a
// roll-back, and both are used by the next log-in.
func TestLogout(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	old := copies(ada)[0].w.people[ada.me()]
	ada.befriends(bob)
	ada.writes("hello")
	if got := ada.Whoami(); got.Address != ada.address || got.Account != ada.me() || got.Device != "test" {
		t.Errorf("whoami: %v", got)
	}
	token, vaultKey := []byte(ada.session.Token.Reveal()), ada.session.VaultKey.Bytes()
	ada.must(ada.Logout(ctx))
	if names, _ := ada.device.List(""); len(names) != 1 || !strings.HasPrefix(names[0], fileKnown) {
		t.Errorf("left: %q", names)
	}
	for name, b := range ada.device.files {
		if bytes.Contains(b, token) || bytes.Contains(b, vaultKey) || bytes.Contains(b, []byte("ada")) {
			t.Errorf("%s holds a secret or the name", name)
		}
	}
	if len(w.sessions) != 1 {
		t.Errorf("%d sessions at the node", len(w.sessions))
	}
	if _, err := ada.Post(ctx, "text", ""); err != error(ErrNoSession) {
		t.Errorf("after the log-out: %v", err)
	}
	var sent wire.LoginRequest
	ada.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathLogin {
			return wire.DecodeJSON(r.Body, &sent)
		}
		return nil
	}
	now := w.people[ada.address2id()]
	heads, record := now.heads, now.record
	now.heads, now.record = old.heads, old.record
	if err := ada.tryLogin(); !errors.Is(err, wire.Tampered) || sent.DeviceToken == nil {
		t.Errorf("rolled back: %v; device token sent: %v", err, sent.DeviceToken != nil)
	}
	now.heads, now.record = heads, record
	p, report, err := ada.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, secretWord), Device: "test"})
	ada.must(err)
	if !report.Known {
		t.Error("the device does not remember the account")
	}
	ada.Person = p
	ada.reads("hello")
}

func (s *someone) address2id() wire.AccountID { return s.w.handles[s.address] }

// TestLoginReport: a new device asks friends' nodes, and says how many answered.
func TestLoginReport(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	log := func(s *someone) LoginReport {
		t.Helper()
		_, report, err := s.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, secretWord), Device: "test"})
		s.must(err)
		return report
	}
	if got := log(w.device("ada@one.example")); got != (LoginReport{}) {
		t.Errorf("alone: %+v", got)
	}
	for i := range 7 {
		ada.befriends(w.newPerson(fmt.Sprintf("f@n%d.example", i)))
	}
	ada.befriends(w.newPerson("near@one.example"))
	if got := log(w.device("ada@one.example")); got != (LoginReport{Friends: 7, Asked: 5, Answered: 5}) {
		t.Errorf("got %+v", got)
	}
	s := w.device("ada@one.example")
	s.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathHeads && r.Node != "n0.example" {
			return wire.Errorf(wire.Unavailable, "node", "away")
		}
		if r.Path == wire.PathHeads && !r.Token.IsZero() {
			t.Error("the token goes to another node")
		}
		return nil
	}
	got := log(s)
	if got.Asked != 5 || got.Answered > 1 {
		t.Errorf("got %+v", got)
	}
}

// TestArgon2 registers and logs in with the real derivation.
func TestArgon2(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	s := w.device("ada@one.example")
	c := New(s.line, s.device, WithClock(w.now))
	_, err := c.Register(ctx, RegisterOptions{Address: s.address, Password: password(t, secretWord), Device: "test", ShowCode: func(code string) error {
		if len(code) < 26 {
			t.Errorf("code %q", code)
		}
		return nil
	}})
	s.must(err)
	_, _, err = New(s.line, newMemory(), WithClock(w.now)).Login(ctx, LoginOptions{Address: s.address, Password: password(t, secretWord+"x"), Device: "test"})
	if err != error(ErrWrongPassword) {
		t.Errorf("got %v", err)
	}
}

// TestSecretsStay: neither password nor keys leave the device, nor are they in
// its errors.
func TestSecretsStay(t *testing.T) {
	w := newWorld(t)
	s := w.device("ada@one.example")
	var sent bytes.Buffer
	s.line.before = func(_ int, r *Request) error {
		sent.WriteString(r.Path)
		sent.Write(r.Body)
		return nil
	}
	var code string
	p, err := s.client().Register(context.Background(), RegisterOptions{
		Address: s.address, Password: password(t, secretWord), Device: "test", ShowCode: func(c string) error { code = c; return nil },
	})
	s.must(err)
	s.Person = p
	s.writes("a text that nobody sees")
	out := sent.String()
	text := func(b []byte) string { t, _ := wire.Bytes(b).MarshalText(); return string(t) }
	secrets := map[string]string{
		"password": secretWord, "code": code, "text": "nobody sees", "token": p.session.Token.Reveal(),
		"vault key": text(p.session.VaultKey.Bytes())[:40], "identity": text(p.vault.Identity.Reveal())[:40], "self key": text(p.vault.Self.Reveal())[:40],
	}
	for what, secret := range secrets {
		if strings.Contains(out, secret) {
			t.Errorf("%s is sent", what)
		}
	}
	for _, v := range []any{p.session, p.vault.vault, p, password(t, secretWord)} {
		printed := fmt.Sprintf("%v %+v", v, v)
		for what, secret := range secrets {
			if what != "text" && strings.Contains(printed, secret) {
				t.Errorf("%s is printed", what)
			}
		}
	}
	for name, b := range s.device.files {
		if name != fileSession && bytes.Contains(b, p.vault.Identity.Reveal()) || bytes.Contains(b, []byte("nobody sees")) {
			t.Errorf("%s holds a secret in the clear", name)
		}
	}
}

func TestPassword(t *testing.T) {
	for _, bad := range []string{"", "short", strings.Repeat("x", 1025), "bad utf8 \xff\xff"} {
		if _, err := NewPassword([]byte(bad)); !errors.Is(err, wire.Invalid) || strings.Contains(err.Error(), "utf8 ") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	p := password(t, secretWord)
	if got := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(got, "long") {
		t.Errorf("printed as %s", got)
	}
	if _, err := p.MarshalText(); err == nil {
		t.Error("a password is written out")
	}
}

func TestPostRefusals(t *testing.T) {
	ctx := context.Background()
	ada := newWorld(t).newPerson("ada@one.example")
	for text, kind := range map[string]wire.Kind{"": wire.Invalid, "\xff": wire.Invalid, strings.Repeat("x", MaxText+1): wire.TooLarge} {
		if _, err := ada.Post(ctx, text, ""); !errors.Is(err, kind) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
	if _, err := ada.Post(ctx, "text", "strangers"); !errors.Is(err, wire.NotExist) {
		t.Errorf("audience: %v", err)
	}
	long := strings.Repeat("x", MaxText)
	ada.writes(long)
	ada.reads(long)
	ada.line.after = func(_ int, r *Request, a *Response) error {
		if r.Path == wire.PathEntries {
			p := wire.ProblemOf(wire.Errorf(wire.Limit, "posts", "enough for today"))
			a.Status, a.Body = p.Status, wire.EncodeJSON(p)
		}
		return nil
	}
	ada.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathEntries {
			r.Body = nil
		}
		return nil
	}
	if _, err := ada.Post(ctx, "refused", ""); !errors.Is(err, wire.Limit) {
		t.Errorf("refused: %v", err)
	}
	ada.line.before, ada.line.after = nil, nil
	ada.writes("next")
	ada.reads("next", long)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ada.Post(cancelled, "text", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSessionEnded: whatever is asked with a token that counts no more, the
// answer names whose session it was.
func TestSessionEnded(t *testing.T) {
	ctx := context.Background()
	for _, path := range []string{wire.PathVault, wire.PathKeys} {
		w := newWorld(t)
		ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
		refusing(ada, path, wire.Unauthenticated, true)
		_, err := ada.AddFriend(ctx, bob.address, true)
		if !errors.Is(err, wire.Unauthenticated) || !strings.Contains(err.Error(), "the session of ada@one.example has ended") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
