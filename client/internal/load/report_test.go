package load

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// someReport is of 12 seconds, of which 2 are warm-up, with a stall, refusals, and
// words that do not belong into XML.
func someReport() *Report {
	begin := time.Unix(1_700_000_000, 0)
	rec := newRecorder(begin, 2*time.Second, 10*time.Second, 10*time.Millisecond)
	for i := range 1200 {
		due := begin.Add(time.Duration(i) * 10 * time.Millisecond)
		if i%2 == 0 { // of three, two are seen elsewhere
			rec.done(seen+operation(i%6/4), due, due.Add(time.Duration(i)*25*time.Microsecond))
		}
		switch {
		case i == 300:
			rec.unsent(posts, due)
		case i >= 500 && i < 700: // the stall
		case i%10 == 0:
			rec.refused(posts, due, due.Add(time.Millisecond), &answer{told: i%20 == 0, retry: time.Second})
		case i%11 == 0:
			rec.failed(feeds, due, due.Add(time.Millisecond), errors.New("a <broken> answer & more"))
		default:
			rec.done(operation(i%2), due, due.Add(time.Duration(i+1)*20*time.Microsecond))
		}
	}
	r := &Report{Loop: "closed loop, <4> clients", Latency: "is & is", Nodes: []string{"localhost:8081"}, Mix: "posts=1", WarmupS: 2}
	r.Watch = &WatchReport{People: 7, Resumed: 3}
	r.fillSeen(rec, 10)
	r.SeenAtHome.Missed = 2
	r.fill(rec, 10*time.Second, begin.Add(12*time.Second))
	return r
}

func TestReport(t *testing.T) {
	r := someReport()
	if len(r.Series) != 12 || !r.Series[1].Warmup || r.Series[2].Warmup || len(r.Series[6].Operations) != 0 {
		t.Errorf("the series is wrong: %+v", r.Series)
	}
	done := uint64(0)
	for _, o := range r.Operations {
		done += o.Done
	}
	if all := r.Operations[0]; len(r.Operations) != 2 || done+r.Operations[1].Failed+all.Refused != 799 || all.Unsent != 1 || r.PostsPerS != all.PerS || all.PerS < float64(all.Done-1)/10 {
		t.Errorf("got %+v", r.Operations)
	}
	var b strings.Builder
	if err := r.Table(&b); err != nil || !strings.Contains(b.String(), "\nposts ") || !strings.Contains(b.String(), "<broken>") {
		t.Errorf("got %v and\n%s", err, b.String())
	}
	if seen := r.Seen; seen.Count != 333 || seen.PerS < 33 || seen.P50 < 16 || seen.P50 > 18 || seen.Max != 29.9 || r.SeenAtHome.Count != 167 {
		t.Errorf("got %+v and %+v", seen, r.SeenAtHome)
	}
	for _, words := range []string{"\nseen elsewhere ", "\nseen at home ", "7 people watched: ", "; 2 were not seen\n", "3 event streams had ended"} {
		if !strings.Contains(b.String(), words) {
			t.Errorf("there is no %q in\n%s", words, b.String())
		}
	}
	var fields map[string]any
	text, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if _, ok := fields["posts_per_s"].(float64); err != nil || !ok {
		t.Errorf("got %v and %s", err, text)
	}
}

// TestPlot: the picture is well-formed XML with both charts and all curves, also
// where there is nothing to draw.
func TestPlot(t *testing.T) {
	r := someReport()
	search := someReport()
	search.Steps = []Step{{Rate: 50, End: 6, Held: true}, {Rate: 100, Begin: 6, End: 12}}
	both := someReport()
	both.Overload, both.Steps = &OverloadReport{Times: 5, Kept: 0.8}, []Step{{Clients: 4, End: 6}, {Rate: 100, Begin: 6, End: 12}}
	for name, test := range map[string]struct {
		*Report
		words []string
		paths int
	}{
		"a run":    {r, []string{">seen elsewhere<", ">seen at home<", "Operations each second", "Latency", "posts", "feeds", "refused", "failed", "unsent", "p99", "100 us", "warm-up", "&lt;4&gt;"}, 13},
		"a search": {search, []string{"Capacity", "green ones held"}, 13},
		"overload": {both, []string{"5 times as much", "80 % of that", "bars are what was due"}, 13},
		"nothing":  {&Report{Loop: "closed loop"}, []string{"Operations each second", "Latency"}, 0},
	} {
		svg := test.Plot()
		paths := 0
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
				paths++
			}
		}
		for _, word := range test.words {
			if !bytes.Contains(svg, []byte(word)) {
				t.Errorf("%s: there is no %q", name, word)
			}
		}
		if paths != test.paths || bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) || bytes.Contains(svg, []byte("%!")) {
			t.Errorf("%s: %d curves, want %d, without NaN:\n%s", name, paths, test.paths, svg)
		}
	}
}
