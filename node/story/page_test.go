package story_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What is written on the pages.
const (
	tulips = "The first tulips are out, three weeks early. Come and see them before the rain does."
	roses  = "I have planted the roses now. If somebody has a spare trellis: I would trade it for plum jam."
	lilies = "Does anybody know what eats lilies at night? It has left me the stalks."
	thanks = "Thank you! I will come on Sunday, and I have a trellis."
)

// test finds what is named for tests on the page, and view the heading of a view.
func test(name string) string { return fmt.Sprintf("[data-test=%q]", name) }

func view(name string) string { return fmt.Sprintf("[data-view=%q] h1", name) }

// code finds what says an error of that code.
func code(name string) string { return fmt.Sprintf("[data-code=%q]", name) }

// of finds something in the row of a person.
func of(row, address, name string) string {
	return fmt.Sprintf("%s[data-address=%q] %s", test(row), address, test(name))
}

// A visitor is somebody at the page of their node.
type visitor struct {
	*pane
	who, address string
	code         string // to recover the account with
}

// visits opens the page of the node of who, in a browser of their own.
func (w *world) visits(who string) *visitor {
	w.Helper()
	b := newBrowser(w.TB)
	v := &visitor{pane: b.opens("http://" + w.nodeOf(who).name + "/"), who: who, address: w.address(who)}
	v.shows(view("welcome"))
	return v
}

// nodeOf is the node that a person of the stories is at home on.
func (w *world) nodeOf(who string) *server {
	if strings.HasSuffix(w.address(who), "@"+w.right.name) {
		return w.right
	}
	return w.left
}

// registers joins, and confirms the recovery code.
func (v *visitor) registers() {
	v.Helper()
	v.clicks(test("to-register"))
	v.types(test("address"), person(v.who))
	v.types(test("new-password"), password(v.who))
	v.confirmsCode(test("register"))
}

// confirmsCode sends a form, and keeps the recovery code that is shown. Where the
// node could not be reached, it does what the page says: it tries again.
func (v *visitor) confirmsCode(button string) {
	v.Helper()
	for try := 1; ; try++ {
		v.clicks(button)
		v.waits("a code, or an error", visible(view("code"))+" || "+visible(code("node-away")))
		if try == 3 || evaluate[bool](v.pane, "!!"+visible(view("code"))) {
			break
		}
		v.Logf("the node could not be reached: %s", evaluate[string](v.pane, "document.querySelector('.detail')?.textContent ?? ''"))
	}
	v.keepsCode()
}

// keepsCode types the end of the recovery code that is shown.
func (v *visitor) keepsCode() {
	v.Helper()
	v.shows(view("code"))
	v.code = evaluate[string](v.pane, visible(test("code"))+".textContent")
	v.types(test("confirm-code"), v.code[len(v.code)-4:])
	v.clicks(test("confirm"))
	v.shows(view("feed"))
}

// logsIn comes back with a password.
func (v *visitor) logsIn(password string) {
	v.Helper()
	v.clicks(test("to-login"))
	v.types(test("address"), person(v.who))
	v.types(test("password"), password)
	v.clicks(test("login"))
}

// goesTo uses the ways of the page.
func (v *visitor) goesTo(name string) {
	v.Helper()
	if name == "feed" || name == "friends" || name == "settings" {
		v.clicks(test("nav-" + name))
	} else {
		v.clicks(test("nav-settings"))
		v.shows(view("settings"))
		v.clicks(test("to-" + name))
	}
	v.shows(view(name))
}

// posts writes a text and sends it with the keys.
func (v *visitor) posts(text string) {
	v.Helper()
	v.types(test("compose"), text)
	v.presses(kb.Enter, chromedp.ModifierCtrl)
	v.reads(test("post"), text)
}

// asks somebody to be a friend.
func (v *visitor) asks(address string) {
	v.Helper()
	v.goesTo("friends")
	v.clicks(test("add-friend"))
	v.shows(view("add"))
	v.types(test("friend-address"), address)
	v.clicks(test("send-request"))
	v.shows(test("asked"))
}

// meetsCarol makes a friend at the command line, and reads what she wrote before.
func (v *visitor) meetsCarol(w *world) {
	v.Helper()
	w.plays("carol: register carol@", "carol: friend add "+v.who+"@")
	w.writes("carol", lilies)
	v.goesTo("friends")
	v.clicks(of("incoming", w.address("carol"), "accept"))
	v.goesTo("feed")
	v.reads(test("post"), lilies)
}

