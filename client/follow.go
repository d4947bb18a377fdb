package client

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	maxNews = 200                    // posts of one stream that are shown at once as new
	newsGap = 100 * time.Millisecond // between two looks at what is new, however many events come
)

// A Follower knows how far a feed has been shown, and waits for more. It holds no
// file of the device, so that others can use it meanwhile.
type Follower struct {
	events *events
	seen   map[streamID]uint64 // seq of the newest entry that was looked at
	from   int64               // ms since 1970: what a stream that comes up held before is not new
	said   map[string]bool     // notices and problems that were shown
	looked time.Time           // when News ended last
	wait   time.Duration       // until it is tried again without an event; 0: nothing was missed
}

// Follow returns the newest page of the feed, as Feed does, and a Follower of what
// comes after it. Unavailable where the transport cannot follow answers.
func (p *Person) Follow(ctx context.Context, o FeedOptions) (*Follower, FeedPage, error) {
	streamer, ok := p.c.transport.(Streamer)
	if !ok {
		return nil, FeedPage{}, wire.Errorf(wire.Unavailable, "transport", "it cannot wait for news")
	}
	f := &Follower{
		events: &events{streamer: streamer, address: p.session.Address, token: p.session.Token},
		from:   p.c.now().UnixMilli(), said: make(map[string]bool),
	}
	o.Before = ""
	page, err := p.Feed(ctx, o)
	if err != nil {
		return nil, page, err
	}
	err = p.do(ctx, func() error {
		f.seen = p.cache.tops()
		return nil
	})
	page.Notices, page.Problems = f.unsaid(page.Notices, page.Problems)
	page.Cursor = ""
	return f, page, err
}

// Hear has functions called, while Wait runs: link when the node cannot be reached any more,
// and when it can again, and friends when something about friends has changed.
func (f *Follower) Hear(link func(up bool), friends func()) {
	f.events.link, f.events.friends = link, friends
}

// Wait returns once there may be something new, and a while after News has failed
// or missed something.
// It reconnects by itself, for as long as the node cannot be reached.
// Unauthenticated after the session has ended.
func (f *Follower) Wait(ctx context.Context) error {
	if f.wait == 0 {
		return f.event(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	defer f.events.close()
	err := f.event(limited)
	if ctx.Err() == nil && limited.Err() != nil {
		return nil
	}
	return err
}

// Close gives up the connection to the node, if there is one.
func (f *Follower) Close() { f.events.close() }

// event waits for an event about the feed.
func (f *Follower) event(ctx context.Context) error {
	for {
		kind, err := f.events.next(ctx)
		if err != nil {
			return err
		}
		if kind == wire.EventFeed {
			break
		}
	}
	if err := sleep(ctx, newsGap-time.Since(f.looked)); err != nil {
		return err
	}
	f.events.drain()
	return nil
}

// News returns what is new since the last call, in order of time, the oldest
// first. p has the session that the Follower was made in.
func (f *Follower) News(ctx context.Context, p *Person) (page FeedPage, err error) {
	seen := maps.Clone(f.seen)
	err = p.do(ctx, func() error {
		if err := p.begin(ctx); err != nil {
			return err
		}
		r := &feedReader{p: p, walks: make(map[streamID]*walk)}
		if _, err := r.fetch(ctx, "", 1); err != nil {
			return err
		}
		for _, id := range p.cache.listed() {
			if err := f.newsOf(ctx, r, id, seen); err != nil {
				return err
			}
		}
		page = r.page
		return p.keepNew(page.Posts)
	})
	f.looked = time.Now()
	if err != nil || slices.ContainsFunc(page.Problems, passing) {
		f.wait = growWait(f.wait)
	} else {
		f.wait = 0
	}
	if err != nil {
		return FeedPage{}, err // all of it is still to be shown
	}
	f.seen = seen
	slices.SortStableFunc(page.Posts, func(a, b Post) int { return cmp.Compare(a.Created.UnixMilli(), b.Created.UnixMilli()) })
	page.Hidden = 0
	page.Notices, page.Problems = f.unsaid(page.Notices, page.Problems)
	return page, nil
}

// newsOf adds what is new in one stream to the page of r, and notes it in seen.
func (f *Follower) newsOf(ctx context.Context, r *feedReader, id streamID, seen map[streamID]uint64) error {
	head, known := r.p.cache.told[id].head, seen[id]
	if head <= known {
		return nil
	}
	w, err := r.walk(ctx, id)
	if err != nil || w.err != nil {
		return err
	}
	w = &walk{s: w.s, head: head}
	page, err := r.p.readDown(ctx, w, maxSeq, known, maxNews)
	if err == nil {
		err = r.p.merge(ctx, w)
	}
	if errors.Is(err, wire.NotExist) { // it has been closed meanwhile
		return nil
	}
	if err != nil {
		return r.failed(ctx, w, err)
	}
	for _, post := range page.Posts {
		if known > 0 || post.Created.UnixMilli() >= f.from {
			r.page.Posts = append(r.page.Posts, post)
		}
	}
	for _, n := range page.Notices {
		r.page.note(n)
	}
	if len(page.Posts) == maxNews {
		r.page.note("only the newest of the new posts of " + w.s.address.String() + " are shown")
	}
	if w.high != nil {
		seen[id] = w.high.Seq
	}
	return nil
}

// passing reports whether what went wrong may be well later, without an event.
func passing(err error) bool {
	k := wire.KindOf(err)
	return k == wire.Unavailable || k == wire.Throttled || k == wire.Internal
}

// unsaid returns what was not shown before.
func (f *Follower) unsaid(notices []string, problems []error) (newNotices []string, newProblems []error) {
	for _, n := range notices {
		if !f.said[n] {
			newNotices = append(newNotices, n)
		}
	}
	for _, e := range problems {
		if !f.said[e.Error()] {
			newProblems = append(newProblems, e)
		}
	}
	f.said = make(map[string]bool)
	for _, n := range notices {
		f.said[n] = true
	}
	for _, e := range problems {
		f.said[e.Error()] = true
	}
	return newNotices, newProblems
}

// tops returns the newest entry of each stream, as the node said last.
func (c *cache) tops() map[streamID]uint64 {
	tops := make(map[streamID]uint64, len(c.told))
	for id, t := range c.told {
		tops[id] = t.head
	}
	return tops
}

// Waits between two tries to reach a node.
const (
	reconnectFirst = time.Second
	reconnectLast  = 30 * time.Second
)

// growWait is the next wait after one in vain, longer and at random.
func growWait(before time.Duration) time.Duration {
	most := min(reconnectLast, max(3*before, 2*reconnectFirst))
	return reconnectFirst + rand.N(most-reconnectFirst+1)
}
