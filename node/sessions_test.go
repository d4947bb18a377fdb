package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// newPassword gives the person another log-in key, in the vault that comes next.
func (p *testPerson) newPassword() wire.VaultRecord {
	p.t.Helper()
	slots := must(wire.DecodeSlots(p.slots))
	p.login = wire.NewLoginSecret(random32())
	slots.Login, slots.Random = p.login.Public(), random32()
	p.slots = must(slots.Encode())
	return p.nextVault()
}

// visits opens a session of the person, from a device that is new.
func (p *testPerson) visits(n *Node) (wire.Token, error) {
	c, err := n.Challenge(context.Background(), wire.ChallengeRequest{Handle: p.address.Handle, Purpose: wire.PurposeLogin}, newAddress())
	if err != nil {
		return wire.Token{}, err
	}
	v := &visitor{handle: p.address.Handle, login: p.login}
	reply, err := n.Login(context.Background(), v.answer(p.t, n.name, wire.PurposeLogin, c, nil), newAddress())
	return reply.Token, err
}

// in is the person in the session of a token.
func (n *testNode) in(token wire.Token) held {
	n.world.t.Helper()
	if err := n.hear(context.Background()); err != nil {
		n.world.t.Fatal(err)
	}
	return held{must(n.Authenticate(context.Background(), token)), n.world.t}
}

// isOpen reports whether the session of a token is open.
func (n *testNode) isOpen(token wire.Token) bool {
	n.world.t.Helper()
	if err := n.hear(context.Background()); err != nil {
		n.world.t.Fatal(err)
	}
	_, err := n.Authenticate(context.Background(), token)
	if err != nil {
		silent(n.world.t.(*testing.T), "a session that has ended", err)
	}
	return err == nil
}

// TestSessionNeedsItsVault: where the vault of an account is gone or cannot be read,
// nobody can say that a session is open.
func TestSessionNeedsItsVault(t *testing.T) {
	own := storetest.NewMemory()
	n := newWorld(t).open(north, own, nil)
	ann, ben := n.person("ann"), n.person("ben")
	anns, bens := must(ann.visits(n.Node)), must(ben.visits(n.Node))
	if err := own.Apply(t.Context(), store.Change{Key: vaultKey(ann.account)}); err != nil {
		t.Fatal(err)
	}
	_, err := n.Authenticate(t.Context(), anns)
	silent(t, "no vault", err)
	own.Damage(vaultKey(ben.account))
	if _, err := n.Authenticate(t.Context(), bens); err == nil || wire.KindOf(err) != wire.Internal {
		t.Errorf("a vault that cannot be read: %v", err)
	}
}

// TestSessionsOverHTTP: what is no id of a session is a malformed request.
func TestSessionsOverHTTP(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	s := n.serves(nil)
	ann := n.person("ann")
	token := bearer(s.logsIn(ann).Token)
	for path, want := range map[string]int{"/v1/sessions/none": 400, "/v1/sessions/" + wire.Hash(random32()).String(): 404, "/v1/sessions": 204} {
		if got := s.sends("DELETE", path, nil, token); got.status != want {
			t.Errorf("DELETE %s: got %d %s, want %d", path, got.status, got.body, want)
		}
	}
}

func TestSessionKeys(t *testing.T) {
	account, hash := wire.AccountID(random32()), wire.Hash(random32())
	key := sessionKey(wire.ShelfOf(account), hash)
	if shelf, got, err := parseSessionKey(key); err != nil || shelf != wire.ShelfOf(account) || got != hash || !strings.HasPrefix(key, shelfPrefix(shelf)) {
		t.Errorf("%q is read as %x %v, %v", key, shelf, got, err)
	}
	for _, bad := range []string{"sess/" + hash.String(), "sess/0123456789ABCDEF/" + hash.String(), "sess/012345678/" + hash.String(), key + "a", key[:len(key)-1], key + "/" + hash.String()} {
		if _, _, err := parseSessionKey(bad); err == nil {
			t.Errorf("%q is taken for the key of a session", bad)
		}
	}
}

func idOf(token wire.Token) wire.Hash { return token.Hash(wire.LabelToken) }

