package node

import (
	"context"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// remindAfter is how long a node is not reminded of the same friendship again.
const remindAfter = 10 * time.Minute

// remind tells a node again what people here have said to an author there who
// has served them, and does not any more, without a reason: a node that was
// restored from an old copy has forgotten friendships that were made since. What
// it still knows changes nothing there.
func (n *Node) remind(ctx context.Context, f followed, unserved []wire.AccountID) {
	s := n.streams.get(f.stream)
	if s == nil {
		return
	}
	for _, reader := range unserved {
		p := pair{reader, f.stream.author}
		if last, ok := n.reminded.Get(p); ok && n.now().Sub(last) < remindAfter || !slices.Contains(f.readers, reader) {
			continue
		}
		if _, err := n.wrapHash(ctx, s, s.head.Load().content, reader); err != nil {
			continue // they were not served before
		}
		n.reminded.Add(p, n.now())
		r, err := n.changeFriendship(ctx, p, func(r *friendRecord, _ bool) (*friendChange, error) { return r.repeat(p), nil })
		if err != nil {
			n.log.Error("a node could not be reminded of a friendship", "node", string(r.Node), "error", err)
			continue
		}
		if len(r.Queue) > 0 {
			n.queue.add(p, r.Node)
		}
	}
}

// repeat queues again what makes a friendship, unless something waits already.
func (r *friendRecord) repeat(p pair) *friendChange {
	f := &r.Friendship
	if f.State() != wire.StateFriend || len(r.Queue) > 0 {
		return nil
	}
	if len(r.OfferMade) > 0 && slices.Contains(f.LiveOffers(), f.Mine.Offer) {
		r.Queue = append(r.Queue, queuedRecord{wire.FriendOffer, r.OfferMade})
	}
	if len(r.AcceptMade) > 0 && f.Mine.Accepted == f.Yours.Offer {
		r.Queue = append(r.Queue, queuedRecord{wire.FriendAccept, r.AcceptMade})
	}
	return &friendChange{before: []store.Change{put(deliverKey(r.Node, p), &deliverRecord{recordVersion})}}
}
