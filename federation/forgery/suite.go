package forgery

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Suite attacks one node at its address. What its Routes ask is for Me to ask;
// Other, and the nodes that the suite makes up, may ask what the first one asks.
// Its parts are called one by one, so that the caller can look at the node in
// between; each reports to t what was not refused, or not as it has to be.
type Suite struct {
	Addr      string        // host:port, spoken to in plain HTTP
	Name      wire.NodeName // as it calls itself
	Routes    []Route
	Me, Other *Node
	// Blind says that the node cannot ask Me who Me is, as nodes with a public
	// name cannot: no honest request passes, so none is sent.
	Blind bool
	// State, if set, tells what the node has stored: each forgery leaves it alone.
	State func() string

	Refused int // forgeries
	Passed  int // controls

	refusal  string // the one answer, but for its date
	accepted []Request
	met      []*Node // whose documents the node asks for
}

// An Answer is what came back for one request.
type Answer struct {
	Status int
	Head   string // header lines without the date, sorted
	Body   string
}

// Send puts raw on a new connection, says that nothing follows, and returns all
// answers.
func (s *Suite) Send(raw []byte) ([]Answer, error) {
	c, err := net.DialTimeout("tcp", s.Addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	c.Write(raw) // the node may answer and close before it has read all of it
	c.(*net.TCPConn).CloseWrite()
	var answers []Answer
	in := bufio.NewReader(c)
	for {
		if _, err := in.Peek(1); err == io.EOF && len(answers) > 0 {
			return answers, nil
		}
		r, err := http.ReadResponse(in, &http.Request{Method: method(raw)})
		if err != nil {
			return answers, fmt.Errorf("after %d answers: %w", len(answers), err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return answers, err
		}
		answers = append(answers, Answer{r.StatusCode, headOf(r.Header), string(body)})
	}
}

func method(raw []byte) string {
	m, _, _ := bytes.Cut(raw, []byte(" "))
	return string(m)
}

func headOf(h http.Header) string {
	var lines []string
	for name, values := range h {
		if name != "Date" {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// one sends a request that has one answer.
func (s *Suite) one(t *testing.T, what string, r Request) (a Answer) {
	t.Helper()
	answers, err := s.Send(r.Bytes())
	if err != nil || len(answers) != 1 {
		t.Fatalf("%s: got %d answers, want 1: %v", what, len(answers), err)
	}
	return answers[0]
}

// Pen is ready to write an honest request of n.
func (s *Suite) Pen(n *Node, route Route) *Pen { return NewPen(n.Signer, s.Name, route, time.Now()) }

// refuses counts a forgery, which has to get the one answer, or where that is
// early any 4xx.
func (s *Suite) refuses(t *testing.T, what string, r Request, early bool) {
	t.Helper()
	if early {
		s.refusesRaw(t, what, r.Bytes())
		return
	}
	s.Refused++
	defer s.still(t, what)()
	a := s.one(t, what, r)
	if s.refusal == "" {
		s.refusal = a.Head
	}
	wanted := The401()
	if r.Method == "HEAD" {
		wanted = ""
	}
	if a.Status != 401 || a.Body != wanted || a.Head != s.refusal {
		t.Errorf("%s: got %d\n%s\n%s\nwant 401\n%s\n%s", what, a.Status, a.Head, a.Body, s.refusal, wanted)
	}
}

// refusesRaw counts a forgery that is no proper request: all that comes back is
// 4xx, or the connection is reset.
func (s *Suite) refusesRaw(t *testing.T, what string, raw []byte) {
	t.Helper()
	s.Refused++
	defer s.still(t, what)()
	answers, err := s.Send(raw)
	if len(answers) == 0 && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: no answer: %v", what, err)
	}
	for _, a := range answers {
		if a.Status < 400 || a.Status > 499 {
			t.Errorf("%s: got %d %s, want 4xx\n%s", what, a.Status, a.Body, raw)
		}
	}
}

// still returns what is to be called after a forgery. A node that has asked for a
// document meanwhile, which it may once a minute, has stored that.
func (s *Suite) still(t *testing.T, what string) func() {
	if s.State == nil {
		return func() {}
	}
	before, fetches := s.State(), s.fetches()
	return func() {
		if s.State() != before && s.fetches() == fetches {
			t.Errorf("%s: it changed what is stored", what)
		}
	}
}

func (s *Suite) fetches() (sum int64) {
	for _, n := range s.met {
		sum += n.Fetches.Load()
	}
	return sum
}

// passes counts an honest request, which has to get 200 and a good answer.
func (s *Suite) passes(t *testing.T, what string, route Route, r Request) {
	t.Helper()
	s.Passed++
	s.good(t, what, route, s.one(t, what, r))
	s.accepted = append(s.accepted, r)
}

func (s *Suite) good(t *testing.T, what string, route Route, a Answer) {
	t.Helper()
	if a.Status != 200 {
		t.Fatalf("%s to %s: got %d %s, want 200", what, route.Path, a.Status, a.Body)
	}
	if route.Check == nil {
		return
	}
	if err := route.Check([]byte(a.Body)); err != nil {
		t.Errorf("%s to %s: got %s: %v", what, route.Path, a.Body, err)
	}
}

// Meet sends an honest request of each node until it passes: after a start a
// node refuses what may be a replay, and after a flood it meets nobody new for a
// while.
func (s *Suite) Meet(t *testing.T, nodes ...*Node) {
	t.Helper()
	s.met = append(s.met, nodes...)
	for _, n := range nodes {
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			r := s.write(n)
			a := s.one(t, "a first contact", r)
			if a.Status == 200 {
				s.Passed++
				s.accepted = append(s.accepted, r)
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the node does not get to know %s: %d %s", n.Name, a.Status, a.Body)
			}
		}
	}
}

func (s *Suite) write(n *Node) Request { return s.Pen(n, s.Routes[0]).Write() }

// Controls sends the honest request of each route.
func (s *Suite) Controls(t *testing.T) {
	t.Helper()
	for _, route := range s.Routes {
		s.passes(t, "the honest request", route, s.Pen(s.Me, route).Write())
	}
}

// Forgeries sends the List of each route.
func (s *Suite) Forgeries(t *testing.T) {
	t.Helper()
	for _, route := range s.Routes {
		for _, f := range List(route, s.Routes, s.Name, s.Me.Signer, s.Other.Signer) {
			s.refuses(t, f.Name+" to "+route.Path, f.Write(s.Pen(s.Me, route)), f.Early)
		}
	}
}

// atOnce is how many copies of one request race.
const atOnce = 32

// Replays is F6: what passed passes no second time, in no other request, and of
// many copies at once one.
func (s *Suite) Replays(t *testing.T) {
	t.Helper()
	for _, route := range s.Routes {
		p := s.Pen(s.Me, route)
		r := p.Write()
		s.passes(t, "the honest request", route, r)
		s.refuses(t, "F6 replay to "+route.Path, r, false)
		p.Body, p.Digest, p.Expires = route.Other, "", p.At(100)
		s.refuses(t, "F6 its nonce in another request to "+route.Path, p.Write(), false)
		s.race(t, route)
	}
	s.Again(t)
}

func (s *Suite) race(t *testing.T, route Route) {
	t.Helper()
	r := s.Pen(s.Me, route).Write()
	raw := r.Bytes()
	answers, errs := make([][]Answer, atOnce), make([]error, atOnce)
	var sent sync.WaitGroup
	for i := range atOnce {
		sent.Go(func() { answers[i], errs[i] = s.Send(raw) })
	}
	sent.Wait()
	won := 0
	for i, all := range answers {
		switch {
		case len(all) != 1:
			t.Fatalf("F6 at once to %s: %d answers, %v", route.Path, len(all), errs[i])
		case all[0].Status == 200:
			won++
			s.good(t, "one of the copies", route, all[0])
		case all[0].Status != 401 || all[0].Body != The401() || all[0].Head != s.refusal:
			t.Errorf("F6 at once to %s: got %d %s", route.Path, all[0].Status, all[0].Body)
		}
	}
	if won != 1 {
		t.Errorf("F6 at once to %s: %d of %d copies passed, want 1", route.Path, won, atOnce)
	}
	s.Refused, s.Passed = s.Refused+atOnce-1, s.Passed+1
	s.accepted = append(s.accepted, r)
}

// Again replays all that ever passed, and that is not expired: after a restart
// of the node too.
func (s *Suite) Again(t *testing.T) {
	t.Helper()
	for _, r := range s.accepted {
		s.refuses(t, "F6 replay of what passed", r, false)
	}
}

// Fetched reports the nodes that were asked for their document too often.
func (s *Suite) Fetched(t *testing.T, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		if n.tooMany() {
			t.Errorf("%s was asked for its document %d times in %v, want at most once a minute", n.Name, n.Fetches.Load(), time.Since(n.born))
		}
	}
}
