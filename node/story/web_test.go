package story_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client/web"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// thePage is the web client that the binaries have. Where it was not built, tests that
// need it are left out, loudly.
func thePage(t testing.TB) *web.Site {
	t.Helper()
	site := must(web.Embedded())
	if site.Digest() == "" {
		t.Skip("!! SKIPPED: the web client is not built; make web builds it, and make test and make race do so first")
	}
	return site
}

// get asks as a browser might, and reads the answer.
func get(t *testing.T, target string, header http.Header) (*http.Response, string) {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), "GET", target, nil))
	if header != nil {
		request.Header = header
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	answer, err := (&http.Client{Transport: direct(), Timeout: newsArrive}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer, string(must(io.ReadAll(answer.Body)))
}

// TestNodeServesPage asks a node for each file of the page. What its log says of them is
// what package web says, and its headers are those that peerbrain web sends as well.
func TestNodeServesPage(t *testing.T) {
	undetected(t)
	t.Parallel()
	site := thePage(t)
	s := must(newServer(built(t), t.TempDir(), "node"))
	s.flags = []string{"--log-level", "debug"}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	for _, path := range site.Paths() {
		for _, coding := range []string{"br", "gzip", "identity"} {
			answer, body := get(t, "http://"+s.listen+path, http.Header{"Accept-Encoding": {coding}})
			status, headers, want := site.Answer(path, coding, "")
			if answer.StatusCode != status || body != string(want) {
				t.Errorf("%s in %s: got %d and %d bytes, want %d and %d", path, coding, answer.StatusCode, len(body), status, len(want))
			}
			for _, h := range append(headers, web.Headers("")...) {
				if got := answer.Header.Values(h[0]); !slices.Equal(got, h[1:]) {
					t.Errorf("%s in %s: got %s: %q, want %q", path, coding, h[0], got, h[1])
				}
			}
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	log := string(must(os.ReadFile(s.log)))
	if want := "digest=" + site.Digest(); !strings.Contains(log, want) {
		t.Errorf("the log does not say %s", want)
	}
	for _, path := range site.Paths() {
		if want := "path=" + path + " sha256=" + site.FileDigest(path); !strings.Contains(log, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
}

// TestBinariesAreSmall bounds what people and operators download, the page included.
func TestBinariesAreSmall(t *testing.T) {
	undetected(t)
	t.Parallel()
	thePage(t)
	for name, most := range map[string]int64{"peerbrain-node": 20e6, "peerbrain": 12e6} {
		if size := must(os.Stat(filepath.Join(built(t), name))).Size(); size > most {
			t.Errorf("%s has %.2f MB, %.0f are allowed", name, float64(size)/1e6, float64(most)/1e6)
		}
	}
}

// lied is a lie about the page: what is wrong in which answer, and what is said of it.
type lied struct {
	name, path string
	tell       func(*http.Response)
	says       string
}

func body(text string) func(*http.Response) {
	return func(r *http.Response) {
		r.Body = io.NopCloser(strings.NewReader(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		r.ContentLength = int64(len(text))
	}
}

// TestPageLies has a node serve other pages than its own, one change each, and a person
// who compares: peerbrain web --verify names the file, and ends with 1.
func TestPageLies(t *testing.T) {
	undetected(t)
	t.Parallel()
	site := thePage(t)
	var now atomic.Pointer[lied]
	w := &world{TB: t, dir: t.TempDir(), bin: built(t)}
	w.left = w.node("left", func(s *server) error {
		var at *url.URL
		proxy := &httputil.ReverseProxy{
			Transport: direct(),
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host },
			ModifyResponse: func(r *http.Response) error {
				if l := now.Load(); l != nil && r.Request.URL.Path == l.path {
					l.tell(r)
				}
				return nil
			},
		}
		err := standBefore(t, s, proxy)
		at = &url.URL{Scheme: "http", Host: s.listen}
		return err
	})
	out, errs, err := w.types("ada", "web", "--verify", w.left.name)
	if err != nil || !strings.Contains(out, w.left.name+" serves the page that came with this peerbrain ("+site.Digest()+").") || strings.Contains(out, "DIFFERS") {
		t.Fatalf("an honest node: %v\n%s%s", err, out, errs)
	}
	if got := strings.Count(out, "\nsame ") + 1; got != len(site.Paths())+1 {
		t.Errorf("%d files were compared, want %d\n%s", got, len(site.Paths())+1, out)
	}
	core := site.Root() + "peerbrain.wasm"
	for _, l := range []lied{
		{"a script more in the page", "/", body("<!doctype html><script src=/evil.js></script>"), "other bytes"},
		{"another service worker", "/sw.js", body("// watches"), "other bytes"},
		{"another core", core, body("\x00asm\x01\x00\x00\x00"), "other bytes"},
		{"no core", core, func(r *http.Response) { r.StatusCode = 404 }, "status 404"},
		{"led elsewhere", "/", func(r *http.Response) {
			r.StatusCode = 302
			r.Header.Set("Location", "https://evil.example/")
		}, "status 302"},
		{"no policy", "/", func(r *http.Response) { r.Header.Del("Content-Security-Policy") }, "header Content-Security-Policy []"},
		{"a policy that lets the page speak with others", "/", func(r *http.Response) { r.Header.Set("Content-Security-Policy", "connect-src *") }, `header Content-Security-Policy ["connect-src *"]`},
		{"a script of another type", site.Root() + "worker.js", func(r *http.Response) { r.Header.Set("Content-Type", "text/html") }, `header Content-Type ["text/html"]`},
		{"an unknown coding", "/", func(r *http.Response) { r.Header.Set("Content-Encoding", "zstd") }, `header Content-Encoding ["zstd"]`},
		{"an API elsewhere", wire.PathPageNode, body(`{"node":"` + w.left.name + `","api":"https://evil.example"}`), "other bytes"},
		{"another node", wire.PathPageNode, body(`{"node":"evil.example","api":""}`), "other bytes"},
		{"far too much", "/", body(strings.Repeat("x", 4<<20)), "other bytes"},
	} {
		now.Store(&l)
		out, errs, err := w.types("ada", "web", "--verify", w.left.name)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(errs, "1 of "+strconv.Itoa(len(site.Paths())+1)+" files differ") {
			t.Errorf("%s: got %v\n%s%s", l.name, err, out, errs)
		}
		told := slices.Collect(func(yield func(string) bool) {
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "DIFFERS ") && !yield(strings.TrimSpace(line)) {
					return
				}
			}
		})
		if len(told) != 1 || !strings.HasSuffix(told[0], "  "+l.path+"  "+l.says) {
			t.Errorf("%s: got %q, want %s and %s", l.name, told, l.path, l.says)
		}
	}
	now.Store(nil)
	out, errs, err = w.types("ada", "web", "--verify", "--json", w.left.name)
	for line := range strings.Lines(out) {
		var one struct {
			Path, SHA256 string
			Same         bool
		}
		if json.Unmarshal([]byte(line), &one) != nil || !one.Same || one.SHA256 == "" {
			t.Errorf("got %s", line)
		}
	}
	if err != nil || strings.Count(out, "\n") != len(site.Paths())+1 {
		t.Errorf("as JSON: %v\n%s%s", err, out, errs)
	}
}

// startsWeb starts peerbrain web, and returns where it serves, what ends it, and what it
// said to standard error, once it has ended.
func (w *world) startsWeb(who string, args ...string) (at string, errs *strings.Builder, ends func() error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*newsArrive)
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "peerbrain"), append([]string{"web"}, args...)...)
	cmd.Env = append(bare(), "PEERBRAIN_HOME="+w.home(who))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	errs = new(strings.Builder)
	cmd.Stderr = errs
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		cancel()
		w.Fatal(err)
	}
	ended := false
	ends = func() error {
		if ended {
			return nil
		}
		ended = true
		defer cancel()
		interrupted := cmd.Process.Signal(os.Interrupt)
		_, read := io.ReadAll(out)
		return errors.Join(interrupted, read, cmd.Wait())
	}
	w.Cleanup(func() { _ = ends() }) // a test that is about the end has asked before
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(line, "http://")
	at, _, isPath := strings.Cut(rest, "/")
	if err != nil || !ok || !isPath {
		w.Fatalf("peerbrain web says %q (%v)", line, errors.Join(err, ends()))
	}
	return at, errs, ends
}

