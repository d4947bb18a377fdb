package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A guard stands between somebody and their node, and wants codes as that would.
type guard struct {
	t      *testing.T
	on     bool
	backup map[wire.Hash]bool
	wants  func(r *Request) bool
	lies   bool // says that it is done, and does nothing
	asked  int  // for codes
	shown  []string
}

func guards(s *someone) *guard {
	g := &guard{t: s.t, on: true, backup: map[wire.Hash]bool{}, wants: func(*Request) bool { return false }}
	var answer func(a *Response)
	s.line.before = func(_ int, r *Request) error {
		answer = g.answer(s, r)
		if answer != nil {
			r.Method, r.Path, r.Body = "POST", wire.PathLogin, nil // which is refused
		}
		return nil
	}
	s.line.after = func(_ int, _ *Request, a *Response) error {
		if answer != nil {
			answer(a)
		}
		return nil
	}
	return g
}

// gives makes a code that the guard takes, once.
func (g *guard) gives(s *someone) wire.FactorCode {
	code := wire.NewBackupCode(random())
	g.backup[code.Hash(s.me())] = true
	return code
}

func (g *guard) answer(s *someone, r *Request) func(*Response) {
	refuse := func(a *Response) { a.refuse(wire.SecondFactor) }
	done := func(a *Response) { a.Status, a.Body = 204, nil }
	code := r.Code
	if r.Path == wire.PathLogin {
		var q wire.LoginRequest
		if err := wire.DecodeJSON(r.Body, &q); err != nil {
			g.t.Fatal(err)
		}
		if q.Code != nil {
			code = *q.Code
		}
	}
	if g.on && (g.wants(r) || r.Path == wire.PathLogin || strings.HasPrefix(r.Path, wire.PathFactor) && r.Method != "GET") {
		g.shown = append(g.shown, code.Reveal())
		if !g.backup[code.Hash(s.me())] {
			return refuse
		}
		delete(g.backup, code.Hash(s.me()))
	}
	switch {
	case r.Path == wire.PathFactor && r.Method == "GET":
		reply := wire.SecondFactorReply{Kinds: []wire.FactorKind{}, Backup: len(g.backup)}
		if g.on {
			reply.Kinds = append(reply.Kinds, wire.FactorTOTP)
		}
		return func(a *Response) { a.Status, a.Body = 200, wire.EncodeJSON(reply) }
	case g.lies && strings.HasPrefix(r.Path, wire.PathFactor):
		return done
	case r.Path == wire.PathFactor && r.Method == "DELETE":
		g.on = false
		return done
	case r.Path == wire.PathFactor:
		var q wire.SecondFactorRequest
		if err := wire.DecodeJSON(r.Body, &q); err != nil {
			g.t.Fatal(err)
		}
		if q.Code.Reveal() != q.Secret.Code(1).Reveal() {
			return func(a *Response) { a.refuse(wire.Invalid) }
		}
		g.on = true
		g.keeps(q.Backup)
		return done
	case r.Path == wire.PathBackup:
		var q wire.BackupRequest
		if err := wire.DecodeJSON(r.Body, &q); err != nil {
			g.t.Fatal(err)
		}
		g.keeps(q.Backup)
		return done
	}
	return nil
}

func (g *guard) keeps(hashes []wire.Hash) {
	clear(g.backup)
	for _, h := range hashes {
		g.backup[h] = true
	}
}

// shows has the device of s show these codes, one after the other.
func (g *guard) shows(s *someone, codes ...wire.FactorCode) {
	s.c.codes = func(_ context.Context, again bool) (wire.FactorCode, error) {
		if again != (g.asked > 0) {
			g.t.Errorf("code %d was asked for as if %t", g.asked+1, again)
		}
		if g.asked++; g.asked > len(codes) {
			return wire.FactorCode{}, errNoMore
		}
		return codes[g.asked-1], nil
	}
	g.asked = 0
}

var errNoMore = errors.New("there are no more codes")

