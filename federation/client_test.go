package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func askKeys(ctx context.Context, a, b *testNode) (wire.KeysReply, error) {
	return a.client.To(b.name).Keys(ctx, wire.KeysRequest{Address: wire.Address{Handle: "bob", Node: b.name}})
}

func TestClientAndServer(t *testing.T) {
	a, b := startNode(t), startNode(t)
	reply, err := askKeys(t.Context(), a, b)
	if err != nil || len(reply.Statements) != 1 || string(reply.Statements[0]) != "bob@"+string(b.name) {
		t.Fatalf("keys: %v %v", reply, err)
	}
	if b.api.from.Load() != a.name {
		t.Errorf("b was asked by %v", b.api.from.Load())
	}
	if _, err := a.client.To(b.name).Deliver(t.Context(), wire.PeerFriendRequest{}); !errors.Is(err, wire.Invalid) {
		t.Errorf("a delivery without addresses: %v", err)
	}
	sync, err := a.client.To(b.name).Sync(t.Context(), wire.SyncRequest{Streams: make([]wire.SyncStream, 3)})
	if err != nil || len(sync.Streams) != 3 {
		t.Errorf("sync: %v %v", sync, err)
	}
	if _, err := askKeys(t.Context(), b, a); err != nil {
		t.Errorf("the other way: %v", err)
	}
	if f := a.fetches.Load() + b.fetches.Load(); f != 2 {
		t.Errorf("%d documents fetched, want 2", f)
	}
	doc, err := a.client.Document(t.Context(), b.name)
	if err != nil || doc.Name != b.name || doc.Root != b.secrets.Root.Public() {
		t.Errorf("document: %v %v", doc, err)
	}
}

func TestKindsSurvive(t *testing.T) {
	a, b := startNode(t), startNode(t)
	for kind, want := range map[wire.Kind]wire.Kind{
		wire.Invalid: wire.Invalid, wire.Forbidden: wire.Forbidden, wire.NotExist: wire.NotExist, wire.Exist: wire.Exist, wire.Conflict: wire.Conflict,
		wire.TooLarge: wire.TooLarge, wire.Throttled: wire.Throttled, wire.Update: wire.Update, wire.Clock: wire.Clock, wire.Limit: wire.Limit,
		wire.Unavailable: wire.Unavailable, wire.Internal: wire.Unavailable, wire.Method: wire.Unavailable, wire.Media: wire.Unavailable, wire.Tampered: wire.Invalid,
	} {
		b.api.err = wire.Errorf(kind, "field", "why")
		_, err := askKeys(t.Context(), a, b)
		if wire.KindOf(err) != want {
			t.Errorf("%s arrives as %v, want %s", kind, err, want)
		}
		if want == kind && kind != wire.Unavailable && err.Error() != "field: why" {
			t.Errorf("%s arrives as %q", kind, err)
		}
	}
	b.api.err = errors.New("secret of the database")
	if _, err := askKeys(t.Context(), a, b); !errors.Is(err, wire.Unavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("an unknown error arrives as %v", err)
	}
}

// answers makes b answer calls with raw bytes.
func (n *testNode) answers(raw []byte) {
	f := func(RawRequest) []byte { return raw }
	n.override.Store(&f)
}

// impatient shortens the pauses between retries. Its tests run by themselves.
func impatient(t *testing.T) {
	old := retryWaits
	t.Cleanup(func() { retryWaits = old })
	retryWaits = []time.Duration{time.Millisecond, time.Millisecond}
}

const jsonType = "Content-Type: application/json"

