package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// maxFriends is how many others one account has records of: friends, offers in
// both directions, and what has ended.
const maxFriends = wire.MaxWraps

// A pair is two people, seen from one of them, who is registered here.
type pair struct{ me, other wire.AccountID }

func friendsKey(me wire.AccountID) string { return "friend/" + me.String() + "/" }
func friendKey(p pair) string             { return keyOf("friend/", p.me, p.other) }

func parseFriendKey(key string) (pair, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return pair{}, fmt.Errorf("%q is not the key of a friendship", key)
	}
	me, err1 := wire.ParseAccountID(parts[1])
	other, err2 := wire.ParseAccountID(parts[2])
	return pair{me, other}, errors.Join(err1, err2)
}

// A way is how a friendship statement got here. All of them lead to ingest.
type way int

const (
	byClient way = iota // its maker, a person of this node, hands it in
	byEntry             // an epoch entry of its maker, a person of this node, committed it
	byNode              // the node of its maker, here or elsewhere, hands it over
)

// said is a friendship statement that was verified.
type said struct {
	wire.FriendStatement
	hash    wire.Hash
	to      wire.AccountID
	keySeq  uint64
	created int64
	offer   *wire.Offer // one of the four
	accept  *wire.Accept
	end     *wire.End
	gone    *wire.Tombstone // to is nobody's
}

// openStatement verifies a statement with the chain of its maker.
func openStatement(c *keyservice.Chain, f wire.FriendStatement) (*said, error) {
	s := &said{FriendStatement: f}
	var err error
	switch f.Kind {
	case wire.FriendOffer:
		if s.offer, err = c.OpenOffer(f.Statement); err == nil {
			s.hash, s.to, s.keySeq, s.created = f.Statement.Hash(wire.LabelOffer), s.offer.To, s.offer.KeySeq, s.offer.Created
		}
	case wire.FriendAccept:
		if s.accept, err = c.OpenAccept(f.Statement); err == nil {
			s.hash, s.to, s.keySeq, s.created = f.Statement.Hash(wire.LabelAccept), s.accept.To, s.accept.KeySeq, s.accept.Created
		}
	case wire.FriendEnd:
		if s.end, err = c.OpenEnd(f.Statement); err == nil {
			s.hash, s.to, s.keySeq, s.created = f.Statement.Hash(wire.LabelEnd), s.end.To, s.end.KeySeq, s.end.Created
		}
	case wire.FriendTombstone:
		if s.gone, err = c.OpenTombstone(f.Statement); err == nil {
			s.hash, s.keySeq, s.created = f.Statement.Hash(wire.LabelTombstone), s.gone.KeySeq, s.gone.Created
		}
	default:
		err = wire.Errorf(wire.Invalid, "kind", "%.20q is none: offer, accept or end was expected", string(f.Kind))
	}
	return s, err
}

// parties are the two people of a statement, seen from the one whose record it
// goes into. For a statement byClient, other is what the statement says.
type parties struct {
	pair
	address wire.Address // of the other
}

// ingest takes one friendship statement into the record of one of the two, by
// whichever way it came; there is no other. Doing it again changes nothing. It
// returns the record, which has state none and is not stored where an end comes
// without anything to end.
func (n *Node) ingest(ctx context.Context, w way, p parties, f wire.FriendStatement) (*friendRecord, error) {
	handle, err := n.person(ctx, p.me)
	if errors.Is(err, wire.NotExist) {
		return nil, wire.Errorf(wire.NotExist, "to", "no such account")
	}
	if err != nil {
		return nil, err
	}
	me := wire.Address{Handle: handle, Node: n.name}
	s, err := n.verifyStatement(ctx, w, &p, me, f)
	if err != nil {
		return nil, refuse(err)
	}
	r, err := n.changeFriendship(ctx, p.pair, func(r *friendRecord, stored bool) (*friendChange, error) {
		if !stored {
			if err := n.mayBegin(ctx, w, p, s); err != nil {
				return nil, err
			}
			r.Handle, r.Node = p.address.Handle, p.address.Node
			if s.offer == nil {
				return nil, nil
			}
		}
		if r.address() != p.address {
			return nil, wire.Errorf(wire.Invalid, "address", "the account is found at %s", r.address())
		}
		return n.takeStatement(r, w, p, s)
	})
	return r, refuse(err)
}

