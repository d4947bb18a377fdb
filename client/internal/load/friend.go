package load

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// An edge is a friendship: one offers, the other accepts.
type edge struct{ from, to *person }

// ring is who is a friend of whom at the beginning: everybody's friends are those
// with the next numbers, and those with the numbers before. Neighbours live on
// different nodes, if there are several.
func ring(people []*person, each int) (edges []edge) {
	n := len(people)
	each = min(each, n-1)
	for d := 1; d <= (each+1)/2; d++ {
		for i, p := range people {
			opposite := 2*d == n // both ends would offer
			last := d > each/2   // of an odd number: it is offered by every second
			if opposite && i >= d || last && !opposite && i%2 == 1 {
				continue
			}
			edges = append(edges, edge{p, people[(i+d)%n]})
		}
	}
	return edges
}

// wrap seals the keys of p's epoch to a reader.
func (p *person) wrap(reader *person) (wire.Wrap, error) {
	key := wire.Hash(reader.account) // the hash of the first key statement, of which there is no other
	sealed, err := seal.SealWrap(reader.encryption.Public(), seal.WrapPlace{
		Author: p.account, Audience: p.audience, Commitment: p.content.Commitment(), Reader: reader.account, Key: key,
	}, p.content, &p.chain)
	return wire.Wrap{Reader: reader.account, Key: key, Sealed: sealed}, err
}

// sendWraps hands in the wraps of p's epoch for readers.
func (p *person) sendWraps(ctx context.Context, readers ...*person) (a answer, err error) {
	for batch := range slices.Chunk(readers, wire.MaxWrapBatch) {
		r := wire.WrapsRequest{Audience: p.audience, Commitment: p.content.Commitment()}
		for _, reader := range batch {
			w, err := p.wrap(reader)
			if err != nil {
				return a, err
			}
			r.Wraps = append(r.Wraps, w)
		}
		if a, err = p.call(ctx, http.MethodPost, wire.PathWraps, r, nil); err != nil {
			return a, err
		}
	}
	return a, nil
}

// offer is the statement that asks another for friendship, made at a time, ms
// since 1970.
func (p *person) offer(to *person, created int64) (wire.Signed, error) {
	return (&wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: p.account, FromHandle: p.handle, FromNode: p.home.name,
		To: to.account, ToHandle: to.handle, ToNode: to.home.name, Audience: p.audience, Created: created,
	}).Sign(p.identity)
}

const (
	arrivalTime = 30 * time.Second // of an offer at another node, at most
	nextLook    = 10 * time.Millisecond
)

// accept accepts an offer, as soon as it has arrived.
func (p *person) accept(ctx context.Context, from *person, offer wire.Hash, created int64) (answer, error) {
	signed, err := (&wire.Accept{
		Version: wire.Version, Suite: wire.Suite, From: p.account, To: from.account, Offer: offer, Audience: p.audience, Created: created,
	}).Sign(p.identity)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, arrivalTime)
	defer cancel()
	for {
		a, err := p.tell(ctx, from, wire.FriendAccept, signed)
		if wire.KindOf(err) != wire.NotExist || pause(ctx, nextLook) != nil {
			return a, err
		}
	}
}

func (p *person) tell(ctx context.Context, other *person, kind wire.FriendKind, s wire.Signed) (answer, error) {
	return p.call(ctx, http.MethodPost, wire.PathFriends, wire.FriendRequest{
		Address: other.address(), FriendStatement: wire.FriendStatement{Kind: kind, Statement: s},
	}, nil)
}

// befriend makes friends of two: each wraps for the other before they tell.
func (p *person) befriend(ctx context.Context, other *person) (a answer, err error) {
	if a, err = p.sendWraps(ctx, other); err != nil {
		return a, err
	}
	now := time.Now().UnixMilli()
	offer, err := p.offer(other, now)
	if err != nil {
		return a, err
	}
	if a, err = p.tell(ctx, other, wire.FriendOffer, offer); err != nil {
		return a, err
	}
	if a, err = other.sendWraps(ctx, p); err != nil {
		return a, err
	}
	if a, err = other.accept(ctx, p, offer.Hash(wire.LabelOffer), now); err != nil {
		return a, err
	}
	p.friends[other.number], other.friends[p.number] = true, true
	return a, nil
}

// pause waits, or returns why it cannot.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
