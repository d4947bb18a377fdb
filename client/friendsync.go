package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// heard is what somebody has said about their friendship with this person, verified.
type heard struct {
	account wire.AccountID
	digest  [32]byte // of the record it stood in
	offer   *wire.Offer
	hash    wire.Hash // of the offer
	accept  *wire.Accept
	ends    []*wire.End
	gone    *wire.Tombstone
}

// apply takes it into f, and reports whether that changed anything.
func (n heard) apply(f *friend) bool {
	before := wire.EncodeCBOR(&f.Friendship)
	if n.offer != nil {
		f.Friendship.AddOffer(n.offer, n.hash) // verified to be of these two
	}
	if n.accept != nil {
		f.Friendship.AddAccept(n.accept) // of an offer not made here: it changes nothing
	}
	for _, e := range n.ends {
		f.Friendship.AddEnd(e)
	}
	if n.gone != nil {
		f.Friendship.AddTombstone(n.gone)
	}
	return !bytes.Equal(before, wire.EncodeCBOR(&f.Friendship))
}

// takeIn asks what has become of friendships, and takes what the friends of the
// vault have said into it. Nobody gets into the vault this way.
func (p *Person) takeIn(ctx context.Context) error {
	var r wire.FriendsReply
	if err := p.get(ctx, wire.PathFriends, &r); err != nil {
		return err
	}
	p.records = make(map[wire.AccountID]wire.FriendRecord, len(r.Friends))
	var news []heard
	for _, record := range r.Friends {
		f := p.vault.friend(record.Account)
		if f == nil {
			f = p.vault.friendAt(record.Address)
		}
		if f == nil || f.Account == record.Account {
			p.records[record.Account] = record
		}
		if f == nil || p.cache.digests[record.Account] == digest(record) {
			continue
		}
		n, err := p.hear(ctx, f, record)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.problems[f.Account] = err
			continue
		}
		news = append(news, n)
	}
	if err := p.tidy(ctx, news); err != nil {
		return err
	}
	for _, n := range news {
		p.cache.digests[n.account], p.cache.dirty = n.digest, true
	}
	return nil
}

// digest is of the statements in a record.
func digest(r wire.FriendRecord) [32]byte {
	r.Undelivered, r.ProblemDetail = 0, ""
	return sha256.Sum256(wire.EncodeJSON(&r))
}

// hear verifies what a record holds of somebody in the vault.
func (p *Person) hear(ctx context.Context, f *friend, r wire.FriendRecord) (heard, error) {
	if r.Account != f.Account {
		return heard{}, wire.Errorf(wire.Tampered, "friend", "the node shows another account for %s than was confirmed", f.address())
	}
	if r.Address != f.address() {
		return heard{}, wire.Errorf(wire.Tampered, "friend", "the node says that %s is found at %s", f.address(), r.Address)
	}
	if len(r.Tombstone) > 0 { // all else that they have said is over
		gone, err := p.hearTombstone(ctx, f, r)
		return heard{account: r.Account, digest: digest(r), gone: gone}, err
	}
	chain, err := p.chainOf(ctx, f)
	if err != nil {
		return heard{}, err
	}
	n, err := p.hearFrom(chain, r)
	if !errors.Is(err, wire.Tampered) {
		return n, err
	}
	// They may have newer keys.
	newer, failed := p.newerChain(ctx, stream{streamID: streamID{Author: f.Account}, chain: chain})
	if failed != nil || newer == nil {
		return n, cmp.Or(failed, err)
	}
	return p.hearFrom(newer, r)
}

// hearFrom verifies what a record holds of the owner of chain.
func (p *Person) hearFrom(chain *keyservice.Chain, r wire.FriendRecord) (heard, error) {
	n := heard{account: chain.Account(), digest: digest(r)}
	forged := func(err error) (heard, error) {
		return heard{}, wire.Errorf(wire.Tampered, "friend", "the node shows a statement that %s has not made to you: %s", chain.Address(), reason(err))
	}
	other := errors.New("it is to somebody else")
	var err error
	if len(r.OfferGot) > 0 {
		if n.offer, err = chain.OpenOffer(r.OfferGot); err != nil {
			return forged(err)
		}
		if n.offer.To != p.me() || n.offer.ToAddress() != p.session.Address || n.offer.FromAddress() != chain.Address() {
			return forged(other)
		}
		n.hash = r.OfferGot.Hash(wire.LabelOffer)
	}
	if len(r.AcceptGot) > 0 {
		if n.accept, err = chain.OpenAccept(r.AcceptGot); err != nil {
			return forged(err)
		}
		if n.accept.To != p.me() {
			return forged(other)
		}
	}
	for _, s := range r.EndsGot {
		end, err := chain.OpenEnd(s)
		if err != nil {
			return forged(err)
		}
		if end.To != p.me() {
			return forged(other)
		}
		n.ends = append(n.ends, end)
	}
	return n, nil
}

// stranger verifies the offer of somebody whom the vault does not have. The
// result is what the vault would have of them; its state is incoming. Whoever pins the
// keys looks into the log before (meet).
func (p *Person) stranger(ctx context.Context, r wire.FriendRecord) (*friend, shownChain, error) {
	shown, err := p.fetchChain(ctx, r.Address, &r.Account)
	if err != nil {
		return nil, shown, err
	}
	n, err := p.hearFrom(shown.Chain, r)
	if err != nil {
		return nil, shown, err
	}
	f := p.contact(shown.Chain, meeting{})
	n.apply(f)
	if f.state() != wire.StateIncoming {
		return nil, shown, wire.Errorf(wire.NotExist, "friend", "there is no offer of %s", r.Address)
	}
	return f, shown, nil
}

// contact is what the vault has of somebody at first: their keys, pinned.
func (p *Person) contact(chain *keyservice.Chain, met meeting) *friend {
	newest := chain.Newest()
	f := &friend{
		Account: chain.Account(), Handle: newest.Handle, Node: newest.Node,
		Friendship: wire.Friendship{Me: p.me(), Other: chain.Account()},
	}
	f.pin(chain, met)
	return f
}

// sendStatements hands the node the pending statements that it does not have,
// and returns what it answers. What one friend's statement meets does not hold up
// the others: it is kept among the problems.
func (p *Person) sendStatements(ctx context.Context) (news []heard, err error) {
	for i := range p.vault.Friends {
		f := &p.vault.Friends[i]
		for _, s := range f.Pending {
			if p.atNode(f, s) || f.moot(s) || s.Kind != kindEnd && p.problems[f.Account] != nil {
				continue
			}
			n, err := p.sendStatement(ctx, f, s)
			if ctx.Err() != nil {
				return news, ctx.Err()
			}
			if err != nil {
				p.problems[f.Account] = err
				continue
			}
			news = append(news, n...)
		}
	}
	return news, nil
}

func (p *Person) sendStatement(ctx context.Context, f *friend, s statement) ([]heard, error) {
	r := wire.FriendRequest{Address: f.address(), FriendStatement: wire.FriendStatement{Kind: s.Kind.wire(), Statement: s.Signed}}
	var reply wire.FriendReply
	err := p.hand(ctx, "POST", wire.PathFriends, &r, &reply)
	if s.Kind == kindEnd && (errors.Is(err, wire.NotExist) || errors.Is(err, wire.Conflict)) {
		p.sent[s.hash()] = true // there is nothing open that it names
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.sent[s.hash()] = true
	p.records[f.Account] = reply.Friend
	n, err := p.hear(ctx, f, reply.Friend)
	if err != nil {
		p.problems[f.Account] = err
		return nil, nil
	}
	return []heard{n}, nil
}
