package node

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// silent demands an error that tells nothing.
func silent(t *testing.T, what string, err error) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || *e != (wire.Error{Kind: wire.Unauthenticated}) {
		t.Errorf("%s: got error %#v, want unauthenticated and nothing else", what, err)
	}
}

func TestLogin(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	for _, purpose := range []wire.Purpose{wire.PurposeLogin, wire.PurposeRecovery} {
		c := l.challenges(t, "ann", purpose)
		if c.Random != l.ann.slots.Random || c.Argon2 != l.ann.slots.Argon2 {
			t.Errorf("%s: got salt %v %v, want %v %v", purpose, c.Random, c.Argon2, l.ann.slots.Random, l.ann.slots.Argon2)
		}
		if want := l.clock.now().Add(60 * time.Second).UnixMilli(); c.Expires != want {
			t.Errorf("%s: expires %d, want %d", purpose, c.Expires, want)
		}
		reply, err := l.Login(t.Context(), l.ann.answer(t, visitorNode, purpose, c, nil), someAddress)
		if err != nil {
			t.Fatalf("%s: %v", purpose, err)
		}
		if reply.Account != l.ann.account || reply.Token.IsZero() || reply.DeviceToken.IsZero() || reply.Token.Reveal() == reply.DeviceToken.Reveal() {
			t.Errorf("%s: got %+v", purpose, reply)
		}
		p, err := l.Authenticate(t.Context(), reply.Token)
		if err != nil {
			t.Fatalf("%s: %v", purpose, err)
		}
		want := wire.SessionReply{
			Handle: "ann", Account: l.ann.account, Device: "ann's laptop",
			Created: l.clock.now().UnixMilli(), Expires: l.clock.now().Add(DefaultSessionLifetime).UnixMilli(),
		}
		if got := p.Session(); got != want {
			t.Errorf("%s: session %+v, want %+v", purpose, got, want)
		}
	}
}

// TestLoginRefuses spoils one thing of a log-in that would have worked.
func TestLoginRefuses(t *testing.T) {
	var l *loginNode
	other := newVisitor(t, visitorNode, "ann", time.Now())
	for _, test := range []struct {
		name  string
		spoil func(*wire.LoginRequest)
	}{
		{"no answer", func(r *wire.LoginRequest) { r.Answer = nil }},
		{"a short answer", func(r *wire.LoginRequest) { r.Answer = r.Answer[:64] }},
		{"another password", func(r *wire.LoginRequest) {
			c := wire.ChallengeReply{Nonce: r.Nonce, Expires: r.Expires, Tag: r.Tag}
			*r = other.answer(t, visitorNode, r.Purpose, c, nil)
		}},
		{"a bit of the answer", func(r *wire.LoginRequest) { r.Answer[len(r.Answer)-1] ^= 1 }},
		{"the recovery key", func(r *wire.LoginRequest) {
			c := wire.ChallengeReply{Nonce: r.Nonce, Expires: r.Expires, Tag: r.Tag}
			signed := &wire.Challenge{Version: 1, Suite: 1, Node: visitorNode, Handle: "ann", Purpose: wire.PurposeLogin, Nonce: c.Nonce, Expires: c.Expires}
			r.Answer, _ = signed.SignRecovery(l.ann.recovery)
		}},
		{"signed for another node", func(r *wire.LoginRequest) { respond(t, l, r, func(c *wire.Challenge) { c.Node = "evil.example" }) }},
		{"signed for another handle", func(r *wire.LoginRequest) { respond(t, l, r, func(c *wire.Challenge) { c.Handle = "bob" }) }},
		{"signed for another purpose", func(r *wire.LoginRequest) {
			respond(t, l, r, func(c *wire.Challenge) { c.Purpose = wire.PurposeRecovery })
		}},
		{"signed another nonce", func(r *wire.LoginRequest) { respond(t, l, r, func(c *wire.Challenge) { c.Nonce[0] ^= 1 }) }},
		{"signed another time", func(r *wire.LoginRequest) { respond(t, l, r, func(c *wire.Challenge) { c.Expires++ }) }},
		{"another nonce", func(r *wire.LoginRequest) {
			r.Nonce[0] ^= 1
			respond(t, l, r, nil)
		}},
		{"a later time", func(r *wire.LoginRequest) {
			r.Expires += 60_000
			respond(t, l, r, nil)
		}},
		{"another purpose", func(r *wire.LoginRequest) {
			r.Purpose = wire.PurposeRecovery
			respond(t, l, r, nil)
		}},
		{"another tag", func(r *wire.LoginRequest) { r.Tag[31] ^= 1 }},
		{"no tag", func(r *wire.LoginRequest) { r.Tag = wire.Hash{} }},
		{"too late", func(*wire.LoginRequest) { l.clock.advance(wire.ChallengeLifetime) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			l = newLoginNode(t, storetest.NewMemory())
			good := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
			bad := good
			bad.Answer = append(wire.Signed{}, good.Answer...)
			test.spoil(&bad)
			l.store.Reset()
			_, err := l.Login(t.Context(), bad, someAddress)
			silent(t, "spoiled", err)
			if l.store.Applies() != 0 {
				t.Errorf("the store was written to")
			}
			if test.name == "too late" {
				return
			}
			if _, err := l.Login(t.Context(), good, someAddress); err != nil {
				t.Errorf("unspoiled: %v", err)
			}
		})
	}
}

