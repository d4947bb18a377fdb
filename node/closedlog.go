package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A log that a witness has seen further than it is, or otherwise, goes on from an older
// copy of the node's files, without a restore. Whatever it signed from here on would
// contradict what was signed before, so it is closed: nothing is added, nobody registers
// or gets other keys, and the node cosigns no other log either, since it does not know what
// it has said of those. That takes more than the word of a witness: the checkpoint that it
// saw, which this log's own key has signed. It is kept in the record of the log, for all
// processes, and over a start. A restore begins another log, and ends that (renumbered).

// closed is what is said to those for whom something would have been added.
func closed() error {
	return wire.Errorf(wire.Unavailable, "log", "the log of keys of this node has fallen behind what was seen of it: nobody registers here, and no keys change, until its operator has restored it")
}

// doubt looks at a checkpoint that a witness shows where it does not cosign the newest one.
// If this log has signed it, and holds no such tree, it is closed.
func (n *Node) doubt(ctx context.Context, shown []byte) error {
	id, err := storedLog(ctx, n.own)
	if err != nil {
		return err
	}
	c, err := keyservice.OpenCheckpoint(shown, id.Log.Origin(n.name), id.secret().Public())
	if err != nil || len(shown) > maxSeenSigned {
		return nil // what anybody can make up says nothing
	}
	holds, err := n.keyLog.Holds(ctx, c)
	if err != nil || holds {
		return err
	}
	for {
		var now logIdentity
		rev, err := read(ctx, n.own, logKey, &now)
		if err != nil {
			return err
		}
		now.Seen = shown
		err = n.own.Apply(ctx, putIf(logKey, &now, store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			if err == nil {
				n.closeLog(c)
			}
			return err
		}
	}
}

// closeLog closes the log in this process.
func (n *Node) closeLog(seen keyservice.Checkpoint) {
	if n.keyLog.Closed() == nil {
		n.log.Error("the log of key statements has fallen behind what this node has signed: files were copied back without a restore. "+
			"Nobody registers, and no keys change: run peerbrain-node backup, and then restore that file", "signed", seen.Size)
	}
	n.keyLog.Close(closed())
}

// heardOfLog closes the log where another process has.
func (n *Node) heardOfLog(ctx context.Context) error {
	if n.keyLog == nil { // it is about to be opened
		return nil
	}
	id, err := storedLog(ctx, n.own)
	if err != nil || len(id.Seen) == 0 {
		return err
	}
	c, err := keyservice.ReadCheckpoint(id.Seen)
	if err == nil {
		n.closeLog(c)
	}
	return err
}
