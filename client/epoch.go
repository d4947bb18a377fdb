package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// epochEntry is the verified entry that begins an epoch.
type epochEntry struct {
	h    *wire.EntryHeader
	body *wire.EpochBody
}

// epochMember names somebody for whom the keys of an epoch are wrapped.
type epochMember struct {
	content wire.Commitment
	member  wire.AccountID
}

// epochEntry fetches and verifies the entry of an epoch, with the entry before,
// which tells where its first link must lead.
func (p *Person) epochEntry(ctx context.Context, s stream, seq uint64) (*epochEntry, error) {
	id := epochID{s.streamID, seq}
	if e := p.epochs[id]; e != nil {
		return e, nil
	}
	after, limit := uint64(0), 1
	if seq > 1 {
		after, limit = seq-2, 2
	}
	run, _, err := p.runAfter(ctx, s, after, limit)
	if err != nil {
		return nil, err
	}
	if len(run) < limit {
		return nil, s.missing(seq, seq)
	}
	v, before := run[limit-1], uint64(0)
	if limit == 2 {
		before = run[0].Epoch
	}
	if s, err = p.verifier(ctx, s); err != nil {
		return nil, err
	}
	body, _, err := s.chain.OpenEpoch(v.h, v.entry.Body, before)
	if err != nil {
		return nil, s.unopened(fmt.Sprintf("epoch %d", seq), err)
	}
	e := &epochEntry{v.h, body}
	p.epochs[id] = e
	return e, nil
}

// matches verifies keys against what the signed entry of their epoch says.
func (e *epochEntry) matches(s stream, k *epochKeys) error {
	if k.content.Commitment() != e.body.Content || !k.chain.IsZero() && k.chain.Commitment() != e.body.Chain {
		return s.tampered(wire.Errorf(wire.Tampered, "epoch", "the keys of epoch %d are not those that the author committed to", e.h.Seq))
	}
	return nil
}

// ownKeys returns the keys of an epoch of one's own, which its entry holds
// sealed under the self key.
func (p *Person) ownKeys(ctx context.Context, seq uint64) (*epochKeys, error) {
	s := p.ownStream()
	id := epochID{s.streamID, seq}
	if k := p.cache.keys[id]; k != nil {
		return k, nil
	}
	e, err := p.epochEntry(ctx, s, seq)
	if err != nil {
		return nil, err
	}
	place := seal.EpochPlace{Author: s.Author, Audience: s.Audience, Seq: seq, Prev: e.h.Prev}
	secret, err := p.openEpochSecret(place, e.body.SealedSecret)
	if err != nil {
		return nil, s.unopened(fmt.Sprintf("the secret of epoch %d", seq), err)
	}
	k := keysOfSecret(secret)
	if err := e.matches(s, k); err != nil {
		return nil, err
	}
	p.cache.setKeys(id, k)
	return k, nil
}

// openEpochSecret opens the secret of an epoch of one's own by the self key of its time.
func (p *Person) openEpochSecret(place seal.EpochPlace, sealed []byte) (secret seal.EpochSecret, err error) {
	for _, k := range p.vault.keys() {
		var self seal.SelfKey
		if self, err = seal.SelfKeyFromBytes(k.Self.Reveal()); err != nil {
			return secret, err
		}
		if secret, err = seal.OpenEpochSecret(self, place, sealed); err == nil {
			return secret, nil
		}
	}
	return secret, err
}

// plan is what the friends audience lacks.
type plan struct {
	newest wire.Commitment  // of the newest epoch, zero if there is none
	rotate bool             // somebody holds its keys, or may, who is not entitled; or it is signed under older keys
	wrap   []wire.AccountID // entitled, and without a wrap for sure
}

// planEpoch compares the newest epoch with whom the vault entitles. Those whose
// keys cannot be had now wait.
func (p *Person) planEpoch(ctx context.Context, own *track) (plan, error) {
	if own == nil {
		return plan{rotate: true}, nil
	}
	keys, err := p.ownKeys(ctx, own.Top.Epoch)
	if err != nil {
		return plan{}, err
	}
	todo := plan{newest: keys.content.Commitment()}
	members := p.vault.friends().epoch(todo.newest)
	if members == nil || own.Top.KeySeq != p.vault.KeySeq {
		todo.rotate = true
		return todo, nil
	}
	for _, id := range members.Members {
		if f := p.vault.friend(id); f == nil || !f.entitled() {
			todo.rotate = true
			return todo, nil
		}
	}
	for _, id := range p.vault.entitled() {
		owed, f := slices.Contains(members.Owed, id), p.vault.friend(id)
		if slices.Contains(members.Members, id) && (!owed || p.paid[epochMember{todo.newest, id}]) {
			continue
		}
		if _, err := p.keysOf(ctx, f); err != nil {
			p.problems[id] = err
			continue
		}
		todo.rotate = todo.rotate || !owed && !f.History
		todo.wrap = append(todo.wrap, id)
	}
	return todo, ctx.Err()
}

