package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// lie changes the answers of one route on the way to s.
func lie[T any](s *someone, method, pattern string, change func(r *Request, reply *T)) {
	before := s.line.after
	s.line.after = func(n int, r *Request, a *Response) error {
		if before != nil {
			if err := before(n, r, a); err != nil {
				return err
			}
		}
		if r.Method != method || !matches(pattern, r.Path) || a.Status != 200 {
			return nil
		}
		reply := new(T)
		if err := wire.DecodeJSON(a.Body, reply); err != nil {
			return err
		}
		change(r, reply)
		a.Body = wire.EncodeJSON(reply)
		return nil
	}
}

// tells changes what a page says of the stream of somebody, who wrote all of it
// that their device has seen. A page that says nothing of it says so then.
func tells(r *wire.FeedReply, of *someone, change func(s *wire.StreamStatus)) {
	id := streamID{of.me(), of.vault.friends().ID}
	i := slices.IndexFunc(r.Streams, func(s wire.StreamStatus) bool { return s.Author == id.Author && s.Audience == id.Audience })
	if i < 0 {
		head := uint64(len(of.w.people[id.Author].streams[id.Audience]))
		i, r.Streams = len(r.Streams), append(r.Streams, wire.StreamStatus{Author: id.Author, Audience: id.Audience, Head: head})
	}
	change(&r.Streams[i])
}

// refuse turns a into a refusal.
func (a *Response) refuse(kind wire.Kind) {
	p := wire.ProblemOf(wire.Errorf(kind, "", ""))
	a.Status, a.Body = p.Status, wire.EncodeJSON(p)
}

// refusing answers the requests of s to a path with a refusal. Where they do not
// arrive, the node hears nothing of them.
func refusing(s *someone, path string, kind wire.Kind, arrive bool) {
	s.line.before = func(_ int, r *Request) error {
		if r.Path == path && !arrive {
			r.Body = nil
		}
		return nil
	}
	s.line.after = func(_ int, r *Request, a *Response) error {
		if matches(path, r.Path) {
			a.refuse(kind)
		}
		return nil
	}
}

func matches(pattern, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") })
}

// scene is two friends on two nodes, with a history, and a stranger.
type scene struct{ ada, bob, eve *someone }

