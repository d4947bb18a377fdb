package node

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// testSite is a page of three files. It has brotli of none.
type testSite struct{}

var testFiles = map[string][2]string{
	"/":                  {"text/html; charset=utf-8", "<!doctype html><p>A page."},
	"/sw.js":             {"text/javascript; charset=utf-8", "// keeps the page"},
	"/web/abc/words.txt": {"text/plain; charset=utf-8", "words"},
	"/web/abc/a/b.css":   {"text/css; charset=utf-8", "p {}"},
}

func (testSite) Answer(path, accept, match string) (int, [][2]string, []byte) {
	f, ok := testFiles[path]
	if !ok {
		return 404, nil, nil
	}
	headers := [][2]string{{"ETag", `"` + path + `"`}, {"Cache-Control", "no-cache"}, {"Vary", "Accept-Encoding"}, {"Content-Type", f[0]}}
	if match == `"other", "`+path+`"` {
		return 304, headers[:3], nil
	}
	if accept == "a, br" {
		headers = append(headers, [2]string{"Content-Encoding", "br"})
	}
	return 200, headers, []byte(f[1])
}

func (testSite) Digest() string { return "abc" }

func (testSite) Paths() []string {
	return []string{"/", "/sw.js", "/web/abc/a/b.css", "/web/abc/words.txt"}
}

func (testSite) FileDigest(path string) string { return "digest-of-" + path }

// unbuiltSite is that of a program that was built without one.
type unbuiltSite struct{ testSite }

func (unbuiltSite) Digest() string { return "" }

// TestPage asks for each file, with and without a body, what has not changed, and what is
// not there.
func TestPage(t *testing.T) {
	r := runs(t, devConfig(t))
	addr := strings.TrimPrefix(r.url, "http://")
	for path, f := range testFiles {
		for _, lines := range [][]string{nil, {"Accept-Encoding: a", "accept-encoding: br"}, {"Accept-Encoding: a, br"}} {
			response, body, _ := says(t, addr, head(append([]string{"GET " + path + " HTTP/1.1", "Host: a"}, lines...)...))
			hold(t, "GET", path, nil, answered{response.StatusCode, response.Header, []byte(body)})
			wantPageHeaders(t, response)
			coding := ""
			if len(lines) > 0 {
				coding = "br"
			}
			if response.StatusCode != 200 || body != f[1] || response.Header.Get("Content-Type") != f[0] || response.Header.Get("Content-Encoding") != coding {
				t.Errorf("%s: got %d %q %s", path, response.StatusCode, response.Header, body)
			}
		}
		response, body, _ := says(t, addr, head("GET "+path+" HTTP/1.1", "Host: a", `If-None-Match: "other"`, `if-none-match: "`+path+`"`))
		hold(t, "GET", path, nil, answered{response.StatusCode, response.Header, []byte(body)})
		wantPageHeaders(t, response)
		if response.StatusCode != 304 || body != "" || response.Header.Get("Content-Type") != "" {
			t.Errorf("%s: got %d %q %s, want 304", path, response.StatusCode, response.Header, body)
		}
		answer, err := http.Head(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		wantPageHeaders(t, answer)
		if answer.StatusCode != 200 || answer.ContentLength != int64(len(f[1])) || answer.Header.Get("Content-Type") != f[0] {
			t.Errorf("HEAD %s: got %d %q", path, answer.StatusCode, answer.Header)
		}
	}
	for _, path := range []string{"/web/abc/nothing", "/web/abd/words.txt", "/web/abc", "/index.html", "/web/abc/words.txt/"} {
		response, body, _ := says(t, addr, head("GET "+path+" HTTP/1.1", "Host: a"))
		wantProblem(t, response, body, 404, wire.NotExist)
		hold(t, "GET", path, nil, answered{response.StatusCode, response.Header, []byte(body)})
	}
	// What others have added to a link is of no interest to the page alone.
	for target, status := range map[string]int{"/?fbclid=a%20b&x": 200, "/sw.js?a=b": 400, "/web/abc/words.txt?a": 400, "/node.json?a=b": 400, "/?": 400, "/?a#b": 400} {
		if response, body, _ := says(t, addr, head("GET "+target+" HTTP/1.1", "Host: a")); response.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", target, response.StatusCode, body, status)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		response, body, _ := says(t, addr, head(method+" / HTTP/1.1", "Host: a", "Content-Length: 0"))
		wantProblem(t, response, body, 405, wire.Method)
		if allow := response.Header.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("%s: got Allow: %s", method, allow)
		}
	}
}

