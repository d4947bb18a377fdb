package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// rollBack makes the nodes what they were, without sessions.
func (w *world) rollBack(old *world) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := old.clone()
	w.people, w.handles, w.sessions = c.people, c.handles, map[wire.Hash]opened{}
}

// reports logs in and returns what is told.
func (s *someone) reports() (LoginReport, error) {
	p, r, err := s.client().Login(context.Background(), LoginOptions{Address: s.address, Password: password(s.t, secretWord), Device: "test"})
	s.Person = p
	return r, err
}

// kept is what the nodes have of somebody: vault heads, and entries.
func (w *world) kept(id wire.AccountID) (all []string) {
	r := w.people[id]
	for _, h := range r.heads {
		all = append(all, string(h))
	}
	for _, stream := range r.streams {
		for _, e := range stream {
			all = append(all, string(e.Entry.Header))
		}
	}
	return all
}

// TestHandBack rolls the nodes back behind posts, friendships and epochs: the
// device hands in what they lost, the same bytes as before and no others, and all
// goes on.
func TestHandBack(t *testing.T) {
	w := newWorld(t)
	ada, bob, zoe := w.device("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("zoe@one.example")
	sent := map[string]bool{}
	ada.line.before = func(_ int, r *Request) error { sent[r.Method+r.Path+string(r.Body)] = true; return nil }
	ada.must(ada.tryRegister())
	ada.befriends(zoe)
	ada.writes("one")
	old := w.clone()
	ada.writes("two")
	ada.asks(bob)
	bob.accepts(ada)
	ada.removes(zoe)
	ada.writes("three")
	bob.reads("three", "two", "one")
	before := w.kept(ada.me())
	w.rollBack(old)
	if got := len(w.kept(ada.me())); got >= len(before) {
		t.Fatalf("nothing was rolled back: %d of %d", got, len(before))
	}
	ada.line.before = func(_ int, r *Request) error {
		if r.Method != "GET" && !r.Token.IsZero() && r.Path != wire.PathKeys && !sent[r.Method+r.Path+string(r.Body)] {
			t.Errorf("%s %s has %d bytes that were not sent before", r.Method, r.Path, len(r.Body))
		}
		return nil
	}
	if r, err := ada.reports(); err != nil || !r.HandedBack || r.Behind {
		t.Fatalf("got %+v, %v", r, err)
	}
	ada.line.before = nil
	if !slices.Equal(w.kept(ada.me()), before) {
		t.Error("the nodes do not have what they had before")
	}
	ada.writes("four")
	ada.reads("four", "three", "two", "one")
	if r, err := ada.reports(); err != nil || r.HandedBack || r.Behind || !r.Known {
		t.Errorf("the next log-in: got %+v, %v", r, err)
	}
}

// TestHandBackAcceptance logs the one in first who has accepted: their acceptance
// comes before the offer that it answers, and is repeated.
func TestHandBackAcceptance(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	ada.writes("one")
	old := w.clone()
	ada.befriends(bob)
	bob.writes("two")
	ada.reads("two", "one")
	w.rollBack(old)
	for _, s := range []*someone{bob, ada} {
		if r, err := s.reports(); err != nil || !r.HandedBack {
			t.Fatalf("%s: got %+v, %v", s.address, r, err)
		}
	}
	bob.writes("three")
	ada.reads("three", "two", "one")
	bob.reads("three", "two", "one")
}

// TestBehind has a device without what the node lost: it reads, and writes nothing.
func TestBehind(t *testing.T) {
	for name, lose := range map[string]func(ada, bob *someone){
		"a post":             func(ada, bob *someone) { ada.writes("two") },
		"a post and a vault": func(ada, bob *someone) { ada.writes("two"); ada.removes(bob); ada.befriends(bob); ada.writes("three") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
			ada.befriends(bob)
			ada.writes("one")
			bob.writes("hello")
			ada.reads("hello", "one")
			old := w.clone()
			lose(ada, bob)
			w.rollBack(old)
			maps.DeleteFunc(ada.device.files, func(name string, _ []byte) bool { return strings.HasPrefix(name, fileSent) })
			if r, err := ada.reports(); err != nil || !r.Behind || r.HandedBack {
				t.Fatalf("got %+v, %v", r, err)
			}
			before := w.kept(ada.me())
			for range 2 {
				ada.isBehind()
				ada.restart()
			}
			if !slices.Equal(w.kept(ada.me()), before) {
				t.Error("something was written")
			}
			ada.must(ada.Logout(context.Background()))
			if _, err := ada.reports(); !errors.Is(err, ErrRolledBack) != (name == "a post") {
				t.Errorf("without what lay on the device: got %v", err)
			}
		})
	}
}

// TestForkedMeanwhile has a new device write where the node has lost something: on
// the device that has seen it, that is no older state but another one.
func TestForkedMeanwhile(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
	old := w.clone()
	ada.asks(bob)
	w.rollBack(old)
	ada.again().asks(eve)
	if r, err := ada.reports(); !errors.Is(err, ErrRolledBack) || r.HandedBack {
		t.Errorf("got %+v, %v", r, err)
	}
}

