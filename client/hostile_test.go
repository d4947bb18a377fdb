package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestHostileAuthor: a friend who signs what no honest client would.
func TestHostileAuthor(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	tricks := map[string]func(ada *someone, h *wire.EntryHeader){
		"a post under an older epoch": func(ada *someone, h *wire.EntryHeader) { h.Epoch = 1 },
		"a time before the last":      func(ada *someone, h *wire.EntryHeader) { h.Created -= 1e6 },
		"another entry before":        func(ada *someone, h *wire.EntryHeader) { h.Prev[0]++ },
		"a number left out":           func(ada *someone, h *wire.EntryHeader) { h.Seq++ },
		"a post to another audience":  func(ada *someone, h *wire.EntryHeader) { h.Audience[0]++ },
	}
	for name, trick := range tricks {
		t.Run(name, func(t *testing.T) {
			c := original.copy()
			a := c.ada
			a.tricks(func(h *wire.EntryHeader) { trick(a, h) }, encodePost("trick"))
			page, err := c.bob.Feed(ctx, FeedOptions{})
			c.bob.must(err)
			if len(page.Problems) == 0 || slices.Contains(texts(page), "trick") {
				t.Errorf("got %q, %v", texts(page), page.Problems)
			}
			if _, err := c.bob.Read(ctx, a.address, FeedOptions{}); !errors.Is(err, wire.Tampered) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// place puts an entry into a stream without looking at it.
func (w *world) place(id streamID, h *wire.EntryHeader, e wire.Entry) {
	r := w.people[id.Author]
	r.streams[id.Audience] = append(r.streams[id.Audience], placed{wire.FeedItem{
		Author: id.Author, Audience: id.Audience, Entry: e, Position: h.Created,
	}, h, wire.StreamHead{}})
}

// TestHostileLink: a friend whose epoch leads to other keys than they committed
// to before, to show two friends two pasts.
func TestHostileLink(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	a := s.ada
	a.must(a.do(ctx, func() error {
		if err := a.ready(ctx); err != nil {
			return err
		}
		own := a.cache.track(a.ownStream().streamID)
		id := epochID{a.ownStream().streamID, own.Top.Epoch}
		a.cache.setKeys(id, keysOfSecret(seal.NewEpochSecret())) // what the link will lead to
		secret := seal.NewEpochSecret()
		a.must(a.updateVault(ctx, func(v *vault) (bool, error) {
			v.friends().propose(epochMembers{Content: keysOfSecret(secret).content.Commitment(), Members: v.entitled()}, wire.Commitment{})
			return true, nil
		}))
		a.must(a.sendWraps(ctx, keysOfSecret(secret), a.vault.entitled()))
		return a.publishEpoch(ctx, own, secret)
	}))
	page, err := s.bob.Feed(ctx, FeedOptions{})
	s.bob.must(err)
	if len(page.Problems) != 1 || !strings.Contains(page.Problems[0].Error(), "committed") || !slices.Equal(texts(page), []string{"bob's"}) {
		t.Errorf("got %q, %v", texts(page), page.Problems)
	}
}

// tricks puts a post at the end of the own stream, with a header as trick would
// have it and any bytes sealed.
func (s *someone) tricks(trick func(h *wire.EntryHeader), plain []byte) wire.EntryID {
	ctx := context.Background()
	var e wire.Entry
	s.must(s.do(ctx, func() error {
		if err := s.ready(ctx); err != nil {
			return err
		}
		h, err := s.nextHeader(s.cache.track(s.ownStream().streamID), wire.KindPost)
		s.must(err)
		epoch := h.Epoch
		trick(h)
		k, err := s.ownKeys(ctx, min(epoch, h.Epoch))
		if err != nil { // it names no epoch
			k, err = s.ownKeys(ctx, epoch)
		}
		s.must(err)
		e.Body, err = seal.SealEntry(h, k.content, plain)
		s.must(err)
		e.Header, err = h.Sign(s.vault.identity)
		s.must(err)
		s.w.place(s.ownStream().streamID, h, e)
		return nil
	}))
	return e.ID()
}

// TestNoPost: what a friend has sealed that is no post is not shown as one.
func TestNoPost(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for name, plain := range map[string][]byte{"nothing": {}, "an empty text": encodePost(""), "another version": wire.EncodeCBOR(&postBody{2, "trick"})} {
		c := original.copy()
		id := c.ada.tricks(func(*wire.EntryHeader) {}, plain)
		page, err := c.bob.Feed(ctx, FeedOptions{})
		c.bob.must(err)
		if len(page.Problems) != 1 {
			t.Errorf("%s: got %q, problems %v", name, texts(page), page.Problems)
		}
		if post, err := c.bob.Show(ctx, id); err == nil {
			t.Errorf("%s: shown as %q", name, post.Text)
		}
	}
}

// TestShowUnderNoEpoch: a friend's post under an entry that begins no epoch, to
// which no link leads.
func TestShowUnderNoEpoch(t *testing.T) {
	s := newScene(t)
	s.bob.reads("bob's", "three", "two", "one") // with the keys of both epochs' chain
	phone := s.bob.again()
	id := s.ada.tricks(func(h *wire.EntryHeader) { h.Epoch-- }, encodePost("trick"))
	for _, bob := range []*someone{s.bob, phone} {
		if _, err := bob.Show(context.Background(), id); !errors.Is(err, wire.Tampered) {
			t.Errorf("got %v", err)
		}
	}
}
