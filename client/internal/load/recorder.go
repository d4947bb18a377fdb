package load

import (
	"runtime"
	"sync"
	"time"
)

// A recorder counts what comes of operations: in the time that is measured, and
// second by second from the beginning of the warm-up.
type recorder struct {
	begin      time.Time
	warm, over time.Duration // since begin, when it is measured
	within     time.Duration // how long what is good takes at most

	mu      sync.Mutex
	totals  [kinds]tally
	current [kinds]tally // of the second that is not over yet
	second  int
	series  []Second
	reasons map[string]uint64
	longest time.Duration // a node asked to be left alone
}

// A tally is what came of one kind of operation.
type tally struct {
	latency                       Histogram
	done, refused, failed, unsent uint64
	late                          uint64 // of those done, after the end
	good                          uint64 // of those done, before the end and in time
	untold                        uint64 // of those refused, without Retry-After
	refusal                       Histogram
}

func newRecorder(begin time.Time, warm, seconds, within time.Duration) *recorder {
	return &recorder{begin: begin, warm: warm, over: warm + seconds, within: within, reasons: make(map[string]uint64)}
}

// note counts one operation in both, at the time it came to an end. What was due
// in the warm-up is in the series alone.
func (r *recorder) note(o operation, due, end time.Time, count func(*tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(int(end.Sub(r.begin) / time.Second))
	count(&r.current[o])
	if due.Sub(r.begin) >= r.warm {
		count(&r.totals[o])
	}
}

// done counts an operation that succeeded.
func (r *recorder) done(o operation, due, end time.Time) {
	r.note(o, due, end, func(t *tally) {
		switch t.done++; {
		case end.Sub(r.begin) > r.over:
			t.late++
		case end.Sub(due) <= r.within:
			t.good++
		}
		t.latency.Add(end.Sub(due))
	})
}

// unsent counts an operation that could not even be asked for.
func (r *recorder) unsent(o operation, due time.Time) {
	r.note(o, due, due, func(t *tally) { t.unsent++ })
}

// maxReasons bounds the kinds of failures that are told apart.
const maxReasons = 20

// refused counts an operation that a node has too much to do for, by its answer.
func (r *recorder) refused(o operation, due, end time.Time, a *answer) {
	r.note(o, due, end, func(t *tally) {
		if t.refused++; !a.told {
			t.untold++
		}
		t.refusal.Add(end.Sub(due))
		r.longest = max(r.longest, a.retry)
	})
}

// failed counts an operation that did not succeed for another reason.
func (r *recorder) failed(o operation, due, end time.Time, err error) {
	why := o.String() + ": " + err.Error()
	r.note(o, due, end, func(t *tally) { t.failed++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.reasons[why]; !known && len(r.reasons) >= maxReasons {
		why = "others"
	}
	r.reasons[why]++
}

// roll ends the seconds before now. It must be called with mu held.
func (r *recorder) roll(now int) {
	for ; r.second < now; r.second++ {
		s := Second{Second: r.second, Warmup: time.Duration(r.second)*time.Second < r.warm}
		for o := range operations {
			if t := &r.current[o]; t.any() {
				s.Operations = append(s.Operations, t.report(o, 1))
			}
		}
		s.Seen, s.SeenAtHome = r.current[seen].sights(1), r.current[seenAtHome].sights(1)
		for o := range kinds {
			if t := &r.current[o]; t.any() {
				*t = tally{}
			}
		}
		r.series = append(r.series, s)
	}
}

func (t *tally) any() bool { return t.done+t.refused+t.failed+t.unsent > 0 }

// finish returns all whole seconds until the end, or the only one if it is not
// whole.
func (r *recorder) finish(now time.Time) []Second {
	r.mu.Lock()
	defer r.mu.Unlock()
	whole := max(1, int(min(now.Sub(r.begin), r.over)/time.Second))
	r.roll(whole)
	return r.series[:whole]
}

// last is the newest whole second, for those who watch.
func (r *recorder) last(now time.Time) (s Second, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(int(now.Sub(r.begin) / time.Second))
	if len(r.series) == 0 {
		return s, false
	}
	return r.series[len(r.series)-1], true
}

// share is how much of all processors of this machine was used.
func share(used, of time.Duration) float64 {
	return used.Seconds() / max(of.Seconds(), 0.001) / float64(runtime.NumCPU())
}