// signsOut leaves, and wants to have left nothing.
func (v *visitor) signsOut() {
	v.Helper()
	v.goesTo("settings")
	v.clicks(test("logout"))
	v.clicks(test("dialog-yes"))
	v.shows(view("welcome"))
	v.isEmpty()
}

// isEmpty wants that the device keeps nothing of anybody.
func (v *visitor) isEmpty() {
	v.Helper()
	const left = `(async () => JSON.stringify({
		databases: (await indexedDB.databases()).map((d) => d.name), caches: await caches.keys(), local: Object.keys(localStorage),
		session: Object.keys(sessionStorage), cookies: document.cookie, workers: (await navigator.serviceWorker.getRegistrations()).length,
	}))()`
	const none = `{"databases":[],"caches":[],"local":[],"session":[],"cookies":"","workers":0}`
	var got string
	for deadline := time.Now().Add(pageShows); time.Now().Before(deadline); time.Sleep(pageLook) {
		if got = evaluate[string](v.pane, left); got == none {
			return
		}
	}
	v.fails("left on the device: " + got)
}

// wellBehaved wants that the page said nothing bad and asked nobody but these hosts.
func (v *visitor) wellBehaved(hosts ...string) {
	v.Helper()
	for _, text := range v.complaints() {
		v.Errorf("the page of %s: %s", v.who, text)
	}
	for _, host := range v.cable.elsewhere(hosts...) {
		if !strings.Contains(host, "google") { // the browser's own
			v.Errorf("the page of %s asked %s", v.who, host)
		}
	}
}

// writes posts a text by the command line.
func (w *world) writes(who, text string) {
	w.Helper()
	if out, errs, err := w.types(who, "post", "--", text); err != nil {
		w.Fatalf("%s posts %q: %v, %s%s", who, text, err, out, errs)
	}
}

// TestPage is the story of two people on two nodes, in two browsers, and of others who
// use the command line.
func TestPage(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	ada, bob := w.visits("ada"), w.visits("bob")
	ada.pictures("welcome")
	ada.registers()
	bob.registers()
	ada.posts(tulips)
	ada.asks(bob.address)
	bob.goesTo("friends")
	bob.pictures("asked")
	bob.clicks(of("incoming", ada.address, "accept"))
	bob.shows(test("friend") + fmt.Sprintf("[data-address=%q]", ada.address))
	bob.goesTo("feed")
	bob.reads(test("post"), tulips) // written before they were friends
	ada.goesTo("feed")
	ada.posts(roses)
	bob.reads(test("post"), roses) // live
	bob.posts(thanks)
	ada.reads(test("post"), thanks)
	ada.pictures("feed")

	w.plays("carol: register carol@", "carol: friend add ada@")
	ada.goesTo("friends")
	ada.clicks(of("incoming", w.address("carol"), "accept"))
	ada.shows(test("friend") + fmt.Sprintf("[data-address=%q]", w.address("carol")))
	ada.pictures("friends")
	w.sees("carol", "ada", roses, tulips)
	w.writes("carol", lilies)
	ada.goesTo("feed")
	ada.reads(test("post"), lilies)
	w.plays("ada-2: login ada@")
	w.sees("ada-2", "ada", roses, tulips)

	numbers := make([]string, 2)
	for i, v := range []*visitor{ada, bob} {
		other := []*visitor{bob, ada}[i]
		v.goesTo("friends")
		v.clicks(of("friend", other.address, "verify"))
		v.shows(test("safety-number"))
		numbers[i] = evaluate[string](v.pane, visible(test("safety-number"))+".textContent")
	}
	if numbers[0] != numbers[1] || len(numbers[0]) != 60 {
		t.Errorf("safety numbers %q, want the same 60 digits twice", numbers)
	}
	ada.pictures("safety")
	ada.clicks(test("mark-verified"))
	ada.shows(test("is-verified"))
	ada.goesTo("friends")
	ada.shows(test("friend") + fmt.Sprintf("[data-address=%q]", bob.address) + ` [data-keys="verified"]`)

	ada.goesTo("sessions")
	ada.waits("two sessions", fmt.Sprintf("document.querySelectorAll(%s).length === 2", jsString(test("session"))))
	ada.pictures("sessions")
	ada.clicks(test("end-session"))
	ada.clicks(test("dialog-yes"))
	ada.waits("one session", fmt.Sprintf("document.querySelectorAll(%s).length === 1", jsString(test("session"))))
	if _, errs, err := w.types("ada-2", "feed"); err == nil || !strings.Contains(errs, "session") {
		t.Errorf("a session that was ended on the page: got %v, %s", err, errs)
	}
	ada.goesTo("password")
	ada.types(test("password"), password("ada"))
	ada.types(test("new-password"), newPassword("ada"))
	ada.clicks(test("change-password"))
	ada.waits("the password is changed", visible(test("password-changed"))+"?.textContent")

	ada.signsOut()
	ada.logsIn(newPassword("ada"))
	ada.reads(test("post"), thanks)
	ada.reads(test("post"), tulips)
	bob.goesTo("friends")
	bob.clicks(of("friend", ada.address, "remove"))
	bob.clicks(test("dialog-yes"))
	bob.waits("nobody is left", "!document.querySelector('[data-test=friend]')")
	ada.goesTo("friends")
	ada.waits("bob is gone", fmt.Sprintf("!document.querySelector(%s)", jsString(fmt.Sprintf("[data-test=friend][data-address=%q]", bob.address))))

	bob.signsOut()
	bob.clicks(test("to-recover"))
	bob.types(test("address"), "bob")
	bob.types(test("recovery-code"), bob.code)
	bob.types(test("new-password"), newPassword("bob"))
	before := bob.code
	bob.confirmsCode(test("recover"))
	if bob.code == before {
		t.Error("recovered with a code that stays")
	}
	bob.reads(test("post"), thanks)
	ada.wellBehaved(w.left.name)
	bob.wellBehaved(w.right.name)
}

