package load

import (
	"context"
	"fmt"
	"io"
)

// An OverloadReport compares what nodes get done when they are asked for far too
// much with what they get done at their best.
type OverloadReport struct {
	Times      float64 `json:"times"`      // as much is due as the closed loop had done
	Rate       float64 `json:"rate"`       // due each second
	Peak       float64 `json:"peak_per_s"` // done in time in the closed loop, mean of the rounds
	Good       float64 `json:"good_per_s"` // done in time in the overload, mean of the rounds
	Kept       float64 `json:"kept"`       // Good/Peak
	Refused    uint64  `json:"refused"`    // in the overload
	Untold     uint64  `json:"refused_without_retry_after"`
	P99        float64 `json:"p99_ms"` // of what was done in the overload, the worst round
	RefusedP99 float64 `json:"refused_p99_ms"`
	PeakClient float64 `json:"peak_client_cpu"` // shares of all processors of this machine, 0 to 1
	GoodClient float64 `json:"good_client_cpu"`
}

// overloadRounds: so often both loops take turns, since a machine is not the same
// from one minute to the next.
const overloadRounds = 3

// Overload lets a closed loop find the most that nodes get done, and an open loop
// ask for times as much, whatever Retry-After says; and that in turns. With Presign
// everything is signed before each turn.
func (l *Load) Overload(ctx context.Context, times float64) (*Report, error) {
	l.o.Ignore = true
	s := &search{l: l, check: l.begin(), limit: l.o.Within}
	sum := &OverloadReport{Times: times}
	for round := range overloadRounds {
		for _, loop := range []Loop{{Clients: l.o.Clients}, {Rate: sum.Rate, Even: l.o.Even, Outstanding: l.o.Outstanding}} {
			if loop.Clients == 0 && round == 0 {
				sum.Rate = times * s.report.Steps[0].PerS
				loop.Rate = sum.Rate
			}
			if l.o.Presign {
				if err := l.crowd.presign(ctx, l.o.Posts); err != nil {
					return nil, err
				}
			}
			step, ok := s.step(ctx, loop)
			if !ok || sum.Rate == 0 && step.PerS == 0 { // there is nothing to multiply
				return s.overloaded(ctx, sum), nil
			}
			sum.add(&step)
		}
	}
	return s.overloaded(ctx, sum), nil
}

// add takes in a turn.
func (o *OverloadReport) add(s *Step) {
	if s.Rate == 0 {
		o.Peak += s.Good / overloadRounds
		o.PeakClient += s.Client / overloadRounds
		return
	}
	o.Good += s.Good / overloadRounds
	o.GoodClient += s.Client / overloadRounds
	o.Refused += s.Refused
	o.Untold += s.Untold
	o.P99, o.RefusedP99 = max(o.P99, s.P99), max(o.RefusedP99, s.refusedP99)
	o.Kept = o.Good / o.Peak
}

// overloaded ends the turns.
func (s *search) overloaded(ctx context.Context, sum *OverloadReport) *Report {
	r := s.sum()
	r.Overload, r.Loop = sum, fmt.Sprintf("closed loop of %d clients, and %g times as much as it does, in turns", s.l.o.Clients, sum.Times)
	s.l.finish(ctx, s.check, r)
	return r
}

// overload writes the turns and what came of them.
func (r *Report) overload(w io.Writer) {
	o := r.Overload
	fmt.Fprintf(w, "\n"+stepRow, "", "per s", "in time", "p99", "refused", "failed", "unsent", "this tool")
	unsent := uint64(0)
	for _, s := range r.Steps {
		s.row(w, fmt.Sprintf("%.0f %%", 100*s.Client))
		unsent += s.Unsent
	}
	fmt.Fprintf(w, "\n%.3g times the rate of the closed loop: %s/s due, %s/s done within %s, which is %.0f %% of the %s/s at best\n",
		o.Times, thousands(o.Rate), thousands(o.Good), millis(r.Within), 100*o.Kept, thousands(o.Peak))
	if unsent > 0 {
		fmt.Fprintf(w, "%d that were due were not sent: with more --outstanding, and as many --people, more of them are\n", unsent)
	}
	fmt.Fprintf(w, "%d refused, of which %d without Retry-After; p99 of what was done %s, of refusals %s\n", o.Refused, o.Untold, millis(o.P99), millis(o.RefusedP99))
}
