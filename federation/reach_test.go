package federation

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A door is a way by which a name that others have chosen gets to a dial.
type door func(t *testing.T, c *Client, shelf *peerShelf, name wire.NodeName, now time.Time) error

// doors are all there are: what an API asks of a node, what it asks at the host that
// a node's document names, a document, and who has signed a request. They are taken
// from API and Paths, so what is new there is among them; TestNothingElseDials holds
// the code to it that there are no others.
func doors(t *testing.T) map[string]door {
	all := map[string]door{
		"document": func(t *testing.T, c *Client, _ *peerShelf, name wire.NodeName, _ time.Time) error {
			_, err := c.Document(t.Context(), name)
			return err
		},
	}
	all["a checkpoint to cosign"] = func(t *testing.T, c *Client, _ *peerShelf, name wire.NodeName, _ time.Time) error {
		_, err := c.AddCheckpoint(t.Context(), name, nil)
		return err
	}
	all["a checkpoint to cosign at the host of a document"] = func(t *testing.T, c *Client, shelf *peerShelf, name wire.NodeName, now time.Time) error {
		honest := wire.NodeName("honest-" + string(name))
		s := testSecrets("honest")
		d, err := MakeDocument(DocumentOptions{Name: honest, Host: name, Secrets: s, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		shelf.m[honest] = PeerRecord{Name: honest, Root: s.Root.Public(), Document: d, Fetched: now}
		_, err = c.AddCheckpoint(t.Context(), honest, nil)
		return err
	}
	all["a checkpoint to cosign at a URL"] = func(t *testing.T, c *Client, _ *peerShelf, name wire.NodeName, _ time.Time) error {
		_, err := c.AddCheckpointAt(t.Context(), &url.URL{Scheme: "https", Host: string(name), Path: "/add-checkpoint"}, nil)
		return err
	}
	ask := func(t *testing.T, api API, method int) error {
		m := reflect.ValueOf(api).MethodByName(reflect.TypeFor[API]().Method(method).Name)
		out := m.Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.New(m.Type().In(1)).Elem()})
		err, _ := out[1].Interface().(error)
		return err
	}
	for i := range reflect.TypeFor[API]().NumMethod() {
		name := reflect.TypeFor[API]().Method(i).Name
		all[name] = func(t *testing.T, c *Client, _ *peerShelf, name wire.NodeName, _ time.Time) error {
			return ask(t, c.To(name), i)
		}
		all[name+" at the host of a document"] = func(t *testing.T, c *Client, shelf *peerShelf, name wire.NodeName, now time.Time) error {
			honest := wire.NodeName("honest-" + string(name))
			s := testSecrets("honest")
			d, err := MakeDocument(DocumentOptions{Name: honest, Host: name, Secrets: s, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			shelf.m[honest] = PeerRecord{Name: honest, Root: s.Root.Public(), Document: d, Fetched: now}
			return ask(t, c.To(honest), i)
		}
	}
	for _, path := range paths {
		all["key id of a request to "+path] = func(t *testing.T, c *Client, _ *peerShelf, name wire.NodeName, now time.Time) error {
			s, err := NewServer(ServerOptions{Self: nodeB, Client: c, Replay: &markShelf{}, Now: c.now, Log: quiet, For: func(VerifiedRequest) API { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			pen := forgery.NewPen(signer(name, testSecrets(string(name))), nodeB, forgery.Route{Path: path, Body: "{}"}, now)
			_, err = s.verify(t.Context(), write(pen))
			return err
		}
	}
	if want := 4 + 2*reflect.TypeFor[API]().NumMethod() + len(new(Server).Paths()); len(all) != want || want < 16 {
		t.Fatalf("%d doors, want %d", len(all), want)
	}
	return all
}

// TestEveryDoor leads each door to each special address, by a public name that
// resolves to it. None gets as far as connect.
func TestEveryDoor(t *testing.T) {
	addresses := slices.DeleteFunc(forgery.SpecialAddresses(), func(a netip.Addr) bool {
		return a.Zone() != "" || a.Is4In6() && public(a.Unmap()) // which no DNS has; which is dialed as what it maps
	})
	if len(addresses) < 120 {
		t.Fatalf("%d addresses, want at least 120", len(addresses))
	}
	for what, enter := range doors(t) {
		t.Run(what, func(t *testing.T) {
			d := newDialer(false)
			resolver, asked := forgery.Numbered(t, addresses)
			d.net.Resolver = resolver
			now := time.Now()
			shelf := newShelf()
			c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: shelf, Log: quiet, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.http = newHTTP(newTransport(d))
			for i, a := range addresses {
				now = now.Add(2 * time.Second) // within all budgets of first contacts
				name := wire.NodeName(fmt.Sprintf("a%d.d%d.example", i, i))
				if err := enter(t, c, shelf, name, now); err == nil || !strings.HasSuffix(err.Error(), "cannot be reached: "+errAddress.Error()) {
					t.Errorf("%s: got %v", a, err)
				}
				if !asked(string(name)) {
					t.Errorf("%s: nobody asked where %s is: the door does not lead to a dial", a, name)
				}
			}
		})
	}
}

// TestRebinding has a name lead to a public address first, and to loopback the next
// time, or to both at once. Each address is judged when it is about to be connected
// to.
func TestRebinding(t *testing.T) {
	good, bad := netip.MustParseAddr("9.255.255.255"), netip.MustParseAddr("127.0.0.1")
	errStop := errors.New("it would connect")
	for what, test := range map[string]struct {
		answers [][]netip.Addr // one after the other, the last for ever
		want    []error
	}{
		"public first":   {[][]netip.Addr{{good}, {bad}}, []error{errStop, errAddress, errAddress}},
		"loopback first": {[][]netip.Addr{{bad}, {good}}, []error{errAddress, errStop}},
		"both at once":   {[][]netip.Addr{{good, bad}}, []error{nil, nil}}, // in which order they are tried is the resolver's
	} {
		t.Run(what, func(t *testing.T) {
			var mu sync.Mutex
			at, connects := 0, []string{}
			d := newDialer(false)
			d.net.Resolver = forgery.Resolver(t, func(string) []netip.Addr {
				mu.Lock()
				defer mu.Unlock()
				return test.answers[min(at, len(test.answers)-1)]
			})
			d.net.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
				if err := d.check(ctx, network, address, c); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				connects = append(connects, address)
				return errStop // nobody is bothered
			}
			for i, want := range test.want {
				mu.Lock()
				at = i
				mu.Unlock()
				if conn, err := d.dial(t.Context(), "tcp", "name.example:443"); conn != nil || err == nil || want != nil && !errors.Is(err, want) {
					t.Errorf("dial %d: got %v, want %v", i, err, want)
				}
			}
			for _, a := range connects {
				if a != good.String()+":443" {
					t.Errorf("it would connect to %s", a)
				}
			}
		})
	}
}

// dialing are the words of Go's libraries with which a program reaches another.
var dialing = map[string][]string{
	"net":  {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer"},
	"tls":  {"Dial", "DialWithDialer", "Dialer"},
	"http": {"Get", "Head", "Post", "PostForm", "NewRequest", "NewRequestWithContext", "Client", "Transport", "DefaultClient", "DefaultTransport"},
	"smtp": {"Dial", "SendMail"},
	"rpc":  {"Dial", "DialHTTP"},
}

// TestNothingElseDials reads the code of the node, and knows every function in it
// that reaches out of the process: whoever adds one leads it to TestEveryDoor.
func TestNothingElseDials(t *testing.T) {
	known := map[string]bool{
		"federation/client.go: type Client": false, // the one http.Client
		"federation/dial.go: type dialer":   false,
		"federation/dial.go: newDialer":     false,
		"federation/dial.go: newTransport":  false,
		"federation/dial.go: newHTTP":       false,
		"federation/send.go: attempt":       false, // to the host of a document that was asked for
		"federation/send.go: fetchDocument": false, // to a name that checkPeer has judged
		"federation/witness.go: askWitness": false, // to the host of a document that was asked for, or to a URL that the operator names

		"node/acme.go: openACME":               false, // to the CA that the operator names, and where its answers lead
		"node/control.go: openControl":         false, // a socket in the data folder, of a process that was killed
		"node/control.go: dialControl":         false, // a socket in the data folder
		"node/peerbrain-node/stage.go: serves": false, // a node that the demo has started
	}
	reached := map[string]bool{}
	for _, root := range []string{"../federation", "../keyservice", "../node"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || testKit(path) {
				return err
			}
			return findDials(path, func(where string) { reached[strings.TrimPrefix(filepath.ToSlash(path), "../")+": "+where] = true })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for where := range reached {
		if _, ok := known[where]; !ok {
			t.Errorf("%s reaches out: lead what it does to TestEveryDoor, and name it here", where)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(known)) {
		if !reached[where] {
			t.Errorf("%s does not reach out any more", where)
		}
	}
}

// testKit reports whether a file is of tests, though its name does not say so.
func testKit(path string) bool {
	for _, folder := range []string{"forgery", "secrettest", "storetest", "mongotest"} {
		if strings.Contains(path, "/"+folder+"/") {
			return true
		}
	}
	return false
}

// findDials calls found for each declaration of a file that names a word of dialing,
// or uses the client that others share.
func findDials(path string, found func(where string)) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		where := ""
		switch d := d.(type) {
		case *ast.FuncDecl:
			where = d.Name.Name
		case *ast.GenDecl:
			if s, ok := d.Specs[0].(*ast.TypeSpec); ok {
				where = "type " + s.Name.Name
			}
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if of, ok := s.X.(*ast.Ident); ok && slices.Contains(dialing[of.Name], s.Sel.Name) {
					found(where)
				}
			}
			return true
		})
	}
	return nil
}