// verifyStatement opens a statement and compares it with the people. For one
// byClient it fills in the other.
func (n *Node) verifyStatement(ctx context.Context, w way, p *parties, me wire.Address, f wire.FriendStatement) (*said, error) {
	from, account, to, toAccount := p.address, p.other, me, p.me
	if w != byNode && f.Kind == wire.FriendTombstone {
		return nil, wire.Errorf(wire.Invalid, "kind", "offer, accept or end was expected: an account is deleted as a whole")
	}
	if w != byNode {
		from, account, to, toAccount = me, p.me, p.address, p.other
	}
	s, chain, err := openSigned(ctx, n, from, account, func(c *keyservice.Chain) (*said, error) { return openStatement(c, f) })
	if err != nil {
		return nil, aboutMaker(w, from, chain, err)
	}
	if w == byClient {
		p.other, toAccount = s.to, s.to
	}
	if s.to != toAccount && s.gone == nil {
		return nil, wire.Errorf(wire.Invalid, "statement", "it is addressed to another account")
	}
	if s.offer != nil && (s.offer.FromAddress() != from || s.offer.ToAddress() != to) {
		return nil, wire.Errorf(wire.Invalid, "statement", "it names other addresses than %s and %s", from, to)
	}
	if w == byEntry {
		return s, nil // it was looked at before the entry was committed
	}
	if err := checkNewest("statement", chain, s.keySeq); err != nil {
		if w == byNode {
			return nil, wire.Errorf(wire.Invalid, "statement", "%v", err)
		}
		return nil, err
	}
	return s, n.ahead("statement", s.created)
}

// aboutMaker returns what is to be said of a statement that was not opened. That the
// node of its maker shows keys at the moment that cannot be theirs says nothing of it:
// it may be taken later.
func aboutMaker(w way, from wire.Address, chain *keyservice.Chain, err error) error {
	var e *wire.Error
	if w != byNode || chain != nil || !errors.As(err, &e) || e.Kind != wire.Tampered || e.Field != aboutAnswer {
		return err
	}
	return wire.Errorf(wire.Unavailable, "", "the keys of %s cannot be had: %v", from, err)
}

// mayBegin decides whether a statement may be the first between two people.
func (n *Node) mayBegin(ctx context.Context, w way, p parties, s *said) error {
	if s.offer == nil {
		if (s.end != nil || s.gone != nil) && w == byNode {
			return nil // nothing is here that it could end
		}
		return wire.Errorf(wire.NotExist, "statement", "there is no offer between you and %s", p.address)
	}
	known, err := n.acquaintances(ctx, p.me)
	if err != nil {
		return err
	}
	limit := maxFriends
	if w == byNode {
		limit /= 2 // strangers cannot use all of it up
	}
	if known >= limit {
		return wire.Errorf(wire.Limit, "friends", "an account has at most %d friends and offers", limit)
	}
	if w != byClient {
		return nil
	}
	theirs, err := n.keys(ctx, p.address, &p.other, keysFresh)
	if err == nil && len(theirs.tombstone) > 0 {
		err = noSuchPerson(p.address)
	}
	return err
}

