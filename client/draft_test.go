package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// away has every request of somebody fail, until it is called again.
func (s *someone) away(is bool) {
	s.line.before = nil
	if is {
		s.line.before = func(int, *Request) error { return wire.Errorf(wire.Unavailable, "node", "away") }
	}
}

// drafts hands a draft in, and wants it to be sent or to wait.
func (s *someone) drafts(key, text string, sent bool) Post {
	s.t.Helper()
	post, was, err := s.PostDraft(context.Background(), key, text)
	s.must(err)
	if was != sent || post.Text != text || post.Author != s.address || post.ID.IsZero() == sent {
		s.t.Errorf("%s: sent %v, %+v", key, was, post)
	}
	return post
}

// waits wants exactly these texts to wait.
func (s *someone) waits(want ...string) {
	s.t.Helper()
	list, err := s.Waiting(context.Background())
	s.must(err)
	var got []string
	for _, w := range list {
		got = append(got, w.Key+" "+w.Post.Text)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%q wait, want %q", got, want)
	}
}

// Drafts wait while the node is away, over a restart too, and are sent once, in their
// order, when it is back. Their writer is told of each, once.
func TestDrafts(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.away(true)
	ada.drafts("k1", "one", false)
	ada.drafts("k2", "two", false)
	ada.drafts("k1", "one", false)
	ada.waits("k1 one", "k2 two")
	ada.restart()
	ada.waits("k1 one", "k2 two")
	if err := ada.SendWaiting(ctx); !errors.Is(err, wire.Unavailable) {
		t.Errorf("away: %v", err)
	}
	ada.away(false)
	third := ada.drafts("k3", "three", true)
	ada.waits()
	sent := ada.Sent()
	if len(sent) != 2 || sent[0].Key != "k1" || sent[0].Post.Text != "one" || sent[0].Err != nil || sent[1].Key != "k2" || len(ada.Sent()) != 0 {
		t.Errorf("told of %+v", sent)
	}
	ada.reads("three", "two", "one")
	asked := len(ada.line.calls)
	if again := ada.drafts("k3", "three", true); again != third {
		t.Errorf("again: %+v, want %+v", again, third)
	}
	if again := ada.drafts("k1", "one", true); again != sent[0].Post {
		t.Errorf("again: %+v, want %+v", again, sent[0].Post)
	}
	if len(ada.line.calls) != asked {
		t.Error("what was sent is asked for again")
	}
	ada.must(ada.SendWaiting(ctx))
	ada.reads("three", "two", "one")
}

// The feed and other posts send what waits too, without a word about drafts among the
// notices of a page.
func TestDraftsAreSentByOthers(t *testing.T) {
	ctx := context.Background()
	for name, do := range map[string]func(s *someone) error{
		"feed": func(s *someone) error {
			page, err := s.Feed(ctx, FeedOptions{})
			if len(page.Notices) > 0 {
				t.Errorf("notices: %q", page.Notices)
			}
			return err
		},
		"post": func(s *someone) error { _, err := s.Post(ctx, "the same text", ""); return err },
		"send": func(s *someone) error { return s.SendWaiting(ctx) },
	} {
		w := newWorld(t)
		ada := w.newPerson("ada@one.example")
		ada.away(true)
		ada.drafts("k1", "the same text", false)
		ada.away(false)
		ada.must(do(ada))
		ada.waits()
		if sent := ada.Sent(); len(sent) != 1 || sent[0].Key != "k1" {
			t.Errorf("%s: told of %+v", name, sent)
		}
		want := []string{"the same text"}
		if name == "post" {
			want = append(want, want...) // it has no key, and is another post
		}
		ada.reads(want...)
	}
}

// Whichever request is lost, before it arrives or its answer, a draft that is handed in
// again becomes one post.
func TestLostDrafts(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	prepare := func() (a, b *someone) {
		c := copies(ada, bob)
		return c[0], c[1]
	}
	a, _ := prepare()
	a.drafts("k1", "once", true)
	requests := a.line.calls
	for i := range 4 * len(requests) {
		n, arrives, restart := i/4, i%2 == 0, i/2%2 == 0
		a, b := prepare()
		lose(a, n, arrives)
		_, sent, err := a.PostDraft(context.Background(), "k1", "once")
		if err != nil {
			t.Errorf("%v lost (arrived: %v): %v", requests[n], arrives, err)
		}
		a.line.before, a.line.after = nil, nil
		if restart {
			a.restart()
		}
		if !sent {
			a.waits("k1 once")
		}
		a.drafts("k1", "once", true)
		a.waits()
		a.reads("once")
		b.reads("once")
	}
	t.Logf("%d requests: %v", len(requests), requests)
}

// A crash at any write to the device leaves a draft that becomes one post.
func TestDraftSurvivesCrashes(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for n := 0; ; n++ {
		a := copies(ada)[0]
		d := &failingDevice{memory: a.device, left: n}
		a.Person.c.device = d
		_, _, err := a.PostDraft(context.Background(), "k1", "once")
		ended := d.left >= 0
		a.Person.c.device = a.device
		a.restart()
		a.drafts("k1", "once", true)
		a.reads("once")
		if ended {
			a.must(err)
			t.Logf("%d writes", n)
			return
		}
	}
}

// What the node refuses is told, and does not wait; nor does what was never sealed where
// the session has ended.
func TestRefusedDrafts(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.away(true)
	ada.drafts("k1", "waited", false)
	ada.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathEntries {
			return wire.Errorf(wire.TooLarge, "entry", "too large")
		}
		return nil
	}
	if _, _, err := ada.PostDraft(ctx, "k2", "new"); !errors.Is(err, wire.TooLarge) {
		t.Errorf("refused: %v", err)
	}
	ada.waits()
	if sent := ada.Sent(); len(sent) != 1 || sent[0].Key != "k1" || !errors.Is(sent[0].Err, wire.TooLarge) {
		t.Errorf("told of %+v", sent)
	}
	ada.line.before = nil
	ada.drafts("k3", "fine", true)
	ada.reads("fine")
	clear(w.sessions)
	if _, _, err := ada.PostDraft(ctx, "k4", "late"); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("ended: %v", err)
	}
	ada.waits()
}

func TestDraftInput(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for _, key := range []string{"", strings.Repeat("k", MaxDraftKey+1), "a b", "é"} {
		if _, _, err := ada.PostDraft(ctx, key, "text"); !errors.Is(err, wire.Invalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, _, err := ada.PostDraft(ctx, "k", strings.Repeat("a", MaxText+1)); !errors.Is(err, wire.TooLarge) {
		t.Errorf("long: %v", err)
	}
	ada.away(true)
	ada.drafts("k", "text", false)
	other := func() {
		t.Helper()
		if _, _, err := ada.PostDraft(ctx, "k", "another text"); !errors.Is(err, wire.Exist) {
			t.Errorf("another text: %v", err)
		}
	}
	other()
	ada.away(false)
	ada.drafts("k", "text", true)
	other()
	for i := range maxDrafts {
		ada.must(ada.rememberDraft(fmt.Sprint(i), Post{}))
	}
	if n := len(ada.sentDrafts().Sent); n != maxDrafts {
		t.Errorf("%d keys are remembered", n)
	}
}