// respond signs r again as it now is, after change.
func respond(t *testing.T, l *loginNode, r *wire.LoginRequest, change func(*wire.Challenge)) {
	r.Answer = l.ann.answer(t, visitorNode, r.Purpose, wire.ChallengeReply{Nonce: r.Nonce, Expires: r.Expires}, change).Answer
}

// TestRelayedChallenge has the node of another name pass our challenge on to a
// person, and their answer to us.
func TestRelayedChallenge(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	c := l.challenges(t, "ann", wire.PurposeLogin)
	_, err := l.Login(t.Context(), l.ann.answer(t, "evil.example", wire.PurposeLogin, c, nil), someAddress)
	silent(t, "relayed", err)
}

// TestChallengeOfAnotherNode shows that only our own challenges count here,
// even from a node that claims our name.
func TestChallengeOfAnotherNode(t *testing.T) {
	l, other := newLoginNode(t, storetest.NewMemory()), newLoginNode(t, storetest.NewMemory())
	c := other.challenges(t, "ann", wire.PurposeLogin)
	_, err := l.Login(t.Context(), l.ann.answer(t, visitorNode, wire.PurposeLogin, c, nil), someAddress)
	silent(t, "foreign", err)
}

func TestChallengeIsSpentOnce(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	for range 5 {
		good := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
		var in, out atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := l.Login(t.Context(), good, newAddress())
				switch {
				case err == nil:
					in.Add(1)
				case errors.Is(err, wire.Unauthenticated):
					out.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 || out.Load() != 7 {
			t.Fatalf("%d got in and %d did not with one challenge, want 1 and 7", in.Load(), out.Load())
		}
		l.door.throttle = newThrottle(l.clock.now, false, newMemoryPurses())
	}
	n := 0
	for _, err := range l.own.Scan(t.Context(), store.Prefix(sessionPrefix)) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 5 {
		t.Errorf("%d sessions after 5 challenges, want 5", n)
	}
}

// TestLoginOnAnUnreliableStore stops the store between any two changes, and
// makes them twice: who was told of a session has it, and a challenge lets in
// once at most.
func TestLoginOnAnUnreliableStore(t *testing.T) {
	for seed := range uint64(30) {
		memory := storetest.NewMemory()
		l := newLoginNode(t, memory)
		memory.Chaos(seed)
		for range 5 {
			good := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
			in := 0
			for try := range 3 {
				reply, err := l.Login(t.Context(), good, someAddress)
				if try == 0 && errors.Is(err, wire.Unauthenticated) {
					t.Errorf("seed %d: refused by a change that was made twice", seed)
				}
				if err != nil {
					continue
				}
				in++
				if _, err := l.Authenticate(t.Context(), reply.Token); err != nil {
					t.Errorf("seed %d: session that was opened: %v", seed, err)
				}
			}
			if in > 1 {
				t.Errorf("seed %d: a challenge let in %d times", seed, in)
			}
			l.door.throttle = newThrottle(l.clock.now, false, newMemoryPurses())
		}
	}
}

// TestLoginTellsNothing compares a person with one who does not exist, and with
// one of whom only the name is left: same answers, same shape, same number of
// operations, for each step and purpose.
func TestLoginTellsNothing(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	nobody, gone := newVisitor(t, visitorNode, "nobody_here", l.clock.now()), newVisitor(t, visitorNode, "gone_today1", l.clock.now())
	must(l.Register(t.Context(), gone.request))
	if err := l.own.Apply(t.Context(), store.Change{Key: vaultKey(gone.account)}); err != nil {
		t.Fatal(err)
	}
	type cost struct{ gets, scans, scanned, applies, changes int }
	measure := func(do func()) cost {
		l.store.Reset()
		do()
		return cost{l.store.Gets(), l.store.Scans(), l.store.Scanned(), l.store.Applies(), l.store.Changes()}
	}
	device := l.logsIn(t).DeviceToken
	for _, purpose := range []wire.Purpose{wire.PurposeLogin, wire.PurposeRecovery} {
		for _, token := range []*wire.Token{nil, &device} {
			var costs [][2]cost
			var texts []string
			for _, who := range []*visitor{l.ann, nobody, gone} {
				var c wire.ChallengeReply
				challenge := measure(func() { c = l.challenges(t, who.handle, purpose) })
				bad := who.answer(t, visitorNode, purpose, c, func(c *wire.Challenge) { c.Nonce[3] ^= 1 })
				bad.DeviceToken = token
				login := measure(func() {
					_, err := l.Login(t.Context(), bad, newAddress())
					silent(t, string(who.handle), err)
				})
				costs = append(costs, [2]cost{challenge, login})
				texts = append(texts, shape(c))
			}
			if costs[0] != costs[1] || costs[0] != costs[2] {
				t.Errorf("%s: ann, nobody and who is gone cost the store %+v", purpose, costs)
			}
			if costs[0][0].gets == 0 || costs[0][1].gets == 0 || costs[0][1].applies != 0 {
				t.Errorf("%s: implausible costs %+v", purpose, costs[0])
			}
			if texts[0] != texts[1] || texts[0] != texts[2] {
				t.Errorf("%s: challenges differ in shape: %s", purpose, texts)
			}
		}
	}
	first, again := l.challenges(t, "nobody_here", wire.PurposeLogin), l.challenges(t, "nobody_here", wire.PurposeRecovery)
	third := l.challenges(t, "nobody_else", wire.PurposeLogin)
	if first.Random != again.Random || first.Random == third.Random || first.Random == (wire.Nonce{}) {
		t.Errorf("fake salts %v, %v of one and %v of another handle: want stable ones, each its own", first.Random, again.Random, third.Random)
	}
	if first.Nonce == again.Nonce {
		t.Error("a nonce came twice")
	}
	good := nobody.answer(t, visitorNode, wire.PurposeLogin, first, nil)
	_, err := l.Login(t.Context(), good, newAddress())
	silent(t, "somebody unknown with a key of their own", err)
	made := *nobody // with the keys that the node makes up, which nobody can have
	made.login = wire.NewLoginSecret(l.mac(wire.LabelFakeSalt, []byte("/login")))
	if c := l.challenges(t, "nobody_here", wire.PurposeLogin); l.decoyKey(t, "nobody_here") != made.login.Public() {
		t.Error("the test does not know how a decoy's key is made")
	} else {
		_, err := l.Login(t.Context(), made.answer(t, visitorNode, wire.PurposeLogin, c, nil), newAddress())
		silent(t, "a decoy", err)
	}
}

func (l *loginNode) decoyKey(t *testing.T, h wire.Handle) wire.LoginKey {
	t.Helper()
	return must(l.candidate(t.Context(), h)).login
}

// shape is the JSON of a reply with every letter and digit of values replaced.
func shape(v any) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z':
			return 'x'
		}
		return r
	}, string(wire.EncodeJSON(v)))
}

