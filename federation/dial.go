package federation

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

const (
	dialTimeout   = 3 * time.Second
	headerTimeout = 8 * time.Second
	idleTimeout   = 60 * time.Second
)

// errAddress tells that a name leads to an address that is not public.
var errAddress = errors.New("the address is not a public one")

// special4 are the IPv4 ranges that are not public, from the IANA IPv4
// Special-Purpose Address Registry and, for multicast, RFC 5771.
var special4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// special6 are the ranges inside global unicast that are not public. Everything
// outside of global6 is refused as a whole: loopback, mapped and translated
// addresses, unique local, link local, site local, multicast and what is not
// assigned (RFC 4291, section 2.4, and the IANA IPv6 registry).
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

func prefixes(list ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(list))
	for i, s := range list {
		p[i] = netip.MustParsePrefix(s)
	}
	return p
}

// public reports whether a is an address of the public network.
func public(a netip.Addr) bool {
	special := special4
	if a.Is6() {
		if !global6.Contains(a) { // as is every address with a zone
			return false
		}
		special = special6
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// A dialer opens connections to public addresses only. It judges the address
// that is about to be connected to, after the name was resolved: a name that
// leads elsewhere the second time gains nothing.
type dialer struct {
	development bool // loopback too
	net         net.Dialer
}

func newDialer(development bool) *dialer {
	d := &dialer{development: development}
	d.net = net.Dialer{Timeout: dialTimeout, ControlContext: d.check}
	return d
}

// check is called for each address before connect(2).
func (d *dialer) check(_ context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return errAddress
	}
	if public(a.Addr()) || d.development && a.Addr().IsLoopback() {
		return nil
	}
	return errAddress
}

// dial opens a connection to address, a host and port. In development localhost
// is loopback, whatever the resolver thinks.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	port, local := strings.CutPrefix(address, "localhost:")
	if !local || !d.development {
		return d.net.DialContext(ctx, network, address)
	}
	conn, err := d.net.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if conn6, err6 := d.net.DialContext(ctx, "tcp6", net.JoinHostPort("::1", port)); err6 == nil {
			return conn6, nil
		}
	}
	return conn, err
}

// newTransport makes what carries the requests of a Client: pooled HTTP/1.1, no
// proxy, no compression, every step under a time limit.
func newTransport(d *dialer) *http.Transport {
	t := &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    maxAtOnce,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// newHTTP makes the one http.Client of a Client, which follows no redirects.
func newHTTP(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
