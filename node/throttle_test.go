package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// testClock is a clock that stands still until it is moved.
type testClock struct{ at time.Time }

func newTestClock() *testClock               { return &testClock{time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }
func (c *testClock) now() time.Time          { return c.at }
func (c *testClock) advance(d time.Duration) { c.at = c.at.Add(d) }

// retryAfter is how long a throttled caller is told to wait, 0 if not throttled.
func retryAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	var e *wire.Error
	if err == nil {
		return 0
	}
	if !errors.As(err, &e) || e.Kind != wire.Throttled || e.RetryAfter <= 0 {
		t.Fatalf("got %v, want throttled with a time to wait", err)
	}
	return e.RetryAfter
}

// fails makes one failed attempt and returns how long to wait instead, if so.
func fails(t *testing.T, th *throttle, claims ...claim) time.Duration {
	t.Helper()
	_, err := th.attempt(t.Context(), claims...)
	return retryAfter(t, err)
}

// testPurses are in memory, but for TestSharedBudgets.
func testPurses(t *testing.T) purses {
	if !strings.HasPrefix(t.Name(), "TestSharedBudgets/") {
		return newMemoryPurses()
	}
	return storedPurses{storetest.NewMemory(), testPurseKey}
}

func testPurseKey(c claim) string { return fmt.Sprintf("%s%x", pursePrefix, string(c.name)+"/"+c.key) }

// TestSharedBudgets says of budgets in a store what others say of those in memory.
func TestSharedBudgets(t *testing.T) {
	t.Run("budgets", TestBudgets)
	t.Run("backoff", TestBackoffGrows)
	t.Run("success", TestSuccessIsFree)
	t.Run("crossed", TestAttemptsCross)
	t.Run("apart", TestBudgetsAreApart)
	t.Run("refused", TestRefusedCostsNothing)
}

// TestBudgetOfBoth: what two processes give out at once is no more than what one would.
func TestBudgetOfBoth(t *testing.T) {
	clock := newTestClock()
	m := cuttable{storetest.NewMemory(), new(atomic.Bool), new(atomic.Bool), new(atomic.Pointer[func(store.Change)])}
	var both []*throttle
	for range 2 {
		both = append(both, newThrottle(clock.now, false, storedPurses{m, testPurseKey}))
	}
	var got atomic.Int64
	try := func(th *throttle, handle string) {
		if _, err := th.attempt(t.Context(), claim{guessAccount, handle}); err == nil {
			got.Add(1)
		}
	}
	between := func(store.Change) { // the other's look and its change
		if m.before.Swap(nil) != nil {
			try(both[1], "ann")
		}
	}
	for range 9 {
		try(both[0], "ann")
	}
	m.before.Store(&between) // both have seen that one is left
	try(both[0], "ann")
	if n := got.Swap(0); n != 10 {
		t.Errorf("%d guesses, of which two wanted the last at once, want 10", n)
	}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() { try(both[i%2], "ben") })
	}
	all.Wait()
	for i := range 32 { // those who were not let in because so many came at once
		try(both[i%2], "ben")
	}
	if got.Load() != 10 {
		t.Errorf("%d guesses at once, want 10", got.Load())
	}
}