// TestAskedBeforeAChange asks for a challenge, and answers it when what it was made of
// has changed: by a new password, and by a registration under a handle that nobody
// had. What counts is what there is when it is answered, in one process and in several.
func TestAskedBeforeAChange(t *testing.T) {
	for _, shared := range []bool{false, true} {
		w := newWorld(t)
		w.twins = shared
		n := w.open(north, nil, nil)
		ann := n.person("ann")
		ask := func(h wire.Handle) wire.ChallengeReply {
			return must(n.Challenge(t.Context(), wire.ChallengeRequest{Handle: h, Purpose: wire.PurposeLogin}, newAddress()))
		}
		answer := func(v *visitor, c wire.ChallengeReply) error {
			_, err := n.Login(t.Context(), v.answer(t, north, wire.PurposeLogin, c, nil), newAddress())
			return err
		}
		old := &visitor{handle: "ann", login: ann.login}
		first, second, third := ask("ann"), ask("ann"), ask("ann")
		if err := answer(old, first); err != nil {
			t.Errorf("shared: %t: before the change: %v", shared, err)
		}
		slots := must(wire.DecodeSlots(ann.slots))
		ann.login = wire.NewLoginSecret(random32())
		slots.Login = ann.login.Public()
		ann.slots = must(slots.Encode())
		ann.putVault()
		silent(t, "the old password", answer(old, second))
		if err := answer(&visitor{handle: "ann", login: ann.login}, third); err != nil {
			t.Errorf("shared: %t: the new password: %v", shared, err)
		}
		bob := newVisitor(t, north, "bob_comes_late", w.clock.now())
		early := ask(bob.handle)
		must(n.Register(t.Context(), bob.request))
		if err := answer(bob, early); err != nil {
			t.Errorf("shared: %t: somebody who was registered meanwhile: %v", shared, err)
		}
	}
}

