package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestStory(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@one.example")
	ada.writes("before")
	ada.asks(bob)
	bob.reads()
	bob.accepts(ada)
	bob.reads("before")
	ada.reads("before")
	bob.writes("hello")
	ada.reads("hello", "before")
	eve.befriends(ada)
	eve.reads("before")
	ada.writes("to both")
	ada.removes(eve)
	ada.writes("without eve")
	bob.reads("without eve", "to both", "hello", "before")
	eve.reads()
	ada.restart()
	ada.reads("without eve", "to both", "hello", "before")
	phone := ada.again()
	phone.reads("without eve", "to both", "hello", "before")
	phone.writes("from the phone")
	ada.writes("from home")
	bob.reads("from home", "from the phone", "without eve", "to both", "hello", "before")
	if _, err := ada.RemoveFriend(context.Background(), bob.address); err != nil {
		t.Fatal(err)
	}
	bob.reads("hello")
	eve.befriends(ada)
	eve.reads("from home", "from the phone", "without eve", "to both", "before")
}

func TestNoHistory(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.writes("past")
	if _, err := ada.AddFriend(context.Background(), bob.address, false); err != nil {
		t.Fatal(err)
	}
	bob.accepts(ada)
	ada.writes("now")
	bob.reads("now")
	page, err := bob.Feed(context.Background(), FeedOptions{})
	bob.must(err)
	if page.Hidden != 1 {
		t.Errorf("hidden %d, want 1", page.Hidden)
	}
	eve := w.newPerson("eve@one.example")
	eve.befriends(ada)
	ada.removes(eve)
	ada.writes("later")
	bob.reads("later", "now")
}

