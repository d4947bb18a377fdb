package federation

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A WitnessAnswer is what a witness has answered to a checkpoint (c2sp.org/tlog-witness):
// a line of a signature with 200, a size with 409. A node that does not cosign shows with
// it what it cosigned last, as the log has signed it.
type WitnessAnswer struct {
	Status int
	Body   []byte
	Seen   []byte             // a checkpoint; nil for none
	By     *wire.NodeDocument // of the node that was asked; nil for a URL
}

// maxWitnessAnswer is more than the lines of a few keys.
const maxWitnessAnswer = 16 << 10

// AddCheckpoint brings a checkpoint to a node, which is a witness by the key in its
// document. Such requests are not signed: the checkpoint is.
//
// Errors: those of Document.
func (c *Client) AddCheckpoint(ctx context.Context, node wire.NodeName, body []byte) (a WitnessAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if a.By, err = c.Document(ctx, node); err != nil {
		return a, err
	}
	g := c.gates.join(node)
	defer c.gates.leave(node, g)
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return a, unreachable(node, ctx.Err())
	}
	return c.askWitness(ctx, node, a, a.By.Host.Origin()+wire.PathWitness, body)
}

// AddCheckpointAt brings a checkpoint to the witness at a URL that the operator of this
// node has named: its submission prefix, and add-checkpoint. It is reached as other nodes
// are, at public addresses alone.
func (c *Client) AddCheckpointAt(ctx context.Context, at *url.URL, body []byte) (WitnessAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.askWitness(ctx, wire.NodeName(at.Host), WitnessAnswer{}, at.String(), body)
}

func (c *Client) askWitness(ctx context.Context, node wire.NodeName, out WitnessAnswer, at string, body []byte) (WitnessAnswer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return out, unreachable(node, err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	a, err := c.do(r, node, maxWitnessAnswer)
	if err != nil {
		return out, unreachable(node, err)
	}
	out.Status, out.Body = a.status, a.body
	if seen, err := base64.StdEncoding.DecodeString(a.seen); err == nil && len(seen) > 0 {
		out.Seen = seen
	}
	return out, nil
}
