package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// An appliance is what somebody has to make codes: an app, and a list of backup codes.
type appliance struct {
	secret wire.TOTPSecret
	backup []wire.FactorCode
}

func newAppliance() *appliance { return &appliance{secret: wire.NewTOTPSecret(random32())} }

func (a *appliance) codeAt(at time.Time) wire.FactorCode {
	return a.secret.Code(uint64(at.Unix()) / wire.TOTPStep)
}

// hashes are those of new backup codes.
func (a *appliance) hashes(of wire.AccountID) (hashes []wire.Hash) {
	a.backup = nil
	for range wire.BackupCodes {
		code := wire.NewBackupCode(random32())
		a.backup, hashes = append(a.backup, code), append(hashes, code.Hash(of))
	}
	return hashes
}

// takes takes a backup code from the list.
func (a *appliance) takes() wire.FactorCode {
	code := a.backup[0]
	a.backup = a.backup[1:]
	return code
}

func (a *appliance) request(of wire.AccountID, now time.Time) wire.SecondFactorRequest {
	return wire.SecondFactorRequest{Kind: wire.FactorTOTP, Secret: a.secret, Code: a.codeAt(now), Backup: a.hashes(of)}
}

// protects gives ann a second factor.
func (l *loginNode) protects(t testing.TB) *appliance {
	t.Helper()
	a := newAppliance()
	if err := asAnn(t, l.Node, l.ann.account).PutSecondFactor(t.Context(), a.request(l.ann.account, l.clock.now())); err != nil {
		t.Fatal(err)
	}
	l.clock.advance(2 * wire.TOTPStep * time.Second)
	return a
}

// asAnn is ann at a node, her answers held to the file.
func asAnn(t testing.TB, n *Node, account wire.AccountID) held {
	return held{n.As(account, "ann"), t}
}

// enters logs ann in, with a code unless that is zero.
func (l *loginNode) enters(t testing.TB, n *Node, code wire.FactorCode) error {
	c, err := n.Challenge(context.Background(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, newAddress())
	if err != nil {
		return err
	}
	req := l.ann.answer(t, visitorNode, wire.PurposeLogin, c, nil)
	if !code.IsZero() {
		req.Code = &code
	}
	login := n.Login
	if n == l.Node {
		login = l.Login
	}
	_, err = login(context.Background(), req, newAddress())
	return err
}

func TestSecondFactor(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	ann := asAnn(t, l.Node, l.ann.account)
	if got := must(ann.SecondFactor(t.Context())); len(got.Kinds) != 0 || got.Kinds == nil || got.Backup != 0 {
		t.Errorf("before: %+v", got)
	}
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), "")
	kind(t, l.enters(t, l.Node, wire.NewBackupCode(random32())), "") // nobody asked for one
	kind(t, ann.PutBackup(t.Context(), wire.BackupRequest{Backup: newAppliance().hashes(l.ann.account)}), wire.NotExist)

	a := l.protects(t)
	if got := must(ann.SecondFactor(t.Context())); len(got.Kinds) != 1 || got.Kinds[0] != wire.FactorTOTP || got.Backup != 10 {
		t.Errorf("when it is on: %+v", got)
	}
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), wire.SecondFactor)
	kind(t, l.enters(t, l.Node, newAppliance().codeAt(l.clock.now())), wire.SecondFactor)
	kind(t, l.enters(t, l.Node, wire.NewBackupCode(random32())), wire.SecondFactor)
	kind(t, l.enters(t, l.Node, a.codeAt(l.clock.now())), "")
	old := a.takes()
	kind(t, l.enters(t, l.Node, old), "")
	if got := must(ann.SecondFactor(t.Context())); got.Backup != 9 {
		t.Errorf("after one was used: %+v", got)
	}

	old = a.takes()
	if err := ann.PutBackup(t.Context(), wire.BackupRequest{Backup: a.hashes(l.ann.account)}); err != nil {
		t.Fatal(err)
	}
	kind(t, l.enters(t, l.Node, old), wire.SecondFactor)
	kind(t, l.enters(t, l.Node, a.takes()), "")
	for range 2 {
		if err := ann.EndSecondFactor(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), "")
}

