package node

import (
	"context"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// recoveryQueryLifetime is how far a query may be from the node's clock.
const recoveryQueryLifetime = 5 * time.Minute

// Recovery answers somebody from elsewhere, who need not be registered here, with what
// this node has copied of them: for when their home is gone. The newest recovery key that
// is known here has to have signed the query, for this node and now. All that is wrong, and
// nothing found, is one NotExist. Nobody is asked for what is not kept here, and of people
// of this node it says nothing.
func (n *Node) Recovery(ctx context.Context, r wire.RecoveryRequest) (wire.RecoveryReply, error) {
	none := wire.Errorf(wire.NotExist, "address", "nothing of this account is here")
	known, err := n.copiedKeys(ctx, r.Address)
	if err != nil || len(known.tombstone) > 0 {
		return wire.RecoveryReply{}, none
	}
	q, err := known.chain.OpenRecoveryQuery(r.Query)
	if err != nil || q.Node != n.name || n.now().Sub(time.UnixMilli(q.Created)).Abs() > recoveryQueryLifetime {
		return wire.RecoveryReply{}, none
	}
	reply := wire.RecoveryReply{Statements: []wire.Signed{}, Streams: []wire.RecoveryStream{}, Friends: []wire.RecoveryFriend{}, Entries: []wire.Entry{}}
	if r.Stream == nil {
		reply.Statements = known.chain.Statements()
		reply.Streams, reply.Friends, err = n.copiesOf(ctx, known.chain.Account())
		return reply, err
	}
	s, err := n.stream(ctx, streamName{known.chain.Account(), r.Stream.Audience})
	if err != nil {
		return wire.RecoveryReply{}, err
	}
	if s == nil {
		return wire.RecoveryReply{}, none
	}
	reply.Entries, err = n.copiedRun(ctx, s, r.Stream.After)
	return reply, err
}

// copiesOf lists the streams of somebody elsewhere, and their friends here.
func (n *Node) copiesOf(ctx context.Context, author wire.AccountID) (list []wire.RecoveryStream, friends []wire.RecoveryFriend, err error) {
	all, err := n.streamsOf(ctx, author)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b *stream) int { return a.name.compare(b.name) })
	list, friends = []wire.RecoveryStream{}, []wire.RecoveryFriend{}
	for _, s := range all {
		list = append(list, wire.RecoveryStream{Audience: s.name.audience, Head: s.state().Seq, AsOf: s.asOf.Load()})
		for _, reader := range n.follows.readers(s.name) {
			f, _, err := n.friendship(ctx, pair{reader, author})
			if err != nil {
				return nil, nil, err
			}
			if f.Friendship.State() == wire.StateFriend && len(friends) < wire.MaxRecoveryFriends {
				friends = append(friends, wire.RecoveryFriend{OfferMade: f.OfferMade, OfferGot: f.OfferGot, AcceptGot: f.AcceptGot})
			}
		}
	}
	return list, friends, nil
}

// copiedRun returns entries of a copy without a gap, from the first behind after that is
// kept here.
func (n *Node) copiedRun(ctx context.Context, s *stream, after uint64) ([]wire.Entry, error) {
	run := []wire.Entry{}
	if err := n.found(ctx, s); err != nil {
		return nil, err
	}
	gap, head := s.gap.Load(), s.state().Seq
	if after >= head {
		return run, nil
	}
	first := after + 1
	if gap != nil && !s.has(first) {
		if first < gap.Epoch {
			first = gap.Epoch
		} else {
			first = gap.From
		}
	}
	_, high := s.around(first)
	q := store.Query{From: s.entryKey(first), To: store.After(s.entryKey(min(high, head))), Limit: wire.MaxPage}
	records, err := n.records(ctx, s, q, wire.MaxPageBytes)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		run = append(run, r.entry())
	}
	return run, n.unlessGone(ctx, s, gap, nil)
}
