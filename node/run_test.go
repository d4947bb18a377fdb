package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// running is a node that was started with Run.
type running struct {
	url  string
	name wire.NodeName
	http *http.Client
	log  *safeBuffer
	stop context.CancelFunc
	done chan error
}

func devConfig(t *testing.T) Config {
	c := DefaultConfig()
	c.Dev, c.Listen, c.Data, c.SyncInterval = true, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), time.Hour
	c.Site = testSite{}
	return c
}

// runs starts a node; it is ended with the test, or by ends.
func runs(t *testing.T, c Config) *running {
	t.Helper()
	r := &running{http: &http.Client{Transport: &http.Transport{}}, log: new(safeBuffer), done: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	ready := make(chan string, 1)
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() { r.done <- Run(ctx, c, log, func(addr string) { ready <- addr }) }()
	select {
	case addr := <-ready:
		_, port, _ := net.SplitHostPort(addr)
		r.url, r.name = "http://"+addr, wire.NodeName("localhost:"+port)
	case err := <-r.done:
		t.Fatalf("the node did not start: %v", err)
	}
	t.Cleanup(func() {
		if r.done != nil {
			r.ends(t)
		}
	})
	return r
}

// ends tells the node to end, and waits.
func (r *running) ends(t *testing.T) {
	t.Helper()
	r.http.CloseIdleConnections()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("the node ended with %v", err)
	}
	r.done = nil
}

