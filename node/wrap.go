package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

func wrapsKey(author wire.AccountID, audience wire.AudienceID, c wire.Commitment) string {
	return "wrap/" + author.String() + "/" + audience.String() + "/" + c.String() + "/"
}

func wrapKey(w keyservice.WrapName) string {
	return keyOf("wrap/", w.Author, w.Audience, w.Commitment, w.Reader)
}

func parseWrapKey(key string) (keyservice.WrapName, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 {
		return keyservice.WrapName{}, fmt.Errorf("%q is not the key of a wrap", key)
	}
	author, err1 := wire.ParseAccountID(parts[1])
	audience, err2 := wire.ParseAudienceID(parts[2])
	commitment, err3 := wire.ParseCommitment(parts[3])
	reader, err4 := wire.ParseAccountID(parts[4])
	return keyservice.WrapName{Author: author, Audience: audience, Commitment: commitment, Reader: reader}, errors.Join(err1, err2, err3, err4)
}

// sealedHash is how two nodes tell wraps apart (wire.SyncReader).
func sealedHash(sealed []byte) wire.Hash { return sha256.Sum256(sealed) }

// wrapChange writes a wrap. There is no wrap of one epoch for one reader but the
// newest; Node.wraps.forget follows.
func wrapChange(name keyservice.WrapName, w wire.Wrap) store.Change {
	return put(wrapKey(name), &wrapRecord{recordVersion, w.Key, w.Sealed})
}

// wrapHash returns the sealedHash of a reader's wrap, or NotExist.
func (n *Node) wrapHash(ctx context.Context, s *stream, c wire.Commitment, reader wire.AccountID) (wire.Hash, error) {
	name := keyservice.WrapName{Author: s.name.author, Audience: s.name.audience, Commitment: c, Reader: reader}
	h, known, changes := n.wraps.get(name)
	if known {
		return h, nil
	}
	var r wrapRecord
	if _, err := read(ctx, n.storeOf(s), wrapKey(name), &r); err != nil {
		return wire.Hash{}, err
	}
	h = sealedHash(r.Sealed)
	n.wraps.remember(name, h, changes)
	return h, nil
}

// hasWrap reports whether there is a wrap for a reader. It remembers nothing.
func (n *Node) hasWrap(ctx context.Context, s *stream, c wire.Commitment, reader wire.AccountID) (bool, error) {
	_, err := n.storeOf(s).Get(ctx, wrapKey(keyservice.WrapName{Author: s.name.author, Audience: s.name.audience, Commitment: c, Reader: reader}))
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// keysOf returns the service that has the wraps of a stream.
func (n *Node) keysOf(s *stream) *keyservice.Service {
	if s.copy {
		return n.copyKeys
	}
	return n.ownKeys
}

// PutWraps stores wraps of the person's own audience under the commitment of an
// epoch, which may not be published yet. At most wire.MaxWrapBatch at once and
// wire.MaxWraps in all; one for the same reader replaces the one before. Kinds of
// errors: Invalid, Limit.
func (p *Person) PutWraps(ctx context.Context, r wire.WrapsRequest) error {
	if r.Audience.IsZero() || r.Commitment == (wire.Commitment{}) {
		return wire.Errorf(wire.Invalid, "audience", "an audience and a commitment were expected")
	}
	if len(r.Wraps) == 0 || len(r.Wraps) > wire.MaxWrapBatch {
		return wire.Errorf(wire.Invalid, "wraps", "1 to %d wraps were expected", wire.MaxWrapBatch)
	}
	room, err := p.node.roomForWraps(ctx, wrapsKey(p.account, r.Audience, r.Commitment))
	if err != nil {
		return err
	}
	if len(r.Wraps) > room {
		return wire.Errorf(wire.Limit, "wraps", "an epoch has at most %d wraps", wire.MaxWraps)
	}
	changes := make([]store.Change, len(r.Wraps))
	names := make([]keyservice.WrapName, len(r.Wraps))
	for i, w := range r.Wraps {
		if err := w.Check(); err != nil {
			return err
		}
		names[i] = keyservice.WrapName{Author: p.account, Audience: r.Audience, Commitment: r.Commitment, Reader: w.Reader}
		changes[i] = wrapChange(names[i], w)
	}
	err = p.node.own.Apply(ctx, changes...)
	for _, name := range names {
		p.node.wraps.forget(name)
		p.node.noteReader(name)
	}
	if err != nil {
		return err
	}
	return p.tellWraps(ctx, names)
}

// tellWraps tells the nodes of friends elsewhere of wraps of the newest epoch. Those
// of one that is still to come go with its entry.
func (p *Person) tellWraps(ctx context.Context, names []keyservice.WrapName) error {
	s := p.node.streams.get(streamName{p.account, names[0].Audience})
	if s == nil || s.state().content != names[0].Commitment {
		return nil
	}
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return err
	}
	for _, w := range names {
		for _, node := range c.nodeOf(w.Reader, p.node.name) {
			p.node.tellOf(node, s.name, untold{after: s.state().Seq, readers: []wire.AccountID{w.Reader}})
		}
	}
	return nil
}

// noteReader notes that there may be a wrap for a reader who had none. Of an epoch
// that is still to come the reader hears when it comes.
func (n *Node) noteReader(w keyservice.WrapName) {
	if s := n.streams.get(streamName{w.Author, w.Audience}); s != nil && s.state().content == w.Commitment {
		n.changes.ofPeople(w.Reader)
	}
}

// roomForWraps returns how many wraps may be added to those whose keys begin
// with prefix.
func (n *Node) roomForWraps(ctx context.Context, prefix string) (int, error) {
	room := wire.MaxWraps
	for _, err := range n.own.Scan(ctx, store.Prefix(prefix)) {
		if err != nil {
			return 0, err
		}
		room--
	}
	return room, nil
}

// Wrap returns the person's own wrap under a commitment, of a stream that they
// may read; there is no way to anybody else's. Else NotExist.
func (p *Person) Wrap(ctx context.Context, author wire.AccountID, audience wire.AudienceID, c wire.Commitment) (wire.Wrap, error) {
	if err := p.refresh(ctx, &author); err != nil {
		return wire.Wrap{}, err
	}
	s, err := p.node.readable(ctx, p.account, streamName{author, audience})
	if err != nil {
		return wire.Wrap{}, err
	}
	w, err := p.node.keysOf(s).Wrap(ctx, p.account, author, audience, c)
	if g := s.gap.Load(); g == nil || g.From <= 1 || !errors.Is(err, wire.NotExist) {
		return w, err
	}
	if _, err := p.refill(ctx, s); err != nil { // wraps of older epochs go with the entries
		return wire.Wrap{}, err
	}
	w, err = p.node.keysOf(s).Wrap(ctx, p.account, author, audience, c)
	if errors.Is(err, wire.NotExist) && s.gap.Load() != nil {
		return wire.Wrap{}, notKept()
	}
	return w, err
}