// TestCodesAreAskedFor: a code is asked for where the node wants one, again where it was
// wrong, three times at most, and nowhere else.
func TestCodesAreAskedFor(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	g := guards(ada)
	wrong := func() wire.FactorCode { return wire.NewBackupCode(random()) }
	g.wants = func(r *Request) bool { return r.Method == "DELETE" && r.Path == wire.PathSessions }

	ada.writes("hello")
	if len(g.shown) > 0 {
		t.Errorf("a code was shown for a post: %q", g.shown)
	}
	if err := ada.EndOtherSessions(ctx); !errors.Is(err, wire.SecondFactor) {
		t.Errorf("without a source of codes: %v", err)
	}
	for name, test := range map[string]struct {
		codes []wire.FactorCode
		want  error
		asked int
	}{
		"the right one":          {[]wire.FactorCode{g.gives(ada)}, nil, 1},
		"the right one at last":  {[]wire.FactorCode{wrong(), wrong(), g.gives(ada)}, nil, 3},
		"the right one too late": {[]wire.FactorCode{wrong(), wrong(), wrong(), g.gives(ada)}, wire.SecondFactor, 3},
		"none":                   {nil, errNoMore, 1},
	} {
		g.shows(ada, test.codes...)
		if err := ada.EndOtherSessions(ctx); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || g.asked != test.asked {
			t.Errorf("%s: got %v after %d codes, want %v after %d", name, err, g.asked, test.want, test.asked)
		}
	}
	g.wants = func(r *Request) bool { // for other slots, as a node does
		var u wire.VaultUpdate
		return r.Method == "PUT" && wire.DecodeJSON(r.Body, &u) == nil && !bytes.Equal(u.Slots, w.people[ada.me()].record.Slots)
	}
	g.shows(ada, g.gives(ada))
	ada.must(ada.tryNewPassword())
	g.wants = func(*Request) bool { return false }

	for name, test := range map[string]struct {
		codes []wire.FactorCode
		want  error
	}{
		"the right one":  {[]wire.FactorCode{g.gives(ada)}, nil},
		"the second one": {[]wire.FactorCode{wrong(), g.gives(ada)}, nil},
		"a wrong one":    {[]wire.FactorCode{wrong()}, errNoMore},
	} {
		g.shows(ada, test.codes...)
		_, _, err := ada.c.Login(ctx, LoginOptions{Address: ada.address, Password: password(t, newWord), Device: "new"})
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("a log-in with %s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestSecondFactor turns it on and off, and believes no node that says so and shows
// otherwise.
func TestSecondFactor(t *testing.T) {
	ctx := context.Background()
	ada := newWorld(t).newPerson("ada@one.example")
	g := guards(ada)
	g.on = false
	state := func() SecondFactor {
		t.Helper()
		f, err := ada.SecondFactor(ctx)
		ada.must(err)
		return f
	}
	if got := state(); got != (SecondFactor{}) {
		t.Errorf("before: %+v", got)
	}
	a := ada.NewAuthenticator()
	if _, err := ada.TurnOnSecondFactor(ctx, a, wire.NewBackupCode(random())); !errors.Is(err, wire.Invalid) || g.on {
		t.Errorf("another first code: %v", err)
	}
	codes, err := ada.TurnOnSecondFactor(ctx, a, a.secret.Code(1))
	ada.must(err)
	if got := state(); got != (SecondFactor{true, 10}) {
		t.Errorf("when it is on: %+v", got)
	}
	seen := map[string]bool{}
	for _, shown := range codes.Reveal() {
		code, err := ParseFactorCode([]byte(strings.ToLower(shown)))
		if err != nil || !g.backup[code.Hash(ada.me())] || seen[shown] || len(shown) != 19 {
			t.Errorf("%q is no backup code: %v", shown, err)
		}
		seen[shown] = true
	}
	first, err := ParseFactorCode([]byte(codes.Reveal()[0]))
	ada.must(err)
	g.shows(ada, first)
	again, err := ada.NewBackupCodes(ctx)
	ada.must(err)
	if seen[again.Reveal()[0]] || len(again.Reveal()) != 10 {
		t.Error("the codes are the same")
	}

	g.lies = true
	for name, ask := range map[string]func() error{
		"off":   func() error { return ada.TurnOffSecondFactor(ctx) },
		"codes": func() error { _, err := ada.NewBackupCodes(ctx); return err },
	} {
		clear(g.backup)
		g.shows(ada, g.gives(ada))
		if err := ask(); !errors.Is(err, wire.Tampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.lies = false
	g.shows(ada, g.gives(ada))
	ada.must(ada.TurnOffSecondFactor(ctx))
	g.lies = true
	if _, err := ada.TurnOnSecondFactor(ctx, a, a.secret.Code(1)); !errors.Is(err, wire.Tampered) {
		t.Errorf("on: %v", err)
	}
}

// TestAuthenticator: what an app is told.
func TestAuthenticator(t *testing.T) {
	address := func(s string) wire.Address {
		a, err := wire.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, at := range []string{"ada@node.example", "ada@localhost:8080", strings.Repeat("a", 32) + "@" + strings.Repeat(strings.Repeat("b", 49)+".", 5) + "ex"} {
		a := Authenticator{wire.NewTOTPSecret([32]byte{1, 2, 3}), address(at)}
		want := "otpauth://totp/PeerBrain:" + at + "?secret=AEBAGAAAAAAAAAAAAAAAAAAAAAAAAAAA&issuer=PeerBrain"
		if got := a.URI(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if q := a.QR(); q.Size() < 33 || q.Size() > 77 || !q.Dark(0, 0) || q.Dark(7, 7) {
			t.Errorf("a code of %d modules", q.Size())
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(shown, "AEBAG") {
			t.Errorf("it is printed: %s", shown)
		}
	}
}

// TestParseFactorCode reads codes as people type them.
func TestParseFactorCode(t *testing.T) {
	for typed, want := range map[string]string{
		"123456": "123456", " 123 456\n": "123456", "123-456": "123456", "0123-4567-89ab-cdef": "0123456789ABCDEF",
		"o123-4567-89AB-CDEF": "0123456789ABCDEF", "il23456789abcdef": "1123456789ABCDEF", "12345": "", "1234567": "", "0123-4567-89ab-cdeu": "", "": "",
	} {
		code, err := ParseFactorCode([]byte(typed))
		if code.Reveal() != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, wire.Invalid) {
			t.Errorf("%q: got %q, %v", typed, code.Reveal(), err)
		}
		if err != nil && typed != "" && bytes.Contains([]byte(err.Error()), []byte(typed)) {
			t.Errorf("the error repeats what was typed: %v", err)
		}
	}
}
