package node

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// ways are those by which a name that somebody else has chosen makes a node ask
// another, by the function that asks in the end: TestWaysAreKnown holds the code to
// it that there are no others. Each returns what came of it.
func ways(n *testNode, ann *testPerson) map[string]map[string]func(name wire.NodeName) error {
	ctx := n.world.t.Context()
	stranger := func(name wire.NodeName) *testPerson {
		return &testPerson{address: wire.Address{Handle: "eve", Node: name}, account: random32()}
	}
	return map[string]map[string]func(wire.NodeName) error{
		"askKeys": {
			"keys that a person looks up": func(name wire.NodeName) error {
				_, err := ann.as().Person.Keys(ctx, wire.KeysRequest{Address: stranger(name).address})
				return err
			},
			"an offer of a person": func(name wire.NodeName) error {
				to := stranger(name)
				if _, err := wire.ParseNodeName(string(name)); err != nil {
					to = stranger(south) // no statement can name such a node; a request may try
				}
				offer := ann.offer(to)
				offer.Address.Node = name
				_, err := ann.as().Person.Tell(ctx, offer)
				return err
			},
			"whose words another node passes on": func(name wire.NodeName) error {
				eve := stranger(name)
				_, err := n.peer(name).Deliver(ctx, wire.PeerFriendRequest{
					From: eve.address, FromAccount: eve.account, To: ann.address, ToAccount: ann.account,
					FriendStatement: wire.FriendStatement{Kind: wire.FriendOffer, Statement: ann.offer(stranger(south)).Statement},
				})
				return err
			},
		},
		"handOver": {"a friendship in the store": func(name wire.NodeName) error {
			p := pair{ann.account, random32()}
			return n.handOver(ctx, p, &friendRecord{Handle: "eve", Node: name}, queuedRecord{Kind: wire.FriendOffer, Statement: []byte("?")})
		}},
		"tellTombstone": {"a friendship that a deletion left": func(name wire.NodeName) error {
			return n.tellTombstone(ctx, wire.PeerFriendRequest{
				From: ann.address, FromAccount: ann.account, To: wire.Address{Handle: "eve", Node: name}, ToAccount: random32(),
				FriendStatement: wire.FriendStatement{Kind: wire.FriendTombstone, Statement: []byte("?")},
			})
		}},
		"TrustRoot": {"a root that the operator trusts": func(name wire.NodeName) error {
			if _, err := wire.ParseNodeName(string(name)); err == nil {
				r := somePeer(n.world.t, name, 1, 1)
				r.Fetched = time.Time{} // in quarantine
				if err := n.known.SavePeer(ctx, r, r.Root); err != nil {
					return err
				}
			}
			return n.TrustRoot(ctx, string(name), wire.Nonce(somePeer(n.world.t, south, 2, 1).Root).String())
		}},
		"witnessedLog": {"the origin of a log to be cosigned, of a node that is known": func(name wire.NodeName) error {
			if _, err := wire.ParseNodeName(string(name)); err == nil {
				r := somePeer(n.world.t, name, 1, 1)
				r.Fetched = n.world.clock.now().Add(-2 * time.Hour)
				if err := n.known.SavePeer(ctx, r, r.Root); err != nil {
					return err
				}
			}
			_, err := n.witnessedLog(ctx, &keyservice.AddCheckpoint{Origin: string(name) + "/v1/log/1"})
			return err
		}},
		"askNear": {"a node at which people have friends, to cosign": func(name wire.NodeName) error {
			_, _, err := n.askNear(ctx, name, []byte("old 0\n"))
			return err
		}},
		"tell":    {"a notice": func(name wire.NodeName) error { return n.tell(ctx, name, nil, nil, true) }},
		"askSync": {"a stream to copy": func(name wire.NodeName) error { _, err := n.askSync(ctx, name, wire.SyncRequest{}); return err }},
	}
}

// TestNamesThatLeadInside gives each way public names that resolve to special
// addresses, all there are, and names that are addresses themselves: what is to be
// signed and sent is never sent there. The signature of a request, and the host in a
// document, have TestEveryDoor of package federation.
func TestNamesThatLeadInside(t *testing.T) {
	addresses := slices.DeleteFunc(forgery.SpecialAddresses(), func(a netip.Addr) bool { return a.Zone() != "" || a == netip.MustParseAddr("::ffff:8.8.8.8") })
	if len(addresses) < 120 {
		t.Fatalf("%d addresses, want at least 120", len(addresses))
	}
	resolver, asked := forgery.Numbered(t, addresses)
	before := net.DefaultResolver
	net.DefaultResolver = resolver
	defer func() { net.DefaultResolver = before }()
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ann := n.person("ann")
	n.peers, n.witnesses = n.client, n.client // and no world in between
	way := 0
	for site, list := range ways(n, ann) {
		for what, enter := range list {
			way++
			t.Run(site+": "+what, func(t *testing.T) {
				for i, a := range addresses {
					w.clock.advance(6 * time.Minute) // within all budgets, and no failure is remembered
					name := wire.NodeName(fmt.Sprintf("a%d.d%d-%d.example", i, i, way))
					err := enter(name)
					var known *wire.Error
					if !errors.As(err, &known) || known.Kind != wire.Unavailable || !strings.HasSuffix(known.Detail, "the address is not a public one") {
						t.Fatalf("%s: got %v", a, err)
					}
					if !asked(string(name)) {
						t.Errorf("%s: nobody asked where %s is", a, name)
					}
				}
				for _, name := range []wire.NodeName{"127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "[::1]", "localhost", "localhost:80", "a.example:80"} {
					w.clock.advance(6 * time.Minute)
					if err := enter(name); err != nil && wire.KindOf(err) == wire.Unavailable {
						t.Errorf("%s: got %v", name, err)
					}
					if host, _, _ := strings.Cut(string(name), ":"); asked(host) {
						t.Errorf("%s: somebody asked where it is", name)
					}
				}
			})
		}
	}
}

// askNobody are methods of a client that ask nobody.
var askNobody = []string{"Close", "Noticed", "State", "Sweep"}

// TestWaysAreKnown reads the code for functions that ask another node.
func TestWaysAreKnown(t *testing.T) {
	found := map[string]bool{}
	for _, path := range must(filepath.Glob("*.go")) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file := must(parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution))
		for _, d := range file.Decls {
			ast.Inspect(d, func(node ast.Node) bool {
				f, in := d.(*ast.FuncDecl)
				if s, ok := node.(*ast.SelectorExpr); ok && in {
					of, ok := s.X.(*ast.SelectorExpr)
					if ok && of.Sel.Name == "peers" && s.Sel.Name == "To" || ok && of.Sel.Name == "witnesses" && s.Sel.Name == "AddCheckpoint" || ok && of.Sel.Name == "client" && !slices.Contains(askNobody, s.Sel.Name) {
						found[f.Name.Name] = true
					}
				}
				return true
			})
		}
	}
	n := newWorld(t).open(north, nil, nil)
	known := ways(n, n.newPerson("ann"))
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(known)); !slices.Equal(got, want) {
		t.Errorf("%q ask other nodes, and ways has %q", got, want)
	}
}
