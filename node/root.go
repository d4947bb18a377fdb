package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A node changes its root key only when its operator wants it to. One change of the
// record node/keys commits it: another seed takes the place of the old one, which is
// gone then, and what the old root signed about it is added to what was signed before.
// A document under the new root follows (publishKeys), at once, or when a process next
// looks at its keys.

// changesTo returns the changes that led the node called name to a root: all of them,
// but for those that no document shows yet.
func (k *nodeKeys) changesTo(name wire.NodeName, root wire.NodeRootKey) []wire.Signed {
	for i, s := range k.Changes {
		if c, err := wire.OpenRootChange(s, name); err == nil && c.New == root {
			return k.Changes[:i+1]
		}
	}
	return nil
}

// A RootRotation is what became of the root key of a node.
type RootRotation struct {
	Node wire.NodeName    `json:"node"`
	Old  wire.NodeRootKey `json:"old"`
	New  wire.NodeRootKey `json:"new"`
	Left int              `json:"left"` // how often it can be changed still
}

// RotateRoot gives the node another root key.
func (n *Node) RotateRoot(ctx context.Context) (RootRotation, error) {
	r, err := rotateRoot(ctx, n.own, n.name, n.now())
	if err != nil {
		return r, err
	}
	n.log.Warn("the root key is changed", "old", wire.Nonce(r.Old), "new", wire.Nonce(r.New), "changes_left", r.Left)
	return r, n.loadDocument(ctx)
}

// RotateRoot gives a node another root key: the one that serves c.Data or, if there
// is none, the one that lies there; or, of one on MongoDB, all its processes.
func RotateRoot(ctx context.Context, c Config) (r RootRotation, err error) {
	running, err := rekey(ctx, c, controlRotateRoot, func(own store.Store, name wire.NodeName) (err error) {
		r, err = rotateRoot(ctx, own, name, time.Now())
		return err
	})
	if err != nil || running == nil {
		return r, err
	}
	return readRootRotation(running)
}

func rotateRoot(ctx context.Context, own store.Store, name wire.NodeName, now time.Time) (r RootRotation, err error) {
	if _, _, err := storedDocument(ctx, own, name); err != nil {
		return r, err // before anything is changed
	}
	if r, err = changeRoot(ctx, own, name, wire.Hide(random32()), now); err != nil {
		return r, err
	}
	if _, err = publishKeys(ctx, own, name, now); err != nil {
		err = fmt.Errorf("the root key is changed, and will be published when the node next looks at its keys: %w", err)
	}
	return r, err
}

// changeRoot puts a seed in the place of the root's in node/keys, once: the store may
// do the same twice.
func changeRoot(ctx context.Context, own store.Store, name wire.NodeName, seed wire.Hidden[[32]byte], now time.Time) (r RootRotation, err error) {
	next := wire.NewNodeRootSecret(seed.Reveal())
	for {
		keys, rev, err := storedKeys(ctx, own)
		if err != nil {
			return r, err
		}
		root := keys.root()
		before, err := wire.OpenRootChanges(keys.Changes, name, root.Public())
		if err != nil {
			return r, err
		}
		if r.New == next.Public() && (root.Public() == r.New || slices.Contains(before, r.New)) {
			return r, nil
		}
		if len(keys.Changes) >= wire.MaxRootChanges {
			return r, wire.Errorf(wire.Limit, "root key", "it was changed %d times, which is as often as other nodes follow; it stays as it is", len(keys.Changes))
		}
		c := wire.RootChange{Version: wire.Version, Suite: wire.Suite, Name: name, Old: root.Public(), New: next.Public(), Created: now.UnixMilli()}
		signed, err := c.Sign(root)
		if err != nil {
			return r, err
		}
		keys.Root, keys.Changes = seed, append(keys.Changes, signed)
		r = RootRotation{Node: name, Old: c.Old, New: c.New, Left: wire.MaxRootChanges - len(keys.Changes)}
		err = own.Apply(ctx, putIf(keysKey, keys, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return r, err
		}
	}
}
