package federation

import (
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestQuarantine refuses a peer that shows another root key: in both directions,
// over a restart, until it shows the old one again.
func TestQuarantine(t *testing.T) {
	inBubble(t, func(w *web) {
		s, thief := testSecrets("a"), testSecrets("thief")
		w.publish(nodeA, s, 0)
		w.want("first contact", w.key(nodeA, s), nil)
		good := w.docs[nodeA]
		w.publish(nodeA, thief, 1)
		time.Sleep(2 * time.Minute)
		w.want("the thief's key", w.key(nodeA, thief), wire.Tampered)
		refused := func(what string) {
			t.Helper()
			w.want(what+": the thief's key", w.key(nodeA, thief), wire.Tampered)
			w.want(what+": the old key", w.key(nodeA, s), wire.Tampered)
			_, err := w.client.Document(w.t.Context(), nodeA)
			w.want(what+": our call", err, wire.Tampered)
		}
		refused("at once")
		time.Sleep(10 * time.Minute)
		refused("later")
		w.restart()
		refused("after a restart")
		if r := w.shelf.all()[nodeA]; r.Root != s.Root.Public() || string(r.Document) != string(good) {
			t.Error("the pin was changed")
		}
		delete(w.docs, nodeA)
		w.restart()
		if err := w.key(nodeA, s); err == nil {
			t.Error("accepted in quarantine while the host is down")
		}
		w.docs[nodeA] = good
		time.Sleep(2 * time.Minute)
		w.want("the old root again", w.key(nodeA, s), nil)
		_, err := w.client.Document(w.t.Context(), nodeA)
		w.want("our call", err, nil)
	})
}

// TestRollback keeps the newer of two documents.
func TestRollback(t *testing.T) {
	inBubble(t, func(w *web) {
		old := testSecrets("a")
		next := Secrets{Root: old.Root, Request: testSecrets("next").Request}
		w.publish(nodeA, old, 0)
		older := w.docs[nodeA]
		time.Sleep(time.Second)
		w.publish(nodeA, next, 0)
		w.want("the newer", w.key(nodeA, next), nil)
		newer := w.docs[nodeA]
		w.docs[nodeA] = older
		time.Sleep(10 * time.Minute)
		w.want("the key of the newer", w.key(nodeA, next), nil)
		if err := w.key(nodeA, old); err == nil {
			t.Error("a key of the older document passes")
		}
		doc, err := w.client.Document(w.t.Context(), nodeA)
		if err != nil || !doc.RequestKey(next.Request.Public(), time.Now().UnixMilli()) {
			t.Errorf("our call has %v %v", doc, err)
		}
		if string(w.shelf.all()[nodeA].Document) != string(newer) {
			t.Error("the older document was stored")
		}
		twin, err := MakeDocument(DocumentOptions{Name: nodeA, Secrets: old, Last: doc.Number - 1, Now: time.UnixMilli(doc.Created), Contact: "twin"})
		if err != nil {
			t.Fatal(err)
		}
		w.docs[nodeA] = twin
		time.Sleep(10 * time.Minute)
		if err := w.key(nodeA, old); err == nil {
			t.Error("another document with the same number passes")
		}
	})
}

// TestForeignDocuments are not taken for a node's own.
func TestForeignDocuments(t *testing.T) {
	inBubble(t, func(w *web) {
		w.docs["x.example"] = testDocument(t, nodeA, testSecrets("x"), 0, time.Now())
		w.want("the document of another node", w.key("x.example", testSecrets("x")), wire.Tampered)
		broken := testDocument(t, "y.example", testSecrets("y"), 0, time.Now())
		broken[3] ^= 1
		w.docs["y.example"] = broken
		w.want("a broken signature", w.key("y.example", testSecrets("y")), wire.Tampered)
		w.docs["z.example"] = nil
		w.want("no document", w.key("z.example", testSecrets("z")), wire.Invalid)
		if n := len(w.shelf.all()); n != 0 {
			t.Errorf("%d of them were pinned", n)
		}
	})
}
