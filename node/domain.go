package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// domainRecord: domain/<registrable domain>/<node>. It is written before the
// peerRecord of the node, and deleted after it. What the first releases knew of
// others has none until it is fetched again.
type domainRecord struct {
	Version uint64 `cbor:"1,keyasint"`
}

const (
	domainPrefix = "domain/"
	peerPrefix   = "peer/"

	// maxDomainPeers is of how many nodes of one registrable domain something is
	// kept. Then one that nobody here has to do with makes room, if it was not
	// fetched for domainIdle.
	maxDomainPeers = 100
	domainIdle     = 24 * time.Hour
	// peerIdle is for how long nodes are kept that nobody here has to do with.
	peerIdle = 30 * 24 * time.Hour
)

func domainKey(name wire.NodeName) string {
	return domainPrefix + string(federation.DomainOf(name)) + "/" + string(name)
}

// enter makes a place for a node among those of its domain, or errs with
// wire.Limit. The caller holds p.entering, until the node is there.
func (p *peerStore) enter(ctx context.Context, name wire.NodeName) error {
	key := domainKey(name)
	var there []string // keys
	domain := key[:strings.LastIndex(key, "/")+1]
	for rec, err := range p.s.Scan(ctx, store.Prefix(domain)) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
		if rec.Key == key {
			return nil
		}
		if rec.Key != "" {
			there = append(there, strings.Clone(rec.Key))
		}
	}
	if len(there) >= maxDomainPeers {
		if err := p.makeRoom(ctx, there); err != nil {
			return err
		}
	}
	return p.s.Apply(ctx, put(key, &domainRecord{recordVersion}))
}

// makeRoom deletes what is kept of one node of a domain.
func (p *peerStore) makeRoom(ctx context.Context, there []string) error {
	for _, key := range there {
		name := wire.NodeName(key[strings.LastIndex(key, "/")+1:])
		gone, err := p.drop(ctx, name, key, domainIdle)
		if gone || err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Limit, "", "%d nodes of one domain are known", len(there))
}

// drop deletes what is kept of a node, and the record of it at key, if nobody here
// has, or had, to do with it, and its document was not fetched for so long. A peer in
// quarantine stays.
func (p *peerStore) drop(ctx context.Context, name wire.NodeName, key string, idle time.Duration) (bool, error) {
	r, err := p.Peer(ctx, name)
	switch {
	case errors.Is(err, wire.NotExist): // interrupted
	case err != nil, r.Fetched.Unix() <= 0, p.now().Sub(r.Fetched) < idle:
		return false, nil // one that cannot be read is for fsck
	}
	any, err := lowestKey(ctx, p.s, store.Prefix(elsewherePrefix+"/"+string(name)+"/"))
	if any != "" || err != nil {
		return false, err
	}
	return true, p.s.Apply(ctx, store.Change{Key: peerPrefix + string(name)}, store.Change{Key: key})
}

// sweepPeers looks at some peers that nobody may have to do with, and at others the
// next time.
func (n *Node) sweepPeers(ctx context.Context) error {
	q := store.Prefix(peerPrefix)
	q.From, q.Limit = max(q.From, n.sweptPeers), sweepBatch
	var names []wire.NodeName
	for rec, err := range n.own.Scan(ctx, q) {
		if err != nil && (!errors.Is(err, store.ErrDamaged) || rec.Key == "") {
			return fmt.Errorf("sweep peers: %w", err)
		}
		names = append(names, wire.NodeName(strings.Clone(strings.TrimPrefix(rec.Key, peerPrefix))))
	}
	n.sweptPeers = "" // from the start next time
	for _, name := range names {
		if _, err := n.known.drop(ctx, name, domainKey(name), peerIdle); err != nil {
			return fmt.Errorf("sweep peers: %w", err)
		}
		if len(names) == sweepBatch {
			n.sweptPeers = store.After(peerPrefix + string(name))
		}
	}
	return nil
}
