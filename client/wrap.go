package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// sendWraps hands the node the keys of an epoch, sealed to each of readers, who
// stand in the vault as its members. The past goes with them where it is shared.
func (p *Person) sendWraps(ctx context.Context, keys *epochKeys, readers []wire.AccountID) error {
	s := p.ownStream()
	content := keys.content.Commitment()
	for batch := range slices.Chunk(readers, wire.MaxWrapBatch) {
		r := wire.WrapsRequest{Audience: s.Audience, Commitment: content}
		for _, id := range batch {
			f := p.vault.friend(id)
			k, err := p.keysOf(ctx, f)
			if err != nil {
				return err
			}
			var chain *seal.ChainKey
			if f.History {
				chain = &keys.chain
			}
			at := seal.WrapPlace{Author: s.Author, Audience: s.Audience, Commitment: content, Reader: id, Key: k.Newest}
			sealed, err := seal.SealWrap(k.Encryption, at, keys.content, chain)
			if err != nil {
				return err
			}
			r.Wraps = append(r.Wraps, wire.Wrap{Reader: id, Key: k.Newest, Sealed: sealed})
		}
		if err := p.hand(ctx, "POST", wire.PathWraps, &r, nil); err != nil {
			return err
		}
		for _, id := range batch {
			p.paid[epochMember{content, id}] = true
		}
	}
	return nil
}

// wrapNewest gives people who share the past the keys of the newest epoch.
func (p *Person) wrapNewest(ctx context.Context, seq uint64, todo plan) error {
	err := p.updateVault(ctx, func(v *vault) (changed bool, err error) {
		members := v.friends().epoch(todo.newest)
		if members == nil {
			return false, wire.Errorf(wire.Conflict, "epoch", "another device began a newer one")
		}
		for _, id := range todo.wrap {
			f := v.friend(id)
			if f == nil || !f.entitled() || slices.Contains(members.Owed, id) {
				continue
			}
			members.admit(id)
			changed = true
		}
		return changed, nil
	})
	if err != nil {
		return err
	}
	keys, err := p.ownKeys(ctx, seq)
	if err != nil {
		return err
	}
	owed := slices.DeleteFunc(slices.Clone(todo.wrap), func(id wire.AccountID) bool {
		return !slices.Contains(p.vault.friends().epoch(todo.newest).Owed, id)
	})
	return p.sendWraps(ctx, keys, owed)
}

// errNoAccess tells of an epoch from before a friendship without the past.
var errNoAccess = errors.New("the past is not shared")

// contentKey returns the key of the entries of an epoch. newest is the newest
// epoch of the stream that is known.
func (p *Person) contentKey(ctx context.Context, s stream, seq, newest uint64) (seal.ContentKey, error) {
	if s.own {
		k, err := p.ownKeys(ctx, seq)
		if err != nil {
			return seal.ContentKey{}, err
		}
		return k.content, nil
	}
	id := epochID{s.streamID, seq}
	if k := p.cache.keys[id]; k != nil {
		return k.content, nil
	}
	if ok, err := p.descend(ctx, s, seq); ok || err != nil {
		return p.keyOr(id, err)
	}
	err := p.openWrap(ctx, s, max(newest, seq))
	if err == nil && seq < newest {
		var ok bool
		if ok, err = p.descend(ctx, s, seq); ok || err != nil {
			return p.keyOr(id, err)
		}
	}
	if seq < newest && (err == nil || errors.Is(err, errNoAccess)) {
		err = p.openWrap(ctx, s, seq)
	}
	return p.keyOr(id, err)
}

func (p *Person) keyOr(id epochID, err error) (seal.ContentKey, error) {
	if err != nil {
		return seal.ContentKey{}, err
	}
	return p.cache.keys[id].content, nil
}

// descend follows links down to an epoch from the nearest later one whose chain
// key is known; false if there is none.
func (p *Person) descend(ctx context.Context, s stream, seq uint64) (bool, error) {
	at, found := uint64(0), false
	for id, k := range p.cache.keys {
		if id.streamID == s.streamID && id.seq > seq && !k.chain.IsZero() && (!found || id.seq < at) {
			at, found = id.seq, true
		}
	}
	for found && at != seq {
		next, err := p.follow(ctx, s, at, seq)
		if err != nil {
			return false, err
		}
		at = next
	}
	return found, nil
}

