package story_test

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A loadReport is what the stories read of the report of `peerbrain load`.
type loadReport struct {
	PostsPerS  float64 `json:"posts_per_s"`
	Operations []struct {
		Operation             string
		Done, Failed, Refused int
	}
	Failures map[string]int
	Series   []any
	Overload struct {
		Peak    float64 `json:"peak_per_s"`
		Refused int
		Untold  int `json:"refused_without_retry_after"`
	}
	FreshPages int `json:"fresh_pages"`
	Watch      struct{ People, Events int }
	Seen       sightings
	SeenAtHome sightings `json:"seen_at_home"`
	Check      struct {
		Acknowledged uint64
		ReadBack     uint64 `json:"read_back"`
		ByFriends    uint64 `json:"read_by_friends"`
		OwnReads     uint64 `json:"own_reads"`
		FeedPages    uint64 `json:"feed_pages"`
		Violations   []struct{ Kind, Example string }
	}
}

// sightings are what people saw who watched.
type sightings struct {
	Count, Missed int
	P50           float64 `json:"p50_ms"`
}

// loads runs `peerbrain load` on both nodes, and returns the report.
func (w *world) loads(args ...string) (r loadReport, err error) {
	w.Helper()
	all := append([]string{"load", "--json", "--node", "http://" + w.left.name, "--node", "http://" + w.right.name,
		"--warmup", "0", "--check-every", "1", "--clients", "4"}, args...)
	out, errs, err := w.types("nobody", all...)
	if failed := json.Unmarshal([]byte(out), &r); failed != nil {
		w.Fatalf("%q: %v, %v\n%s%s", args, err, failed, out, errs)
	}
	return r, err
}

// TestLoad puts a small load on two nodes with friends across, twice on the same
// people: all that was acknowledged is read back, by its authors and by friends.
func TestLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := func(name string) string { return filepath.Join(w.dir, name) }
	people := []string{"--people", "12", "--friends", "4", "--seconds", "2", "--state", file("people.state"), "--report", file("load.json"), "--plot", file("load.svg")}
	for _, how := range [][]string{{"--mix", "posts=40,feeds=40,logins=10,friendships=10"}, {"--rate", "40", "--watch", "12"}, {"--posts", "30", "--presign"}} {
		r, err := w.loads(append(slices.Clone(people), how...)...)
		if err != nil || r.PostsPerS <= 0 || len(r.Failures) > 0 || len(r.Check.Violations) > 0 {
			t.Fatalf("%q: got %v, %+v", how, err, r)
		}
		if c := r.Check; c.Acknowledged == 0 || c.ReadBack != c.Acknowledged || c.ByFriends != c.Acknowledged || c.OwnReads == 0 {
			t.Errorf("%q: got %+v, want all read back", how, c)
		}
		if how[0] == "--mix" && (len(r.Operations) != 4 || r.Check.FeedPages == 0 || r.FreshPages == 0) {
			t.Errorf("%q: got %+v", how, r)
		}
		if s, home := r.Seen, r.SeenAtHome; how[0] == "--rate" && (r.Watch.People != 12 || r.Watch.Events == 0 || s.Missed+home.Missed != 0 || s.P50 <= 0 ||
			s.Count < 2*r.Operations[0].Done || home.Count < 2*r.Operations[0].Done) { // of four friends two live on either node; some have more by now
			t.Errorf("%q: of %d posts people saw %+v elsewhere and %+v at home, and %+v", how, r.Operations[0].Done, s, home, r.Watch)
		}
		if how[0] == "--posts" && r.Check.Acknowledged != 30 {
			t.Errorf("%q: %d posts", how, r.Check.Acknowledged)
		}
	}
	var whole loadReport
	if b := must(os.ReadFile(file("load.json"))); json.Unmarshal(b, &whole) != nil || len(whole.Series) == 0 {
		t.Errorf("the report has no series: %s", b)
	}
	var picture struct{ XMLName xml.Name }
	if b := must(os.ReadFile(file("load.svg"))); xml.Unmarshal(b, &picture) != nil || picture.XMLName.Local != "svg" {
		t.Errorf("the plot is no SVG: %s", b)
	}
	if _, err := os.Stat(w.home("nobody")); !os.IsNotExist(err) {
		t.Errorf("a load has made a home: %v", err)
	}
}

