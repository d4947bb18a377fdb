//go:build !js

package client

import (
	"net/http"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestPageFile asks for files as a browser does: nothing is followed, decoded or read
// without an end, and nothing else is sent.
func TestPageFile(t *testing.T) {
	node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Encoding", "br")
			w.Write([]byte("packed"))
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/long":
			w.Write([]byte(strings.Repeat("x", 1000)))
		case "/asked":
			for name := range r.Header {
				w.Write([]byte(name + "\n"))
			}
		case "/broken":
			panic(http.ErrAbortHandler)
		}
	})
	host, err := tr.Host(t.Context(), node)
	if err != nil || host != node {
		t.Fatalf("got the host %q (%v), want %q", host, err, node)
	}
	for path, want := range map[string]string{"/": "packed", "/moved": "", "/long": strings.Repeat("x", 100), "/asked": "Accept-Encoding\nUser-Agent\n"} {
		f, err := tr.PageFile(t.Context(), host, path, http.Header{"Accept-Encoding": {"br"}}, 100)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body := string(f.Body)
		if path == "/asked" && len(body) == len(want) && strings.Contains(body, "Accept-Encoding\n") {
			body = want // the order is by chance
		}
		if status := map[string]int{"/moved": 302}[path]; f.Status != 200 && f.Status != status || body != want && path != "/moved" {
			t.Errorf("%s: got %d %q, want %q", path, f.Status, f.Body, want)
		}
		if coding := f.Header.Get("Content-Encoding"); (coding == "br") != (path == "/") {
			t.Errorf("%s: got the coding %q", path, coding)
		}
	}
	_, err = tr.PageFile(t.Context(), host, "/broken", http.Header{}, 100)
	if wire.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v, want %s", err, wire.Unavailable)
	}
	_, err = NewHTTPTransport().Host(t.Context(), "localhost:1")
	if wire.KindOf(err) != wire.Unavailable {
		t.Errorf("where nothing is: got %v, want %s", err, wire.Unavailable)
	}
}
