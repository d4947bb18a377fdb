package main

import (
	"context"
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const followHelp = `

With --follow the newest posts come last, and new ones are printed as they come,
until Ctrl-C. When the node cannot be reached, it is tried again; what was
written meanwhile is shown then. Other commands work beside it.`

// follow prints the newest posts and then new ones, until ctx ends.
func (a *app) follow(ctx context.Context, o client.FeedOptions) error {
	var f *client.Follower
	err := a.person(ctx, func(p *client.Person) (err error) {
		var page client.FeedPage
		if f, page, err = p.Follow(ctx, o); err != nil {
			return a.explain(err, about{doing: "read the feed"})
		}
		slices.Reverse(page.Posts)
		return a.news(page)
	})
	for err == nil {
		if err = f.Wait(ctx); err != nil {
			err = a.explain(err, about{doing: "wait for new posts"})
			break
		}
		err = a.person(ctx, func(p *client.Person) error {
			page, err := f.News(ctx, p)
			if err != nil {
				return a.explain(err, about{doing: "read the feed"})
			}
			return a.news(page)
		})
		if errors.Is(err, wire.Unavailable) {
			err = nil // it is tried again
		}
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil // Ctrl-C is how one ends it
	}
	return err
}

// news prints posts as they are. What is wrong with some keeps nobody from the next.
func (a *app) news(page client.FeedPage) error {
	for _, n := range page.Notices {
		a.note("%s", n)
	}
	for _, err := range page.Problems {
		a.note("%s", detail(err))
	}
	for _, p := range page.Posts {
		if err := a.post(p); err != nil {
			return err
		}
	}
	return nil
}
