package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// keeps has somebody keep what they read.
func (s *someone) keeps() { s.Person.c.keeps = true }

// kept wants exactly these texts to be kept, without a request.
func (s *someone) kept(want ...string) {
	s.t.Helper()
	asked := len(s.line.calls)
	page, err := s.Kept(context.Background())
	s.must(err)
	if got := texts(page); !slices.Equal(got, slices.Concat([]string{}, want)) {
		s.t.Errorf("kept is %q, want %q", got, want)
	}
	if len(s.line.calls) != asked {
		s.t.Error("the node was asked")
	}
}

// pageOf reads one page of the feed.
func (s *someone) pageOf(limit int, before string) FeedPage {
	s.t.Helper()
	page, err := s.Feed(context.Background(), FeedOptions{Limit: limit, Before: before})
	s.must(err)
	return page
}

// What was read is kept, as it was read, over a restart; own posts and news among it. It
// ends where it stops to be without a gap.
func TestKept(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	ada.keeps()
	for i := range 6 {
		bob.writes(fmt.Sprint("b", i))
	}
	ada.kept()
	page := ada.pageOf(2, "")
	ada.kept("b5", "b4")
	second := ada.pageOf(2, page.Cursor)
	ada.kept("b5", "b4", "b3", "b2")
	ada.pageOf(1, page.Cursor) // read already: it is not what follows
	ada.kept("b5", "b4", "b3", "b2")
	ada.pageOf(2, "")
	ada.kept("b5", "b4", "b3", "b2")
	ada.pageOf(20, second.Cursor)
	ada.kept("b5", "b4", "b3", "b2", "b1", "b0")
	ada.writes("a0")
	ada.kept("a0", "b5", "b4", "b3", "b2", "b1", "b0")
	f, _, _ := ada.follows(nil)
	bob.writes("b6")
	ada.news(f, "b6")
	ada.kept("b6", "a0", "b5", "b4", "b3", "b2", "b1", "b0")
	ada.restart()
	ada.keeps()
	ada.kept("b6", "a0", "b5", "b4", "b3", "b2", "b1", "b0")
	for i := range 3 {
		bob.writes(fmt.Sprint("c", i))
	}
	page = ada.pageOf(2, "") // there is a gap below
	ada.kept("c2", "c1")
	ada.pageOf(1, page.Cursor)
	ada.kept("c2", "c1", "c0")
	full := ada.pageOf(20, "")
	ada.kept(texts(full)...)
	ada.removes(bob)
	ada.kept("a0")
	ada.pageOf(20, "")
	ada.kept("a0")
	ada.must(ada.Logout(context.Background()))
	if b, _ := ada.device.Load(fileKept); b != nil {
		t.Error("it stays after the log-out")
	}
}

// What is kept, and what waits, is sealed.
func TestKeptIsSealed(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.keeps()
	const words = "for nobody else to read"
	ada.drafts("k1", words, true)
	ada.away(true)
	ada.drafts("k2", words, false)
	ada.kept(words)
	for name, b := range ada.device.files {
		if strings.Contains(string(b), words) {
			t.Errorf("%s tells a post", name)
		}
	}
}

// Who does not ask for it keeps nothing.
func TestKeepsNothing(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("one")
	ada.pageOf(20, "")
	if b, _ := ada.device.Load(fileKept); b != nil {
		t.Error("posts are kept")
	}
}

// The number of posts that are kept is bounded, and their size.
func TestKeptIsBounded(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.keeps()
	var posts []Post
	own := ada.ownStream()
	for i := range maxKept + 50 {
		p := Post{Author: ada.address, AuthorAccount: own.Author, AudienceID: own.Audience, Text: fmt.Sprint(i)}
		p.ID[0], p.ID[1] = byte(i), byte(i>>8)
		posts = append(posts, p)
	}
	ada.must(ada.keep("", FeedPage{Posts: posts, Cursor: "more"}))
	f := ada.keptFeed()
	if len(f.Posts) != maxKept || f.Posts[maxKept-1].Text != fmt.Sprint(maxKept-1) || f.Cursor != "" {
		t.Errorf("%d posts, cursor %q", len(f.Posts), f.Cursor)
	}
	for i := range posts {
		posts[i].Text = strings.Repeat("x", MaxText)
	}
	ada.must(ada.keep("", FeedPage{Posts: posts, Cursor: "more"}))
	if f := ada.keptFeed(); len(f.Posts) != maxKeptBytes/MaxText {
		t.Errorf("%d long posts", len(f.Posts))
	}
}