func newScene(t *testing.T) scene {
	w := newWorld(t)
	s := scene{w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@two.example")}
	zoe := w.newPerson("zoe@one.example")
	s.ada.befriends(zoe)
	s.ada.writes("one")
	s.ada.removes(zoe) // a second epoch
	s.ada.writes("two")
	s.ada.befriends(s.bob)
	s.ada.writes("three")
	s.bob.writes("bob's")
	s.eve.writes("eve's")
	return s
}

func (s scene) copy() scene {
	c := copies(s.ada, s.bob, s.eve)
	return scene{c[0], c[1], c[2]}
}

// adaEntries are the indexes of ada's entries of a kind in a page.
func (s scene) adas(items []wire.FeedItem, kind wire.EntryKind) (at []int) {
	for i, item := range items {
		if h, err := s.ada.chain.OpenEntry(item.Entry); err == nil && h.Kind == kind {
			at = append(at, i)
		}
	}
	return at
}

// TestFeedLies: ada's posts vanish with a problem, or nothing is lost; bob's own
// post is there in any case.
func TestFeedLies(t *testing.T) {
	all := []string{"bob's", "three", "two", "one"}
	lies := []struct {
		name string
		tell func(s scene)
		want []string
		bad  bool   // a problem is reported
		says string // in it
	}{
		{"nothing", func(s scene) {}, all, false, ""},
		{"two bodies swapped", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				at := s.adas(r.Items, wire.KindPost)
				a, b := &r.Items[at[0]].Entry, &r.Items[at[1]].Entry
				a.Body, b.Body = b.Body, a.Body
			})
		}, all[:1], true, ""},
		{"two headers swapped", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				at := s.adas(r.Items, wire.KindPost)
				a, b := &r.Items[at[0]].Entry, &r.Items[at[1]].Entry
				a.Header, b.Header = b.Header, a.Header
			})
		}, all[:1], true, ""},
		{"a post dropped from the feed", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				i := s.adas(r.Items, wire.KindPost)[1]
				r.Items = slices.Delete(r.Items, i, i+1)
			})
		}, all, false, ""},
		{"a post dropped from feed and stream", func(s scene) {
			var gone wire.EntryID
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				i := s.adas(r.Items, wire.KindPost)[1]
				gone = r.Items[i].Entry.ID()
				r.Items = slices.Delete(r.Items, i, i+1)
			})
			lie(s.bob, "GET", wire.PathStream, func(_ *Request, r *wire.StreamReply) {
				r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { return e.ID() == gone })
			})
		}, all[:1], true, ""},
		{"the oldest dropped", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				i := s.adas(r.Items, wire.KindEpoch)
				r.Items = slices.Delete(r.Items, i[len(i)-1], i[len(i)-1]+1)
			})
		}, all[:1], true, ""},
		{"a stream dropped whole", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == s.ada.me() })
			})
		}, all[:1], true, ""},
		{"every item twice", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { r.Items = append(r.Items, r.Items...) })
		}, all, false, ""},
		{"upside down", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) { slices.Reverse(r.Items) })
		}, nil, true, "out of the order of time"}, // in whatever order
		{"under another author", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				for _, i := range s.adas(r.Items, wire.KindPost) {
					r.Items[i].Author, r.Items[i].Audience = s.bob.me(), s.bob.ownStream().Audience
				}
			})
		}, nil, true, ""}, // bob's own stream is the one that is hidden
		{"a stranger's posts", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				for audience, entries := range s.bob.w.people[s.eve.me()].streams {
					for _, e := range slices.Backward(entries) {
						r.Items = append(r.Items, e.FeedItem)
					}
					r.Streams = append(r.Streams, wire.StreamStatus{Author: s.eve.me(), Audience: audience, Head: 2})
				}
			})
		}, all, true, ""},
		{"a later time", func(s scene) {
			lie(s.bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
				r.Items[s.adas(r.Items, wire.KindPost)[0]].Position += 1e9
			})
		}, all, true, ""},
		{"another reader's wrap", func(s scene) {
			lie(s.bob, "GET", wire.PathWrap, func(_ *Request, w *wire.Wrap) { w.Reader = s.eve.me() })
		}, all[:1], true, "for another reader or key"},
		{"a wrap to another key", func(s scene) {
			lie(s.bob, "GET", wire.PathWrap, func(_ *Request, w *wire.Wrap) { w.Key[0]++ })
		}, all[:1], true, "for another reader or key"},
		{"a wrap of other keys", func(s scene) {
			lie(s.bob, "GET", wire.PathWrap, func(r *Request, w *wire.Wrap) {
				// The node can seal to bob as well as anybody, but has no key that fits.
				parts := strings.Split(r.Path, "/")
				audience, _ := wire.ParseAudienceID(parts[4])
				content := seal.NewContentKey()
				at := seal.WrapPlace{Author: s.ada.me(), Audience: audience, Commitment: content.Commitment(), Reader: s.bob.me(), Key: w.Key}
				sealed, err := seal.SealWrap(s.bob.chain.Newest().Encryption, at, content, nil)
				s.bob.must(err)
				w.Sealed = sealed
			})
		}, all[:1], true, ""},
		{"a wrap with another chain key", func(s scene) {
			lie(s.bob, "GET", wire.PathWrap, func(r *Request, w *wire.Wrap) {
				k, _ := s.ada.ownKeys(context.Background(), s.ada.cache.track(s.ada.ownStream().streamID).Top.Epoch)
				chain := seal.NewChainKey()
				at := seal.WrapPlace{Author: s.ada.me(), Audience: s.ada.ownStream().Audience, Commitment: k.content.Commitment(), Reader: s.bob.me(), Key: w.Key}
				sealed, err := seal.SealWrap(s.bob.chain.Newest().Encryption, at, k.content, &chain)
				s.bob.must(err)
				w.Sealed = sealed
			})
		}, all[:1], true, "committed"},
		{"another epoch's entry", func(s scene) {
			lie(s.bob, "GET", wire.PathStream, func(q *Request, r *wire.StreamReply) {
				if !strings.Contains(q.Path, s.ada.me().String()) {
					return
				}
				for _, entries := range s.bob.w.people[s.ada.me()].streams {
					for i := range r.Entries {
						r.Entries[i] = entries[0].Entry
					}
				}
			})
		}, all[:1], true, ""},
		{"somebody else's keys", func(s scene) {
			lie(s.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = s.eve.chain.Statements() })
		}, all[:1], true, ""},
		{"new keys for the same address", func(s scene) {
			lie(s.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) {
				first := *s.ada.chain.Newest()
				identity := seal.NewIdentity()
				first.Identity, first.Encryption = identity.Public(), seal.NewEncryptionSecret().Public()
				signed, err := first.Sign(identity)
				s.ada.must(err)
				r.Statements = []wire.Signed{signed}
			})
		}, all[:1], true, "another person's keys"},
		{"a change of keys", func(s scene) {
			lie(s.bob, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) {
				r.Statements = append(r.Statements, s.ada.nextStatement())
			})
		}, all[:1], true, ""},
	}
	original := newScene(t)
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			s := original.copy()
			s.ada.must(s.ada.do(context.Background(), func() error { return s.ada.ready(context.Background()) }))
			// Bob is on a new device, so that nothing is known of ada's stream.
			s.bob = s.bob.again()
			s.bob.t = t
			l.tell(s)
			page, err := s.bob.Feed(context.Background(), FeedOptions{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			got := texts(page)
			if l.name == "upside down" {
				slices.Sort(got)
				l.want = slices.Sorted(slices.Values(all))
			}
			if l.want != nil && !slices.Equal(got, l.want) || l.bad != (len(page.Problems) > 0) {
				t.Errorf("got %q with problems %v, want %q", got, page.Problems, l.want)
			}
			if slices.Contains(got, "eve's") {
				t.Error("a stranger's post is shown")
			}
			for _, p := range page.Posts {
				if (p.Author == s.bob.address) != (p.Text == "bob's") {
					t.Errorf("%s is shown as written by %s", p.Text, p.Author)
				}
			}
			if l.says != "" && !strings.Contains(fmt.Sprint(page.Problems), l.says) {
				t.Errorf("problems %v do not say %q", page.Problems, l.says)
			}
		})
	}
}

