package node

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A watch is an event stream over HTTP.
type watch struct {
	t     *testing.T
	body  io.ReadCloser
	lines *bufio.Reader
	last  string // id
}

// watches opens an event stream and returns it.
func (s *served) watches(t *testing.T, token wire.Token, last string) *watch {
	t.Helper()
	r := must(http.NewRequest("GET", "http://"+s.addr+wire.PathEvents, nil))
	r.Host = string(s.name)
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	if last != "" {
		r.Header.Set(wire.HeaderLastEvent, last)
	}
	response := must(s.http.Do(r))
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != wire.MediaEvents || response.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d with %v", response.StatusCode, response.Header)
	}
	wantHeaders(t, response)
	return &watch{t: t, body: response.Body, lines: bufio.NewReader(response.Body)}
}

// next returns the kind of the next event, "" at the end.
func (w *watch) next() (kind string) {
	w.t.Helper()
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return ""
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" && kind != "":
			return kind
		case strings.HasPrefix(line, "event: "):
			kind = line[len("event: "):]
		case strings.HasPrefix(line, "id: "):
			w.last = line[len("id: "):]
		}
	}
}

func (w *watch) wants(kinds ...string) {
	w.t.Helper()
	for _, want := range kinds {
		if got := w.next(); got != want {
			w.t.Fatalf("got event %q, want %q", got, want)
		}
	}
}

// hears waits for an event of a kind, whatever else is told: of a new friendship
// something may still be under way.
func (w *watch) hears(kind string) {
	w.t.Helper()
	for {
		switch got := w.next(); got {
		case kind:
			return
		case "":
			w.t.Fatalf("no event %q comes any more", kind)
		}
	}
}

// newWatched makes ann, whom ben on her node and bob on another read, and who
// watch.
func newWatched(t *testing.T) (home, other *served, ann, ben, bob *testPerson) {
	w := newLiveWorld(t)
	home, other = w.host(), w.host()
	ann, ben, bob = home.person("ann"), home.person("ben"), other.person("bob")
	for _, p := range []*testPerson{ben, bob} {
		ann.befriend(p)
		p.wants(ann, wire.StateFriend, wire.StateFriend)
	}
	ann.rotate(ben, bob)
	other.pulls(home.testNode)
	return home, other, ann, ben, bob
}

// TestEvents wants a post to be told to friends here and elsewhere, and to the
// author's other devices; an offer to the one it is made to; and nothing to
// strangers.
func TestEvents(t *testing.T) {
	home, other, ann, ben, bob := newWatched(t)
	eve := home.person("eve")
	all := []*watch{
		home.watches(t, home.logsIn(ann).Token, ""), home.watches(t, home.logsIn(ben).Token, ""), other.watches(t, other.logsIn(bob).Token, ""),
	}
	stranger := home.watches(t, home.logsIn(eve).Token, "")
	for _, w := range append(all, stranger) {
		w.wants(wire.EventFriends, wire.EventFeed)
	}
	for range 3 {
		ann.posts(1)
		for _, w := range all {
			w.hears(wire.EventFeed)
		}
	}
	bob.tell(bob.offer(eve))
	stranger.wants(wire.EventFriends) // of three posts she heard nothing
}

// TestEventsResume wants a reader who comes back to be told what they missed, and
// nothing else.
func TestEventsResume(t *testing.T) {
	home, _, ann, ben, _ := newWatched(t)
	token := home.logsIn(ben).Token
	first := home.watches(t, token, "")
	first.wants(wire.EventFriends, wire.EventFeed)
	first.body.Close()
	person := must(home.Authenticate(t.Context(), token))
	since := func() uint32 { return must(person.newsSince(t.Context(), first.last)) }
	if got := since(); got != 0 {
		t.Errorf("nothing happened, and %b is told", got)
	}
	home.person("eve").rotate()
	if got := since(); got != 0 {
		t.Errorf("a stranger wrote, and %b is told", got)
	}
	ann.posts(1)
	if got := since(); got != eventFeed {
		t.Errorf("a friend wrote, and %b is told", got)
	}
	again := home.watches(t, token, first.last)
	again.wants(wire.EventFeed)
	ben.tell(ben.offer(home.person("eva")))
	if got := since(); got != eventFeed|eventFriends {
		t.Errorf("a friendship changed, and %b is told", got)
	}
	for _, foreign := range []string{"", "nonsense", "AAAAAAAAAAAAAAAAAAAAAA"} {
		if got := must(person.newsSince(t.Context(), foreign)); got != eventFeed|eventFriends {
			t.Errorf("%q tells %b, want everything", foreign, got)
		}
	}
}