// isBehind wants that friends can be read, and that nothing can be written.
func (s *someone) isBehind() {
	s.t.Helper()
	page, err := s.Feed(context.Background(), FeedOptions{})
	if err != nil || !slices.Equal(texts(page), []string{"hello"}) || len(page.Problems) != 1 || !errors.Is(page.Problems[0], ErrRolledBack) {
		s.t.Errorf("feed: got %q, %v, %v", texts(page), page.Problems, err)
	}
	if _, err := s.Post(context.Background(), "new", ""); !errors.Is(err, ErrRolledBack) || !errors.Is(err, wire.Tampered) {
		s.t.Errorf("post: got %v", err)
	}
	if _, err := s.Read(context.Background(), s.address, FeedOptions{}); !errors.Is(err, ErrRolledBack) {
		s.t.Errorf("read: got %v", err)
	}
}

// TestFriendRolledBack shows what is left of a friend's stream, and says so.
func TestFriendRolledBack(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	ada.befriends(bob)
	ada.writes("one")
	old := w.clone()
	ada.writes("two")
	bob.reads("two", "one")
	sessions := w.sessions
	w.rollBack(old)
	w.sessions = sessions
	feed, err := bob.Feed(context.Background(), FeedOptions{})
	if err != nil || !slices.Equal(texts(feed), []string{"one"}) || len(feed.Notices) != 1 {
		t.Errorf("feed: got %q, %q, %v, %v", texts(feed), feed.Notices, feed.Problems, err)
	}
	page, err := bob.Read(context.Background(), ada.address, FeedOptions{})
	if err != nil || !slices.Equal(texts(page), []string{"one"}) || len(page.Notices) != 1 {
		t.Errorf("read: got %q, %q, %v", texts(page), page.Notices, err)
	}
}

// TestFoundAgain rolls the node back behind a registration.
func TestFoundAgain(t *testing.T) {
	w := newWorld(t)
	old := w.clone()
	ada := w.newPerson("ada@one.example")
	ada.writes("one")
	before := w.kept(ada.me())
	ada.line.calls = nil
	if _, _, err := ada.client().Login(context.Background(), LoginOptions{Address: ada.address, Password: password(t, "another password"), Device: "test"}); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %v, want %v", err, ErrWrongPassword)
	}
	if slices.ContainsFunc(ada.line.calls, func(c call) bool { return c.path == wire.PathRegister }) {
		t.Error("a wrong password makes it register again")
	}
	w.rollBack(old)
	if r, err := ada.reports(); err != nil || !r.HandedBack {
		t.Fatalf("got %+v, %v", r, err)
	}
	if !slices.Equal(w.kept(ada.me()), before) {
		t.Error("the node does not have what it had before")
	}
	w.rollBack(old)
	eve := w.newPerson("ada@one.example") // who was faster
	if err := ada.tryLogin(); !errors.Is(err, ErrWrongPassword) && !errors.Is(err, wire.Tampered) {
		t.Errorf("as somebody else: got %v", err)
	}
	eve.writes("mine")
}

// TestHandBackIsInterrupted cuts it off everywhere: it is done again.
func TestHandBackIsInterrupted(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("one")
	old := w.clone()
	ada.writes("two")
	ada.writes("three")
	before := w.kept(ada.me())
	for _, kind := range []wire.Kind{wire.Unavailable, wire.Throttled} {
		w.rollBack(old)
		refusing(ada, wire.PathEntries, kind, false)
		if _, err := ada.reports(); !errors.Is(err, kind) {
			t.Errorf("got %v, want %v", err, kind)
		}
		ada.line.before, ada.line.after = nil, nil
	}
	for n := range 100 {
		w.rollBack(old)
		ada.line.calls = nil
		ada.line.before = func(at int, _ *Request) error {
			if at == n {
				return wire.Errorf(wire.Unavailable, "", "cut")
			}
			return nil
		}
		_, cut := ada.reports()
		ada.line.before = nil
		if _, err := ada.reports(); err != nil || !slices.Equal(w.kept(ada.me()), before) {
			t.Fatalf("cut at request %d (%v): got %v", n, cut, err)
		}
		if cut == nil && n > len(ada.line.calls) {
			return
		}
	}
}

// TestSentIsBounded keeps the newest.
func TestSentIsBounded(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for i := range maxSent {
		ada.writes(fmt.Sprint(i))
	}
	old := w.clone()
	ada.writes("last")
	names, err := ada.device.List(fileSent)
	if err != nil || len(names) != maxSent {
		t.Errorf("%d are kept, %v; want %d", len(names), err, maxSent)
	}
	w.rollBack(old)
	if r, err := ada.reports(); err != nil || !r.HandedBack {
		t.Errorf("got %+v, %v", r, err)
	}
}