// nextStatement is a valid next key statement: of its owner, or of a thief.
func (s *someone) nextStatement() wire.Signed {
	next := *s.chain.Newest()
	next.Account, next.Seq, next.Prev, next.Signer = s.me(), next.Seq+1, s.chain.NewestHash(), wire.ByIdentity
	next.Identity, next.Encryption = seal.NewIdentity().Public(), seal.NewEncryptionSecret().Public()
	signed, err := next.Sign(s.vault.identity)
	s.must(err)
	return signed
}

// TestRollback: what was seen once does not go away.
func TestRollback(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	s.bob.reads("bob's", "three", "two", "one")
	shorter := func(of *someone) func(*Request, *wire.FeedReply) {
		return func(_ *Request, r *wire.FeedReply) {
			tells(r, of, func(s *wire.StreamStatus) { s.Head-- })
			i := slices.IndexFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == of.me() })
			r.Items = slices.Delete(r.Items, i, i+1)
		}
	}
	c := s.copy()
	lie(c.bob, "GET", wire.PathFeed, shorter(c.bob))
	page, err := c.bob.Feed(ctx, FeedOptions{})
	c.bob.must(err)
	if len(page.Problems) == 0 || !strings.Contains(page.Problems[0].Error(), "rolled back") {
		t.Errorf("own stream: %v", page.Problems)
	}
	c = s.copy()
	lie(c.bob, "GET", wire.PathFeed, shorter(c.ada))
	page, err = c.bob.Feed(ctx, FeedOptions{})
	c.bob.must(err)
	if len(page.Notices) == 0 || !strings.Contains(page.Notices[0], "behind") {
		t.Errorf("a copy: %v, %v", page.Notices, page.Problems)
	}
	c = s.copy()
	lie(c.bob, "GET", wire.PathStream, func(_ *Request, r *wire.StreamReply) {
		r.Head--
		r.Entries = r.Entries[:max(0, len(r.Entries)-1)]
	})
	published := 0
	c.bob.line.before = func(_ int, r *Request) error {
		if r.Path == wire.PathEntries {
			published++
		}
		return nil
	}
	if _, err := c.bob.Post(ctx, "text", ""); !errors.Is(err, wire.Tampered) || published > 0 {
		t.Errorf("post over a stream that was rolled back: %v, %d published", err, published)
	}
	if _, err := c.bob.Read(ctx, c.bob.address, FeedOptions{}); !errors.Is(err, wire.Tampered) {
		t.Errorf("read a stream that was rolled back: %v", err)
	}
}

