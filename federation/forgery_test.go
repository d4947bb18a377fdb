package federation

import (
	"reflect"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// forgeryRoutes has honest bodies for each path of a Server.
func forgeryRoutes() []forgery.Route {
	offer := func(h wire.Handle) string {
		return string(wire.EncodeJSON(wire.PeerFriendRequest{
			From: wire.Address{Handle: h, Node: "a.example"}, To: wire.Address{Handle: "bob", Node: "b.example"},
			FriendStatement: wire.FriendStatement{Kind: wire.FriendOffer, Statement: wire.Signed("a statement")},
		}))
	}
	sync := func(streams int) string {
		return string(wire.EncodeJSON(wire.SyncRequest{Streams: make([]wire.SyncStream, streams)}))
	}
	notice := func(streams int) string {
		return string(wire.EncodeJSON(wire.NoticeRequest{Streams: make([]wire.NoticedStream, streams)}))
	}
	return []forgery.Route{
		keysRoute(),
		{Path: wire.PathPeerFriends, Body: offer("ann"), Other: offer("eve")},
		{Path: wire.PathPeerSync, Body: sync(1), Other: sync(2)},
		{Path: wire.PathPeerNotices, Body: notice(1), Other: notice(2)},
	}
}

// TestForgeries holds a Server to the list, on every path. Each forgery gets the
// same answer, none reaches the API or changes what is stored, and the honest
// request passes before and after. Package node has the same for a whole node,
// over HTTP.
func TestForgeries(t *testing.T) {
	a, b, other := startNode(t), startNode(t), startNode(t)
	routes := forgeryRoutes()
	var covered []string
	for _, r := range routes {
		covered = append(covered, r.Path)
	}
	if !reflect.DeepEqual(covered, b.server.Paths()) {
		t.Fatalf("forgeries for %q, want for %q", covered, b.server.Paths())
	}
	honest := func() {
		t.Helper()
		for _, route := range routes {
			for _, from := range []*testNode{other, a} {
				p := forgery.NewPen(signer(from.name, from.secrets), b.name, route, time.Now())
				if status, got := b.send(write(p)); status != 200 || b.api.from.Load() != from.name {
					t.Fatalf("the honest request to %s is answered %d %s, and came from %v", route.Path, status, got, b.api.from.Load())
				}
			}
		}
	}
	honest()
	calls, stored := b.api.calls.Load(), b.peers.all()
	count := 0
	for _, route := range routes {
		for _, f := range forgery.List(route, routes, b.name, signer(a.name, a.secrets), signer(other.name, other.secrets)) {
			count++
			r := f.Write(forgery.NewPen(signer(a.name, a.secrets), b.name, route, time.Now()))
			got := b.server.Serve(t.Context(), RawRequest(r))
			if got.Status != 401 || string(got.Body) != the401 || got.ContentType != wire.MediaProblem {
				t.Errorf("%s to %s: got %d %s", f.Name, route.Path, got.Status, got.Body)
			}
		}
	}
	if n := b.api.calls.Load(); n != calls {
		t.Errorf("%d forgeries reached the API", n-calls)
	}
	if !reflect.DeepEqual(b.peers.all(), stored) {
		t.Error("forgeries changed the store")
	}
	if n := a.fetches.Load() + other.fetches.Load(); n > 2 {
		t.Errorf("%d documents were fetched, want 2: one a host", n)
	}
	honest()
	t.Logf("%d forgeries", count)
}
