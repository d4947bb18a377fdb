package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A board pretends to be all nodes at once: it takes entries, shows them to
// everybody, and tells who watches.
type board struct {
	stall   func() time.Duration                             // until a post is taken
	late    func(seq uint64) time.Duration                   // until it is told of, less than 0 for never
	cutAt   int                                              // events, after which a stream is ended; 0 for never
	away    time.Time                                        // from then on there are no streams, unless it is zero
	entries func(all []wire.Entry) []wire.Entry              // shows others than are asked for; may be nil
	refuse  func(r *http.Request) (int, string, *wire.Error) // before all else; may be nil

	mu      sync.Mutex
	written map[streamID][]wire.Entry
	told    int                 // events
	streams map[chan string]int // and what each was told
	lasts   []string            // event ids that people came with
}

func (b *board) answer(r *http.Request) (int, string, any) {
	if b.refuse != nil {
		if status, header, err := b.refuse(r); status != 0 {
			return status, header, wire.ProblemOf(err)
		}
	}
	switch parts := strings.Split(r.URL.Path, "/"); {
	case r.Method == http.MethodPost && r.URL.Path == wire.PathEntries:
		return b.post(r)
	case r.URL.Path == wire.PathFeed:
		reply := wire.FeedReply{Items: []wire.FeedItem{}, Streams: []wire.StreamStatus{}, All: true, State: "a-state"}
		b.mu.Lock()
		defer b.mu.Unlock()
		for id, entries := range b.written {
			reply.Streams = append(reply.Streams, wire.StreamStatus{Author: id.author, Audience: id.audience, Head: uint64(len(entries)) + 1})
		}
		return http.StatusOK, "", reply
	case len(parts) == 5 && parts[2] == "streams":
		return b.stream(parts[3], parts[4], r.URL.Query().Get("after"))
	}
	return http.StatusNotFound, "", wire.ProblemOf(wire.Errorf(wire.NotExist, "", ""))
}

func (b *board) post(r *http.Request) (int, string, any) {
	time.Sleep(b.stall())
	var in wire.PublishRequest
	var h wire.EntryHeader
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = wire.DecodeJSON(body, &in)
	}
	if err == nil {
		err = wire.DecodeCBOR("entry", in.Entry.Header[64:], &h)
	}
	if err != nil {
		return http.StatusInternalServerError, "", wire.ProblemOf(err)
	}
	b.mu.Lock()
	id := streamID{h.Author, h.Audience}
	b.written[id] = append(b.written[id], in.Entry)
	b.mu.Unlock()
	if d := b.late(h.Seq); d >= 0 {
		time.AfterFunc(d, b.tell)
	}
	return http.StatusOK, "", wire.PublishReply{ID: in.Entry.ID(), Arrival: time.Now().UnixMilli()}
}

func (b *board) stream(author, audience, after string) (int, string, any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, entries := range b.written {
		if id.author.String() != author || id.audience.String() != audience {
			continue
		}
		from, err := strconv.Atoi(after)
		if err != nil {
			break
		}
		reply := wire.StreamReply{Head: uint64(len(entries)) + 1, Entries: slices.Clone(entries[from-1:])} // the first entry is number 2
		if b.entries != nil {
			reply.Entries = b.entries(reply.Entries)
		}
		return http.StatusOK, "", reply
	}
	return http.StatusNotFound, "", wire.ProblemOf(wire.Errorf(wire.NotExist, "", ""))
}

// tell tells all who watch that there is something new.
func (b *board) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told++
	for c := range b.streams {
		b.event(c)
	}
}

// event must be called with mu held.
func (b *board) event(c chan string) {
	c <- fmt.Sprintf("event: friends\ndata: {}\n\nevent: feed\nid: e-%d\ndata: {}\n\n", b.told)
	if b.streams[c]++; b.streams[c] == b.cutAt {
		delete(b.streams, c)
		close(c)
	}
}

