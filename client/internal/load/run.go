package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Load is a crowd that is ready.
type Load struct {
	o     Options
	crowd *crowd
	setUp time.Duration
}

// Open makes the crowd, or brings it back from the state. The caller closes it.
func Open(ctx context.Context, o Options) (*Load, error) {
	start := time.Now()
	kept, err := loadState(o.State)
	if err != nil {
		return nil, err
	}
	if kept != nil && o.People == 0 {
		o.People = len(kept.Accounts) / 32
	}
	if kept != nil && o.Friends < 0 {
		o.Friends = int(kept.Friends)
	}
	o.defaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	var seed [32]byte
	rand.Read(seed[:])
	if kept != nil {
		seed = kept.Seed.Reveal()
	}
	c, err := newCrowd(&o, seed)
	if err != nil {
		return nil, err
	}
	l := &Load{o: o, crowd: c}
	if err := l.gather(ctx, kept); err != nil {
		c.close()
		return nil, err
	}
	l.setUp = time.Since(start)
	return l, nil
}

// gather gets the people.
func (l *Load) gather(ctx context.Context, kept *stateFile) error {
	o, c := &l.o, l.crowd
	if err := checkFiles(o.connections() * len(c.nodes)); err != nil {
		return err
	}
	if kept != nil {
		if err := kept.fits(o, c.nodes); err != nil {
			return err
		}
	}
	if err := c.inspect(ctx, o.Mine); err != nil {
		return err
	}
	if kept != nil {
		return c.restore(ctx, kept)
	}
	if err := c.populate(ctx, o.People, o.Friends); err != nil {
		return err
	}
	return l.Keep()
}

// Keep writes the state, if there is to be one.
func (l *Load) Keep() error {
	if l.o.State == "" {
		return nil
	}
	return l.crowd.save(l.o.State, l.o.Friends)
}

// Close closes all connections.
func (l *Load) Close() { l.crowd.close() }

// Run puts the load on the nodes, and checks what came of it. When ctx ends, the
// report is about what there was until then.
func (l *Load) Run(ctx context.Context) (*Report, error) {
	check := l.begin()
	if l.o.Presign {
		if err := l.crowd.presign(ctx, l.o.Posts); err != nil {
			return nil, err
		}
	}
	report := newRun(l, check).all(ctx)
	l.finish(ctx, check, report)
	return report, nil
}

// begin notes where all streams are.
func (l *Load) begin() *checker {
	for _, p := range l.crowd.people {
		p.before = p.acked
	}
	return newChecker(l.crowd, l.o.CheckEvery)
}

// finish reads back what was acknowledged.
func (l *Load) finish(ctx context.Context, check *checker, report *Report) {
	report.Interrupted = ctx.Err() != nil
	if l.o.CheckEvery > 0 {
		check.readBack(ctx, l.o.CheckPosts)
		report.Check = check.report()
	}
}

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
}

func newRun(l *Load, check *checker) *run {
	r := &run{Load: l, check: check, schedule: l.o.Loop, warm: l.o.Warmup, seconds: l.o.Seconds}
	if r.budget.Store(int64(l.o.Posts)); l.o.Posts == 0 {
		r.budget.Store(maxPosts)
	}
	return r
}

// all runs the load from beginning to end.
func (r *run) all(ctx context.Context) *Report {
	begin, cpu := time.Now(), processorTime()
	r.recorder, r.end = newRecorder(begin, r.warm, r.seconds), begin.Add(r.warm+r.seconds)
	sending, stop := context.WithDeadline(ctx, r.end)
	r.stop = stop
	defer stop()
	watched := make(chan struct{})
	go r.watch(sending, watched)
	if r.schedule.open() {
		r.openLoop(sending, ctx)
	} else {
		r.closedLoop(sending, ctx)
	}
	stop()
	<-watched
	now := time.Now()
	report := r.report(begin)
	report.ClientCPU = share(processorTime()-cpu, now.Sub(begin))
	report.fill(r.recorder, max(0, min(now.Sub(begin)-r.warm, r.seconds)), now)
	return report
}

