package load

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A Step is one load that was tried: a closed loop of so many clients, or an open
// one with a rate.
type Step struct {
	Clients int     `json:"clients,omitempty"`
	Rate    float64 `json:"rate,omitempty"` // due each second
	PerS    float64 `json:"per_s"`
	Good    float64 `json:"good_per_s"`
	P99     float64 `json:"p99_ms"` // of the slowest kind of operation
	Refused uint64  `json:"refused"`
	Untold  uint64  `json:"refused_without_retry_after"`
	Failed  uint64  `json:"failed"`
	Unsent  uint64  `json:"unsent"`
	Client  float64 `json:"client_cpu"` // share of all processors of this machine, 0 to 1
	Held    bool    `json:"held"`
	Begin   int     `json:"begin"` // the seconds in the series, from begin up to end
	End     int     `json:"end"`

	refusedP99 float64 // ms
}

const (
	maxSteps  = 16
	precision = 0.1 // of the answer
	beyond    = 1.5 // times the rate of a closed loop are the first that a search takes for too much
	restStep  = time.Second
)

// FindCapacity looks for the highest rate of an open loop at which 99 of 100
// operations of each kind are done within limit and none is refused, fails or
// cannot be sent. One client alone tells whether that is possible at all, and a
// closed loop where to look; then the interval between what held and what was too
// much is halved. Since anything on the machine may disturb a step, a rate is too
// much when it was twice. Each step takes warm-up and seconds.
func (l *Load) FindCapacity(ctx context.Context, limit time.Duration) *Report {
	s := &search{l: l, check: l.begin(), limit: limit}
	s.look(ctx)
	r := s.sum()
	r.Capacity, r.Limit = s.held, float64(limit.Microseconds())/1000
	r.Loop = fmt.Sprintf("search for the capacity with p99 within %s", limit)
	l.finish(ctx, s.check, r)
	return r
}

// A search tries one load after the other.
type search struct {
	l           *Load
	check       *checker
	limit       time.Duration
	held, broke float64 // the highest rate that held, and the lowest that did not; 0 for none
	report      *Report
}

func (s *search) look(ctx context.Context) {
	if alone, ok := s.step(ctx, Loop{Clients: 1}); !ok || !alone.Held {
		return
	}
	crowded, ok := s.step(ctx, Loop{Clients: s.l.o.Clients})
	if !ok {
		return
	}
	top := beyond * crowded.PerS // nothing says that it would not hold, until it was tried
	for rate := top / 2; len(s.report.Steps) < maxSteps; {
		held, ok := s.holds(ctx, rate)
		switch {
		case !ok:
			return
		case held:
			s.held = rate
		default:
			s.broke, top = rate, rate
		}
		if s.broke > 0 && s.broke-s.held <= precision*s.broke || top <= 1 {
			return
		}
		if rate = (s.held + top) / 2; s.broke == 0 && top-s.held <= precision*top {
			rate, top = top, beyond*top
		}
	}
}

// holds tries a rate, and once more if it was too much.
func (s *search) holds(ctx context.Context, rate float64) (held, ok bool) {
	l := s.l.o.Loop
	l.Rate, l.Ramp = rate, Ramp{}
	for range 2 {
		step, ok := s.step(ctx, l)
		if !ok || step.Held {
			return ok, ok
		}
		_ = pause(ctx, restStep) // the next step asks what it wants to know
	}
	return false, true
}

// step tries one load; it is not ok when ctx has ended meanwhile.
func (s *search) step(ctx context.Context, loop Loop) (step Step, ok bool) {
	r := newRun(s.l, s.check)
	r.schedule = loop
	s.l.crowd.tell("next: %s", loop.words())
	one := r.all(ctx)
	if ctx.Err() != nil {
		return step, false
	}
	step = one.step(loop, s.limit)
	s.report = s.report.with(one, step)
	return step, true
}

// sum is the report of all steps.
func (s *search) sum() *Report {
	if s.report == nil {
		s.report = newRun(s.l, s.check).report(time.Now())
	}
	s.report.Latency = "counts from when each request was due, with clients from when it was sent"
	return s.report
}