// takeStatement changes the record of p.me by a statement; nil for no change.
func (n *Node) takeStatement(r *friendRecord, w way, p parties, s *said) (*friendChange, error) {
	before := wire.EncodeCBOR(&r.Friendship)
	if len(r.Tombstone) > 0 {
		return nil, r.afterTombstone(w, s)
	}
	if w == byClient {
		if err := checkMade(&r.Friendship, s, p.address); err != nil {
			return nil, err
		}
	}
	if w == byNode && s.offer != nil && unasked(&r.Friendship, s) && n.rule(p.address.Node) == RuleSilence {
		return nil, wire.Errorf(wire.Forbidden, "from", "friend requests from %s are not taken at this node", p.address.Node)
	}
	if err := r.add(s, p, w != byNode); err != nil {
		return nil, err
	}
	if w == byClient && !counts(&r.Friendship, s) {
		return nil, wire.Errorf(wire.Conflict, "statement", "the %s is older than what was said since", s.Kind)
	}
	if s.gone != nil {
		r.Queue, r.Problem = nil, "" // nobody is there to hear it
		return &friendChange{after: []store.Change{{Key: deliverKey(r.Node, p.pair)}}}, nil
	}
	if bytes.Equal(before, wire.EncodeCBOR(&r.Friendship)) {
		return nil, nil // it came again, or said nothing new
	}
	if w == byNode {
		if s.offer != nil && r.Problem != "" { // what was refused there once may be wanted now
			if c := r.repeat(p.pair); c != nil {
				return c, nil
			}
		}
		return new(friendChange), nil
	}
	if len(r.Queue) >= wire.MaxFriendQueue && w == byClient {
		return nil, wire.Errorf(wire.Limit, "statement", "%d statements wait for node %q already", len(r.Queue), r.Node)
	}
	r.Queue = append(r.Queue, queuedRecord{s.Kind, s.Statement})
	return &friendChange{before: []store.Change{put(deliverKey(r.Node, p.pair), &deliverRecord{recordVersion})}}, nil
}

// afterTombstone refuses what is said between two one of whom has deleted their
// account, but for what says that it is over, which changes nothing.
func (r *friendRecord) afterTombstone(w way, s *said) error {
	switch {
	case s.gone != nil || s.end != nil:
		return nil
	case w == byNode:
		return wire.Errorf(wire.Forbidden, "from", "%s has deleted this account", r.address())
	}
	return wire.Errorf(wire.NotExist, "statement", "%s has deleted their account", r.address())
}

// unasked reports whether an offer to f.Me is news to somebody who has not asked for
// it with an offer of their own, and is no friend.
func unasked(f *wire.Friendship, s *said) bool {
	return f.Yours.Offer != s.hash && f.State() != wire.StateFriend && !slices.Contains(f.LiveOffers(), f.Mine.Offer)
}

// counts reports whether an offer or acceptance of f.Me is the one that counts.
func counts(f *wire.Friendship, s *said) bool {
	switch {
	case s.offer != nil:
		return slices.Contains(f.LiveOffers(), s.hash)
	case s.accept != nil:
		return f.Mine.Accepted == s.accept.Offer
	}
	return true
}

// checkMade refuses what an own client should not have said, and explains.
func checkMade(f *wire.Friendship, s *said, other wire.Address) error {
	live := f.LiveOffers()
	switch {
	case s.offer != nil && f.State() == wire.StateFriend && f.Mine.Offer != s.hash:
		return wire.Errorf(wire.Conflict, "statement", "you and %s are already friends", other)
	case s.accept != nil && (s.accept.Offer != f.Yours.Offer || !slices.Contains(live, s.accept.Offer)):
		return wire.Errorf(wire.NotExist, "statement", "this offer of %s is not open", other)
	case s.end != nil && !slices.ContainsFunc(s.end.Offers, func(h wire.Hash) bool { return h == f.Mine.Offer || h == f.Yours.Offer }),
		s.end != nil && len(live) > 0 && !slices.ContainsFunc(s.end.Offers, func(h wire.Hash) bool { return slices.Contains(live, h) }):
		return wire.Errorf(wire.Conflict, "statement", "it names none of the offers that are open between you and %s", other)
	}
	return nil
}

