// Package forgery is for tests: it writes the requests between nodes that no node
// may take for what they claim, and sends them.
//
// A Pen signs requests by hand, so that it can sign what no node would. A Forgery
// changes an honest request before or after it is signed; List makes them all for
// one Route: unsigned, or signed with the wrong key, for another host, target,
// body or time, or in another spelling. A Suite sends them to a node at its
// address, with what needs more than one request: replays, documents that do not
// have the key, framing that two servers read in two ways, and floods of
// strangers. Before and after, it sends honest requests, which have to pass: a
// node that refuses everything has refused no forgery.
//
// There is one list. The tests of package federation hold its Server to it,
// those of package node a whole node, its own or one that runs elsewhere. This
// package knows neither: what it writes depends on docs/protocol.md and on
// package wire, not on the code that it tests. No binary links it.
package forgery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Request is a request as it goes over the wire. It has the fields of
// federation.RawRequest, so that one converts into the other.
type Request struct {
	Method  string
	Target  string
	Headers [][2]string
	Body    []byte
}

// Header returns a pointer to the first value of name. It panics without one.
func (r *Request) Header(name string) *string {
	for i := range r.Headers {
		if r.Headers[i][0] == name {
			return &r.Headers[i][1]
		}
	}
	panic("forgery: no header " + name)
}

// Drop removes the first header called name, if there is one.
func (r *Request) Drop(name string) {
	i := slices.IndexFunc(r.Headers, func(h [2]string) bool { return h[0] == name })
	if i >= 0 {
		r.Headers = append(r.Headers[:i:i], r.Headers[i+1:]...)
	}
}

// Add appends a header line.
func (r *Request) Add(name, value string) {
	r.Headers = append(r.Headers, [2]string{name, value})
}

// SetBody replaces the body, and Content-Length with it.
func (r *Request) SetBody(body string) {
	r.Body = []byte(body)
	*r.Header("Content-Length") = strconv.Itoa(len(body))
}

// Bytes is r in HTTP/1.1.
func (r *Request) Bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "\r\n%s", r.Body)
	return []byte(b.String())
}

// A Route is one path of the API between nodes, with two different bodies that
// an honest node may send there.
type Route struct {
	Path  string
	Body  string
	Other string
	// Check judges the body of the answer to an honest request with Body; nil for
	// no matter what.
	Check func(answer []byte) error
}

// The401 is the body of the answer that every forgery gets.
func The401() string { return string(wire.EncodeJSON(wire.ProblemOf(wire.Unauthenticated))) }
