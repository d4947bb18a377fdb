package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	defaultRequests = 512
	// fewRequests is what a gate lets in however little is done: with less, writes
	// would not share commits any more.
	fewRequests = 64
	// gateWindow is how long a request waits for the others at most, nearly, while
	// more is asked than can be done.
	gateWindow = 250 * time.Millisecond
	// A refusal takes busyPause when there are more than fewRequests in a window:
	// a client that asks again at once, on each of its connections, would else
	// have the node do little but refuse. At most maxPaused wait so at once.
	busyPause  = 100 * time.Millisecond
	maxPaused  = 4096
	busyRetry  = time.Second
	busyReport = 10 * time.Second // between two lines in the log
)

// A gate bounds how many requests are worked on at once. What comes beyond that
// is refused before anything is done for it, which costs a small part of a
// request, so that the node goes on at its full rate however much is asked of it.
// Who waits for somebody else meanwhile, a slow client or another node, is not
// counted: they take no time from anybody.
//
// While it has to refuse, it lets in as many as were done in the last gateWindow:
// more would not be done sooner, only later (Little's law). A slow machine answers
// those whom it lets in within about that time too.
type gate struct {
	most    int64
	working atomic.Int64

	limit  atomic.Int64 // at the moment, most at most; 0 for most
	done   atomic.Int64 // since the window began
	denied atomic.Int64 // refused since then
	window atomic.Int64 // when it began, ns since 1970
	paused atomic.Int64 // refusals that wait

	refused  atomic.Int64 // since the last report
	reported atomic.Int64 // ns since 1970
}

// full reports whether one more has to be refused.
func (g *gate) full(now time.Time) bool {
	began := g.window.Load()
	if since := now.UnixNano() - began; since >= int64(gateWindow) && g.window.CompareAndSwap(began, now.UnixNano()) {
		g.turn(time.Duration(since))
	}
	if g.working.Load() < g.room() {
		return false
	}
	g.denied.Add(1)
	return true
}

// room is how many requests may be worked on at the moment.
func (g *gate) room() int64 {
	if limit := g.limit.Load(); limit != 0 {
		return limit
	}
	return g.most
}

// turn begins a new window after one that took so long.
func (g *gate) turn(took time.Duration) {
	done := g.done.Swap(0)
	if g.denied.Swap(0) == 0 {
		g.limit.Store(0)
		return
	}
	inTime := int64(float64(done) * float64(gateWindow) / float64(took))
	g.limit.Store(min(max(inTime, fewRequests), g.most))
}

// pause holds a refusal back where there are many.
func (g *gate) pause() {
	if g.denied.Load() <= fewRequests {
		return
	}
	if g.paused.Add(1) <= maxPaused {
		time.Sleep(busyPause)
	}
	g.paused.Add(-1)
}

// enter counts a request, whose waits are told by its context (see untils), until
// leave.
func (g *gate) enter() { g.working.Add(1) }

func (g *gate) leave() {
	g.working.Add(-1)
	g.done.Add(1)
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
		log.Warn("more is asked than can be answered: requests are refused", "requests", g.room(), "refused", g.refused.Swap(0))
	}
	return busyReply
}

var busyReply = func() reply {
	err := wire.Errorf(wire.Unavailable, "", "this node is busy; try again in a moment")
	err.RetryAfter = busyRetry
	return problemReply(wire.ProblemOf(err))
}()
