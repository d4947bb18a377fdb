package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// follows begins to follow somebody's feed over event streams that a test makes.
func (s *someone) follows(open func(ctx context.Context, n int) (io.ReadCloser, *Response, error)) (*Follower, *tap, FeedPage) {
	s.t.Helper()
	streams := &tap{line: s.line, open: open}
	s.Person.c.transport = streams
	f, page, err := s.Follow(context.Background(), FeedOptions{})
	s.must(err)
	return f, streams, page
}

// news wants exactly these posts to be new.
func (s *someone) news(f *Follower, want ...string) FeedPage {
	s.t.Helper()
	page, err := f.News(context.Background(), s.Person)
	s.must(err)
	if got := texts(page); !slices.Equal(got, slices.Concat([]string{}, want)) {
		s.t.Errorf("new is %q, want %q", got, want)
	}
	return page
}

// TestFollower wants each post to be shown once, in order of time; one of a stream
// that was behind when it comes; and nothing of what was there before, a new
// friend's past included.
func TestFollower(t *testing.T) {
	s := newScene(t)
	f, _, page := s.bob.follows(nil)
	if got := texts(page); !slices.Equal(got, []string{"bob's", "three", "two", "one"}) {
		t.Errorf("it begins with %q", got)
	}
	s.bob.news(f)
	s.ada.writes("four")
	s.bob.writes("five")
	s.ada.writes("six")
	s.bob.news(f, "four", "five", "six")
	s.bob.news(f)

	s.ada.writes("late")
	ada := s.ada.w.people[s.ada.Person.session.Account]
	audience := s.ada.ownStream().Audience
	all := ada.streams[audience]
	ada.streams[audience] = all[:len(all)-1]
	s.bob.writes("seven")
	s.bob.news(f, "seven")
	ada.streams[audience] = all
	s.bob.news(f, "late")

	s.eve.befriends(s.bob)
	s.bob.news(f)
	s.eve.writes("hello")
	s.bob.news(f, "hello")
	s.bob.news(f)
}

// TestNewsAreNotLost wants posts to be shown that were fetched when a later
// request failed, and Wait to return without an event after that.
func TestNewsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		f, _, _ := s.bob.follows(func(ctx context.Context, _ int) (io.ReadCloser, *Response, error) {
			return quiet(ctx, ":\n\n"), nil, nil
		})
		s.ada.writes("four")
		s.bob.writes("five")
		for n := 1; n <= 3; n++ { // the feed, and two streams
			ctx, cancel := context.WithCancel(t.Context())
			left := n
			s.bob.line.before = func(int, *Request) error {
				if left--; left == 0 {
					cancel()
				}
				return ctx.Err()
			}
			if page, err := f.News(ctx, s.bob.Person); err == nil {
				t.Errorf("cut off at request %d, new is %q", n, texts(page))
			}
			cancel()
		}
		var got []string
		failed := 0
		for n := 1; ; n++ {
			left := n
			s.bob.line.before = func(int, *Request) error {
				if left--; left == 0 {
					return wire.Errorf(wire.Unavailable, "node", "it cannot be reached")
				}
				return nil
			}
			page, err := f.News(t.Context(), s.bob.Person)
			got = append(got, texts(page)...)
			if left > 0 {
				s.bob.must(err)
				break
			}
			failed++
			began := time.Now()
			s.bob.must(f.Wait(t.Context()))
			if waited := time.Since(began); waited < reconnectFirst || waited > reconnectLast {
				t.Errorf("tried again after %v", waited)
			}
		}
		slices.Sort(got)
		if failed < 2 || !slices.Equal(got, []string{"five", "four"}) {
			t.Errorf("after %d failures %q was new", failed, got)
		}
	})
}

// TestNewsAreMany wants the newest posts of a stream to be shown where there are
// very many, and a word about the others.
func TestNewsAreMany(t *testing.T) {
	s := newScene(t)
	f, _, _ := s.bob.follows(nil)
	var want []string
	for i := range maxNews + 5 {
		text := fmt.Sprint("post ", i)
		s.ada.writes(text)
		want = append(want, text)
	}
	page := s.bob.news(f, want[5:]...)
	if len(page.Notices) != 1 || !strings.Contains(page.Notices[0], "only the newest") {
		t.Errorf("notices: %q", page.Notices)
	}
	s.bob.news(f)
}