func TestLoginChecksWhatItIsSent(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	for _, r := range []wire.ChallengeRequest{
		{Handle: "", Purpose: wire.PurposeLogin},
		{Handle: "ann\x00", Purpose: wire.PurposeLogin},
		{Handle: "Ann", Purpose: wire.PurposeLogin},
		{Handle: "ann", Purpose: ""},
		{Handle: "ann", Purpose: "Login"},
	} {
		if _, err := l.Challenge(t.Context(), r, someAddress); !errors.Is(err, wire.Invalid) {
			t.Errorf("challenge %+v: got %v, want invalid", r, err)
		}
	}
	good := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
	for _, name := range []string{"", strings.Repeat("x", wire.MaxDeviceName+1), "a\nb", "a\x1b[2J", "\xff", "a\u202eb"} {
		r := good
		r.Device = name
		if _, err := l.Login(t.Context(), r, someAddress); !errors.Is(err, wire.Invalid) {
			t.Errorf("device %q: got %v, want invalid", name, err)
		}
	}
	for _, change := range []func(*wire.LoginRequest){
		func(r *wire.LoginRequest) { r.Handle = "Ann" }, func(r *wire.LoginRequest) { r.Purpose = "Login" },
	} {
		r := good
		change(&r)
		if _, err := l.Login(t.Context(), r, someAddress); !errors.Is(err, wire.Invalid) {
			t.Errorf("log-in %q, %q: got %v, want invalid", r.Handle, r.Purpose, err)
		}
	}
	good.Device = "Büro, 2. Stock"
	if _, err := l.Login(t.Context(), good, someAddress); err != nil {
		t.Error(err)
	}
}

// guess makes one wrong log-in and reports how it was refused.
func (l *loginNode) guess(t *testing.T, purpose wire.Purpose, device *wire.Token) wire.Kind {
	t.Helper()
	c := l.challenges(t, "ann", purpose)
	r := l.ann.answer(t, visitorNode, purpose, c, func(c *wire.Challenge) { c.Nonce[0] ^= 1 })
	r.DeviceToken = device
	_, err := l.Login(t.Context(), r, newAddress())
	return wire.KindOf(err)
}

