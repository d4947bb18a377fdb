package load

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A Step is one rate that was tried.
type Step struct {
	Rate    float64 `json:"rate"` // due each second
	PerS    float64 `json:"per_s"`
	P99     float64 `json:"p99_ms"` // of the slowest kind of operation
	Refused uint64  `json:"refused"`
	Failed  uint64  `json:"failed"`
	Unsent  uint64  `json:"unsent"`
	Held    bool    `json:"held"`
	Begin   int     `json:"begin"` // the seconds in the series, from begin up to end
	End     int     `json:"end"`
}

const (
	firstRate = 50
	maxSteps  = 24
	precision = 0.1 // of the answer
	restStep  = time.Second
)

// FindCapacity looks for the highest rate of an open loop at which 99 of 100
// operations of each kind are done within limit and none is refused, fails or
// cannot be sent. The rate is doubled until it does not hold, and then halved in
// between. Each step takes warm-up and seconds.
func (l *Load) FindCapacity(ctx context.Context, limit time.Duration) *Report {
	check := l.begin()
	var report *Report
	held, broke := 0.0, 0.0
	for rate := float64(firstRate); ctx.Err() == nil && (report == nil || len(report.Steps) < maxSteps); {
		r := newRun(l, check)
		r.schedule.Rate, r.schedule.Ramp = rate, Ramp{}
		l.crowd.tell("step of %.0f/s", rate)
		one := r.all(ctx)
		if ctx.Err() != nil {
			break
		}
		step := one.step(rate, limit)
		report = report.with(one, step)
		if step.Held {
			held = rate
		} else {
			broke = rate
			_ = pause(ctx, restStep) // the loop asks what it wants to know
		}
		if broke == 0 {
			rate *= 2
		} else if rate = (held + broke) / 2; broke-held <= precision*broke || broke-held <= 1 {
			break
		}
	}
	if report == nil {
		report = newRun(l, check).report(time.Now())
	}
	report.Capacity, report.Limit = held, float64(limit.Microseconds())/1000
	report.Loop = fmt.Sprintf("search for the capacity with p99 within %s", limit)
	l.finish(ctx, check, report)
	return report
}

// step judges a report of one rate.
func (r *Report) step(rate float64, limit time.Duration) Step {
	s := Step{Rate: rate, End: len(r.Series)}
	for _, o := range r.Operations {
		s.PerS += o.PerS
		s.P99 = max(s.P99, o.P99)
		s.Refused += o.Refused
		s.Failed += o.Failed
		s.Unsent += o.Unsent
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
	r.ClientCPU, r.RetryAfterS = max(r.ClientCPU, one.ClientCPU), max(r.RetryAfterS, one.RetryAfterS)
	return r
}

// stepsTable writes the steps of a search, and what it found.
func (r *Report) stepsTable(w io.Writer) {
	const row = "%10s %10s %9s %9s %9s %9s  %s\n"
	fmt.Fprintf(w, "\n"+row, "rate", "per s", "p99", "refused", "failed", "unsent", "")
	for _, s := range r.Steps {
		verdict := "held"
		if !s.Held {
			verdict = "too much"
		}
		fmt.Fprintf(w, row, fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.1f", s.PerS), millis(s.P99), fmt.Sprint(s.Refused), fmt.Sprint(s.Failed), fmt.Sprint(s.Unsent), verdict)
	}
	fmt.Fprintf(w, "\ncapacity: %.0f operations/s with p99 within %s and nothing refused\n", r.Capacity, millis(r.Limit))
	fmt.Fprintln(w, "client and node share this machine where it is the same one: what this tool takes of it, the node lacks")
}