func TestHostileAnswers(t *testing.T) {
	impatient(t)
	a, b := startNode(t), startNode(t)
	a.client.http.Transport.(*http.Transport).ResponseHeaderTimeout = 200 * time.Millisecond
	problem := func(status int, p wire.Problem) []byte {
		return rawAnswer(status, "Content-Type: "+wire.MediaProblem, string(wire.EncodeJSON(p)))
	}
	for name, raw := range map[string][]byte{
		"html":                rawAnswer(200, "Content-Type: text/html", "<p>"),
		"no type":             rawAnswer(200, "X: y", `{"statements":[],"as_of":1}`),
		"200 with a problem":  problem(200, wire.ProblemOf(wire.NotExist)),
		"404 as JSON":         rawAnswer(404, jsonType, `{"statements":[],"as_of":1}`),
		"404 as 400":          problem(400, wire.ProblemOf(wire.NotExist)),
		"unknown code":        problem(404, wire.Problem{Code: "strange", Status: 404}),
		"201":                 rawAnswer(201, jsonType, `{"statements":[],"as_of":1}`),
		"unknown member":      rawAnswer(200, jsonType, `{"statements":[],"as_of":1,"x":2}`),
		"member twice":        rawAnswer(200, jsonType, `{"as_of":1,"as_of":1}`),
		"cut":                 rawAnswer(200, jsonType, `{"statements":[`),
		"trailing":            rawAnswer(200, jsonType, `{"statements":[],"as_of":1}{}`),
		"inflated":            rawAnswer(200, jsonType+"\r\nContent-Encoding: gzip", "\x1f\x8b\x08"),
		"huge":                rawAnswer(200, jsonType, `{"as_of":1}`+strings.Repeat(" ", maxKeysReply)),
		"huge problem":        rawAnswer(404, "Content-Type: "+wire.MediaProblem, strings.Repeat(" ", maxProblem+1)),
		"huge headers":        rawAnswer(200, jsonType+"\r\nX: "+strings.Repeat("x", 20<<10), `{"as_of":1}`),
		"no HTTP":             []byte("SSH-2.0-x\r\n\r\n"),
		"many interim":        bytes.Repeat([]byte("HTTP/1.1 103 Early Hints\r\n\r\n"), 100),
		"permanent redirect":  rawAnswer(308, "Location: "+a.name.Origin()+"/x", ""),
		"temporary redirect":  rawAnswer(307, "Location: /federation/v1/sync", ""),
		"redirect to GET":     rawAnswer(302, "Location: /", ""),
		"redirect, addressed": rawAnswer(303, "Location: http://169.254.169.254/", ""),
	} {
		b.answers(raw)
		reply, err := askKeys(t.Context(), a, b)
		if !errors.Is(err, wire.Unavailable) || !strings.Contains(err.Error(), string(b.name)) || reply.Statements != nil {
			t.Errorf("%s: %v %v", name, reply, err)
		}
	}
}

// TestRedirect shows that none is followed: to no path, no node, not for the
// document either.
func TestRedirect(t *testing.T) {
	a, b, c := startNode(t), startNode(t), startNode(t)
	var seen atomic.Int64
	f := func(r RawRequest) []byte {
		seen.Add(1)
		return rawAnswer(307, "Location: "+c.name.Origin()+r.Target, "")
	}
	b.override.Store(&f)
	if _, err := askKeys(t.Context(), a, b); !errors.Is(err, wire.Unavailable) {
		t.Errorf("a redirected call: %v", err)
	}
	if seen.Load() != 1 || c.api.calls.Load() != 0 {
		t.Errorf("%d requests, %d followed", seen.Load(), c.api.calls.Load())
	}
	a.client.http.Transport = redirecting{c.name.Origin() + wire.PathDocument}
	if _, err := a.client.fetchDocument(t.Context(), c.name); !errors.Is(err, wire.Unavailable) || c.fetches.Load() != 0 {
		t.Errorf("a redirected document: %v, %d fetches", err, c.fetches.Load())
	}
}

type redirecting struct{ to string }

func (r redirecting) RoundTrip(q *http.Request) (*http.Response, error) {
	q.URL.Path = ""
	return &http.Response{StatusCode: 302, Header: http.Header{"Location": {r.to}, "Content-Type": {wire.MediaJSON}}, Body: http.NoBody, Request: q}, nil
}

// TestPoisonedDetail cleans what a peer wants people to read.
func TestPoisonedDetail(t *testing.T) {
	a, b := startNode(t), startNode(t)
	p := wire.ProblemOf(wire.Errorf(wire.NotExist, "x\x1b[31m"+strings.Repeat("f", 500), "%s", "line\r\nbreak \u202egnirts"+strings.Repeat("\u00e9", 5000)))
	p.Retry = 1 << 52
	b.answers(rawAnswer(404, "Content-Type: "+wire.MediaProblem, string(wire.EncodeJSON(p))))
	_, err := askKeys(t.Context(), a, b)
	var e *wire.Error
	if !errors.As(err, &e) || e.Kind != wire.NotExist {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(e.Detail, "gnirts") || utf8.RuneCountInString(e.Detail) > 400 || len(e.Field) > 80 {
		t.Errorf("detail %q, field %q", e.Detail, e.Field)
	}
	if strings.ContainsAny(e.Detail+e.Field, "\x00\x1b\r\n\u202e") || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Errorf("detail %q, field %q, retry %v", e.Detail, e.Field, e.RetryAfter)
	}
}

