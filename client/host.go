package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// hostFresh is how long a node's word where its API is counts.
const hostFresh = 5 * time.Minute

// hosts finds where the API of a node is: at its name, or at the one host that its
// document names. The document is signed, and asked for at the name alone, before
// anything is sent: the name may belong to somebody who runs no node, and has to
// see no token. A node that leads its people to another's host has given their
// requests away, which are in its own name, and gets nothing for it.
type hosts struct {
	mu    sync.Mutex
	known map[wire.NodeName]knownHost
}

type knownHost struct {
	host  wire.NodeName
	until time.Time
}

// of returns the host of a node; or the answer of a node that is busy, which says
// when to come again. ask sends a request to a host.
func (h *hosts) of(ctx context.Context, node wire.NodeName, ask func(context.Context, wire.NodeName, *Request) (*Response, error)) (wire.NodeName, *Response, error) {
	h.mu.Lock()
	last, known := h.known[node]
	h.mu.Unlock()
	if known && time.Now().Before(last.until) {
		return last.host, nil, nil
	}
	answer, err := ask(ctx, node, &Request{Method: "GET", Node: node, Path: wire.PathDocument})
	host, busy := node, false
	if err == nil {
		host, busy, err = openHost(node, answer)
	}
	switch {
	case known && (busy || errors.Is(err, wire.Unavailable)):
		return last.host, nil, nil // it only tells where to go
	case busy:
		return "", answer, nil
	case err != nil:
		return "", nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = make(map[wire.NodeName]knownHost)
	}
	h.known[node] = knownHost{host, time.Now().Add(hostFresh)}
	return host, nil, nil
}

// openHost reads a document, or that the node is busy.
func openHost(node wire.NodeName, answer *Response) (host wire.NodeName, busy bool, err error) {
	if answer.Status != 200 {
		refused := refusal(node, answer)
		if refused.Kind == wire.Unavailable {
			return "", refused.RetryAfter > 0, refused
		}
		return "", false, wire.Errorf(wire.Unavailable, "node", "%s is no node: it answers with status %d where its document should be", node, answer.Status)
	}
	var reply wire.NodeDocumentReply
	if err := wire.DecodeJSON(answer.Body, &reply); err != nil {
		return "", false, wire.Errorf(wire.Unavailable, "node", "the document of %s is not understood (%s)", node, reason(err))
	}
	d, err := reply.Open(node) // the changes of the root mean nothing where none is pinned
	switch {
	case errors.Is(err, wire.Update):
		return "", false, err
	case err != nil:
		return "", false, wire.Errorf(wire.Tampered, "node", "the document that %s shows is not right: %s", node, reason(err))
	}
	return d.Host, false, nil
}