// TestPursesAreSwept: those that are whole again go, and tell nothing while they are there.
func TestPursesAreSwept(t *testing.T) {
	o := newOffice(t, usualPace)
	n := o.opens()
	const address = "192.0.2.77"
	th := n.door.throttle
	if err := th.take(t.Context(), askLogin, address); err != nil {
		t.Fatal(err)
	}
	if _, err := th.attempt(t.Context(), claim{guessAccount, "ann"}, claim{guessAddress, address}); err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(t, o.own, "") {
		rec := must(o.own.Get(t.Context(), key))
		if strings.Contains(key+string(rec.Value), address) || strings.Contains(key, hex.EncodeToString([]byte(address))) {
			t.Errorf("%s tells who asked", key)
		}
	}
	for _, test := range []struct {
		after time.Duration
		left  int
	}{{0, 3}, {wire.MaxSkew + 2*time.Second, 2}, {25 * time.Hour, 0}} {
		o.w.clock.advance(test.after)
		if err := n.sweepPurses(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(keysOf(t, o.own, pursePrefix)); got != test.left {
			t.Errorf("%v later: %d are left, want %d", test.after, got, test.left)
		}
	}
}

func TestBudgets(t *testing.T) {
	for _, test := range []struct {
		name        budgetName
		development bool
		atOnce      int           // how many at first
		wait        time.Duration // until the next one
		dayAtMost   int           // how many when somebody keeps asking for a day
	}{
		{guessAccount, false, 10, 6 * time.Second, 200},
		{guessAddress, false, 10, 6 * time.Second, 200},
		{guessDevice, false, 10, 6 * time.Second, 200},
		{recoveryAddress, false, 10, 6 * time.Second, 200},
		{guessAccount, true, 10, 6 * time.Second, 200},
		{askChallenge, false, 60, time.Second, 0},
		{askLogin, false, 60, time.Second, 0},
		{askRegister, false, 10, 6 * time.Second, 200},
		{askHeads, false, 60, time.Second, 0},
		{askRecovery, false, 120, time.Second / 2, 0},
		{askKeys, false, 120, time.Second / 2, 0},
		{askKeys, true, 12000, 5 * time.Millisecond, 0},
		{askPeerKeys, false, 3000, 20 * time.Millisecond, 0},
		{askWebFinger, false, 60, time.Second, 2000},
	} {
		t.Run(fmt.Sprintf("%s development=%v", test.name, test.development), func(t *testing.T) {
			clock := newTestClock()
			th := newThrottle(clock.now, test.development, testPurses(t))
			ask := func() time.Duration {
				if budgets[test.name].backoff {
					return fails(t, th, claim{test.name, "a"})
				}
				return retryAfter(t, th.take(t.Context(), test.name, "a"))
			}
			for i := range test.atOnce {
				if wait := ask(); wait != 0 {
					t.Fatalf("request %d: throttled for %v", i+1, wait)
				}
			}
			if wait := ask(); wait != test.wait {
				t.Errorf("request %d: told to wait for %v, want %v", test.atOnce+1, wait, test.wait)
			}
			clock.advance(test.wait - 1)
			if ask() == 0 {
				t.Errorf("got in before the time to wait was over")
			}
			clock.advance(1)
			if wait := ask(); wait != 0 {
				t.Errorf("throttled for %v after the time to wait", wait)
			}
			if test.dayAtMost == 0 {
				return
			}
			count, end := test.atOnce+1, clock.at.Add(24*time.Hour)
			for clock.at.Before(end) {
				if wait := ask(); wait > 0 {
					clock.advance(wait)
				} else {
					count++
				}
			}
			if count > test.dayAtMost || count < 100 {
				t.Errorf("%d in a day, want 100 to %d", count, test.dayAtMost)
			}
		})
	}
	if len(newMemoryPurses().(*memoryPurses).of) != len(budgets) {
		t.Error("a budget has no purses")
	}
}

func TestBackoffGrows(t *testing.T) {
	clock := newTestClock()
	th := newThrottle(clock.now, false, testPurses(t))
	var waits []time.Duration
	for len(waits) < 12 {
		if wait := fails(t, th, claim{guessAccount, "ann"}); wait > 0 {
			waits = append(waits, wait)
			clock.advance(wait)
		}
	}
	for i, wait := range waits {
		if want := min(maxBackoff, 6*time.Second<<i); wait != want {
			t.Errorf("wait %d: got %v, want %v (all: %v)", i, wait, want, waits)
		}
	}
	clock.advance(48 * time.Hour)
	for i := range 10 {
		if wait := fails(t, th, claim{guessAccount, "ann"}); wait > 0 {
			t.Errorf("failure %d, two days later: throttled for %v", i+1, wait)
		}
	}
}

// TestSuccessIsFree shows that log-ins that succeed never use a budget up, and
// that an attacker does not reset an address by logging in to their own account.
func TestSuccessIsFree(t *testing.T) {
	clock := newTestClock()
	th := newThrottle(clock.now, false, testPurses(t))
	mine := []claim{{guessAccount, "mallory"}, {guessAddress, "192.0.2.1"}}
	for i := range 1000 {
		a, err := th.attempt(t.Context(), mine...)
		if err != nil {
			t.Fatalf("log-in %d: %v", i+1, err)
		}
		a.succeeded(t.Context())
	}
	got := 0
	for i := range 200 {
		if fails(t, th, claim{guessAccount, fmt.Sprint("victim", i)}, mine[1]) == 0 {
			got++
		}
		if a, err := th.attempt(t.Context(), mine...); err == nil {
			a.succeeded(t.Context())
		}
	}
	if got != 10 {
		t.Errorf("%d guesses from one address between successful log-ins, want 10", got)
	}
	for end := clock.at.Add(time.Hour); clock.at.Before(end); clock.advance(time.Second) {
		if fails(t, th, claim{guessAccount, fmt.Sprint("victim", clock.at)}, mine[1]) == 0 {
			got++
		}
		if a, err := th.attempt(t.Context(), mine...); err == nil {
			a.succeeded(t.Context())
		}
	}
	if got > 25 {
		t.Errorf("%d guesses from one address in an hour with successful log-ins in between: the wait does not grow", got)
	}
}

// Attempts of which each read the clock before the one that was counted first are
// not told to wait.
func TestAttemptsCross(t *testing.T) {
	clock := newTestClock()
	th := newThrottle(clock.now, false, testPurses(t))
	for i := range 9 {
		if wait := fails(t, th, claim{guessAddress, "192.0.2.1"}); wait != 0 {
			t.Fatalf("attempt %d has to wait for %v", i+1, wait)
		}
		clock.advance(-time.Millisecond)
	}
	fails(t, th, claim{guessAddress, "192.0.2.1"})
	if fails(t, th, claim{guessAddress, "192.0.2.1"}) == 0 {
		t.Error("there is no end to them")
	}
}

func TestBudgetsAreApart(t *testing.T) {
	clock := newTestClock()
	th := newThrottle(clock.now, false, testPurses(t))
	for i := range 100 {
		fails(t, th, claim{guessAccount, "ann"}, claim{guessAddress, fmt.Sprintf("192.0.2.%d", i)})
	}
	if fails(t, th, claim{guessAccount, "ann"}, claim{guessAddress, "198.51.100.1"}) == 0 {
		t.Fatal("a stranger guesses on")
	}
	for _, other := range [][]claim{
		{{guessDevice, "ann's phone"}},
		{{recoveryAddress, "198.51.100.1"}},
		{{guessAccount, "bob"}, {guessAddress, "198.51.100.1"}},
	} {
		if wait := fails(t, th, other...); wait > 0 {
			t.Errorf("%v: locked out for %v by a stranger's guesses", other, wait)
		}
	}
}

// TestRefusedCostsNothing shows that one budget that is used up spares the
// others, and that what was refused takes no place among what is remembered.
func TestRefusedCostsNothing(t *testing.T) {
	th := newThrottle(newTestClock().now, false, testPurses(t))
	from := claim{guessAddress, "192.0.2.1"}
	for i := range 500 {
		fails(t, th, claim{guessAccount, fmt.Sprint("ann", i)}, from)
	}
	switch p := th.purses.(type) {
	case *memoryPurses:
		if n := p.of[guessAccount].Len(); n != 10 {
			t.Errorf("%d handles remembered after 10 attempts and 490 refusals, want 10", n)
		}
	case storedPurses:
		if n := len(keysOf(t, p.own, pursePrefix)); n != 11 {
			t.Errorf("%d purses stored after 10 attempts and 490 refusals, want 11", n)
		}
	}
	for range 10 {
		if wait := fails(t, th, claim{guessAccount, "ann499"}); wait > 0 {
			t.Fatalf("throttled for %v by refused attempts", wait)
		}
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle(newTestClock().now, false, testPurses(t))
	for i := range throttleCap + 1000 {
		if err := th.take(t.Context(), askChallenge, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := th.purses.(*memoryPurses).of[askChallenge].Len(); n != throttleCap {
		t.Errorf("%d remembered, want %d", n, throttleCap)
	}
}

func TestNetwork(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		a, b := network(netip.MustParseAddr(test.a)), network(netip.MustParseAddr(test.b))
		if (a == b) != test.same {
			t.Errorf("%s is %q, %s is %q: want same %v", test.a, a, test.b, b, test.same)
		}
	}
	if network(netip.Addr{}) == "" {
		t.Error("an unknown address has no name")
	}
}
