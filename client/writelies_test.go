package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestInventedConflict: a node that calls an entry late and shows no newer one is
// told apart from another device that was faster. It does not get a second
// signature for one place in the stream, which it could show to somebody else.
func TestInventedConflict(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for _, test := range []struct {
		name string
		do   func(c scene) error
	}{
		{"post", func(c scene) error { _, err := c.ada.Post(ctx, "text", ""); return err }},
		{"remove", func(c scene) error { _, err := c.ada.RemoveFriend(ctx, c.bob.address); return err }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := original.copy()
			c.ada.writes("before") // takes in all there is
			signed := make(map[uint64]wire.EntryID)
			refusing(c.ada, wire.PathEntries, wire.Conflict, false)
			dropped := c.ada.line.before
			c.ada.line.before = func(n int, r *Request) error {
				var in wire.PublishRequest
				if r.Path == wire.PathEntries {
					if err := wire.DecodeJSON(r.Body, &in); err != nil {
						t.Error(err)
					}
					h, err := c.ada.chain.OpenEntry(in.Entry)
					if err != nil {
						t.Error(err)
					} else if id, ok := signed[h.Seq]; ok && id != in.Entry.ID() {
						t.Errorf("two entries are signed for place %d", h.Seq)
					} else {
						signed[h.Seq] = in.Entry.ID()
					}
				}
				return dropped(n, r)
			}
			if err := test.do(c); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "as late") {
				t.Errorf("got %v", err)
			}
			if len(signed) != 1 {
				t.Errorf("%d entries were sent", len(signed))
			}
			c.ada.line.before, c.ada.line.after = nil, nil
			c.ada.restart()
			c.ada.must(test.do(c))
			if got := c.ada.feedTexts(); test.name == "post" && (got[0] != "text" || slices.Contains(got[1:], "text")) {
				t.Errorf("in the end there is %q", got)
			}
		})
	}
}

// TestEndsRefused: a node that takes an epoch but not the ends in its record is
// given the same entry without them, and the ends on their own.
func TestEndsRefused(t *testing.T) {
	s := newScene(t)
	var ids []wire.EntryID
	told := false
	s.ada.line.before = func(_ int, r *Request) error {
		var in wire.PublishRequest
		if r.Path == wire.PathEntries {
			if err := wire.DecodeJSON(r.Body, &in); err != nil {
				return err
			}
			ids = append(ids, in.Entry.ID())
			if len(in.Ends) > 0 {
				r.Body = nil
			}
		}
		told = told || r.Method == "POST" && r.Path == wire.PathFriends
		return nil
	}
	s.ada.removes(s.bob)
	if len(ids) != 2 || ids[0] != ids[1] || !told {
		t.Errorf("sent entries %v, the end on its own: %v", ids, told)
	}
	s.ada.writes("later")
	s.bob.reads("bob's")
}

// TestOldStreamToNewDevice: a new device cannot know how long the own stream was.
// Whatever the node shows of it, what the device writes is closed to those whom
// the vault does not call friends.
func TestOldStreamToNewDevice(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
	ada.writes("one")
	eve.befriends(ada)
	ada.befriends(bob)
	ada.writes("two")
	ada.removes(eve)
	for i := range maxEpochs + 1 { // the vault forgets who was let into the first
		zoe := w.newPerson("zoe" + string(rune('a'+i)) + "@one.example")
		ada.befriends(zoe)
		ada.removes(zoe)
	}
	id := ada.ownStream()
	for n := range len(w.people[ada.me()].streams[id.Audience]) {
		c := copies(ada, bob, eve)
		r := c[0].w.people[ada.me()]
		r.streams[id.Audience] = r.streams[id.Audience][:n]
		phone := c[0].again()
		phone.writes("secret")
		h := &history{people: [][]*someone{{c[0]}, {c[1]}, {c[2]}}}
		entries := h.stream(0)
		post := written{entry: entries[len(entries)-1]}
		if post.entry.h.Kind != wire.KindPost || !h.attack(1).opens(post) {
			t.Errorf("%d entries shown: bob cannot open what is written", n)
		}
		if h.attack(2).opens(post) {
			t.Errorf("%d entries shown: the ex-friend opens what is written", n)
		}
	}
}

// TestWithheldKeys: a node that shows a friend's posts and not the keys to them
// does not pass them off as posts from before the friendship.
func TestWithheldKeys(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	bob := s.bob.again()
	refusing(bob, wire.PathWrap, wire.NotExist, true)
	feed, err := bob.Feed(ctx, FeedOptions{})
	bob.must(err)
	read, err := bob.Read(ctx, s.ada.address, FeedOptions{})
	bob.must(err)
	for _, page := range []FeedPage{feed, read} {
		if slices.Contains(texts(page), "one") || page.Hidden > 0 || !slices.Equal(page.Notices, []string{withheld(s.ada.address)}) {
			t.Errorf("got %q, %d hidden, notices %q", texts(page), page.Hidden, page.Notices)
		}
	}
}

// TestNoKeys: a friend whom the node says nobody to be is a contradiction, and
// not a friend who has vanished.
func TestNoKeys(t *testing.T) {
	s := newScene(t)
	bob := s.bob.again()
	refusing(bob, wire.PathKeys, wire.NotExist, true)
	page, err := bob.Feed(context.Background(), FeedOptions{})
	bob.must(err)
	if len(page.Problems) != 1 || !errors.Is(page.Problems[0], wire.Tampered) || !strings.Contains(page.Problems[0].Error(), "has no keys of") {
		t.Errorf("problems %v", page.Problems)
	}
}

// TestRegistrationOnlySaid: a node that says it has registered an account and
// then does not know it.
func TestRegistrationOnlySaid(t *testing.T) {
	s := newWorld(t).device("ada@one.example")
	var account wire.AccountID
	s.line.before = func(_ int, r *Request) error {
		var in wire.RegisterRequest
		if r.Path == wire.PathRegister && wire.DecodeJSON(r.Body, &in) == nil {
			account, r.Body = wire.AccountID(in.KeyStatement.Hash(wire.LabelKeyStatement)), nil
		}
		return nil
	}
	s.line.after = func(_ int, r *Request, a *Response) error {
		if r.Path == wire.PathRegister {
			a.Status, a.Body = 200, wire.EncodeJSON(&wire.RegisterReply{Account: account})
		}
		return nil
	}
	if err := s.tryRegister(); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "refuses the log-in") {
		t.Errorf("got %v", err)
	}
	s.line.before, s.line.after = nil, nil
	s.must(s.tryRegister())
}

// TestOtherRegistration: a node that registers somebody else.
func TestOtherRegistration(t *testing.T) {
	s := newWorld(t).device("ada@one.example")
	lie(s, "POST", wire.PathRegister, func(_ *Request, r *wire.RegisterReply) { r.Account[0]++ })
	if err := s.tryRegister(); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "another account than was sent") {
		t.Errorf("got %v", err)
	}
}

// TestPlanOvertaken: the epoch that a device planned to give keys of is gone from
// the vault, since another device began newer ones: it plans again.
func TestPlanOvertaken(t *testing.T) {
	ctx := context.Background()
	ada := newScene(t).ada
	gone := plan{newest: wire.Commitment{1}}
	err := ada.do(ctx, func() error {
		own, err := ada.refreshOwn(ctx)
		ada.must(err)
		return ada.wrapNewest(ctx, own.Top.Epoch, gone)
	})
	if !errors.Is(err, wire.Conflict) {
		t.Errorf("got %v", err)
	}
}