// TestSecondFactorRefuses hands in what makes no second factor.
func TestSecondFactorRefuses(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	ann := asAnn(t, l.Node, l.ann.account)
	for name, test := range map[string]struct {
		spoil func(*wire.SecondFactorRequest)
		want  wire.Kind
	}{
		"a later kind":      {func(r *wire.SecondFactorRequest) { r.Kind = 2 }, wire.Update},
		"no kind":           {func(r *wire.SecondFactorRequest) { r.Kind = 0 }, wire.Update},
		"no secret":         {func(r *wire.SecondFactorRequest) { r.Secret = wire.TOTPSecret{} }, wire.Invalid},
		"no code":           {func(r *wire.SecondFactorRequest) { r.Code = wire.FactorCode{} }, wire.Invalid},
		"another code":      {func(r *wire.SecondFactorRequest) { r.Code = newAppliance().codeAt(l.clock.now()) }, wire.Invalid},
		"nine backup codes": {func(r *wire.SecondFactorRequest) { r.Backup = r.Backup[:9] }, wire.Invalid},
		"eleven":            {func(r *wire.SecondFactorRequest) { r.Backup = append(r.Backup, random32()) }, wire.Invalid},
		"twice the same":    {func(r *wire.SecondFactorRequest) { r.Backup[3] = r.Backup[7] }, wire.Invalid},
		"an empty one":      {func(r *wire.SecondFactorRequest) { r.Backup[3] = wire.Hash{} }, wire.Invalid},
	} {
		r := newAppliance().request(l.ann.account, l.clock.now())
		test.spoil(&r)
		if err := ann.PutSecondFactor(t.Context(), r); wire.KindOf(err) != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	if got := must(ann.SecondFactor(t.Context())); len(got.Kinds) != 0 {
		t.Errorf("it is on: %+v", got)
	}
	a := l.protects(t)
	kind(t, ann.PutBackup(t.Context(), wire.BackupRequest{Backup: newAppliance().hashes(l.ann.account)[1:]}), wire.Invalid)
	kind(t, l.enters(t, l.Node, a.takes()), "")
}

// TestCodeWorksOnce shows each code again: at once, after others, and after the node was
// opened anew.
func TestCodeWorksOnce(t *testing.T) {
	own := storetest.NewMemory()
	l := newLoginNode(t, own)
	a := l.protects(t)
	code, spare := a.codeAt(l.clock.now()), a.takes()
	kind(t, l.enters(t, l.Node, code), "")
	kind(t, l.enters(t, l.Node, spare), "")
	again := must(Open(t.Context(), Options{Name: visitorNode, Own: own, Copies: storetest.NewMemory(), Now: l.clock.now, SyncInterval: time.Hour}))
	defer again.Close(context.Background())
	for _, n := range []*Node{l.Node, again} {
		kind(t, l.enters(t, n, code), wire.SecondFactor)
		kind(t, l.enters(t, n, spare), wire.SecondFactor)
	}
	kind(t, l.enters(t, l.Node, a.codeAt(l.clock.now().Add(-wire.TOTPStep*time.Second))), wire.SecondFactor)
	l.clock.advance(wire.TOTPStep * time.Second)
	kind(t, l.enters(t, l.Node, code), wire.SecondFactor)
	kind(t, l.enters(t, l.Node, a.codeAt(l.clock.now())), "")
}

// TestCodeOnAnUnreliableStore stops the store between any two changes, and makes them
// twice: a code lets in once at most, and nobody is refused for what they did themselves.
func TestCodeOnAnUnreliableStore(t *testing.T) {
	taken := 0
	for seed := range uint64(30) {
		memory := storetest.NewMemory()
		l := newLoginNode(t, memory)
		a := l.protects(t)
		memory.Chaos(seed)
		for range 3 {
			l.clock.advance(time.Minute)
			code, in := a.codeAt(l.clock.now()), 0
			for try := range 3 {
				err := l.passes(t.Context(), l.ann.account, &shownCode{code, newAddress()})
				if try == 0 && errors.Is(err, wire.SecondFactor) {
					t.Errorf("seed %d: refused by a change that was made twice", seed)
				}
				if err == nil {
					in++
				}
			}
			if in > 1 {
				t.Errorf("seed %d: one code let in %d times", seed, in)
			}
			taken += in
		}
		memory.Resume()
	}
	if taken < 30 {
		t.Errorf("%d of 90 codes were taken", taken)
	}
}

// TestFirstCodeIsSpent: the code that turned it on logs nobody in.
func TestFirstCodeIsSpent(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	a := newAppliance()
	r := a.request(l.ann.account, l.clock.now())
	if err := asAnn(t, l.Node, l.ann.account).PutSecondFactor(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	kind(t, l.enters(t, l.Node, r.Code), wire.SecondFactor)
}

// TestCodesAtOnce shows one code many times at once.
func TestCodesAtOnce(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	a := l.protects(t)
	for name, code := range map[string]wire.FactorCode{"of the app": a.codeAt(l.clock.now()), "backup": a.takes()} {
		if won := winners(t, code, func(code wire.FactorCode) error {
			return l.passes(context.Background(), l.ann.account, &shownCode{code, newAddress()})
		}); won != 1 {
			t.Errorf("%s: %d got in with one code", name, won)
		}
	}
}

// winners shows a code from many goroutines, to one way after the other, and counts who
// gets in.
func winners(t *testing.T, code wire.FactorCode, ways ...func(wire.FactorCode) error) int {
	t.Helper()
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 5 { // twice within the budget of ten
		all.Go(func() {
			switch err := ways[i%len(ways)](code); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, wire.SecondFactor):
				t.Error(err)
			}
		})
	}
	all.Wait()
	return int(won.Load())
}

