package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A run is one load with one schedule.
type run struct {
	*Load
	check    *checker
	recorder *recorder
	schedule Loop
	warm     time.Duration
	seconds  time.Duration
	budget   atomic.Int64 // posts that may still be sent
	end      time.Time    // nothing is sent after
	stop     context.CancelFunc
	watch    *watch // nil when nobody watches
}

func newRun(l *Load, check *checker) *run {
	r := &run{Load: l, check: check, schedule: l.o.Loop, warm: l.o.Warmup, seconds: l.o.Length}
	if r.budget.Store(int64(l.o.Posts)); l.o.Posts == 0 {
		r.budget.Store(maxPosts)
	}
	return r
}

// all runs the load from beginning to end.
func (r *run) all(ctx context.Context) *Report {
	begin, cpu := time.Now(), processorTime()
	renewed, fresh := r.crowd.renewed.Load(), r.crowd.fresh.Load()
	r.recorder, r.end = newRecorder(begin, r.warm, r.seconds, r.o.Within), begin.Add(r.warm+r.seconds)
	sending, stop := context.WithDeadline(ctx, r.end)
	defer stop()
	r.stop = stop
	told := make(chan struct{})
	go r.tell(sending, told)
	if r.watch != nil {
		r.watch.start(r.recorder)
	}
	if r.schedule.open() {
		r.openLoop(sending, ctx)
	} else {
		r.closedLoop(sending, ctx)
	}
	stop()
	<-told
	now := time.Now()
	report := r.report(begin)
	report.LoggedInAgain, report.FreshPages = r.crowd.renewed.Load()-renewed, r.crowd.fresh.Load()-fresh
	report.ClientCPU = share(processorTime()-cpu, now.Sub(begin))
	seconds := max(0, min(now.Sub(begin)-r.warm, r.seconds))
	if r.watch != nil {
		r.watch.finish(ctx, report, seconds.Seconds())
	}
	report.fill(r.recorder, seconds, now)
	return report
}

func (r *run) report(begin time.Time) *Report {
	o := &r.o
	report := &Report{
		Started: begin.UTC().Format(time.RFC3339), People: o.People, Friends: o.Friends, SetUpS: r.setUp.Seconds(), SetUp: r.crowd.stages,
		Loop: r.schedule.words(), Latency: r.schedule.measures(), Mix: o.Mix.String(), PostBytes: o.Size, Presigned: o.Presign,
		WarmupS: r.warm.Seconds(), Within: float64(o.Within.Microseconds()) / 1000, Retry: "obeyed",
	}
	if o.Ignore {
		report.Retry = "ignored"
	}
	for _, n := range r.crowd.nodes {
		report.Nodes = append(report.Nodes, string(n.name))
	}
	return report
}

// operate lets p, who was taken, do something that was due.
func (r *run) operate(ctx context.Context, o operation, p *person, random *rand.Rand, due time.Time) {
	defer p.release()
	if o == posts && r.budget.Add(-1) < 0 {
		r.budget.Add(1)
		r.stop()
		return
	}
	a, page, err := r.do(ctx, o, p, random, &due)
	end := time.Now()
	if err == nil {
		r.recorder.done(o, due, end)
		switch o {
		case posts:
			r.check.posted(ctx, p)
		case feeds:
			r.check.read(p, page)
		}
		return
	}
	switch {
	case err == errNobody:
		r.recorder.unsent(o, due)
	case errors.Is(err, wire.Tampered):
		r.check.violated(unowned, "%v", err)
		r.recorder.failed(o, due, end, err)
	case ctx.Err() != nil: // nobody waited for the answer
	case a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable:
		if o == posts {
			p.dues.refused(p.acked + 1)
		}
		if r.recorder.refused(o, due, end, &a); !r.o.Ignore {
			p.rest(max(a.retry, restTime))
		}
	default:
		r.recorder.failed(o, due, end, err)
		p.rest(restTime)
	}
	if o == posts {
		r.budget.Add(1)
	}
}

// restTime is how long somebody leaves the node alone after a failure, at least.
const restTime = 50 * time.Millisecond

func (p *person) rest(d time.Duration) { p.waiting.Store(time.Now().Add(d).UnixNano()) }

// errNobody says that there is nobody left to befriend.
var errNobody = wire.Errorf(wire.NotExist, "friend", "everybody is a friend of everybody")

// do does one operation. In a closed loop the latency counts from when the
// request is ready.
func (r *run) do(ctx context.Context, o operation, p *person, random *rand.Rand, due *time.Time) (a answer, page *feedPage, err error) {
	switch o {
	case posts:
		if len(p.pending) == 0 {
			if err := p.write(); err != nil {
				return a, nil, err
			}
			if !r.schedule.open() {
				*due = time.Now()
			}
		}
		p.dues.add(p.acked+1, *due)
		a, err = p.publish(ctx)
	case feeds:
		page, a, err = p.askFeed(ctx, pageLength)
	case logins:
		a, err = p.logIn(ctx)
	case friendships:
		other := r.crowd.stranger(p, random)
		if other == nil {
			return a, nil, errNobody
		}
		defer other.release()
		a, err = p.befriend(ctx, other)
	}
	return a, page, err
}

// stranger takes somebody who is no friend of p, nil if none is found.
func (c *crowd) stranger(p *person, random *rand.Rand) *person {
	from := random.IntN(len(c.people))
	for i := range c.people {
		other := c.people[(from+i)%len(c.people)]
		if other != p && !p.friends[other.number] && other.take(time.Now()) {
			return other
		}
	}
	return nil
}

// presign lets all write beforehand, until there are count posts.
func (c *crowd) presign(ctx context.Context, count int) error {
	c.presigned = true
	return c.each(ctx, "signing posts", len(c.people), func(_ context.Context, i int) error {
		for want := count/len(c.people) + min(1, max(0, count%len(c.people)-i)); len(c.people[i].pending) < want; {
			if err := c.people[i].write(); err != nil {
				return err
			}
		}
		return nil
	})
}

// tell tells of each second that is over.
func (r *run) tell(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for pause(ctx, time.Second) == nil {
		if s, ok := r.recorder.last(time.Now()); ok {
			all := s.sum()
			words := fmt.Sprintf("%d of %.0f s: %d/s done, %d refused, %d failed, %d unsent; p50 %s, p99 %s", s.Second+1, (r.warm + r.seconds).Seconds(),
				all.Done, all.Refused, all.Failed, all.Unsent, millis(all.P50), millis(all.P99))
			if s.Seen != nil {
				words += fmt.Sprintf("; seen elsewhere p50 %s, p99 %s", millis(s.Seen.P50), millis(s.Seen.P99))
			}
			r.crowd.tell("%s", words)
		}
	}
}