// TestPageOffline: the feed is there at once and without a network, and what is written
// meanwhile goes out once, when there is one again.
func TestPageOffline(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	ada := w.visits("ada")
	ada.registers()
	ada.posts(tulips)
	ada.meetsCarol(w)
	ada.waits("the page is kept", "navigator.serviceWorker.controller !== null || (await navigator.serviceWorker.ready).active !== null")

	ada.offline(true)
	ada.goes("http://" + w.left.name + "/")
	ada.reads(test("post"), lilies)
	ada.reads(test("post"), tulips)
	ada.shows(test("offline"))
	ada.types(test("compose"), roses)
	ada.clicks(test("post-button"))
	ada.reads(test("waiting"), roses)
	ada.pictures("offline")
	ada.goes("http://" + w.left.name + "/") // what waits is kept
	ada.reads(test("waiting"), roses)
	ada.offline(false)
	ada.reads(test("post"), roses)
	ada.waits("nothing waits", fmt.Sprintf("!document.querySelector(%s)", jsString(test("waiting"))))
	w.sees("carol", "ada", roses, tulips)
	ada.types(test("compose"), thanks) // which is not sent
	ada.waits("it is put away", `(async () => {
		const done = (request) => new Promise((ok, no) => { request.onsuccess = () => ok(request.result); request.onerror = () => no(request.error) });
		const db = await done(indexedDB.open("peerbrain"));
		const names = await done(db.transaction("files").objectStore("files").getAllKeys());
		db.close();
		return names.includes("begun");
	})()`)
	ada.again(w.left)
	ada.waits("what was typed is there", visible(test("compose"))+"?.value === "+jsString(thanks))
	ada.hides(tulips, roses, lilies, thanks, password("ada"))
}

// hides wants that none of the words lies in any file of the browser, as it stands or in
// UTF-16.
func (v *visitor) hides(words ...string) {
	v.Helper()
	read := 0
	err := filepath.WalkDir(v.profile, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it comes and goes while the browser runs
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		read += len(b)
		for _, word := range words {
			if wide := strings.Join(strings.Split(word, ""), "\x00"); bytes.Contains(b, []byte(word)) || bytes.Contains(b, []byte(wide)) {
				v.Errorf("%s holds %q", path, word)
			}
		}
		return nil
	})
	if err != nil || read < 100_000 {
		v.Errorf("%d bytes of the profile were read (%v)", read, err)
	}
}

