package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

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
			random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
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

// drainTime is how long what is due before the end of an open loop may be sent
// after it.
const drainTime = time.Second

// somebody takes whoever is free for what is due, if need be later; nil if that
// is never.
func (r *run) somebody(draining context.Context, a arrival, random *rand.Rand) *person {
	for draining.Err() == nil {
		if p := r.crowd.free(random, a.operation, time.Now()); p != nil {
			return p
		}
		if time.Since(a.due) > r.o.Timeout || pause(draining, idle) != nil {
			break
		}
	}
	return nil
}

// openLoop sends requests when they are due, as far as there is room for them.
func (r *run) openLoop(sending, ctx context.Context) {
	draining, stop := context.WithDeadline(ctx, r.end.Add(drainTime))
	defer stop()
	workers := min(r.schedule.Outstanding, len(r.crowd.people))
	queue := make(chan arrival, r.schedule.Outstanding)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
			for a := range queue {
				if p := r.somebody(draining, a, random); p != nil {
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
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
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

func (l *Loop) arrivals(random *rand.Rand) *arrivals {
	a := &arrivals{to: l.Rate, poisson: !l.Even, random: random}
	if l.Ramp != (Ramp{}) {
		a.from, a.to, a.over = l.Ramp.From, l.Ramp.To, l.Ramp.Over
	}
	return a
}