// asks sends a request, holds the answer to docs/openapi.yaml, and decodes it into
// out, if it is no problem.
func (r *running) asks(t *testing.T, method, path string, token *wire.Token, in, out any) (int, wire.Problem) {
	t.Helper()
	var sent []byte
	if in != nil {
		sent = wire.EncodeJSON(in)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", wire.MediaJSON)
	}
	if token != nil {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	response, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := readAnswer(t, response)
	wantHeaders(t, response)
	hold(t, method, path, sent, answered{response.StatusCode, response.Header, text})
	var p wire.Problem
	switch {
	case response.StatusCode >= 400:
		err = wire.DecodeJSON(text, &p)
	case out != nil:
		err = wire.DecodeJSON(text, out)
	}
	if err != nil {
		t.Fatalf("%s %s: got %d %s: %v", method, path, response.StatusCode, text, err)
	}
	return response.StatusCode, p
}

// succeeds is asks for what must.
func (r *running) succeeds(t *testing.T, method, path string, token *wire.Token, in, out any) {
	t.Helper()
	if status, p := r.asks(t, method, path, token, in, out); status >= 300 {
		t.Fatalf("%s %s: got %d %+v", method, path, status, p)
	}
}

func (r *running) logsIn(t *testing.T, v *visitor) wire.LoginReply {
	t.Helper()
	var c wire.ChallengeReply
	r.succeeds(t, "POST", wire.PathChallenge, nil, wire.ChallengeRequest{Handle: v.handle, Purpose: wire.PurposeLogin}, &c)
	var reply wire.LoginReply
	r.succeeds(t, "POST", wire.PathLogin, nil, v.answer(t, r.name, wire.PurposeLogin, c, nil), &reply)
	return reply
}

// TestRun registers, logs in, uses and ends a session over HTTP, across a
// restart, and looks for the token on the disk and in the log.
func TestRun(t *testing.T) {
	c := devConfig(t)
	r := runs(t, c)
	var health wire.Health
	if r.succeeds(t, "GET", wire.PathHealth, nil, nil, &health); health != (wire.Health{Status: "ok", Node: r.name}) {
		t.Errorf("got %+v", health)
	}
	var document wire.NodeDocumentReply
	r.succeeds(t, "GET", wire.PathDocument, nil, nil, &document)
	if d, err := wire.OpenNodeDocument(document.Document, r.name); err != nil || !strings.HasPrefix(d.Software, "peerbrain/") {
		t.Errorf("got %+v, %v", d, err)
	}
	ann := newVisitor(t, r.name, "ann", time.Now())
	var registered wire.RegisterReply
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, &registered)
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, &registered)
	if registered.Account != ann.account {
		t.Errorf("got account %v, want %v", registered.Account, ann.account)
	}
	first := r.logsIn(t, ann)
	var session wire.SessionReply
	r.succeeds(t, "GET", wire.PathSession, &first.Token, nil, &session)
	if session.Handle != "ann" || session.Account != ann.account || session.Device != "ann's laptop" || session.Expires != first.Expires {
		t.Errorf("got session %+v", session)
	}
	var vault wire.VaultReply
	r.succeeds(t, "GET", wire.PathVault, &first.Token, nil, &vault)
	if vault.Record == nil || !bytes.Equal(vault.Record.Vault, ann.request.Vault.Vault) {
		t.Errorf("got another vault: %d heads, record %v", len(vault.Heads), vault.Record != nil)
	}
	second := r.logsIn(t, ann)
	r.ends(t)

	c.Name, c.Listen = r.name, strings.TrimPrefix(r.url, "http://")
	again := runs(t, c)
	again.succeeds(t, "GET", wire.PathSession, &first.Token, nil, &session)
	if status, _ := again.asks(t, "DELETE", wire.PathSession, &first.Token, nil, nil); status != 204 {
		t.Errorf("end session: got %d, want 204", status)
	}
	if status, p := again.asks(t, "GET", wire.PathSession, &first.Token, nil, nil); status != 401 || p.Detail != "" || p.Field != "" {
		t.Errorf("an ended session: got %d %+v, want 401", status, p)
	}
	again.succeeds(t, "GET", wire.PathSession, &second.Token, nil, &session)
	again.ends(t)

	for _, file := range []string{"own.db", "copies.db"} {
		raw, err := os.ReadFile(filepath.Join(c.Data, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range [][]byte{raw, []byte(r.log.String()), []byte(again.log.String())} {
			for _, token := range []wire.Token{first.Token, first.DeviceToken, second.Token} {
				var b wire.Nonce
				b.UnmarshalText([]byte(token.Reveal()))
				if bytes.Contains(log, b[:]) || bytes.Contains(log, []byte(token.Reveal())) {
					t.Errorf("a token is in %s or a log", file)
				}
			}
		}
		if info, err := os.Stat(filepath.Join(c.Data, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
	}
	if info, err := os.Stat(c.Data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: mode %v, %v", info.Mode(), err)
	}
	if line := r.log.String(); !strings.Contains(line, "msg=serving name="+string(r.name)) || !strings.Contains(line, "version=") {
		t.Errorf("the log does not say what is served: %s", line)
	}
}

// TestEveryRouteAsksWho calls each route that is not open without a session,
// with one that is none, and with one that works.
func TestEveryRouteAsksWho(t *testing.T) {
	r := runs(t, devConfig(t))
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	token := r.logsIn(t, ann).Token
	none := wire.NewToken(random32())
	id := wire.Hash(random32()).String()
	for _, rt := range routes() {
		if rt.open || rt.method == "DELETE" {
			continue
		}
		path := rt.pattern
		for _, name := range []string{":author", ":audience", ":commit", ":id"} {
			path = strings.ReplaceAll(path, name, id)
		}
		var in any
		if rt.method != "GET" {
			in = map[string]string{"unknown member": "x"}
		}
		for _, bad := range []*wire.Token{nil, &none} {
			if status, p := r.asks(t, rt.method, path, bad, in, nil); status != 401 || p.Code != wire.Unauthenticated || p.Detail != "" {
				t.Errorf("%s %s as nobody: got %d %+v, want 401", rt.method, path, status, p)
			}
		}
		status, p := r.asks(t, rt.method, path, &token, in, nil)
		if status == 401 || status == 500 || in != nil && p.Code != wire.Invalid {
			t.Errorf("%s %s as ann: got %d %+v", rt.method, path, status, p)
		}
	}
}

// TestFederationIsBehindTheVerifier sends unsigned requests to everything below
// the prefix, in every method: one answer, the same for all. The table of routes
// has one way in, and every path that the verifier knows is below it.
func TestFederationIsBehindTheVerifier(t *testing.T) {
	for _, rt := range routes() {
		if strings.HasPrefix(rt.pattern, "/federation") && (rt.method != "*" || rt.pattern != federationPrefix+"*") {
			t.Errorf("%s %s goes past the one route of federation", rt.method, rt.pattern)
		}
	}
	r := runs(t, devConfig(t))
	addr := strings.TrimPrefix(r.url, "http://")
	var want string
	targets := new(federation.Server).Paths()
	for _, target := range append(targets, wire.PathPeerSync+"?x=1", "/federation/v1/%6beys", "/federation/", "/federation/v1//keys") {
		for _, method := range []string{"POST", "GET", "PUT", "DELETE"} {
			body := "{}"
			if method == "GET" || method == "DELETE" {
				body = ""
			}
			response, text, _ := says(t, addr, head(method+" "+target+" HTTP/1.1", "Host: "+string(r.name), jsonLine, fmt.Sprint("Content-Length: ", len(body)))+body)
			hold(t, method, target, []byte(body), answered{response.StatusCode, response.Header, []byte(text)})
			if want == "" {
				want = text
			}
			if response.StatusCode != 401 || text != want {
				t.Errorf("%s %s: got %d %s, want 401 %s", method, target, response.StatusCode, text, want)
			}
		}
	}
}

func TestRunBudgets(t *testing.T) {
	c := devConfig(t)
	c.Proxies = nil
	r := runs(t, c)
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	throttled := 0
	for range 30 {
		var ch wire.ChallengeReply
		r.succeeds(t, "POST", wire.PathChallenge, nil, wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, &ch)
		bad := ann.answer(t, "localhost:1", wire.PurposeLogin, ch, nil)
		switch status, p := r.asks(t, "POST", wire.PathLogin, nil, bad, nil); {
		case status == 429 && p.Retry > 0:
			throttled++
		case status != 401:
			t.Fatalf("got %d %+v", status, p)
		}
	}
	if throttled < 18 { // one more is allowed each 6 s
		t.Errorf("%d of 30 wrong log-ins were throttled, want 20 in development as well", throttled)
	}
}

// TestRoutesAreRationed asks more often than the budgets of the routes allow.
func TestRoutesAreRationed(t *testing.T) {
	clock := newTestClock()
	n := &Node{door: newDoor(newThrottle(clock.now, false, newMemoryPurses()), 0)}
	a := &api{node: n, log: slog.New(slog.DiscardHandler)}
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{"POST", wire.PathRegister, 10}, {"POST", wire.PathHeads, 60}, {"POST", wire.PathKeys, 120},
		{"GET", wire.PathWebFinger, 60},
	} {
		for _, rt := range routes() {
			if rt.method != test.method || rt.pattern != test.path {
				continue
			}
			taken := 0
			for range 200 {
				r := &incoming{from: someAddress, body: []byte("{"), person: n.As(wire.AccountID{1}, "ann")}
				got := a.answer(t.Context(), rt, r)
				hold(t, test.method, test.path, nil, answered{status: got.status, body: got.body})
				switch {
				case got.status == 400:
					taken++
				case got.status != 429 || got.retryAfter < 1:
					t.Fatalf("%s: got %d", test.path, got.status)
				}
			}
			if taken != test.want {
				t.Errorf("%s: %d of 200 at once were taken, want %d", test.path, taken, test.want)
			}
		}
	}
}

// TestLogIsRationed asks for more files of the log than its budget allows.
func TestLogIsRationed(t *testing.T) {
	clock := newTestClock()
	n := &Node{door: newDoor(newThrottle(clock.now, false, newMemoryPurses()), 0)}
	a := &api{node: n, log: slog.New(slog.DiscardHandler)}
	taken := 0
	for i := range 1300 {
		r := &incoming{from: someAddress, target: []string{"/v1/log/1/checkpoint", "/v1/log/1/cosigned", "/v1/log/1/tile/0/000"}[i%3]}
		_, err := serveLogFile(t.Context(), a, r)
		if errors.Is(err, wire.NotExist) {
			taken++
		}
		p := wire.ProblemOf(err)
		hold(t, "GET", r.target, nil, answered{status: p.Status, body: wire.EncodeJSON(p)})
	}
	if taken != 1200 {
		t.Errorf("%d of 1300 at once were taken, want 1200", taken)
	}
}

func TestRegistrationClosed(t *testing.T) {
	c := devConfig(t)
	c.Registration = RegistrationClosed
	r := runs(t, c)
	ann := newVisitor(t, r.name, "ann", time.Now())
	if status, p := r.asks(t, "POST", wire.PathRegister, nil, ann.request, nil); status != 403 || p.Code != wire.Forbidden {
		t.Errorf("got %d %+v, want 403", status, p)
	}
}

// TestDraining ends a node while a connection is in use: what was begun is
// answered, and what is new is not taken.
func TestDraining(t *testing.T) {
	r := runs(t, devConfig(t))
	addr := strings.TrimPrefix(r.url, "http://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := head("POST "+wire.PathChallenge+" HTTP/1.1", "Host: a", jsonLine, "Content-Length: 34")
	body := `{"handle":"ann","purpose":"login"}`
	io.WriteString(c, request+body[:10])
	health, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer health.Close()
	io.WriteString(health, "GET "+wire.PathHealth+" HTTP/1.1\r\n")
	// A connection that comes after both was accepted when it is answered, so they were as well.
	if response, _, _ := says(t, addr, head("GET "+wire.PathHealth+" HTTP/1.1", "Host: a")); response.StatusCode != 200 {
		t.Errorf("before: got %d, want 200", response.StatusCode)
	}
	r.stop()
	waitFor(t, "the listener to close", func() bool {
		other, err := net.Dial("tcp", addr)
		if err != nil {
			return true
		}
		other.Close()
		return false
	})
	io.WriteString(health, "Host: a\r\n\r\n")
	if response, text, _ := hears(t, health); response.StatusCode != 503 {
		t.Errorf("health: got %d %s, want 503", response.StatusCode, text)
	}
	io.WriteString(c, body[10:])
	response, text, closed := hears(t, c)
	if response.StatusCode != 200 || !closed {
		t.Errorf("got %d %s (closed %v), want 200 and the end", response.StatusCode, text, closed)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done = nil
}

// TestEndAtOnce tells the node to end before the server has begun.
func TestEndAtOnce(t *testing.T) {
	for range 5 {
		ctx, stop := context.WithCancel(t.Context())
		if err := Run(ctx, devConfig(t), slog.New(slog.DiscardHandler), func(string) { stop() }); err != nil {
			t.Error(err)
		}
	}
}

// waitFor polls: there is nothing to wait on from outside.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestHealthWhileDraining(t *testing.T) {
	a := &api{node: &Node{name: "node.example"}, log: slog.New(slog.DiscardHandler)}
	rt := routes()[1]
	if got := a.answer(t.Context(), rt, &incoming{}); got.status != 200 {
		t.Errorf("got %d, want 200", got.status)
	}
	a.draining.Store(true)
	got := a.answer(t.Context(), rt, &incoming{})
	if got.status != 503 {
		t.Errorf("got %d, want 503", got.status)
	}
	hold(t, rt.method, rt.pattern, nil, answered{status: got.status, body: got.body})
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := devConfig(t)
	db, err := bolt.Open(filepath.Join(inUse.Data, "own.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	renamed := devConfig(t)
	renamed.Name = "localhost:1"
	runs(t, renamed).ends(t)
	holed := t.TempDir()
	if err := os.Mkdir(filepath.Join(holed, "own.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"a port that is taken", func(c *Config) { c.Listen = taken.Addr().String() }, []string{"listen: another program listens at " + taken.Addr().String(), "--listen"}},
		{"a folder that is in use", func(c *Config) { c.Data = inUse.Data }, []string{"data: another process serves", "--data"}},
		{"another name", func(c *Config) { c.Data, c.Name = renamed.Data, "localhost:2" }, []string{`belongs to "localhost:1"`, "--name localhost:1"}},
		{"a folder that is a file", func(c *Config) { c.Data = file }, []string{"data: \"" + file + "\" is a file, a folder was expected"}},
		{"a folder below a file", func(c *Config) { c.Data = filepath.Join(file, "data") }, []string{"is a file, a folder was expected"}},
		{"a folder in the place of a file", func(c *Config) { c.Data = holed }, []string{"own.db\" is a folder, a file of a node was expected"}},
		{"a configuration that was not checked", func(c *Config) { c.Name = "node.example" }, []string{"name: --dev"}},
		{"an address of another machine", func(c *Config) { c.Dev, c.Name, c.Listen = false, "node.example", "192.0.2.1:80" }, []string{"listen: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := devConfig(t)
			test.change(&c)
			err := Run(t.Context(), c, slog.New(slog.DiscardHandler), func(string) { t.Error("ready") })
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
	if errors.Is(db.Close(), bolt.ErrInUse) {
		t.Error("the store of somebody else was closed")
	}
}