func TestFeedPages(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	var want []string
	for i := range 25 {
		s := []*someone{ada, bob}[i%2]
		text := fmt.Sprint("post ", i)
		s.writes(text)
		want = append([]string{text}, want...)
	}
	for _, limit := range []int{1, 3, 7, 25, 100} {
		for _, read := range []string{"feed", "ada"} {
			var got []string
			var cursor string
			for {
				page, err := FeedPage{}, error(nil)
				if read == "feed" {
					page, err = bob.Feed(context.Background(), FeedOptions{Limit: limit, Before: cursor})
				} else {
					page, err = bob.Read(context.Background(), ada.address, FeedOptions{Limit: limit, Before: cursor})
				}
				bob.must(err)
				if len(page.Posts) > limit || len(page.Problems) > 0 {
					t.Fatalf("limit %d: %d posts, %v", limit, len(page.Posts), page.Problems)
				}
				got = append(got, texts(page)...)
				if cursor = page.Cursor; cursor == "" {
					break
				}
			}
			wanted := want
			if read == "ada" {
				wanted = nil
				for i := 24; i >= 0; i -= 2 {
					wanted = append(wanted, fmt.Sprint("post ", i))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(wanted) {
				t.Errorf("%s with limit %d: got %q, want %q", read, limit, got, wanted)
			}
		}
	}
}

func TestFriendErrors(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	_, err := ada.AddFriend(ctx, address("nobody@one.example"), true)
	if !errors.Is(err, wire.NotExist) {
		t.Errorf("unknown person: %v", err)
	}
	if _, err = ada.AddFriend(ctx, ada.address, true); !errors.Is(err, wire.Invalid) || !strings.Contains(err.Error(), "ada@one.example is you") {
		t.Errorf("oneself: %v", err)
	}
	for name, act := range map[string]func(context.Context, wire.Address) (Friend, error){
		"accept":  func(ctx context.Context, a wire.Address) (Friend, error) { return ada.AcceptFriend(ctx, a, true) },
		"decline": ada.DeclineFriend, "cancel": ada.CancelFriend, "remove": ada.RemoveFriend,
	} {
		if _, err := act(ctx, bob.address); !errors.Is(err, wire.NotExist) {
			t.Errorf("%s without anything: %v", name, err)
		}
	}
	if _, err := ada.Read(ctx, bob.address, FeedOptions{}); !errors.Is(err, wire.NotExist) {
		t.Errorf("read a stranger: %v", err)
	}
	ada.befriends(bob)
	if _, err = ada.AddFriend(ctx, bob.address, true); !errors.Is(err, wire.Exist) {
		t.Errorf("already friends: %v", err)
	}
	if _, err = ada.CancelFriend(ctx, bob.address); !errors.Is(err, wire.Exist) {
		t.Errorf("cancel a friendship: %v", err)
	}
	ada.removes(bob)
	bob.asks(ada)
	if _, err = ada.CancelFriend(ctx, bob.address); !errors.Is(err, wire.NotExist) {
		t.Errorf("cancel an offer that was received: %v", err)
	}
	if _, err = ada.RemoveFriend(ctx, bob.address); !errors.Is(err, wire.NotExist) {
		t.Errorf("remove whose offer was received: %v", err)
	}
}

func TestOffers(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	state := func(s *someone, want wire.FriendState) {
		t.Helper()
		list, err := s.Friends(ctx)
		s.must(err)
		got := wire.StateNone
		if len(list) == 1 {
			got = list[0].State
		}
		if got != want || len(list) > 1 {
			t.Errorf("%s: %v, want %s", s.address, list, want)
		}
	}
	ada.asks(bob)
	state(ada, wire.StateOutgoing)
	state(bob, wire.StateIncoming)
	if _, err := bob.DeclineFriend(ctx, ada.address); err != nil {
		t.Fatal(err)
	}
	state(ada, wire.StateNone)
	state(bob, wire.StateNone)
	ada.asks(bob)
	if _, err := ada.CancelFriend(ctx, bob.address); err != nil {
		t.Fatal(err)
	}
	state(bob, wire.StateNone)
	ada.asks(bob)
	f, err := bob.AddFriend(ctx, ada.address, true) // they had asked: this accepts
	bob.must(err)
	if f.State != wire.StateFriend {
		t.Errorf("add after an offer: %s", f.State)
	}
	state(ada, wire.StateFriend)
	state(bob, wire.StateFriend)
	ada.writes("hello")
	bob.reads("hello")
}

// TestEnded: what a node still serves of somebody who is no friend any more, and
// what it does not serve any more, is no reason for an alarm.
func TestEnded(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	ada.writes("ada's")
	bob.writes("bob's")
	ada.reads("bob's", "ada's")
	for name, read := range map[string]func(ada *someone) (FeedPage, error){
		"feed": func(ada *someone) (FeedPage, error) { return ada.Feed(ctx, FeedOptions{}) },
		"read": func(ada *someone) (FeedPage, error) { return ada.Read(ctx, bob.address, FeedOptions{}) },
	} {
		c := copies(ada, bob)
		c[1].removes(c[0])
		page, err := read(c[0]) // the first that ada's device hears of it
		if len(page.Notices)+len(page.Problems) > 0 || err != nil && !errors.Is(err, wire.NotExist) {
			t.Errorf("%s after they ended it: %v, %v, %v", name, page.Notices, page.Problems, err)
		}
	}
	cut := func(_ int, r *Request) error {
		if r.Path == wire.PathEntries || r.Path == wire.PathFriends && r.Method == "POST" {
			return wire.Errorf(wire.Unavailable, "node", "away")
		}
		return nil
	}
	ada.line.before = cut
	if _, err := ada.RemoveFriend(ctx, bob.address); !errors.Is(err, wire.Unavailable) {
		t.Fatalf("got %v", err)
	}
	ada.reads("ada's") // the node does not know yet, and serves bob's
}

// TestMoot: a statement that has nothing left to say when it could be sent is
// dropped.
func TestMoot(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	cut := func(_ int, r *Request) error {
		if r.Path == wire.PathFriends && r.Method == "POST" {
			return wire.Errorf(wire.Unavailable, "node", "away")
		}
		return nil
	}
	settled := func(what string) {
		t.Helper()
		ada.line.before = nil
		ada.writes(what)
		for _, f := range ada.vault.Friends {
			if f.state() != wire.StateNone || len(f.Pending) > 0 || ada.problems[f.Account] != nil {
				t.Errorf("%s: %s, %d pending, %v", what, f.state(), len(f.Pending), ada.problems[f.Account])
			}
		}
	}
	ada.line.before = cut
	if _, err := ada.AddFriend(ctx, bob.address, true); !errors.Is(err, wire.Unavailable) {
		t.Errorf("add: %v", err)
	}
	if _, err := ada.CancelFriend(ctx, bob.address); !errors.Is(err, wire.Unavailable) {
		t.Errorf("cancel: %v", err)
	}
	settled("an offer that was taken back before it was sent")
	if len(w.people[bob.me()].friends) > 0 {
		t.Error("the offer was sent")
	}
	bob.asks(ada)
	ada.line.before = cut
	if _, err := ada.AcceptFriend(ctx, bob.address, true); !errors.Is(err, wire.Unavailable) {
		t.Errorf("accept: %v", err)
	}
	if _, err := bob.CancelFriend(ctx, ada.address); err != nil {
		t.Fatal(err)
	}
	settled("an offer that was taken back before the acceptance was sent")
	newestAreEntitled(t, ada)
}

// TestSlowClock: a device whose clock is behind writes after one whose clock is not.
func TestSlowClock(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	first := ada.writes("first")
	p, err := New(ada.line, ada.device, WithClock(func() time.Time { return w.now().Add(-time.Minute) }), withDeriver(quick)).Resume(context.Background())
	ada.must(err)
	second, err := p.Post(context.Background(), "second", "")
	if err != nil || second.Created.Before(first.Created) {
		t.Errorf("%v after %v, %v", second.Created, first.Created, err)
	}
}

// TestFrozenClock: offers of one pair grow even where the clock stands still.
func TestFrozenClock(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	at := w.now()
	p, err := New(ada.line, ada.device, WithClock(func() time.Time { return at }), withDeriver(quick)).Resume(ctx)
	ada.must(err)
	ada.Person = p
	for range 3 {
		ada.asks(bob)
		if list, err := bob.Friends(ctx); err != nil || len(list) != 1 || list[0].State != wire.StateIncoming {
			t.Errorf("bob sees %v, %v", list, err)
		}
		if _, err := ada.CancelFriend(ctx, bob.address); err != nil {
			t.Error(err)
		}
	}
}
