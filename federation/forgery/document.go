package forgery

import (
	"net/http"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// lapsed are documents that the node takes, and in which the key called bad does
// not sign requests, or not now.
var lapsed = []struct {
	name    string
	publish func(n *Node, bad wire.NodeRequestKey)
}{
	{"a key that was rotated out", func(n *Node, bad wire.NodeRequestKey) {
		n.Publish(n.Good(), Entry(bad))
		n.Publish(n.Good())
	}},
	{"a key whose time is over", func(n *Node, bad wire.NodeRequestKey) {
		k := Entry(bad)
		k.NotAfter = time.Now().Add(-time.Minute).UnixMilli()
		n.Publish(n.Good(), k)
	}},
	{"a key whose time is to come", func(n *Node, bad wire.NodeRequestKey) {
		k := Entry(bad)
		k.NotBefore = time.Now().Add(time.Hour).UnixMilli()
		n.Publish(n.Good(), k)
	}},
	{"a key of the log", func(n *Node, bad wire.NodeRequestKey) { n.Publish(n.Good(), purpose(bad, wire.KeyForLog)) }},
	{"a key for witnessing", func(n *Node, bad wire.NodeRequestKey) { n.Publish(n.Good(), purpose(bad, wire.KeyForWitness)) }},
	{"a key of no known purpose", func(n *Node, bad wire.NodeRequestKey) { n.Publish(n.Good(), purpose(bad, "requests2")) }},
}

func purpose(k wire.NodeRequestKey, p wire.KeyPurpose) wire.NodeKey {
	e := Entry(k)
	e.Purpose = p
	return e
}

// foreign are documents that are not the node's own, or none: they make the node
// known to nobody.
var foreign = []struct {
	name  string
	serve func(n, me *Node) http.Handler
}{
	{"the document of another node", func(n, me *Node) http.Handler { return Document(me.Next(me.Name, me.Good(), n.Good())) }},
	{"a document in another node's name", func(n, me *Node) http.Handler { return Document(n.Next(me.Name, n.Good())) }},
	{"a document that another root key signed", func(n, me *Node) http.Handler {
		d := n.Next(n.Name, n.Good())
		copy(d, me.Next(n.Name, n.Good())[:64])
		return Document(d)
	}},
	{"a document with a broken signature", func(n, _ *Node) http.Handler {
		d := n.Next(n.Name, n.Good())
		d[0] ^= 1
		return Document(d)
	}},
	{"a document with a low order key", func(n, _ *Node) http.Handler { return Document(n.Next(n.Name, n.Good(), Entry(lowOrder))) }},
	{"a document with more changes of its root than there may be", func(n, _ *Node) http.Handler {
		return shown(wire.NodeDocumentReply{Document: n.Next(n.Name, n.Good()), RootChanges: make([]wire.Signed, wire.MaxRootChanges+1)})
	}},
	{"no document", func(*Node, *Node) http.Handler { return http.NotFoundHandler() }},
	{"no answer", func(*Node, *Node) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}},
}

// Documents is F10: keys that are not, or no more, in the signing node's own
// document as it serves it under its own name.
func (s *Suite) Documents(t *testing.T) {
	t.Helper()
	for _, c := range lapsed {
		n, bad := Listen(t), NewSigner("")
		c.publish(n, bad.Request.Public())
		s.Meet(t, n)
		s.Disowned(t, "F10 "+c.name, n, Signer{n.Name, n.Root, bad.Request})
	}
	n, thief := Listen(t), Listen(t)
	stolen := Signer{n.Name, thief.Root, thief.Request}
	s.Meet(t, n, thief)
	s.Disowned(t, "F10 a key in the document of another node", n, stolen)
	for _, c := range foreign {
		n := Listen(t)
		n.Serve(c.serve(n, s.Me))
		s.stranger(t, "F10 "+c.name, n)
	}
	to, from := Listen(t), Listen(t)
	to.Serve(Document(from.Next(from.Name, from.Good())))
	from.Serve(http.RedirectHandler(to.Name.Origin()+wire.PathDocument, http.StatusFound))
	s.stranger(t, "F10 a document elsewhere", from)
	if n := to.Fetches.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

// Disowned sends requests to all routes with a key that n does not have now.
func (s *Suite) Disowned(t *testing.T, what string, n *Node, forger Signer) {
	t.Helper()
	for _, route := range s.Routes {
		s.refuses(t, what+" to "+route.Path, NewPen(forger, s.Name, route, time.Now()).Write(), false)
	}
	s.passes(t, "the right key beside "+what, s.Routes[0], s.write(n))
	s.Fetched(t, n)
}

// stranger sends requests of a node whose document does not count, until it was
// asked for.
func (s *Suite) stranger(t *testing.T, what string, n *Node) {
	t.Helper()
	for end := time.Now().Add(time.Minute); n.Fetches.Load() == 0; time.Sleep(100 * time.Millisecond) {
		s.refuses(t, what, s.write(n), false)
		if time.Now().After(end) {
			t.Fatalf("%s: it was never asked for", what)
		}
	}
	for _, route := range s.Routes {
		s.refuses(t, what+" to "+route.Path, s.Pen(n, route).Write(), false)
		p := s.Pen(n, route)
		p.KeyID = KeyID(n.Name, lowOrder)
		s.refuses(t, what+" to "+route.Path+" under a low order key", Forgery{After: universal}.Write(p), false)
	}
	s.Fetched(t, n)
}

const (
	strangers  = 60
	budget     = 30 // first contacts at once
	budgetRate = 1  // and each second after that
)

// Flood is many strangers at once, who are asked for their documents within one
// budget. A node that is known does not share it: its requests pass throughout.
func (s *Suite) Flood(t *testing.T) {
	t.Helper()
	start, total := time.Now(), int64(0)
	var all []*Node
	for range strangers {
		n := Listen(t)
		n.Serve(http.NotFoundHandler())
		all = append(all, n)
		s.refuses(t, "a stranger", s.write(n), false)
	}
	for _, n := range all {
		total += n.Fetches.Load()
	}
	if most := budget + budgetRate*int64(time.Since(start)/time.Second+1); total > most {
		t.Errorf("%d strangers were asked for their documents in %v, want at most %d", total, time.Since(start), most)
	}
	s.Fetched(t, all...)
	if !s.Blind {
		s.Controls(t)
	}
}