func (r *run) report(begin time.Time) *Report {
	o := &r.o
	report := &Report{
		Started: begin.UTC().Format(time.RFC3339), People: o.People, Friends: o.Friends, SetUpS: r.setUp.Seconds(),
		Loop: r.schedule.words(), Latency: r.schedule.measures(), Mix: o.Mix.String(), PostBytes: o.Size, Presigned: o.Presign,
		WarmupS: r.warm.Seconds(), Retry: "obeyed",
	}
	if o.Ignore {
		report.Retry = "ignored"
	}
	for _, n := range r.crowd.nodes {
		report.Nodes = append(report.Nodes, string(n.name))
	}
	return report
}

// words say what a loop is.
func (l *Loop) words() string {
	how := "Poisson"
	if l.Even {
		how = "even"
	}
	switch {
	case l.Ramp != Ramp{}:
		return fmt.Sprintf("open loop, %g to %g/s within %g s, %s", l.Ramp.From, l.Ramp.To, l.Ramp.Over.Seconds(), how)
	case l.Rate > 0:
		return fmt.Sprintf("open loop, %g/s, %s", l.Rate, how)
	}
	return fmt.Sprintf("closed loop, %d clients", l.Clients)
}

// measures says what a latency of a loop is.
func (l *Loop) measures() string {
	if l.open() {
		return "counts from when each request was due"
	}
	return "is of the request alone: what was not asked while a client waited is in no figure"
}

// closedLoop lets each client ask, wait and ask again. Requests that are under
// way when sending ends go on within ctx.
func (r *run) closedLoop(sending, ctx context.Context) {
	var all sync.WaitGroup
	for range min(r.schedule.Clients, len(r.crowd.people)) {
		all.Go(func() {
			random := mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))
			for sending.Err() == nil {
				o := r.o.Mix.pick(random.IntN(r.o.Mix.sum()))
				p := r.crowd.free(random, o, time.Now())
				if p == nil { // all are to leave the node alone, or have nothing to say
					_ = pause(sending, idle) // the loop asks what it wants to know
					continue
				}
				r.operate(ctx, o, p, random, time.Now())
			}
		})
	}
	all.Wait()
}

// idle is how long a client waits who has nobody to play.
const idle = 3 * time.Millisecond

// somebody takes whoever is free for what is due, if need be later; nil if that
// is never.
func (r *run) somebody(sending context.Context, a arrival, random *mathrand.Rand) *person {
	for sending.Err() == nil {
		if p := r.crowd.free(random, a.operation, time.Now()); p != nil {
			return p
		}
		if time.Since(a.due) > r.o.Timeout || pause(sending, idle) != nil {
			break
		}
	}
	return nil
}

// openLoop sends requests when they are due, as far as there is room for them.
func (r *run) openLoop(sending, ctx context.Context) {
	workers := min(r.schedule.Outstanding, len(r.crowd.people))
	queue := make(chan arrival, r.schedule.Outstanding)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			random := mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))
			for a := range queue {
				if p := r.somebody(sending, a, random); p != nil {
					r.operate(ctx, a.operation, p, random, a.due)
				} else {
					r.recorder.unsent(a.operation, a.due)
				}
			}
		})
	}
	r.arrive(sending, queue)
	close(queue)
	all.Wait()
}

// An arrival is an operation that is due.
type arrival struct {
	operation operation
	due       time.Time
}

// arrive puts each arrival into the queue when it is due; those for which there
// is no room are not sent.
func (r *run) arrive(sending context.Context, queue chan<- arrival) {
	random := mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))
	times := r.schedule.arrivals(random)
	for {
		a := arrival{r.o.Mix.pick(random.IntN(r.o.Mix.sum())), r.recorder.begin.Add(times.next())}
		if wait := time.Until(a.due); wait > 0 && pause(sending, wait) != nil || sending.Err() != nil || a.due.After(r.end) {
			return
		}
		select {
		case queue <- a:
		default:
			r.recorder.unsent(a.operation, a.due)
		}
	}
}