// TestLoadTooMuch asks nodes that work on few requests at once for five times as
// much as they do: each refusal says when to come again, and what was acknowledged
// meanwhile is there, once.
func TestLoadTooMuch(t *testing.T) {
	undetected(t)
	t.Parallel()
	w := newWorld(t, func(s *server) error {
		s.flags = append(s.flags, "--limits-requests", "4")
		return nil
	})
	r, err := w.loads("--people", "24", "--friends", "2", "--overload", "5", "--clients", "2", "--seconds", "1", "--within", "10s")
	if o := r.Overload; err != nil || o.Peak <= 0 || o.Refused == 0 || o.Untold > 0 || len(r.Failures) > 0 {
		t.Errorf("got %v, %+v", err, r)
	}
	if c := r.Check; c.Acknowledged == 0 || c.ReadBack != c.Acknowledged || c.ByFriends != c.Acknowledged || len(c.Violations) > 0 {
		t.Errorf("got %+v, want all read back", c)
	}
}

// loadEnds are how the set-up of a load may end too early, and what it says then.
var loadEnds = []struct {
	how  string
	says string // nothing when nobody is there to say it
	do   func(w *world, load context.CancelCauseFunc) error
}{
	{"the load is killed", "", func(_ *world, load context.CancelCauseFunc) error {
		load(errKilled)
		return nil
	}},
	{"the load is interrupted", "interrupted before the load began", func(_ *world, load context.CancelCauseFunc) error {
		load(nil)
		return nil
	}},
	{"a node is killed", "cannot be reached", func(w *world, _ context.CancelCauseFunc) error { return w.left.kill() }},
}

var errKilled = errors.New("it is to be killed")

// newLiedWorld makes a world with a liar before the first of its nodes.
func newLiedWorld(t *testing.T) (*world, *liar) {
	l, first := newLiar(t), true
	return newWorld(t, func(s *server) error {
		if !first {
			return nil
		}
		first = false
		return l.before(s)
	}), l
}

