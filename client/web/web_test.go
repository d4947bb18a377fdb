package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/molecule-man/go-brrr"
)

// small is a site of a few files, as build.go would make it.
func small(t *testing.T) fstest.MapFS {
	t.Helper()
	built := fstest.MapFS{}
	list := strings.Repeat("ab", 16) + "\n"
	for _, f := range [][2]string{
		{"index.html", "<!doctype html><p>Hello.</p>"}, {"page.js", "export const words = 1"}, {"peerbrain.wasm", "\x00asm\x01\x00\x00\x00"},
		{"sw.js", "// shell"}, {"words/de.json", `{"hello": "Hallo"}`},
	} {
		packed, err := brrr.Compress([]byte(f[1]), brrr.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		built[f[0]+".br"] = &fstest.MapFile{Data: packed}
		list += fmt.Sprintln(digest([]byte(f[1])), len(f[1]), f[0])
	}
	built[List] = &fstest.MapFile{Data: []byte(list)}
	return built
}

func open(t *testing.T, built fs.FS) *Site {
	t.Helper()
	s, err := Open(built)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header returns one of an answer's.
func header(headers [][2]string, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

func TestAnswers(t *testing.T) {
	s := open(t, small(t))
	root := "/web/" + strings.Repeat("ab", 16) + "/"
	if got, want := strings.Join(s.Paths(), " "), "/ /sw.js "+root+"page.js "+root+"peerbrain.wasm "+root+"words/de.json"; got != want {
		t.Errorf("got the paths %s, want %s", got, want)
	}
	for _, test := range []struct{ path, media, cache, text string }{
		{"/", "text/html; charset=utf-8", "no-cache", "<!doctype html><p>Hello.</p>"},
		{"/sw.js", "text/javascript; charset=utf-8", "no-cache", "// shell"},
		{root + "page.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "export const words = 1"},
		{root + "peerbrain.wasm", "application/wasm", "public, max-age=31536000, immutable", "\x00asm\x01\x00\x00\x00"},
		{root + "words/de.json", "application/json", "public, max-age=31536000, immutable", `{"hello": "Hallo"}`},
	} {
		tags := map[string]bool{}
		for accept, coding := range map[string]string{
			"": "", "identity": "", "gzip, deflate, br, zstd": "br", "gzip, deflate": "gzip", "br": "br", "BR": "br", "gzip": "gzip",
			"br;q=0, gzip": "gzip", "br; q=0.000, gzip;q=0": "", "gzip;q=1.0, br;q=0.1": "br", "br;q=2": "", "br;q=x": "", "br;x=1": "", "brx, xgzip": "", "*": "",
			",": "", "br;q=-1": "", "br;q=NaN": "",
		} {
			status, headers, body := s.Answer(test.path, accept, "")
			if status != 200 || header(headers, "Content-Type") != test.media || header(headers, "Cache-Control") != test.cache || header(headers, "Vary") != "Accept-Encoding" || header(headers, "Content-Encoding") != coding {
				t.Errorf("%s for %q: got %d and %q, want the coding %q", test.path, accept, status, headers, coding)
			}
			if text := decoded(t, coding, body); text != test.text {
				t.Errorf("%s for %q: got %q, want %q", test.path, accept, text, test.text)
			}
			tags[header(headers, "ETag")] = true
		}
		if len(tags) != 3 {
			t.Errorf("%s: got the tags %v, want one for each coding", test.path, tags)
		}
		if got, want := s.FileDigest(test.path), digest([]byte(test.text)); got != want {
			t.Errorf("%s: got the digest %s, want %s", test.path, got, want)
		}
	}
}

func decoded(t *testing.T, coding string, body []byte) string {
	t.Helper()
	var text []byte
	var err error
	switch coding {
	case "br":
		text, err = brrr.Decompress(body)
	case "gzip":
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			text, err = io.ReadAll(r)
		}
	default:
		text = body
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNotThere(t *testing.T) {
	s := open(t, small(t))
	for _, path := range []string{"", "/index.html", "/web/", s.Root(), s.Root() + "index.html", s.Root() + "sw.js", s.Root() + "words", s.Root() + "words/", s.Root() + "../sw.js", "/web/" + strings.Repeat("cd", 16) + "/page.js", "//", "/" + List, s.Root() + List} {
		if status, headers, body := s.Answer(path, "br", "*"); status != 404 || headers != nil || body != nil {
			t.Errorf("%q: got %d %q %q, want 404 alone", path, status, headers, body)
		}
		if got := s.FileDigest(path); got != "" {
			t.Errorf("%q: got the digest %s", path, got)
		}
	}
}

func TestConditional(t *testing.T) {
	s := open(t, small(t))
	_, headers, _ := s.Answer("/", "br", "")
	tag := header(headers, "ETag")
	for match, want := range map[string]int{
		tag: 304, "W/" + tag: 304, `"a", ` + tag + ` ,"b"`: 304, "*": 304, `"a"`: 200, strings.Trim(tag, `"`): 200, "": 200, strings.ToUpper(tag): 200, tag[:len(tag)-1]: 200,
	} {
		status, headers, body := s.Answer("/", "br", match)
		if status != want || (body == nil) != (want == 304) {
			t.Errorf("%s: got %d and %d bytes, want %d", match, status, len(body), want)
		}
		if header(headers, "ETag") != tag || header(headers, "Cache-Control") != "no-cache" || header(headers, "Vary") != "Accept-Encoding" || (header(headers, "Content-Type") == "") != (want == 304) {
			t.Errorf("%s: got %q", match, headers)
		}
	}
	if status, _, _ := s.Answer("/", "gzip", tag); status != 200 {
		t.Errorf("the tag of another coding led to %d", status)
	}
}

// TestUnbuilt wants a page where nothing was built, which says how to build it.
func TestUnbuilt(t *testing.T) {
	s := open(t, fstest.MapFS{".gitignore": {Data: []byte("*\n")}})
	status, headers, body := s.Answer("/", "gzip, br", "")
	if status != 200 || header(headers, "Content-Type") != "text/html; charset=utf-8" || header(headers, "Content-Encoding") != "" || !strings.Contains(string(body), "go generate ./client/web") {
		t.Errorf("got %d %q %s", status, headers, body)
	}
	if s.Digest() != "" || len(s.Paths()) != 1 {
		t.Errorf("got %q and %q", s.Digest(), s.Paths())
	}
}

// TestOpenRefuses breaks what was built.
func TestOpenRefuses(t *testing.T) {
	for name, breaks := range map[string]func(fstest.MapFS){
		"a file is absent":      func(b fstest.MapFS) { delete(b, "page.js.br") },
		"a line is short":       func(b fstest.MapFS) { b[List].Data = append(b[List].Data, "ab 12\n"...) },
		"a length is no number": func(b fstest.MapFS) { b[List].Data = append(b[List].Data, "ab x page.js\n"...) },
		"a folder is the list":  func(b fstest.MapFS) { b[List].Mode = fs.ModeDir },
	} {
		built := small(t)
		breaks(built)
		if s, err := Open(built); err == nil {
			t.Errorf("%s: got %q", name, s.Paths())
		}
	}
}

func TestHeaders(t *testing.T) {
	for api, connect := range map[string]string{"": "'self'", "https://node.example": "'self' https://node.example"} {
		want := map[string]string{
			"Content-Security-Policy":      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src " + connect + "; img-src 'self' blob:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
		}
		headers := Headers(api)
		if len(headers) != len(want) {
			t.Errorf("got %d headers, want %d", len(headers), len(want))
		}
		for _, h := range headers {
			if want[h[0]] != h[1] {
				t.Errorf("got %s: %s, want %s", h[0], h[1], want[h[0]])
			}
		}
	}
}

// TestEmbedded reads every file of this binary as a browser would.
func TestEmbedded(t *testing.T) {
	s, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if s.Digest() == "" {
		t.Skip("!! SKIPPED: the web client is not built; make web, or go generate ./client/web, builds it")
	}
	for _, path := range s.Paths() {
		_, _, plain := s.Answer(path, "", "")
		for _, coding := range []string{"br", "gzip"} {
			if _, _, body := s.Answer(path, coding, ""); decoded(t, coding, body) != string(plain) {
				t.Errorf("%s: %s is of something else", path, coding)
			}
		}
		if digest(plain) != s.FileDigest(path) || len(plain) == 0 {
			t.Errorf("%s: %d bytes with the digest %s, want %s", path, len(plain), digest(plain), s.FileDigest(path))
		}
	}
	_, _, page := s.Answer("/", "", "")
	if !strings.Contains(string(page), s.Root()) || strings.Contains(string(page), "/web/HASH/") {
		t.Errorf("the page does not name its files by %s:\n%s", s.Root(), page)
	}
	for _, name := range []string{"peerbrain.wasm", "wasm_exec.js"} {
		if s.FileDigest(s.Root()+name) == "" {
			t.Errorf("%s is not there", name)
		}
	}
	if _, err := os.Stat(filepath.Join("dist", List)); err != nil {
		t.Error(err)
	}
}
