package port

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// Events that a page is told of.
const (
	eventNews    = "news"    // a shownPage, the newest first
	eventFriends = "friends" // something about friends has changed
	eventLink    = "link"    // whether the node can be reached
	eventEnded   = "ended"   // a Fault: nothing more comes
	eventPosted  = "posted"  // a post that waited has been sent
	eventUnsent  = "unsent"  // and one that never will be
)

// linked says whether the node can be reached.
type linked struct {
	Up bool `json:"up"`
}

// followLimit is how many posts a page is told of when it begins to follow.
const followLimit = 20

// follow tells what is new from now on, beginning with the newest posts, until the session
// ends or it is called again.
func follow(ctx context.Context, p *Port, _ *nothing) (any, error) {
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	if p.following != nil {
		p.following()
	}
	p.following = cancel
	p.mu.Unlock()
	go func() {
		defer cancel()
		if err := p.watch(following); following.Err() == nil {
			p.tell(eventEnded, faultOf("follow", err))
		}
	}()
	return nothing{}, nil
}

func (p *Port) stopFollowing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.following != nil {
		p.following()
		p.following = nil
	}
}

// Close ends what goes on by itself.
func (p *Port) Close() { p.stopFollowing() }

// watch waits for news, and tells of them.
func (p *Port) watch(ctx context.Context) error {
	f, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err := f.Wait(ctx); err != nil {
			return err
		}
		err := p.news(ctx, func(person *client.Person) (client.FeedPage, error) { return f.News(ctx, person) })
		if err != nil && !errors.Is(err, wire.Unavailable) {
			return err
		}
	}
}

// How often a node is tried that cannot be reached at the beginning.
const retryEvery = 5 * time.Second

// begin reads the newest posts, however long it takes until the node can be reached.
func (p *Port) begin(ctx context.Context) (f *client.Follower, err error) {
	down := false
	for {
		err := p.news(ctx, func(person *client.Person) (page client.FeedPage, err error) {
			f, page, err = person.Follow(ctx, client.FeedOptions{Limit: followLimit})
			slices.Reverse(page.Posts) // as News has them
			return page, err
		})
		if err == nil {
			break
		}
		if ctx.Err() != nil || !errors.Is(err, wire.Unavailable) && !errors.Is(err, wire.Throttled) {
			return nil, err
		}
		if !down {
			down = true
			p.tell(eventLink, linked{false})
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
	if down {
		p.tell(eventLink, linked{true})
	}
	f.Hear(func(up bool) { p.link(ctx, up) }, func() { p.tell(eventFriends, nothing{}) })
	return f, nil
}

// link tells whether the node can be reached. When it can again, what waits is sent.
func (p *Port) link(ctx context.Context, up bool) {
	p.tell(eventLink, linked{up})
	if up {
		go p.asPerson(ctx, code{}, func(person *client.Person) (any, error) { return nil, person.SendWaiting(ctx) })
	}
}

// news tells of a page with the oldest posts first, if there is anything in it.
func (p *Port) news(ctx context.Context, read func(*client.Person) (client.FeedPage, error)) error {
	_, err := p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		page, err := read(person)
		if err != nil {
			return nil, err
		}
		slices.Reverse(page.Posts)
		if news := pageOf(page, person.Notes()); len(news.Posts)+len(news.Notices)+len(news.Problems) > 0 {
			p.tell(eventNews, news)
		}
		return nil, nil
	})
	return err
}