// TestSlowPeer is given up, whether it says nothing or little.
func TestSlowPeer(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	b.answers(nil)
	if _, err := askKeys(ctx, a, b); !errors.Is(err, wire.Unavailable) || !strings.HasSuffix(err.Error(), "it did not answer in time") {
		t.Errorf("a silent peer: %v", err)
	}
	a.client.http.Transport.(*http.Transport).ResponseHeaderTimeout = 50 * time.Millisecond
	if _, err := askKeys(t.Context(), a, b); !errors.Is(err, wire.Unavailable) || !strings.HasSuffix(err.Error(), "it did not answer in time") {
		t.Errorf("a peer that sends no headers: %v", err)
	}
	b.answers([]byte("HTTP/1.1 200 OK\r\n" + jsonType + "\r\nContent-Length: 100\r\n\r\n{"))
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := askKeys(ctx, a, b); !errors.Is(err, wire.Unavailable) || !strings.HasSuffix(err.Error(), "it did not answer in time") {
		t.Errorf("a peer that stops in the body: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := askKeys(ctx, a, b); !errors.Is(err, wire.Unavailable) {
		t.Errorf("a caller who gave up: %v", err)
	}
}

// TestAtOnce holds many calls at one peer: four are under way, none is lost.
func TestAtOnce(t *testing.T) {
	a, b := startNode(t), startNode(t)
	b.api.hold = make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := askKeys(t.Context(), a, b); err != nil {
				t.Error(err)
			}
		})
	}
	for b.api.busy.Load() < maxAtOnce {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // for a fifth to come, if it may
	close(b.api.hold)
	wg.Wait()
	if most := b.api.most.Load(); most != maxAtOnce {
		t.Errorf("%d at once, want %d", most, maxAtOnce)
	}
	if len(a.client.gates.m) != 0 {
		t.Errorf("%d gates are left", len(a.client.gates.m))
	}
}

// TestRestartedPeer kills a peer with connections open. The next call of a user
// works: the client signs again and retries until the peer takes it.
func TestRestartedPeer(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatalf("just after a restart: %v", err)
	}
}

// TestPeerDown is told in plain words, and only the first call waits for it.
func TestPeerDown(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	impatient(t)
	b.kill()
	want := fmt.Sprintf("node %s cannot be reached: it takes no connections", b.name)
	for range 3 {
		if _, err := askKeys(t.Context(), a, b); !errors.Is(err, wire.Unavailable) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for i, want := range []bool{false, true} { // broken connections: no more; a 401: still
		if got := a.client.mayRetry(b.name, i == 1, 0); got != want {
			t.Errorf("retry %d: %v, want %v", i, got, want)
		}
	}
}

// TestRefusedForGood signs anew each time, and stops.
func TestRefusedForGood(t *testing.T) {
	a, b := startNode(t), startNode(t)
	impatient(t)
	nonces := map[string]bool{}
	var mu sync.Mutex
	f := func(r RawRequest) []byte {
		mu.Lock()
		defer mu.Unlock()
		nonces[*header(&r, "Peerbrain-Nonce")] = true
		return rawAnswer(401, "Content-Type: "+wire.MediaProblem, the401)
	}
	b.override.Store(&f)
	for _, want := range []int{3, 4} {
		_, err := askKeys(t.Context(), a, b)
		if !errors.Is(err, wire.Unavailable) || errors.Is(err, wire.Unauthenticated) {
			t.Errorf("got %v", err)
		}
		if len(nonces) != want {
			t.Errorf("%d requests with nonces of their own, want %d", len(nonces), want)
		}
	}
}

// TestHugeRequest shows that nothing is asked of anybody for a request that no
// node would read.
func TestHugeRequest(t *testing.T) {
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: newShelf(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.To(nodeA).Deliver(t.Context(), wire.PeerFriendRequest{FriendStatement: wire.FriendStatement{Statement: make(wire.Signed, MaxRequest)}})
	if !errors.Is(err, wire.TooLarge) {
		t.Errorf("got %v", err)
	}
}
