package federation

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// A peerShelf is a PeerStore in memory.
type peerShelf struct {
	mu   sync.Mutex
	m    map[wire.NodeName]PeerRecord
	fail error
	// first, if set, is what another process stores just before this one does.
	first *PeerRecord
}

func newShelf() *peerShelf { return &peerShelf{m: map[wire.NodeName]PeerRecord{}} }

func (p *peerShelf) Peer(_ context.Context, n wire.NodeName) (PeerRecord, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.m[n]
	if !ok {
		return r, wire.NotExist
	}
	return r, nil
}

func (p *peerShelf) SavePeer(_ context.Context, r PeerRecord, pinned wire.NodeRootKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != nil {
		p.m[r.Name], p.first = *p.first, nil
		return wire.Errorf(wire.Conflict, "", "another process was first")
	}
	if before, ok := p.m[r.Name]; ok && before.Root != pinned {
		return wire.Errorf(wire.Conflict, "", "another root is pinned")
	}
	if p.fail == nil {
		p.m[r.Name] = r
	}
	return p.fail
}

func (p *peerShelf) all() map[wire.NodeName]PeerRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.m)
}

// A markShelf is a ReplayStore in memory.
type markShelf struct {
	mu     sync.Mutex
	mark   int64
	writes int
	fail   error
}

func (m *markShelf) HighWater(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark, m.fail
}

func (m *markShelf) SetHighWater(_ context.Context, ms int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		m.mark = ms
		m.writes++
	}
	return m.fail
}

// testSecrets derives the keys of a node from its name.
func testSecrets(name string) Secrets {
	return Secrets{
		Root:    wire.NewNodeRootSecret(sha256.Sum256([]byte("root " + name))),
		Request: wire.NewNodeRequestSecret(sha256.Sum256([]byte("request " + name))),
	}
}