// add takes a statement into the friendship and keeps it if it counts.
func (r *friendRecord) add(s *said, p parties, made bool) error {
	f := &r.Friendship
	side, offer, accept, ends := &f.Yours, &r.OfferGot, &r.AcceptGot, &r.EndsGot
	if made {
		side, offer, accept, ends = &f.Mine, &r.OfferMade, &r.AcceptMade, &r.EndsMade
	}
	switch {
	case s.offer != nil:
		if err := f.AddOffer(s.offer, s.hash); err != nil {
			return err
		}
		if side.Offer == s.hash {
			*offer = s.Statement
		}
	case s.accept != nil:
		if err := f.AddAccept(s.accept); err != nil {
			return err
		}
		if side.Accepted == s.accept.Offer {
			*accept = s.Statement
		}
	case s.gone != nil:
		r.Tombstone = s.Statement
		return f.AddTombstone(s.gone)
	case s.end != nil:
		before := slices.Clone(f.Ended)
		if err := f.AddEnd(s.end); err != nil {
			return err
		}
		if !slices.Equal(f.Ended, before) {
			*ends = keepEnd(f, *ends, keptEnd{s.Statement, s.end.Offers})
		}
	}
	return nil
}

// maxEnds is how many ends of each side a record keeps.
const maxEnds = 4

// keepEnd adds an end, and drops one when there are too many: the oldest of those
// that name none of the newest offers, if there are such.
func keepEnd(f *wire.Friendship, ends []keptEnd, e keptEnd) []keptEnd {
	if ends = append(ends, e); len(ends) <= maxEnds {
		return ends
	}
	drop := max(0, slices.IndexFunc(ends, func(e keptEnd) bool {
		return !slices.Contains(e.Offers, f.Mine.Offer) && !slices.Contains(e.Offers, f.Yours.Offer)
	}))
	return slices.Delete(ends, drop, drop+1)
}

func (r *friendRecord) address() wire.Address { return wire.Address{Handle: r.Handle, Node: r.Node} }

// friendChange is what is written before and after a changed friendRecord.
type friendChange struct{ before, after []store.Change }

// changeFriendship lets change work on the record of a pair, and commits what it
// made of it: change may be called several times, and returns nil for no change.
// A record that was not stored before is stored then.
func (n *Node) changeFriendship(ctx context.Context, p pair, change func(r *friendRecord, stored bool) (*friendChange, error)) (*friendRecord, error) {
	defer n.pairs.lock(p)()
	for range 16 {
		r, rev, err := n.friendship(ctx, p)
		if err != nil {
			return nil, err
		}
		c, err := change(r, rev != 0)
		if c == nil || err != nil {
			return r, err
		}
		if rev == 0 && r.Node != n.name {
			c.before = append(c.before, put(elsewhereKey(r.Node, p), &elsewhereRecord{recordVersion}))
		}
		changes := append(c.before, putIf(friendKey(p), r, store.IfRevision(rev)))
		err = n.own.Apply(ctx, append(changes, c.after...)...)
		n.noteFriendship(p, r, err)
		if !errors.Is(err, store.ErrConflict) {
			return r, err
		}
	}
	return nil, wire.Errorf(wire.Conflict, "friendship", "it is being changed by others")
}

// friendship returns the record of a pair and its revision, an empty record and
// 0 if there is none.
func (n *Node) friendship(ctx context.Context, p pair) (*friendRecord, uint64, error) {
	r := new(friendRecord)
	rev, err := read(ctx, n.own, friendKey(p), r)
	if errors.Is(err, wire.NotExist) {
		return &friendRecord{Version: recordVersion, Friendship: wire.Friendship{Me: p.me, Other: p.other}}, 0, nil
	}
	return r, rev, err
}

