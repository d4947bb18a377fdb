package federation

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	nodeA wire.NodeName = "a.example"
	nodeB wire.NodeName = "b.example"
)

// meet stores a's document at the shelf, as after a first contact just now.
func meet(t testing.TB, shelf *peerShelf, name wire.NodeName, now time.Time) {
	t.Helper()
	s := testSecrets(string(name))
	shelf.m[name] = PeerRecord{Name: name, Root: s.Root.Public(), Document: testDocument(t, name, s, 0, now), Fetched: now}
}

// newServer makes the server of b.example, which knows a.example and has no
// network.
func newServer(t testing.TB, marks ReplayStore) *Server {
	t.Helper()
	shelf := newShelf()
	meet(t, shelf, nodeA, time.Now())
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets(string(nodeB)), Peers: shelf, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.directory.fetch = func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error) { return nil, wire.Unavailable }
	return serverOf(t, c, marks)
}

func serverOf(t testing.TB, c *Client, marks ReplayStore) *Server {
	t.Helper()
	s, err := NewServer(ServerOptions{Self: c.self, Client: c, Replay: marks, Log: quiet, For: new(recorder).bind})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func honest() RawRequest { return write(penOfA()) }

func wantStatus(t testing.TB, what string, s *Server, r RawRequest, want int) {
	t.Helper()
	a := s.Serve(context.Background(), r)
	if a.Status != want || want == 401 && string(a.Body) != the401 {
		t.Errorf("%s: got %d %s, want %d", what, a.Status, a.Body, want)
	}
}

// TestTimes has the limits to the second, on a clock that stands still.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour) // or 300 s ago is before the first document
		s := newServer(t, &markShelf{})
		for _, c := range []struct {
			created, expires int64
			want             int
		}{
			{0, 1, 200}, {0, 300, 200}, {0, 301, 401}, {0, 0, 401}, {0, -1, 401},
			{-300, 0, 200}, {-299, 1, 200}, {-301, -1, 401}, {-300, -1, 401}, {-60, -1, 401},
			{10, 11, 200}, {10, 310, 200}, {10, 311, 401}, {11, 12, 401}, {11, 60, 401},
		} {
			p := penOfA()
			p.Created, p.Expires = p.At(c.created), p.At(c.expires)
			wantStatus(t, "created "+strconv.FormatInt(c.created, 10)+" expires "+strconv.FormatInt(c.expires, 10), s, write(p), c.want)
		}
	})
}

// TestSignedByUs shows that what sign writes is what the server accepts, also
// for bodies that are empty, and that nothing else signs it.
func TestSignedByUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &markShelf{})
		key := testSecrets(string(nodeA)).Request
		for _, c := range []struct {
			body []byte
			want int
		}{{[]byte(keysBody()), 200}, {nil, 400}, {[]byte{}, 400}, {[]byte("{}"), 200}} {
			h, err := sign(nodeA, nodeB, key, wire.PathPeerKeys, c.body, newNonce())
			if err != nil {
				t.Fatal(err)
			}
			r := RawRequest{Method: "POST", Target: wire.PathPeerKeys, Body: c.body}
			for name, values := range h {
				add(&r, name, values[0])
			}
			wantStatus(t, string(c.body), s, r, c.want)
		}
	})
}

func TestServerRefusesEarly(t *testing.T) {
	s := newServer(t, &markShelf{})
	r := honest()
	r.Body = make([]byte, MaxRequest+1)
	wantStatus(t, "a huge body", s, r, 413)
	p := penOfA()
	p.Target = wire.PathPeerSync
	p.Body = string(wire.EncodeJSON(wire.SyncRequest{Streams: make([]wire.SyncStream, wire.MaxSyncStreams+1)}))
	wantStatus(t, "too many streams", s, write(p), 413)
	p = penOfA()
	p.Target = wire.PathPeerSync
	p.Body = string(wire.EncodeJSON(wire.SyncRequest{Streams: []wire.SyncStream{{Readers: make([]wire.SyncReader, wire.MaxSyncReaders+1)}}}))
	wantStatus(t, "too many readers", s, write(p), 413)
	p = penOfA()
	p.Body = `{"address":"bob@b.example","address":"eve@b.example"}`
	wantStatus(t, "duplicate members", s, write(p), 400)
	p = penOfA()
	p.Body = strings.Repeat("[", 20000)
	wantStatus(t, "deep JSON", s, write(p), 400)
}

