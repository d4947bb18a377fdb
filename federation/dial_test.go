package federation

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Ranges of the IANA special-purpose registries (2025), multicast and others that
// are not the public network. First and last address of each must be refused.
var specialRanges = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29",
	"192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/31", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"255.255.255.255/32",
	"::1/128", "::/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
	"2001:1::1/128", "2001:1::2/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28",
	"2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
}

// Addresses that were used against other servers.
var specialAddresses = []string{
	"127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.168.1.1", "172.31.255.254",
	"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:127.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "fd00:ec2::254",
	"fe80::1", "fe80::1%eth0", "2600::1%eth0", "ff02::1", "fec0::1", "4000::1", "1fff::1", "8000::1",
}

var publicAddresses = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
	"169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	"2600::1", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe:ffff::1", "2001:db7:ffff::1", "2001:db9::1",
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// TestAddresses dials each address; none of the special ones gets as far as
// connect.
func TestAddresses(t *testing.T) {
	refused := map[netip.Addr]bool{}
	for _, s := range specialRanges {
		p := netip.MustParsePrefix(s)
		refused[p.Addr()], refused[lastOf(p)] = true, true
	}
	for _, s := range specialAddresses {
		refused[netip.MustParseAddr(s)] = true
	}
	if len(refused) < 120 {
		t.Errorf("%d addresses, want at least 120", len(refused))
	}
	d := newDialer(false)
	for a := range refused {
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

// lyingDNS answers each question for an IPv4 address with addr.
func lyingDNS(t *testing.T, addr netip.Addr) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12
			for buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			isA := binary.BigEndian.Uint16(buf[end-4:]) == 1 && n >= end
			res := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, buf[12:end]...)
			if isA {
				res[7] = 1
				res = append(res, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
				res = append(res, addr.AsSlice()...)
			}
			pc.WriteTo(res, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", pc.LocalAddr().String())
	}}
}

// TestResolvedAddress refuses a public name that leads to a private address, at
// both requests that a client makes.
func TestResolvedAddress(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"} {
		d := newDialer(false)
		d.net.Resolver = lyingDNS(t, netip.MustParseAddr(addr))
		shelf := newShelf()
		c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: shelf, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.http = newHTTP(d)
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
