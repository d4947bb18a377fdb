package story_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Times of what happens in a browser, on a machine that is busy.
const (
	pageShows = 90 * time.Second
	pageLook  = 25 * time.Millisecond
)

// A browser is a headless Chromium with a profile of its own: a person's device. All
// that it sends, by pages and by workers, goes through a proxy of ours.
type browser struct {
	testing.TB
	ctx     context.Context
	cable   *cable
	profile string // folder
	mu      sync.Mutex
	said    []string // by pages to the console: exceptions and violations of the policy, too
}

// newBrowser starts one, which ends with the test. The test is skipped, loudly, where
// there is no Chromium, or the page is not built.
func newBrowser(t testing.TB) *browser {
	t.Helper()
	thePage(t)
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("!! SKIPPED: there is no Chromium here (Debian: apt-get install chromium)")
	}
	b := &browser{TB: t, cable: newCable(t), profile: t.TempDir()}
	alloc, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless,
		chromedp.NoSandbox, // which asks for rights that containers do not have
		chromedp.UserDataDir(b.profile),
		chromedp.Flag("proxy-server", b.cable.at), chromedp.Flag("proxy-bypass-list", "<-loopback>"),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-GB"),
	)
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(alloc)
	t.Cleanup(func() {
		cancel()
		end()
		chromedp.FromContext(b.ctx).Allocator.Wait()
	})
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// hears keeps what pages say, from a goroutine that ends with the browser.
func (b *browser) hears(ctx context.Context) {
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.said = append(b.said, m.String())
			b.mu.Unlock()
		}
	}()
}

// complaints are the errors that pages said until now, and are forgotten. A request
// that got no answer, or a refusal, is one for the browser and none for us.
func (b *browser) complaints() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.said {
		if (strings.HasPrefix(text, "error") || strings.HasPrefix(text, "exception")) && !strings.Contains(text, "Failed to load resource") {
			list = append(list, text)
		}
	}
	b.said = nil
	return list
}

// A pane shows one page.
type pane struct {
	*browser
	ctx context.Context
}

// opens shows a page in a new tab.
func (b *browser) opens(url string) *pane {
	b.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		b.Fatal(err)
	}
	b.hears(ctx)
	t := &pane{b, ctx}
	t.wide()
	t.goes(url)
	return t
}

// does runs steps, and ends the test when they take too long.
func (t *pane) does(what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, pageShows)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.fails(fmt.Sprintf("%s: %v", what, err))
	}
}

// fails ends the test with what the page shows and has said.
func (t *pane) fails(why string) {
	t.Helper()
	t.picture("failed")
	t.mu.Lock()
	said := strings.Join(t.said, "\n")
	t.mu.Unlock()
	t.cable.mu.Lock()
	broken := strings.Join(t.cable.broken, "\n")
	t.cable.mu.Unlock()
	t.Fatalf("%s\n-- shown at %s:\n%s\n-- in detail: %s\n-- said:\n%s\n-- broken:\n%s", why, evaluate[string](t, "location.href"), evaluate[string](t, "document.body ? document.body.innerText : ''"),
		evaluate[string](t, "[...document.querySelectorAll('.detail')].map((e) => e.textContent).join(' | ')"), said, broken)
}

// goes leads to a page, whether it answers or not.
func (t *pane) goes(url string) {
	t.Helper()
	t.does("open "+url, chromedp.Navigate(url))
}

// evaluate returns the value of a JavaScript expression in a page.
func evaluate[T any](t *pane, expression string) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, pageShows)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// waits until an expression is true.
func (t *pane) waits(what, expression string) {
	t.Helper()
	for deadline := time.Now().Add(pageShows); !evaluate[bool](t, "(async () => !!(await ("+expression+")))()"); time.Sleep(pageLook) {
		if time.Now().After(deadline) {
			t.fails(what + ": not after " + pageShows.String())
		}
	}
}

// jsString is a string of JavaScript.
func jsString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always can
	}
	return string(b)
}

// visible is the first element that selector finds and that is seen.
func visible(selector string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%s)].find((e) => e.checkVisibility())", jsString(selector))
}

// shows waits until an element is seen.
func (t *pane) shows(selector string) {
	t.Helper()
	t.waits(selector, visible(selector))
}

// reads waits until a text is seen in an element.
func (t *pane) reads(selector, text string) {
	t.Helper()
	t.waits(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf("[...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.textContent.includes(%s))", jsString(selector), jsString(text)))
}

// clicks on the middle of an element, as a mouse does: what covers it gets the click.
func (t *pane) clicks(selector string) {
	t.Helper()
	t.waits(selector+" can be clicked", visible(selector)+"?.disabled === false || "+visible(selector)+"?.matches('a, summary, label')")
	type point struct{ X, Y float64 }
	at := evaluate[point](t, fmt.Sprintf("(() => { const e = %s; e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = e.getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2} })()", visible(selector)))
	t.does("click on "+selector, chromedp.MouseClickXY(at.X, at.Y))
}

