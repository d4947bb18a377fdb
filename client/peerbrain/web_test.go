package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/molecule-man/go-brrr"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/client/web"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const testDigest = "abababababababababababababababab"

// testSite is a page of three files.
func testSite(t *testing.T) *web.Site {
	t.Helper()
	built, list := fstest.MapFS{}, testDigest+"\n"
	for _, f := range [][2]string{{"index.html", "<!doctype html>"}, {"page.js", "// a page"}, {"sw.js", "// keeps it"}} {
		packed, err := brrr.Compress([]byte(f[1]), brrr.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		built[f[0]+".br"] = &fstest.MapFile{Data: packed}
		list += fmt.Sprintln(digestOf([]byte(f[1])), len(f[1]), f[0])
	}
	built[web.List] = &fstest.MapFile{Data: []byte(list)}
	site, err := web.Open(built)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// TestWebPage asks as browsers of this machine do, and as those that were led here under
// another name.
func TestWebPage(t *testing.T) {
	p := &page{site: testSite(t), port: 8800, node: wire.PageNode{Node: "node.example", API: "https://pb.node.example"}}
	for _, test := range []struct {
		method, host, path string
		status             int
		body               string
	}{
		{"GET", "127.0.0.1:8800", "/", 200, "<!doctype html>"},
		{"GET", "localhost:8800", "/?fbclid=1", 200, "<!doctype html>"},
		{"GET", "[::1]:8800", "/web/" + testDigest + "/page.js", 200, "// a page"},
		{"GET", "127.0.0.1:8800", "/sw.js", 200, "// keeps it"},
		{"GET", "127.0.0.1:8800", "/node.json", 200, `{"node":"node.example","api":"https://pb.node.example"}`},
		{"HEAD", "127.0.0.1:8800", "/", 200, ""},
		{"HEAD", "127.0.0.1:8800", "/node.json", 200, ""},
		{"GET", "127.0.0.1:8800", "/nothing", 404, "no such path\n"},
		{"GET", "127.0.0.1:8800", "/v1/session", 404, "no such path\n"},
		{"POST", "127.0.0.1:8800", "/", 405, "files are served here, and nothing else\n"},
		{"OPTIONS", "127.0.0.1:8800", "/", 405, "files are served here, and nothing else\n"},

		{"GET", "evil.example:8800", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "127.0.0.1.evil.example:8800", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "evil.example", "/node.json", 421, "this page is for browsers on its own machine\n"},
		{"GET", "192.0.2.1:8800", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "0.0.0.0:8800", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "127.0.0.1:8801", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "127.0.0.1", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "localhost.:8800", "/", 421, "this page is for browsers on its own machine\n"},
		{"GET", "", "/", 421, "this page is for browsers on its own machine\n"},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		w.Body.Reset()
		p.ServeHTTP(w, r)
		got := w.Result()
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		if test.method == "HEAD" {
			body = nil // a server does not send it
		}
		name := test.method + " " + test.host + test.path
		if got.StatusCode != test.status || string(body) != test.body {
			t.Errorf("%s: got %d %q, want %d %q", name, got.StatusCode, body, test.status, test.body)
		}
		for _, h := range web.Headers("https://pb.node.example") {
			if values := got.Header.Values(h[0]); len(values) != 1 || values[0] != h[1] {
				t.Errorf("%s: got %s: %q, want %q", name, h[0], values, h[1])
			}
		}
		if cache := got.Header.Get("Cache-Control"); cache == "" || test.status != 200 && cache != "no-store" {
			t.Errorf("%s: got Cache-Control %q", name, cache)
		}
	}
}

// TestWebPageKeeps asks again for what is there already.
func TestWebPageKeeps(t *testing.T) {
	p := &page{site: testSite(t), port: 80}
	ask := func(match string) *http.Response {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "localhost"
		r.Header.Set("Accept-Encoding", "gzip, deflate, br")
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Result()
	}
	first := ask("")
	if first.StatusCode != 200 || first.Header.Get("Content-Encoding") != "br" || first.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %q", first.StatusCode, first.Header)
	}
	if again := ask(first.Header.Get("ETag")); again.StatusCode != 304 || again.Header.Get("Content-Type") != "" {
		t.Errorf("got %d %q, want 304", again.StatusCode, again.Header)
	}
}

// TestDiffers compares a file with answers that are one change away from it.
func TestDiffers(t *testing.T) {
	_, headers, body := testSite(t).Answer("/", "br", "")
	for what, test := range map[string]struct {
		change func(*client.PageFile)
		want   string
	}{
		"the same":                     {func(*client.PageFile) {}, ""},
		"without a tag":                {func(f *client.PageFile) { f.Header.Del("ETag") }, ""},
		"not to be kept":               {func(f *client.PageFile) { f.Header.Set("Cache-Control", "no-store") }, ""},
		"a coding that was taken off":  {func(f *client.PageFile) { f.Header.Del("Content-Encoding") }, ""},
		"another coding":               {func(f *client.PageFile) { f.Header.Set("Content-Encoding", "gzip") }, `header Content-Encoding ["gzip"]`},
		"another status":               {func(f *client.PageFile) { f.Status = 302 }, "status 302"},
		"one byte":                     {func(f *client.PageFile) { f.Body[3]++ }, "other bytes"},
		"a byte more":                  {func(f *client.PageFile) { f.Body = append(f.Body, 0) }, "other bytes"},
		"nothing":                      {func(f *client.PageFile) { f.Body = nil }, "other bytes"},
		"another type":                 {func(f *client.PageFile) { f.Header.Set("Content-Type", "text/plain") }, `header Content-Type ["text/plain"]`},
		"no policy":                    {func(f *client.PageFile) { f.Header.Del("Content-Security-Policy") }, "header Content-Security-Policy []"},
		"a policy that lets others in": {func(f *client.PageFile) { f.Header.Set("Content-Security-Policy", "default-src *") }, `header Content-Security-Policy ["default-src *"]`},
		"two policies":                 {func(f *client.PageFile) { f.Header.Add("Content-Security-Policy", "default-src *") }, `header Content-Security-Policy `},
	} {
		f := &client.PageFile{Status: 200, Header: http.Header{}, Body: append([]byte(nil), body...)}
		for _, h := range append(headers, web.Headers("")...) {
			f.Header.Set(h[0], h[1])
		}
		test.change(f)
		if got := differs(f, body, headers); (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %q, want %q", what, got, test.want)
		}
	}
}
