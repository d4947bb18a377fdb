//go:build !js

package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// listen starts a server that has a document, and returns its name as a
// development node.
func listen(t *testing.T, h http.HandlerFunc) (wire.NodeName, *HTTPTransport) {
	t.Helper()
	var document []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathDocument {
			w.Write(document)
		} else {
			h(w, r)
		}
	}))
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	document = documentOf(t, wire.NodeName("localhost:"+port), wire.NodeName("localhost:"+port))
	tr := NewHTTPTransport()
	t.Cleanup(tr.Close)
	return wire.NodeName("localhost:" + port), tr
}

func TestHTTP(t *testing.T) {
	token := wire.NewToken([32]byte{1})
	var got *http.Request
	var body []byte
	node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(201)
		io.WriteString(w, "answer")
	})
	a, err := tr.Do(context.Background(), &Request{Method: "POST", Node: node, Path: "/v1/x?y=1", Token: token, Body: []byte("{}")})
	if err != nil || a.Status != 201 || string(a.Body) != "answer" || a.Date.IsZero() {
		t.Fatalf("got %v, %v", a, err)
	}
	if got.URL.String() != "/v1/x?y=1" || string(body) != "{}" || got.Header.Get("Content-Type") != wire.MediaJSON ||
		got.Header.Get("Authorization") != "Bearer "+token.Reveal() || got.Host != string(node) {
		t.Errorf("sent %v %v %v %q", got.URL, got.Header, got.Host, body)
	}
	if _, err := tr.Do(context.Background(), &Request{Method: "GET", Node: node, Path: "/"}); err != nil {
		t.Fatal(err)
	}
	if len(got.Header["Authorization"])+len(got.Header["Content-Type"])+len(got.Header["Content-Length"]) > 0 || len(got.Header["Accept-Encoding"]) > 0 {
		t.Errorf("sent %v", got.Header)
	}
}

