package node

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What others expect of every server that has people: NodeInfo and WebFinger.
// Both say what can be found out without them, and no more.

// NodeInfo tells what this is. It counts nobody: how many people a node has, how
// many of them are there and how much they write is theirs.
func (n *Node) NodeInfo(open bool) wire.NodeInfo {
	return wire.NodeInfo{
		Version:           "2.1",
		Software:          wire.NodeInfoSoftware{Name: "peerbrain", Version: Version()},
		Protocols:         []string{"peerbrain"},
		Services:          wire.NodeInfoServices{Inbound: []string{}, Outbound: []string{}},
		OpenRegistrations: open,
	}
}

// WebFinger tells whether an address is registered here, as a key look-up would.
// Whatever else is asked for, the error is the same wire.NotExist.
func (n *Node) WebFinger(ctx context.Context, resource string) (wire.WebFinger, error) {
	nobody := wire.Errorf(wire.NotExist, "resource", "nobody is registered here under that address")
	text, ok := strings.CutPrefix(resource, "acct:")
	address, err := wire.ParseAddress(text)
	if !ok || err != nil || address.Node != n.name {
		return wire.WebFinger{}, nobody
	}
	if _, err := n.account(ctx, address.Handle); errors.Is(err, wire.NotExist) {
		return wire.WebFinger{}, nobody
	} else if err != nil {
		return wire.WebFinger{}, err
	}
	return wire.WebFinger{
		Subject: "acct:" + address.String(),
		Links:   []wire.WebLink{{Rel: wire.RelDocument, Type: wire.MediaJSON, Href: n.name.Origin() + wire.PathDocument}},
	}, nil
}

func serveNodeInfoLinks(_ context.Context, a *api, _ *incoming) (any, error) {
	return wire.NodeInfoLinks{Links: []wire.WebLink{{Rel: wire.RelNodeInfo, Href: a.node.host.Origin() + wire.PathNodeInfo}}}, nil
}

func serveNodeInfo(_ context.Context, a *api, _ *incoming) (any, error) {
	return reply{status: 200, contentType: wire.MediaNodeInfo, value: a.node.NodeInfo(!a.closed)}, nil
}

func serveWebFinger(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askWebFinger, network(r.from)); err != nil {
		return nil, err
	}
	resource, err := r.resource()
	if err != nil {
		return nil, err
	}
	found, err := a.node.WebFinger(ctx, resource)
	if err != nil {
		return nil, err
	}
	return reply{status: 200, contentType: wire.MediaJRD, value: found}, nil
}

// resource returns the one parameter of that name, with its escapes resolved
// (RFC 7033, section 4.1). Others are left aside: rel would only choose among
// links, and there is one.
func (r *incoming) resource() (resource string, _ error) {
	_, query, _ := strings.Cut(r.target, "?")
	count := 0
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "resource" {
			continue
		}
		count++
		resource, _ = url.PathUnescape(value) // empty where an escape is broken
	}
	if count != 1 || resource == "" {
		return "", wire.Errorf(wire.Invalid, "resource", "one such as acct:alice@node.example was expected")
	}
	return resource, nil
}
