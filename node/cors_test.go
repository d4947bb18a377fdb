package node

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func manyOrigins(n int) (list string) {
	for i := range n {
		list += fmt.Sprintf("https://a%d.example,", i)
	}
	return list
}

func TestParseOrigins(t *testing.T) {
	for _, test := range []struct {
		list string
		want []string // nil: refused
	}{
		{"", []string{}}, {" , ", []string{}},
		{"https://a.example", []string{"https://a.example"}},
		{" https://a.example , http://127.0.0.1:8800,http://localhost:1,http://[::1]:65535,", []string{"https://a.example", "http://127.0.0.1:8800", "http://localhost:1", "http://[::1]:65535"}},
		{"http://127.0.0.1", []string{"http://127.0.0.1"}}, {"https://localhost:8800", []string{"https://localhost:8800"}}, {"https://192.0.2.1:8443", []string{"https://192.0.2.1:8443"}},
		{"https://a.example:8443", []string{"https://a.example:8443"}},
		{manyOrigins(16), strings.Split(strings.TrimSuffix(manyOrigins(16), ","), ",")}, {manyOrigins(17), nil},
		{"*", nil}, {"null", nil}, {"https://*", nil}, {"https://*.example", nil}, {"a.example", nil}, {"//a.example", nil}, {"https://", nil}, {"https:a.example", nil},
		{"https://a.example/", nil}, {"https://a.example/x", nil}, {"https://a.example?x", nil}, {"https://a.example#x", nil}, {"https://u@a.example", nil}, {"https://u:canary@a.example", nil},
		{"HTTPS://a.example", nil}, {"https://A.example", nil}, {"https://a.example:443", nil}, {"http://127.0.0.1:80", nil}, {"https://a.example:", nil}, {"https://a.example:0", nil}, {"https://a.example:08443", nil}, {"https://a.example:65536", nil}, {"https://a.example:x", nil},
		{"http://a.example", nil}, {"http://192.0.2.1", nil}, {"http://0.0.0.0:1", nil}, {"http://[::]", nil}, {"http://127.1", nil}, {"http://2130706433", nil}, {"https://[::1%25lo]", nil}, {"https://[0::1]", nil},
		{"ftp://a.example", nil}, {"file://", nil}, {"chrome-extension://abc", nil}, {"https://a.example.", nil}, {"https://ä.example", nil}, {"https://a example", nil}, {"https://a.example https://b.example", nil},
		{"https://a.example,https://a.example", nil}, {"https://a.example;https://b.example", nil},
	} {
		got, err := ParseOrigins(test.list)
		if (err != nil) != (test.want == nil) || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q (%v), want %q", test.list, got, err, test.want)
		}
	}
}

// FuzzOrigins holds each origin that is accepted to be one that a browser may send: the
// same list is read of it again, and no answer ever has another.
func FuzzOrigins(f *testing.F) {
	f.Add("https://a.example, http://127.0.0.1:8800")
	f.Add("http://[::1]:1,*")
	f.Fuzz(func(t *testing.T, list string) {
		all, err := ParseOrigins(list)
		if err != nil {
			return
		}
		again, err := ParseOrigins(strings.Join(all, ","))
		if err != nil || !slices.Equal(again, all) {
			t.Errorf("%q was read as %q, and that as %q (%v)", list, all, again, err)
		}
		for _, origin := range all {
			if strings.ContainsAny(origin, " ,*?#@\r\n\x00") || strings.Count(origin, "/") != 2 || origin != strings.ToLower(origin) {
				t.Errorf("%q is no origin", origin)
			}
			if h := all.headers(wire.PathSession, []string{origin}); len(h) != 3 || h[1][1] != origin {
				t.Errorf("%q is answered with %q", origin, h)
			}
		}
	})
}

// shared lists the headers of an answer that are about other origins.
func shared(h http.Header) (all []string) {
	for name, values := range h {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			all = append(all, name+": "+strings.Join(values, " | "))
		}
	}
	slices.Sort(all)
	return all
}

// withoutShared is an answer without those headers, for wantHeaders.
func withoutShared(response *http.Response) *http.Response {
	same := *response
	same.Header = response.Header.Clone()
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			same.Header.Del(name)
		}
	}
	return &same
}

