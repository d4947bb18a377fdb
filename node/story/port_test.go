package story_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/client/web/port"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A tab is a page of somebody, but for the browser: the same port, on a folder, with a
// transport to their own node alone.
type tab struct {
	t    *testing.T
	port *port.Port
	dir  string
	line *homeLine

	mu   sync.Mutex
	told []string // events, each with its data
}

// homeLine asks one node, and can be cut.
type homeLine struct {
	*client.HTTPTransport
	node wire.NodeName

	mu  sync.Mutex
	cut bool
}

func (l *homeLine) Reaches(node wire.NodeName) bool { return node == l.node }

func (l *homeLine) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut || !l.Reaches(r.Node) {
		return nil, wire.Errorf(wire.Unavailable, "node", "%s is not asked", r.Node)
	}
	return l.HTTPTransport.Do(ctx, r)
}

func (l *homeLine) set(cut bool) {
	l.mu.Lock()
	l.cut = cut
	l.mu.Unlock()
}

// shelf is a folder as the store of a page.
type shelf struct {
	*client.Folder
	dir string
}

func (s shelf) Remove() error {
	if err := s.Close(); err != nil {
		return err
	}
	return os.RemoveAll(s.dir)
}

// newTab opens a page of the node of who, on a device of that name.
func (w *world) newTab(t *testing.T, who, device string) *tab {
	_, node, _ := strings.Cut(w.address(who), "@")
	b := &tab{t: t, dir: filepath.Join(w.dir, "tab-"+device), line: &homeLine{HTTPTransport: client.NewHTTPTransport(), node: wire.NodeName(node)}}
	b.port = port.New(port.Options{
		Node: b.line.node, Page: "http://" + node, Transport: b.line,
		Open: func(ctx context.Context) (port.Store, error) {
			folder, err := client.OpenFolder(ctx, b.dir)
			if err != nil {
				return nil, err
			}
			return shelf{folder, b.dir}, nil
		},
		Tell: func(event string, data []byte) {
			b.mu.Lock()
			b.told = append(b.told, event+" "+string(data))
			b.mu.Unlock()
		},
	})
	t.Cleanup(func() {
		b.port.Close()
		b.line.Close()
	})
	return b
}

// calls a method, which succeeds, and returns its result.
func (b *tab) calls(method string, params any) map[string]any {
	b.t.Helper()
	var out map[string]any
	result, fault := b.port.Call(b.t.Context(), method, must(json.Marshal(params)))
	if fault != nil {
		b.t.Fatalf("%s %v: %+v", method, params, *fault)
	}
	must(0, json.Unmarshal(result, &out))
	return out
}

// fails wants a method to fail with a code.
func (b *tab) fails(method string, params any, code string) {
	b.t.Helper()
	result, fault := b.port.Call(b.t.Context(), method, must(json.Marshal(params)))
	if fault == nil || string(fault.Code) != code {
		b.t.Errorf("%s %v: %s, %+v, want %s", method, params, result, fault, code)
	}
}

// reads wants exactly these texts in a page.
func (b *tab) reads(method string, params any, want ...string) {
	b.t.Helper()
	var got []string
	page := b.calls(method, params)
	for _, post := range page["posts"].([]any) {
		got = append(got, post.(map[string]any)["text"].(string))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		b.t.Errorf("%s shows %q, want %q", method, got, want)
	}
	for _, list := range []string{"problems", "notices"} {
		if told, ok := page[list].([]any); ok && len(told) > 0 {
			b.t.Errorf("%s: %s: %v", method, list, told)
		}
	}
}

// hears waits until an event was told whose data has some words.
func (b *tab) hears(event string, words ...string) {
	b.t.Helper()
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		b.mu.Lock()
		told := strings.Join(b.told, "\n")
		found := false
		for _, one := range b.told {
			has := strings.HasPrefix(one, event+" ")
			for _, w := range words {
				has = has && strings.Contains(one, w)
			}
			found = found || has
		}
		b.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s with %q is not told of:\n%s", event, words, told)
		}
	}
}

type is = map[string]any

