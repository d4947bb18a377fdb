package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// maxSyncBytes is how much one answer to another node may hold. A stream has at
// most wire.MaxPageBytes of it.
const maxSyncBytes = 4 << 20

// A peer is another node, and does all that it may do here.
type peer struct {
	node *Node
	name wire.NodeName // verified
}

var _ federation.API = peer{}

// peer binds which node is asking. The caller has verified that.
func (n *Node) peer(name wire.NodeName) federation.API {
	n.peerIsBack(name)
	n.queue.back(name)
	n.leaving.back(name)
	n.pullBack(name)
	return peer{n, name}
}

// Keys returns the keys of a person of this node, else NotExist. Throttled for a
// node that asks for so many that it might be trying names.
func (p peer) Keys(ctx context.Context, r wire.KeysRequest) (wire.KeysReply, error) {
	defer working(ctx)()
	if err := p.node.door.throttle.take(ctx, askPeerKeys, string(p.name)); err != nil {
		return wire.KeysReply{}, err
	}
	if r.Address.Node != p.node.name {
		return wire.KeysReply{}, noSuchPerson(r.Address)
	}
	known, err := p.node.localKeys(ctx, r.Address)
	if err != nil {
		return wire.KeysReply{}, err
	}
	if r.Account != nil && *r.Account != known.chain.Account() || r.Account == nil && len(known.tombstone) > 0 {
		return wire.KeysReply{}, noSuchPerson(r.Address)
	}
	return p.node.keysReply(ctx, known)
}

// Deliver takes a friendship statement of a person of the asking node for a
// person of this one. Kinds of errors: Forbidden for people of other nodes, and for
// offers from a node that is silenced, NotExist for nobody here, and for an acceptance whose offer is not here, which
// is worth another try; else as for a client's.
func (p peer) Deliver(ctx context.Context, r wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
	defer working(ctx)()
	if r.From.Node != p.name {
		return wire.PeerFriendReply{}, wire.Errorf(wire.Forbidden, "from", "%s is not a person of %q", r.From, p.name)
	}
	if r.To.Node != p.node.name {
		return wire.PeerFriendReply{}, noSuchPerson(r.To)
	}
	to, err := p.node.account(ctx, r.To.Handle)
	if errors.Is(err, wire.NotExist) || err == nil && to != r.ToAccount {
		return wire.PeerFriendReply{}, noSuchPerson(r.To)
	}
	if err != nil {
		return wire.PeerFriendReply{}, err
	}
	rec, err := p.node.ingest(ctx, byNode, parties{pair{to, r.FromAccount}, r.From}, r.FriendStatement)
	if err != nil {
		return wire.PeerFriendReply{}, p.node.shortage.answer(p.node.log, p.node.now(), err)
	}
	if r.Kind == wire.FriendTombstone {
		if err := p.node.forgetGone(ctx, r.FromAccount, to); err != nil {
			return wire.PeerFriendReply{}, p.node.shortage.answer(p.node.log, p.node.now(), err)
		}
	}
	if len(rec.Queue) > 0 {
		p.node.queue.add(pair{to, r.FromAccount}, p.name)
	}
	return wire.PeerFriendReply{State: rec.Friendship.State()}, nil
}

// Sync answers about streams of people of this node, to readers of the asking
// node who may read them, and about copies to the home of their author. What
// fails, or does not exist, fails alone.
func (p peer) Sync(ctx context.Context, r wire.SyncRequest) (wire.SyncReply, error) {
	defer working(ctx)()
	readers := 0
	for _, s := range r.Streams {
		readers += len(s.Readers)
	}
	if len(r.Streams) > wire.MaxSyncStreams || readers > wire.MaxSyncReaders {
		return wire.SyncReply{}, wire.Errorf(wire.Invalid, "streams", "at most %d streams with %d readers were expected",
			wire.MaxSyncStreams, wire.MaxSyncReaders)
	}
	state, changed, err := p.changed(ctx, r.Since)
	if err != nil {
		return wire.SyncReply{}, err
	}
	reply := wire.SyncReply{Streams: []wire.SyncedStream{}, State: state, Changed: changed}
	room := maxSyncBytes
	for _, ask := range r.Streams {
		one, size, more, err := p.syncStream(ctx, ask, room)
		if ctx.Err() != nil {
			return wire.SyncReply{}, ctx.Err()
		}
		if err != nil {
			one, more = wire.SyncedStream{Code: wire.ProblemOf(err).Code}, false
			if one.Code == wire.Internal {
				p.node.log.Error("a stream could not be served", "to", string(p.name), "author", ask.Author.String(), "error", err)
			}
		}
		one.Author, one.Audience = ask.Author, ask.Audience
		one.Entries, one.Wraps, one.Closed = notNil(one.Entries), notNil(one.Wraps), notNil(one.Closed)
		room -= size
		reply.Streams, reply.More = append(reply.Streams, one), reply.More || more
	}
	return reply, nil
}

