package federation

import (
	"errors"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestRetryAfter leaves a node alone for as long as it said, with what it said as the
// answer to whoever would ask it; for other things it is asked.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		kind       wire.Kind
		said, want time.Duration
	}{
		{wire.Throttled, 30 * time.Second, 30 * time.Second},
		{wire.Unavailable, time.Second, time.Second},
		{wire.Throttled, 20 * time.Hour, maxRest},
		{wire.Throttled, 0, 0},
	} {
		a, b := startNode(t), startNode(t)
		start, passed := time.Now(), time.Duration(0)
		a.client.now = func() time.Time { return start.Add(passed) }
		b.api.err = &wire.Error{Kind: test.kind, Detail: "not now", RetryAfter: test.said}
		asks := func(arrives bool) {
			t.Helper()
			calls := b.api.calls.Load()
			_, err := askKeys(t.Context(), a, b)
			var e *wire.Error
			if !errors.As(err, &e) || e.Kind != test.kind || e.Detail != "not now" {
				t.Fatalf("%v after %v: got %v", test, passed, err)
			}
			if got := b.api.calls.Load() > calls; got != arrives {
				t.Errorf("%v after %v: asked %t, want %t", test, passed, got, arrives)
			}
			if left := test.want - passed; !arrives && e.RetryAfter != left {
				t.Errorf("%v after %v: told to wait for %v, want %v", test, passed, e.RetryAfter, left)
			}
		}
		asks(true)
		if test.want > 0 {
			state, err := a.client.State(t.Context(), b.name)
			if err != nil {
				t.Fatal(err)
			}
			asks(false)
			passed = test.want - time.Millisecond
			asks(false)
			if again, err := a.client.State(t.Context(), b.name); err != nil || again != state {
				t.Errorf("%v: nobody was asked, and noticed was %+v after %+v (%v)", test, again, state, err)
			}
			passed = -time.Hour
			a.client.Sweep()
			passed = 0
			if a.client.resting(b.name, wire.PathPeerKeys) == nil {
				t.Errorf("%v: it was forgotten", test)
			}
		}
		calls := b.api.calls.Load()
		if a.client.To(b.name).Notice(t.Context(), wire.NoticeRequest{}); b.api.calls.Load() == calls {
			t.Errorf("%v: it is not asked for something else", test)
		}
		passed = test.want
		a.client.Sweep()
		if _, ok := a.client.rests[wire.PathPeerKeys].get(b.name); ok {
			t.Errorf("%v: it is remembered for ever", test)
		}
		asks(true)
		passed = -24 * time.Hour
		asks(true) // the clock went back
	}
}
