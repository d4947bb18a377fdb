package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// TestReadLies: what a node does to one stream is named when that is read.
func TestReadLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for _, l := range []struct {
		name string
		tell func(r *wire.StreamReply)
		says string
	}{
		{"all left out and counted", func(r *wire.StreamReply) { r.Entries = []wire.Entry{} }, "are missing"},
		{"the newest left out and counted", func(r *wire.StreamReply) { r.Entries = r.Entries[:len(r.Entries)-1] }, "are missing"},
		{"one in the middle left out", func(r *wire.StreamReply) { r.Entries = slices.Delete(r.Entries, 1, 2) }, "does not follow"},
		{"one before the first", func(r *wire.StreamReply) { r.Entries = slices.Insert(r.Entries, 0, wire.Entry{}) }, "not as it was signed"},
		{"a head below what is shown", func(r *wire.StreamReply) { r.Head-- }, "what the node calls the newest"},
		{"a head above what there is", func(r *wire.StreamReply) { r.Head++ }, "are missing"},
	} {
		t.Run(l.name, func(t *testing.T) {
			c := original.copy()
			bob := c.bob.again()
			told := false
			lie(bob, "GET", wire.PathStream, func(_ *Request, r *wire.StreamReply) {
				if !told { // the page, and not what its epochs ask for
					l.tell(r)
				}
				told = true
			})
			page, err := bob.Read(ctx, c.ada.address, FeedOptions{})
			if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), l.says) || len(page.Posts) > 0 {
				t.Errorf("got %q, %v, want an error that says %q", texts(page), err, l.says)
			}
		})
	}
}

// TestGapInOwnStream: a device that goes on in the own stream has verified all
// that others of the same person have written in between.
func TestGapInOwnStream(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for name, tell := range map[string]func(r *wire.StreamReply){
		"one in the middle left out": func(r *wire.StreamReply) { r.Entries = slices.Delete(r.Entries, 1, 2) },
		"the first left out":         func(r *wire.StreamReply) { r.Entries = r.Entries[1:] },
		"all left out":               func(r *wire.StreamReply) { r.Entries = []wire.Entry{} },
	} {
		c := original.copy()
		phone := c.ada.again()
		for _, text := range []string{"a", "b", "c"} {
			phone.writes(text)
		}
		sent := 0
		lie(c.ada, "GET", wire.PathStream, func(_ *Request, r *wire.StreamReply) { tell(r) })
		c.ada.line.before = func(_ int, r *Request) error {
			if r.Path == wire.PathEntries {
				sent++
			}
			return nil
		}
		if _, err := c.ada.Post(ctx, "text", ""); !errors.Is(err, wire.Tampered) || sent > 0 {
			t.Errorf("%s: %v, %d entries sent", name, err, sent)
		}
	}
}

// TestPartedStillServed: posts of somebody who is no friend any more are left
// out, whatever the node goes on showing.
func TestPartedStillServed(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	s.bob.reads("bob's", "three", "two", "one")
	items, err := s.bob.Feed(ctx, FeedOptions{})
	s.bob.must(err)
	first := items.Posts[1]
	s.bob.removes(s.ada)
	id := streamID{first.AuthorAccount, first.AudienceID}
	entries := s.bob.w.people[id.Author].streams[id.Audience]
	lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
		for _, e := range slices.Backward(entries) {
			r.Items = append(r.Items, e.FeedItem)
		}
		r.Streams = append(r.Streams, wire.StreamStatus{Author: id.Author, Audience: id.Audience, Head: uint64(len(entries))})
	})
	s.bob.reads("bob's")
}

// TestTwiceUnderOtherAudience: the posts of a friend under another audience are no
// other posts.
func TestTwiceUnderOtherAudience(t *testing.T) {
	s := newScene(t)
	bob := s.bob.again()
	lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
		for _, i := range slices.Clone(r.Items) {
			if i.Author == s.ada.me() {
				i.Audience[0]++
				r.Items = append(r.Items, i)
			}
		}
	})
	page, err := bob.Feed(context.Background(), FeedOptions{})
	bob.must(err)
	if got := texts(page); !slices.Equal(got, []string{"bob's", "three", "two", "one"}) || len(page.Problems) != 1 {
		t.Errorf("got %q, problems %v", got, page.Problems)
	}
}

