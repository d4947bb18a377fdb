package load

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A person is somebody on a node. One operation at a time works with them, which
// is who has taken them (see take).
type person struct {
	crowd      *crowd
	number     int
	home       *node
	handle     wire.Handle
	account    wire.AccountID
	audience   wire.AudienceID
	identity   wire.IdentitySecret
	login      wire.LoginSecret
	encryption seal.EncryptionSecret
	epoch      seal.EpochSecret
	content    seal.ContentKey
	chain      seal.ChainKey
	session    session
	founded    wire.Signed // the key statement, while people are set up
	vault      wire.Signed // head of the vault, likewise, once it is registered

	stream  wire.StreamHead // with what is signed and not acknowledged
	pending []draft         // signed and not acknowledged, oldest first
	acked   uint64          // seq of the newest entry that the node has acknowledged
	created int64           // of that entry, ms
	before  uint64          // seq of the newest entry before this run
	broken  bool            // the node has refused what must follow: nothing more can be written
	dues    dues            // of what those who watch have not seen yet

	friends map[int]bool // by number
	feed    feed

	taken   atomic.Bool
	waiting atomic.Int64 // they are to be left alone until then, ns since 1970
}

// streamID names a stream.
type streamID struct {
	author   wire.AccountID
	audience wire.AudienceID
}

// A draft is a signed entry as it is sent.
type draft struct {
	id      wire.EntryID
	created int64
	body    []byte
}

// take reserves a person for one operation.
func (p *person) take(now time.Time) bool {
	return p.waiting.Load() <= now.UnixNano() && p.taken.CompareAndSwap(false, true)
}

func (p *person) release() { p.taken.Store(false) }

// secret derives 32 bytes for one purpose of one person.
func (c *crowd) secret(purpose string, number int) [32]byte {
	seed := c.seed.Reveal()
	m := hmac.New(sha256.New, seed[:])
	fmt.Fprintf(m, "peerbrain load %s %d", purpose, number)
	return [32]byte(m.Sum(nil))
}

// newPerson makes somebody with all their keys, who is not registered yet.
func (c *crowd) newPerson(number int) (*person, error) {
	secret := func(purpose string) []byte { b := c.secret(purpose, number); return b[:] }
	p := &person{
		crowd: c, number: number, home: c.nodes[number%len(c.nodes)], handle: wire.Handle(fmt.Sprintf("%s_%d", c.name, number)),
		audience: c.secret("audience", number), friends: make(map[int]bool), feed: feed{told: make(map[streamID]uint64)},
		identity: wire.NewIdentitySecret(c.secret("identity", number)), login: wire.NewLoginSecret(c.secret("log-in", number)),
	}
	var err error
	if p.encryption, err = seal.EncryptionSecretFromSeed(secret("encryption")); err != nil {
		return nil, err
	}
	if p.epoch, err = seal.EpochSecretFromBytes(secret("epoch")); err != nil {
		return nil, err
	}
	p.content, p.chain = p.epoch.Split()
	return p, nil
}

func (p *person) address() wire.Address { return wire.Address{Handle: p.handle, Node: p.home.name} }

// from is which address of their node's people they come from.
func (p *person) from() int { return p.number / len(p.crowd.nodes) }

func (p *person) streamID() streamID { return streamID{p.account, p.audience} }

// call asks the home node, in the name of p, and decodes the answer into out
// unless that is nil; in is sent as JSON, nil for nothing. An answer that is no
// 2xx is an error. Where the session has ended, p logs in and asks again.
func (p *person) call(ctx context.Context, method, path string, in, out any) (answer, error) {
	token, number := p.session.current()
	a, err := p.try(ctx, token, method, path, in, out)
	if a.status != http.StatusUnauthorized || token.IsZero() {
		return a, err
	}
	if a, err := p.renew(ctx, number); err != nil {
		return a, err
	}
	token, _ = p.session.current()
	return p.try(ctx, token, method, path, in, out)
}

