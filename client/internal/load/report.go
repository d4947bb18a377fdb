package load

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Report is what a run came to. Fields are added, never renamed; rates are per
// second, latencies in milliseconds.
type Report struct {
	PostsPerS float64  `json:"posts_per_s"` // acknowledged
	Started   string   `json:"started"`     // RFC 3339
	Nodes     []string `json:"nodes"`
	People    int      `json:"people"`
	Friends   int      `json:"friends"`
	SetUpS    float64  `json:"set_up_s"`
	SetUp     []Stage  `json:"set_up"`
	Loop      string   `json:"loop"` // what was asked for, in words
	Latency   string   `json:"latency"`
	Mix       string   `json:"mix"`
	PostBytes int      `json:"post_bytes"` // of the text
	Presigned bool     `json:"presigned"`
	WarmupS   float64  `json:"warmup_s"`
	Seconds   float64  `json:"seconds"`   // that were measured
	Within    float64  `json:"within_ms"` // that what is good takes at most

	Operations  []OperationReport `json:"operations"`
	Failures    map[string]uint64 `json:"failures"`      // by reason, warm-up included
	RetryAfterS float64           `json:"retry_after_s"` // the longest that a node asked for
	Retry       string            `json:"retry"`         // obeyed or ignored
	ClientCPU   float64           `json:"client_cpu"`    // share of all processors of this machine, 0 to 1

	LoggedInAgain int64        `json:"logged_in_again"` // sessions that a node had ended before their time, warm-up included
	FreshPages    int64        `json:"fresh_pages"`     // of the feed, that asked for all streams and not for what changed
	Watch         *WatchReport `json:"watch,omitempty"`
	Seen          *SeenReport  `json:"seen,omitempty"`         // posts of friends on other nodes
	SeenAtHome    *SeenReport  `json:"seen_at_home,omitempty"` // of friends on one's own
	Check         *CheckReport `json:"check,omitempty"`
	Interrupted   bool         `json:"interrupted"`

	Steps    []Step          `json:"steps,omitempty"`    // of a search for the capacity, or of an overload
	Capacity float64         `json:"capacity,omitempty"` // operations/s that such a search found
	Limit    float64         `json:"limit_ms,omitempty"` // that it held p99 to
	Overload *OverloadReport `json:"overload,omitempty"`
	Series   []Second        `json:"series,omitempty"`
}

// A Stage is a part of the set-up.
type Stage struct {
	What    string  `json:"what"`
	Count   int     `json:"count"` // people or friendships
	Seconds float64 `json:"seconds"`
	PerS    float64 `json:"per_s"`
}

// An OperationReport is what came of one kind of operation. PerS counts what was
// done before the end, GoodPerS what of that was done in time, Done what was due
// before it. Refused is 429 and 503; unsent is what was due and could not be asked
// for.
type OperationReport struct {
	Operation string  `json:"operation"`
	Done      uint64  `json:"done"`
	PerS      float64 `json:"per_s"`
	GoodPerS  float64 `json:"good_per_s"`
	Refused   uint64  `json:"refused"`
	Failed    uint64  `json:"failed"`
	Unsent    uint64  `json:"unsent"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p99_9_ms"`
	Max       float64 `json:"max_ms"`

	Untold     uint64  `json:"refused_without_retry_after,omitempty"`
	RefusedP50 float64 `json:"refused_p50_ms,omitempty"` // until somebody knew that they were refused
	RefusedP99 float64 `json:"refused_p99_ms,omitempty"`
}

// A Second is what ended in one second, counted from the beginning of the warm-up.
type Second struct {
	Second     int               `json:"second"`
	Warmup     bool              `json:"warmup,omitempty"`
	Operations []OperationReport `json:"operations"`
	Seen       *SeenReport       `json:"seen,omitempty"`
	SeenAtHome *SeenReport       `json:"seen_at_home,omitempty"`
}

// sum adds the counts of all operations of a second.
func (s *Second) sum() (all OperationReport) {
	for _, o := range s.Operations {
		all.Done += o.Done
		all.Refused += o.Refused
		all.Failed += o.Failed
		all.Unsent += o.Unsent
		all.P50, all.P99 = max(all.P50, o.P50), max(all.P99, o.P99)
	}
	return all
}

func (t *tally) report(o operation, seconds float64) OperationReport {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r := OperationReport{
		Operation: o.String(), Done: t.done, Refused: t.refused, Failed: t.failed, Unsent: t.unsent, Max: ms(t.latency.Max()),
		P50: ms(t.latency.Percentile(50)), P90: ms(t.latency.Percentile(90)), P99: ms(t.latency.Percentile(99)), P999: ms(t.latency.Percentile(99.9)),
		Untold: t.untold, RefusedP50: ms(t.refusal.Percentile(50)), RefusedP99: ms(t.refusal.Percentile(99)),
	}
	if seconds > 0 {
		r.PerS, r.GoodPerS = float64(t.done-t.late)/seconds, float64(t.good)/seconds
	}
	return r
}