// TestCodeOfTwoProcesses shows one code to two processes on one database.
func TestCodeOfTwoProcesses(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	ann := left.person("ann")
	a := newAppliance()
	if err := asAnn(t, left.Node, ann.account).PutSecondFactor(t.Context(), a.request(ann.account, left.now())); err != nil {
		t.Fatal(err)
	}
	way := func(n *worker) func(wire.FactorCode) error {
		return func(code wire.FactorCode) error {
			return n.passes(context.Background(), ann.account, &shownCode{code, newAddress()})
		}
	}
	for range 3 {
		left.world.clock.advance(2 * time.Minute)
		for _, code := range []wire.FactorCode{a.codeAt(left.now()), a.takes()} {
			if won := winners(t, code, way(left), way(right)); won != 1 {
				t.Errorf("%d got in with one code", won)
			}
		}
	}
	left.world.clock.advance(2 * time.Minute)
	// It is first at the right while the left is about to take it.
	code := a.takes()
	var first error
	left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "factor/") }, func() { first = way(right)(code) })
	second := way(left)(code)
	if first != nil || !errors.Is(second, wire.SecondFactor) {
		t.Errorf("the first got %v, the second %v", first, second)
	}
}

// TestCodeClocks shows codes of devices whose clock is off.
func TestCodeClocks(t *testing.T) {
	for off, want := range map[int]wire.Kind{-2: wire.SecondFactor, -1: "", 0: "", 1: "", 2: wire.SecondFactor} {
		l := newLoginNode(t, storetest.NewMemory())
		a := l.protects(t)
		l.clock.advance(time.Minute)
		at := l.clock.now().Add(time.Duration(off) * wire.TOTPStep * time.Second)
		if err := l.enters(t, l.Node, a.codeAt(at)); (err == nil) != (want == "") || err != nil && !errors.Is(err, want) {
			t.Errorf("%d steps: got %v, want %q", off, err, want)
		}
	}
}