// watches serves an event stream.
func (b *board) watches(r *http.Request, conn net.Conn) bool {
	b.mu.Lock()
	if !b.away.IsZero() && !time.Now().Before(b.away) {
		b.mu.Unlock()
		return false
	}
	c := make(chan string, 1000)
	b.streams[c] = 0
	b.lasts = append(b.lasts, r.Header.Get(wire.HeaderLastEvent))
	b.event(c)
	if !b.away.IsZero() {
		time.AfterFunc(time.Until(b.away), func() { b.end(c) })
	}
	b.mu.Unlock()
	defer b.end(c)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "+r.Header.Get("Accept")+"\r\n\r\nretry: 2000\n\n"); err != nil {
		return true
	}
	for {
		select {
		case text, ok := <-c:
			if _, err := io.WriteString(conn, text); err != nil || !ok {
				return true
			}
		case <-time.After(15 * time.Second):
			if _, err := io.WriteString(conn, ":\n\n"); err != nil {
				return true
			}
		}
	}
}

func (b *board) end(c chan string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.streams[c]; there {
		delete(b.streams, c)
		close(c)
	}
}

// busy has b refuse what is asked of a path, for a while after the beginning.
func (b *board) busy(path string, from, to time.Duration) {
	var once sync.Once
	var begin time.Time
	b.refuse = func(r *http.Request) (int, string, *wire.Error) {
		once.Do(func() { begin = time.Now() })
		if since := time.Since(begin); !strings.HasPrefix(r.URL.Path, path) || since < from || since >= to {
			return 0, "", nil
		}
		return http.StatusServiceUnavailable, "Retry-After: 1\r\n", wire.Errorf(wire.Unavailable, "", "this node is busy")
	}
}

// newBoard is an honest one, which tells after 20 ms.
func newBoard() *board {
	return &board{
		stall: func() time.Duration { return 0 }, late: func(uint64) time.Duration { return 20 * time.Millisecond },
		written: make(map[streamID][]wire.Entry), streams: make(map[chan string]int),
	}
}

// watched lets 10 people on two nodes post 100 times while all of them watch, and
// returns what came of it. Each has two friends on either node.
func watched(t *testing.T, b *board) (report *Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := someOptions()
		o.Nodes, o.People, o.Watch = []string{"localhost:1", "localhost:2"}, 10, 10
		o.Loop, o.Length, o.Settle = Loop{Rate: 10, Even: true, Outstanding: 20}, 10*time.Second, 5*time.Second
		o.CheckEvery, o.CheckPosts = 1_000_000, 0 // it is another checker that reads back
		p := &pretender{answer: b.answer, events: b.watches}
		l := pretended(t, p, o)
		for i, person := range l.crowd.people {
			person.account[0] = byte(i + 1)
			person.stream = wire.StreamHead{Seq: 1, ID: wire.EntryID{1}, Epoch: 1} // as after the first epoch
			person.acked = 1
		}
		befriend(ring(l.crowd.people, o.Friends))
		report, err = l.Run(t.Context())
		l.Close()
		p.close()
		for _, person := range l.crowd.people {
			if n := len(person.dues.of); n > 0 && err == nil && report.Seen.Missed == 0 && len(report.Check.Violations) == 0 {
				t.Errorf("when %d posts of %s were due is still kept", n, person.handle)
			}
		}
	})
	return report, err
}

// TestWatch: what people see who watch is timed from when it was due, all of it,
// and apart for friends at home and elsewhere.
func TestWatch(t *testing.T) {
	r, err := watched(t, newBoard())
	if err != nil {
		t.Fatal(err)
	}
	if r.Watch.People != 10 || r.Watch.Events == 0 || r.Watch.Resumed != 0 || r.Seen.Missed+r.SeenAtHome.Missed != 0 || len(r.Check.Violations) > 0 || len(r.Failures) > 0 {
		t.Errorf("got %+v, %+v, %+v, %+v, %v", r.Watch, r.Seen, r.SeenAtHome, r.Check, r.Failures)
	}
	if all := r.Check.Acknowledged; all < 99 || r.Seen.Count != 2*all || r.SeenAtHome.Count != 2*all {
		t.Errorf("of %d posts %d were seen elsewhere and %d at home, want each twice", all, r.Seen.Count, r.SeenAtHome.Count)
	}
	for _, s := range []*SeenReport{r.Seen, r.SeenAtHome} {
		if s.P50 < 20 || s.P50 > 21 || s.Max > 21 {
			t.Errorf("told after 20 ms: got %+v", s)
		}
	}
	series := uint64(0)
	for _, s := range r.Series {
		if s.Seen != nil {
			series += s.Seen.Count
		}
	}
	if series == 0 || series > r.Seen.Count {
		t.Errorf("%d were seen in the series, %d in all", series, r.Seen.Count)
	}
}