// TestSessions lists sessions, ends one, and all others.
func TestSessions(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	var tokens []wire.Token
	for range 4 {
		tokens = append(tokens, must(ann.visits(n.Node)))
		n.world.clock.advance(time.Second)
	}
	bens := must(ben.visits(n.Node))
	listed := func(by wire.Token) (ids []wire.Hash) {
		t.Helper()
		got := must(n.in(by).Sessions(t.Context()))
		if got.More {
			t.Error("there are said to be more")
		}
		for i, s := range got.Sessions {
			if s.Device != "ann's laptop" || s.Expires-s.Created != DefaultSessionLifetime.Milliseconds() || s.Current != (s.ID == idOf(by)) {
				t.Errorf("session %d: %+v", i, s)
			}
			ids = append(ids, s.ID)
		}
		return ids
	}
	if got, want := listed(tokens[1]), []wire.Hash{idOf(tokens[3]), idOf(tokens[2]), idOf(tokens[1]), idOf(tokens[0])}; !slices.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}

	at := n.in(tokens[0])
	for what, id := range map[string]wire.Hash{"nobody's": random32(), "ben's": idOf(bens), "none": {}} {
		if err := at.EndOneSession(t.Context(), id); !errors.Is(err, wire.NotExist) {
			t.Errorf("ending %s: %v", what, err)
		}
	}
	if err := at.EndOneSession(t.Context(), idOf(tokens[2])); err != nil {
		t.Fatal(err)
	}
	if n.isOpen(tokens[2]) || len(listed(tokens[0])) != 3 {
		t.Error("the session that was ended goes on")
	}
	if err := at.EndOneSession(t.Context(), idOf(tokens[2])); !errors.Is(err, wire.NotExist) {
		t.Errorf("ending it again: %v", err)
	}

	for range 2 {
		if err := at.EndOtherSessions(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !n.isOpen(tokens[0]) || n.isOpen(tokens[1]) || n.isOpen(tokens[3]) || !n.isOpen(bens) {
			t.Error("not all others have ended, or more")
		}
	}
	later := must(ann.visits(n.Node))
	if got, want := listed(later), []wire.Hash{idOf(later), idOf(tokens[0])}; !slices.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
	if err := n.in(later).EndOneSession(t.Context(), idOf(later)); err != nil || n.isOpen(later) {
		t.Errorf("one's own: %v", err)
	}
	n.world.clock.advance(DefaultSessionLifetime)
	if last := must(ann.visits(n.Node)); len(listed(last)) != 1 {
		t.Error("a session that has expired is listed")
	}
}

// TestManySessions: of more than are listed all others end.
func TestManySessions(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	token := must(ann.visits(n.Node))
	var changes []store.Change
	for range wire.MaxSessions {
		s := *n.in(token).session
		s.hash = random32()
		changes = append(changes, put(s.key(), &s))
	}
	other := *n.in(token).session
	other.Account, other.hash = wire.AccountID(random32()), random32()
	copy(other.Account[:8], ann.account[:8]) // as good as never
	if err := n.own.Apply(t.Context(), append(changes, put(other.key(), &other))...); err != nil {
		t.Fatal(err)
	}
	if got := must(n.in(token).Sessions(t.Context())); !got.More || len(got.Sessions) < wire.MaxSessions-1 || len(got.Sessions) > wire.MaxSessions {
		t.Errorf("%d sessions are listed, more: %v", len(got.Sessions), got.More)
	}
	if err := n.own.Apply(t.Context(), put(vaultKey(other.Account), &vaultRecord{Version: recordVersion})); err != nil {
		t.Fatal(err)
	}
	if err := n.in(token).EndOneSession(t.Context(), other.hash); !errors.Is(err, wire.NotExist) {
		t.Errorf("ending a session of another account that lies beside: %v", err)
	}
	if err := n.in(token).EndOtherSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := keysOf(t, n.own, shelfPrefix(wire.ShelfOf(ann.account)))
	if want := []string{n.in(token).session.key(), other.key()}; len(left) != 2 || !slices.Contains(want, left[0]) || !slices.Contains(want, left[1]) {
		t.Errorf("%d sessions are left: %.3v", len(left), left)
	}
}