// TestFork: the author's key signs two versions of an entry, and the node shows
// one device the first and then the second.
func TestFork(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	c := s.copy()
	c.ada.writes("left")
	left := c.bob
	left.reads("left", "bob's", "three", "two", "one")
	d := s.copy()
	d.ada.writes("right")
	left.line.w = d.bob.w
	for name, read := range map[string]func() (FeedPage, error){
		"feed": func() (FeedPage, error) { return left.Feed(ctx, FeedOptions{}) },
		"read": func() (FeedPage, error) { return left.Read(ctx, left.w.people[s.ada.me()].address, FeedOptions{}) },
	} {
		page, err := read()
		if len(page.Problems) == 0 && !errors.Is(err, wire.Tampered) || slices.Contains(texts(page), "right") {
			t.Errorf("%s: %q, %v, %v", name, texts(page), page.Problems, err)
		}
	}
	// The fork goes on above what was seen: the gap between must be asked for.
	for i := range 30 {
		d.ada.writes(fmt.Sprint(i))
	}
	for _, limit := range []int{5, 30} { // with 30 there is none between
		page, err := left.Feed(ctx, FeedOptions{Limit: limit})
		left.must(err)
		if len(page.Problems) == 0 || len(page.Posts) > 0 {
			t.Errorf("above: %q, %v", texts(page), page.Problems)
		}
	}
}

// TestForkBetweenPages: the second page is of another version than the first.
func TestForkBetweenPages(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	left, right := s.copy(), s.copy()
	for i := range 4 {
		left.ada.writes(fmt.Sprint("left ", i))
		right.ada.writes(fmt.Sprint("right ", i))
	}
	for _, remembers := range []bool{true, false} {
		bob := left.copy().bob
		page, err := bob.Feed(ctx, FeedOptions{Limit: 2})
		bob.must(err)
		if !remembers {
			bob.cache.cursors = nil
		}
		bob.line.w = right.bob.w
		page, err = bob.Feed(ctx, FeedOptions{Limit: 2, Before: page.Cursor})
		bob.must(err)
		if len(page.Problems) == 0 || strings.Contains(fmt.Sprint(texts(page)), "right") {
			t.Errorf("remembers the page before: %v; %q, %v", remembers, texts(page), page.Problems)
		}
		bob.line.w = left.bob.w
		read, err := bob.Read(ctx, left.ada.address, FeedOptions{Limit: 2})
		bob.must(err)
		bob.line.w = right.bob.w
		bob.cache.tracks = make(map[streamID]*track) // the cursor alone is enough
		if _, err := bob.Read(ctx, left.ada.address, FeedOptions{Limit: 2, Before: read.Cursor}); !errors.Is(err, wire.Tampered) {
			t.Errorf("read: %v", err)
		}
	}
}