// TestCodesAreThrottled guesses codes until the budget is used up, which leaves the
// right one out too, and neither the password nor recovery.
func TestCodesAreThrottled(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	a := l.protects(t)
	for i := range 30 { // without a code, it is no guess
		kind(t, l.enters(t, l.Node, wire.FactorCode{}), wire.SecondFactor)
		if i < 10 {
			kind(t, l.enters(t, l.Node, wire.NewBackupCode(random32())), wire.SecondFactor)
		}
	}
	kind(t, l.enters(t, l.Node, a.takes()), wire.Throttled)
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), wire.SecondFactor)
	l.clock.advance(time.Minute)
	kind(t, l.enters(t, l.Node, a.takes()), "")
	for range 20 { // what is right costs nothing
		l.clock.advance(time.Minute)
		kind(t, l.enters(t, l.Node, a.codeAt(l.clock.now())), "")
	}

	from := newAddress()
	for range 10 { // by network, over accounts
		err := l.passes(t.Context(), l.ann.account, &shownCode{wire.NewBackupCode(random32()), from})
		kind(t, err, wire.SecondFactor)
		l.clock.advance(5 * time.Second)
	}
	bob := wire.AccountID(random32())
	if err := l.own.Apply(t.Context(), put(factorKey(bob), &factorRecord{Version: recordVersion})); err != nil {
		t.Fatal(err)
	}
	kind(t, l.passes(t.Context(), bob, &shownCode{wire.NewBackupCode(random32()), from}), wire.Throttled)
	kind(t, l.passes(t.Context(), bob, &shownCode{wire.NewBackupCode(random32()), newAddress()}), wire.SecondFactor)
}

// TestStrangerSeesNoSecondFactor: who does not know the password gets the same answer,
// and has the node look up the same, whether there is a second factor or not.
func TestStrangerSeesNoSecondFactor(t *testing.T) {
	var reads [2]int64
	for i := range reads {
		l := newLoginNode(t, storetest.NewMemory())
		if i == 1 {
			l.protects(t)
		}
		c := l.challenges(t, "ann", wire.PurposeLogin)
		stranger := &visitor{handle: "ann", login: wire.NewLoginSecret(random32())}
		for _, code := range []*wire.FactorCode{nil, new(wire.NewBackupCode(random32()))} {
			req := stranger.answer(t, visitorNode, wire.PurposeLogin, c, nil)
			req.Code = code
			l.store.Reset()
			_, err := l.Login(t.Context(), req, newAddress())
			silent(t, "a wrong password", err)
			reads[i] += int64(l.store.Gets())
		}
	}
	if reads[0] != reads[1] {
		t.Errorf("%d look-ups without, %d with a second factor", reads[0], reads[1])
	}
}

// TestRecoveryEndsSecondFactor: who has the recovery code needs no other one.
func TestRecoveryEndsSecondFactor(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	l.protects(t)
	c := l.challenges(t, "ann", wire.PurposeRecovery)
	wrong := l.ann.answer(t, visitorNode, wire.PurposeLogin, c, nil)
	wrong.Purpose = wire.PurposeRecovery
	_, err := l.Login(t.Context(), wrong, someAddress)
	silent(t, "the password for recovery", err)
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), wire.SecondFactor)
	req := l.ann.answer(t, visitorNode, wire.PurposeRecovery, c, nil)
	if _, err := l.Login(t.Context(), req, someAddress); err != nil {
		t.Fatal(err)
	}
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), "")
	l.protects(t)
	_, err = l.Login(t.Context(), req, someAddress) // a challenge that is spent ends nothing
	silent(t, "again", err)
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), wire.SecondFactor)
}

