package client

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// passesOn lets the home of s pass on the proofs of another log than the node of who keeps.
func passesOn(s *someone, who *someone, other *fakeLog) {
	lie(s, "POST", wire.PathKeys, func(r *Request, reply *wire.KeysReply) {
		if strings.Contains(string(r.Body), who.address.String()) {
			proof, err := other.ProveChain(context.Background(), who.chain)
			s.must(err)
			reply.Proof = proof
		}
	})
}

// A home that passes on a log which the node of somebody has made for it alone, or which
// it could make up with the key of that node, is found out by asking the node.
func TestSecondLog(t *testing.T) {
	for name, others := range map[string]int{"as long": 1, "longer": 3, "shorter": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.logOf("two.example").adds(t, address("x@two.example"), "x")
			bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
			second := newFakeLog("two.example", w.logs["two.example"].log.Number)
			for i := range others {
				second.adds(t, address("y@two.example"), fmt.Sprint(i))
			}
			passesOn(ada, bob, second)
			saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "your node one.example passes on another one than two.example itself shows")
			if ada.vault.friendAt(bob.address) != nil {
				t.Error("his keys are pinned")
			}
		})
	}
}

// What stands in the log behind what the home passes on is looked at too.
func TestNewerLeafThere(t *testing.T) {
	w := newWorld(t)
	bob, ada := w.newPerson("bob@two.example"), w.newPerson("ada@one.example")
	old, err := w.logs["two.example"].ProveChain(context.Background(), bob.chain)
	ada.must(err)
	w.logs["two.example"].adds(t, bob.address, "newer")
	lie(ada, "POST", wire.PathKeys, func(r *Request, reply *wire.KeysReply) { reply.Proof = old })
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "leaf 1 is about other keys of bob@two.example")
}

// What the node of somebody shows itself has to be a checkpoint of its log. Where it shows
// none, a first contact goes on by what is known, and says so.
func TestVisit(t *testing.T) {
	w := newWorld(t)
	for _, who := range []string{"bob@two.example", "eve@two.example", "dan@two.example"} {
		w.newPerson(who)
	}
	ada := w.newPerson("ada@one.example")
	top := w.logs["two.example"].log.File(keyservice.CheckpointFile)
	shows := func(change func(a *Response)) {
		ada.line.after = func(_ int, r *Request, a *Response) error {
			if r.Path == top {
				change(a)
			}
			return nil
		}
	}
	shows(func(a *Response) { a.Body = bytes.Replace(a.Body, []byte("\n3\n"), []byte("\n4\n"), 1) })
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "what two.example itself shows as its newest checkpoint is none")
	shows(func(a *Response) { a.refuse(wire.NotExist) })
	saysAboutLog(t, ada.adding("bob@two.example"), wire.Tampered, "its newest checkpoint is missing in it")
	shows(func(a *Response) { a.refuse(wire.Update) })
	if err := ada.adding("bob@two.example"); wire.KindOf(err) != wire.Update {
		t.Errorf("got %v", err)
	}
	if notes := ada.Notes(); notes != nil {
		t.Errorf("notes %q", notes)
	}
	shows(func(a *Response) { a.refuse(wire.Throttled) })
	ada.must(ada.adding("bob@two.example"))
	ada.line.after = nil
	ada.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathDocument {
			return context.DeadlineExceeded
		}
		return nil
	}
	ada.must(ada.adding("eve@two.example"))
	if notes := ada.Notes(); len(notes) != 2 || !strings.Contains(notes[0], "two.example itself could not be asked") || notes[1] != notes[0] {
		t.Errorf("notes %q", notes)
	}
	ada.line.before = nil
	lie(ada, "GET", wire.PathDocument, func(_ *Request, r *wire.NodeDocumentReply) {
		l := *w.logs["two.example"]
		d, err := wire.OpenNodeDocument(r.Document, "two.example")
		ada.must(err)
		d.Log = nil
		r.Document, err = d.Sign(l.root)
		ada.must(err)
	})
	saysAboutLog(t, ada.adding("dan@two.example"), wire.Tampered, "it is gone: the node says that it keeps none")
}