// settleEpochs makes the newest epoch of the friends audience one that exactly
// those can open whom the vault entitles.
func (p *Person) settleEpochs(ctx context.Context) error {
	if !p.current {
		if _, err := p.refreshOwn(ctx); err != nil {
			return err
		}
	}
	for range maxTries {
		own := p.cache.track(p.ownStream().streamID)
		todo, err := p.planEpoch(ctx, own)
		if err != nil {
			return err
		}
		switch {
		case todo.rotate:
			err = p.newEpoch(ctx, own, todo.newest)
		case len(todo.wrap) > 0:
			err = p.wrapNewest(ctx, own.Top.Epoch, todo)
		default:
			return nil
		}
		if wire.KindOf(err) == wire.Conflict { // another device was first
			if err = p.refreshVault(ctx); err == nil {
				_, err = p.refreshOwn(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Conflict, "epoch", "other devices write all the time")
}

// newEpoch closes the stream from here on to all but those whom the vault
// entitles. Their names go into the vault first, their wraps to the node, and
// then, in one record, the entry and the ends of friendships that caused it.
func (p *Person) newEpoch(ctx context.Context, own *track, newest wire.Commitment) error {
	reachable := make(map[wire.AccountID]bool)
	for _, id := range p.vault.entitled() {
		if _, err := p.keysOf(ctx, p.vault.friend(id)); err != nil {
			p.problems[id] = err
			continue
		}
		reachable[id] = true
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	secret := seal.NewEpochSecret()
	keys := keysOfSecret(secret)
	content := keys.content.Commitment()
	err := p.updateVault(ctx, func(v *vault) (bool, error) {
		members := slices.DeleteFunc(v.entitled(), func(id wire.AccountID) bool { return !reachable[id] })
		v.friends().propose(epochMembers{Content: content, Members: members}, newest)
		return true, nil
	})
	if err != nil {
		return err
	}
	if err := p.sendWraps(ctx, keys, p.vault.friends().epoch(content).Members); err != nil {
		return err
	}
	return p.publishEpoch(ctx, own, secret)
}

// publishEpoch writes the entry of an epoch whose wraps are at the node.
func (p *Person) publishEpoch(ctx context.Context, own *track, secret seal.EpochSecret) error {
	h, err := p.nextHeader(own, wire.KindEpoch)
	if err != nil {
		return err
	}
	h.Epoch = h.Seq
	keys := keysOfSecret(secret)
	body := &wire.EpochBody{
		Version: wire.Version, Suite: wire.Suite,
		Content: keys.content.Commitment(), Chain: keys.chain.Commitment(),
		VaultHead: p.vault.signed,
	}
	place := seal.EpochPlace{Author: h.Author, Audience: h.Audience, Seq: h.Seq, Prev: h.Prev}
	if body.SealedSecret, err = seal.SealEpochSecret(p.vault.self, place, secret); err != nil {
		return err
	}
	if own != nil {
		before, err := p.ownKeys(ctx, own.Top.Epoch)
		if err != nil {
			return err
		}
		link := seal.LinkPlace{Author: h.Author, Audience: h.Audience, From: h.Seq, To: own.Top.Epoch}
		sealed, err := seal.SealLink(keys.chain, link, before.secret)
		if err != nil {
			return err
		}
		body.Links = []wire.Link{{Epoch: own.Top.Epoch, Sealed: sealed}}
	}
	encoded, err := body.Encode()
	if err != nil {
		return err
	}
	h.BodyHash, h.BodySize = wire.BodyHash(encoded), uint64(len(encoded))
	v, err := p.sign(h, encoded)
	if err != nil {
		return err
	}
	ends, hashes := p.endsWithEpoch()
	err = p.publish(ctx, v, ends)
	if len(ends) > 0 && endsRefused(err) { // the same entry again, and the ends on their own
		p.apart, hashes = true, nil
		err = p.publish(ctx, v, nil)
	}
	if errors.Is(err, wire.Conflict) {
		return cmp.Or(p.overtaken(ctx, v), err)
	}
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		p.sent[hash] = true
	}
	p.cache.setKeys(epochID{p.ownStream().streamID, h.Seq}, keys)
	return nil
}

// maxEnds bounds the friendships that one record ends.
const maxEnds = 100

// endsRefused reports whether the ends that go with an epoch may have met err.
func endsRefused(err error) bool {
	switch wire.KindOf(err) {
	case wire.NotExist, wire.Invalid, wire.Limit, wire.Conflict:
		return true
	}
	return false
}

// endsWithEpoch lists the pending ends of friendships that go with an epoch.
func (p *Person) endsWithEpoch() (ends []wire.FriendRequest, hashes []wire.Hash) {
	if p.apart {
		return nil, nil
	}
	for i := range p.vault.Friends {
		f := &p.vault.Friends[i]
		for _, s := range f.Pending {
			if s.Kind == kindEnd && s.WithEpoch && !p.atNode(f, s) && len(ends) < maxEnds {
				ends = append(ends, wire.FriendRequest{Address: f.address(), FriendStatement: wire.FriendStatement{Kind: wire.FriendEnd, Statement: s.Signed}})
				hashes = append(hashes, s.hash())
			}
		}
	}
	return ends, hashes
}