// TestPageLies: what a node does to the pages of a feed themselves.
func TestPageLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for _, l := range []struct {
		name string
		tell func(bob *someone)
		says string
	}{
		{"a cursor for a terminal", func(bob *someone) {
			lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { r.Cursor = "\x1b[2J" })
		}, "feed is not understood"},
		{"a next page after nothing", func(bob *someone) {
			lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { r.Items, r.Cursor = []wire.FeedItem{}, "more" })
		}, "feed is not understood"},
		{"a cursor that leads nowhere", func(bob *someone) {
			lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { r.Cursor = "nowhere" })
		}, "does not go on where"},
		{"the same page for ever", func(bob *someone) {
			bob.line.before = func(_ int, r *Request) error {
				r.Path, _, _ = strings.Cut(r.Path, "&before=")
				return nil
			}
			lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { r.Cursor = "again" })
		}, "feed does not go on"},
	} {
		c := original.copy()
		bob := c.bob.again()
		l.tell(bob)
		if _, err := bob.Feed(ctx, FeedOptions{Limit: 100}); !errors.Is(err, wire.Unavailable) || !strings.Contains(err.Error(), l.says) {
			t.Errorf("%s: %v, want %q", l.name, err, l.says)
		}
		if n := len(bob.line.calls); n > 2*maxStalls {
			t.Errorf("%s: asked %d times", l.name, n)
		}
	}
}

// TestHiddenStreams: a stream that was seen before and is not among those of the
// feed is missed: one's own as a contradiction, a friend's with a notice. So is
// the time since when a friend's node was not heard.
func TestHiddenStreams(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	original.bob.reads("bob's", "three", "two", "one")
	feed := func(c scene, tell func(r *wire.FeedReply)) FeedPage {
		lie(c.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { tell(r) })
		page, err := c.bob.Feed(ctx, FeedOptions{})
		c.bob.must(err)
		c.bob.line.after = nil
		return page
	}
	honest := func(c scene) {
		t.Helper()
		page, err := c.bob.Feed(ctx, FeedOptions{})
		if err != nil || len(page.Posts) != 4 || len(page.Problems)+len(page.Notices) > 0 {
			t.Errorf("after a lie: %q, %v, %v, %v", texts(page), page.Problems, page.Notices, err)
		}
	}
	for name, hide := range map[string]func(r *wire.FeedReply, who, other *someone){
		"as a change":     func(r *wire.FeedReply, who, _ *someone) { tells(r, who, func(s *wire.StreamStatus) { s.Head = 0 }) },
		"in a whole list": func(r *wire.FeedReply, _, other *someone) { r.All = true; tells(r, other, func(*wire.StreamStatus) {}) },
	} {
		items := func(r *wire.FeedReply, who, other *someone) {
			hide(r, who, other)
			r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == who.me() })
		}
		c := original.copy()
		if len(feed(c, func(r *wire.FeedReply) { items(r, c.bob, c.ada) }).Problems) != 1 {
			t.Errorf("one's own stream, left out %s, is not missed", name)
		}
		honest(c)
		if !slices.Equal(feed(c, func(r *wire.FeedReply) { items(r, c.ada, c.bob) }).Notices, []string{unreadable(c.ada.address)}) {
			t.Errorf("a friend's stream, left out %s, is not missed", name)
		}
		honest(c)
	}
	c := original.copy()
	for _, says := range []int64{1e12, 0, 1e12, -1, 0} { // -1: nothing new
		page := feed(c, func(r *wire.FeedReply) {
			if says >= 0 {
				tells(r, c.ada, func(s *wire.StreamStatus) { s.AsOf = says })
			}
		})
		var want []string
		if says != 0 {
			want = []string{"the posts of ada@one.example are shown as of 2001-09-09 01:46 UTC"}
		}
		if len(page.Posts) != 4 || !slices.Equal(page.Notices, want) {
			t.Errorf("the node says %d: %q, notices %q", says, texts(page), page.Notices)
		}
	}
}

