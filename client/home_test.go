package client

import (
	"context"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// homebound is a line to one node alone, as a page has it.
type homebound struct {
	*line
	t    *testing.T
	node wire.NodeName
}

func (h *homebound) Reaches(node wire.NodeName) bool { return node == h.node }

func (h *homebound) Do(ctx context.Context, r *Request) (*Response, error) {
	if r.Node != h.node {
		h.t.Errorf("%s is asked for %s", r.Node, r.Path)
	}
	return h.line.Do(ctx, r)
}

// stays has somebody ask their own node only.
func (s *someone) stays() {
	s.Person.c.transport = &homebound{s.line, s.t, s.address.Node}
}

// keysHere wants keys of a friend in a state.
func (s *someone) keysHere(o *someone, want KeysState) Friend {
	s.t.Helper()
	list, err := s.Friends(context.Background())
	s.must(err)
	for _, f := range list {
		if f.Address == o.address {
			if f.Keys != want {
				s.t.Errorf("the keys of %s are %s, want %s", o.address, f.Keys, want)
			}
			return f
		}
	}
	s.t.Fatalf("%s is not in the list", o.address)
	return Friend{}
}

// Who cannot ask other nodes has friends there all the same: both ask and accept, read
// and write, and follow new keys. Their keys are new for as long as nobody has looked them
// up; a device that can does so, and nothing has to be said of it.
func TestHomebound(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@three.example")
	near := w.newPerson("near@one.example")
	ada.stays()
	ada.asks(bob)
	bob.accepts(ada)
	ada.befriends(near)
	eve.asks(ada)
	ada.keysHere(eve, KeysNew)
	ada.accepts(eve)
	bob.writes("bob's")
	ada.writes("ada's")
	ada.reads("ada's", "bob's")
	bob.reads("ada's", "bob's")
	ada.keysHere(bob, KeysNew)
	ada.keysHere(eve, KeysNew)
	ada.keysHere(near, KeysPinned)
	bob.keysHere(ada, KeysPinned)
	bob.renew()
	bob.writes("under newer keys")
	ada.reads("under newer keys", "ada's", "bob's")
	if notes := ada.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	ada.Person.c.transport = ada.line
	ada.keysHere(bob, KeysPinned)
	ada.keysHere(eve, KeysPinned)
	ada.stays()
	ada.keysHere(bob, KeysPinned)
}

// A log-in that can ask nobody but the home does not count the nodes of friends.
func TestHomeboundLogin(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.befriends(w.newPerson("bob@two.example"))
	s := w.device("ada@one.example")
	c := s.client()
	c.transport = &homebound{s.line, t, "one.example"}
	_, report, err := c.Login(context.Background(), LoginOptions{Address: s.address, Password: password(t, secretWord), Device: "test"})
	if err != nil || report != (LoginReport{}) {
		t.Errorf("%+v, %v", report, err)
	}
}

// Keys that were pinned without a look, and are not in the log of their node, are told of
// when that is looked into; a node that does not answer is asked again later.
func TestLookedUpLate(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.stays()
	ada.befriends(bob)
	ada.Person.c.transport = ada.line
	ada.line.before = func(_ int, r *Request) error {
		if r.Node == "two.example" {
			return wire.Errorf(wire.Unavailable, "node", "away")
		}
		return nil
	}
	ada.keysHere(bob, KeysNew)
	asked := len(ada.line.calls)
	ada.keysHere(bob, KeysNew)
	ada.line.before = nil
	for _, c := range ada.line.calls[asked:] {
		if c.path == wire.PathDocument {
			t.Error("it is asked again at once")
		}
	}
	ada.Person.asked = make(map[question]int64)
	other := newFakeLog("two.example", w.logs["two.example"].log.Number)
	other.adds(t, address("x@two.example"), "x")
	right := w.logs["two.example"]
	w.logs["two.example"] = other
	lie(ada, "POST", wire.PathKeys, func(r *Request, reply *wire.KeysReply) {
		proof, err := right.ProveChain(context.Background(), bob.chain)
		ada.must(err)
		reply.Proof = proof
	})
	if f := ada.keysHere(bob, KeysNew); f.Problem == "" {
		t.Error("nothing is said of keys that are not in the log")
	}
	ada.line.after = nil
	w.logs["two.example"] = right
	if f := ada.keysHere(bob, KeysPinned); f.Problem != "" {
		t.Errorf("problem: %s", f.Problem)
	}
}