// TestPageFromDisk joins a node by the page that lies on one's own disk, which the node
// lets in.
func TestPageFromDisk(t *testing.T) {
	undetected(t)
	mine := fmt.Sprintf("127.0.0.1:%d", must(freePort()))
	w := &world{TB: t, dir: t.TempDir(), bin: built(t)}
	w.left = w.node("left", func(s *server) error {
		s.flags = []string{"--web-origins", "http://" + mine}
		return nil
	})
	at, _, _ := w.startsWeb("ada", w.left.name, "--listen", mine)
	ada := &visitor{pane: newBrowser(t).opens("http://" + at + "/"), who: "ada", address: w.address("ada")}
	ada.shows(view("welcome"))
	ada.registers()
	ada.posts(tulips)
	w.plays("carol: register carol@")
	ada.asks(w.address("carol"))
	w.plays("carol: friend accept ada@")
	w.writes("carol", lilies)
	ada.goesTo("feed")
	ada.reads(test("post"), lilies)
	ada.goesTo("friends")
	ada.clicks(test("add-friend"))
	ada.waits("the invitation leads to the node", visible(test("invite-link"))+"?.value === "+jsString("http://"+w.left.name+"/#add="+ada.address))
	ada.wellBehaved(mine, w.left.name)
	ada.signsOut()
}

// TestPageByKeyboard logs in and posts without a mouse.
func TestPageByKeyboard(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	w.plays("ada: register ada@")
	ada := w.visits("ada")
	ada.tabsTo(test("to-login"))
	ada.presses(kb.Enter)
	ada.shows(view("login"))
	ada.waits("the heading has the focus", "document.activeElement.matches('h1')")
	ada.tabsTo(test("address"))
	ada.presses("ada")
	ada.tabsTo(test("password"))
	ada.presses(password("ada"))
	ada.presses(kb.Enter)
	ada.shows(view("feed"))
	ada.tabsTo(test("compose"))
	ada.presses("by hand")
	ada.tabsTo(test("post-button"))
	ada.presses(" ")
	ada.reads(test("post"), "by hand")
	ada.tabsTo(test("nav-friends"))
	ada.presses(kb.Enter)
	ada.shows(view("friends"))
	ada.tabsTo(test("add-friend"))
	ada.presses(kb.Enter)
	ada.shows(view("add"))
}

// tabsTo presses the tabulator until an element has the focus.
func (v *visitor) tabsTo(selector string) {
	v.Helper()
	v.shows(selector)
	for range 60 {
		if evaluate[bool](v.pane, "document.activeElement.matches("+jsString(selector)+")") {
			return
		}
		v.presses(kb.Tab)
	}
	v.fails("60 times Tab do not lead to " + selector)
}

// hostileTexts are what a page must show as it stands, and do nothing about.
func hostileTexts() (list []string) {
	const host = "http://evil.test/"
	elements := []string{"script", "img", "svg", "iframe", "object", "embed", "link", "style", "base", "meta", "form", "video", "audio", "details", "math", "template", "marquee", "input", "body", "a"}
	handlers := []string{"onerror", "onload", "onfocus", "ontoggle", "onmouseover"}
	for _, e := range elements {
		for _, h := range handlers {
			list = append(list, fmt.Sprintf(`<%s src="%s%s" href="javascript:hit()" %s="hit()" autofocus open tabindex=0>%s</%s>`, e, host, e, h, e, e))
		}
		list = append(list, fmt.Sprintf(`"><%s/%s=hit()//`, e, "onload"), fmt.Sprintf(`</textarea></title></style></script><%s>hit()</%s>`, e, e))
	}
	for _, s := range []string{"javascript:hit()", "data:text/html,<script>hit()</script>", "vbscript:hit()", host, "//evil.test/x", "https://evil.test", "mailto:x@evil.test", "file:///etc/passwd", "blob:" + host, "ws://evil.test"} {
		list = append(list, s, "see "+s+" now", fmt.Sprintf("[x](%s)", s), fmt.Sprintf("![x](%s)", s), fmt.Sprintf("<%s>", s), fmt.Sprintf(`<a href="%s">x</a>`, s), fmt.Sprintf(`url(%s)`, s), fmt.Sprintf("@import '%s';", s))
	}
	for _, s := range []string{"{{hit()}}", "${hit()}", "<%= hit() %>", "#{hit()}", "{%hit()%}", "[[hit()]]", "__proto__", "constructor", "toString", "null", "undefined", "NaN", "0", "-0", "true", "{}", "[]", "%00", "\\u0000", "&lt;script&gt;", "&#60;script&#62;", "<!--", "-->", "<![CDATA[", "]]>", "\\", "'", "\"", "`", "</script>", "<?php ?>", "' OR 1=1 --"} {
		list = append(list, s, s+s)
	}
	return append(list, "\u202egnp.exe", "\u2066\u2067\u2069 isolates", "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308", strings.Repeat("\u0488", 60), "\u200b\u200c\u200d\ufeffzero width", "tab\tand\nlines\n\n\nmore",
		strings.Repeat("W", 3000), strings.Repeat("😀", 300), "👩\u200d👩\u200d👧\u200d👦", "ﷺ", "שלום مرحبا hello", "\ufffd\ufffe", "\u2028\u2029 separators", "<svg><script href=data:,hit()>", "<img srcset='http://evil.test/s 2x'>", "<iframe srcdoc='&lt;script&gt;hit()&lt;/script&gt;'>", "<style>@import url(http://evil.test/i)</style>", strings.Repeat("<b>", 500))
}

