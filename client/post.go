package client

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// MaxText is the longest text of a post, in bytes of UTF-8.
const MaxText = wire.MaxPost

// A Post is one that was verified and opened.
type Post struct {
	ID            wire.EntryID
	Author        wire.Address
	AuthorAccount wire.AccountID
	Audience      string // "friends"
	AudienceID    wire.AudienceID
	Seq           uint64
	Created       time.Time // the author's claim
	Text          string    // as written: not made fit for a terminal
}

// postBody is what a post's entry seals, in deterministic CBOR.
type postBody struct {
	Version uint64 `cbor:"1,keyasint"`
	Text    string `cbor:"2,keyasint"`
}

// postVersion is the version of the plaintext.
const postVersion = 1

func encodePost(text string) []byte { return wire.EncodeCBOR(&postBody{postVersion, text}) }

// decodePost reads what encodePost writes of a text that checkText lets pass.
func decodePost(b []byte) (string, error) {
	var p postBody
	err := wire.DecodeCBOR("post", b, &p)
	if err == nil && p.Version != postVersion || err != nil && wire.LaterVersion(b) {
		return "", wire.Errorf(wire.Update, "post", "its version is not known here; a newer release is needed")
	}
	if err != nil {
		return "", err
	}
	return p.Text, checkText(p.Text)
}

func checkText(text string) error {
	switch {
	case text == "":
		return wire.Errorf(wire.Invalid, "post", "there is nothing to post")
	case len(text) > MaxText:
		return wire.Errorf(wire.TooLarge, "post", "a post has at most %d bytes, not %d", MaxText, len(text))
	case !utf8.ValidString(text):
		return wire.Errorf(wire.Invalid, "post", "the text is not valid UTF-8")
	}
	return nil
}

// Post writes text to an audience, "friends" or "" for it, and returns when the
// node has it on disk. A post whose acknowledgement was lost waits on the device;
// the same text posted again then is that post and no second one.
func (p *Person) Post(ctx context.Context, text, audience string) (posted Post, err error) {
	if err := checkText(text); err != nil {
		return Post{}, err
	}
	if audience != "" && audience != friendsName {
		return Post{}, wire.Errorf(wire.NotExist, "audience", "there is no audience %q", audience)
	}
	err = p.do(ctx, func() error {
		waiting, err := p.outbox()
		if err != nil {
			return err
		}
		if err := p.ready(ctx); err != nil {
			return err
		}
		again, err := p.flush(ctx, waiting, text)
		if err != nil || again != nil {
			posted = again.postOrNone(p)
			return err
		}
		item, err := p.compose(ctx, text)
		if err != nil {
			return err
		}
		if err := p.saveItem(item); err != nil {
			return err
		}
		err = p.deliver(ctx, item)
		posted = item.postOrNone(p)
		if refused(err) {
			p.dropItem(item) // the person is told, and nothing is to come later
		}
		return err
	})
	if err != nil {
		return Post{}, err
	}
	return posted, nil
}

// refused reports whether err is the node's definite no to an entry.
func refused(err error) bool {
	var e *wire.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case wire.Unavailable, wire.Internal, wire.Conflict, wire.Tampered, wire.Unauthenticated:
		return false
	}
	return true
}

// nextHeader begins an entry that follows the newest of the own stream.
func (p *Person) nextHeader(own *track, kind wire.EntryKind) (*wire.EntryHeader, error) {
	now, err := p.c.stamp()
	if err != nil {
		return nil, err
	}
	s := p.ownStream()
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: s.Author, KeySeq: p.vault.KeySeq, Audience: s.Audience,
		Seq: 1, Created: now, Kind: kind,
	}
	if own != nil {
		top := own.Top
		h.Seq, h.Prev, h.Created, h.Epoch = top.Seq+1, top.ID, max(now, top.Created), top.Epoch
	}
	return h, nil
}

func (p *Person) sign(h *wire.EntryHeader, body []byte) (verified, error) {
	signed, err := h.Sign(p.vault.identity)
	if err != nil {
		return verified{}, err
	}
	return p.ownStream().open(wire.Entry{Header: signed, Body: body})
}

// compose seals and signs text as the next entry of the own stream.
func (p *Person) compose(ctx context.Context, text string) (*outboxItem, error) {
	own := p.cache.track(p.ownStream().streamID)
	h, err := p.nextHeader(own, wire.KindPost)
	if err != nil {
		return nil, err
	}
	keys, err := p.ownKeys(ctx, h.Epoch)
	if err != nil {
		return nil, err
	}
	body, err := seal.SealEntry(h, keys.content, encodePost(text))
	if err != nil {
		return nil, err
	}
	v, err := p.sign(h, body)
	if err != nil {
		return nil, err
	}
	return &outboxItem{text: text, v: v}, nil
}