// TestWatchStall: a second in which the node takes no post is in the figures of
// all posts that were due in it.
func TestWatchStall(t *testing.T) {
	b := newBoard()
	var from time.Time
	var once sync.Once
	b.stall = func() time.Duration {
		once.Do(func() { from = time.Now().Add(4 * time.Second) })
		if since := time.Since(from); since >= 0 && since < time.Second {
			return time.Second - since
		}
		return 0
	}
	r, err := watched(t, b)
	if err != nil || r.Seen.P50 > 21 || r.Seen.P99 < 800 || r.Seen.Missed != 0 {
		t.Errorf("got %+v, %v, want a tenth to have waited for up to 1 s", r.Seen, err)
	}
}

// watchLies are what a node can do wrong to who watches, and how it is named.
var watchLies = []struct {
	name, kind string
	lie        func(b *board)
}{
	{"it is told in time", "", func(b *board) {
		b.late = func(uint64) time.Duration { return 4 * time.Second }
	}},
	{"it is told too late", unseen, func(b *board) { // after all posts and the settling
		b.late = func(uint64) time.Duration { return 16 * time.Second }
	}},
	{"the last posts are not told", unseen, func(b *board) {
		var posts atomic.Int64
		b.late = func(uint64) time.Duration {
			if posts.Add(1) > 90 {
				return -1
			}
			return 0
		}
	}},
	{"entries come again", doubled, func(b *board) {
		b.entries = func(all []wire.Entry) []wire.Entry { return append(all, all[len(all)-1]) }
	}},
	{"an entry is left out", lost, func(b *board) {
		b.late = func(uint64) time.Duration { return time.Second } // so that there are two at once
		b.entries = func(all []wire.Entry) []wire.Entry {
			if len(all) > 1 {
				return all[1:]
			}
			return all
		}
	}},
	{"an entry is changed", changed, func(b *board) {
		b.entries = func(all []wire.Entry) []wire.Entry {
			e := all[0]
			e.Body = slices.Clone(e.Body)
			e.Body[len(e.Body)-1]++
			return append([]wire.Entry{e}, all[1:]...)
		}
	}},
}

// TestWatchCatches: a post that is not told to who watches is named, and so is
// what they are shown wrongly.
func TestWatchCatches(t *testing.T) {
	for _, test := range watchLies {
		b := newBoard()
		test.lie(b)
		r, err := watched(t, b)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, v := range r.Check.Violations {
			kinds = append(kinds, v.Kind)
		}
		if want := test.kind; want == "" && len(kinds) > 0 || want != "" && !slices.Contains(kinds, want) || (r.Seen.Missed > 0) != (want == unseen) {
			t.Errorf("%s: got %q, %d missed, want %q", test.name, kinds, r.Seen.Missed, want)
		}
	}
}

// TestWatchResumes: who is cut off comes again with the id of the last event, and
// misses nothing.
func TestWatchResumes(t *testing.T) {
	b := newBoard()
	b.cutAt = 5
	r, err := watched(t, b)
	if err != nil || r.Watch.Resumed == 0 || r.Seen.Missed+r.SeenAtHome.Missed != 0 || len(r.Check.Violations) > 0 || len(r.Failures) > 0 {
		t.Fatalf("got %v, %+v, %+v, %v", err, r.Watch, r.Check, r.Failures)
	}
	if len(b.lasts) != 10+int(r.Watch.Resumed) {
		t.Errorf("%d streams were opened, %d again are told, want 10 more", len(b.lasts), r.Watch.Resumed)
	}
	for i, last := range b.lasts {
		if (last == "") != (i < 10) {
			t.Errorf("stream %d was opened with the last event %q", i, last)
		}
	}
}

