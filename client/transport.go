package client

import (
	"context"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Transport carries one request to a node and its answer back. Do returns an
// error only when there is no answer, of kind wire.Unavailable (or the
// context's); answers with an error status are no errors to it. It follows no
// redirects, sends the token in the Authorization header alone and the code in
// wire.HeaderSecondFactor, and may be used by several goroutines.
type Transport interface {
	Do(ctx context.Context, r *Request) (*Response, error)
}

// A Homebound Transport cannot ask every node: that of a page asks the node it belongs to
// alone. What a client would ask others is left out then, and keys that were not looked
// up in the log of their node are KeysNew.
type Homebound interface {
	Transport
	Reaches(node wire.NodeName) bool
}

// reaches reports whether a node can be asked at all.
func (c *Client) reaches(node wire.NodeName) bool {
	bound, ok := c.transport.(Homebound)
	return !ok || bound.Reaches(node)
}

// A Request goes to the node called Node.
type Request struct {
	Method string
	Node   wire.NodeName
	Path   string          // with the query
	Token  wire.Token      // zero for requests without a session
	Code   wire.FactorCode // of a second factor; zero for none
	Body   []byte          // JSON, nil for none
}

// A Response is the answer of a node.
type Response struct {
	Status int
	Body   []byte
	Date   time.Time // the node's clock; zero when it was not told
}

// MaxResponse is the most that is read of an answer, in bytes: the largest vault
// in base64 with its heads.
const MaxResponse = 8 << 20