// TestWebFromDisk has ada serve the page to herself, for her node: with and without the
// word of its operator.
func TestWebFromDisk(t *testing.T) {
	undetected(t)
	t.Parallel()
	site := thePage(t)
	port := must(freePort())
	mine := "127.0.0.1:" + strconv.Itoa(port)
	w := &world{TB: t, dir: t.TempDir(), bin: built(t)}
	w.left = w.node("left", func(s *server) error { s.flags = []string{"--web-origins", "http://" + mine}; return nil })
	w.right = w.node("right")
	w.plays("ada: register ada@")

	at, errs, ends := w.startsWeb("ada", "--listen", mine) // whose node is that of the session
	if at != mine {
		t.Errorf("it serves at %s, want %s", at, mine)
	}
	for _, path := range site.Paths() {
		answer, got := get(t, "http://"+at+path, http.Header{"Accept-Encoding": {"br"}})
		if _, _, want := site.Answer(path, "br", ""); answer.StatusCode != 200 || got != string(want) {
			t.Errorf("%s: got %d and %d bytes, want %d", path, answer.StatusCode, len(got), len(want))
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' http://"+w.left.name+";") {
			t.Errorf("%s: got the policy %s", path, policy)
		}
	}
	if _, got := get(t, "http://"+at+wire.PathPageNode, nil); got != `{"node":"`+w.left.name+`","api":"http://`+w.left.name+`"}` {
		t.Errorf("got %s", got)
	}
	if answer, got := get(t, "http://"+at+"/", http.Header{"Host": {"evil.example:" + strconv.Itoa(port)}}); answer.StatusCode != 421 || strings.Contains(got, "<") {
		t.Errorf("another name leads to %d %s", answer.StatusCode, got)
	}
	// What the page may do at the node, a browser asks first.
	answer, _ := get(t, "http://"+w.left.listen+wire.PathDocument, http.Header{"Origin": {"http://" + at}})
	if answer.Header.Get("Access-Control-Allow-Origin") != "http://"+at {
		t.Errorf("the node does not let the page in: %q", answer.Header)
	}
	status, out := exitOf(w.types("ada", "web", "--listen", mine))
	if status != 1 || !strings.Contains(out, "another program listens at "+mine) || !strings.Contains(out, "hint: end it, or choose another port") {
		t.Errorf("on a port that is taken: %d, %s", status, out)
	}
	w.plays("ada: whoami") // the home is not held meanwhile
	if err := ends(); err != nil || errs.Len() > 0 {
		t.Errorf("Ctrl-C: %v, and it said %s", err, errs)
	}
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("it serves on")
	}

	other, errs, ends := w.startsWeb("ada", w.right.name)
	if answer, got := get(t, "http://"+other+wire.PathPageNode, nil); answer.StatusCode != 200 || !strings.Contains(got, w.right.name) {
		t.Errorf("got %d %s", answer.StatusCode, got)
	}
	if err := ends(); err != nil || !strings.Contains(errs.String(), "note: "+w.right.name+" does not let this page in") || !strings.Contains(errs.String(), "http://"+other+" in the setting web.origins") {
		t.Errorf("at a node that does not let it in: %v, %s", err, errs)
	}

	if err := w.right.stop(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"web", w.right.name}, {"web", "--verify", w.right.name}} {
		status, out := exitOf(w.types("ada", args...))
		if status != 1 || !strings.Contains(out, "cannot find "+w.right.name) || !strings.Contains(out, "hint: is the node running") {
			t.Errorf("%q with a node that is away: %d, %s", args, status, out)
		}
	}
}

// exitOf is the status of a command, and all it said.
func exitOf(out, errs string, err error) (int, string) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), out + errs
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, out + errs
}