// TestPort plays two people who use pages of their nodes, one of them beside the command:
// they meet, write and read, live too; one writes while the node is away; what was kept is
// there without it; sessions end, and nothing is left behind.
func TestPort(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.newTab(t, "ann", "ann"), w.newTab(t, "bob", "bob")
	annAt, bobAt := w.address("ann"), w.address("bob")
	code := ann.calls("register", is{"address": annAt, "password": password("ann")})["recovery_code"].(string)
	ann.calls("checkCode", is{"recovery_code": code})
	bob.calls("register", is{"address": bobAt, "password": password("bob")})
	ann.calls("post", is{"text": "before bob", "key": "a1"})
	if f := ann.calls("friend.add", is{"address": bobAt, "history": true}); f["state"] != "outgoing" || f["keys"] != "new" {
		t.Errorf("asked: %v", f)
	}
	bob.calls("follow", is{})
	for deadline := time.Now().Add(newsArrive); len(bob.calls("friends", is{})["friends"].([]any)) == 0; time.Sleep(nextLook) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks bob")
		}
	}
	if f := bob.calls("friend.accept", is{"address": annAt, "history": true}); f["state"] != "friend" || f["keys"] != "new" {
		t.Errorf("accepted: %v", f)
	}
	one, two := bob.calls("friend.safety", is{"address": annAt}), is(nil)
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) { // until her node has heard of it
		if two = ann.calls("friend.safety", is{"address": bobAt}); time.Now().After(deadline) || ann.calls("friends", is{})["friends"].([]any)[0].(is)["state"] == "friend" {
			break
		}
	}
	if a, b := string(must(json.Marshal(one["groups"]))), string(must(json.Marshal(two["groups"]))); a != b {
		t.Errorf("the two see %s and %s", a, b)
	}
	digits := strings.Fields(strings.Trim(strings.ReplaceAll(string(must(json.Marshal(one["groups"]))), `","`, " "), `["]`))
	bob.fails("friend.verify", is{"address": annAt, "number": strings.Repeat("1", 60)}, "other-number")
	if f := bob.calls("friend.verify", is{"address": annAt, "number": strings.Join(digits, " ")}); f["keys"] != "verified" {
		t.Errorf("verified: %v", f)
	}
	ann.calls("post", is{"text": "for bob", "key": "a2"})
	bob.hears("news", `"text":"for bob"`)
	bob.hears("friends")
	bob.reads("feed", is{}, "for bob", "before bob")

	bob.line.set(true)
	waiting := bob.calls("post", is{"text": "while away", "key": "b1"})
	if waiting["waiting"] != true || waiting["id"] != "b1" {
		t.Errorf("away: %v", waiting)
	}
	bob.fails("feed", is{}, "node-away")
	bob.reads("waiting", is{}, "while away")
	bob.reads("feed", is{"kept": true}, "for bob", "before bob")
	beside := w.newTab(t, "bob", "bob") // another page on the same device
	beside.reads("waiting", is{}, "while away")
	bob.line.set(false)
	again := bob.calls("post", is{"text": "while away", "key": "b1"})
	if again["waiting"] != nil || again["id"] == "b1" || again["id"] != bob.calls("post", is{"text": "while away", "key": "b1"})["id"] {
		t.Errorf("back: %v", again)
	}
	bob.reads("waiting", is{})
	beside.reads("feed", is{"kept": true}, "while away", "for bob", "before bob")
	beside.hears("posted", `"key":"b1"`, again["id"].(string))
	bob.reads("feed", is{}, "while away", "for bob", "before bob")
	bob.reads("read", is{"address": annAt, "limit": 1}, "for bob")

	other := w.newTab(t, "bob", "bob-2")
	other.fails("login", is{"address": bobAt, "password": "not the password", "device": "other"}, "wrong-password")
	other.calls("login", is{"address": bobAt, "password": password("bob"), "device": "other"})
	other.reads("feed", is{}, "while away", "for bob", "before bob")
	other.calls("follow", is{})
	other.hears("news", `"text":"while away"`)
	bob.calls("passwd", is{"present": password("bob"), "next": newPassword("bob")})
	other.hears("ended", `"code":"session-ended"`)
	other.fails("feed", is{}, "session-ended")
	other.calls("logout", is{})
	if link := bob.calls("invitation", is{})["link"]; link != "http://"+w.right.name+"/#add="+bobAt {
		t.Errorf("invitation: %v", link)
	}
	bob.calls("logout", is{})
	for _, b := range []*tab{bob, other} {
		if left, err := os.ReadDir(b.dir); err == nil && len(left) > 0 {
			t.Errorf("left on the device: %v", left)
		}
	}
	if now, fault := bob.port.Call(t.Context(), "state", []byte(`{}`)); fault != nil || string(now) != "null" {
		t.Errorf("after the log-out: %s, %+v", now, fault)
	}
}

// What a node has a page wait for costs the page its patience, and nothing else: a node
// that answers with something else is a fault that says so.
func TestPortAtNoNode(t *testing.T) {
	s := httptest.NewServer(nil)
	defer s.Close()
	w := &world{TB: t, dir: t.TempDir(), left: &server{name: "localhost:" + s.URL[strings.LastIndex(s.URL, ":")+1:]}}
	ann := w.newTab(t, "ann", "ann")
	ann.fails("register", is{"address": w.address("ann"), "password": password("ann")}, "node-away")
}