// TestPageHostileTexts shows 300 texts that would like to be more, and wants each
// to be seen as it was written, nothing to run and nobody to be asked.
func TestPageHostileTexts(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	texts := hostileTexts()
	if len(texts) < 300 {
		t.Fatalf("%d texts, want 300 and more", len(texts))
	}
	ada := w.visits("ada")
	ada.registers()
	w.plays("carol: register carol@")
	for _, text := range texts {
		w.writes("carol", text)
	}
	w.plays("carol: friend add ada@")
	evaluate[bool](ada.pane, "(window.hits = 0, window.hit = () => { window.hits++ }, true)")
	ada.goesTo("friends")
	ada.clicks(of("incoming", w.address("carol"), "accept"))
	ada.goesTo("feed")
	seen := map[string]bool{}
	for deadline := time.Now().Add(2 * pageShows); len(seen) < len(texts) && time.Now().Before(deadline); time.Sleep(pageLook) {
		evaluate[bool](ada.pane, `(document.querySelectorAll("[data-test=post] .more").forEach((e) => e.click()), true)`)
		for _, text := range evaluate[[]string](ada.pane, `[...document.querySelectorAll("[data-test=post] .text")].map((e) => e.textContent)`) {
			seen[text] = true
		}
		evaluate[bool](ada.pane, "(scrollBy({top: innerHeight / 2, behavior: 'instant'}), true)")
	}
	for _, text := range texts {
		if !seen[text] {
			t.Errorf("not shown as it was written: %q", text)
		}
	}
	if hits := evaluate[int](ada.pane, "window.hits"); hits != 0 {
		t.Errorf("%d texts ran", hits)
	}
	if n := evaluate[int](ada.pane, `document.querySelectorAll("[data-test=post] .text *").length`); n != 0 {
		t.Errorf("%d elements in texts", n)
	}
	ada.wellBehaved(w.left.name)
}

// longTasks starts to count what keeps the page's thread for more than 50 ms.
const longTasks = `(globalThis.long = [], new PerformanceObserver((list) => { for (const e of list.getEntries()) long.push(Math.round(e.duration)) }).observe({type: "longtask"}), true)`

// TestPageQuick: the first feed is there soon after a log-in, nothing keeps the thread
// of the page for long, and ten thousand posts are scrolled without waiting.
func TestPageQuick(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	w.plays("ada: register ada@")
	w.writes("ada", tulips)
	ada := w.visits("ada")
	evaluate[bool](ada.pane, longTasks)
	ada.clicks(test("to-login"))
	ada.types(test("address"), "ada")
	ada.types(test("password"), password("ada"))
	evaluate[bool](ada.pane, `(globalThis.start = performance.now(), new MutationObserver((_, o) => { if (document.querySelector("[data-test=post]")) { o.disconnect(); globalThis.took = performance.now() - start } }).observe(document, {subtree: true, childList: true}), true)`)
	ada.clicks(test("login"))
	ada.reads(test("post"), tulips)
	took := time.Duration(evaluate[float64](ada.pane, "took") * float64(time.Millisecond))
	t.Logf("first feed after log-in: %s; long tasks: %v ms", took.Round(time.Millisecond), evaluate[[]int](ada.pane, "long"))
	if took > 15*time.Second {
		t.Errorf("the first feed took %s", took)
	}

	const scroll = `(async () => {
		const {List} = await import(document.querySelector("script[type=module]").src.replace("app.js", "list.js"));
		const list = new List({label: "test", sizes: {width: 0, heights: new Map()}, near() {}, render(item) {
			const e = document.createElement("article");
			e.textContent = item.text;
			return e;
		}});
		document.body.replaceChildren(list.root);
		list.open();
		list.set(Array.from({length: 10000}, (_, i) => ({id: "p" + i, text: i + " " + "words of a post ".repeat(1 + i * 7 % 40)})), false);
		globalThis.long = [];
		const frames = [];
		let most = 0, last = performance.now();
		for (let i = 0; i < 300; i++) {
			scrollBy({top: i % 50 ? 400 : 40000, behavior: "instant"});
			await new Promise(requestAnimationFrame);
			const now = performance.now();
			frames.push(now - last);
			last = now;
			most = Math.max(most, document.querySelectorAll("article").length);
		}
		scrollTo({top: document.documentElement.scrollHeight, behavior: "instant"});
		for (let i = 0; i < 10; i++) await new Promise(requestAnimationFrame);
		const seen = [...document.querySelectorAll("article")].some((e) => e.getBoundingClientRect().bottom > 0 && e.textContent.startsWith("9999 "));
		frames.sort((a, b) => a - b);
		return {Most: most, Median: frames[150], P95: frames[285], End: seen, Long: globalThis.long};
	})()`
	type scrolled struct {
		Most        int
		Median, P95 float64
		End         bool
		Long        []int
	}
	got := evaluate[scrolled](ada.pane, scroll)
	t.Logf("10,000 posts: at most %d in the document, frames of %.1f ms, p95 %.1f ms, long tasks %v ms", got.Most, got.Median, got.P95, got.Long)
	if !got.End || got.Most > 100 || got.Median > 100 {
		t.Errorf("scrolling 10,000 posts: %+v", got)
	}
}