// step judges a report of one load.
func (r *Report) step(loop Loop, limit time.Duration) Step {
	s := Step{Rate: loop.Rate, Client: r.ClientCPU, End: len(r.Series)}
	if !loop.open() {
		s.Clients = loop.Clients
	}
	for _, o := range r.Operations {
		s.PerS += o.PerS
		s.Good += o.GoodPerS
		s.P99 = max(s.P99, o.P99)
		s.Refused += o.Refused
		s.Untold += o.Untold
		s.Failed += o.Failed
		s.Unsent += o.Unsent
		s.refusedP99 = max(s.refusedP99, o.RefusedP99)
	}
	s.Held = s.PerS > 0 && s.Refused+s.Failed+s.Unsent == 0 && s.P99 <= float64(limit.Microseconds())/1000
	return s
}

// with adds a step to a search; nil begins one. What is told of the operations is
// that of the last step that held.
func (r *Report) with(one *Report, s Step) *Report {
	if r == nil {
		one.Steps = []Step{s}
		return one
	}
	offset := len(r.Series)
	s.Begin, s.End = offset, offset+s.End
	r.Steps = append(r.Steps, s)
	for _, second := range one.Series {
		second.Second += offset
		r.Series = append(r.Series, second)
	}
	if s.Held {
		r.Operations, r.PostsPerS = one.Operations, one.PostsPerS
	}
	for why, n := range one.Failures {
		r.Failures[why] += n
	}
	r.LoggedInAgain += one.LoggedInAgain
	r.FreshPages += one.FreshPages
	r.ClientCPU, r.RetryAfterS = max(r.ClientCPU, one.ClientCPU), max(r.RetryAfterS, one.RetryAfterS)
	return r
}

// verdict says why a step did not hold.
func (s *Step) verdict() string {
	switch {
	case s.Held:
		return "held"
	case s.Refused > 0:
		return "too much: refused"
	case s.Failed > 0:
		return "too much: failed"
	case s.Unsent > 0:
		return "too much: could not be sent"
	case s.PerS == 0:
		return "nothing was done"
	}
	return "too much: p99"
}

// name says what was tried.
func (s *Step) name() string {
	switch s.Clients {
	case 0:
		return thousands(s.Rate) + "/s"
	case 1:
		return "1 client"
	}
	return fmt.Sprintf("%d clients", s.Clients)
}

const stepRow = "%12s %10s %10s %10s %9s %9s %9s  %s\n"

// row writes a step.
func (s *Step) row(w io.Writer, verdict string) {
	fmt.Fprintf(w, stepRow, s.name(), thousands(s.PerS), thousands(s.Good), millis(s.P99), fmt.Sprint(s.Refused), fmt.Sprint(s.Failed), fmt.Sprint(s.Unsent), verdict)
}

// search writes the steps of a search, and what it found.
func (r *Report) search(w io.Writer) {
	fmt.Fprintf(w, "\n"+stepRow, "tried", "per s", "in time", "p99", "refused", "failed", "unsent", "")
	broke := Step{}
	for _, s := range r.Steps {
		s.row(w, s.verdict())
		if !s.Held && s.Rate > 0 && (broke.Rate == 0 || s.Rate < broke.Rate) {
			broke = s
		}
	}
	alone := r.Steps[0]
	fmt.Fprintln(w)
	switch {
	case !alone.Held && alone.PerS > 0 && alone.verdict() == "too much: p99":
		fmt.Fprintf(w, "capacity: not found, since one client alone has a p99 of %s, and %s was asked for. Is the machine busy? Else ask for more with --p99\n", millis(alone.P99), millis(r.Limit))
	case r.Capacity == 0:
		fmt.Fprintf(w, "capacity: not found, no rate that was tried held with p99 within %s\n", millis(r.Limit))
	default:
		fmt.Fprintf(w, "capacity: %s operations/s, of which 99 of 100 were done within %s and none was refused\n", thousands(r.Capacity), millis(r.Limit))
		if broke.Rate > 0 {
			fmt.Fprintf(w, "%s were %s (p99 %s)\n", broke.name(), broke.verdict(), millis(broke.P99))
		}
	}
	fmt.Fprintln(w, "client and node share this machine where it is the same one: what this tool takes of it, the node lacks")
}
