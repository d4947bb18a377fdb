package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestBefriendingCost: requests and bytes (the digits of numbers aside) do not depend on how much was written.
func TestBefriendingCost(t *testing.T) {
	cost := func(posts int) (calls []string, bytes int) {
		w := newWorld(t)
		ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
		for i := range posts {
			ada.writes(fmt.Sprint("post ", i))
			bob.writes(fmt.Sprint("post ", i))
		}
		ada.line.calls, ada.line.bytes = nil, 0
		bob.line.calls, bob.line.bytes = nil, 0
		ada.befriends(bob)
		for _, s := range []*someone{ada, bob} {
			bytes += s.line.bytes
			for _, c := range s.line.calls {
				calls = append(calls, c.method+" "+c.path[:min(12, len(c.path))])
			}
		}
		if page, err := bob.Feed(context.Background(), FeedOptions{Limit: 3}); err != nil || len(page.Posts) != min(3, 2*posts) {
			t.Errorf("%d posts: %v, %v", posts, page, err)
		}
		return calls, bytes
	}
	calls1, bytes1 := cost(1)
	calls1000, bytes1000 := cost(1000 / stride)
	const digits = 16 // of seq numbers in JSON
	if !slices.Equal(calls1, calls1000) || bytes1000-bytes1 > digits {
		t.Errorf("with 1 post %d bytes, %v\nwith many posts %d bytes, %v", bytes1, calls1, bytes1000, calls1000)
	}
	t.Logf("%d requests, %d bytes: %v", len(calls1), bytes1, calls1)
}

// TestPostCost: a post costs four requests, whatever the number of friends and
// posts.
func TestPostCost(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for i := range 4 {
		w.newPerson(fmt.Sprintf("f%d@two.example", i)).befriends(ada)
	}
	ada.writes("first") // takes in the last acceptance
	ada.restart()
	for range 2 {
		ada.line.calls = nil
		ada.writes("text")
		if len(ada.line.calls) != 4 {
			t.Errorf("%v", ada.line.calls)
		}
	}
	ada.line.calls = nil
	ada.reads("text", "text", "first")
	if len(ada.line.calls) != 1 {
		t.Errorf("feed: %v", ada.line.calls)
	}
}

// TestRemovalCost: one wrap for each remaining friend, in one upload, and one
// entry; no post is touched.
func TestRemovalCost(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	var friends []*someone
	for i := range 5 {
		friends = append(friends, w.newPerson(fmt.Sprintf("f%d@two.example", i)))
		ada.befriends(friends[i])
	}
	ada.writes("text")
	before := len(w.people[ada.me()].wraps)
	ada.line.calls = nil
	ada.removes(friends[0])
	uploads := 0
	for _, c := range ada.line.calls {
		if c.method == "POST" && c.path == wire.PathWraps {
			uploads++
		}
		if c.method == "POST" && c.path == wire.PathFriends {
			t.Error("the end does not come with the epoch")
		}
	}
	if n := len(w.people[ada.me()].wraps) - before; n != 4 || uploads != 1 {
		t.Errorf("%d wraps in %d uploads", n, uploads)
	}
}

// TestExFriend holds every key an ex-friend ever had, and all that the node has,
// against what was written since.
func TestExFriend(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")
	ada.writes("one")
	ada.befriends(eve)
	ada.writes("two")
	ada.befriends(bob)
	eve.reads("two", "one")
	ada.removes(eve)
	ada.writes("three")
	ada.removes(bob) // one more epoch
	ada.befriends(bob)
	ada.writes("four")
	bob.reads("four", "three", "two", "one")

	r, id := w.people[ada.me()], ada.ownStream().streamID
	keys := maps.Clone(eve.cache.keys)
	for range r.streams[id.Audience] { // follow whatever link opens
		for _, e := range r.streams[id.Audience] {
			if e.h.Kind != wire.KindEpoch {
				continue
			}
			var b wire.EpochBody
			if err := wire.DecodeCBOR("epoch", e.Entry.Body, &b); err != nil {
				t.Fatal(err)
			}
			for _, link := range b.Links {
				for _, k := range keys {
					at := seal.LinkPlace{Author: id.Author, Audience: id.Audience, From: e.h.Seq, To: link.Epoch}
					if s, err := seal.OpenLink(k.chain, at, link.Sealed); err == nil {
						keys[epochID{id, link.Epoch}] = keysOfSecret(s)
					}
				}
			}
			for key, wrap := range r.wraps {
				at := seal.WrapPlace{Author: id.Author, Audience: id.Audience, Commitment: b.Content, Reader: eve.me(), Key: wrap.Key}
				if content, chain, err := seal.OpenWrap(eve.vault.encryption, at, wrap.Sealed); err == nil {
					t.Log("opens the wrap", key)
					k := &epochKeys{content: content}
					if chain != nil {
						k.chain = *chain
					}
					keys[epochID{id, e.h.Seq}] = k
				}
			}
		}
	}
	opened := []string{}
	for _, e := range r.streams[id.Audience] {
		for _, k := range keys {
			if plain, err := seal.OpenEntry(e.h, k.content, e.Entry.Body); err == nil {
				var b postBody
				if err := wire.DecodeCBOR("post", plain, &b); err != nil {
					t.Fatal(err)
				}
				opened = append(opened, b.Text)
				break
			}
		}
	}
	if !slices.Equal(opened, []string{"one", "two"}) {
		t.Errorf("the ex-friend opens %q", opened)
	}
	eve.must(eve.do(ctx, func() error { return nil }))
}
