package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// First contact. The keys of somebody at another node come by the person's own home,
// which could show a log that was made for them alone. So the other node is asked itself,
// over a connection of its own: what both show has to be one log.

// visitTimeout is how long the node of somebody is waited for at first contact.
const visitTimeout = 5 * time.Second

// A meeting is what was found out about keys that are about to be pinned: nothing, where
// their node cannot be asked at all. A device that can asks later (lookUp).
type meeting struct {
	at        loggedAt // zero: they were not looked up
	confirmed bool     // witnesses saw the same log
}

// meet is prove for keys that are about to be pinned. Nothing that stands behind them
// in the log may say otherwise: of the newest maxLooked leaves, all are read.
func (p *Person) meet(ctx context.Context, c shownChain) (met meeting, err error) {
	who := c.Address()
	if !p.c.reaches(who.Node) {
		return meeting{}, nil
	}
	var r *keyservice.LogReader
	var proof *keyservice.Proof
	reached := true
	if who.Node == p.session.Address.Node {
		r, proof, err = p.prove(ctx, c, nil, true)
	} else {
		r, proof, reached, err = p.proveThere(ctx, c)
	}
	if err != nil {
		return met, err
	}
	size := r.Checkpoint().Size
	err = r.Leaves(max(proof.Number+1, size-min(size, maxLooked)), size, func(n uint64, leaf *wire.LogLeaf) error {
		if leaf.Address == wire.LogAddress(who) {
			return wire.Errorf(wire.Tampered, "log", "leaf %d is about other keys of %s than those that are shown", n, who)
		}
		return nil
	})
	if err != nil {
		return met, logFault(who.Node, err)
	}
	met.at = loggedAt{p.pins()[who.Node].Number, proof.Number, c.Newest().Seq}
	met.confirmed, err = p.confirmNow(ctx, who.Node, proof, reached)
	return met, err
}

// proveThere is prove by what the node of somebody says itself, if it is reached. It
// returns the log up to the larger of the two checkpoints.
func (p *Person) proveThere(ctx context.Context, c shownChain) (r *keyservice.LogReader, proof *keyservice.Proof, reached bool, err error) {
	node := c.Address().Node
	asked, top, err := p.visit(ctx, node)
	if err != nil {
		return nil, nil, false, err
	}
	r, proof, err = p.prove(ctx, c, asked, false)
	if err != nil || top == nil {
		return r, proof, false, err
	}
	there, err := p.compareLog(ctx, *p.pins()[node], *top)
	if errors.Is(err, wire.Tampered) {
		err = forkOf(err, logError(node, "your node %s passes on another one than %s itself shows: %s", p.session.Address.Node, node, reason(err)))
	}
	if err == nil && top.Size > r.Checkpoint().Size {
		r = there
	}
	return r, proof, true, err
}

// visit asks a node itself which log it keeps, and for its newest checkpoint. Where it
// does not answer, and its log is known, the person is told, and what is missing is nil.
func (p *Person) visit(ctx context.Context, node wire.NodeName) (*logPin, *keyservice.Checkpoint, error) {
	known := p.pins()[node]
	asking, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	pin, err := p.askLog(asking, node, known)
	if err != nil {
		return nil, nil, p.absent(ctx, node, known, err)
	}
	b, err := p.logFile(asking, &pin, keyservice.CheckpointFile)
	if errors.Is(err, wire.NotExist) {
		err = logError(node, "its newest checkpoint is missing in it")
	}
	if err != nil {
		return &pin, nil, p.absent(ctx, node, &pin, err)
	}
	top, err := keyservice.OpenCheckpoint(b, pin.origin(), pin.Key)
	if err != nil {
		return nil, nil, logError(node, "what %s itself shows as its newest checkpoint is none: %s", node, reason(err))
	}
	return &pin, &top, nil
}

// absent is what comes of a node that could not be asked: a note, or err where nothing is
// known of its log.
func (p *Person) absent(ctx context.Context, node wire.NodeName, known *logPin, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = wire.Errorf(wire.Unavailable, "node", "%s does not answer", node)
	}
	if known == nil || errors.Is(err, wire.Tampered) || errors.Is(err, wire.Update) {
		return err
	}
	p.notes = append(p.notes, fmt.Sprintf("%s itself could not be asked for its log of keys: what your node passes on was taken for it", node))
	return nil
}

// lookUp makes up for devices that could not ask the nodes of those whose keys they have
// pinned: it looks these keys up now, at so many nodes. What cannot be known now is tried
// again later.
func (p *Person) lookUp(ctx context.Context) error {
	waiting := make(map[wire.NodeName][]*friend)
	for i := range p.vault.Friends {
		if f := &p.vault.Friends[i]; f.state() != wire.StateNone && f.Logged == (loggedAt{}) {
			waiting[f.Node] = append(waiting[f.Node], f)
		}
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found := make(map[wire.AccountID]friend)
	for _, node := range p.due(slices.Collect(maps.Keys(waiting)), false) {
		for _, f := range waiting[node] {
			now, err := p.lookUpOne(looking, *f)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && !errors.Is(err, wire.Tampered) {
				p.askedOf(node, false)
				break
			}
			if err != nil {
				p.problems[f.Account] = err
				continue
			}
			found[f.Account] = now
		}
	}
	return p.tookIn(ctx, found)
}

// lookUpOne returns what is known of f after a look at the log of their node.
func (p *Person) lookUpOne(ctx context.Context, f friend) (friend, error) {
	shown, err := p.knownChain(ctx, &f)
	if err == nil {
		_, err = p.followShown(ctx, &f, shown)
	}
	if err != nil {
		return f, err
	}
	if now := p.vault.friend(f.Account); now != nil && now.PinHash != f.PinHash {
		return *now, nil // newer ones, which were looked up
	}
	met, err := p.meet(ctx, shown)
	f.Logged = met.at
	if met.confirmed {
		f.Confirmed = f.PinHash
	}
	return f, err
}