// try is call with one token, zero for none.
func (p *person) try(ctx context.Context, token wire.Token, method, path string, in, out any) (answer, error) {
	r := &request{method: method, path: path, from: p.from(), token: token}
	switch in := in.(type) {
	case nil:
	case []byte:
		r.body = in
	default:
		r.body = wire.EncodeJSON(in)
	}
	a, err := p.home.ask(ctx, r, p.crowd.timeout)
	if err == nil && (a.status < 200 || a.status > 299) {
		err = p.home.refusal(&a)
	}
	if err == nil && out != nil {
		if err = wire.DecodeJSON(a.body, out); err != nil {
			err = wire.Errorf(wire.Unavailable, "node", "the answer of %s to %s is not understood (%v)", p.home.name, where(path), err)
		}
	}
	return a, err
}

// where is a path without what differs from person to person.
func where(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if parts := strings.SplitN(path, "/", 4); len(parts) == 4 && len(parts[3]) > 20 {
		path = strings.Join(parts[:3], "/")
	}
	return path
}

// refusal is the error that an answer tells of. A node that has too much to do
// says so in the same words again and again: they are read once.
func (n *node) refusal(a *answer) error {
	if last := n.refused.Load(); last != nil && last.status == a.status && last.retry == a.retry && bytes.Equal(last.body, a.body) {
		return last.err
	}
	var problem wire.Problem
	if err := wire.DecodeJSON(a.body, &problem); err != nil || problem.Code.Status() != a.status {
		return wire.Errorf(wire.Unavailable, "node", "status %d, and nothing that is understood", a.status)
	}
	err := problem.Err()
	err.RetryAfter = max(err.RetryAfter, a.retry)
	n.refused.Store(&refusal{*a, err})
	return err
}

// sign makes the header of the next entry and signs it for a body that seal makes.
func (p *person) sign(kind wire.EntryKind, body func(*wire.EntryHeader) ([]byte, error)) error {
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: p.account, Audience: p.audience,
		Seq: p.stream.Seq + 1, Prev: p.stream.ID, Created: max(time.Now().UnixMilli(), p.stream.Created), Kind: kind, Epoch: p.stream.Epoch,
	}
	if kind == wire.KindEpoch {
		h.Epoch = h.Seq
	}
	sealed, err := body(h)
	if err != nil {
		return err
	}
	h.BodyHash, h.BodySize = wire.BodyHash(sealed), uint64(len(sealed))
	signed, err := h.Sign(p.identity)
	if err != nil {
		return err
	}
	e := wire.Entry{Header: signed, Body: sealed}
	if p.stream, err = p.stream.Next(h, e.ID()); err != nil {
		return err
	}
	p.pending = append(p.pending, draft{e.ID(), h.Created, wire.EncodeJSON(wire.PublishRequest{Entry: e})})
	return nil
}

// postContent is the content of a post (docs/protocol.md).
type postContent struct {
	Version uint64 `cbor:"1,keyasint"`
	Text    string `cbor:"2,keyasint"`
}

// write seals and signs the next post.
func (p *person) write() error {
	return p.sign(wire.KindPost, func(h *wire.EntryHeader) ([]byte, error) {
		return seal.SealEntry(h, p.content, wire.EncodeCBOR(&postContent{wire.Version, p.crowd.text(p.number, h.Seq)}))
	})
}

// publish sends the oldest draft. It stays until it is acknowledged: the same
// bytes are sent again, and stored once.
func (p *person) publish(ctx context.Context) (answer, error) {
	d := p.pending[0]
	var reply wire.PublishReply
	a, err := p.call(ctx, http.MethodPost, wire.PathEntries, d.body, &reply)
	if err != nil {
		switch wire.KindOf(err) {
		case wire.Throttled, wire.Limit, wire.Unavailable, wire.Internal, wire.Unauthenticated:
		default: // the same bytes have no better chance
			p.broken = ctx.Err() == nil
		}
		return a, err
	}
	p.pending = p.pending[1:]
	p.acked++
	p.created = min(d.created, reply.Arrival)
	if reply.ID != d.id {
		return a, wire.Errorf(wire.Tampered, "entry", "%s acknowledges another entry than was sent", p.home.name)
	}
	return a, nil
}