// TestHTTPStream wants an event stream to be left open, and everything else to be
// an answer.
func TestHTTPStream(t *testing.T) {
	token := wire.NewToken([32]byte{1})
	var got *http.Request
	node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", wire.MediaEvents+"; charset=utf-8")
			io.WriteString(w, ":\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/page":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "hello")
		case "/refused":
			w.Header().Set("Content-Type", wire.MediaEvents)
			w.WriteHeader(403)
			io.WriteString(w, "no")
		case "/big":
			w.Write(bytes.Repeat([]byte("x"), MaxResponse+1))
		default:
			panic(http.ErrAbortHandler)
		}
	})
	ask := func(path, last string) (io.ReadCloser, *Response, error) {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		return tr.Stream(ctx, &Request{Method: "GET", Node: node, Path: path, Token: token}, last)
	}
	open, _, err := ask("/events", "a1")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	b := make([]byte, 3)
	if _, err := io.ReadFull(open, b); err != nil || string(b) != ":\n\n" {
		t.Errorf("read %q, %v", b, err)
	}
	if got.Header.Get("Authorization") != "Bearer "+token.Reveal() || got.Header.Get("Accept") != wire.MediaEvents || got.Header.Get(wire.HeaderLastEvent) != "a1" {
		t.Errorf("sent %v", got.Header)
	}
	for path, want := range map[string]int{"/page": 200, "/refused": 403} {
		if open, a, err := ask(path, ""); open != nil || err != nil || a.Status != want {
			t.Errorf("%s: %v, %v", path, a, err)
		}
		if got.Header.Get(wire.HeaderLastEvent) != "" {
			t.Errorf("%s: sent %v", path, got.Header)
		}
	}
	for _, path := range []string{"/big", "/cut"} {
		if _, _, err := ask(path, ""); !errors.Is(err, wire.Unavailable) || strings.Contains(err.Error(), token.Reveal()) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestHTTPRedirect(t *testing.T) {
	asked := 0
	node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	a, err := tr.Do(context.Background(), &Request{Method: "GET", Node: node, Path: "/", Token: wire.NewToken([32]byte{1})})
	if err != nil || a.Status != 307 || asked != 1 {
		t.Errorf("got %v, %v after %d requests", a, err, asked)
	}
	var out wire.Health
	if _, err := New(tr, newMemory()).call(context.Background(), &Request{Method: "GET", Node: node, Path: "/"}, nil, &out); !errors.Is(err, wire.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestHTTPUnavailable(t *testing.T) {
	node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			w.Write(bytes.Repeat([]byte("x"), MaxResponse+1))
			return
		}
		panic(http.ErrAbortHandler)
	})
	for _, path := range []string{"/big", "/cut"} {
		_, err := tr.Do(context.Background(), &Request{Method: "GET", Node: node, Path: path, Token: wire.NewToken([32]byte{1})})
		if !errors.Is(err, wire.Unavailable) || !strings.Contains(err.Error(), string(node)) || strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := tr.Do(context.Background(), &Request{Method: "GET", Node: "localhost:1", Path: "/"}); !errors.Is(err, wire.Unavailable) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tr.Do(ctx, &Request{Method: "GET", Node: node, Path: "/cut"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSilence: a node that takes a request and says nothing, or half of it, is
// waited for no longer than the caller wants, nor than a transport waits at all.
func TestSilence(t *testing.T) {
	for _, half := range []string{"", "{"} {
		ctx, cancel := context.WithCancel(context.Background())
		node, tr := listen(t, func(w http.ResponseWriter, r *http.Request) {
			if half != "" {
				io.WriteString(w, half)
				w.(http.Flusher).Flush()
			}
			cancel() // by now it waits for the answer
			<-r.Context().Done()
		})
		if _, err := tr.Do(ctx, &Request{Method: "GET", Node: node, Path: "/"}); !errors.Is(err, context.Canceled) {
			t.Errorf("after %q: got %v", half, err)
		}
		if tr.client.Timeout <= 0 || tr.client.Transport.(*http.Transport).ResponseHeaderTimeout <= 0 {
			t.Error("it waits for ever")
		}
	}
}

// TestAnswers: what a node may send instead of an answer.
func TestAnswers(t *testing.T) {
	problem := func(status int, code wire.Kind, detail string) *Response {
		return &Response{Status: status, Body: wire.EncodeJSON(wire.Problem{Type: "about:blank", Title: "x", Status: status, Code: code, Detail: detail})}
	}
	cases := []struct {
		name   string
		answer *Response
		kind   wire.Kind
		says   string
	}{
		{"an error with 200", &Response{Status: 200, Body: problem(404, wire.NotExist, "").Body}, wire.Unavailable, "not understood"},
		{"a page with 200", &Response{Status: 200, Body: []byte("<html>")}, wire.Unavailable, "not understood"},
		{"an unknown field", &Response{Status: 200, Body: []byte(`{"status":"ok","node":"one.example","x":1}`)}, wire.Unavailable, "not understood"},
		{"nothing", &Response{Status: 200}, wire.Unavailable, "not understood"},
		{"a page with 502", &Response{Status: 502, Body: []byte("<html>")}, wire.Unavailable, "502"},
		{"a kind that is not the status'", problem(500, wire.NotExist, ""), wire.Unavailable, "500"},
		{"a failure", problem(500, wire.Internal, ""), wire.Internal, "one.example failed"},
		{"a made up contradiction", problem(500, wire.Tampered, "x"), wire.Internal, "one.example failed"},
		{"a refusal with a terminal's escapes", problem(404, wire.NotExist, "no\x1b[2J such\n\u202ething"), wire.NotExist, "no?[2J such??thing"},
		{"a redirect", &Response{Status: 302}, wire.Unavailable, "302"},
	}
	for _, c := range cases {
		var out wire.Health
		_, err := New(answers{c.answer}, newMemory()).call(context.Background(), &Request{Method: "GET", Node: "one.example", Path: "/"}, nil, &out)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

type answers struct{ a *Response }

func (a answers) Do(context.Context, *Request) (*Response, error) { return a.a, nil }
