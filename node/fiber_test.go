package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// echoRoutes are routes that show what reached them.
func echoRoutes(seen func(*incoming)) []route {
	serve := func(_ context.Context, _ *api, r *incoming) (any, error) {
		if seen != nil {
			seen(r)
		}
		return map[string]any{"target": r.target, "params": r.params, "query": r.query, "bytes": len(r.body)}, nil
	}
	return []route{
		{method: "GET", pattern: "/echo", open: true, query: []string{"a", "b"}, serve: serve},
		{method: "POST", pattern: "/echo", open: true, limit: 64 << 10, serve: serve},
		{method: "PUT", pattern: "/echo", open: true, limit: vaultLimit, serve: serve},
		{method: "DELETE", pattern: "/echo", open: true, serve: func(context.Context, *api, *incoming) (any, error) { return nil, nil }},
		{method: "GET", pattern: "/things/:one/:two", open: true, serve: serve},
		{method: "*", pattern: federationPrefix + "*", open: true, serve: serve},
		{method: "GET", pattern: "/closed", serve: serve},
		{method: "POST", pattern: "/closed", serve: serve},
		{method: "GET", pattern: "/panic", open: true, serve: func(context.Context, *api, *incoming) (any, error) {
			panicWith(secrettest.Secret)
			return nil, nil
		}},
		{method: "GET", pattern: "/fail", open: true, serve: func(context.Context, *api, *incoming) (any, error) { return nil, errors.New("canary-detail") }},
		{method: "GET", pattern: "/wait", open: true, serve: func(context.Context, *api, *incoming) (any, error) {
			return nil, throttled(1500 * time.Millisecond)
		}},
	}
}

// panicWith panics with a secret among its arguments.
//
//go:noinline
func panicWith(key [32]byte) {
	if key != [32]byte{} {
		panic("canary-detail")
	}
}

