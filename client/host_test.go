//go:build !js

package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// documentOf is the answer of a node with its document.
func documentOf(t *testing.T, name, host wire.NodeName, changes ...wire.Signed) []byte {
	t.Helper()
	root, request := wire.NewNodeRootSecret([32]byte{1}), wire.NewNodeRequestSecret([32]byte{2})
	d := &wire.NodeDocument{
		Version: wire.Version, Suite: wire.Suite, Name: name, Host: host, Root: root.Public(),
		Keys:   []wire.NodeKey{{Purpose: wire.KeyForRequests, Key: request.Public(), NotBefore: 1, NotAfter: 2}},
		Number: 1, Software: "test", OldestClient: 1, MaxPost: wire.MaxSealedPost, Created: 1,
	}
	signed, err := d.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	return wire.EncodeJSON(wire.NodeDocumentReply{Document: signed, RootChanges: changes})
}

// TestDelegatedHost sends everything to the host that the document names, and
// nothing but the question for the document to the name.
func TestDelegatedHost(t *testing.T) {
	var asked []string
	host, _ := listen(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.Write([]byte(`{"status":"ok","node":"localhost:1"}`))
	})
	var document []byte
	var static []string
	var served atomic.Bool
	served.Store(true)
	name, tr := listenAt(t, func(w http.ResponseWriter, r *http.Request) {
		static = append(static, r.Method+" "+r.URL.Path)
		if r.Header.Get("Authorization") != "" || !served.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Write(document)
	})
	document = documentOf(t, name, host, wire.Signed("of a root that nobody has pinned"))
	token := wire.NewToken([32]byte{1})
	for range 3 {
		a, err := tr.Do(t.Context(), &Request{Method: "POST", Node: name, Path: "/v1/x", Token: token, Body: []byte("{}")})
		if err != nil || a.Status != 200 {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	if _, a, err := tr.Stream(t.Context(), &Request{Method: "GET", Node: name, Path: "/v1/events", Token: token}, ""); err != nil || a.Status != 200 {
		t.Errorf("got %+v, %v", a, err)
	}
	if want := "POST " + string(host) + "/v1/x Bearer " + token.Reveal(); len(asked) != 4 || asked[0] != want {
		t.Errorf("the host was asked for %q, want four, the first %q", asked, want)
	}
	if len(static) != 1 || static[0] != "GET "+wire.PathDocument {
		t.Errorf("the name was asked for %q, want its document once", static)
	}
	// Where the name does not answer, the host of before counts.
	tr.hosts.known[name] = knownHost{host, time.Now().Add(-time.Second)}
	served.Store(false)
	if a, err := tr.Do(t.Context(), &Request{Method: "GET", Node: name, Path: "/v1/x"}); err != nil || a.Status != 200 {
		t.Errorf("got %+v, %v", a, err)
	}
	if len(static) != 2 {
		t.Errorf("the name was asked for %q, want its document again", static)
	}
}

// listenAt starts a server that answers everything itself.
func listenAt(t *testing.T, h http.HandlerFunc) (wire.NodeName, *HTTPTransport) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	tr := NewHTTPTransport()
	t.Cleanup(tr.Close)
	return wire.NodeName("localhost:" + port), tr
}

// TestWrongDocuments: what a name may show instead of its document. Nothing but
// the question is sent then.
func TestWrongDocuments(t *testing.T) {
	good := func(name wire.NodeName) []byte { return documentOf(t, name, name) }
	for _, test := range []struct {
		what   string
		status int
		body   func(name wire.NodeName) []byte
		kind   wire.Kind
		says   string
	}{
		{"another node's", 200, func(wire.NodeName) []byte { return documentOf(t, "localhost:1", "localhost:1") }, wire.Tampered, "is not right"},
		{"one with 17 changes of its root", 200, func(n wire.NodeName) []byte { return documentOf(t, n, n, make([]wire.Signed, 17)...) }, wire.Tampered, "is not right"},
		{"a page", 200, func(wire.NodeName) []byte { return []byte("<html>") }, wire.Unavailable, "the document of localhost"},
		{"one with more in it", 200, func(n wire.NodeName) []byte { return append(good(n), ' ', '1') }, wire.Unavailable, "the document of localhost"},
		{"no page", 404, func(wire.NodeName) []byte { return []byte("<html>") }, wire.Unavailable, "status 404 and nothing that is understood"},
		{"a problem", 404, func(wire.NodeName) []byte { return wire.EncodeJSON(wire.ProblemOf(wire.NotExist)) }, wire.Unavailable, "is no node: it answers with status 404"},
		{"a refusal", 401, func(wire.NodeName) []byte { return wire.EncodeJSON(wire.ProblemOf(wire.Unauthenticated)) }, wire.Unavailable, "is no node: it answers with status 401"},
		{"nothing that is signed", 200, func(wire.NodeName) []byte { return []byte(`{"document":""}`) }, wire.Tampered, "is not right"},
	} {
		asked := 0
		var name wire.NodeName
		name, tr := listenAt(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.WriteHeader(test.status)
			w.Write(test.body(name))
		})
		_, err := New(tr, newMemory()).call(t.Context(), &Request{Method: "GET", Node: name, Path: "/v1/x", Token: wire.NewToken([32]byte{1})}, nil, nil)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || asked != 1 {
			t.Errorf("%s: got %v after %d requests, want %s %q after one", test.what, err, asked, test.kind, test.says)
		}
	}
}

// TestHostGrowsOld asks for the document again after a while, and lets a node say
// that it is busy.
func TestHostGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hosts
		asked, answer := 0, &Response{Status: 503, Body: wire.EncodeJSON(wire.ProblemOf(&wire.Error{Kind: wire.Unavailable, RetryAfter: time.Second}))}
		of := func() (wire.NodeName, *Response, error) {
			return h.of(t.Context(), "node.example", func(_ context.Context, at wire.NodeName, r *Request) (*Response, error) {
				if asked++; at != "node.example" || r.Path != wire.PathDocument || !r.Token.IsZero() {
					t.Errorf("%s is asked for %+v", at, r)
				}
				return answer, nil
			})
		}
		if host, busy, err := of(); host != "" || busy != answer || err != nil {
			t.Errorf("a busy node: got %q, %v, %v", host, busy, err)
		}
		busyAnswer := answer
		answer = &Response{Status: 200, Body: documentOf(t, "node.example", "pb.node.example")}
		for range 2 {
			if host, busy, err := of(); host != "pb.node.example" || busy != nil || err != nil {
				t.Errorf("got %q, %v, %v", host, busy, err)
			}
		}
		if asked != 2 {
			t.Errorf("asked %d times, want twice", asked)
		}
		time.Sleep(hostFresh + time.Second)
		answer = busyAnswer
		if host, busy, err := of(); host != "pb.node.example" || busy != nil || err != nil || asked != 3 {
			t.Errorf("a node that is busy later: got %q, %v, %v after %d", host, busy, err, asked)
		}
		answer = &Response{Status: 200, Body: documentOf(t, "node.example", "api.node.example")}
		if host, _, err := of(); host != "api.node.example" || err != nil {
			t.Errorf("a host that moves: got %q, %v", host, err)
		}
		time.Sleep(hostFresh + time.Second)
		answer = &Response{Status: 200, Body: documentOf(t, "other.example", "other.example")}
		if _, _, err := of(); !errors.Is(err, wire.Tampered) {
			t.Errorf("another node's document: got %v", err)
		}
	})
}