// TestNewPassword: another log-in key in a vault ends all other sessions, and is the
// only one from then on; any other change of the vault ends none.
func TestNewPassword(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	old := *ann
	mine, other := must(ann.visits(n.Node)), must(ann.visits(n.Node))
	v := ann.nextVault()
	if err := n.in(mine).PutVault(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	ann.heads = append(ann.heads, v.Head)
	if !n.isOpen(other) {
		t.Error("a change of the vault has ended a session")
	}
	challenge := must(n.Challenge(t.Context(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, newAddress()))

	v = ann.newPassword()
	stale := n.in(other)
	for range 2 {
		if err := n.in(mine).PutVault(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if !n.isOpen(mine) || n.isOpen(other) {
			t.Error("the session of the new password has ended, or another goes on")
		}
	}
	ann.heads = append(ann.heads, v.Head)
	_, err := old.visits(n.Node)
	silent(t, "the old password", err)
	was := &visitor{handle: "ann", login: old.login}
	_, err = n.Login(t.Context(), was.answer(t, n.name, wire.PurposeLogin, challenge, nil), newAddress())
	silent(t, "the old password, to a challenge from before", err)
	if next := must(ann.visits(n.Node)); !n.isOpen(next) {
		t.Error("the new password opens nothing")
	}

	// What was authenticated before counts no more.
	silent(t, "a vault from an ended session", stale.PutVault(t.Context(), ann.nextVault()))
	silent(t, "the end of others from an ended session", stale.EndOtherSessions(t.Context()))

	// The next change of the same session leaves it, and ends the last one's.
	next := must(ann.visits(n.Node))
	v = ann.newPassword()
	if err := n.in(next).PutVault(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if n.isOpen(mine) || !n.isOpen(next) {
		t.Error("the session of the last change goes on, or that of this one has ended")
	}
}

// TestPasswordAtEachPoint stops the node before each change that a new password makes,
// and after the last: exactly one of the two passwords opens then, the other sessions
// have ended where it is the new one, before and after a start, and the same request
// again ends the matter.
func TestPasswordAtEachPoint(t *testing.T) {
	for at := 0; ; at++ {
		w, own, copies := newWorld(t), storetest.NewMemory(), storetest.NewMemory()
		n := w.open(north, own, copies)
		ann := n.person("ann")
		old := *ann
		mine, other := must(ann.visits(n.Node)), must(ann.visits(n.Node))
		if !n.isOpen(other) {
			t.Fatal("a session is not open")
		}
		v, before := ann.newPassword(), own.Changes()
		own.StopAfter(at)
		done := n.in(mine).PutVault(t.Context(), v) == nil
		made := own.Changes() - before
		own.Resume()
		for _, started := range []bool{false, true} {
			if started {
				n.close()
				n = w.open(north, own, copies)
			}
			_, wrongOld := old.visits(n.Node)
			_, wrongNew := ann.visits(n.Node)
			if (wrongOld == nil) == (wrongNew == nil) {
				t.Fatalf("stopped after %d changes: old password %v, new password %v", at, wrongOld, wrongNew)
			}
			if n.isOpen(other) != (wrongOld == nil) || !n.isOpen(mine) {
				t.Errorf("stopped after %d changes, started: %v: the sessions do not go with the password", at, started)
			}
			if done && wrongNew != nil {
				t.Errorf("acknowledged, and the new password opens nothing: %v", wrongNew)
			}
		}
		if err := n.in(mine).PutVault(t.Context(), v); err != nil {
			t.Errorf("stopped after %d changes: again: %v", at, err)
		}
		if _, err := ann.visits(n.Node); err != nil || n.isOpen(other) {
			t.Errorf("stopped after %d changes: again: %v, or the other session goes on", at, err)
		}
		if slices.Contains(keysOf(t, own, sessionPrefix), sessionKey(other.Shelf(), idOf(other))) {
			t.Errorf("stopped after %d changes: the session that has ended is kept", at)
		}
		if done {
			if made < 5 {
				t.Errorf("only %d changes were made", made)
			}
			return
		}
	}
}

// TestPasswordOfTwoProcesses: what is changed at one process counts at once at the
// other, which remembers the session; also for one that is opened meanwhile.
func TestPasswordOfTwoProcesses(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	ann := left.person("ann")
	for round := range 6 {
		mine, other := must(ann.visits(left.Node)), must(ann.visits(right.Node))
		if !right.isOpen(other) || !left.isOpen(other) {
			t.Fatal("a session is not open")
		}
		at, old := left.in(mine), *ann
		var late wire.Token
		left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "vault/") }, func() {
			late = must(old.visits(right.Node))
			if !right.isOpen(late) {
				t.Error("a session is not open")
			}
		})
		var err error
		if round%2 == 0 {
			v := ann.newPassword()
			err = at.PutVault(t.Context(), v)
			ann.heads = append(ann.heads, v.Head)
		} else {
			err = at.EndOtherSessions(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		for what, token := range map[string]wire.Token{"an older one": other, "one opened meanwhile": late} {
			if token.IsZero() || right.isOpen(token) || left.isOpen(token) {
				t.Errorf("round %d: %s goes on", round, what)
			}
		}
		if !right.isOpen(mine) {
			t.Errorf("round %d: the session of the change has ended", round)
		}
	}
}

// TestVaultBesideEnd: a version of the vault that is written while all other sessions
// end is no later for that. Where it comes from a session that ends, it is refused.
func TestVaultBesideEnd(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	ann := left.person("ann")
	mine, other := must(ann.visits(left.Node)), must(ann.visits(left.Node))
	for name, ends := range map[string]bool{"by the same session": false, "by another": true} {
		at, by := left.in(mine), right.in(mine)
		if ends {
			at = left.in(other)
		}
		v := ann.nextVault()
		left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "vault/") }, func() {
			if err := by.EndOtherSessions(t.Context()); err != nil {
				t.Error(err)
			}
		})
		err := at.PutVault(t.Context(), v)
		if ends {
			silent(t, name, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ann.heads = append(ann.heads, v.Head)
		other = must(ann.visits(left.Node))
	}
}

// TestPasswordsAtOnce: of devices that change the password at once, one does, and its
// session alone goes on.
func TestPasswordsAtOnce(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	const devices = 8
	people, tokens, errs := make([]testPerson, devices), make([]wire.Token, devices), make([]error, devices)
	var vaults []wire.VaultRecord
	var sessions []held
	for i := range people {
		tokens[i] = must(ann.visits(n.Node))
		people[i] = *ann
		vaults, sessions = append(vaults, people[i].newPassword()), append(sessions, n.in(tokens[i]))
	}
	var all sync.WaitGroup
	for i, at := range sessions {
		all.Go(func() { errs[i] = at.PutVault(t.Context(), vaults[i]) })
	}
	all.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
		}
		_, wrong := people[i].visits(n.Node)
		if open := n.isOpen(tokens[i]); (wrong == nil) != (err == nil) || open != (err == nil) {
			t.Errorf("device %d: %v; its password: %v, its session open: %v", i, err, wrong, open)
		}
	}
	if won != 1 {
		t.Errorf("%d devices have changed the password, want 1", won)
	}
}

// TestLateLogin: a log-in that was checked before the password changed, and is kept
// after, opens nothing.
func TestLateLogin(t *testing.T) {
	slow := &slowGet{Store: storetest.NewMemory()}
	n := newWorld(t).open(north, slow, nil)
	ann := n.person("ann")
	mine := must(ann.visits(n.Node))
	at, old, v := n.in(mine), *ann, ann.newPassword()
	var once sync.Once
	slow.after = func(key string) {
		if strings.HasPrefix(key, "device/") { // the last that is read before the answer is checked
			once.Do(func() {
				if err := at.PutVault(t.Context(), v); err != nil {
					t.Error(err)
				}
			})
		}
	}
	late, err := old.visits(n.Node)
	if err == nil && n.isOpen(late) {
		t.Error("the session is open")
	}
}