// follow opens the link of epoch from that leads nearest to epoch to, and
// returns where that is.
func (p *Person) follow(ctx context.Context, s stream, from, to uint64) (uint64, error) {
	e, err := p.epochEntry(ctx, s, from)
	if err != nil {
		return 0, err
	}
	i := len(e.body.Links) - 1
	for i >= 0 && e.body.Links[i].Epoch < to {
		i--
	}
	if i < 0 {
		return 0, s.tampered(wire.Errorf(wire.Tampered, "epoch", "no link leads from epoch %d to epoch %d", from, to))
	}
	link := e.body.Links[i]
	older, err := p.epochEntry(ctx, s, link.Epoch)
	if err != nil {
		return 0, err
	}
	place := seal.LinkPlace{Author: s.Author, Audience: s.Audience, From: from, To: link.Epoch}
	secret, err := seal.OpenLink(p.cache.keys[epochID{s.streamID, from}].chain, place, link.Sealed)
	if err != nil {
		return 0, s.unopened(fmt.Sprintf("the link from epoch %d to %d", from, link.Epoch), err)
	}
	k := keysOfSecret(secret)
	if err := older.matches(s, k); err != nil {
		return 0, err
	}
	p.cache.setKeys(epochID{s.streamID, link.Epoch}, k)
	return link.Epoch, nil
}

// openWrap asks for this person's wrap of an epoch, once in an operation.
func (p *Person) openWrap(ctx context.Context, s stream, seq uint64) error {
	id := epochID{s.streamID, seq}
	if err, ok := p.tried[id]; ok {
		return err
	}
	err := p.openNewWrap(ctx, s, id)
	if wire.KindOf(err) != wire.Unavailable && ctx.Err() == nil {
		p.tried[id] = err
	}
	return err
}

// openerOf returns the secret of the encryption key in a key statement of this person, by
// the name of that; false for a statement or a key that is not theirs.
func (p *Person) openerOf(statement wire.Hash) (seal.EncryptionSecret, bool) {
	for seq := range p.chain.Newest().Seq + 1 {
		k, hash, err := p.chain.At(seq)
		if err != nil || hash != statement {
			continue
		}
		for _, old := range p.vault.keys() {
			if secret, err := seal.EncryptionSecretFromSeed(old.Encryption.Reveal()); err == nil && secret.Public() == k.Encryption {
				return secret, true
			}
		}
	}
	return seal.EncryptionSecret{}, false
}

func (p *Person) openNewWrap(ctx context.Context, s stream, id epochID) error {
	e, err := p.epochEntry(ctx, s, id.seq)
	if err != nil {
		return err
	}
	var w wire.Wrap
	err = p.get(ctx, pathOf(wire.PathWrap, s.Author.String(), s.Audience.String(), e.body.Content.String()), &w)
	if errors.Is(err, wire.NotExist) {
		return errNoAccess
	}
	if err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return s.unopened(fmt.Sprintf("the keys of epoch %d", id.seq), err)
	}
	opener, ours := p.openerOf(w.Key)
	if w.Reader != p.me() || !ours {
		return s.tampered(wire.Errorf(wire.Tampered, "wrap", "the node hands out the wrap of epoch %d for another reader or key", id.seq))
	}
	at := seal.WrapPlace{Author: s.Author, Audience: s.Audience, Commitment: e.body.Content, Reader: w.Reader, Key: w.Key}
	content, chain, err := seal.OpenWrap(opener, at, w.Sealed)
	if err != nil {
		return s.unopened(fmt.Sprintf("the keys of epoch %d", id.seq), err)
	}
	k := &epochKeys{content: content}
	if chain != nil {
		k.chain = *chain
	}
	if err := e.matches(s, k); err != nil {
		return err
	}
	p.cache.setKeys(id, k)
	return nil
}