// TestDropBetweenPages: the node leaves out what would begin the second page, of
// a stream that the first page has shown, and of one that it has not.
func TestDropBetweenPages(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	for i := range 4 {
		s.ada.writes(fmt.Sprint("new ", i))
	}
	for _, gone := range []string{"new 1", "bob's"} {
		bob := s.copy().bob.again() // a device that has seen nothing
		page, err := bob.Feed(ctx, FeedOptions{Limit: 2})
		bob.must(err)
		show, err := s.bob.Feed(ctx, FeedOptions{Limit: 100})
		s.bob.must(err)
		i := slices.IndexFunc(show.Posts, func(p Post) bool { return p.Text == gone })
		drop := show.Posts[i].ID
		lie(bob, "GET", wire.PathFeed, func(_ *Request, r *wire.FeedReply) {
			r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool { return i.Entry.ID() == drop })
		})
		lie(bob, "GET", wire.PathStream, func(_ *Request, r *wire.StreamReply) {
			r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { return e.ID() == drop })
		})
		page, err = bob.Feed(ctx, FeedOptions{Limit: 100, Before: page.Cursor})
		bob.must(err)
		if len(page.Problems) == 0 {
			t.Errorf("%s left out: %q", gone, texts(page))
		}
	}
}

// TestShowLies: a post that was not asked for is not shown.
func TestShowLies(t *testing.T) {
	s := newScene(t)
	own := s.bob.writes("mine")
	s.bob.line.before = func(_ int, r *Request) error {
		if matches(wire.PathPost, r.Path) {
			r.Path = pathOf(wire.PathPost, own.ID.String())
		}
		return nil
	}
	if _, err := s.bob.Show(context.Background(), wire.EntryID{1}); !errors.Is(err, wire.Tampered) {
		t.Errorf("got %v", err)
	}
	if p, err := s.bob.Show(context.Background(), own.ID); err != nil || p.Text != "mine" || p.Author != s.bob.address {
		t.Errorf("got %v, %v", p, err)
	}
}

// TestFlippedBits flips single characters of what a node sends: the outcome is
// an error, or a problem, or as if nothing was.
func TestFlippedBits(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	rng := rand.New(rand.NewPCG(1, 2))
	want := []string{"bob's", "three", "two", "one"}
	for round := range 150 {
		c := original.copy()
		phone := c.bob.w.device(c.bob.address.String())
		target := round % 9
		count := 0
		phone.line.after = func(_ int, r *Request, a *Response) error {
			if count++; count == target+1 && len(a.Body) > 0 {
				a.Body[rng.IntN(len(a.Body))] ^= 1 << rng.IntN(7)
			}
			return nil
		}
		if err := phone.tryLogin(); err != nil {
			continue
		}
		page, err := phone.Feed(ctx, FeedOptions{Limit: 100})
		if err != nil || len(page.Problems) > 0 {
			if bytes.Contains([]byte(fmt.Sprint(err, page.Problems)), []byte("panic")) {
				t.Error(err)
			}
			for _, text := range texts(page) {
				if !slices.Contains(want, text) {
					t.Errorf("shows %q", text)
				}
			}
			continue
		}
		if got := texts(page); !slices.Equal(got, want) {
			t.Errorf("round %d: got %q, want %q", round, got, want)
		}
	}
}

// TestWrongClock: the error names both times.
func TestWrongClock(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	for _, off := range []time.Duration{-time.Hour, 10 * time.Minute} {
		p, err := New(ada.line, ada.device, WithClock(func() time.Time { return w.now().Add(off) }), withDeriver(quick)).Resume(context.Background())
		ada.must(err)
		_, err = p.Post(context.Background(), "text", "")
		if !errors.Is(err, wire.Clock) || strings.Count(err.Error(), "2026-05-01") != 2 {
			t.Errorf("%v off: %v", off, err)
		}
	}
}