// TestLoadGoesOn ends the set-up of a load in the middle of each of its steps. The
// same command goes on with the same people: each is registered with the same bytes
// as before, all are friends, and what they post is read by their friends.
func TestLoadGoesOn(t *testing.T) {
	undetected(t)
	t.Parallel()
	w, l := newLiedWorld(t)
	for i, path := range []string{wire.PathRegister, wire.PathLogin, wire.PathWraps, wire.PathEntries, wire.PathFriends} {
		for j, end := range loadEnds {
			what := fmt.Sprintf("%s at the third request to %s", end.how, path)
			people := []string{"--people", "12", "--friends", "4", "--state", filepath.Join(w.dir, fmt.Sprintf("people-%d-%d.state", i, j))}
			ctx, stop := context.WithCancelCause(t.Context())
			ended, asked := make(chan error, 1), new(atomic.Int64)
			l.tell(told{route: "POST " + path, before: func(*exchange) {
				if asked.Add(1) == 3 {
					ended <- end.do(w, stop)
				}
			}})
			said, err := w.startsLoad(ctx, people...)
			if err == nil || !strings.Contains(said, end.says) || end.says != "" && !strings.Contains(said, "the same command goes on where this one was") {
				t.Fatalf("%s: got %v, %q", what, err, said)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			stop(nil)
			before := l.since()
			l.tell()
			if w.left.cmd == nil {
				if err := w.left.start(); err != nil {
					t.Fatal(err)
				}
			}
			r, err := w.loads(append(people, "--posts", "24", "--seconds", "20")...)
			if c := r.Check; err != nil || c.Acknowledged != 24 || c.ReadBack != 24 || c.ByFriends != 24 || len(c.Violations) > 0 {
				t.Errorf("%s: got %v, %+v, want 24 posts that are read back", what, err, r)
			}
			if got := registrations(append(before, l.since()...)); len(got) != 6 {
				t.Errorf("%s: %d registrations were sent to the node of 6", what, len(got))
			}
		}
	}
}

// startsLoad runs `peerbrain load` on both nodes until ctx ends, and returns what
// it says of its failure.
func (w *world) startsLoad(ctx context.Context, args ...string) (said string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "peerbrain"), append([]string{"load", "--node", "http://" + w.left.name, "--node", "http://" + w.right.name}, args...)...)
	cmd.Cancel = func() error {
		if context.Cause(ctx) == errKilled {
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	var errs strings.Builder
	cmd.Env, cmd.Stderr = append(bare(), w.env...), &errs
	err = cmd.Run()
	return errs.String(), err
}

// registrations are the different requests to register somebody.
func registrations(asked []exchange) map[string]bool {
	all := make(map[string]bool)
	for _, x := range asked {
		if x.route == "POST "+wire.PathRegister {
			all[string(x.body)] = true
		}
	}
	return all
}

// loadLies are what a node can do wrong, and how the checker names it.
var loadLies = []struct {
	kind string
	lie  func() told
}{
	{"lost", func() told {
		return told{route: "POST " + wire.PathEntries, before: func(x *exchange) {
			if e, h := publishedEntry(x); h.Seq == 3 {
				x.status, x.answer = 200, wire.EncodeJSON(wire.PublishReply{ID: e.ID(), Arrival: time.Now().UnixMilli()})
			}
		}}
	}},
	{"wrong answer", func() told {
		return alter("POST "+wire.PathEntries, func(x *exchange, r *wire.PublishReply) {
			if _, h := publishedEntry(x); h.Seq == 3 {
				r.ID[0]++
			}
		})
	}},
	{"doubled", func() told {
		return alter("GET "+wire.PathFeed, func(_ *exchange, r *wire.FeedReply) {
			if len(r.Items) > 1 {
				r.Items = slices.Insert(r.Items, 1, r.Items[0])
			}
		})
	}},
	{"doubled", func() told {
		return alter("GET "+wire.PathStream, func(_ *exchange, r *wire.StreamReply) {
			if len(r.Entries) > 1 {
				r.Entries = slices.Insert(r.Entries, 1, r.Entries[0])
			}
		})
	}},
	{"feed went back", func() told {
		return alter("GET "+wire.PathFeed, func(x *exchange, r *wire.FeedReply) {
			if !strings.Contains(x.target, "since=") {
				return // the first page of this reader tells of more
			}
			for i := range r.Streams {
				r.Streams[i].Head = min(r.Streams[i].Head, 1)
			}
		})
	}},
	{"feed out of order", func() told {
		return alter("GET "+wire.PathFeed, func(_ *exchange, r *wire.FeedReply) { slices.Reverse(r.Items) })
	}},
	{"own write not read", func() told {
		return alter("GET "+wire.PathFeed, func(_ *exchange, r *wire.FeedReply) {
			if len(r.Items) > 0 { // the newest, which is nobody's but the reader's in a feed that is read right after a post
				newest := r.Items[0]
				r.Items = r.Items[1:]
				for i := range r.Streams {
					if r.Streams[i].Author == newest.Author {
						r.Streams[i].Head--
					}
				}
			}
		})
	}},
	{"changed", func() told {
		return alter("GET "+wire.PathStream, func(_ *exchange, r *wire.StreamReply) {
			for _, e := range r.Entries {
				e.Body[len(e.Body)-1]++
			}
		})
	}},
	{"lost", func() told {
		return alter("GET "+wire.PathStream, func(_ *exchange, r *wire.StreamReply) {
			if len(r.Entries) > 1 {
				r.Entries = slices.Delete(r.Entries, 0, 1)
			}
		})
	}},
}

// publishedEntry is the entry of a request that publishes one.
func publishedEntry(x *exchange) (e wire.Entry, h wire.EntryHeader) {
	var r wire.PublishRequest
	if wire.DecodeJSON(x.body, &r) == nil && len(r.Entry.Header) > 64 {
		_ = wire.DecodeCBOR("entry", r.Entry.Header[64:], &h) // else it is none that is looked for
	}
	return r.Entry, h
}

// silent passes an event stream on without the events about the feed that follow
// the first.
func (l *liar) silent(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", l.node.listen
	answer, err := l.client.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	told := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		if about := line == "event: "+wire.EventFeed; about && told {
			line = ":"
		} else if about {
			told = true
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return
		}
		if line == "" && http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// TestLoadCatches: whatever a node loses, doubles, changes or hides ends the load
// with status 1, and is named; and so does what it does not tell those who watch.
func TestLoadCatches(t *testing.T) {
	undetected(t)
	t.Parallel()
	w, l := newLiedWorld(t)
	catches := func(kind string, lie told, how ...string) {
		l.tell(lie)
		r, err := w.loads(append(how, "--people", "6", "--friends", "3", "--seconds", "10", "--settle", "2", "--posts", "24", "--mix", "posts=100")...)
		var kinds []string
		for _, v := range r.Check.Violations {
			kinds = append(kinds, v.Kind)
		}
		if err == nil || !slices.Contains(kinds, kind) {
			t.Errorf("%s: got %v, %q, %+v", kind, err, strings.Join(kinds, ", "), r)
		}
	}
	for _, test := range loadLies {
		catches(test.kind, test.lie())
	}
	catches("not seen", told{route: "GET " + wire.PathEvents, before: func(x *exchange) { x.raw = l.silent }}, "--watch", "6")
}
