package federation

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Trust ends the quarantine of a node that shows the given root key, by which its
// operator says that it is known: that root is pinned from then on. Errors have kind
// wire.Invalid, and a sentence for the operator here, if the node is not in quarantine
// or shows another root; else they say that its document cannot be had or stored.
func (c *Client) Trust(ctx context.Context, node wire.NodeName, root wire.NodeRootKey) error {
	return c.directory.trust(ctx, node, root)
}

func (d *directory) trust(ctx context.Context, node wire.NodeName, root wire.NodeRootKey) error {
	k, err := d.known(ctx, node)
	if err != nil {
		return err
	}
	if !k.quarantined() {
		return wire.Errorf(wire.Invalid, "node", "node %s is not in quarantine", node)
	}
	reply, err := d.fetch(ctx, node)
	if err != nil {
		return unreachable(node, err)
	}
	doc, err := reply.Open(node)
	if err != nil {
		return err
	}
	if doc.Root != root {
		return wire.Errorf(wire.Invalid, "root", "node %s shows the root key %s, and not the one that was given", node, wire.Nonce(doc.Root))
	}
	if err := d.save(ctx, node, known{doc, reply.Document, d.now(), nil}, k.doc.Root); err != nil {
		return err
	}
	d.log.Warn("a root key is pinned that the operator trusts", "peer", node, "pinned", wire.Nonce(k.doc.Root), "now", wire.Nonce(doc.Root))
	return nil
}