// TestOrigins asks as a browser does for pages of several origins: at a node that names
// two, and at one that names none.
func TestOrigins(t *testing.T) {
	const mine, other = "http://127.0.0.1:8800", "https://pages.example"
	c := devConfig(t)
	c.Web.Origins = mine + "," + other
	r, closed := runs(t, c), runs(t, devConfig(t))
	allowed := []string{"Access-Control-Allow-Origin: " + mine, "Access-Control-Expose-Headers: Date, Retry-After", "Vary: Origin"}
	preflight := append([]string{"Access-Control-Allow-Headers: Authorization, Content-Type, Second-Factor, Last-Event-ID", "Access-Control-Allow-Methods: GET, POST, PUT, DELETE"}, allowed[0], allowed[1], "Access-Control-Max-Age: 600", allowed[2])
	for _, test := range []struct {
		line   string
		lines  []string
		status int
		want   []string
	}{
		{"GET /v1/session", []string{"Origin: " + mine}, 401, allowed},
		{"GET /.well-known/peerbrain", []string{"Origin: " + mine}, 200, allowed},
		{"GET /v1/nothing", []string{"oRIGIN: " + mine}, 404, allowed},
		{"PATCH /v1/session", []string{"Origin: " + mine}, 405, allowed},
		{"GET /v1/feed?x", []string{"Origin: " + mine}, 400, allowed},
		{"POST /v1/login", []string{"Origin: " + mine, "Content-Length: 2"}, 415, allowed},
		{"GET /v1/session", []string{"Origin: " + other}, 401, []string{"Access-Control-Allow-Origin: " + other, allowed[1], allowed[2]}},
		{"OPTIONS /v1/session", []string{"Origin: " + mine, "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: authorization"}, 204, preflight},
		{"OPTIONS /v1/feed?limit=3", []string{"Origin: " + mine, "Access-Control-Request-Method: GET"}, 204, preflight},

		// Not these origins, or none.
		{"GET /v1/session", nil, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: http://127.0.0.1:8801"}, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: null"}, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: http://127.0.0.1:8800.evil.example"}, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: HTTP://127.0.0.1:8800"}, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: " + mine + "," + other}, 401, []string{"Vary: Origin"}},
		{"GET /v1/session", []string{"Origin: " + mine, "Origin: " + mine}, 401, []string{"Vary: Origin"}},
		{"OPTIONS /v1/session", []string{"Origin: https://evil.example", "Access-Control-Request-Method: GET"}, 405, []string{"Vary: Origin"}},
		{"OPTIONS /v1/session", []string{"Access-Control-Request-Method: GET"}, 405, []string{"Vary: Origin"}},
		{"OPTIONS /v1/session", []string{"Origin: " + mine}, 405, allowed},

		// Not these paths.
		{"GET /", []string{"Origin: " + mine}, 200, []string{"Vary: Accept-Encoding"}},
		{"GET /node.json", []string{"Origin: " + mine}, 200, nil},
		{"GET /healthz", []string{"Origin: " + mine}, 200, nil},
		{"POST /federation/v1/keys", []string{"Origin: " + mine, "Content-Length: 0"}, 401, nil},
		{"OPTIONS /federation/v1/keys", []string{"Origin: " + mine, "Access-Control-Request-Method: POST"}, 401, nil},
		{"OPTIONS /", []string{"Origin: " + mine, "Access-Control-Request-Method: GET"}, 405, nil},
	} {
		raw := head(append([]string{test.line + " HTTP/1.1", "Host: a"}, test.lines...)...)
		if slices.Contains(test.lines, "Content-Length: 2") {
			raw += "{}"
		}
		response, _, _ := says(t, strings.TrimPrefix(r.url, "http://"), raw)
		if got := shared(response.Header); response.StatusCode != test.status || !slices.Equal(got, test.want) {
			t.Errorf("%s with %q: got %d and %q, want %d and %q", test.line, test.lines, response.StatusCode, got, test.status, test.want)
		}
		if same := withoutShared(response); response.StatusCode == 200 && test.line == "GET /" {
			wantPageHeaders(t, same)
		} else {
			wantHeaders(t, same)
		}
		response, _, _ = says(t, strings.TrimPrefix(closed.url, "http://"), raw)
		if got := shared(response.Header); len(got) > 0 && test.line != "GET /" || response.StatusCode == 204 {
			t.Errorf("%s with %q at a node that names none: got %d and %q", test.line, test.lines, response.StatusCode, got)
		}
	}
}

// TestOriginsOfStreams wants an event stream to be open to the page as well.
func TestOriginsOfStreams(t *testing.T) {
	c := devConfig(t)
	c.Web.Origins = "http://127.0.0.1:8800"
	r := runs(t, c)
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	token := r.logsIn(t, ann).Token
	for origin, want := range map[string]string{"http://127.0.0.1:8800": "http://127.0.0.1:8800", "http://127.0.0.1:8801": ""} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", r.url+wire.PathEvents, bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
		request.Header.Set("Origin", origin)
		response, err := r.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); response.StatusCode != 200 || got != want || response.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: got %d and %q", origin, response.StatusCode, shared(response.Header))
		}
		wantHeaders(t, withoutShared(response))
	}
}
