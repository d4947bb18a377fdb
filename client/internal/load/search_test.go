package load

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// oneAtATime answers one request after the other within d. Who would be the
// room-th or a later one to wait is refused, with what header says.
func oneAtATime(d time.Duration, room int, header string) *pretender {
	turn, waiting := make(chan struct{}, 1), make(chan struct{}, room)
	return &pretender{answer: func(r *http.Request) (int, string, any) {
		select {
		case waiting <- struct{}{}:
			defer func() { <-waiting }()
		default:
			return http.StatusServiceUnavailable, header, wire.ProblemOf(wire.Errorf(wire.Unavailable, "", "this node is busy"))
		}
		turn <- struct{}{}
		defer func() { <-turn }()
		time.Sleep(d)
		return emptyFeed(r)
	}}
}

// tried lets a load of feeds do something to a node that answers one request
// after the other, in virtual time, and returns what it reports, also in words.
func tried(t *testing.T, header string, do func(ctx context.Context, l *Load) *Report) (r *Report, words string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := oneAtATime(10*time.Millisecond, 20, header)
		o := someOptions()
		o.Loop, o.Mix, o.Length, o.People, o.CheckEvery = Loop{Clients: 4, Outstanding: 50, Even: true}, Mix{feeds: 1}, 2*time.Second, 100, 0
		l := pretended(t, p, o)
		r = do(t.Context(), l)
		l.Close()
		p.close()
	})
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	return r, b.String()
}

// TestFindCapacity: the capacity of a node that does 100 requests a second; and
// of one that is too slow for what is asked of it.
func TestFindCapacity(t *testing.T) {
	r, words := tried(t, "", func(ctx context.Context, l *Load) *Report { return l.FindCapacity(ctx, 50*time.Millisecond) })
	if r.Capacity < 85 || r.Capacity > 101 || len(r.Steps) > maxSteps || !strings.Contains(words, "99 of 100 were done within 50 ms") || !strings.Contains(words, "too much: ") {
		t.Errorf("got %g of 100/s and\n%s", r.Capacity, words)
	}
	for i, s := range r.Steps[1:] {
		if s.Begin != r.Steps[i].End || s.End <= s.Begin {
			t.Errorf("step %d is from second %d to %d, the one before ended at %d", i+1, s.Begin, s.End, r.Steps[i].End)
		}
	}
	r, words = tried(t, "", func(ctx context.Context, l *Load) *Report { return l.FindCapacity(ctx, 5*time.Millisecond) })
	if r.Capacity != 0 || len(r.Steps) != 1 || !strings.Contains(words, "one client alone has a p99 of 10 ms, and 5 ms was asked for") {
		t.Errorf("got %g and\n%s", r.Capacity, words)
	}
}

// TestOverloadReport: five times as much as a node can do, of which it does as
// much as ever; refusals that do not say for how long are counted.
func TestOverloadReport(t *testing.T) {
	for _, header := range []string{"Retry-After: 1\r\n", ""} {
		r, words := tried(t, header, func(ctx context.Context, l *Load) *Report {
			r, err := l.Overload(ctx, 5)
			if err != nil {
				t.Error(err)
			}
			return r
		})
		o := r.Overload
		if o.Peak < 99 || o.Peak > 101 || o.Rate < 495 || o.Rate > 505 || o.Kept < 0.97 || o.Kept > 1.03 || len(r.Steps) != 2*overloadRounds {
			t.Errorf("%q: got %+v", header, o)
		}
		if all := 3 * 2 * 400.0; float64(o.Refused) < 0.95*all || float64(o.Refused) > 1.05*all || (o.Untold == 0) != (header != "") || o.P99 > 250 || o.RefusedP99 > 1 {
			t.Errorf("%q: got %+v, want 400 refused each second", header, o)
		}
		if !strings.Contains(words, "5 times the rate of the closed loop") || !strings.Contains(words, "this tool") {
			t.Errorf("%q: the table is\n%s", header, words)
		}
	}
}

// TestUnsentIsTold: what an overload kept from the nodes is in the table.
func TestUnsentIsTold(t *testing.T) {
	for unsent, want := range map[uint64]bool{0: false, 7: true} {
		var b strings.Builder
		if err := (&Report{Overload: new(OverloadReport), Steps: []Step{{}, {Rate: 5, Unsent: unsent}}}).Table(&b); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "7 that were due were not sent"); got != want {
			t.Errorf("%d: the table is\n%s", unsent, b.String())
		}
	}
}

// TestSessionEnds: where a node ends sessions, people log in again, once for all
// requests that fail so, and it is counted.
func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *Load
		good, logins := "", 0
		p := &pretender{answer: func(r *http.Request) (int, string, any) {
			switch {
			case r.URL.Path == wire.PathChallenge:
				return http.StatusOK, "", wire.ChallengeReply{}
			case r.URL.Path == wire.PathLogin:
				logins++
				token := wire.NewToken([32]byte{byte(logins)})
				good = "Bearer " + token.Reveal()
				return http.StatusOK, "", wire.LoginReply{Account: l.crowd.people[0].account, Token: token}
			case r.Header.Get("Authorization") != good:
				return http.StatusUnauthorized, "", wire.ProblemOf(wire.Errorf(wire.Unauthenticated, "", ""))
			}
			return emptyFeed(r)
		}}
		o := someOptions()
		o.People, o.Friends, o.Mix, o.Loop, o.CheckEvery = 2, 0, Mix{feeds: 1}, Loop{Clients: 1}, 0
		l = pretended(t, p, o)
		ann := l.crowd.people[0]
		if _, err := ann.logIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		good = "Bearer of another"
		for range 3 {
			if _, err := ann.call(t.Context(), http.MethodGet, wire.PathFeed, nil, nil); err != nil {
				t.Error(err)
			}
		}
		if got := l.crowd.renewed.Load(); logins != 2 || got != 1 {
			t.Errorf("%d log-ins, of which %d were to go on, want 2 and 1", logins, got)
		}
		_, number := ann.session.current()
		if _, err := ann.renew(t.Context(), number-1); err != nil || logins != 2 {
			t.Errorf("a session that another request has replaced: %v, %d log-ins", err, logins)
		}
		l.Close()
		p.close()
	})
}
