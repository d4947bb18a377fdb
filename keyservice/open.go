package keyservice

import (
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// signed tells of an opened statement what the chain has to agree with.
type signed struct {
	by     wire.AccountID
	keySeq uint64
}

// openSigned tries the keys of the chain from newest to oldest, each once,
// because the number of the right one is known only after it has verified. What
// the statement says of itself must then be true: who signed it, and that the
// key statement it names holds the key that verified.
func openSigned[T any](c *Chain, what string, open func(wire.IdentityKey) (T, error), says func(T) signed) (T, error) {
	var none T
	var failed error
	for i := len(c.opened) - 1; i >= 0; i-- {
		key := c.opened[i].Identity
		if slices.ContainsFunc(c.opened[i+1:], func(k *wire.KeyStatement) bool { return k.Identity == key }) {
			continue // tried already
		}
		v, err := open(key)
		if errors.Is(err, wire.Tampered) {
			failed = err
			continue
		}
		if err != nil {
			return none, err
		}
		s := says(v)
		if s.by != c.account {
			return none, wire.Errorf(wire.Tampered, what, "it names another person than the one who signed it")
		}
		if named, _, err := c.At(s.keySeq); err != nil || named.Identity != key {
			return none, wire.Errorf(wire.Tampered, what, "it names key statement %d, which is not what it is signed under", s.keySeq)
		}
		return v, nil
	}
	return none, failed
}

// OpenEntry verifies an entry of this person, header and body. Whether it
// follows the entry before is the business of wire.StreamHead. All Open methods
// return Tampered for what this person has not signed, Invalid, TooLarge and
// Update for what is malformed, and accept every key of the chain: who needs the
// newest compares the KeySeq.
func (c *Chain) OpenEntry(e wire.Entry) (*wire.EntryHeader, error) {
	h, err := openSigned(c, "entry",
		func(k wire.IdentityKey) (*wire.EntryHeader, error) { return wire.OpenEntryHeader(e.Header, k) },
		func(h *wire.EntryHeader) signed { return signed{h.Author, h.KeySeq} })
	if err != nil {
		return nil, err
	}
	if uint64(len(e.Body)) != h.BodySize || wire.BodyHash(e.Body) != h.BodyHash {
		return nil, wire.Errorf(wire.Tampered, "entry", "the body is not the one that was signed")
	}
	return h, nil
}

// OpenEpoch verifies the body of an epoch entry whose header was opened by
// OpenEntry: its links, and the vault head in it, which is signed under the same
// key as the entry. prevEpoch is the seq of the epoch before, 0 for the first.
func (c *Chain) OpenEpoch(h *wire.EntryHeader, body []byte, prevEpoch uint64) (*wire.EpochBody, *wire.VaultHead, error) {
	named, _, err := c.At(h.KeySeq)
	if err != nil {
		return nil, nil, err
	}
	b, head, err := wire.OpenEpochBody(h, body, prevEpoch, named.Identity)
	if err != nil {
		return nil, nil, err
	}
	if s, _, err := c.At(head.KeySeq); err != nil || s.Identity != named.Identity {
		return nil, nil, wire.Errorf(wire.Tampered, "epoch", "the vault head in it is signed under other keys")
	}
	return b, head, nil
}

// OpenOffer verifies an offer of this person.
func (c *Chain) OpenOffer(s wire.Signed) (*wire.Offer, error) {
	return openSigned(c, "offer",
		func(k wire.IdentityKey) (*wire.Offer, error) { return wire.OpenOffer(s, k) },
		func(o *wire.Offer) signed { return signed{o.From, o.KeySeq} })
}

// OpenAccept verifies an acceptance of this person.
func (c *Chain) OpenAccept(s wire.Signed) (*wire.Accept, error) {
	return openSigned(c, "accept",
		func(k wire.IdentityKey) (*wire.Accept, error) { return wire.OpenAccept(s, k) },
		func(a *wire.Accept) signed { return signed{a.From, a.KeySeq} })
}

// OpenEnd verifies an end that this person said.
func (c *Chain) OpenEnd(s wire.Signed) (*wire.End, error) {
	return openSigned(c, "end",
		func(k wire.IdentityKey) (*wire.End, error) { return wire.OpenEnd(s, k) },
		func(e *wire.End) signed { return signed{e.From, e.KeySeq} })
}

// OpenVaultHead verifies the head of a vault of this person.
func (c *Chain) OpenVaultHead(s wire.Signed) (*wire.VaultHead, error) {
	return openSigned(c, "vault head",
		func(k wire.IdentityKey) (*wire.VaultHead, error) { return wire.OpenVaultHead(s, k) },
		func(v *wire.VaultHead) signed { return signed{v.Account, v.KeySeq} })
}

// OpenVaultRecord verifies a vault of this person: the head, and that vault and
// slots are those that it names.
func (c *Chain) OpenVaultRecord(r wire.VaultRecord) (*wire.VaultHead, *wire.Slots, error) {
	head, err := c.OpenVaultHead(r.Head)
	if err != nil {
		return nil, nil, err
	}
	named, _, err := c.At(head.KeySeq)
	if err != nil {
		return nil, nil, err
	}
	return wire.OpenVaultRecord(r, named.Identity)
}

// OpenTombstone verifies that this person has deleted their account, under the newest
// keys: what older ones sign is Tampered, for they may be a thief's.
func (c *Chain) OpenTombstone(s wire.Signed) (*wire.Tombstone, error) {
	k := c.Newest()
	t, err := wire.OpenTombstone(s, k.Identity, k.Recovery)
	if err != nil {
		return nil, err
	}
	if t.Account != c.account || t.KeySeq != k.Seq || t.Statement != c.NewestHash() || t.Address() != c.Address() {
		return nil, wire.Errorf(wire.Tampered, "tombstone", "it is not of %s under key statement %d", c.Address(), k.Seq)
	}
	return t, nil
}

// OpenHeadQuery verifies a question of this person, under the newest key: it
// names none.
func (c *Chain) OpenHeadQuery(s wire.Signed) (*wire.HeadQuery, error) {
	q, err := wire.OpenHeadQuery(s, c.Newest().Identity)
	if err != nil {
		return nil, err
	}
	if q.Account != c.account {
		return nil, wire.Errorf(wire.Tampered, "head query", "it names another person than the one who signed it")
	}
	return q, nil
}

// OpenRecoveryQuery verifies a question of this person, under the newest recovery key: an
// older code asks for nothing.
func (c *Chain) OpenRecoveryQuery(s wire.Signed) (*wire.RecoveryQuery, error) {
	q, err := wire.OpenRecoveryQuery(s, c.Newest().Recovery)
	if err != nil {
		return nil, err
	}
	if q.Address() != c.Address() {
		return nil, wire.Errorf(wire.Tampered, "recovery query", "it names another person than the one who signed it")
	}
	return q, nil
}
