package story_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// says wants an error of a code to be told: a sentence, and nothing of how it came about.
func (v *visitor) says(name string) {
	v.Helper()
	v.shows(code(name))
	if text := evaluate[string](v.pane, visible(code(name))+".innerText"); len(text) < 20 || strings.Contains(text, "undefined") || strings.Contains(text, "[object") {
		v.fails(fmt.Sprintf("%s is told as %q", name, text))
	}
}

// again opens the page of the node anew.
func (v *visitor) again(home *server) {
	v.Helper()
	v.goes("about:blank")
	v.goes("http://" + home.name + "/")
}

// TestPageTroubles meets what people meet: each is a plain sentence.
func TestPageTroubles(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	w.plays("ada: register ada@")
	ada := w.visits("ada")

	ada.logsIn("not-the-password-of-ada")
	ada.reads("[data-view=login] .wrong", "password is wrong")
	ada.types(test("password"), password("ada"))
	ada.offline(true)
	ada.clicks(test("login"))
	ada.says("node-away")
	ada.pictures("node-away")
	ada.offline(false)
	ada.clicks(test("login"))
	ada.shows(view("feed"))

	ada.cable.tells(func(r *http.Request, rw http.ResponseWriter) bool {
		return strings.HasPrefix(r.URL.Path, "/v1/entries") && answers(rw, http.StatusInternalServerError, "<html>oops</html>")
	})
	ada.types(test("compose"), tulips)
	ada.clicks(test("post-button"))
	ada.reads(test("waiting"), tulips)
	ada.cable.tells(nil)
	ada.waits("it went out", fmt.Sprintf("!document.querySelector(%s)", jsString(test("waiting"))))

	ada.cable.tells(func(r *http.Request, rw http.ResponseWriter) bool {
		if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, wire.PathEntries) {
			return false
		}
		rw.Header().Set("Date", time.Now().Add(-3*time.Hour).UTC().Format(http.TimeFormat))
		rw.WriteHeader(wire.Clock.Status())
		_, _ = rw.Write(wire.EncodeJSON(&wire.Problem{Code: wire.Clock, Field: "created", Detail: "it is from the future"}))
		return true
	})
	ada.types(test("compose"), roses)
	ada.clicks(test("post-button"))
	ada.says("clock-wrong")
	ada.pictures("clock-wrong")
	ada.cable.tells(nil)
	ada.clicks(test("post-button"))
	ada.reads(test("post"), roses)

	w.plays("ada: sessions end --others")
	ada.says("session-ended")
	ada.pictures("session-ended")
	ada.types(test("address"), "ada")
	ada.types(test("password"), password("ada"))
	ada.clicks(test("login"))
	ada.reads(test("post"), tulips)
	ada.signsOut()

	ada.clicks(test("to-register"))
	ada.types(test("address"), "ada")
	ada.types(test("new-password"), "correct horse of nobody")
	ada.clicks(test("register"))
	ada.shows("[aria-invalid=true]" + test("address"))
	ada.types(test("address"), "zoe")
	ada.types(test("new-password"), "password123")
	ada.clicks(test("register"))
	ada.shows("[aria-invalid=true]" + test("new-password"))
	ada.pictures("weak-password")
}

// TestPageKeysChanged: a friend who was verified renews all keys, and the page says so.
func TestPageKeysChanged(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	ada := w.visits("ada")
	ada.registers()
	out, errs, err := w.types("carol", "register", "--json", w.address("carol"))
	var made struct {
		Code string `json:"recovery_code"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &made)
	}
	if err != nil {
		t.Fatalf("%v, %s%s", err, out, errs)
	}
	w.plays("carol: friend add ada@")
	ada.goesTo("friends")
	ada.clicks(of("incoming", w.address("carol"), "accept"))
	ada.clicks(of("friend", w.address("carol"), "verify"))
	ada.clicks(test("mark-verified"))
	ada.shows(test("is-verified"))
	sheet := filepath.Join(t.TempDir(), "sheet")
	if err := os.WriteFile(sheet, []byte(made.Code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, err := w.types("carol", "recover", "--new-keys", "--recovery-code-file", sheet, w.address("carol")); err != nil {
		t.Fatalf("%v, %s%s", err, out, errs)
	}
	w.anew = map[string]bool{"carol": true}
	w.writes("carol", lilies)
	ada.again(w.left)
	ada.goesTo("feed")
	ada.says("keys-changed")
	ada.pictures("keys-changed")
}

// answers is a lie: what a node says in the place of the truth.
func answers(w http.ResponseWriter, status int, body string) bool {
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

// TestPageLacking opens the page in browsers that lack what it needs: none is blank.
func TestPageLacking(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	for _, without := range []struct{ what, script string }{
		{"WebAssembly", "delete globalThis.WebAssembly"},
		{"IndexedDB", "Object.defineProperty(globalThis, 'indexedDB', {get() { throw new DOMException('no', 'SecurityError') }})"},
		{"WebCrypto", "Object.defineProperty(Crypto.prototype, 'subtle', {value: undefined})"},
		{"Worker", "delete globalThis.Worker"},
	} {
		b := newBrowser(t)
		at := b.opens("about:blank")
		if _, err := chromedp.Call(at.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: without.script}); err != nil {
			t.Fatal(err)
		}
		at.goes("http://" + w.left.name + "/")
		at.shows(view("unsupported"))
		at.picture("without-" + without.what)
	}
	b := newBrowser(t)
	at := b.opens("about:blank")
	if _, err := chromedp.Call(at.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	at.goes("http://" + w.left.name + "/")
	at.reads("noscript, .notice", "peerbrain --help")
	at.picture("without-JavaScript")
}

// TestPageHostileNode has a node lie to a page: each lie is told, or does no harm.
func TestPageHostileNode(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	ada := w.visits("ada")
	ada.registers()
	ada.posts(tulips)
	ada.meetsCarol(w)

	for _, lie := range []struct {
		what string
		path string // prefix
		with func(body []byte) []byte
		code string // of what is told; none: it is harmless
	}{
		{"an entry that was changed", "/v1/feed", func(b []byte) []byte { return spoiled(b) }, "node-lies"},
		{"nonsense", "/v1/feed", func([]byte) []byte { return []byte("<html><script>hit()</script>") }, ""},
		{"nothing", "/v1/feed", func([]byte) []byte { return nil }, ""},
		{"a member twice", "/v1/feed", func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte(`{"more":true,"more":false,`), 1) }, ""},
	} {
		ada.cable.changes(lie.path, lie.with)
		ada.again(w.left)
		if lie.code != "" {
			ada.says(lie.code)
		} else {
			ada.shows("[role=alert], .notice.bad")
		}
		ada.reads(test("post"), tulips) // what the device has kept
		ada.cable.changes("", nil)
		ada.again(w.left)
		ada.reads(test("post"), lilies)
		ada.waits(lie.what+" is forgotten", "!document.querySelector('.notice.bad')")
	}
	ada.wellBehaved(w.left.name)
}

// spoiled changes a character in the middle of the longest string of base64.
func spoiled(b []byte) []byte {
	var at, length int
	for start := 0; start < len(b); {
		end := bytes.IndexByte(b[start:], '"')
		if end < 0 {
			break
		}
		if end > length {
			at, length = start, end
		}
		start += end + 1
	}
	changed := bytes.Clone(b)
	if length > 0 {
		i := at + length/2
		if changed[i] == 'A' {
			changed[i] = 'B'
		} else {
			changed[i] = 'A'
		}
	}
	return changed
}