func testDocument(t testing.TB, name wire.NodeName, s Secrets, last uint64, now time.Time) wire.Signed {
	t.Helper()
	d, err := MakeDocument(DocumentOptions{Name: name, Secrets: s, Last: last, Now: now, Software: "test/1"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A recorder is an API that counts and answers the same every time.
type recorder struct {
	calls atomic.Int64
	from  atomic.Value // the last wire.NodeName
	err   error
	hold  chan struct{}
	busy  atomic.Int64
	most  atomic.Int64
}

func (r *recorder) bind(v VerifiedRequest) API {
	r.calls.Add(1)
	r.from.Store(v.Node())
	return r
}

func (r *recorder) Keys(ctx context.Context, in wire.KeysRequest) (wire.KeysReply, error) {
	n := r.busy.Add(1)
	defer r.busy.Add(-1)
	for m := r.most.Load(); n > m && !r.most.CompareAndSwap(m, n); m = r.most.Load() {
	}
	if r.hold != nil {
		<-r.hold
	}
	return wire.KeysReply{Statements: []wire.Signed{[]byte(in.Address.String())}, AsOf: 7}, r.err
}

func (r *recorder) Deliver(context.Context, wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
	return wire.PeerFriendReply{}, r.err
}

func (r *recorder) Sync(_ context.Context, in wire.SyncRequest) (wire.SyncReply, error) {
	return wire.SyncReply{Streams: make([]wire.SyncedStream, len(in.Streams))}, r.err
}

func (r *recorder) Notice(context.Context, wire.NoticeRequest) (wire.NoticeReply, error) {
	return wire.NoticeReply{}, r.err
}

// A testNode is a node on loopback, reached over real HTTP that is read by hand.
type testNode struct {
	t        testing.TB
	name     wire.NodeName
	secrets  Secrets
	peers    *peerShelf
	marks    *markShelf
	api      *recorder
	client   *Client
	server   *Server
	document atomic.Pointer[wire.Signed]
	fetches  atomic.Int64
	override atomic.Pointer[func(RawRequest) []byte] // a raw answer instead of Serve
	after    atomic.Pointer[func(*net.TCPConn)]      // what follows that

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func startNode(t testing.TB) *testNode {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	name := wire.NodeName("localhost:" + strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	n := &testNode{t: t, name: name, secrets: testSecrets(string(name)), peers: newShelf(), marks: &markShelf{}, api: &recorder{}, conns: map[net.Conn]bool{}}
	d := testDocument(t, name, n.secrets, 0, time.Now())
	n.document.Store(&d)
	n.client, err = NewClient(ClientOptions{Self: name, Secrets: n.secrets, Development: true, Peers: n.peers, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	n.begin(ln)
	t.Cleanup(func() {
		n.kill()
		n.client.Close()
	})
	return n
}

// begin serves on ln with a new Server: a start of the process.
func (n *testNode) begin(ln net.Listener) {
	n.t.Helper()
	s, err := NewServer(ServerOptions{Self: n.name, Client: n.client, Replay: n.marks, Log: quiet, For: n.api.bind})
	if err != nil {
		n.t.Fatal(err)
	}
	n.server, n.ln = s, ln
	n.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			n.conns[c] = true
			n.mu.Unlock()
			n.wg.Go(func() { n.serve(c, s) })
		}
	})
}

// kill drops the listener and all connections; only what is stored survives.
func (n *testNode) kill() {
	n.ln.Close()
	n.mu.Lock()
	for c := range n.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	clear(n.conns)
	n.mu.Unlock()
	n.wg.Wait()
}

// hangUp closes the connection that comes from an address, in peace.
func (n *testNode) hangUp(from net.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.RemoteAddr().String() == from.String() {
			c.Close()
			delete(n.conns, c)
		}
	}
}

func (n *testNode) restart() {
	n.t.Helper()
	addr := n.ln.Addr().String()
	n.kill()
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.begin(ln)
}

func (n *testNode) serve(c net.Conn, s *Server) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := readRaw(in)
		if err != nil {
			return
		}
		if f := n.override.Load(); f != nil && r.Target != wire.PathDocument {
			c.Write((*f)(r))
			if f := n.after.Load(); f != nil {
				(*f)(c.(*net.TCPConn))
			}
			continue
		}
		var a RawResponse
		if r.Target == wire.PathDocument {
			n.fetches.Add(1)
			a = RawResponse{Status: 200, ContentType: wire.MediaJSON, Body: wire.EncodeJSON(wire.NodeDocumentReply{Document: *n.document.Load()})}
		} else {
			a = s.Serve(context.Background(), r)
		}
		c.Write(rawAnswer(a.Status, "Content-Type: "+a.ContentType, string(a.Body)))
	}
}

func rawAnswer(status int, headers, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d X\r\n%s\r\nContent-Length: %d\r\n\r\n%s", status, headers, len(body), body)
}

// readRaw reads a request from the wire and changes nothing in it.
func readRaw(in *bufio.Reader) (r RawRequest, err error) {
	line := func() string {
		s, e := in.ReadString('\n')
		if e != nil {
			err = e
		}
		return strings.TrimRight(s, "\r\n")
	}
	first := strings.SplitN(line(), " ", 3)
	if err != nil || len(first) != 3 {
		return r, io.ErrUnexpectedEOF
	}
	r.Method, r.Target = first[0], first[1]
	length := 0
	for l := line(); l != "" && err == nil; l = line() {
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		r.Headers = append(r.Headers, [2]string{name, value})
		if strings.EqualFold(name, "Content-Length") {
			length, _ = strconv.Atoi(value)
		}
	}
	if err == nil && length > 0 {
		r.Body = make([]byte, length)
		_, err = io.ReadFull(in, r.Body)
	}
	return r, err
}

// writeRaw is r as it goes over the wire.
func writeRaw(r RawRequest) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "\r\n%s", r.Body)
	return []byte(b.String())
}

// send puts r on a new connection to n and returns status and body.
func (n *testNode) send(r RawRequest) (int, string) {
	n.t.Helper()
	c, err := net.Dial("tcp4", n.ln.Addr().String())
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(writeRaw(r))
	return readAnswer(n.t, bufio.NewReader(c))
}

func readAnswer(t testing.TB, in *bufio.Reader) (int, string) {
	t.Helper()
	status, length := 0, 0
	for first := true; ; first = false {
		l, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if first {
			status, _ = strconv.Atoi(strings.Fields(l)[1])
		}
		if v, ok := strings.CutPrefix(l, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if l == "\r\n" {
			b := make([]byte, length)
			if _, err := io.ReadFull(in, b); err != nil {
				t.Fatal(err)
			}
			return status, string(b)
		}
	}
}
