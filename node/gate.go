package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	// defaultRequests is what two cores get done in about 0.2 s. More at once
	// would not be done sooner, only later.
	defaultRequests = 512
	busyRetry       = time.Second
	busyReport      = 10 * time.Second // between two lines in the log
)

// A gate bounds how many requests are worked on at once. What comes beyond that
// is refused before anything is done for it, which costs a small part of a
// request, so that the node goes on at its full rate however much is asked of it.
// Who waits for somebody else meanwhile, a slow client or another node, is not
// counted: they take no time from anybody.
type gate struct {
	most    int64
	working atomic.Int64

	refused  atomic.Int64 // since the last report
	reported atomic.Int64 // ns since 1970
}

// full reports whether one more has to be refused.
func (g *gate) full() bool { return g.working.Load() >= g.most }

// enter counts a request, whose waits are told by ctx, until leave.
func (g *gate) enter(ctx context.Context) (inside context.Context, leave func()) {
	g.working.Add(1)
	return context.WithValue(ctx, gated{}, g), func() { g.working.Add(-1) }
}

type gated struct{}

// waiting stops counting the request that ctx belongs to, if any, until back.
func waiting(ctx context.Context) (back func()) { return recount(ctx, -1) }

// working counts a request again that is waiting, until done.
func working(ctx context.Context) (done func()) { return recount(ctx, 1) }

func recount(ctx context.Context, n int64) (undo func()) {
	g, ok := ctx.Value(gated{}).(*gate)
	if !ok {
		return func() {}
	}
	g.working.Add(n)
	return func() { g.working.Add(-n) }
}

// busy is the answer of a gate that is full. It says so in the log now and then.
func (g *gate) busy(log *slog.Logger, now time.Time) reply {
	g.refused.Add(1)
	last := g.reported.Load()
	if now.UnixNano()-last > busyReport.Nanoseconds() && g.reported.CompareAndSwap(last, now.UnixNano()) {
		log.Warn("more is asked than can be answered: requests are refused", "requests", g.most, "refused", g.refused.Swap(0))
	}
	return busyReply
}

var busyReply = func() reply {
	err := wire.Errorf(wire.Unavailable, "", "this node is busy; try again in a moment")
	err.RetryAfter = busyRetry
	return problemReply(wire.ProblemOf(err))
}()