func (l *Loop) arrivals(random *mathrand.Rand) *arrivals {
	a := &arrivals{to: l.Rate, poisson: !l.Even, random: random}
	if l.Ramp != (Ramp{}) {
		a.from, a.to, a.over = l.Ramp.From, l.Ramp.To, l.Ramp.Over
	}
	return a
}

// operate lets p, who was taken, do something that was due.
func (r *run) operate(ctx context.Context, o operation, p *person, random *mathrand.Rand, due time.Time) {
	defer p.release()
	if o == posts && r.budget.Add(-1) < 0 {
		r.budget.Add(1)
		r.stop()
		return
	}
	a, err := r.do(ctx, o, p, random, &due)
	end := time.Now()
	if err == nil {
		r.recorder.done(o, due, end)
		switch o {
		case posts:
			r.check.posted(ctx, p)
		case feeds:
			r.check.read(p, a)
		}
		return
	}
	switch {
	case err == errNobody:
		r.recorder.unsent(o, due)
	case errors.Is(err, wire.Tampered):
		r.check.violated(unowned, "%v", err)
		r.recorder.failed(o, due, end, false, err)
	case ctx.Err() == nil: // else nobody waited for the answer
		refused := a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
		r.recorder.failed(o, due, end, refused, err)
		r.rest(p, refused, err)
	}
	if o == posts {
		r.budget.Add(1)
	}
}

// rest leaves the node alone as it asks, and for a moment where it fails.
func (r *run) rest(p *person, refused bool, err error) {
	wait := restTime
	var e *wire.Error
	if refused && errors.As(err, &e) && e.RetryAfter > 0 {
		wait = e.RetryAfter
	}
	if !refused || !r.o.Ignore {
		p.waiting.Store(time.Now().Add(wait).UnixNano())
	}
}

// restTime is how long somebody waits after a failure.
const restTime = 50 * time.Millisecond

// errNobody says that there is nobody left to befriend.
var errNobody = wire.Errorf(wire.NotExist, "friend", "everybody is a friend of everybody")

// do does one operation. In a closed loop the latency counts from when the
// request is ready.
func (r *run) do(ctx context.Context, o operation, p *person, random *mathrand.Rand, due *time.Time) (answer, error) {
	switch o {
	case posts:
		if len(p.pending) == 0 {
			if err := p.write(); err != nil {
				return answer{}, err
			}
			if !r.schedule.open() {
				*due = time.Now()
			}
		}
		return p.publish(ctx)
	case feeds:
		return p.call(ctx, http.MethodGet, feedPath, nil, nil)
	case logins:
		return p.logIn(ctx)
	}
	other := r.crowd.stranger(p, random)
	if other == nil {
		return answer{}, errNobody
	}
	defer other.release()
	return p.befriend(ctx, other)
}

// feedPath is a page of the feed, as a client asks for it.
const feedPath = wire.PathFeed + "?limit=50"

// stranger takes somebody who is no friend of p, nil if none is found.
func (c *crowd) stranger(p *person, random *mathrand.Rand) *person {
	from := random.IntN(len(c.people))
	for i := range c.people {
		other := c.people[(from+i)%len(c.people)]
		if other != p && !p.friends[other.number] && other.take(time.Now()) {
			return other
		}
	}
	return nil
}

// presign lets all write their posts beforehand.
func (c *crowd) presign(ctx context.Context, count int) error {
	c.presigned = true
	return c.each(ctx, "signing posts", len(c.people), func(_ context.Context, i int) error {
		for range count/len(c.people) + min(1, max(0, count%len(c.people)-i)) {
			if err := c.people[i].write(); err != nil {
				return err
			}
		}
		return nil
	})
}

// watch tells of each second that is over.
func (r *run) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for pause(ctx, time.Second) == nil {
		if s, ok := r.recorder.last(time.Now()); ok {
			all := s.sum()
			r.crowd.tell("%d of %.0f s: %d/s done, %d refused, %d failed, %d unsent; p50 %s, p99 %s", s.Second+1, (r.warm + r.seconds).Seconds(),
				all.Done, all.Refused, all.Failed, all.Unsent, millis(all.P50), millis(all.P99))
		}
	}
}
