package story_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A liar stands between people and their node, which for them is the same as a
// hostile node: it sees every request and may change it, answer it in the node's
// place, or change the answer.
type liar struct {
	t      *testing.T
	node   *server
	client *http.Client

	mu      sync.Mutex
	told    []told
	asked   []exchange            // since forget, with what was answered
	written bool                  // something was written by those that are forgotten
	routes  map[string]bool       // of the client API that were ever asked for
	tokens  map[string]wire.Token // the first that each has got, by handle
}

// told is one lie about one route; either half may be nil.
type told struct {
	route  string // "GET /v1/feed"
	before func(x *exchange)
	after  func(x *exchange)
}

// An exchange is a request and its answer. A lie that sets status before answers
// in the node's place, and one that sets raw writes whatever it likes.
type exchange struct {
	route  string
	target string // as asked for, with the query
	body   []byte
	person bool // a client asks, and not another node
	status int
	header http.Header
	answer []byte
	raw    http.HandlerFunc
}

// before puts l in front of s.
func (l *liar) before(s *server) error {
	l.node = s
	return standBefore(l.t, s, l)
}

func newLiar(t *testing.T) *liar {
	return &liar{
		t: t, client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		routes: make(map[string]bool), tokens: make(map[string]wire.Token),
	}
}

// tell replaces the lies, and forgets what was asked before.
func (l *liar) tell(lies ...told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = l.written || slices.ContainsFunc(l.asked, func(x exchange) bool {
		return slices.Contains(changing, x.route) || strings.HasPrefix(x.route, "DELETE ") || strings.HasPrefix(x.route, "PUT ")
	})
	l.told, l.asked = lies, nil
}

// clean reports whether nothing was written since it was asked last.
func (l *liar) clean() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	wrote := l.written
	l.written = false
	return !wrote
}

// since returns what was asked since tell.
func (l *liar) since() []exchange {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

// ServeHTTP passes a request on, with all lies about its route.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x := &exchange{route: routeOf(r), target: r.RequestURI, body: body, person: r.Header.Get("Accept") == wire.MediaJSON || r.Header.Get("Accept") == wire.MediaEvents}
	l.mu.Lock()
	lies := slices.DeleteFunc(slices.Clone(l.told), func(t told) bool { return t.route != x.route && t.route != anyRoute })
	l.mu.Unlock()
	for _, t := range lies {
		if t.before != nil {
			t.before(x)
		}
	}
	if x.raw != nil {
		l.note(x)
		x.raw(w, r)
		return
	}
	if x.status == 0 {
		if err := l.forward(x, r); err != nil {
			panic(http.ErrAbortHandler)
		}
		for _, t := range lies {
			if t.after != nil {
				t.after(x)
			}
		}
	}
	l.note(x)
	for name, values := range x.header {
		w.Header()[name] = values
	}
	w.WriteHeader(x.status)
	_, _ = w.Write(x.answer) // who asked may have gone away
}

// note keeps what was asked, and whose token a log-in was given.
func (l *liar) note(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, *x)
	l.routes[x.route] = l.routes[x.route] || x.person
	var in wire.LoginRequest
	var out wire.LoginReply
	if x.route != "POST "+wire.PathLogin || json.Unmarshal(x.body, &in) != nil || wire.DecodeJSON(x.answer, &out) != nil {
		return
	}
	if _, known := l.tokens[string(in.Handle)]; !known {
		l.tokens[string(in.Handle)] = out.Token
	}
}

// forward asks the node itself.
func (l *liar) forward(x *exchange, r *http.Request) error {
	out, err := http.NewRequest(r.Method, "http://"+l.node.listen+x.target, bytes.NewReader(x.body))
	if err != nil {
		return err
	}
	out.Host, out.Header = r.Host, r.Header.Clone()
	if len(x.body) == 0 {
		out.Body, out.ContentLength = nil, 0
	}
	answer, err := l.client.Do(out)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if x.answer, err = io.ReadAll(answer.Body); err != nil {
		return err
	}
	x.status, x.header = answer.StatusCode, answer.Header
	x.header.Del("Content-Length")
	x.header.Del("Connection")
	return nil
}