// wantPageHeaders is wantHeaders for a file, which may be kept.
func wantPageHeaders(t *testing.T, response *http.Response) {
	t.Helper()
	if cache := response.Header.Values("Cache-Control"); len(cache) != 1 || cache[0] != "no-cache" {
		t.Errorf("got Cache-Control %q", cache)
	}
	same := *response
	same.Header = response.Header.Clone()
	same.Header.Set("Cache-Control", "no-store")
	wantHeaders(t, &same)
}

// TestPageNode wants a page to be told the name of the node, not where it is served.
func TestPageNode(t *testing.T) {
	c := devConfig(t)
	c.Name, c.Host = "localhost:1", "localhost:2"
	r := runs(t, c)
	var got wire.PageNode
	if r.succeeds(t, "GET", wire.PathPageNode, nil, nil, &got); got != (wire.PageNode{Node: "localhost:1"}) {
		t.Errorf("got %+v", got)
	}
	answer, err := http.Head(r.url + wire.PathPageNode)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	wantHeaders(t, answer)
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != wire.MediaJSON {
		t.Errorf("HEAD: got %d %q", answer.StatusCode, answer.Header)
	}
}

// TestPageIsLogged wants the log to tell what browsers are served.
func TestPageIsLogged(t *testing.T) {
	for _, test := range []struct {
		site Site
		want []string
		not  string
	}{
		{testSite{}, []string{`level=INFO msg="page for browsers" digest=abc files=4`, `level=DEBUG msg="file of the page" path=/sw.js sha256=digest-of-/sw.js`, "path=/web/abc/a/b.css sha256=digest-of-/web/abc/a/b.css"}, "level=WARN"},
		{unbuiltSite{}, []string{`level=WARN msg="this program was built without its page for browsers`}, "file of the page"},
		{nil, nil, "page"},
	} {
		c := devConfig(t)
		c.Site = test.site
		r := runs(t, c)
		for _, path := range []string{wire.PathPage, wire.PathPageSaved} {
			response, body, _ := says(t, strings.TrimPrefix(r.url, "http://"), head("GET "+path+" HTTP/1.1", "Host: a"))
			hold(t, "GET", path, nil, answered{response.StatusCode, response.Header, []byte(body)})
			if (response.StatusCode == 404) != (test.site == nil) {
				t.Errorf("%T: %s has the answer %d", test.site, path, response.StatusCode)
			}
		}
		r.ends(t)
		log := r.log.String()
		for _, line := range test.want {
			if !strings.Contains(log, line) {
				t.Errorf("%T: the log does not say %s:\n%s", test.site, line, log)
			}
		}
		if strings.Contains(log, test.not) && test.site != nil || test.site == nil && strings.Contains(log, "for browsers") {
			t.Errorf("%T: the log says %s:\n%s", test.site, test.not, log)
		}
	}
}

// TestHeadersEverywhere asks each route by each method, and wants the same headers on
// everything that a node ever says.
func TestHeadersEverywhere(t *testing.T) {
	r := runs(t, devConfig(t))
	addr := strings.TrimPrefix(r.url, "http://")
	statuses := map[int]bool{}
	id := strings.Repeat("a", 52)
	for _, rt := range append(routes(), route{pattern: "/nothing"}, route{pattern: "/v1/nothing"}) {
		for _, method := range methods {
			path := target(rt.pattern, id, id, id)
			var response *http.Response
			if method == "HEAD" {
				var err error
				if response, err = http.Head(r.url + path); err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			} else {
				response, _, _ = says(t, addr, head(method+" "+path+" HTTP/1.1", "Host: a", "Content-Length: 0"))
			}
			statuses[response.StatusCode] = true
			if site := response.StatusCode < 400 && slices.Contains([]string{wire.PathPage, wire.PathPageSaved}, rt.pattern); site {
				wantPageHeaders(t, response)
			} else {
				wantHeaders(t, response)
			}
		}
	}
	for _, status := range []int{200, 400, 401, 404, 405} {
		if !statuses[status] {
			t.Errorf("no answer was %d: %v", status, statuses)
		}
	}
}
