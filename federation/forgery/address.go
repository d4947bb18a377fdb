package forgery

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
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
	"127.0.0.53", "169.254.169.123", "192.168.122.1", "10.96.0.1", "172.17.0.1", "192.0.0.192", "fd12:3456:789a::1", "64:ff9b::c0a8:101", "64:ff9b::a00:1",
	"2002:c0a8:101::1", "2001:0:a9fe:a9fe::", "2001:db8::1", "fe80::a9fe:a9fe", "ff05::2", "::a9fe:a9fe",
	"fe80::1", "fe80::1%eth0", "2600::1%eth0", "ff02::1", "fec0::1", "4000::1", "1fff::1", "8000::1",
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// SpecialAddresses are those that no node may dial, each once: of each range the
// first and the last, and what was used against other servers.
func SpecialAddresses() []netip.Addr {
	var all []netip.Addr
	for _, s := range specialRanges {
		p := netip.MustParsePrefix(s)
		all = append(all, p.Addr(), lastOf(p))
	}
	for _, s := range specialAddresses {
		all = append(all, netip.MustParseAddr(s))
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Numbered resolves the name "aN." and whatever follows to the address N of a list,
// and tells of which names it was asked.
func Numbered(t testing.TB, addresses []netip.Addr) (r *net.Resolver, asked func(name string) bool) {
	t.Helper()
	var names sync.Map
	r = Resolver(t, func(name string) []netip.Addr {
		names.Store(name, true)
		var i int
		if _, err := fmt.Sscanf(name, "a%d.", &i); err != nil || i >= len(addresses) {
			return nil
		}
		return addresses[i : i+1]
	})
	return r, func(name string) bool { _, ok := names.Load(name); return ok }
}

// Resolver asks f about every name, each time anew.
func Resolver(t testing.TB, f func(name string) []netip.Addr) *net.Resolver {
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
			end, labels := 12, []string{}
			for buf[end] != 0 {
				labels = append(labels, string(buf[end+1:end+1+int(buf[end])]))
				end += int(buf[end]) + 1
			}
			end += 5
			kind := binary.BigEndian.Uint16(buf[end-4:])
			res := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, buf[12:end]...)
			for _, addr := range f(strings.Join(labels, ".")) {
				if addr.Is4() && kind == 1 || addr.Is6() && kind == 28 && n >= end {
					res[7]++
					res = append(res, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 1, 0, byte(addr.BitLen()/8))
					res = append(res, addr.AsSlice()...)
				}
			}
			pc.WriteTo(res, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", pc.LocalAddr().String())
	}}
}