// TestFactorOfLaterRelease: what is not understood lets nobody pass, but who recovers.
func TestFactorOfLaterRelease(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	a := l.protects(t)
	r, rev, err := l.factors(t.Context(), l.ann.account)
	if err != nil {
		t.Fatal(err)
	}
	r.Factors = append(r.Factors, factor{Kind: 2})
	if err := l.own.Apply(t.Context(), putIf(factorKey(l.ann.account), r, store.IfRevision(rev))); err != nil {
		t.Fatal(err)
	}
	ann := asAnn(t, l.Node, l.ann.account)
	kind(t, l.enters(t, l.Node, a.takes()), wire.Update)
	kind(t, ann.PutBackup(t.Context(), wire.BackupRequest{Backup: a.hashes(l.ann.account)}), wire.Update)
	kind(t, ann.PutSecondFactor(t.Context(), a.request(l.ann.account, l.clock.now())), wire.Update)
	_, err = ann.SecondFactor(t.Context())
	kind(t, err, wire.Update)
	c := l.challenges(t, "ann", wire.PurposeRecovery)
	if _, err := l.Login(t.Context(), l.ann.answer(t, visitorNode, wire.PurposeRecovery, c, nil), someAddress); err != nil {
		t.Fatal(err)
	}
	kind(t, l.enters(t, l.Node, wire.FactorCode{}), "")
}

// harmless are the requests of a session that change something and need no code, with
// the reason.
var harmless = map[string]string{
	"DELETE " + wire.PathSession: "ends the session that asks, and nothing else",
	"PUT " + wire.PathVault:      "needs a code where the slots change or keys are renewed (TestNewSlotsNeedACode, TestNewKeysNeedACode); else it is signed with the identity key, which is not in a session's token",
	"POST " + wire.PathKeys:      "looks keys up",
	"POST " + wire.PathFriends:   "signed with the identity key",
	"POST " + wire.PathWraps:     "for what is signed with the identity key",
	"POST " + wire.PathEntries:   "signed with the identity key",
}

