package federation

import (
	"context"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Secrets are the private keys of a node. Root signs its documents, Request its
// requests to other nodes.
type Secrets struct {
	Root    wire.NodeRootSecret
	Request wire.NodeRequestSecret
}

// A PeerRecord is what a node remembers of another for ever: the root key that
// it had at first contact, or that it was led to from there, and the newest
// document seen under it.
type PeerRecord struct {
	Name     wire.NodeName
	Root     wire.NodeRootKey
	Document wire.Signed
	Fetched  time.Time
	Changes  []wire.Signed // that led from there to Root, oldest first; the last wire.MaxRootChanges
}

// A PeerStore keeps PeerRecords. It is safe for concurrent use.
type PeerStore interface {
	// Peer returns the record of a node, or an error of kind wire.NotExist.
	Peer(context.Context, wire.NodeName) (PeerRecord, error)
	// SavePeer stores a record durably, over the one of the same name that has the
	// root pinned: but for one with another root or a later document, which another
	// process of this node may have stored meanwhile. Then it is an error of kind
	// wire.Conflict. The first record of a node may be refused with one of kind
	// wire.Limit: there are many of its domain (DomainOf).
	SavePeer(ctx context.Context, r PeerRecord, pinned wire.NodeRootKey) error
}

// A ReplayStore keeps one number: no request that was created at or before it
// counts after a restart.
type ReplayStore interface {
	// HighWater returns the number, ms since 1970; 0 when none was ever set.
	HighWater(context.Context) (int64, error)
	// SetHighWater stores it durably before it returns. It never falls.
	SetHighWater(context.Context, int64) error
}

// A NonceStore is a ReplayStore for several Servers of one node at a time, and
// over their restarts. Where there is one, a request counts if its nonce was not
// spent, and the number is left alone.
type NonceStore interface {
	ReplayStore
	// SpendNonce notes durably that a node used a nonce in a request that expires
	// then. Of all calls with the same three, however many at once, it returns true
	// once. What it notes may be forgotten when no clock of the node's processes is
	// before expires.
	SpendNonce(ctx context.Context, node wire.NodeName, nonce wire.Nonce, expires time.Time) (bool, error)
}
