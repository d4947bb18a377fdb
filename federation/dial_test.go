package federation

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

var publicAddresses = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
	"169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	"2600::1", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe:ffff::1", "2001:db7:ffff::1", "2001:db9::1",
}

// TestAddresses dials each address; none of the special ones gets as far as
// connect.
func TestAddresses(t *testing.T) {
	refused := forgery.SpecialAddresses()
	if len(refused) < 120 {
		t.Errorf("%d addresses, want at least 120", len(refused))
	}
	d := newDialer(false)
	for _, a := range refused {
		if public(a) {
			t.Errorf("%s counts as public", a)
		}
		ap := netip.AddrPortFrom(a, 1).String()
		if err := d.check(t.Context(), "tcp", ap, nil); !errors.Is(err, errAddress) {
			t.Errorf("%s passes the check at dial: %v", ap, err)
		}
		if a.Is4In6() && public(a.Unmap()) {
			continue // package net dials the IPv4 address, which is public
		}
		if conn, err := d.dial(t.Context(), "tcp", ap); conn != nil || !errors.Is(err, errAddress) && a.Zone() == "" {
			t.Errorf("dialing %s: %v", ap, err)
		}
	}
	for _, s := range publicAddresses {
		if !public(netip.MustParseAddr(s)) {
			t.Errorf("%s does not count as public", s)
		}
	}
	t.Logf("%d addresses", len(refused))
}

// TestDevelopmentDial allows loopback and nothing else.
func TestDevelopmentDial(t *testing.T) {
	d := newDialer(true)
	for s, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "1.1.1.1:1": true,
		"10.0.0.1:1": false, "0.0.0.0:1": false, "[::]:1": false, "169.254.169.254:1": false, "[fe80::1]:1": false, "[64:ff9b::7f00:1]:1": false, "x": false,
	} {
		if got := d.check(t.Context(), "tcp", s, nil) == nil; got != want {
			t.Errorf("%s: allowed %v, want %v", s, got, want)
		}
	}
}

// TestNames are other spellings of addresses, which are no node names.
func TestNames(t *testing.T) {
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: newShelf(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []wire.NodeName{
		"127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "[::1]", "::1", "localhost", "localhost:80", "localhost.",
		"a.localhost", "127.0.0.1:80", "a.example:80", "a.example/x", "a.example#", "user@a.example", "a.example.", "A.example", "", "a", "a..example",
		"http://a.example", "1.2.3.0x4", "%31.example", "xn--a.example", "a.example\n", nodeB,
	} {
		if _, err := c.Document(t.Context(), n); !errors.Is(err, wire.Invalid) {
			t.Errorf("document of %q: %v", n, err)
		}
		if _, err := c.To(n).Keys(t.Context(), wire.KeysRequest{}); !errors.Is(err, wire.Invalid) {
			t.Errorf("keys of %q: %v", n, err)
		}
		if _, err := c.fetchDocument(t.Context(), n); !errors.Is(err, wire.Invalid) {
			t.Errorf("fetch from %q: %v", n, err)
		}
	}
}

// TestResolvedAddress refuses a public name that leads to a private address, at
// both requests that a client makes.
func TestResolvedAddress(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"} {
		d := newDialer(false)
		d.net.Resolver = forgery.Resolver(t, func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(addr)} })
		shelf := newShelf()
		c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: shelf, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.http = newHTTP(newTransport(d))
		want := "node a.example cannot be reached: the address is not a public one"
		if _, err := c.Document(t.Context(), nodeA); !errors.Is(err, wire.Unavailable) || err.Error() != want {
			t.Errorf("document at %s: %v", addr, err)
		}
		meet(t, shelf, nodeA, time.Now())
		if _, err := c.To(nodeA).Keys(t.Context(), wire.KeysRequest{}); !errors.Is(err, wire.Unavailable) || err.Error() != want {
			t.Errorf("keys at %s: %v", addr, err)
		}
	}
}