// TestNewsAreFew wants no more entries to be asked for than are new, however many
// there were before.
func TestNewsAreFew(t *testing.T) {
	s := newScene(t)
	for range 30 {
		s.ada.writes("old")
	}
	f, streams, _ := s.bob.follows(nil)
	entries := 0
	streams.line.after = func(_ int, r *Request, a *Response) error {
		var reply wire.StreamReply
		if strings.HasPrefix(r.Path, "/v1/streams/") {
			s.bob.must(wire.DecodeJSON(a.Body, &reply))
			entries += len(reply.Entries)
		}
		return nil
	}
	s.ada.writes("new")
	s.bob.news(f, "new")
	s.ada.writes("newer")
	s.ada.writes("newest")
	s.bob.news(f, "newer", "newest")
	if entries != 3 {
		t.Errorf("%d entries were read for 3 new posts", entries)
	}
}

// TestNewsOfLiars wants a problem to be said once while it lasts, and to keep
// nobody else's posts away.
func TestNewsOfLiars(t *testing.T) {
	s := newScene(t)
	f, _, _ := s.bob.follows(nil)
	s.ada.tricks(func(h *wire.EntryHeader) { h.Prev[0]++ }, encodePost("trick"))
	s.bob.writes("five")
	if page := s.bob.news(f, "five"); len(page.Problems) != 1 || !errors.Is(page.Problems[0], wire.Tampered) {
		t.Errorf("problems: %v", page.Problems)
	}
	s.bob.writes("six")
	if page := s.bob.news(f, "six"); len(page.Problems) != 0 {
		t.Errorf("again: %v", page.Problems)
	}
}

// TestManyEvents wants events that come together to be one reason to look, and
// those that come while one looks another.
func TestManyEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		f, _, _ := s.bob.follows(func(ctx context.Context, n int) (io.ReadCloser, *Response, error) {
			return quiet(ctx, strings.Repeat("event: friends\n\n"+feedEvent, 60)), nil, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		go func() {
			for f.Wait(ctx) == nil {
				looks++
				s.bob.news(f)
			}
		}()
		synctest.Wait() // for the first look, after which it pauses
		if looks != 1 {
			t.Errorf("%d looks before a pause", looks)
		}
		_ = sleep(t.Context(), 10*newsGap)
		if looks > 2 {
			t.Errorf("%d looks for what came at once", looks)
		}
		cancel()
		synctest.Wait()
	})
}

// TestFollowEnds wants the end of the session to end a wait, and a transport that
// cannot follow to be refused.
func TestFollowEnds(t *testing.T) {
	s := newScene(t)
	p := wire.ProblemOf(wire.Errorf(wire.Unauthenticated, "", ""))
	f, _, _ := s.bob.follows(func(context.Context, int) (io.ReadCloser, *Response, error) {
		return nil, &Response{Status: p.Status, Body: wire.EncodeJSON(p)}, nil
	})
	if err := f.Wait(t.Context()); !errors.Is(err, wire.Unauthenticated) || !strings.Contains(err.Error(), "the session of bob@two.example has ended") {
		t.Errorf("got %v", err)
	}
	if _, _, err := s.ada.Follow(t.Context(), FeedOptions{}); !errors.Is(err, wire.Unavailable) {
		t.Errorf("without event streams: %v", err)
	}
}

// Hear tells of friends, and of the node when it goes away and when it is back, each time
// once, however often it is tried meanwhile.
func TestHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		away := wire.Errorf(wire.Unavailable, "node", "away")
		f, _, _ := s.bob.follows(func(ctx context.Context, n int) (io.ReadCloser, *Response, error) {
			switch n {
			case 0:
				return body("event: friends\ndata: {}\n\n"), nil, nil
			case 1, 2, 4:
				return nil, nil, away
			case 3:
				return body(""), nil, nil
			}
			return body("event: friends\ndata: {}\n\n" + feedEvent + "event: friends\ndata: {}\n\n"), nil, nil
		})
		var told []string
		f.Hear(func(up bool) { told = append(told, fmt.Sprint("link ", up)) }, func() { told = append(told, "friends") })
		s.bob.must(f.Wait(t.Context()))
		want := []string{"friends", "link false", "link true", "link false", "link true", "friends", "friends"}
		if !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
		f.Close()
		f.Close()
	})
}
