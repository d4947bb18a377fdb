package node

import (
	"context"
	"fmt"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TrustRoot ends the quarantine of a node that shows the given root key, and takes up
// what waited for it. Errors are sentences for the operator.
func (n *Node) TrustRoot(ctx context.Context, name, root string) error {
	node, err := wire.ParseNodeName(name)
	if err != nil {
		return fmt.Errorf("%q is no name of a node", clip(name))
	}
	key, err := wire.ParseNodeRootKey(root)
	if err != nil {
		return fmt.Errorf("%q is no root key: 52 characters of a-z and 2-7 were expected", clip(root))
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout*4/5) // who asks hears how it ended
	defer cancel()
	if err := n.client.Trust(ctx, node, key); err != nil {
		return err
	}
	n.resume(node)
	return nil
}
