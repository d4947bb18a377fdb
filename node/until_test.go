package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestUntils: who begins within a second of another has its context, which lets
// both go on for requestTime at least, and for a second more at most; the end of
// the server ends all. Only what is inside is counted by the gate.
func TestUntils(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, end := context.WithCancel(t.Context())
		u := untils{gate: &gate{most: 1}, base: base}
		first := u.at(time.Now())
		time.Sleep(sharedFor - 1)
		if second := u.at(time.Now()); second != first {
			t.Error("two of one second have contexts of their own")
		}
		second := time.Now()
		time.Sleep(time.Nanosecond)
		next := u.at(time.Now())
		if next == first || u.at(time.Now()) != next {
			t.Error("the next second has no context of its own")
		}
		time.Sleep(time.Until(second.Add(requestTime)))
		for _, ctx := range []context.Context{first.outside, first.inside} {
			if ctx.Err() != nil {
				t.Errorf("%s after it began, a request ends: %v", requestTime, ctx.Err())
			}
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		for _, ctx := range []context.Context{first.outside, first.inside} {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("a request goes on: %v", ctx.Err())
			}
		}
		if next.inside.Err() != nil {
			t.Error("a later request has ended")
		}
		end()
		if !errors.Is(next.inside.Err(), context.Canceled) || !errors.Is(u.at(time.Now()).inside.Err(), context.Canceled) {
			t.Error("the end of the server ends not all")
		}
		u.gate.enter()
		for ctx, want := range map[context.Context]int64{next.outside: 1, next.inside: 0} {
			back := waiting(ctx)
			if got := u.gate.working.Load(); got != want {
				t.Errorf("%d are counted, want %d", got, want)
			}
			back()
		}
		if u.gate.leave(); u.gate.working.Load() != 0 {
			t.Error("one is counted that has left")
		}
	})
}
