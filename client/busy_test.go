package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A busyNode refuses so many requests and answers then.
type busyNode struct {
	refuses int
	problem wire.Problem
	asked   int
}

func (b *busyNode) Do(_ context.Context, r *Request) (*Response, error) {
	if b.asked++; b.asked <= b.refuses {
		return &Response{Status: b.problem.Status, Body: wire.EncodeJSON(b.problem)}, nil
	}
	return &Response{Status: 200, Body: wire.EncodeJSON(wire.Health{Status: "ok", Node: r.Node})}, nil
}

// TestBusyNode sends a request again when the node says that it is busy and for
// how long, and gives up on a node that always does. No other refusal is tried
// again, nor a wait believed that is out of proportion.
func TestBusyNode(t *testing.T) {
	refused := func(k wire.Kind, after time.Duration) wire.Problem {
		err := wire.Errorf(k, "", "not now")
		err.RetryAfter = after
		return wire.ProblemOf(err)
	}
	for _, test := range []struct {
		what         string
		refuses      int
		problem      wire.Problem
		asked        int
		atLeast, max time.Duration
		want         wire.Kind
	}{
		{"not busy", 0, wire.Problem{}, 1, 0, 0, ""},
		{"busy once", 1, refused(wire.Unavailable, time.Second), 2, time.Second, 2 * time.Second, ""},
		{"busy for a while", 3, refused(wire.Unavailable, time.Second), 4, 3 * time.Second, 6 * time.Second, ""},
		{"always busy", 99, refused(wire.Unavailable, time.Hour), busyTries, 15 * time.Second, 30 * time.Second, wire.Unavailable},
		{"unavailable", 1, refused(wire.Unavailable, 0), 1, 0, 0, wire.Unavailable},
		{"throttled", 1, refused(wire.Throttled, time.Second), 1, 0, 0, wire.Throttled},
	} {
		synctest.Test(t, func(t *testing.T) {
			node := &busyNode{refuses: test.refuses, problem: test.problem}
			start := time.Now()
			_, err := New(node, nil).call(t.Context(), &Request{Method: "GET", Node: "one.example", Path: wire.PathHealth}, nil, new(wire.Health))
			took := time.Since(start)
			if test.want == "" && err != nil || test.want != "" && !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %q", test.what, err, test.want)
			}
			if node.asked != test.asked || took < test.atLeast || took > test.max {
				t.Errorf("%s: asked %d times in %v, want %d in %v to %v", test.what, node.asked, took, test.asked, test.atLeast, test.max)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		start := time.Now()
		node := &busyNode{refuses: 99, problem: refused(wire.Unavailable, time.Second)}
		_, err := New(node, nil).call(ctx, &Request{Method: "GET", Node: "one.example", Path: wire.PathHealth}, nil, nil)
		if !errors.Is(err, wire.Unavailable) || time.Since(start) > 200*time.Millisecond {
			t.Errorf("a command that ends: got %v after %v", err, time.Since(start))
		}
	})
}