// TestSensitiveRoutes asks each route that changes something of an account for that,
// without a code, with a wrong one, and with the right one.
func TestSensitiveRoutes(t *testing.T) {
	s := newLiveWorld(t).host()
	ann := s.person("ann")
	token := bearer(s.logsIn(ann).Token)
	other := s.logsIn(ann).Token
	a := newAppliance()
	if got := s.sends("PUT", wire.PathFactor, wire.EncodeJSON(a.request(ann.account, time.Now())), token); got.status != 204 {
		t.Fatalf("%+v", got)
	}
	next := newAppliance()
	next.backup = a.backup
	asks := map[string]struct {
		path string
		body any
	}{
		"DELETE " + wire.PathOneOfAll: {"/v1/sessions/" + idOf(other).String(), nil},
		"DELETE " + wire.PathSessions: {wire.PathSessions, nil},
		"PUT " + wire.PathFactor:      {wire.PathFactor, nil}, // made when it is asked
		"PUT " + wire.PathBackup:      {wire.PathBackup, nil},
		"DELETE " + wire.PathFactor:   {wire.PathFactor, nil},
		"POST " + wire.PathTombstone:  {wire.PathTombstone, wire.DeleteRequest{Tombstone: must(ann.tombstone().Sign(ann.identity))}},
	}
	guarded := map[string]bool{}
	for _, rt := range routes() {
		name := rt.method + " " + rt.pattern
		switch {
		case rt.open || rt.method == "GET":
			if rt.guarded {
				t.Errorf("%s is guarded, and nobody is known there, or nothing changed", name)
			}
		case rt.guarded == (harmless[name] != ""):
			t.Errorf("%s: guarded %t, and harmless because %q: it has to be one of both", name, rt.guarded, harmless[name])
		case rt.guarded:
			guarded[name] = true
		}
	}
	for _, name := range []string{"DELETE " + wire.PathOneOfAll, "DELETE " + wire.PathSessions, "PUT " + wire.PathBackup, "PUT " + wire.PathFactor, "DELETE " + wire.PathFactor, "POST " + wire.PathTombstone} {
		if !guarded[name] {
			t.Fatalf("%s is not guarded", name)
		}
		delete(guarded, name)
		s.forgiven()
		ask, method := asks[name], strings.Fields(name)[0]
		if name == "POST "+wire.PathTombstone { // the one before has turned it off
			a = newAppliance()
			if got := s.sends("PUT", wire.PathFactor, wire.EncodeJSON(a.request(ann.account, time.Now())), token); got.status != 204 {
				t.Fatalf("%+v", got)
			}
		}
		spare, rest := a.takes(), a.backup
		switch name {
		case "PUT " + wire.PathFactor:
			ask.body = a.request(ann.account, time.Now())
		case "PUT " + wire.PathBackup:
			ask.body = wire.BackupRequest{Backup: a.hashes(ann.account)}
		}
		fresh := a.backup
		a.backup = rest
		var body []byte
		if ask.body != nil {
			body = wire.EncodeJSON(ask.body)
		}
		send := func(header ...string) answer {
			got := s.sends(method, ask.path, body, header...)
			hold(t, method, ask.path, body, answered{status: got.status, body: []byte(got.body)})
			return got
		}
		before := s.records()
		for what, test := range map[string]struct {
			header []string
			want   int
		}{
			"no code":      {nil, 403},
			"a wrong code": {[]string{wire.HeaderSecondFactor + ": " + wire.NewBackupCode(random32()).Reveal()}, 403},
			"no spelling":  {[]string{wire.HeaderSecondFactor + ": 12345"}, 400},
		} {
			got := send(append(test.header, token)...)
			if got.status != test.want || test.want == 403 && !strings.Contains(got.body, `"code":"second_factor"`) {
				t.Errorf("%s, %s: got %d %s, want %d", name, what, got.status, got.body, test.want)
			}
		}
		if after := s.records(); !maps.Equal(before, after) {
			t.Errorf("%s: something has changed", name)
		}
		for range 10 {
			send(token, wire.HeaderSecondFactor+": "+wire.NewBackupCode(random32()).Reveal())
		}
		if got := send(token, wire.HeaderSecondFactor+": "+spare.Reveal()); got.status != 429 {
			t.Errorf("%s after many wrong codes: got %d %s", name, got.status, got.body)
		}
		s.forgiven()
		r, _, err := s.factors(t.Context(), ann.account)
		if err != nil {
			t.Fatal(err)
		}
		later := *r
		later.Factors = append(slices.Clone(r.Factors), factor{Kind: 2})
		for _, at := range []*factorRecord{&later, r} {
			if err := s.own.Apply(t.Context(), put(factorKey(ann.account), at)); err != nil {
				t.Fatal(err)
			}
			if got := send(token, wire.HeaderSecondFactor+": "+wire.NewBackupCode(random32()).Reveal()); (got.status == 426) != (at == &later) {
				t.Errorf("%s with a factor of a later release %t: got %d %s", name, at == &later, got.status, got.body)
			}
		}
		if got := send(token, wire.HeaderSecondFactor+": "+spare.Reveal()); got.status != 204 {
			t.Errorf("%s with a code: got %d %s", name, got.status, got.body)
		}
		if body != nil {
			a.backup = fresh
		}
	}
	for name := range guarded {
		t.Errorf("%s is guarded, and not tried here", name)
	}
}

// TestRepeatedCode wants a header that is there twice to be refused.
func TestRepeatedCode(t *testing.T) {
	code := [2]string{"second-factor", "123456"}
	for count, want := range []wire.Kind{"", "", wire.Invalid} {
		shown, err := (&incoming{headers: slices.Repeat([][2]string{code}, count)}).shownCode()
		kind(t, err, want)
		if (shown != nil) != (count == 1) {
			t.Errorf("%d headers: %+v", count, shown)
		}
	}
}

