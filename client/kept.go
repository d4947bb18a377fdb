package client

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What was read of the feed can be kept on the device, sealed under the cache key, to be
// shown before the node has answered, or while it does not. It is the newest posts
// without a gap, as the node last showed them, as far as their authors are friends still.

// Bounds of what is kept.
const (
	maxKept      = 200
	maxKeptBytes = 1 << 20 // of text
)

// WithKeptFeed makes the client keep the newest posts that it reads for Kept.
func WithKeptFeed() Option { return func(c *Client) { c.keeps = true } }

type keptPost struct {
	ID       wire.EntryID    `cbor:"1,keyasint"`
	Author   wire.AccountID  `cbor:"2,keyasint"`
	Audience wire.AudienceID `cbor:"3,keyasint"`
	Seq      uint64          `cbor:"4,keyasint"`
	Created  int64           `cbor:"5,keyasint"`
	Text     string          `cbor:"6,keyasint"`
}

func (k *keptPost) stream() streamID { return streamID{k.Author, k.Audience} }

func keptOf(p Post) keptPost {
	return keptPost{p.ID, p.AuthorAccount, p.AudienceID, p.Seq, p.Created.UnixMilli(), p.Text}
}

// keptFeed is posts from the newest to the oldest.
type keptFeed struct {
	Version uint64     `cbor:"1,keyasint"`
	Posts   []keptPost `cbor:"2,keyasint"`
	Cursor  string     `cbor:"3,keyasint"` // of the page behind them; "" where that is not known, or there is none
}

// Kept returns what is kept of the feed, without asking anybody.
func (p *Person) Kept(ctx context.Context) (page FeedPage, err error) {
	err = p.do(ctx, func() error {
		for _, k := range p.keptFeed().Posts {
			if s, err := p.streamBy(k.stream()); err == nil {
				page.Posts = append(page.Posts, Post{
					ID: k.ID, Author: s.address, AuthorAccount: k.Author, Audience: friendsName, AudienceID: k.Audience,
					Seq: k.Seq, Created: time.UnixMilli(k.Created), Text: k.Text,
				})
			}
		}
		return nil
	})
	return page, err
}

// keptFeed is empty where there is nothing that can be read.
func (p *Person) keptFeed() keptFeed {
	var f keptFeed
	if b := p.loadSealed(fileKept); p.vault.vault == nil || b == nil || wire.DecodeCBOR("feed", b, &f) != nil || f.Version != 1 {
		return keptFeed{Version: 1}
	}
	return f
}

// keep takes in a page of the feed that begins at a cursor, "" for the newest. What is
// kept stays as far as the page meets it, so that there is no gap.
func (p *Person) keep(before string, page FeedPage) error {
	if !p.c.keeps {
		return nil
	}
	f := p.keptFeed()
	switch {
	case before != "" && before == f.Cursor:
		f.Cursor = page.Cursor
	case before != "":
		return nil
	default:
		older := f.olderThan(page)
		if older == nil {
			f.Cursor = page.Cursor
		}
		f.Posts = older
	}
	return p.keepPosts(f, page.Posts)
}

// olderThan returns what follows the oldest post of a page of the newest, if that is
// kept and there is more of the feed.
func (f *keptFeed) olderThan(page FeedPage) []keptPost {
	n := len(page.Posts)
	if n == 0 || page.Cursor == "" {
		return nil
	}
	at := slices.IndexFunc(f.Posts, func(k keptPost) bool { return k.ID == page.Posts[n-1].ID })
	if at < 0 {
		return nil
	}
	return f.Posts[at:]
}

// keepNew takes in posts that came after what is kept.
func (p *Person) keepNew(posts []Post) error {
	if !p.c.keeps || len(posts) == 0 {
		return nil
	}
	return p.keepPosts(p.keptFeed(), posts)
}

func (p *Person) keepPosts(f keptFeed, posts []Post) error {
	for _, post := range posts {
		k := keptOf(post)
		f.Posts = slices.DeleteFunc(f.Posts, func(o keptPost) bool { return o.ID == k.ID })
		f.Posts = append(f.Posts, k)
	}
	slices.SortStableFunc(f.Posts, func(a, b keptPost) int { return cmp.Compare(b.Created, a.Created) })
	n, size := 0, 0
	for n < len(f.Posts) && n < maxKept && size+len(f.Posts[n].Text) <= maxKeptBytes {
		size += len(f.Posts[n].Text)
		n++
	}
	if n < len(f.Posts) {
		f.Posts, f.Cursor = f.Posts[:n], ""
	}
	return p.saveSealed(fileKept, wire.EncodeCBOR(&f))
}
