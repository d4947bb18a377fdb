package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// busyNode is a node that works on one request at once, and ann with a session.
func busyNode(t *testing.T, w *world) (s *served, ann *testPerson, token string) {
	n := w.open(north, nil, nil)
	s = n.serves(func(c *Config) { c.Limits.Requests = 1 })
	ann = n.person("ann")
	return s, ann, bearer(s.logsIn(ann).Token)
}

// occupy lets a post of ann wait for the end of another one, until release,
// which returns the answer to it.
func (s *served) occupy(ann *testPerson, token string) (release func() answer) {
	stream := s.streams.get(streamName{ann.account, ann.audience})
	stream.appending.Lock()
	e := ann.seal(ann.header(wire.KindPost), []byte("sealed"))
	got := make(chan answer, 1)
	go func() {
		for { // until it is let in beside the requests below
			a := s.sends("POST", wire.PathEntries, wire.EncodeJSON(wire.PublishRequest{Entry: e}), token)
			if a.status != 503 {
				got <- a
				return
			}
		}
	}()
	for s.sends("GET", wire.PathSession, nil, token).status != 503 {
	}
	return func() answer {
		stream.appending.Unlock()
		return <-got
	}
}

// TestBusy asks for everything while the node has as much to do as it takes on at
// once: all but its health is refused at once, with the time to wait, nothing is
// done, and the connection stays. Afterwards all is as ever.
func TestBusy(t *testing.T) {
	s, ann, token := busyNode(t, newWorld(t))
	release := s.occupy(ann, token)
	before := s.records()
	for _, op := range theSpec(t).operations {
		method, path, _ := strings.Cut(op.name, " ")
		for _, name := range []string{":author", ":audience", ":commit", ":id"} {
			path = strings.Replace(path, name, ann.account.String(), 1)
		}
		var body []byte
		if op.request != nil {
			body = []byte("{}")
		}
		got := s.sends(method, path, body, token)
		hold(t, method, path, body, answered{status: got.status, body: []byte(got.body)})
		switch {
		case path == wire.PathHealth:
			if got.status != 200 {
				t.Errorf("health: got %+v", got)
			}
		case got.status != 503 || got.problem().Code != wire.Unavailable || !strings.Contains(got.header, "Retry-After: [1]"):
			t.Errorf("%s: got %+v, want 503 with Retry-After", op.name, got)
		}
	}
	if !maps.Equal(before, s.records()) {
		t.Error("something was stored")
	}
	c := must(net.Dial("tcp", s.addr))
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	large := strings.Repeat("x", 40<<10)
	for range 2 {
		fmt.Fprintf(c, "POST /v1/entries HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.name, len(large), large)
		response := must(http.ReadResponse(r, nil))
		io.Copy(io.Discard, response.Body)
		if response.StatusCode != 503 || response.Close {
			t.Fatalf("got %d, close: %t, want 503 and the connection kept", response.StatusCode, response.Close)
		}
	}
	if got := release(); got.status != 200 {
		t.Errorf("the request that was worked on: got %+v", got)
	}
	if got := s.sends("GET", wire.PathSession, nil, token); got.status != 200 {
		t.Errorf("afterwards: got %+v", got)
	}
}

// TestBusyHangsUp is asked, while busy, with bodies that are too large to be
// taken in for nothing, or stop coming: the connection is closed.
func TestBusyHangsUp(t *testing.T) {
	s, ann, token := busyNode(t, newWorld(t))
	release := s.occupy(ann, token)
	for _, length := range []int{busyBody + 1, 5} {
		c := must(net.Dial("tcp", s.addr))
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "POST /v1/entries HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", s.name, length)
		response := must(http.ReadResponse(bufio.NewReader(c), nil))
		if response.StatusCode != 503 || !response.Close {
			t.Errorf("%d bytes: got %d, close: %t, want 503 and the end", length, response.StatusCode, response.Close)
		}
	}
	release()
}

