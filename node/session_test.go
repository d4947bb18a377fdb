package node

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestTokensAreNotStored looks for the tokens in the whole store, as bytes and
// as they are written.
func TestTokensAreNotStored(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	reply := l.logsIn(t)
	if _, err := l.Authenticate(t.Context(), reply.Token); err != nil {
		t.Fatal(err)
	}
	records := 0
	for rec, err := range l.own.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		records++
		for _, token := range []wire.Token{reply.Token, reply.DeviceToken} {
			var raw wire.Nonce
			if err := raw.UnmarshalText([]byte(token.Reveal())); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{token.Reveal(), string(raw[:])} {
				if strings.Contains(rec.Key, secret) || bytes.Contains(rec.Value, []byte(secret)) {
					t.Errorf("record %q holds a token", rec.Key)
				}
			}
		}
	}
	for _, key := range []string{
		sessionKey(reply.Token.Shelf(), reply.Token.Hash(wire.LabelToken)),
		deviceKey(l.ann.account, &reply.DeviceToken),
	} {
		if _, err := l.own.Get(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if records < 5 {
		t.Errorf("only %d records were looked at", records)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	reply := l.logsIn(t)
	for what, token := range map[string]wire.Token{"none": {}, "made up": l.newToken(), "a device's": reply.DeviceToken} {
		_, err := l.Authenticate(t.Context(), token)
		silent(t, what, err)
	}
	l.clock.advance(DefaultSessionLifetime - time.Millisecond)
	if _, err := l.Authenticate(t.Context(), reply.Token); err != nil {
		t.Errorf("just before it expires: %v", err)
	}
	l.clock.advance(time.Millisecond)
	_, err := l.Authenticate(t.Context(), reply.Token)
	silent(t, "expired, but still remembered", err)
	if got := l.As(l.ann.account, "ann").Session(); got != (wire.SessionReply{}) {
		t.Errorf("session of somebody without one: %+v", got)
	}
	silent(t, "ending no session", l.As(l.ann.account, "ann").EndSession(t.Context()))
}

// TestSessionIsRemembered counts look-ups: none for 5 seconds, two after.
func TestSessionIsRemembered(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	token := l.logsIn(t).Token
	for i, want := range []int{2, 0, 0, 2, 0} { // the session, and the vault that admits it
		if i == 3 {
			l.clock.advance(sessionCacheTime)
		}
		l.store.Reset()
		if _, err := l.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got := l.store.Gets() + l.store.Scans(); got != want {
			t.Errorf("request %d: %d look-ups, want %d", i+1, got, want)
		}
	}
	for range 2 {
		l.store.Reset()
		if l.Authenticate(t.Context(), l.newToken()); l.store.Gets() != 1 {
			t.Errorf("a token that is none: %d look-ups, want 1", l.store.Gets())
		}
	}
}

func TestEndSession(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	first, second := l.logsIn(t), l.logsIn(t)
	p, err := l.Authenticate(t.Context(), first.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.EndSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = l.Authenticate(t.Context(), first.Token)
	silent(t, "ended", err)
	if _, err := l.Authenticate(t.Context(), second.Token); err != nil {
		t.Errorf("another session of the same person: %v", err)
	}
	if err := p.EndSession(t.Context()); err != nil {
		t.Errorf("ending it again: %v", err)
	}
}

// slowGet lets a test act between a look-up and its answer.
type slowGet struct {
	store.Store
	after func(key string)
}

func (s *slowGet) Get(ctx context.Context, key string) (store.Record, error) {
	rec, err := s.Store.Get(ctx, key)
	if s.after != nil {
		s.after(key)
	}
	return rec, err
}

// TestEndedSessionIsNotRemembered ends a session while it is being looked up.
func TestEndedSessionIsNotRemembered(t *testing.T) {
	slow := &slowGet{Store: storetest.NewMemory()}
	l := newLoginNode(t, slow)
	token := l.logsIn(t).Token
	p, err := l.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	l.clock.advance(sessionCacheTime)
	var once sync.Once
	slow.after = func(key string) {
		if strings.HasPrefix(key, sessionPrefix) {
			once.Do(func() {
				if err := p.EndSession(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	l.Authenticate(t.Context(), token) // may still succeed: it was asked before
	_, err = l.Authenticate(t.Context(), token)
	silent(t, "ended", err)
}

func TestDevicesAreBounded(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	var devices []wire.Token
	for range maxDevices + 3 {
		devices = append(devices, l.logsIn(t).DeviceToken)
		l.clock.advance(time.Second)
	}
	count := func() (n int) {
		for _, err := range l.own.Scan(t.Context(), store.Prefix(devicePrefix(l.ann.account))) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	if count() != maxDevices {
		t.Errorf("%d devices are known, want %d", count(), maxDevices)
	}
	back := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
	back.DeviceToken = &devices[3] // which would be the next to go
	must(l.Login(t.Context(), back, newAddress()))
	devices[4] = l.logsIn(t).DeviceToken // takes the place of the one after it
	for i, d := range devices {
		known, err := l.knownDevice(t.Context(), l.ann.account, &d)
		if err != nil || (known != "") != (i >= 3) {
			t.Errorf("device %d: known %v, %v", i, known, err)
		}
	}
	if known, _ := l.knownDevice(t.Context(), wire.AccountID{1}, &devices[10]); known != "" {
		t.Error("a device is known for another account")
	}
	l.clock.advance(deviceLifetime)
	if known, _ := l.knownDevice(t.Context(), l.ann.account, &devices[10]); known != "" {
		t.Error("a device is known for ever")
	}
	if l.logsIn(t); count() != 1 {
		t.Errorf("%d devices are kept, want the new one", count())
	}
}

// TestDevicesOfTwoProcesses: where a person logs in now at one process and now at
// another, the same number of devices is known, and those that came last.
func TestDevicesOfTwoProcesses(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	account := wire.AccountID(random32())
	for i := range maxDevices + 6 {
		n := []*worker{left, right}[i%2]
		c := n.challenge("ann", wire.PurposeLogin)
		c.Nonce = wire.Nonce(random32())
		must(n.openSession(t.Context(), c, candidate{account: account}, wire.LoginRequest{Device: "ann's"}, ""))
		o.w.clock.advance(time.Second)
	}
	list := must(right.readDevices(t.Context(), account))
	if len(list) != maxDevices {
		t.Errorf("%d devices are known, want %d", len(list), maxDevices)
	}
	for key, used := range list {
		if o.w.clock.now().UnixMilli()-used > maxDevices*1000 {
			t.Errorf("%s is still known, used at %d", key, used)
		}
	}
}

func TestSweep(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	count := func(prefix string) (n int) {
		for _, err := range l.own.Scan(t.Context(), store.Prefix(prefix)) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	const logins = 2*sweepBatch + 10
	var session wire.LoginReply
	for range logins {
		session = l.logsIn(t)
		l.clock.advance(time.Millisecond)
	}
	sweeps := func(n int) {
		t.Helper()
		for range n {
			l.store.Reset()
			if err := l.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if l.store.Scanned() > 2*sweepBatch || l.store.Changes() > 2*sweepBatch {
				t.Fatalf("a sweep looked at %d and changed %d records, want at most %d", l.store.Scanned(), l.store.Changes(), 2*sweepBatch)
			}
		}
	}
	sweeps(3)
	if count(spentPrefix) != logins || count(sessionPrefix) != logins {
		t.Fatalf("%d challenges and %d sessions, want all %d", count(spentPrefix), count(sessionPrefix), logins)
	}
	l.clock.advance(wire.ChallengeLifetime + wire.MaxSkew)
	sweeps(3)
	if count(spentPrefix) != 0 || count(sessionPrefix) != logins {
		t.Fatalf("%d challenges and %d sessions, want 0 and %d", count(spentPrefix), count(sessionPrefix), logins)
	}
	if _, err := l.Authenticate(t.Context(), session.Token); err != nil {
		t.Errorf("a session that has not expired: %v", err)
	}
	l.clock.advance(DefaultSessionLifetime)
	late := l.logsIn(t)
	sweeps(6)
	if count(sessionPrefix) != 1 {
		t.Errorf("%d sessions, want the one that has not expired", count(sessionPrefix))
	}
	if _, err := l.Authenticate(t.Context(), late.Token); err != nil {
		t.Errorf("a session that has not expired: %v", err)
	}
}

// TestDamagedSession shows that what cannot be read opens nothing.
func TestDamagedSession(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	token := l.logsIn(t).Token
	key := sessionKey(token.Shelf(), token.Hash(wire.LabelToken))
	rec, err := l.own.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.own.Apply(t.Context(), store.Change{Key: key, Value: rec.Value[:len(rec.Value)-1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Authenticate(t.Context(), token); err == nil || wire.KindOf(err) != wire.Internal || errors.Is(err, wire.Invalid) {
		t.Errorf("got %v, want an error without a kind", err)
	}
}