// fill takes over what was recorded.
func (r *Report) fill(rec *recorder, seconds time.Duration, now time.Time) {
	r.Seconds = seconds.Seconds()
	r.Series = rec.finish(now)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for o := range operations {
		if t := &rec.totals[o]; t.any() {
			r.Operations = append(r.Operations, t.report(o, r.Seconds))
			if o == posts {
				r.PostsPerS = r.Operations[len(r.Operations)-1].PerS
			}
		}
	}
	r.Failures, r.RetryAfterS = rec.reasons, rec.longest.Seconds()
}

// Failed reports whether the run showed that something is wrong with a node.
func (r *Report) Failed() bool { return r.Check != nil && !r.Check.Passed() }

// Table writes the report for a person.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d people with %d friends each on %s, set up in %.1f s", r.People, r.Friends, strings.Join(r.Nodes, ", "), r.SetUpS)
	for i, s := range r.SetUp {
		b.WriteString([]string{": ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %s/s", s.What, thousands(s.PerS))
	}
	b.WriteByte('\n')
	fmt.Fprintf(&b, "%s; %s; texts of %d bytes; %.3g s after %.3g s of warm-up\n", r.Loop, r.Mix, r.PostBytes, r.Seconds, r.WarmupS)
	switch {
	case r.Overload != nil:
		r.overload(&b)
	case len(r.Steps) > 0:
		r.search(&b)
	default:
		r.operations(&b)
	}
	for _, why := range slices.Sorted(keysOf(r.Failures)) {
		fmt.Fprintf(&b, "failed %d times: %s\n", r.Failures[why], why)
	}
	if r.RetryAfterS > 0 {
		fmt.Fprintf(&b, "refusals asked for patience of up to %.3g s, which was %s\n", r.RetryAfterS, r.Retry)
	}
	if r.LoggedInAgain > 0 {
		fmt.Fprintf(&b, "%d sessions were ended by a node, and people logged in again\n", r.LoggedInAgain)
	}
	if r.FreshPages > 0 {
		fmt.Fprintf(&b, "of the feed pages %d asked for all streams, the others for what changed\n", r.FreshPages)
	}
	fmt.Fprintf(&b, "latency %s\n", r.Latency)
	if r.Watch != nil {
		r.Watch.words(&b, r)
	}
	if r.ClientCPU > 0 { // else it is not known here
		fmt.Fprintf(&b, "this tool took %.0f %% of this machine's processors\n", 100*r.ClientCPU)
	}
	if r.Interrupted {
		b.WriteString("interrupted: this is what there was so far\n")
	}
	if r.Check != nil {
		r.Check.words(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) operations(b *strings.Builder) {
	if len(r.Operations) == 0 && r.WarmupS > 0 {
		fmt.Fprintf(b, "\nnothing was measured: all was done within the warm-up (--warmup)\n")
		return
	}
	const row = "%-14s %10s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n"
	fmt.Fprintf(b, "\n"+row, "", "per s", "done", "refused", "failed", "unsent", "p50", "p90", "p99", "p99.9", "max")
	for _, o := range r.Operations {
		count := func(n uint64) string { return fmt.Sprint(n) }
		fmt.Fprintf(b, row, o.Operation, fmt.Sprintf("%.1f", o.PerS), count(o.Done), count(o.Refused), count(o.Failed), count(o.Unsent),
			millis(o.P50), millis(o.P90), millis(o.P99), millis(o.P999), millis(o.Max))
	}
	r.Seen.row(b, row, seen)
	r.SeenAtHome.row(b, row, seenAtHome)
	b.WriteString("\n")
	for _, o := range r.Operations {
		if o.Refused > 0 {
			fmt.Fprintf(b, "%s refused: %d, of which %d without Retry-After; the answer took %s (p50), %s (p99)\n",
				o.Operation, o.Refused, o.Untold, millis(o.RefusedP50), millis(o.RefusedP99))
		}
		if o.Done > 0 && o.PerS-o.GoodPerS > 0.001*o.PerS {
			fmt.Fprintf(b, "%s within %s: %.1f/s\n", o.Operation, millis(r.Within), o.GoodPerS)
		}
	}
}

// millis writes milliseconds as a reader wants them: three digits and a unit.
func millis(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 1:
		return fmt.Sprintf("%.0f us", ms*1000)
	case ms < 1000:
		return fmt.Sprintf("%.3g ms", ms)
	}
	return fmt.Sprintf("%.3g s", ms/1000)
}

func keysOf(m map[string]uint64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