// TestWaitingIsNotWork has requests wait for other nodes, in each way there is,
// and for a slow client: others are served meanwhile.
func TestWaitingIsNotWork(t *testing.T) {
	w := newWorld(t)
	s, ann, token := busyNode(t, w)
	far := w.open(south, nil, nil)
	ben, cid := far.person("ben"), far.person("cid")
	ann.befriend(ben)
	served := func(what string) {
		t.Helper()
		waitFor(t, "an answer while "+what, func() bool { // what waits may still be about to
			return s.sends("GET", wire.PathSession, nil, token).status == 200
		})
	}
	for _, test := range []struct {
		what, path string
		ask        func() answer
	}{
		{"a feed waits for a friend's node", wire.PathPeerSync, func() answer { return s.sends("GET", wire.PathFeed, nil, token) }},
		{"keys of somebody elsewhere are fetched", wire.PathPeerKeys, func() answer {
			return s.sends("POST", wire.PathKeys, wire.EncodeJSON(wire.KeysRequest{Address: cid.address}), token)
		}},
		{"a statement is delivered", wire.PathPeerFriends, func() answer {
			return s.sends("POST", wire.PathFriends, wire.EncodeJSON(ann.offer(cid)), token)
		}},
	} {
		s.follows.renew(south)
		calls := w.called(test.path)
		release := w.hold(south)
		got := make(chan answer, 1)
		go func() { got <- test.ask() }()
		waitFor(t, test.what, func() bool { return w.called(test.path) > calls })
		served(test.what)
		release()
		if got := <-got; got.status != 200 {
			t.Errorf("%s: got %+v", test.what, got)
		}
	}
	c := must(net.Dial("tcp", s.addr))
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", s.name)
	served("a body is on its way")
}

// TestVerifyingIsNotWork is asked in the name of a node that does not say who it
// is: whoever waits for its document keeps nobody else from being served.
func TestVerifyingIsNotWork(t *testing.T) {
	at := func(l net.Listener) wire.NodeName {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return wire.NodeName("localhost:" + port)
	}
	l, silent := must(net.Listen("tcp", "127.0.0.1:0")), must(net.Listen("tcp", "127.0.0.1:0"))
	s := newLiveWorld(t).open(at(l), nil, nil).serveAt(l, func(c *Config) { c.Limits.Requests = 1 })
	asked := make(chan net.Conn, 1)
	go func() {
		if c, err := silent.Accept(); err == nil {
			asked <- c
		}
	}()
	pen := forgery.NewPen(forgery.NewSigner(at(silent)), s.name, forgery.Route{Path: wire.PathPeerSync, Body: "{}"}, time.Now())
	c := must(net.Dial("tcp", s.addr))
	defer c.Close()
	r := pen.Write()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	for _, h := range r.Headers {
		fmt.Fprintf(c, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(c, "\r\n%s", r.Body)
	held := <-asked
	if got := s.sends("GET", wire.PathDocument, nil); got.status != 200 {
		t.Errorf("got %+v", got)
	}
	if err := errors.Join(silent.Close(), held.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestGateFollows: while more is asked than can be done, a gate lets in as many
// as were done in the last window, within bounds; else as many as it may.
func TestGateFollows(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := &gate{most: 512}
	inside := 0
	fill := func() {
		for !g.full(now) {
			g.enter()
			inside++
		}
	}
	fill()
	for _, test := range []struct {
		done, want int
		took       time.Duration
	}{
		{100, 100, gateWindow},
		{90, 90, gateWindow},
		{200, 100, 2 * gateWindow},
		{20, fewRequests, gateWindow},
		{fewRequests, fewRequests, 10 * gateWindow},
		{600, 512, gateWindow},
	} {
		for range test.done {
			if inside == 0 {
				g.enter()
				inside++
			}
			g.leave()
			inside--
		}
		now = now.Add(test.took)
		g.full(now)
		fill()
		if got := int(g.room()); got != test.want || int(g.working.Load()) < test.want {
			t.Errorf("%d were done in %s: %d may be worked on, %d are, want %d", test.done, test.took, got, g.working.Load(), test.want)
		}
	}
	for range inside {
		g.leave()
	}
	now = now.Add(gateWindow) // in which the last was refused
	g.full(now)
	now = now.Add(gateWindow)
	if g.full(now); g.room() != 512 {
		t.Errorf("after a window in which nothing was refused %d may be worked on, want 512", g.room())
	}
	small := &gate{most: 3}
	small.denied.Store(1)
	if small.turn(gateWindow); small.room() != 3 {
		t.Errorf("of 3 at most, %d may be worked on", small.room())
	}
}

// TestManyRefusalsWait: the first refusals of a window are answered at once, what
// comes beyond them later, and not more of these at once than there is room for.
func TestManyRefusalsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		g.window.Store(time.Now().UnixNano())
		begin := time.Now()
		for range fewRequests {
			g.full(begin)
			g.pause()
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the first refusals took %s", waited)
		}
		g.full(begin)
		g.paused.Store(maxPaused)
		if g.pause(); time.Since(begin) != 0 {
			t.Errorf("where %d wait, another one waited for %s", maxPaused, time.Since(begin))
		}
		g.paused.Store(maxPaused - 1)
		if g.pause(); time.Since(begin) != busyPause || g.paused.Load() != maxPaused-1 {
			t.Errorf("the next refusal took %s, want %s", time.Since(begin), busyPause)
		}
	})
}
