package federation

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// API is what one node asks of another. Client.To gives the one of a node
// elsewhere, ServerOptions.For the one of this node for a node that asks.
//
// Errors are wire kinds and survive the network, but for those that would be
// mistaken for the caller's own: what a Client cannot do, and what the other
// node could not, is wire.Unavailable and names that node. All calls are
// idempotent. Implementations are safe for concurrent use and keep none of the
// slices that they are given.
type API interface {
	// Keys returns the chain of key statements of one person of the node asked.
	Keys(context.Context, wire.KeysRequest) (wire.KeysReply, error)
	// Deliver hands over a friendship statement; it is on disk when it returns.
	Deliver(context.Context, wire.PeerFriendRequest) (wire.PeerFriendReply, error)
	// Sync returns what is new in many streams.
	Sync(context.Context, wire.SyncRequest) (wire.SyncReply, error)
	// Notice tells what is new in streams of people of the node that calls.
	Notice(context.Context, wire.NoticeRequest) (wire.NoticeReply, error)
}
