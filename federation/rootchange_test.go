package federation

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// underRoot are the secrets of nodeA when it has its root number i: the request key
// stays.
func underRoot(i int) Secrets {
	return Secrets{Root: testSecrets(fmt.Sprint("root ", i)).Root, Request: testSecrets("a").Request}
}

// rootChange is signed by the first of three, and says that old has become new.
func rootChange(t testing.TB, by int, name wire.NodeName, old, new int) wire.Signed {
	t.Helper()
	c := wire.RootChange{
		Version: wire.Version, Suite: wire.Suite, Name: name,
		Old: underRoot(old).Root.Public(), New: underRoot(new).Root.Public(), Created: time.Now().UnixMilli(),
	}
	s, err := c.Sign(underRoot(by).Root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// along are the changes that lead nodeA along its roots.
func along(t testing.TB, roots ...int) (list []wire.Signed) {
	t.Helper()
	for i, old := range roots[:len(roots)-1] {
		list = append(list, rootChange(t, old, nodeA, old, roots[i+1]))
	}
	return list
}

func upTo(last int) (roots []int) {
	for i := range last + 1 {
		roots = append(roots, i)
	}
	return roots
}

// show lets nodeA show a new document under a root, and changes with it, and waits
// until it may be asked for.
func (w *web) show(root int, changes []wire.Signed) {
	w.t.Helper()
	time.Sleep(10 * time.Minute)
	w.publish(nodeA, underRoot(root), 0)
	w.changes = changes
}

// stands wants nodeA pinned under a root: its request key is taken, and our calls go
// there; or in quarantine, in both directions.
func (w *web) stands(what string, root int, pinned bool) {
	w.t.Helper()
	want := []error{nil}
	if !pinned {
		want = []error{wire.Tampered}
	}
	for _, when := range []string{"", ", after a restart"} {
		w.want(what+when+": its request key", w.key(nodeA, underRoot(0)), want...)
		_, err := w.client.Document(w.t.Context(), nodeA)
		w.want(what+when+": our call", err, want...)
		if got := w.shelf.all()[nodeA]; got.Root != underRoot(root).Root.Public() {
			w.t.Errorf("%s%s: root %x is pinned, want %d", what, when, got.Root, root)
		}
		w.restart()
	}
}

// TestAnnouncedRoot takes another root for a peer's own if the one that was pinned
// announces it, itself or over others that were missed, and in no other case.
func TestAnnouncedRoot(t *testing.T) {
	for _, test := range []struct {
		what    string
		before  int // the root that is pinned, after those before it were
		after   int
		changes func(t *testing.T) []wire.Signed
		want    bool
	}{
		{"one", 0, 1, func(t *testing.T) []wire.Signed { return along(t, 0, 1) }, true},
		{"three in a row", 0, 3, func(t *testing.T) []wire.Signed { return along(t, 0, 1, 2, 3) }, true},
		{"one, and what was known", 2, 3, func(t *testing.T) []wire.Signed { return along(t, 0, 1, 2, 3) }, true},
		{"one, and not what was known", 2, 3, func(t *testing.T) []wire.Signed { return along(t, 2, 3) }, true},
		{"sixteen", 0, 16, func(t *testing.T) []wire.Signed { return along(t, upTo(16)...) }, true},
		{"none", 0, 1, func(t *testing.T) []wire.Signed { return nil }, false},
		{"those of others", 0, 3, func(t *testing.T) []wire.Signed { return along(t, 1, 2, 3) }, false},
		{"that before", 1, 2, func(t *testing.T) []wire.Signed { return along(t, 0, 1) }, false},
		{"one by the new root", 0, 1, func(t *testing.T) []wire.Signed { return []wire.Signed{rootChange(t, 1, nodeA, 0, 1)} }, false},
		{"one by a stranger", 0, 2, func(t *testing.T) []wire.Signed {
			return []wire.Signed{rootChange(t, 0, nodeA, 0, 1), rootChange(t, 9, nodeA, 1, 2)}
		}, false},
		{"one of another node", 0, 1, func(t *testing.T) []wire.Signed { return []wire.Signed{rootChange(t, 0, nodeB, 0, 1)} }, false},
		{"a gap", 0, 3, func(t *testing.T) []wire.Signed { return append(along(t, 0, 1), along(t, 2, 3)...) }, false},
		{"newest first", 0, 2, func(t *testing.T) []wire.Signed { return append(along(t, 1, 2), along(t, 0, 1)...) }, false},
		{"a loop", 0, 3, func(t *testing.T) []wire.Signed { return along(t, 0, 1, 2, 1, 3) }, false},
		{"back to the first", 1, 0, func(t *testing.T) []wire.Signed { return along(t, 0, 1, 0) }, false},
		{"back to one that was left", 2, 0, func(t *testing.T) []wire.Signed { return along(t, 2, 0) }, false},
		{"over one that was left", 2, 3, func(t *testing.T) []wire.Signed { return along(t, 2, 1, 3) }, false},
		{"rubbish", 0, 1, func(t *testing.T) []wire.Signed { return append(along(t, 0, 1), wire.Signed("?")) }, false},
	} {
		t.Run(test.what, func(t *testing.T) {
			inBubble(t, func(w *web) {
				for i := range test.before + 1 {
					w.show(i, along(w.t, upTo(i)...))
					w.stands("before", i, true)
				}
				w.show(test.after, test.changes(t))
				if test.want {
					w.stands("announced", test.after, true)
					return
				}
				w.stands("not announced", test.before, false)
				w.show(test.before, nil)
				w.stands("the pinned root again", test.before, true)
			})
		})
	}
}

// TestAnnouncedLate: a quarantine ends with changes that lead to the root, as it does
// with the pinned root.
func TestAnnouncedLate(t *testing.T) {
	inBubble(t, func(w *web) {
		w.show(0, nil)
		w.stands("first contact", 0, true)
		w.show(2, nil)
		w.stands("another root", 0, false)
		w.show(2, along(t, 0, 2))
		w.stands("announced", 2, true)
	})
}

// TestChangesBeforeContact: who meets a node takes its root as it is. What the list
// says of others makes none of them trusted, and one that is wrong harms nobody.
func TestChangesBeforeContact(t *testing.T) {
	inBubble(t, func(w *web) {
		w.show(1, append(along(t, 0, 1), wire.Signed("rubbish")))
		w.stands("first contact", 1, true)
		if got := w.shelf.all()[nodeA].Changes; len(got) > 0 {
			t.Errorf("%d changes were taken for its own", len(got))
		}
		w.show(0, nil)
		w.stands("a root before it", 1, false)
		w.changes = make([]wire.Signed, wire.MaxRootChanges+1)
		w.publish("many.example", testSecrets("many"), 0)
		w.want("a long list", w.key("many.example", testSecrets("many")), wire.TooLarge)
		if _, there := w.shelf.all()["many.example"]; there {
			t.Error("it was pinned")
		}
	})
}

// TestManyChanges: an answer with more of them than there may be is none.
func TestManyChanges(t *testing.T) {
	inBubble(t, func(w *web) {
		w.show(0, nil)
		w.stands("first contact", 0, true)
		w.show(17, along(t, upTo(17)...))
		w.stands("seventeen", 0, true)
		time.Sleep(documentStale)
		w.want("an hour later", w.key(nodeA, underRoot(0)), wire.TooLarge)
		w.show(16, along(t, upTo(16)...))
		w.stands("sixteen", 16, true)
	})
}

// TestOldRoot: what a node showed under a root that it has left is an older document,
// as a cache may have it. A newer one under that root is somebody else's.
func TestOldRoot(t *testing.T) {
	inBubble(t, func(w *web) {
		w.show(0, nil)
		w.stands("first contact", 0, true)
		old := w.docs[nodeA]
		w.show(2, along(t, 0, 1, 2))
		w.stands("announced", 2, true)
		newer := w.docs[nodeA]
		for range 3 { // it is believed for an hour, and asked again all the while
			time.Sleep(10 * time.Minute)
			w.docs[nodeA], w.changes = old, nil
			w.stands("the old document", 2, true)
			if got := w.shelf.all()[nodeA]; string(got.Document) != string(newer) {
				t.Error("the old document was stored")
			}
		}
		w.docs[nodeA], w.changes = newer, along(t, 0, 1, 2)
		time.Sleep(10 * time.Minute)
		w.stands("the new one again", 2, true)
		for _, root := range []int{0, 1} { // a backup from before, or a thief of the old root
			w.show(root, along(t, upTo(root)...))
			w.stands("the old root", 2, false)
			w.docs[nodeA], w.changes = newer, nil
			time.Sleep(10 * time.Minute)
			w.stands("the new one again", 2, true)
		}
		time.Sleep(10 * time.Minute)
		w.docs[nodeA] = testDocument(t, nodeA, underRoot(9), 0, time.Now().Add(-5*time.Hour))
		w.stands("somebody's, of an early date", 2, false)
		w.docs[nodeA] = newer
		time.Sleep(10 * time.Minute)
		w.stands("the new one again", 2, true)
		time.Sleep(10 * time.Minute)
		w.docs[nodeA] = testDocument(t, nodeA, underRoot(3), 0, time.Now().Add(-5*time.Hour))
		w.changes = along(t, 0, 1, 2, 3)
		w.stands("an older document under an announced root", 2, true)
	})
}

// TestChangedMeanwhile lets another process of the node be first to follow a change:
// its pin stays, whatever this one has fetched.
func TestChangedMeanwhile(t *testing.T) {
	for _, test := range []struct {
		what  string
		shows int // the root of what this process has fetched
		other int // that the other has pinned meanwhile
		want  int
	}{
		{"the same", 1, 1, 1}, {"an earlier one", 0, 1, 1}, {"a later one", 2, 1, 2},
	} {
		t.Run(test.what, func(t *testing.T) {
			inBubble(t, func(w *web) {
				w.show(0, nil)
				w.stands("first contact", 0, true)
				if test.shows > 0 {
					w.show(test.shows, along(t, upTo(test.shows)...))
				} else {
					w.show(0, nil) // just before the change
				}
				stored := w.docs[nodeA]
				if apart := test.other - test.shows; apart != 0 { // so many minutes
					stored = testDocument(t, nodeA, underRoot(test.other), 0, time.Now().Add(time.Duration(apart)*time.Minute))
				}
				w.shelf.first = &PeerRecord{
					Name: nodeA, Root: underRoot(test.other).Root.Public(), Document: stored, Fetched: time.Now(),
					Changes: along(t, upTo(test.other)...),
				}
				w.stands(test.what, test.want, true)
			})
		})
	}
}

// TestChangeIsStoredFirst: a root that could not be stored is not believed.
func TestChangeIsStoredFirst(t *testing.T) {
	inBubble(t, func(w *web) {
		w.show(0, nil)
		w.stands("first contact", 0, true)
		next := underRoot(1)
		next.Request = testSecrets("another").Request
		time.Sleep(10 * time.Minute)
		w.publish(nodeA, next, 0)
		w.changes = along(t, 0, 1)
		w.shelf.fail = errors.New("disk full")
		if err := w.key(nodeA, next); err == nil {
			t.Error("a request key under the new root is taken")
		}
		w.shelf.fail = nil
		time.Sleep(time.Minute)
		w.want("when it can be stored", w.key(nodeA, next), nil)
	})
}

// TestChangeIsTold: the log tells the operator both keys, of a change and of none.
func TestChangeIsTold(t *testing.T) {
	inBubble(t, func(w *web) {
		var log bytes.Buffer
		w.client.directory.log = slog.New(slog.NewTextHandler(&log, nil))
		w.show(0, nil)
		w.want("first contact", w.key(nodeA, underRoot(0)), nil)
		for _, test := range []struct {
			pinned, shown int
			message       string
		}{{0, 1, "announced by the one that was pinned"}, {1, 2, "it is in quarantine"}} {
			log.Reset()
			w.show(test.shown, along(t, 0, 1))
			_ = w.key(nodeA, underRoot(0)) // taken or not
			for _, want := range []string{test.message, wire.Nonce(underRoot(test.pinned).Root.Public()).String(), wire.Nonce(underRoot(test.shown).Root.Public()).String()} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("root %d: the log says %q, not %q", test.shown, &log, want)
				}
			}
		}
	})
}

