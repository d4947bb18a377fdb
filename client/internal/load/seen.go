package load

import (
	"cmp"
	"fmt"
	"io"
)

// A WatchReport is about those who held an event stream.
type WatchReport struct {
	People  int    `json:"people"`
	Events  uint64 `json:"events"`  // about the feed
	Resumed uint64 `json:"resumed"` // streams that had ended and were opened again
}

// A SeenReport is about posts of friends that people saw who watched: from when a
// post was due until they had opened it, once for each of them. Posts that were
// due in the warm-up count as missed only.
type SeenReport struct {
	Count  uint64  `json:"count"`
	PerS   float64 `json:"per_s"`  // until the end
	Missed uint64  `json:"missed"` // acknowledged, and not seen by the end of the settling
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	P999   float64 `json:"p99_9_ms"`
	Max    float64 `json:"max_ms"`
}

// sights is nil for none.
func (t *tally) sights(seconds float64) *SeenReport {
	if t.done == 0 {
		return nil
	}
	r := t.report(seen, seconds)
	return &SeenReport{Count: r.Done, PerS: r.PerS, P50: r.P50, P90: r.P90, P99: r.P99, P999: r.P999, Max: r.Max}
}

// fillSeen takes over what those who watch saw.
func (r *Report) fillSeen(rec *recorder, seconds float64) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r.Seen, r.SeenAtHome = cmp.Or(rec.totals[seen].sights(seconds), new(SeenReport)), cmp.Or(rec.totals[seenAtHome].sights(seconds), new(SeenReport))
}

// operation is the same as of an operation.
func (s *SeenReport) operation() *OperationReport {
	return &OperationReport{Done: s.Count, PerS: s.PerS, P50: s.P50, P90: s.P90, P99: s.P99, P999: s.P999, Max: s.Max}
}

// row writes what was seen in the columns of operations.
func (s *SeenReport) row(w io.Writer, row string, o operation) {
	if s != nil && s.Count+s.Missed > 0 {
		fmt.Fprintf(w, row, o, fmt.Sprintf("%.1f", s.PerS), fmt.Sprint(s.Count), "", "", "", millis(s.P50), millis(s.P90), millis(s.P99), millis(s.P999), millis(s.Max))
	}
}

// words writes the report for a person.
func (r *WatchReport) words(w io.Writer, all *Report) {
	fmt.Fprintf(w, "%d people watched: %s is until they had opened posts of friends on other nodes, %s of friends on their own; %d were not seen\n",
		r.People, seen, seenAtHome, all.Seen.Missed+all.SeenAtHome.Missed)
	if r.Resumed > 0 {
		fmt.Fprintf(w, "%d event streams had ended, and were opened again where they were\n", r.Resumed)
	}
}