// testServer serves table over loopback and returns the address.
func testServer(t *testing.T, table []route, o serverOptions, log io.Writer, wrap func(net.Listener) net.Listener) string {
	t.Helper()
	if o.read == 0 {
		o.read = 20 * time.Second
	}
	if o.connections == 0 {
		o.connections = 100
	}
	if o.write == 0 {
		o.write = 20 * time.Second
	}
	if o.idle == 0 {
		o.idle = 20 * time.Second
	}
	if log == nil {
		log = io.Discard
	}
	a := &api{node: new(Node), log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s := newServer(a, table, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	inner := newCappedListener(l, 1000, 1000, nil)
	var outer net.Listener = inner
	if wrap != nil {
		outer = wrap(l)
	}
	served.Go(func() {
		if err := s.listen(outer); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.shutdown(ctx); err != nil {
			t.Error(err)
			inner.closeAll()
		}
		served.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return l.Addr().String()
}

// says writes raw bytes to a new connection and returns the answer to the
// first request in them, its body, and whether the connection was closed after.
func says(t *testing.T, addr, raw string) (*http.Response, string, bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return hears(t, c)
}

func hears(t *testing.T, c net.Conn) (*http.Response, string, bool) {
	t.Helper()
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !response.Close {
		return response, string(body), false
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("%q follows the answer (%v)", rest, err)
	}
	return response, string(body), true
}

// wantProblem checks that an answer is problem+json of that kind.
func wantProblem(t *testing.T, response *http.Response, body string, status int, code wire.Kind) {
	t.Helper()
	var p wire.Problem
	if err := wire.DecodeJSON([]byte(body), &p); err != nil {
		t.Fatalf("got %d %q: %v", response.StatusCode, body, err)
	}
	if response.StatusCode != status || p.Status != status || p.Code != code || p.Type != "about:blank" || p.Title == "" {
		t.Errorf("got %d and %+v, want %d and %s", response.StatusCode, p, status, code)
	}
	if got := response.Header.Get("Content-Type"); got != wire.MediaProblem {
		t.Errorf("got Content-Type %q, want %q", got, wire.MediaProblem)
	}
	wantHeaders(t, response)
}

func wantHeaders(t *testing.T, response *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control":                "no-store",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Content-Security-Policy":      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' blob:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := response.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("got %s %q, want %q", name, got, want)
		}
	}
	for name := range response.Header {
		if name == "Server" || name == "Set-Cookie" || strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("header %s: %q", name, response.Header[name])
		}
	}
	if _, err := http.ParseTime(response.Header.Get("Date")); err != nil {
		t.Errorf("date: %v", err)
	}
}

// head is a request of lines, without a body.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

const jsonLine = "Content-Type: application/json"

// refused are requests that must not reach a route; each is one change away
// from one that does.
var refused = []struct {
	name, raw string
	status    int
	code      wire.Kind
}{
	// Framing.
	{"length and chunks", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400, wire.Invalid},
	{"chunks and length", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n", 400, wire.Invalid},
	{"chunks", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n", 400, wire.Invalid},
	{"identity", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Transfer-Encoding: identity", "Content-Length: 2") + "{}", 400, wire.Invalid},
	{"chunks, gzip", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", 400, wire.Invalid},
	{"a trailer", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2", "Trailer: X") + "{}", 400, wire.Invalid},
	{"two lengths", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2", "Content-Length: 2") + "{}", 400, wire.Invalid},
	{"two lengths in one", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2, 2") + "{}", 400, wire.Invalid},
	{"a signed length", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: +2") + "{}", 400, wire.Invalid},
	{"a padded length", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 02") + "{}", 400, wire.Invalid},
	{"a negative length", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: -2") + "{}", 400, wire.Invalid},
	{"a body of GET", head("GET /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2") + "{}", 400, wire.Invalid},
	{"a body of DELETE", head("DELETE /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2") + "{}", 400, wire.Invalid},
	{"one bare line feed", "GET /echo HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, wire.Invalid},
	{"a folded line", "GET /echo HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400, wire.Invalid},
	{"a space before the colon", head("GET /echo HTTP/1.1", "Host : a"), 400, wire.Invalid},
	{"no name", head("GET /echo HTTP/1.1", "Host: a", ": b"), 400, wire.Invalid},
	{"no colon", head("GET /echo HTTP/1.1", "Host: a", "b"), 400, wire.Invalid},
	{"a name with a space", head("GET /echo HTTP/1.1", "Host: a", "b c: d"), 400, wire.Invalid},
	{"a NUL", head("GET /echo HTTP/1.1", "Host: a", "b: \x00"), 400, wire.Invalid},
	{"a carriage return", head("GET /echo HTTP/1.1", "Host: a", "b: c\rd: e"), 400, wire.Invalid},

	// Who and what is meant.
	{"HTTP/1.0", head("GET /echo HTTP/1.0", "Host: a"), 400, wire.Invalid},
	{"HTTP/0.9", "GET /echo\r\n\r\n", 400, wire.Invalid},
	{"HTTP/2", head("GET /echo HTTP/2.0", "Host: a"), 400, wire.Invalid},
	{"HTTP/1.2", head("GET /echo HTTP/1.2", "Host: a"), 400, wire.Invalid},
	{"no host", head("GET /echo HTTP/1.1"), 400, wire.Invalid},
	{"an empty host", head("GET /echo HTTP/1.1", "Host: "), 400, wire.Invalid},
	{"two hosts", head("GET /echo HTTP/1.1", "Host: a", "Host: a"), 400, wire.Invalid},
	{"two hosts in another case", head("GET /echo HTTP/1.1", "Host: a", "hOST: b"), 400, wire.Invalid},
	{"an upgrade", head("GET /echo HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c"), 400, wire.Invalid},
	{"an absolute target", head("GET http://a/echo HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"another absolute target", head("GET HTTPS://b/echo HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an authority", head("CONNECT a:80 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a star", head("OPTIONS * HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"two slashes first", head("GET //echo HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"two slashes last", head("GET /echo// HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"a slash last", head("GET /echo/ HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"dots", head("GET /./echo HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"two dots", head("GET /x/../echo HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"two dots as a parameter", head("GET /things/../x HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"another case", head("GET /Echo HTTP/1.1", "Host: a"), 404, wire.NotExist},
	{"an escape", head("GET /%65cho HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an escaped slash", head("GET /things/a%2Fb/c HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an escaped NUL", head("GET /echo%00 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an escaped line", head("GET /echo?a=%0A HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a backslash", head(`GET /x\..\echo HTTP/1.1`, "Host: a"), 400, wire.Invalid},
	{"a fragment", head("GET /echo#a HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a semicolon", head("GET /echo;a HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a plus", head("GET /echo?a=+1 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a letter beyond ASCII", head("GET /\xc3\xa9cho HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an empty query", head("GET /echo? HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"two queries", head("GET /echo?a=1?b=2 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"two queries in a value", head("GET /echo?a=1?b HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an empty query of nothing", head("GET /nothing? HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"two values", head("GET /echo?a=1=2 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an unknown parameter", head("GET /echo?c=1 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a parameter in another case", head("GET /echo?A=1 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a parameter twice", head("GET /echo?a=1&b=2&a=1 HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a parameter without a value", head("GET /echo?a= HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a parameter alone", head("GET /echo?a HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"an empty parameter", head("GET /echo?a=1& HTTP/1.1", "Host: a"), 400, wire.Invalid},
	{"a parameter of another method", head("POST /echo?a=1 HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2") + "{}", 400, wire.Invalid},
	{"an unknown method", head("BREW /echo HTTP/1.1", "Host: a"), 405, wire.Method},
	{"another method", head("PATCH /echo HTTP/1.1", "Host: a"), 405, wire.Method},
	{"a method of proxies", head("TRACE /federation/v1/keys HTTP/1.1", "Host: a"), 405, wire.Method},
	{"no such path", head("GET /nothing HTTP/1.1", "Host: a"), 404, wire.NotExist},

	// Bodies.
	{"inflated", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Encoding: gzip", "Content-Length: 2") + "{}", 415, wire.Media},
	{"inflated, brotli", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "content-encoding: br", "Content-Length: 2") + "{}", 415, wire.Media},
	{"identity encoding", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Encoding: identity", "Content-Length: 2") + "{}", 415, wire.Media},
	{"no type", head("POST /echo HTTP/1.1", "Host: a", "Content-Length: 2") + "{}", 415, wire.Media},
	{"another type", head("POST /echo HTTP/1.1", "Host: a", "Content-Type: text/plain", "Content-Length: 2") + "{}", 415, wire.Media},
	{"a form", head("POST /echo HTTP/1.1", "Host: a", "Content-Type: multipart/form-data; boundary=x", "Content-Length: 17") + "--x--\r\n\r\n\r\n\r\n\r\n\r\n", 415, wire.Media},
	{"another charset", head("POST /echo HTTP/1.1", "Host: a", "Content-Type: application/json; charset=utf-7", "Content-Length: 2") + "{}", 415, wire.Media},
	{"two types", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Type: text/plain", "Content-Length: 2") + "{}", 415, wire.Media},
	{"too large", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 65537") + strings.Repeat("x", 65537), 413, wire.TooLarge},
	{"far too large", head("PUT /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 4194305") + "{", 413, wire.TooLarge},
	{"absurdly large", head("PUT /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 9223372036854775806") + "{", 413, wire.TooLarge},
	{"headers too large", head("GET /echo HTTP/1.1", "Host: a", "X: "+strings.Repeat("x", 9000)), 431, wire.TooLarge},
	{"target too large", head("GET /"+strings.Repeat("x", 9000)+" HTTP/1.1", "Host: a"), 431, wire.TooLarge},
	{"not http", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, wire.Invalid},

	// Who asks.
	{"nobody", head("GET /closed HTTP/1.1", "Host: a"), 401, wire.Unauthenticated},
	{"another scheme", head("GET /closed HTTP/1.1", "Host: a", "Authorization: Basic "+strings.Repeat("a", 52)), 401, wire.Unauthenticated},
	{"another spelling of the scheme", head("GET /closed HTTP/1.1", "Host: a", "Authorization: bearer "+strings.Repeat("a", 52)), 401, wire.Unauthenticated},
	{"two spaces", head("GET /closed HTTP/1.1", "Host: a", "Authorization: Bearer  "+strings.Repeat("a", 52)), 401, wire.Unauthenticated},
	{"a short token", head("GET /closed HTTP/1.1", "Host: a", "Authorization: Bearer "+strings.Repeat("a", 51)), 401, wire.Unauthenticated},
	{"another spelling of the token", head("GET /closed HTTP/1.1", "Host: a", "Authorization: Bearer "+strings.Repeat("a", 51)+"b"), 401, wire.Unauthenticated},
	{"two tokens", head("GET /closed HTTP/1.1", "Host: a", "Authorization: Bearer "+strings.Repeat("a", 52), "Authorization: Bearer "+strings.Repeat("a", 52)), 401, wire.Unauthenticated},
	{"a token in a cookie", head("GET /closed HTTP/1.1", "Host: a", "Cookie: Authorization=Bearer "+strings.Repeat("a", 52)), 401, wire.Unauthenticated},
}

func TestRefused(t *testing.T) {
	reached := false
	addr := testServer(t, echoRoutes(func(*incoming) { reached = true }), serverOptions{}, nil, nil)
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			// What follows would be answered if it were taken for a request.
			response, body, closed := says(t, addr, test.raw)
			wantProblem(t, response, body, test.status, test.code)
			if reached {
				t.Error("a route was reached")
				reached = false
			}
			if test.status == 400 && !closed {
				if _, _, again := strings.Cut(test.raw, "?"); !again { // queries are the route's matter
					t.Error("the connection stays open")
				}
			}
			if test.status == 401 && (response.Header.Get("WWW-Authenticate") != "Bearer" || strings.Contains(body, "detail")) {
				t.Errorf("got %v and %s", response.Header, body)
			}
			if test.status == 405 && test.name == "another method" && !strings.Contains(response.Header.Get("Allow"), "DELETE") {
				t.Errorf("got Allow %q", response.Header.Values("Allow"))
			}
		})
	}
}

// TestServed is the positive control of TestRefused.
func TestServed(t *testing.T) {
	addr := testServer(t, echoRoutes(nil), serverOptions{}, nil, nil)
	for _, test := range []struct{ name, raw, want string }{
		{"a path", head("GET /echo HTTP/1.1", "Host: a"), `"target":"/echo"`},
		{"a query", head("GET /echo?a=1&b=x-_.~:y HTTP/1.1", "Host: a"), `"query":{"a":"1","b":"x-_.~:y"}`},
		{"parameters", head("GET /things/ab/c-d HTTP/1.1", "Host: a"), `"params":{"one":"ab","two":"c-d"}`},
		{"no body", head("POST /echo HTTP/1.1", "Host: a", "Content-Length: 0"), `"bytes":0`},
		{"a body", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 65536") + strings.Repeat("x", 65536), `"bytes":65536`},
		{"a large body", head("PUT /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 4194304") + strings.Repeat("x", 4194304), `"bytes":4194304`},
		{"a long head", head("GET /echo HTTP/1.1", "Host: a", "X: "+strings.Repeat("x", 8000)), `"target":"/echo"`},
		{"names in lower case", head("POST /echo HTTP/1.1", "host: a", "content-type: application/json", "content-length: 2") + "{}", `"bytes":2`},
		{"a body that waits", head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2", "Expect: 100-continue") + "{}", ``},
		{"between nodes", head("POST /federation/v1/%2e%2e//keys?x=1 HTTP/1.1", "Host: a", jsonLine, "Content-Length: 2") + "{}", `"target":"/federation/v1/%2e%2e//keys?x=1"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body, closed := says(t, addr, test.raw)
			if test.want == "" { // 100, and then the answer
				if response.StatusCode != 100 {
					t.Errorf("got %d, want 100", response.StatusCode)
				}
				return
			}
			if response.StatusCode != 200 || !strings.Contains(body, test.want) || closed {
				t.Errorf("got %d %s (closed %v), want %s", response.StatusCode, body, closed, test.want)
			}
			if got := response.Header.Get("Content-Type"); got != wire.MediaJSON {
				t.Errorf("got Content-Type %q, want %q", got, wire.MediaJSON)
			}
			wantHeaders(t, response)
		})
	}
	response, body, _ := says(t, addr, head("DELETE /echo HTTP/1.1", "Host: a"))
	if response.StatusCode != 204 || body != "" || response.Header.Get("Content-Type") != "" {
		t.Errorf("nothing: got %d %q %v, want 204", response.StatusCode, body, response.Header)
	}
	wantHeaders(t, response)
}

// TestUnreadBodyIsNoRequest puts a request into a body that nobody reads.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	addr := testServer(t, echoRoutes(nil), serverOptions{}, nil, nil)
	smuggled := head("GET /echo HTTP/1.1", "Host: a")
	next := head("GET /echo?a=next HTTP/1.1", "Host: a")
	for _, size := range []int{len(smuggled), 100 << 10, 200 << 10, 2 << 20, 9 << 20} {
		for _, path := range []string{"/closed", "/nothing", "/echo?c=1"} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Repeat(smuggled, size/len(smuggled))
			var sent sync.WaitGroup
			sent.Go(func() {
				io.WriteString(c, head("POST "+path+" HTTP/1.1", "Host: a", jsonLine, fmt.Sprint("Content-Length: ", len(body)))+body+next)
			})
			r := bufio.NewReader(c)
			var got []string
			for {
				response, err := http.ReadResponse(r, nil)
				if err != nil {
					break // a reset, too, ends it
				}
				text, err := io.ReadAll(response.Body)
				if err != nil {
					break
				}
				got = append(got, fmt.Sprint(response.StatusCode, string(text)))
				if strings.Contains(string(text), `"next"`) {
					break
				}
			}
			c.Close()
			sent.Wait()
			if len(got) > 2 || len(got) > 0 && strings.HasPrefix(got[0], "200") || len(got) == 2 && !strings.Contains(got[1], `"next"`) {
				t.Errorf("%d bytes for %s: got %q", size, path, got)
			}
			if len(got) != 2 && size < drainLimit {
				t.Errorf("%d bytes for %s: the connection did not go on: %q", size, path, got)
			}
		}
	}
}

// TestShortBody ends the connection before the body: it is not taken as whole.
func TestShortBody(t *testing.T) {
	var mu sync.Mutex
	var bodies []int
	addr := testServer(t, echoRoutes(func(r *incoming) {
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, len(r.body))
	}), serverOptions{}, nil, nil)
	for declared, sizes := range map[int][]int{
		50000: {0, 1, 8<<10 - 1, 8 << 10, 40 << 10}, bodyRoom + 1: {0, 1, bodyRoom}, bodyRoom: {0, 1, bodyRoom - 1}, 2: {0, 1},
	} {
		for _, size := range sizes {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, head("POST /echo HTTP/1.1", "Host: a", jsonLine, fmt.Sprint("Content-Length: ", declared))+strings.Repeat("x", size))
			c.(*net.TCPConn).CloseWrite()
			if answer, _ := io.ReadAll(c); !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) {
				t.Errorf("%d bytes of %d: got %q", size, declared, answer)
			}
			c.Close()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) > 0 {
		t.Errorf("bodies of %v bytes were taken as whole", bodies)
	}
}

// TestSlowRequests sends a part and waits for the end.
func TestSlowRequests(t *testing.T) {
	addr := testServer(t, echoRoutes(nil), serverOptions{read: 100 * time.Millisecond}, nil, nil)
	for name, raw := range map[string]string{
		"a head":          "GET /echo HTTP/1.1\r\nHost: a\r\n",
		"a short body":    head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 100") + "{",
		"a long body":     head("PUT /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 1000000") + strings.Repeat("x", 100000),
		"an unread body":  head("POST /closed HTTP/1.1", "Host: a", jsonLine, "Content-Length: 100") + "{",
		"a refused body":  head("PUT /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 100000000") + "{",
		"nothing at all":  "",
		"half of a line":  "GE",
		"a refused form":  head("POST /echo HTTP/1.1", "Host: a", "Content-Type: multipart/form-data; boundary=x", "Content-Length: 100000000") + "--x\r\n",
		"bare line feeds": "GET /echo HTTP/1.1\nHost: a\n\n",
		"a second's head": head("GET /echo HTTP/1.1", "Host: a") + "GET /ec",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, raw)
			answer, _ := io.ReadAll(c) // returns when the server gives up
			want := "HTTP/1.1 408 "
			switch name {
			case "an unread body":
				want = "HTTP/1.1 4" // 401 or 408
			case "a refused body":
				want = "HTTP/1.1 413 "
			case "a refused form":
				want = "HTTP/1.1 415 "
			case "nothing at all":
				want = ""
			case "a second's head":
				want = "HTTP/1.1 200 "
			}
			if !strings.HasPrefix(string(answer), want) {
				t.Errorf("got %q, want %q", answer, want)
			}
		})
	}
}

// TestParametersAreKept keeps what requests hold while many others follow on
// the same connections.
func TestParametersAreKept(t *testing.T) {
	var mu sync.Mutex
	var kept []*incoming
	addr := testServer(t, echoRoutes(func(r *incoming) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, r)
	}), serverOptions{}, nil, nil)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for i := range 200 {
				id := fmt.Sprintf("%d-%03d", w, i)
				if i%2 == 0 {
					io.WriteString(c, head("GET /things/"+id+"/"+id+" HTTP/1.1", "Host: "+id))
				} else {
					io.WriteString(c, head("GET /echo?a="+id+" HTTP/1.1", "Host: "+id))
				}
				response, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, response.Body)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	seen := map[string]bool{}
	for _, r := range kept {
		id := r.headers[0][1]
		if seen[id] {
			t.Errorf("%s came twice", id)
		}
		seen[id] = true
		things := r.params["one"] == id && r.params["two"] == id && r.target == "/things/"+id+"/"+id
		echo := r.query["a"] == id && r.target == "/echo?a="+id
		if !things && !echo || r.method != "GET" {
			t.Errorf("%s became %+v", id, r)
		}
	}
	if len(seen) != 800 {
		t.Errorf("%d requests, want 800", len(seen))
	}
}

// TestFailuresTellNothing looks for what went wrong in the answer, and in the log.
func TestFailuresTellNothing(t *testing.T) {
	var log safeBuffer
	addr := testServer(t, echoRoutes(nil), serverOptions{}, &log, nil)
	for _, path := range []string{"/panic", "/fail"} {
		response, body, _ := says(t, addr, head("GET "+path+" HTTP/1.1", "Host: a"))
		wantProblem(t, response, body, 500, wire.Internal)
		if strings.Contains(body, "canary") {
			t.Errorf("%s: told %s", path, body)
		}
	}
	if got := strings.Count(log.String(), "canary-detail"); got < 2 {
		t.Errorf("the log has %d failures, want 2: %s", got, log.String())
	}
	if !strings.Contains(log.String(), "panicWith") || strings.Contains(log.String(), "0x7e, 0x51") {
		t.Errorf("the log does not name the function that panics, or shows what it was called with: %s", log.String())
	}
	response, body, _ := says(t, addr, head("GET /wait HTTP/1.1", "Host: a"))
	wantProblem(t, response, body, 429, wire.Throttled)
	if got := response.Header.Get("Retry-After"); got != "2" {
		t.Errorf("got Retry-After %q, want 2", got)
	}
}

// TestRequestLog looks for what must not be in a log.
func TestRequestLog(t *testing.T) {
	var log safeBuffer
	addr := testServer(t, echoRoutes(nil), serverOptions{}, &log, nil)
	says(t, addr, head("GET /things/canaryid/x HTTP/1.1", "Host: canaryhost", "Authorization: Bearer canarytoken", "X: canaryheader"))
	says(t, addr, head("GET /echo?a=canaryquery HTTP/1.1", "Host: a"))
	says(t, addr, head("POST /echo HTTP/1.1", "Host: a", jsonLine, "Content-Length: 12")+`"canarybody"`)
	says(t, addr, head("GET /canarypath HTTP/1.1", "Host: a"))
	says(t, addr, head("GET /canary%00 HTTP/1.1", "Host: a"))
	says(t, addr, head("GET /echo HTTP/1.1", "Host: a", "canary broken: x"))
	text := log.String()
	if strings.Contains(text, "canary") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the log tells more than it may:\n%s", text)
	}
	for _, want := range []string{"method=GET route=/things/:one/:two status=200", "method=POST route=/echo status=200", "status=404", "status=400"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not hold %q:\n%s", want, text)
		}
	}
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestConnectionsAreCapped opens more than are allowed, in all and per address.
func TestConnectionsAreCapped(t *testing.T) {
	for _, test := range []struct {
		name             string
		most, perAddress int
		proxies          []netip.Prefix
		want             int
	}{
		{"in all", 3, 100, nil, 3},
		{"per address", 100, 4, nil, 4},
		{"a proxy", 100, 4, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 10},
		{"a proxy, in all", 5, 4, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			var capped *cappedListener
			addr := testServer(t, echoRoutes(nil), serverOptions{}, nil, func(l net.Listener) net.Listener {
				capped = newCappedListener(l, test.most, test.perAddress, test.proxies)
				return capped
			})
			served := func(c net.Conn) bool {
				io.WriteString(c, head("GET /echo HTTP/1.1", "Host: a"))
				_, err := http.ReadResponse(bufio.NewReader(c), nil)
				return err == nil
			}
			var open []net.Conn
			for range 10 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				if served(c) {
					open = append(open, c)
				} else {
					c.Close()
				}
			}
			if len(open) != test.want {
				t.Errorf("%d of 10 connections were served, want %d", len(open), test.want)
			}
			capped.closeAll()
			capped.mu.Lock()
			if len(capped.open) != 0 || len(capped.from) != 0 {
				t.Errorf("%d connections of %d addresses are left", len(capped.open), len(capped.from))
			}
			capped.mu.Unlock()
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if !served(c) {
				t.Error("nobody is served after the others left")
			}
			for _, c := range append(open, c) {
				c.Close()
			}
		})
	}
}

// TestForgottenProxy is told of once.
func TestForgottenProxy(t *testing.T) {
	var log safeBuffer
	addr := testServer(t, echoRoutes(nil), serverOptions{}, &log, nil)
	for range 3 {
		says(t, addr, head("GET /echo HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.99"))
	}
	if text := log.String(); strings.Count(text, "proxies is not set") != 1 || strings.Contains(text, "192.0.2.99") {
		t.Errorf("got the log\n%s\nwant one warning, and no address", text)
	}
}

func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, test := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1", nil, "192.0.2.1"},
		{"192.0.2.1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1", nil, "10.0.0.1"},
		{"10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1", []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1", []string{"203.0.113.1", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1", []string{"203.0.113.1, rubbish, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1", []string{""}, "10.0.0.1"},
		{"::ffff:10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"::1", []string{"2001:db8::5"}, "2001:db8::5"},
	} {
		got := clientAddress(netip.MustParseAddr(test.remote), test.forwarded, proxies)
		if got.String() != test.want {
			t.Errorf("%s for %q: got %s, want %s", test.remote, test.forwarded, got, test.want)
		}
	}
}

// TestRoutes holds the table to a few rules: all paths of wire are served, each
// once, and who may ask without a session is a short list.
func TestRoutes(t *testing.T) {
	var open, all []string
	for _, rt := range routes() {
		name := rt.method + " " + rt.pattern
		if slices.Contains(all, name) {
			t.Errorf("%s is there twice", name)
		}
		if all = append(all, name); rt.open {
			open = append(open, name)
		}
	}
	want := []string{
		"GET " + wire.PathDocument, "GET " + wire.PathHealth, "GET " + wire.PathNodeInfoLinks, "GET " + wire.PathNodeInfo, "GET " + wire.PathWebFinger, "POST " + wire.PathRegister, "POST " + wire.PathChallenge,
		"POST " + wire.PathLogin, "POST " + wire.PathHeads, "GET " + wire.PathLogTop, "GET " + wire.PathCosigned, "GET " + wire.PathLogFile, "POST " + wire.PathWitness, "* " + federationPrefix + "*",
		"GET " + wire.PathPage, "GET " + wire.PathPageSaved, "GET " + wire.PathPageFile, "GET " + wire.PathPageNode,
	}
	if !slices.Equal(open, want) {
		t.Errorf("open routes are %q, want %q", open, want)
	}
	for _, path := range []string{wire.PathPeerKeys, wire.PathPeerFriends, wire.PathPeerSync, wire.PathPeerNotices} {
		if !strings.HasPrefix(path, federationPrefix) {
			t.Errorf("%s is not below %s", path, federationPrefix)
		}
	}
	for _, name := range []string{
		"GET " + wire.PathSession, "DELETE " + wire.PathSession, "GET " + wire.PathVault, "PUT " + wire.PathVault,
		"POST " + wire.PathKeys, "GET " + wire.PathFriends, "POST " + wire.PathFriends, "POST " + wire.PathWraps,
		"GET " + wire.PathWrap, "POST " + wire.PathEntries, "GET " + wire.PathStream, "GET " + wire.PathPost, "GET " + wire.PathFeed,
	} {
		if !slices.Contains(all, name) {
			t.Errorf("%s is not served", name)
		}
	}
}

// TestNothingFollowsHeaders hands the parser more than the head of one request.
func TestNothingFollowsHeaders(t *testing.T) {
	if headers, err := parseHeaders("A: b\r\n\r\nC: d\r\n"); err == nil {
		t.Errorf("got %q", headers)
	}
}

// TestCheckAlone shows what our own check refuses that the library refuses before
// it, in the release that is used today.
func TestCheckAlone(t *testing.T) {
	host, length := [2]string{"Host", "a"}, [2]string{"Content-Length", "0"}
	for _, test := range []struct {
		headers [][2]string
		want    wire.Kind
	}{
		{[][2]string{host, length}, ""}, {nil, wire.Invalid}, {[][2]string{host, host}, wire.Invalid}, {[][2]string{host, {"HOST", "b"}}, wire.Invalid},
		{[][2]string{{"Host", ""}}, wire.Invalid}, {[][2]string{host, length, length}, wire.Invalid}, {[][2]string{host, length, {"content-length", "2"}}, wire.Invalid},
	} {
		r := incoming{method: "POST", target: "/", headers: test.headers}
		kind(t, r.check("HTTP/1.1"), test.want)
	}
}

// FuzzHeaders holds what is accepted to its one spelling.
func FuzzHeaders(f *testing.F) {
	for _, test := range refused {
		if _, headers, ok := strings.Cut(test.raw, "\r\n"); ok {
			f.Add(headers)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		headers, err := parseHeaders(raw)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, h := range headers {
			fmt.Fprintf(&again, "%s: %s\r\n", h[0], h[1])
		}
		twice, err := parseHeaders(again.String())
		if err != nil || !slices.Equal(headers, twice) {
			t.Errorf("%q became %q and then %q (%v)", raw, headers, twice, err)
		}
	})
}