// syncStream answers about one stream, with about room bytes at most. It returns
// how many it took, and whether there is more. Where nobody may read it, the
// answer is the same as for a stream that does not exist: audiences may be
// guessed, such as those of two people.
func (p peer) syncStream(ctx context.Context, ask wire.SyncStream, room int) (one wire.SyncedStream, size int, more bool, err error) {
	name := streamName{ask.Author, ask.Audience}
	s, err := p.node.stream(ctx, name)
	if err != nil {
		return one, 0, false, err
	}
	if s != nil && s.copy && len(ask.Readers) == 0 {
		return p.giveBack(ctx, s, ask, room)
	}
	if s == nil || s.copy {
		s = newStream(name, false)
	}
	at := s.state()
	ended := false
	var readers []wire.SyncReader
	for _, r := range ask.Readers {
		closed, err := p.closed(ctx, s, r.Account)
		if err != nil {
			return one, 0, false, err
		}
		if closed == nil {
			readers = append(readers, r)
		} else {
			one.Closed = append(one.Closed, *closed)
			ended = ended || len(closed.Ends) > 0
		}
	}
	if at.Seq == 0 || len(readers) == 0 {
		if ended {
			return one, 0, false, nil // not even the head
		}
		return one, 0, false, wire.NotExist
	}
	one.Head = at.Seq
	if err := p.node.checkHave(ctx, s, ask); err != nil {
		return wire.SyncedStream{}, 0, false, err
	}
	contents := []wire.Commitment{at.content}
	if ask.After < at.Seq && room > 0 {
		q := store.Query{From: store.After(s.entryKey(ask.After)), To: store.After(s.entryKey(at.Seq))}
		records, err := p.node.records(ctx, s, q, min(room, wire.MaxPageBytes))
		if err != nil {
			return one, 0, false, err
		}
		for _, r := range records {
			one.Entries = append(one.Entries, r.entry())
			size += r.entry().Size()
			if r.Kind == wire.KindEpoch && r.Content != at.content {
				contents = append(contents, r.Content)
			}
		}
	}
	more = ask.After+uint64(len(one.Entries)) < at.Seq
	one.Wraps, err = p.node.wrapsFor(ctx, s, readers, contents)
	return one, size + len(one.Wraps)*wire.WrapSize, more, err
}

// checkHave refuses with Conflict to continue another stream than this one.
func (n *Node) checkHave(ctx context.Context, s *stream, ask wire.SyncStream) error {
	if ask.After == 0 {
		return nil
	}
	r, err := n.entry(ctx, s, ask.After)
	if errors.Is(err, wire.NotExist) || err == nil && r.entry().ID() != ask.Head {
		return wire.Errorf(wire.Conflict, "after", "entry %d is another one here", ask.After)
	}
	return err
}

// wrapsFor returns the wraps that the readers lack: of the newest epoch, which is
// the first in contents, unless they have it, and of all the others.
func (n *Node) wrapsFor(ctx context.Context, s *stream, readers []wire.SyncReader, contents []wire.Commitment) ([]wire.SyncedWrap, error) {
	var list []wire.SyncedWrap
	for _, r := range readers {
		for i, c := range contents {
			hash, err := n.wrapHash(ctx, s, c, r.Account)
			if errors.Is(err, wire.NotExist) || err == nil && i == 0 && hash == r.Have {
				continue
			}
			if err != nil {
				return nil, err
			}
			w, err := n.ownKeys.Wrap(ctx, r.Account, s.name.author, s.name.audience, c)
			if err != nil {
				return nil, err
			}
			list = append(list, wire.SyncedWrap{Commitment: c, Wrap: w})
		}
	}
	return list, nil
}

// closed returns nil if the asking node may have a stream for a reader: one who
// is found there, by their newest key statement, and may read it. Else it
// returns why not: the signed ends of the author, for the node of the reader
// alone.
func (p peer) closed(ctx context.Context, s *stream, reader wire.AccountID) (*wire.ClosedTo, error) {
	c := &wire.ClosedTo{Account: reader, Ends: []wire.Signed{}}
	f, _, err := p.node.friendship(ctx, pair{s.name.author, reader})
	if err != nil {
		return nil, err
	}
	home := f.Node
	chain, err := p.node.copyKeys.Chain(ctx, reader)
	if err == nil {
		home = chain.Address().Node
	} else if !errors.Is(err, wire.NotExist) {
		return nil, err
	}
	if home != p.name {
		return c, nil
	}
	_, err = p.node.readable(ctx, reader, s.name)
	if errors.Is(err, wire.NotExist) {
		if f.Friendship.State() == wire.StateNone {
			c.Ends = signedEnds(f.EndsMade)
		}
		return c, nil
	}
	return nil, err
}