// TestStrangerLocksNobodyOut guesses until a handle is throttled, from many
// addresses: a device that was there before gets in, and so does recovery.
func TestStrangerLocksNobodyOut(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	device, second := l.logsIn(t).DeviceToken, l.logsIn(t).DeviceToken
	throttled := 0
	for range 100 {
		if l.guess(t, wire.PurposeLogin, nil) == wire.Throttled {
			throttled++
		}
	}
	if throttled != 90 {
		t.Errorf("%d of 100 wrong log-ins at once were throttled, want 90", throttled)
	}
	fresh := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
	_, err := l.Login(t.Context(), fresh, newAddress())
	if wait := retryAfter(t, err); wait != 6*time.Second {
		t.Errorf("a new device waits for %v, want 6s", wait)
	}
	fresh.DeviceToken = &device
	reply, err := l.Login(t.Context(), fresh, newAddress())
	if err != nil {
		t.Fatalf("known device: %v", err)
	}
	if reply.DeviceToken.Reveal() != device.Reveal() {
		t.Error("a known device was given another token")
	}
	recovery := l.ann.answer(t, visitorNode, wire.PurposeRecovery, l.challenges(t, "ann", wire.PurposeRecovery), nil)
	if _, err := l.Login(t.Context(), recovery, newAddress()); err != nil {
		t.Errorf("recovery: %v", err)
	}
	throttled = 0
	for range 30 {
		if l.guess(t, wire.PurposeLogin, &device) == wire.Throttled {
			throttled++
		}
	}
	if throttled != 20 {
		t.Errorf("%d of 30 guesses with a stolen device token were throttled, want 20", throttled)
	}
	for range 100 {
		if kind := l.guess(t, wire.PurposeRecovery, nil); kind != wire.Unauthenticated {
			t.Errorf("a wrong recovery code from a new address: got %v", kind)
		}
	}
	recovery = l.ann.answer(t, visitorNode, wire.PurposeRecovery, l.challenges(t, "ann", wire.PurposeRecovery), nil)
	recovery.DeviceToken = &device
	if _, err := l.Login(t.Context(), recovery, newAddress()); err != nil {
		t.Errorf("recovery, after wrong passwords on this device and others' wrong codes: %v", err)
	}
	made := l.newToken()
	if kind := l.guess(t, wire.PurposeLogin, &made); kind != wire.Throttled {
		t.Errorf("a made-up device token: got %v, want throttled", kind)
	}
	fresh = l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
	fresh.DeviceToken = &second
	if _, err := l.Login(t.Context(), fresh, newAddress()); err != nil {
		t.Errorf("another known device: %v", err)
	}
}

// TestUnknownHandleIsThrottledAlike shows that a budget tells nothing either.
func TestUnknownHandleIsThrottledAlike(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	var got [2]string
	for i, h := range []wire.Handle{"ann", "nobody_here"} {
		for range 20 {
			r := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, h, wire.PurposeLogin), nil)
			r.Handle, r.Answer[0] = h, r.Answer[0]^1
			_, err := l.Login(t.Context(), r, newAddress())
			got[i] += fmt.Sprint(wire.ProblemOf(err).Code, wire.ProblemOf(err).Retry, " ")
		}
	}
	if got[0] != got[1] {
		t.Errorf("ann: %s\nnobody: %s", got[0], got[1])
	}
}

func TestAddressIsThrottled(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	throttled := 0
	for i := range 30 {
		h := wire.Handle(fmt.Sprint("person", i))
		r := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, h, wire.PurposeLogin), nil)
		r.Handle = h
		if _, err := l.Login(t.Context(), r, someAddress); errors.Is(err, wire.Throttled) {
			throttled++
		}
	}
	if throttled != 20 {
		t.Errorf("%d of 30 guesses from one address were throttled, want 20", throttled)
	}
}

// TestReplayIsAGuess shows that an answer that was used before burns the budget
// of failures, and that log-ins are rationed even if they are answered with
// what is no challenge of ours.
func TestReplayIsAGuess(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	good := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
	if _, err := l.Login(t.Context(), good, newAddress()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, err := l.Login(t.Context(), good, newAddress())
		silent(t, "again", err)
	}
	if _, err := l.Login(t.Context(), good, newAddress()); !errors.Is(err, wire.Throttled) {
		t.Errorf("the 11th time: got %v, want throttled", err)
	}
	good.Tag[0] ^= 1
	throttled := 0
	for range 100 {
		if _, err := l.Login(t.Context(), good, someAddress); errors.Is(err, wire.Throttled) {
			throttled++
		}
	}
	if throttled != 40 {
		t.Errorf("%d of 100 log-ins from one address were throttled, want 40", throttled)
	}
}