// TestWatchAway: of a node without event streams nothing is said but that it could
// not be checked; and one that is there, and refuses to show what it told of, is
// asked again when it says.
func TestWatchAway(t *testing.T) {
	b := newBoard()
	b.stall = func() time.Duration {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.away.IsZero() {
			b.away = time.Now().Add(5 * time.Second)
			for c := range b.streams {
				time.AfterFunc(5*time.Second, func() { b.end(c) })
			}
		}
		return 0
	}
	r, err := watched(t, b)
	if err != nil || r.Seen.Missed == 0 || r.Check.Unchecked == 0 || len(r.Check.Violations) > 0 || len(r.Failures) != 1 || r.Failures["seen elsewhere: not_exist"] == 0 {
		t.Errorf("got %v, %+v, %+v, %v", err, r.Seen, r.Check, r.Failures)
	}

	b = newBoard()
	b.busy("/v1/streams/", 9850*time.Millisecond, 12*time.Second) // the last post is at 10 s: no event comes later
	r, err = watched(t, b)
	if err != nil || r.Seen.Missed+r.SeenAtHome.Missed != 0 || r.Seen.Max < 2000 || r.Seen.Max > 4000 || len(r.Check.Violations) > 0 || len(r.Failures) != 1 {
		t.Errorf("got %v, %+v, %+v, %v", err, r.Seen, r.Check, r.Failures)
	}
}

// TestWatchRefused: a post that the node did not take was due when it was asked to
// take it again.
func TestWatchRefused(t *testing.T) {
	b := newBoard()
	b.busy(wire.PathEntries, 0, 4*time.Second)
	r, err := watched(t, b)
	if err != nil || r.Operations[0].Refused == 0 || r.Seen.Count == 0 || r.Seen.Max > 21 {
		t.Errorf("got %v, %+v, %+v", err, r.Operations, r.Seen)
	}
}

// TestWatchBegins: a load with nobody to tell of it does not begin.
func TestWatchBegins(t *testing.T) {
	b := newBoard()
	b.away = time.Unix(1, 0)
	if r, err := watched(t, b); r != nil || wire.KindOf(err) != wire.NotExist {
		t.Errorf("got %+v, %v", r, err)
	}
	if len(b.written) > 0 {
		t.Errorf("%d people have posted", len(b.written))
	}
}

// TestDues: a post that is sent again was due when it was sent first, unless the
// node has refused it; and nothing is kept that all have seen, or that nobody waits
// for.
func TestDues(t *testing.T) {
	first, later := time.Unix(1, 0), time.Unix(2, 0)
	var d dues
	d.add(2, first)
	d.refused(2)
	if at, ok := d.seen(2); ok {
		t.Errorf("nobody watches, and %v is kept", at)
	}
	d.watched(2)
	d.add(2, first)
	d.add(2, later)
	d.add(3, first)
	d.refused(3)
	d.add(3, later)
	for _, want := range []time.Time{first, first, {}} {
		if at, ok := d.seen(2); at != want || ok == want.IsZero() {
			t.Errorf("got %v, %t, want %v", at, ok, want)
		}
	}
	if at, ok := d.seen(3); at != later || !ok || len(d.of) != 1 {
		t.Errorf("got %v, %t, and %d are kept", at, ok, len(d.of))
	}
}

