package mongo

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A cutter stands between a store and its server, and cuts connections at
// random: in the middle of a request, so that it never arrives; or in the
// middle of an answer, so that what was done is not acknowledged.
type cutter struct {
	listener          net.Listener
	server            string
	chance            atomic.Int64 // of each piece of bytes to be the last, of 1000
	requests, answers atomic.Int64 // that were cut
	gate              sync.RWMutex // held by a test to keep pieces from passing
	seen              chan []byte  // gets each request, if not nil

	mu   sync.Mutex
	open map[net.Conn]bool
	all  sync.WaitGroup
}

// newCutter returns a cutter that cuts nothing yet, and the URI of the server
// through it.
func newCutter(t *testing.T, uri string) (*cutter, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return cutterAt(t, l, uri)
}

func cutterAt(t *testing.T, l net.Listener, uri string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, server: u.Host, open: map[net.Conn]bool{}}
	u.Host, u.RawQuery = c.listener.Addr().String(), "directConnection=true"
	c.all.Go(c.accept)
	t.Cleanup(c.close)
	return c, u.String()
}

// close ends all connections and takes no more.
func (c *cutter) close() {
	c.listener.Close()
	c.mu.Lock()
	for conn := range c.open {
		conn.Close()
	}
	c.open = nil
	c.mu.Unlock()
	c.all.Wait()
}

func (c *cutter) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.server)
		if err != nil || !c.keep(near, far) {
			near.Close()
			continue
		}
		c.all.Go(func() { c.pass(far, near, &c.requests) })
		c.all.Go(func() { c.pass(near, far, &c.answers) })
	}
}

// keep remembers connections to close, unless it is too late.
func (c *cutter) keep(near, far net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		far.Close()
		return false
	}
	c.open[near], c.open[far] = true, true
	return true
}

// pass passes bytes on, until one side ends or it cuts.
func (c *cutter) pass(to, from net.Conn, cut *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if c.seen != nil && cut == &c.requests {
			c.seen <- append([]byte{}, piece[:n]...)
		}
		c.gate.RLock()
		c.gate.RUnlock() //lint:ignore SA2001 it only waits
		if n > 0 && rand.Int64N(1000) < c.chance.Load() {
			cut.Add(1)
			_, _ = to.Write(piece[:rand.IntN(n)]) // a part of it may arrive
			return
		}
		if _, failed := to.Write(piece[:n]); failed != nil || err != nil && err != io.EOF || n == 0 {
			return
		}
	}
}
