package client

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A draft is a post that its writer has named with a key of their own, before it is sent.
// It waits on the device for as long as the node cannot be reached, and becomes one post
// however often it is handed in: the item in the outbox bears its key from the first
// moment on, and when it has arrived, the key is remembered before the item is removed.

// maxDrafts is how many keys of drafts are remembered that were sent.
const maxDrafts = 200

// MaxDraftKey is the longest key of a draft.
const MaxDraftKey = 64

// Sent is what came of a draft.
type Sent struct {
	Key  string
	Post Post  // as it is at the node
	Err  error // nil, or why it never will be
}

// A Waiting is a draft that was not sent yet.
type Waiting struct {
	Key  string
	Post Post // without an id and a place
}

type sentDraft struct {
	Key     string       `cbor:"1,keyasint"`
	Text    [32]byte     `cbor:"2,keyasint"` // SHA-256
	ID      wire.EntryID `cbor:"3,keyasint"`
	Seq     uint64       `cbor:"4,keyasint"`
	Created int64        `cbor:"5,keyasint"`
}

type draftsFile struct {
	Version uint64      `cbor:"1,keyasint"`
	Sent    []sentDraft `cbor:"2,keyasint"` // newest last
}

func (p *Person) sentDrafts() draftsFile {
	var f draftsFile
	if b := p.loadSealed(fileDrafts); b == nil || wire.DecodeCBOR("drafts", b, &f) != nil || f.Version != 1 {
		return draftsFile{Version: 1}
	}
	return f
}

// rememberDraft notes that a draft has become a post.
func (p *Person) rememberDraft(key string, post Post) error {
	f := p.sentDrafts()
	f.Sent = slices.DeleteFunc(f.Sent, func(s sentDraft) bool { return s.Key == key })
	f.Sent = append(f.Sent, sentDraft{key, sha256.Sum256([]byte(post.Text)), post.ID, post.Seq, post.Created.UnixMilli()})
	if n := len(f.Sent) - maxDrafts; n > 0 {
		f.Sent = slices.Delete(f.Sent, 0, n)
	}
	return p.saveSealed(fileDrafts, wire.EncodeCBOR(&f))
}

func checkDraft(key, text string) error {
	if err := checkDraftKey(key); err != nil {
		return err
	}
	return checkText(text)
}

func checkDraftKey(key string) error {
	if len(key) < 1 || len(key) > MaxDraftKey || strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return wire.Errorf(wire.Invalid, "key", "1 to %d letters, digits, - and _ were expected", MaxDraftKey)
	}
	return nil
}

// errOtherText is for a key that another text was written under.
func errOtherText() error {
	return wire.Errorf(wire.Exist, "key", "another text was written under this key")
}

// PostDraft is Post for a draft. Where the node cannot be reached, the draft waits, and
// sent is false: Feed, Post and SendWaiting send it, and Sent tells of it then. The same
// key is the same post for ever, as far as this device remembers; Exist for another text.
func (p *Person) PostDraft(ctx context.Context, key, text string) (post Post, sent bool, err error) {
	if err := checkDraft(key, text); err != nil {
		return Post{}, false, err
	}
	err = p.do(ctx, func() error {
		post, sent, err = p.postDraft(ctx, key, text)
		return err
	})
	return post, sent, err
}

func (p *Person) postDraft(ctx context.Context, key, text string) (post Post, sent bool, err error) {
	if post, sent, err = p.remembered(key, text); sent || err != nil {
		return post, sent, err
	}
	items, err := p.outbox()
	if err != nil {
		return post, false, err
	}
	at := slices.IndexFunc(items, func(i *outboxItem) bool { return i.key == key })
	if at < 0 {
		at = len(items)
		items = append(items, &outboxItem{text: text, key: key, written: p.c.now().UnixMilli()})
		if err := p.saveItem(items[at]); err != nil {
			return post, false, err
		}
	}
	item := items[at]
	if item.text != text {
		return post, false, errOtherText()
	}
	if err = p.ready(ctx); err == nil {
		_, err = p.flush(ctx, items, "")
	}
	if s := p.sentOf(key); s != nil {
		return s.Post, s.Err == nil, s.Err
	}
	if err != nil && !passing(err) {
		if !item.composed() && ctx.Err() == nil { // the person is told, and nothing is to come later
			p.dropItem(item)
		}
		return post, false, err
	}
	return p.draftPost(text, item.written), false, nil
}

// remembered returns the post that a draft has become, if it has.
func (p *Person) remembered(key, text string) (post Post, sent bool, err error) {
	for _, s := range p.sentDrafts().Sent {
		if s.Key == key && s.Text != sha256.Sum256([]byte(text)) {
			return post, false, errOtherText()
		}
		if s.Key == key {
			post := p.draftPost(text, s.Created)
			post.ID, post.Seq = s.ID, s.Seq
			return post, true, nil
		}
	}
	return post, false, nil
}

// SentDraft returns the post that a draft has become, if it has, without asking anybody:
// another program on the same device may have sent it.
func (p *Person) SentDraft(ctx context.Context, key, text string) (post Post, sent bool, err error) {
	err = p.do(ctx, func() error {
		post, sent, err = p.remembered(key, text)
		return err
	})
	return post, sent, err
}

// draftPost is a post of this person that has no place in the stream yet.
func (p *Person) draftPost(text string, created int64) Post {
	s := p.ownStream()
	return Post{Author: s.address, AuthorAccount: s.Author, Audience: friendsName, AudienceID: s.Audience, Created: time.UnixMilli(created), Text: text}
}

// sentOf takes out of p.drafts what came of one, nil for nothing yet.
func (p *Person) sentOf(key string) *Sent {
	at := slices.IndexFunc(p.drafts, func(s Sent) bool { return s.Key == key })
	if at < 0 {
		return nil
	}
	s := p.drafts[at]
	p.drafts = slices.Delete(p.drafts, at, at+1)
	return &s
}

// Waiting lists the drafts that were not sent yet, oldest first, without asking anybody.
func (p *Person) Waiting(ctx context.Context) (list []Waiting, err error) {
	err = p.do(ctx, func() error {
		items, err := p.outbox()
		for _, i := range items {
			if i.key != "" {
				list = append(list, Waiting{i.key, p.draftPost(i.text, i.written)})
			}
		}
		return err
	})
	return list, err
}

// SendWaiting sends what waits, if anything does.
func (p *Person) SendWaiting(ctx context.Context) error {
	return p.do(ctx, func() error {
		items, err := p.outbox()
		if err != nil || len(items) == 0 {
			return err
		}
		if err := p.ready(ctx); err != nil {
			return err
		}
		_, err = p.flush(ctx, items, "")
		return err
	})
}

// Sent returns what came of drafts, but for those whose PostDraft has said so. Each is
// returned once.
func (p *Person) Sent() []Sent {
	sent := p.drafts
	p.drafts = nil
	return sent
}