// anyRoute is where lies about every route are told.
const anyRoute = "*"

// routeOf names the route of the client API that a request is for, "" for none.
func routeOf(r *http.Request) string {
	for _, route := range apiRoutes() {
		if method, pattern, _ := strings.Cut(route, " "); method == r.Method && fits(pattern, r.URL.Path) {
			return route
		}
	}
	return ""
}

// apiRoutes are the routes of the client API, from where its paths are written
// down with their methods.
var apiRoutes = sync.OnceValue(func() (routes []string) {
	root, err := houseRoot()
	if err != nil {
		panic(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "federation", "wire", "clientapi.go"))
	if err != nil {
		panic(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^\tPath\w+ += "(.*)" +// (.*)$`).FindAllStringSubmatch(string(source), -1) {
		for _, method := range regexp.MustCompile(`(?:^|; )([A-Z]+)`).FindAllStringSubmatch(line[2], -1) {
			routes = append(routes, method[1]+" "+line[1])
		}
	}
	return routes
})

func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if pattern == wire.PathLogFile && len(got) > len(want) { // the last may have slashes
		got = got[:len(want)]
	}
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") })
}

// ask is what a hostile node does with the session of one of its people: it asks
// itself, and keeps what comes.
func (l *liar) ask(who, method, target string, in, out any) {
	l.t.Helper()
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(wire.EncodeJSON(in))
	}
	r, err := http.NewRequest(method, "http://"+l.node.listen+target, body)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Host = l.node.name
	l.mu.Lock()
	token := l.tokens[who]
	l.mu.Unlock()
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	if in != nil {
		r.Header.Set("Content-Type", wire.MediaJSON)
	}
	answer, err := l.client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK {
		err = wire.DecodeJSON(b, out)
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		l.t.Fatalf("%s: %s %s: status %d, %v, %s", who, method, target, answer.StatusCode, err, b)
	}
}

// alter changes the good answers of a route.
func alter[T any](route string, change func(x *exchange, r *T)) told {
	return told{route: route, after: func(x *exchange) {
		r := new(T)
		if x.status != http.StatusOK || wire.DecodeJSON(x.answer, r) != nil {
			return
		}
		change(x, r)
		x.answer = wire.EncodeJSON(r)
	}}
}

// amend changes requests before the node gets them.
func amend[T any](route string, change func(x *exchange, in *T)) told {
	return told{route: route, before: func(x *exchange) {
		in := new(T)
		if wire.DecodeJSON(x.body, in) == nil {
			change(x, in)
			x.body = wire.EncodeJSON(in)
		}
	}}
}

// refuse answers with a problem; the node hears nothing of the request.
func refuse(route string, kind wire.Kind) told {
	return told{route: route, before: func(x *exchange) { x.problem(kind) }}
}

// deny answers with a problem after the node has done what was asked.
func deny(route string, kind wire.Kind) told {
	return told{route: route, after: func(x *exchange) { x.problem(kind) }}
}

func (x *exchange) problem(kind wire.Kind) {
	p := wire.ProblemOf(wire.Errorf(kind, "", ""))
	x.status, x.answer = p.Status, wire.EncodeJSON(p)
	x.header = http.Header{"Content-Type": {wire.MediaProblem}}
}

// swallow answers as if the node had done what was asked.
func swallow(route string, answer func(x *exchange) any) told {
	return told{route: route, before: func(x *exchange) {
		if x.status = http.StatusNoContent; answer != nil {
			x.status, x.answer = http.StatusOK, wire.EncodeJSON(answer(x))
		}
	}}
}

// words are the parameters in the path of a request, in order.
func (x *exchange) words() (list []string) {
	u, _ := url.ParseRequestURI(x.target)
	_, pattern, _ := strings.Cut(x.route, " ")
	got := strings.Split(u.Path, "/")
	for i, w := range strings.Split(pattern, "/") {
		if strings.HasPrefix(w, ":") {
			list = append(list, got[i])
		}
	}
	return list
}