// TestNewSlotsNeedACode: a new password needs a code, other versions of the vault do not.
func TestNewSlotsNeedACode(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	token := must(ann.visits(n.Node))
	a := newAppliance()
	if err := n.in(token).PutSecondFactor(t.Context(), a.request(ann.account, n.now())); err != nil {
		t.Fatal(err)
	}
	ann.putVault()
	before := *ann
	v := ann.newPassword()
	kind(t, n.in(token).PutVault(t.Context(), v), wire.SecondFactor)
	if _, err := before.visits(n.Node); !errors.Is(err, wire.SecondFactor) {
		t.Errorf("the old password: %v", err)
	}
	for i := range 11 {
		at := n.in(token)
		at.shown = &shownCode{wire.NewBackupCode(random32()), newAddress()}
		kind(t, at.PutVault(t.Context(), v), map[bool]wire.Kind{true: wire.SecondFactor, false: wire.Throttled}[i < 10])
	}
	n.world.clock.advance(time.Hour)
	at := n.in(token)
	at.shown = &shownCode{a.takes(), newAddress()}
	if err := at.PutVault(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if err := n.in(token).PutVault(t.Context(), v); err != nil { // the answer was lost
		t.Errorf("again: %v", err)
	}
	if _, err := ann.visits(n.Node); !errors.Is(err, wire.SecondFactor) {
		t.Errorf("the new password: %v", err)
	}
}

// TestNewKeysNeedACode: nor are keys renewed without one.
func TestNewKeysNeedACode(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	token := must(ann.visits(n.Node))
	a := newAppliance()
	if err := n.in(token).PutSecondFactor(t.Context(), a.request(ann.account, n.now())); err != nil {
		t.Fatal(err)
	}
	u := ann.renewal(nil)
	before := n.records()
	kind(t, n.in(token).RenewKeys(t.Context(), u), wire.SecondFactor)
	if !maps.Equal(before, n.records()) {
		t.Error("something of it was kept")
	}
	at := n.in(token)
	at.shown = &shownCode{a.takes(), newAddress()}
	kind(t, at.RenewKeys(t.Context(), u), "")
}

// TestCodeForOneRequest: a request that has to begin again, because another one was
// first, needs no second code.
func TestCodeForOneRequest(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	ann := left.person("ann")
	mine := must(ann.visits(left.Node))
	a := newAppliance()
	if err := left.in(mine).PutSecondFactor(t.Context(), a.request(ann.account, left.now())); err != nil {
		t.Fatal(err)
	}
	at, by := left.in(mine), right.in(mine)
	at.shown = &shownCode{a.takes(), newAddress()}
	left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "vault/") }, func() {
		if err := by.EndOtherSessions(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := at.PutVault(t.Context(), ann.newPassword()); err != nil {
		t.Error(err)
	}
}

// TestSecondFactorRace: of two devices that turn it on at once, one does, and the other
// is told.
func TestSecondFactorRace(t *testing.T) {
	o := newOffice(t, usualPace)
	left, right := o.opens(), o.opens()
	ann := left.person("ann")
	first, second := newAppliance(), newAppliance()
	left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "factor/") }, func() {
		kind(t, asAnn(t, right.Node, ann.account).PutSecondFactor(t.Context(), first.request(ann.account, right.now())), "")
	})
	kind(t, asAnn(t, left.Node, ann.account).PutSecondFactor(t.Context(), second.request(ann.account, left.now())), wire.Conflict)
	kind(t, right.passes(t.Context(), ann.account, &shownCode{first.takes(), newAddress()}), "")
	left.interrupts(func(c store.Change) bool { return strings.HasPrefix(c.Key, "factor/") }, func() {
		kind(t, asAnn(t, right.Node, ann.account).EndSecondFactor(t.Context()), "")
	})
	kind(t, left.passes(t.Context(), ann.account, &shownCode{first.takes(), newAddress()}), "") // it is off
	if n := len(keysOf(t, o.own, "factor/")); n != 0 {
		t.Errorf("%d records are left", n)
	}
}