// TestKnownChanges are as many as a list may have, and those of which the last leads
// to the pinned root.
func TestKnownChanges(t *testing.T) {
	k := known{doc: &wire.NodeDocument{Name: nodeA, Root: underRoot(0).Root.Public()}}
	const last = 2*wire.MaxRootChanges + 3
	for i := 1; i <= last; i++ {
		doc := &wire.NodeDocument{Name: nodeA, Root: underRoot(i).Root.Public()}
		changes, err := k.leads(doc, along(t, i-1, i))
		if err != nil || len(changes) != min(i, wire.MaxRootChanges) {
			t.Fatalf("after %d changes: %d, %v", i, len(changes), err)
		}
		k = known{doc: doc, changes: changes}
	}
	for i := range last + 1 {
		if want := i < last && i >= last-wire.MaxRootChanges; k.left(underRoot(i).Root.Public()) != want {
			t.Errorf("whether root %d was left: got %t", i, !want)
		}
	}
}

// TestLargestAnswer: a document and all changes fit what is read of an answer.
func TestLargestAnswer(t *testing.T) {
	name := wire.NodeName(strings.Repeat(strings.Repeat("a", 62)+".", 4)[:251] + "z")
	var reply wire.NodeDocumentReply
	for i := range wire.MaxRootChanges {
		reply.RootChanges = append(reply.RootChanges, rootChange(t, i, name, i, i+1))
	}
	reply.Document = make(wire.Signed, wire.MaxNodeDocument/2) // at most: TestLargestStatements
	if got := len(wire.EncodeJSON(reply)); got > maxDocumentReply*3/4 {
		t.Errorf("%d bytes, and %d are read", got, maxDocumentReply)
	}
}
