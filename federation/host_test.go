package federation

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// delegates lets n's document name a host, and counts what n itself is asked for
// beside it.
func (n *testNode) delegates(host wire.NodeName) *atomic.Int64 {
	n.t.Helper()
	d, err := MakeDocument(DocumentOptions{Name: n.name, Host: host, Secrets: n.secrets, Now: time.Now(), Software: "test/1"})
	if err != nil {
		n.t.Fatal(err)
	}
	n.document.Store(&d)
	asked := new(atomic.Int64)
	refuse := func(RawRequest) []byte {
		asked.Add(1)
		return rawAnswer(404, "Content-Type: text/html", "")
	}
	n.override.Store(&refuse)
	return asked
}

func bobAt(node wire.NodeName) wire.KeysRequest {
	return wire.KeysRequest{Address: wire.Address{Handle: "bob", Node: node}}
}

// TestDelegatedCalls calls a node whose API is at another host than its name: the
// name is asked for the document alone, and the host accepts what is signed for
// either.
func TestDelegatedCalls(t *testing.T) {
	a, name, host := startNode(t), startNode(t), startNode(t)
	asked := name.delegates(host.name)
	s, err := NewServer(ServerOptions{Self: name.name, Host: host.name, Client: name.client, Replay: name.marks, Log: quiet, For: name.api.bind})
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	serve := func(r RawRequest) []byte {
		for _, h := range r.Headers {
			if h[0] == "Host" {
				hosts = append(hosts, h[1])
			}
		}
		got := s.Serve(context.Background(), r)
		return rawAnswer(got.Status, "Content-Type: "+got.ContentType, string(got.Body))
	}
	host.override.Store(&serve)
	for range 2 {
		if _, err := a.client.To(name.name).Keys(t.Context(), bobAt(name.name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := name.api.calls.Load(); got != 2 || name.api.from.Load() != a.name || name.fetches.Load() != 1 || host.fetches.Load() != 0 || asked.Load() != 0 {
		t.Errorf("%d calls from %v, the document fetched %d times from the name and %d from the host, %d other requests to the name",
			got, name.api.from.Load(), name.fetches.Load(), host.fetches.Load(), asked.Load())
	}
	if len(hosts) != 2 || hosts[0] != string(host.name) {
		t.Errorf("signed for %q, want %s", hosts, host.name)
	}
}

// TestForeignHost has a node that names the host of somebody else in its document.
// What it is asked arrives there, in the name of who asks, and it sees none of it;
// the API behind says that the people asked for are not its own (TestPeerKeys,
// TestPeerDeliver in package node). The asking node is nobody's host but its own.
func TestForeignHost(t *testing.T) {
	a, evil, victim := startNode(t), startNode(t), startNode(t)
	asked := evil.delegates(victim.name)
	victim.api.err = wire.Errorf(wire.NotExist, "address", "")
	if _, err := a.client.To(evil.name).Keys(t.Context(), bobAt(evil.name)); !errors.Is(err, wire.NotExist) {
		t.Errorf("got %v", err)
	}
	if victim.api.calls.Load() != 1 || victim.api.from.Load() != a.name || asked.Load() != 0 || a.peers.all()[victim.name].Document != nil {
		t.Errorf("the victim was asked %d times by %v, the liar %d times; %s knows the victim: %t",
			victim.api.calls.Load(), victim.api.from.Load(), asked.Load(), a.name, a.peers.all()[victim.name].Document != nil)
	}
	// Nor does the liar speak in the victim's name there: the key is its own.
	if _, err := evil.client.To(a.name).Keys(t.Context(), bobAt(a.name)); err != nil || a.api.from.Load() != evil.name {
		t.Errorf("the liar asks as %v: %v", a.api.from.Load(), err)
	}
	b, mirror := startNode(t), startNode(t)
	mirror.delegates(b.name)
	if _, err := b.client.To(mirror.name).Keys(t.Context(), bobAt(mirror.name)); !errors.Is(err, wire.Unavailable) || b.api.calls.Load() != 0 {
		t.Errorf("a node that is led to itself: got %v after %d calls", err, b.api.calls.Load())
	}
}
