package load

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Requests are written by hand and connections kept here, since on one machine
// whatever a request costs here is taken from the node.

// maxAddresses is how many addresses the people of a node share, where there are
// enough of them.
const maxAddresses = 256

const dialTimeout = 5 * time.Second

// A node is one of those that are asked, with the connections to it.
type node struct {
	name  wire.NodeName
	dial  func(ctx context.Context, from net.Addr) (net.Conn, error)
	pools []pool // one for each address that people come from

	refused atomic.Pointer[refusal] // the last
}

// A pool keeps the connections of one address.
type pool struct {
	from net.Addr // nil for whichever the system chooses
	mu   sync.Mutex
	idle []*connection
}

type connection struct {
	net.Conn
	in     *bufio.Reader
	out    []byte // room for requests
	reused bool
}

// parseNode reads the URL of a node. A development node is reached over loopback.
func parseNode(text string) (*node, error) {
	wrong := func(why string) error {
		return wire.Errorf(wire.Invalid, "node", "%q is no URL of a node (%s): http://localhost:8081 was expected", text, why)
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, wrong("a scheme and a name")
	}
	name, err := wire.ParseNodeName(u.Host)
	if err != nil {
		return nil, wrong("its name is wrong")
	}
	if name.Development() {
		return &node{name: name, dial: func(ctx context.Context, from net.Addr) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout, LocalAddr: from}
			return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", cmp.Or(u.Port(), "80")))
		}}, nil
	}
	return &node{name: name, dial: func(ctx context.Context, _ net.Addr) (net.Conn, error) {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}}
		return d.DialContext(ctx, "tcp", net.JoinHostPort(string(name), "443"))
	}}, nil
}

// spreads reports whether people can come from addresses of their own. All of
// 127.0.0.0/8 is this machine on Linux; elsewhere 127.0.0.1 alone.
func (n *node) spreads() bool { return n.name.Development() && runtime.GOOS == "linux" }

// spread gives n as many addresses as count people are to come from.
func (n *node) spread(count int) {
	n.pools = make([]pool, 1)
	if !n.spreads() {
		return
	}
	n.pools = make([]pool, min(max(count, 1), maxAddresses))
	for i := range n.pools {
		n.pools[i].from = &net.TCPAddr{IP: net.IPv4(127, 77, byte(i>>8), byte(i+1))}
	}
}

func (n *node) close() {
	for i := range n.pools {
		p := &n.pools[i]
		p.mu.Lock()
		for _, c := range p.idle {
			c.Close()
		}
		p.idle = nil
		p.mu.Unlock()
	}
}

// A request goes to a node from one of the addresses of its people.
type request struct {
	method, path string
	from         int
	token        wire.Token
	body         []byte // JSON, nil for none
	accept       string // a media type, "" for JSON
	last         string // id of the last event, "" for none
}

// ask sends a request and reads the answer to its end. A connection that the node
// has closed meanwhile is replaced once: all requests here may be sent again.
func (n *node) ask(ctx context.Context, r *request, timeout time.Duration) (answer, error) {
	deadline := time.Now().Add(timeout)
	p := &n.pools[r.from%len(n.pools)]
	for {
		c, err := p.take(ctx, n)
		if err != nil {
			return answer{}, n.away(ctx, err)
		}
		a, keep, err := c.exchange(ctx, deadline, n.name, r)
		switch {
		case err == nil && keep:
			p.put(c)
		default:
			c.Close()
		}
		if err != nil && c.reused && ctx.Err() == nil && errors.Is(err, errUnanswered) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return answer{}, n.away(ctx, err)
		}
		return a, nil
	}
}

func (p *pool) take(ctx context.Context, n *node) (*connection, error) {
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		c := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		c.reused = true
		return c, nil
	}
	p.mu.Unlock()
	c, err := n.dial(ctx, p.from)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 32<<10)}, nil
}

func (p *pool) put(c *connection) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// errUnanswered says that a connection ended before anything came back.
var errUnanswered = errors.New("the connection was closed before there was an answer")

func (c *connection) exchange(ctx context.Context, deadline time.Time, host wire.NodeName, r *request) (a answer, keep bool, err error) {
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(deadline) {
		deadline = sooner
	}
	if err := c.SetDeadline(deadline); err != nil {
		return a, false, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })() // fails for closed ones alone
	c.out = r.append(c.out[:0], host)
	if _, err := c.Write(c.out); err != nil {
		return a, false, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	if _, err := c.in.Peek(1); err != nil {
		return a, false, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	a, keep, err = readAnswer(c.in)
	return a, keep && ctx.Err() == nil, err
}

// append appends the request as it goes over the wire.
func (r *request) append(b []byte, host wire.NodeName) []byte {
	b = append(append(append(b, r.method...), ' '), r.path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(append(append(b, "\r\nAccept: "...), cmp.Or(r.accept, wire.MediaJSON)...), "\r\nUser-Agent: peerbrain\r\n"...)
	if r.last != "" {
		b = append(append(append(b, wire.HeaderLastEvent+": "...), r.last...), "\r\n"...)
	}
	if !r.token.IsZero() {
		b = append(append(append(b, "Authorization: Bearer "...), r.token.Reveal()...), "\r\n"...)
	}
	if r.body != nil {
		b = append(b, "Content-Type: "+wire.MediaJSON+"\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(r.body)), 10), "\r\n"...)
	}
	return append(append(b, "\r\n"...), r.body...)
}

// away says why there is no answer.
func (n *node) away(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return wire.Errorf(wire.Unavailable, "node", "%s did not answer in time", n.name)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return wire.Errorf(wire.Unavailable, "node", "%s cannot be reached: %v", n.name, err)
}