// TestEventsEnd wants a stream to end with its session, and with the node.
func TestEventsEnd(t *testing.T) {
	home, _, _, ben, _ := newWatched(t)
	token, stays := home.logsIn(ben).Token, home.logsIn(ben).Token
	one, two := home.watches(t, token, ""), home.watches(t, stays, "")
	for _, w := range []*watch{one, two} {
		w.wants(wire.EventFriends, wire.EventFeed)
	}
	if a := home.sends("DELETE", wire.PathSession, nil, bearer(token)); a.status != 204 {
		t.Fatalf("%+v", a)
	}
	one.wants("")
	if !home.live.watches(ben.account) {
		t.Error("the stream of another session ended too")
	}
	home.live.each((*watcher).end) // as at the end of the node
	two.wants("")
	eventually(t, "nobody watches", func() bool { return home.live.watched.Load() == 0 })
}

// A slowConn notes that writes have a limit, and when late, lets it pass at once.
type slowConn struct {
	net.Conn
	limits atomic.Int64
	late   atomic.Bool
}

func (c *slowConn) SetWriteDeadline(at time.Time) error {
	c.limits.Add(1)
	if c.late.Load() {
		at = time.Now()
	}
	return c.Conn.SetWriteDeadline(at)
}

// TestSlowWatcher wants a reader who takes nothing to be cut off, and what waits
// for one to be no more than one event of each kind.
func TestSlowWatcher(t *testing.T) {
	home, _, ann, ben, _ := newWatched(t)
	person := must(home.Authenticate(t.Context(), home.logsIn(ben).Token))
	serve := must(person.Watch(""))
	here, there := net.Pipe()
	slow := &slowConn{Conn: there}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(slow)
	}()
	lines := &watch{t: t, body: here, lines: bufio.NewReader(here)}
	lines.wants(wire.EventFriends, wire.EventFeed)
	ann.posts(50)
	time.Sleep(2 * watchPause)
	lines.wants(wire.EventFeed)
	if got := lines.lines.Buffered(); got > 0 {
		t.Errorf("%d bytes wait behind one event", got)
	}
	if slow.limits.Load() == 0 {
		t.Fatal("a write may take for ever")
	}
	slow.late.Store(true)
	ann.posts(1)
	<-done
	if home.live.watches(ben.account) {
		t.Error("who takes nothing is still there")
	}
}

// TestWatchNeedsSession wants nobody to watch without a session, and nobody once the
// node is about to end.
func TestWatchNeedsSession(t *testing.T) {
	home, _, _, ben, _ := newWatched(t)
	if _, err := home.As(ben.account, "ben").Watch(""); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("without a session: %v", err)
	}
	person := must(home.Authenticate(t.Context(), home.logsIn(ben).Token))
	serve := must(person.Watch(""))
	home.live.end()
	here, there := net.Pipe()
	defer here.Close()
	go func() { _, _ = io.Copy(io.Discard, here) }()
	serve(there) // returns
	there.Close()
}

// TestNinthWatcher wants the oldest stream of a person to give way.
func TestNinthWatcher(t *testing.T) {
	home, _, _, ben, _ := newWatched(t)
	token := home.logsIn(ben).Token
	var all []*watch
	for range maxWatchers + 1 {
		w := home.watches(t, token, "")
		w.wants(wire.EventFriends, wire.EventFeed)
		all = append(all, w)
	}
	all[0].wants("")
	eventually(t, "one has ended", func() bool { return home.live.watched.Load() == maxWatchers })
}

// TestRepeatedLastEvent wants a header that is there twice to be refused.
func TestRepeatedLastEvent(t *testing.T) {
	home, _, _, ben, _ := newWatched(t)
	r := must(http.NewRequest("GET", "http://"+home.addr+wire.PathEvents, nil))
	r.Host = string(home.name)
	r.Header.Set("Authorization", "Bearer "+home.logsIn(ben).Token.Reveal())
	r.Header[wire.HeaderLastEvent] = []string{"a", "b"}
	response := must(home.http.Do(r))
	defer response.Body.Close()
	if response.StatusCode != 400 {
		t.Errorf("got %d", response.StatusCode)
	}
}