// TestWhatChanged: a device is told of all streams once, and of what changed from
// then on, over commands too; of everything again when the node does not know any
// more what it said. It sees the same either way.
func TestWhatChanged(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	var told [][2]int // of each page: how many streams, and whether these were all
	lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
		told = append(told, [2]int{len(r.Streams), map[bool]int{true: 1}[r.All]})
	})
	read := func(want [][2]int, texts ...string) {
		t.Helper()
		told = nil
		s.bob.reads(texts...)
		if !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
	}
	read([][2]int{{2, 1}}, "bob's", "three", "two", "one")
	read([][2]int{{0, 0}}, "bob's", "three", "two", "one")
	s.bob.restart()
	read([][2]int{{0, 0}}, "bob's", "three", "two", "one")
	s.ada.writes("four")
	read([][2]int{{1, 0}}, "four", "bob's", "three", "two", "one")
	clear(s.bob.w.states)
	read([][2]int{{2, 1}}, "four", "bob's", "three", "two", "one")
	told = nil
	page, err := s.bob.Feed(ctx, FeedOptions{Limit: 1})
	s.bob.must(err)
	if _, err = s.bob.Feed(ctx, FeedOptions{Limit: 1, Before: page.Cursor}); err != nil || !slices.Equal(told, [][2]int{{0, 0}, {0, 0}}) {
		t.Errorf("page by page: told of %v, %v", told, err)
	}
	s.ada.removes(s.bob)
	read([][2]int{{1, 0}}, "bob's")
}

// TestStateLies: what a node calls the state of the streams is sent back as it is,
// so it has to be what can be sent; and a device that was told of nothing is not
// told of changes.
func TestStateLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for name, tell := range map[string]func(r *wire.FeedReply){
		"a state for a terminal":     func(r *wire.FeedReply) { r.State = "\x1b[2J" },
		"a state that is a query":    func(r *wire.FeedReply) { r.State = "a&limit=1" },
		"a state without an end":     func(r *wire.FeedReply) { r.State = strings.Repeat("a", maxState+1) },
		"changes of nothing":         func(r *wire.FeedReply) { r.All = false },
		"changes of nothing, in all": func(r *wire.FeedReply) { r.All, r.Streams = false, []wire.StreamStatus{} },
	} {
		bob := original.copy().bob.again() // a device that has seen nothing
		lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { tell(r) })
		if _, err := bob.Feed(ctx, FeedOptions{}); !errors.Is(err, wire.Unavailable) || !strings.Contains(err.Error(), "feed is not understood") {
			t.Errorf("%s: %v", name, err)
		}
		bob.line.after = nil
		bob.reads("bob's", "three", "two", "one")
	}
}

// TestShowFork: a post in the place of another one that was seen is refused by
// itself too, and an epoch is no post.
func TestShowFork(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	left, right := s.copy(), s.copy()
	left.ada.writes("left")
	other := right.ada.writes("right")
	left.bob.reads("left", "bob's", "three", "two", "one")
	left.bob.line.w = right.bob.w
	if _, err := left.bob.Show(ctx, other.ID); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "seen before") {
		t.Errorf("got %v", err)
	}
	var epoch placed // the newest, whose keys bob has
	for _, e := range right.ada.w.people[s.ada.me()].streams[s.ada.ownStream().Audience] {
		if e.h.Kind == wire.KindEpoch {
			epoch = e
		}
	}
	if _, err := right.bob.Show(ctx, epoch.Entry.ID()); !errors.Is(err, wire.NotExist) {
		t.Errorf("an epoch: %v", err)
	}
}

