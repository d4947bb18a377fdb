package federation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestBlocked lets an operator block a node that is known: its requests are
// answered as those of somebody unknown, on each path, and nothing is sent to it,
// not even for its document. Afterwards all is as before.
func TestBlocked(t *testing.T) {
	a, b := startNode(t), startNode(t)
	var blocked atomic.Bool
	a.client.blocked = func(n wire.NodeName) bool { return blocked.Load() && n == b.name }
	meet := func(want error) {
		t.Helper()
		if _, err := askKeys(t.Context(), a, b); !errors.Is(err, want) {
			t.Errorf("a asks b: got %v, want %v", err, want)
		}
		if _, err := askKeys(t.Context(), b, a); !errors.Is(err, want) {
			t.Errorf("b asks a: got %v, want %v", err, want)
		}
	}
	meet(nil)
	blocked.Store(true)
	calls, seen := [2]int64{a.api.calls.Load(), b.api.calls.Load()}, a.fetches.Load()+b.fetches.Load()
	meet(wire.Unavailable)
	if _, err := a.client.Document(t.Context(), b.name); !errors.Is(err, wire.Unavailable) {
		t.Errorf("its document: %v", err)
	}
	stranger := testSecrets("stranger")
	for _, path := range paths {
		var answers []string
		for _, secrets := range []Secrets{b.secrets, stranger} {
			p := newPen(b.name, a.name, secrets, time.Now())
			p.Target = path
			status, body := a.send(write(p))
			answers = append(answers, fmt.Sprint(status, body))
		}
		if answers[0] != answers[1] || answers[0][:3] != "401" {
			t.Errorf("%s: a blocked node gets %s, an unknown key %s", path, answers[0], answers[1])
		}
	}
	if now := [2]int64{a.api.calls.Load(), b.api.calls.Load()}; now != calls {
		t.Errorf("calls came through: %v, %v before", now, calls)
	}
	if now := a.fetches.Load() + b.fetches.Load(); now != seen {
		t.Errorf("%d documents were fetched meanwhile", now-seen)
	}
	if s, err := a.client.State(t.Context(), b.name); err != nil || s.Failures != 0 {
		t.Errorf("what was not sent counts as failed: %+v, %v", s, err)
	}
	blocked.Store(false)
	b.client.troubles.drop(a.name)
	meet(nil)
}

// TestBlockedStranger fetches nothing of a node that was never met.
func TestBlockedStranger(t *testing.T) {
	inBubble(t, func(w *web) {
		w.client.blocked = func(wire.NodeName) bool { return true }
		s := testSecrets("a")
		w.publish(nodeA, s, 0)
		_, err := w.client.Document(w.t.Context(), nodeA)
		w.want("our call", err, wire.Unavailable)
		server := serverOf(w.t, w.client, &markShelf{})
		if a := server.Serve(w.t.Context(), write(newPen(nodeA, nodeB, s, time.Now()))); a.Status != 401 {
			w.t.Errorf("its request: got %d", a.Status)
		}
		if n := w.total(); n != 0 || w.client.states.m.Len() != 0 {
			w.t.Errorf("%d fetches, %d nodes noticed", n, w.client.states.m.Len())
		}
		w.client.blocked = func(wire.NodeName) bool { return false }
		if a := server.Serve(w.t.Context(), write(newPen(nodeA, nodeB, s, time.Now()))); a.Status == 401 {
			w.t.Error("its request after that is refused")
		}
	})
}

// TestStates tells of a peer what an operator wants to know.
func TestStates(t *testing.T) {
	a, b := startNode(t), startNode(t)
	state := func(of, who *testNode) PeerState {
		s, err := of.client.State(t.Context(), who.name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(a, b); s != (PeerState{}) || len(a.client.Noticed()) != 0 {
		t.Errorf("before they met: %+v", s)
	}
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if s := state(a, b); s.Reached.IsZero() || !s.Heard.IsZero() || s.Failures != 0 || s.Software != "test/1" || s.Quarantined {
		t.Errorf("of who answered: %+v", s)
	}
	if s := state(b, a); s.Heard.IsZero() || !s.Reached.IsZero() || !s.Timed || s.Ahead.Abs() > 5*time.Second {
		t.Errorf("of who asked: %+v", s)
	}
	b.api.err = wire.NotExist
	before := state(a, b).Reached
	if _, err := askKeys(t.Context(), a, b); !errors.Is(err, wire.NotExist) {
		t.Fatal(err)
	}
	if s := state(a, b); !s.Reached.After(before) || s.Failures != 0 {
		t.Errorf("of who answers no: %+v", s)
	}
	late := rawAnswer(500, "Content-Type: text/plain\r\nDate: "+time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), "")
	answer := func(RawRequest) []byte { return late }
	b.override.Store(&answer)
	for range 3 {
		askKeys(t.Context(), a, b)
	}
	if s := state(a, b); s.Failures != 3 || s.Failed.IsZero() || s.Error == "" || (s.Ahead+time.Hour).Abs() > 5*time.Second {
		t.Errorf("of who fails, and is an hour behind: %+v", s)
	}
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	askKeys(given, a, b)
	if s := state(a, b); s.Failures != 3 {
		t.Errorf("who gave up counts as a failure: %+v", s)
	}
	b.override.Store(nil)
	b.api.err = nil
	if _, err := askKeys(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if s := state(a, b); s.Failures != 0 || s.Error == "" {
		t.Errorf("of who is back: %+v", s)
	}
	if names := a.client.Noticed(); len(names) != 1 || names[0] != b.name {
		t.Errorf("noticed: %v", names)
	}
}

// TestStatesAreBounded: of nodes that were never met nothing is remembered, of
// others in bounds, and not for ever.
func TestStatesAreBounded(t *testing.T) {
	inBubble(t, func(w *web) {
		ask := func(n wire.NodeName) {
			w.client.To(n).Keys(w.t.Context(), wire.KeysRequest{})
		}
		for i := range 200 {
			ask(wire.NodeName(fmt.Sprintf("n.d%d.example", i)))
			ask(wire.NodeName(fmt.Sprintf("not a name %d", i)))
		}
		if n := w.client.states.m.Len(); n != 0 {
			t.Errorf("%d nodes noticed that nobody met", n)
		}
		for i := range 3 * maxStates {
			w.client.heard(wire.NodeName(fmt.Sprintf("n%d.example", i)), time.Now(), time.Now())
		}
		if n := len(w.client.Noticed()); n != maxStates {
			t.Errorf("%d nodes noticed, want %d", n, maxStates)
		}
		time.Sleep(stateKept)
		w.client.heard("new.example", time.Now(), time.Now())
		time.Sleep(time.Second)
		w.client.Sweep()
		if names := w.client.Noticed(); len(names) != 1 || names[0] != "new.example" {
			t.Errorf("after a week: %v", names)
		}
	})
}