// TestUnendedSignature shows that the last quotation mark belongs to the form.
func TestUnendedSignature(t *testing.T) {
	good := *header(ptr(honest()), "Signature")
	if err := new(claim).readSignature(good); err != nil {
		t.Fatal(err)
	}
	if new(claim).readSignature(strings.TrimSuffix(good, `"`)) == nil {
		t.Error("a signature without an end is read")
	}
}

// TestForwardedHeaders are believed by nobody and hurt nobody.
func TestForwardedHeaders(t *testing.T) {
	s := newServer(t, &markShelf{})
	r := honest()
	for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-URL", "X-HTTP-Method-Override", "Date"} {
		add(&r, h, "other.example")
	}
	wantStatus(t, "with forwarded headers", s, r, 200)
	r = honest()
	*header(&r, "Host") = "other.example"
	add(&r, "X-Forwarded-Host", string(nodeB))
	wantStatus(t, "with our name in X-Forwarded-Host only", s, r, 401)
}

// TestContentLength cannot be sent over HTTP: a server that reads another length
// than this one must not lead us astray.
func TestContentLength(t *testing.T) {
	s := newServer(t, &markShelf{})
	for _, l := range []string{"0", "26", "28", "027", "+27", "27, 27"} {
		r := honest()
		*header(&r, "Content-Length") = l
		wantStatus(t, "length "+l, s, r, 401)
	}
	r := honest()
	drop(&r, "Content-Length")
	wantStatus(t, "no length", s, r, 200)
}

// TestImpossibleNames are asked about nowhere, nor is anybody about a key that
// can be none.
func TestImpossibleNames(t *testing.T) {
	s := newServer(t, &markShelf{})
	asked := 0
	s.client.directory.fetch = func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error) {
		asked++
		return nil, wire.Unavailable
	}
	for _, n := range []wire.NodeName{nodeB, "127.0.0.1", "localhost", "localhost:80", "A.example", "a.example.", "", "x", "a.example:80"} {
		p := penOfA()
		p.KeyID = keyID(n, testSecrets(string(nodeA)).Request.Public())
		wantStatus(t, string(n), s, write(p), 401)
	}
	key := wire.Nonce(testSecrets("x").Request.Public()).String()
	for _, k := range []string{"", key[:51], key + "a", strings.ToUpper(key), key[:51] + "b", key + "/" + key, key[:50] + "=="} {
		p := penOfA()
		p.KeyID = string(nodeA) + "/" + k
		wantStatus(t, "key "+k, s, write(p), 401)
	}
	if asked != 0 {
		t.Errorf("%d documents were asked for", asked)
	}
	p := penOfA()
	p.KeyID = string(nodeA) + "/" + key
	wantStatus(t, "an unknown key", s, write(p), 401)
	if asked != 1 {
		t.Errorf("%d documents were asked for about an unknown key, want 1", asked)
	}
}

// TestDelegatedHost accepts requests to the name and to the host, no third.
func TestDelegatedHost(t *testing.T) {
	shelf := newShelf()
	meet(t, shelf, nodeA, time.Now())
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: shelf, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := NewServer(ServerOptions{Self: nodeB, Host: "api.b.example", Client: c, Replay: &markShelf{}, Log: quiet, For: new(recorder).bind})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[wire.NodeName]int{nodeB: 200, "api.b.example": 200, "x.b.example": 401} {
		wantStatus(t, string(host), s, write(newPen(nodeA, host, testSecrets(string(nodeA)), time.Now())), want)
	}
}

func TestZeroVerifiedRequest(t *testing.T) {
	if n := (VerifiedRequest{}).Node(); n != "" {
		t.Errorf("the zero value is %q", n)
	}
}
