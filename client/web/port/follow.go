package port

import (
	"context"
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// Events that a page is told of.
const (
	eventNews    = "news"    // a shownPage, the newest first
	eventFriends = "friends" // something about friends has changed
	eventLink    = "link"    // whether the node can be reached
	eventEnded   = "ended"   // a Fault: nothing more comes
)

// follow tells what is new from now on, until the session ends or another call of it.
func follow(ctx context.Context, p *Port, _ *nothing) (any, error) {
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	if p.following != nil {
		p.following()
	}
	p.following = cancel
	p.mu.Unlock()
	f, err := p.begin(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer cancel()
		if err := p.watch(following, f); following.Err() == nil {
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

func (p *Port) begin(ctx context.Context) (f *client.Follower, err error) {
	_, err = p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		f, _, err = person.Follow(ctx, client.FeedOptions{Limit: 1})
		return nil, err
	})
	return f, err
}

// watch waits for news, and tells of them.
func (p *Port) watch(ctx context.Context, f *client.Follower) error {
	for {
		if err := f.Wait(ctx); err != nil {
			return err
		}
		_, err := p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
			page, err := f.News(ctx, person)
			if err != nil {
				return nil, err
			}
			slices.Reverse(page.Posts)
			if news := pageOf(page, person.Notes()); len(news.Posts)+len(news.Notices)+len(news.Problems) > 0 {
				p.tell(eventNews, news)
			}
			return nil, nil
		})
		if err != nil && !errors.Is(err, wire.Unavailable) {
			return err
		}
	}
}