// noteFriendship brings what is in memory up to the record of a pair, after a
// change of it that may have failed.
func (n *Node) noteFriendship(p pair, r *friendRecord, err error) {
	n.circles.forget(p)
	if err != nil {
		var readErr error
		if r, _, readErr = n.friendship(n.ctx, p); readErr != nil {
			return
		}
	}
	if n.follows.set(p, r, n.name) {
		n.pullSoon(r.Node)
	}
}

// Tell takes a friendship statement of the person, commits it and tries to hand
// it to the other's node at once. What that node cannot take now is tried again
// until it does; the reply says what is left. Kinds of errors: Invalid, Forbidden for
// all but an end where the other's node is blocked, Conflict for an offer to a friend
// or an end that names nothing open, NotExist for an acceptance of no open offer or
// an unknown address, Limit, Clock, Unavailable when a node that was never asked
// before does not answer.
func (p *Person) Tell(ctx context.Context, r wire.FriendRequest) (wire.FriendReply, error) {
	if _, err := wire.ParseAddress(r.Address.String()); err != nil {
		return wire.FriendReply{}, err
	}
	if r.Kind != wire.FriendEnd && p.node.blocks(r.Address.Node) {
		return wire.FriendReply{}, blocked(r.Address.Node)
	}
	if err := p.settle(ctx); err != nil {
		return wire.FriendReply{}, err
	}
	rec, err := p.node.ingest(ctx, byClient, parties{pair{me: p.account}, r.Address}, r.FriendStatement)
	if err != nil {
		return wire.FriendReply{}, err
	}
	if len(rec.Queue) > 0 {
		between := pair{p.account, rec.Friendship.Other}
		p.node.deliverNow(ctx, between, rec.Node)
		if rec, _, err = p.node.friendship(ctx, between); err != nil {
			return wire.FriendReply{}, err
		}
	}
	return wire.FriendReply{Friend: rec.reply()}, nil
}

// settle takes in the ends that the person's newest entries committed, should the
// node have been stopped in between. A stream that cannot be read keeps nobody from
// their friendships.
func (p *Person) settle(ctx context.Context) error {
	err := p.node.settleAuthor(ctx, p.account)
	if errors.Is(err, store.ErrDamaged) {
		return nil
	}
	return err
}

// Friends lists the person's friends and offers, and what has ended.
func (p *Person) Friends(ctx context.Context) (wire.FriendsReply, error) {
	if err := p.settle(ctx); err != nil {
		return wire.FriendsReply{}, err
	}
	reply := wire.FriendsReply{Friends: []wire.FriendRecord{}}
	for rec, err := range p.node.own.Scan(ctx, store.Prefix(friendsKey(p.account))) {
		if err != nil {
			return wire.FriendsReply{}, err
		}
		var r friendRecord
		if err := decodeRecord(rec, &r); err != nil {
			return wire.FriendsReply{}, err
		}
		f := r.reply()
		if f.State != wire.StateNone || len(f.EndsMade) > 0 || len(f.EndsGot) > 0 || len(f.Tombstone) > 0 || f.Undelivered > 0 {
			reply.Friends = append(reply.Friends, f)
		}
	}
	return reply, nil
}

func (r *friendRecord) reply() wire.FriendRecord {
	return wire.FriendRecord{
		Account: r.Friendship.Other, Address: r.address(), State: r.Friendship.State(),
		OfferMade: r.OfferMade, OfferGot: r.OfferGot, AcceptMade: r.AcceptMade, AcceptGot: r.AcceptGot,
		EndsMade: signedEnds(r.EndsMade), EndsGot: signedEnds(r.EndsGot),
		Undelivered: len(r.Queue), ProblemDetail: r.Problem, Tombstone: r.Tombstone,
	}
}

func signedEnds(ends []keptEnd) []wire.Signed {
	list := make([]wire.Signed, len(ends))
	for i, e := range ends {
		list[i] = e.Statement
	}
	return list
}

// notNil keeps JSON's lists from being null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