// types puts a text where the cursor is set by a click on selector, in the place of what is there.
func (t *pane) types(selector, text string) {
	t.Helper()
	t.shows(selector)
	evaluate[bool](t, fmt.Sprintf("(() => { const e = %s; e.focus(); e.select(); return true })()", visible(selector)))
	if _, err := chromedp.Call(t.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[string](t, visible(selector)+".value"); got != text && strings.ReplaceAll(got, "\r", "") != text {
		t.fails(fmt.Sprintf("%s: it holds %q, want %q", selector, got, text))
	}
}

// presses a key with its modifiers.
func (t *pane) presses(key string, with ...chromedp.Modifier) {
	t.Helper()
	t.does("press a key", chromedp.KeyEvent(key, chromedp.KeyModifiers(with...)))
}

// Sizes of the pictures.
func (t *pane) wide()   { t.sized(1280, 860) }
func (t *pane) narrow() { t.sized(360, 740) }

func (t *pane) sized(width, height int64) {
	t.Helper()
	t.does("size", chromedp.EmulateViewport(width, height))
}

// dark sets whether the system's colours are dark.
func (t *pane) dark(on bool) {
	t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[on]
	if _, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		t.Fatal(err)
	}
}

// pictureVariable names the folder that pictures of the pages are put into.
const pictureVariable = "PEERBRAIN_TEST_PICTURES"

// picture keeps what is shown, if somebody wants to look at it.
func (t *pane) picture(name string) {
	t.Helper()
	dir := os.Getenv(pictureVariable)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, pageShows)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		t.Errorf("picture %s: %v", name, err)
	}
}

// pictures keeps what is shown at both widths, in both schemes.
func (t *pane) pictures(name string) {
	t.Helper()
	if os.Getenv(pictureVariable) == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		t.dark(scheme == "dark")
		for size, set := range map[string]func(){"wide": t.wide, "narrow": t.narrow} {
			set()
			time.Sleep(200 * time.Millisecond) // for what moves
			t.picture(fmt.Sprintf("%s-%s-%s", name, size, scheme))
		}
	}
	t.dark(false)
	t.wide()
}

// offline cuts the line, and tells pages so, or mends it.
func (t *pane) offline(cut bool) {
	t.Helper()
	t.cable.cuts(cut)
	if _, err := chromedp.Call(t.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: cut}); err != nil {
		t.Fatal(err)
	}
}

// A cable is the proxy that a browser's requests go through.
type cable struct {
	at string

	mu     sync.Mutex
	cut    bool
	hosts  []string                                      // asked for
	lie    func(*http.Request, http.ResponseWriter) bool // answers in the node's place, if it likes
	path   string                                        // of answers that are changed
	with   func([]byte) []byte
	broken []string // requests that no answer came to, and why
}

func newCable(t testing.TB) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	way := &cable{at: "http://" + l.Addr().String()}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, at string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, strings.Replace(at, "localhost:", "127.0.0.1:", 1))
	}}
	proxy := &httputil.ReverseProxy{
		Transport: patient{transport}, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		ModifyResponse: way.change,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			way.mu.Lock()
			way.broken = append(way.broken, fmt.Sprintf("%s %s: %v", r.Method, r.URL, err))
			way.mu.Unlock()
			panic(http.ErrAbortHandler)
		},
	}
	servesAt(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lie := way.asked(r.Host)
		if name, _, _ := net.SplitHostPort(r.Host); r.Method == http.MethodConnect || name != "localhost" && name != "127.0.0.1" {
			http.Error(w, "this leads nowhere", http.StatusBadGateway)
			return
		}
		if lie == nil || !lie(r, w) {
			proxy.ServeHTTP(w, r)
		}
	}))
	return way
}

// asked notes a host, and ends a request when the line is cut.
func (l *cable) asked(host string) func(*http.Request, http.ResponseWriter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.hosts, host) {
		l.hosts = append(l.hosts, host)
	}
	if l.cut {
		panic(http.ErrAbortHandler)
	}
	return l.lie
}

func (l *cable) cuts(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// tells lets a lie answer first; nil for none.
func (l *cable) tells(lie func(*http.Request, http.ResponseWriter) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

// changes lets the bodies of answers at a path be others; nil for none.
func (l *cable) changes(path string, with func([]byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path, l.with = path, with
}

func (l *cable) change(r *http.Response) error {
	l.mu.Lock()
	path, with := l.path, l.with
	l.mu.Unlock()
	if with == nil || !strings.HasPrefix(r.Request.URL.Path, path) || r.Header.Get("Content-Type") == wire.MediaEvents {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close() // it was read to its end
	body = with(body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// elsewhere are the hosts beside those that were asked.
func (l *cable) elsewhere(but ...string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, host := range l.hosts {
		if !slices.Contains(but, host) {
			list = append(list, host)
		}
	}
	return list
}
