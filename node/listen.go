package node

import (
	"net"
	"net/netip"
	"sync"
)

// A cappedListener closes at once what comes above a number of connections, in
// all or of one address (see network), so that nobody takes them all. Proxies
// count in all only.
type cappedListener struct {
	net.Listener
	most, perAddress int
	proxies          []netip.Prefix

	mu   sync.Mutex
	open map[*cappedConn]struct{}
	from map[string]int
}

func newCappedListener(l net.Listener, most, perAddress int, proxies []netip.Prefix) *cappedListener {
	return &cappedListener{
		Listener: l, most: most, perAddress: perAddress, proxies: proxies,
		open: map[*cappedConn]struct{}{}, from: map[string]int{},
	}
}

// Accept implements net.Listener.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if capped := l.admit(c); capped != nil {
			return capped, nil
		}
		c.Close()
	}
}

func (l *cappedListener) admit(c net.Conn) *cappedConn {
	var remote netip.Addr
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		remote = t.AddrPort().Addr().Unmap()
	}
	capped := &cappedConn{Conn: c, listener: l, address: network(remote)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most || l.from[capped.address] >= l.perAddress && !isProxy(remote, l.proxies) {
		return nil
	}
	l.open[capped] = struct{}{}
	l.from[capped.address]++
	return capped
}

// closeAll closes what a graceful end has left.
func (l *cappedListener) closeAll() {
	l.mu.Lock()
	var left []*cappedConn
	for c := range l.open {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		c.Close()
	}
}

type cappedConn struct {
	net.Conn
	listener *cappedListener
	address  string
	closing  sync.Once
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.closing.Do(func() {
		l := c.listener
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, c)
		if l.from[c.address]--; l.from[c.address] == 0 {
			delete(l.from, c.address)
		}
	})
	return c.Conn.Close()
}