// TestOtherKeys: keys that were pinned are not led back, and not forked, even
// where the person has signed both.
func TestOtherKeys(t *testing.T) {
	ctx := context.Background()
	c := newScene(t)
	eve := c.bob.w.people[c.eve.me()]
	first := eve.chain
	pinned, err := first.Append(c.eve.nextStatement())
	c.eve.must(err)
	fork, err := first.Append(c.eve.nextStatement())
	c.eve.must(err)
	eve.chain = pinned
	c.bob.asks(c.eve)
	phone := c.bob.again() // has no keys of eve's yet
	for name, chain := range map[string]*keyservice.Chain{"shorter": first, "forked": fork} {
		eve.chain = chain
		err := phone.do(ctx, func() error {
			_, err := phone.keysOf(ctx, phone.vault.friend(c.eve.me()))
			return err
		})
		if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "not those that were confirmed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShowOthers: a post whose body was changed is tampered with, and one from
// before a friendship without the past is not there.
func TestShowOthers(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	first, err := s.ada.Feed(ctx, FeedOptions{})
	s.ada.must(err)
	old := first.Posts[len(first.Posts)-1]
	_, err = s.ada.AddFriend(ctx, s.eve.address, false)
	s.ada.must(err)
	s.eve.accepts(s.ada)
	s.ada.writes("four")
	if _, err := s.eve.Show(ctx, old.ID); !errors.Is(err, wire.NotExist) || !strings.Contains(err.Error(), "not shared") {
		t.Errorf("the past: %v", err)
	}
	lie(s.bob, "GET", wire.PathPost, func(_ *Request, r *wire.FeedItem) { r.Entry.Body[0]++ })
	if _, err := s.bob.Show(ctx, old.ID); !errors.Is(err, wire.Tampered) {
		t.Errorf("another body: %v", err)
	}
}

// TestFillLies: a device that fetches what the feed left out ends, whatever the
// node answers, and says what is missing.
func TestFillLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	for _, l := range []struct {
		name string
		tell func(c scene)
		asks int // for the stream, at most
	}{
		{"nothing, and that is all", func(c scene) {
			lie(c.bob, "GET", wire.PathStream, func(r *Request, reply *wire.StreamReply) { reply.Entries, reply.Head = []wire.Entry{}, 0 })
		}, 1},
		{"the first, again and again", func(c scene) {
			first := c.ada.w.people[c.ada.me()].streams[c.ada.ownStream().Audience][0].Entry
			lie(c.bob, "GET", wire.PathStream, func(r *Request, reply *wire.StreamReply) { reply.Entries = []wire.Entry{first} })
		}, 1},
		{"more than anybody fetches", func(c scene) {
			lie(c.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				for i := range r.Streams {
					if r.Streams[i].Author == c.ada.me() {
						r.Streams[i].Head = 1e12
					}
				}
			})
		}, 0},
	} {
		c := original.copy()
		lie(c.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
			i := c.adas(r.Items, wire.KindPost)[0]
			r.Items = slices.Delete(r.Items, i, i+1)
		})
		l.tell(c)
		page, err := c.bob.Feed(ctx, FeedOptions{})
		c.bob.must(err)
		if len(page.Problems) != 1 || !strings.Contains(page.Problems[0].Error(), "are missing") {
			t.Errorf("%s: problems %v", l.name, page.Problems)
		}
		asked := 0
		for _, call := range c.bob.line.calls {
			if matches(wire.PathStream, call.path) {
				asked++
			}
		}
		if asked > l.asks {
			t.Errorf("%s: asked %d times", l.name, asked)
		}
	}
}

// TestStreamOfNobody: nothing verifies entries of somebody who is not in the vault.
func TestStreamOfNobody(t *testing.T) {
	s := stream{streamID: streamID{Author: wire.AccountID{1}}}
	if _, err := newScene(t).ada.verifier(context.Background(), s); err != errEnded {
		t.Errorf("got %v", err)
	}
}

// TestEpochLies: an epoch is opened with the entry before it, and one's own keys
// are those that its entry commits to.
func TestEpochLies(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	bob := s.bob.again()
	lie(bob, "GET", wire.PathStream, func(q *Request, r *wire.StreamReply) {
		if strings.HasSuffix(q.Path, "&limit=2") {
			r.Entries = r.Entries[:1]
		}
	})
	page, err := bob.Read(ctx, s.ada.address, FeedOptions{})
	if !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "are missing") {
		t.Errorf("the entry left out: got %q, %v", texts(page), err)
	}
	phone := s.ada.again()
	phone.must(phone.do(ctx, func() error {
		phone.cache.keys = make(map[epochID]*epochKeys)
		e, err := phone.epochEntry(ctx, phone.ownStream(), 1)
		phone.must(err)
		e.body.Content[0]++
		if _, err := phone.ownKeys(ctx, 1); !errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), "committed") {
			t.Errorf("other keys: got %v", err)
		}
		return nil
	}))
}