// TestAudience: those who watch live on both nodes, and have friends elsewhere as
// long as there are such.
func TestAudience(t *testing.T) {
	o := someOptions()
	o.Nodes, o.People = []string{"localhost:1", "localhost:2"}, 20
	c, err := newCrowd(&o, [32]byte{5})
	if err == nil {
		err = c.draw(t.Context(), o.People)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := c.people
	if sight(p[0], p[1]) != seen || sight(p[0], p[2]) != seenAtHome {
		t.Error("of two nodes one is taken for the other")
	}
	befriend([]edge{{p[0], p[1]}, {p[2], p[3]}, {p[4], p[5]}, {p[6], p[7]}, {p[8], p[10]}})
	for _, test := range [][3]int{{2, 1, 2}, {6, 3, 6}, {8, 4, 8}, {12, 6, 8}, {14, 7, 8}, {16, 8, 8}, {20, 10, 8}} { // of the one node, and with friends elsewhere
		count, want := test[0], [2]int(test[1:])
		var got [2]int
		all := make(map[*person]bool)
		for _, p := range c.audience(count) {
			all[p] = true
			if p.home == c.nodes[0] {
				got[0]++
			}
			if f := c.friendOf(p); f != nil && f.home != p.home {
				got[1]++
			}
		}
		if got != want || len(all) != count {
			t.Errorf("of %d: got %d of one node, %d with friends elsewhere, want %v", count, got[0], got[1], want)
		}
	}
}

// TestEvents: events as a node writes them, and as they may come, and how a stream
// ends.
func TestEvents(t *testing.T) {
	const first = "retry: 2000\n\nevent: friends\ndata: {}\n\nevent: feed\nid: one\ndata: {}\n\n"
	for _, test := range []struct {
		name, text string
		counts     []int
		last       string
	}{
		{"one", first, []int{1}, "one"},
		{"two at once", first + "event: feed\nid: two\n\n", []int{2}, "two"},
		{"lines of another kind", ":\r\n\r\nevent:feed\r\nid:one\r\nfield\r\n\r\n", []int{1}, "one"},
		{"nothing but signs of life", ":\n\n:\n\n", nil, ""},
		{"half an event", first + "event: feed\nid: two\n", []int{1}, "one"},
		{"a line without an end", first + "data: " + strings.Repeat("x", eventBuffer) + "\n\n", []int{1}, "one"},
		{"an event without an end", first + strings.Repeat("data: x\n", maxEventLines+1) + "\n", []int{1}, "one"},
	} {
		near, far := net.Pipe()
		go func() {
			_, _ = io.WriteString(far, test.text) // who reads may have had enough
			far.Close()
		}()
		e := &events{c: &connection{Conn: near}, in: bufio.NewReaderSize(near, eventBuffer), stop: func() bool { return true }}
		var counts []int
		var err error
		for err == nil {
			var count int
			if count, err = e.feed(); count > 0 {
				counts = append(counts, count)
			}
		}
		if !errors.Is(err, errBroken) || !slices.Equal(counts, test.counts) || e.last != test.last || e.c != nil {
			t.Errorf("%s: got %v up to %q, %v, want %v up to %q", test.name, counts, e.last, err, test.counts, test.last)
		}
	}
}

// TestEventsOpen: an answer in chunks, as a proxy sends it; and a session that has
// ended.
func TestEventsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *Load
		good, opened := "", 0
		p := &pretender{
			answer: func(r *http.Request) (int, string, any) {
				switch r.URL.Path {
				case wire.PathChallenge:
					return http.StatusOK, "", wire.ChallengeReply{}
				case wire.PathLogin:
					token := wire.NewToken([32]byte{7})
					good = "Bearer " + token.Reveal()
					return http.StatusOK, "", wire.LoginReply{Account: l.crowd.people[0].account, Token: token}
				}
				return http.StatusUnauthorized, "", wire.ProblemOf(wire.Errorf(wire.Unauthenticated, "", ""))
			},
			events: func(r *http.Request, c net.Conn) bool {
				if opened++; r.Header.Get("Authorization") != good {
					return false
				}
				text := "event: feed\nid: one\n\n"
				_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n", 9, text[:9], len(text)-9, text[9:])
				return err == nil
			},
		}
		l = pretended(t, p, someOptions())
		ann := l.crowd.people[0]
		ann.session.token = wire.NewToken([32]byte{6})
		ctx, cancel := context.WithCancel(t.Context())
		e := &events{person: ann}
		if err := e.open(ctx); err != nil || opened != 2 || l.crowd.renewed.Load() != 1 {
			t.Fatalf("got %v, %d requests", err, opened)
		}
		if count, err := e.feed(); count != 1 || err != nil || e.last != "one" {
			t.Fatalf("got %d events, %v, the last is %q", count, err, e.last)
		}
		cancel()
		if _, err := e.feed(); !errors.Is(err, errBroken) {
			t.Errorf("after the end: got %v", err)
		}
		l.Close()
		p.close()
	})
}
