package forgery

import (
	"crypto/ed25519"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Node is a signer that can be asked: it listens on loopback, and serves what
// the test wants for its document, and the keys of its people to whoever asks.
type Node struct {
	Signer
	// Fetches counts how often its document was asked for.
	Fetches atomic.Int64
	born    time.Time

	mu       sync.Mutex
	number   uint64
	document http.Handler
	people   map[wire.Address][]wire.Signed
}

// Listen starts a Node with one honest document. It ends with the test.
func Listen(t testing.TB) *Node {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	name := wire.NodeName("localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	n := &Node{Signer: NewSigner(name), born: time.Now(), people: map[wire.Address][]wire.Signed{}}
	n.Publish(n.Good())
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathDocument, func(w http.ResponseWriter, r *http.Request) {
		n.Fetches.Add(1)
		n.mu.Lock()
		h := n.document
		n.mu.Unlock()
		h.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST "+wire.PathPeerKeys, n.serveKeys)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		served.Wait()
	})
	return n
}

// Good is the entry of the node's own request key in an honest document.
func (n *Node) Good() wire.NodeKey { return Entry(n.Request.Public()) }

// Entry is one of a key that signs requests from an hour ago on for a day.
func Entry(k wire.NodeRequestKey) wire.NodeKey {
	now := time.Now()
	return wire.NodeKey{Purpose: wire.KeyForRequests, Key: k, NotBefore: now.Add(-time.Hour).UnixMilli(), NotAfter: now.Add(24 * time.Hour).UnixMilli()}
}

// Publish serves a new document of the node with these keys.
func (n *Node) Publish(keys ...wire.NodeKey) { n.Serve(Document(n.Next(n.Name, keys...))) }

// Next is a document after the last one, that speaks of name and is signed by
// the node whatever stands in it.
func (n *Node) Next(name wire.NodeName, keys ...wire.NodeKey) wire.Signed {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.number = max(n.number+1, uint64(now.Unix()))
	payload := wire.EncodeCBOR(&wire.NodeDocument{
		Version: wire.Version, Suite: wire.Suite, Name: name, Host: name, Root: n.Root.Public(), Keys: keys,
		Number: n.number, Software: "forgery", OldestClient: 1, MaxPost: wire.MaxSealedPost, Created: now.UnixMilli(),
	})
	key := ed25519.NewKeyFromSeed(n.Root.Seed())
	return append(ed25519.Sign(key, wire.LabelNodeDocument.Message(payload)), payload...)
}

// Document serves a document as nodes do.
func Document(d wire.Signed) http.Handler { return shown(wire.NodeDocumentReply{Document: d}) }

func shown(r wire.NodeDocumentReply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, r) })
}

// Serve lets h answer whoever asks for the document.
func (n *Node) Serve(h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.document = h
}

// Register makes somebody one of the node's people.
func (n *Node) Register(a wire.Address, statements ...wire.Signed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.people[a] = statements
}

func (n *Node) serveKeys(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 1<<16)
	size, _ := r.Body.Read(body)
	var in wire.KeysRequest
	if err := wire.DecodeJSON(body[:size], &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	statements := n.people[in.Address]
	n.mu.Unlock()
	answer(w, wire.KeysReply{Statements: statements, AsOf: time.Now().UnixMilli()})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", wire.MediaJSON)
	w.Write(wire.EncodeJSON(v))
}

// tooMany tells whether the node was asked for its document more than once a
// minute.
func (n *Node) tooMany() bool {
	return n.Fetches.Load() > 1+int64(time.Since(n.born)/time.Minute)
}