// publish hands an entry to the node, with the ends of friendships that go with it.
func (p *Person) publish(ctx context.Context, v verified, ends []wire.FriendRequest) error {
	var reply wire.PublishReply
	if err := p.hand(ctx, "POST", wire.PathEntries, &wire.PublishRequest{Entry: v.entry, Ends: ends}, &reply); err != nil {
		return err
	}
	if reply.ID != v.ID {
		return wire.Errorf(wire.Tampered, "entry", "the node acknowledges another entry than was sent")
	}
	p.arrived[v.ID] = true
	id := p.ownStream().streamID
	if t := p.cache.track(id); t.next(v.edge) {
		low := v.edge
		if t != nil {
			low = t.Low
		}
		p.cache.setTrack(id, track{low, v.edge})
	}
	return nil
}

// next reports whether e has the place after the newest entry of t; nil is an
// empty stream.
func (t *track) next(e edge) bool {
	if t == nil {
		return e.Seq == 1
	}
	return e.Seq == t.Top.Seq+1 && e.Prev == t.Top.ID
}

// overtaken looks for the entry that a node says was before v. A node that shows
// none may want a second signature for one place in the stream, to show one entry
// to some and the other to others.
func (p *Person) overtaken(ctx context.Context, v verified) error {
	t, err := p.refreshOwn(ctx)
	if err != nil {
		return err
	}
	if t.next(v.edge) {
		return wire.Errorf(wire.Tampered, "entry", "the node refuses entry %d as late, but shows no newer one than %d", v.Seq, v.Seq-1)
	}
	return nil
}

// openPost opens a verified post; errNoAccess if its epoch is closed to this person.
func (p *Person) openPost(ctx context.Context, s stream, v verified, newest uint64) (Post, error) {
	key, err := p.contentKey(ctx, s, v.Epoch, newest)
	if err != nil {
		return Post{}, err
	}
	plain, err := seal.OpenEntry(v.h, key, v.entry.Body)
	if err != nil {
		return Post{}, s.unopened(fmt.Sprintf("entry %d", v.Seq), err)
	}
	text, err := decodePost(plain)
	if err != nil {
		return Post{}, s.tampered(wire.Errorf(wire.KindOf(err), "entry", "entry %d: %s", v.Seq, reason(err)))
	}
	return s.post(v, text), nil
}

func (s stream) post(v verified, text string) Post {
	return Post{
		ID: v.ID, Author: s.address, AuthorAccount: s.Author, Audience: friendsName, AudienceID: s.Audience,
		Seq: v.Seq, Created: time.UnixMilli(v.Created), Text: text,
	}
}

// Show returns one post by its id. NotExist for one that is not open to this
// person, or not there.
func (p *Person) Show(ctx context.Context, id wire.EntryID) (post Post, err error) {
	err = p.do(ctx, func() error {
		if err := p.begin(ctx); err != nil {
			return err
		}
		var item wire.FeedItem
		if err := p.get(ctx, pathOf(wire.PathPost, id.String()), &item); err != nil {
			return err
		}
		if item.Entry.ID() != id {
			return wire.Errorf(wire.Tampered, "entry", "the node shows another entry than was asked for")
		}
		s, err := p.streamKnown(ctx, streamID{item.Author, item.Audience})
		if err != nil {
			return err
		}
		if s, err = p.verifier(ctx, s); err != nil {
			return err
		}
		s, v, err := p.openEntry(ctx, s, item.Entry)
		if err != nil {
			return err
		}
		if v.Kind != wire.KindPost {
			return wire.Errorf(wire.NotExist, "post", "%s is no post", id)
		}
		if err := p.step(&walk{s: s}, v); err != nil {
			return err
		}
		post, err = p.openPost(ctx, s, v, p.newestEpoch(s, v.Epoch))
		if errors.Is(err, errNoAccess) {
			return wire.Errorf(wire.NotExist, "post", "it is from before the friendship with %s, and not shared", s.address)
		}
		return err
	})
	return post, err
}

// newestEpoch is the newest epoch of a stream that is known, at least.
func (p *Person) newestEpoch(s stream, atLeast uint64) uint64 {
	if t := p.cache.track(s.streamID); t != nil {
		return max(atLeast, t.Top.Epoch)
	}
	return atLeast
}
