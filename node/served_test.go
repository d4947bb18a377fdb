package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// newLiveWorld makes a world whose nodes call each other over loopback, with
// signatures, by the clock of the machine.
func newLiveWorld(t testing.TB) *world {
	w := newWorld(t)
	w.live, w.clock.live = true, true
	w.clock.ms.Store(0)
	return w
}

// A served node is one of a world that answers over loopback.
type served struct {
	*testNode
	addr string
	http *http.Client
}

// host opens a node of a live world and serves it.
func (w *world) host() *served {
	w.t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return w.open(wire.NodeName("localhost:"+port), nil, nil).serveAt(l, nil)
}

// serveAt serves a node at l until the test ends; change may change how.
func (n *testNode) serveAt(l net.Listener, change func(*Config)) *served {
	s := &served{testNode: n, addr: l.Addr().String(), http: &http.Client{Transport: &http.Transport{}}}
	c := DefaultConfig()
	c.Site = testSite{}
	if change != nil {
		change(&c)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.serve(ctx, c, l, nil, nil) }()
	n.world.t.Cleanup(func() {
		s.http.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			n.world.t.Error(err)
		}
	})
	return s
}

// An answer is everything that comes back but the date.
type answer struct {
	status       int
	header, body string
}

// sends sends a request with header lines, each "name: value".
func (s *served) sends(method, path string, body []byte, header ...string) answer {
	t := s.world.t
	t.Helper()
	r := must(http.NewRequest(method, "http://"+s.addr+path, bytes.NewReader(body)))
	r.Host = string(s.name)
	if body != nil {
		r.Header.Set("Content-Type", wire.MediaJSON)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := s.http.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text := readAnswer(t, response)
	var lines []string
	for name, values := range response.Header {
		if name != "Date" {
			lines = append(lines, fmt.Sprint(name, ": ", values))
		}
	}
	slices.Sort(lines)
	return answer{response.StatusCode, strings.Join(lines, "\n"), string(text)}
}

// readAnswer reads a body to its end, and of an event stream the beginning.
func readAnswer(t testing.TB, r *http.Response) []byte {
	t.Helper()
	if r.Header.Get("Content-Type") == wire.MediaEvents {
		return firstEvent(t, r.Body)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// firstEvent reads an event stream up to the first event about the feed.
func firstEvent(t testing.TB, body io.Reader) []byte {
	var text []byte
	for b := make([]byte, 1); !bytes.HasSuffix(text, []byte("\n\n")) || !bytes.Contains(text, []byte("event: feed\n")); text = append(text, b...) {
		if _, err := io.ReadFull(body, b); err != nil {
			t.Fatalf("an event stream ends after %q: %v", text, err)
		}
	}
	return text
}

// problem returns what an answer says of a failure.
func (a answer) problem() (p wire.Problem) {
	if err := wire.DecodeJSON([]byte(a.body), &p); err != nil {
		p.Detail = fmt.Sprintf("%d %.200q", a.status, a.body)
	}
	return p
}

func bearer(token wire.Token) string { return "Authorization: Bearer " + token.Reveal() }

// logsIn logs somebody in over HTTP.
func (s *served) logsIn(p *testPerson) wire.LoginReply {
	t := s.world.t
	t.Helper()
	challenge := s.sends("POST", wire.PathChallenge, wire.EncodeJSON(wire.ChallengeRequest{Handle: p.address.Handle, Purpose: wire.PurposeLogin}))
	var c wire.ChallengeReply
	if err := wire.DecodeJSON([]byte(challenge.body), &c); err != nil {
		t.Fatalf("%+v: %v", challenge, err)
	}
	v := &visitor{handle: p.address.Handle, login: p.login}
	opened := s.sends("POST", wire.PathLogin, wire.EncodeJSON(v.answer(t, s.name, wire.PurposeLogin, c, nil)))
	var reply wire.LoginReply
	if err := wire.DecodeJSON([]byte(opened.body), &reply); err != nil {
		t.Fatalf("%+v: %v", opened, err)
	}
	return reply
}

// signs returns the header lines with which the node signs a request to
// another, written by hand from docs/protocol.md.
func (n *testNode) signs(to wire.NodeName, method, path string, body []byte) []string {
	var keys nodeKeys
	must(read(context.Background(), n.own, "node/keys", &keys))
	key := wire.NewNodeRequestSecret(keys.Request.Reveal())
	sum, nonce, created := sha256.Sum256(body), wire.Nonce(random32()), n.world.clock.now().Unix()
	digest := "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
	signed := fmt.Sprintf("(request-target): %s %s\n(created): %d\n(expires): %d\nhost: %s\ndigest: %s\npeerbrain-nonce: %s",
		strings.ToLower(method), path, created, created+120, to, digest, nonce)
	return []string{
		"Digest: " + digest, "Peerbrain-Nonce: " + nonce.String(),
		fmt.Sprintf(`Signature: keyId="%s/%s",algorithm="hs2019",created=%d,expires=%d,`+
			`headers="(request-target) (created) (expires) host digest peerbrain-nonce",signature="%s"`,
			n.name, wire.Nonce(key.Public()), created, created+120,
			base64.StdEncoding.EncodeToString(ed25519.Sign(key.Private(), []byte(signed)))),
	}
}

// forgiven forgets all that was rationed.
func (n *testNode) forgiven() {
	m := n.door.throttle.purses.(*memoryPurses)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, purses := range m.of {
		purses.Purge()
	}
}

// records returns all that belongs to the people of a node, but the mark that
// is written ahead for every signed request.
func (n *testNode) records() map[string]string {
	all := make(map[string]string)
	for rec, err := range n.own.Scan(context.Background(), store.Query{}) {
		if err != nil {
			n.world.t.Fatal(err)
		}
		if rec.Key != highWaterKey {
			all[rec.Key] = string(rec.Value)
		}
	}
	return all
}