// axeVariable names the file of axe-core, which looks for what keeps people out.
const axeVariable = "PEERBRAIN_TEST_AXE"

// TestPageAccessible has axe-core look at each view, at both widths and in both schemes.
func TestPageAccessible(t *testing.T) {
	undetected(t)
	file := os.Getenv(axeVariable)
	if file == "" {
		t.Skipf("!! SKIPPED: %s names no axe.min.js of axe-core", axeVariable)
	}
	axe := string(must(os.ReadFile(file)))
	w := newWorld(t)
	w.plays("carol: register carol@", "bob: register bob@")
	ada := w.visits("ada")
	looks := func(what string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			ada.dark(scheme == "dark")
			for i, size := range []func(){ada.narrow, ada.wide} {
				size()
				ada.waits("nothing moves", "(await new Promise(requestAnimationFrame), await new Promise(requestAnimationFrame), document.getAnimations().every((a) => a.playState === 'finished' || a.effect.getTiming().iterations === Infinity))")
				ada.picture(fmt.Sprintf("view %s, %s, %s", what, []string{"narrow", "wide"}[i], scheme))
				type violation struct{ ID, Help, At string }
				evaluate[bool](ada.pane, axe+";true")
				for _, v := range evaluate[[]violation](ada.pane, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => ({ID: v.id, Help: v.help, At: v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(" | ")})))`) {
					t.Errorf("%s, %s: %s: %s: %s", what, scheme, v.ID, v.Help, v.At)
				}
			}
		}
		ada.dark(false)
	}
	looks("welcome")
	ada.clicks(test("to-login"))
	ada.shows(view("login"))
	looks("login")
	ada.again(w.left)
	ada.clicks(test("to-recover"))
	ada.shows(view("recover"))
	looks("recover")
	ada.again(w.left)
	ada.clicks(test("to-register"))
	ada.shows(view("register"))
	looks("register")
	ada.types(test("address"), "ada")
	ada.types(test("new-password"), password("ada"))
	ada.clicks(test("register"))
	ada.shows(view("code"))
	looks("code")
	ada.keepsCode()
	looks("an empty feed")
	ada.posts(tulips)
	looks("feed")
	w.plays("carol: friend add ada@")
	ada.asks(w.address("bob"))
	looks("add")
	ada.goesTo("friends")
	ada.shows(of("incoming", w.address("carol"), "accept"))
	looks("friends")
	ada.clicks(of("incoming", w.address("carol"), "accept"))
	ada.clicks(of("friend", w.address("carol"), "verify"))
	ada.shows(test("safety-number"))
	looks("safety")
	ada.goesTo("feed")
	ada.clicks(test("post") + " header a")
	ada.shows(view("person"))
	looks("person")
	for _, name := range []string{"settings", "sessions", "password", "recovery-code", "second-factor", "delete"} {
		ada.goesTo(name)
		looks(name)
	}
}
