package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A shownPost is a post as a page shows it.
type shownPost struct {
	ID       string       `json:"id"`
	Author   wire.Address `json:"author"`
	Audience string       `json:"audience"`
	Seq      uint64       `json:"seq"`
	Created  int64        `json:"created"` // ms since 1970
	Text     string       `json:"text"`
	Waiting  bool         `json:"waiting,omitzero"` // it has not been sent yet
}

func shown(p client.Post) shownPost {
	return shownPost{p.ID.String(), p.Author, p.Audience, p.Seq, p.Created.UnixMilli(), p.Text, false}
}

// A shownPage is a page of a feed.
type shownPage struct {
	Posts    []shownPost `json:"posts"`
	Cursor   string      `json:"cursor"`
	Notices  []string    `json:"notices"`
	Problems []*Fault    `json:"problems"`
	Hidden   int         `json:"hidden"`
	Kept     bool        `json:"kept,omitzero"`
}

func pageOf(page client.FeedPage, notes []string) shownPage {
	s := shownPage{Cursor: page.Cursor, Notices: append(page.Notices, notes...), Hidden: page.Hidden}
	for _, post := range page.Posts {
		s.Posts = append(s.Posts, shown(post))
	}
	for _, err := range page.Problems {
		s.Problems = append(s.Problems, faultOf("feed", err))
	}
	return s
}

// maxLimit is the most posts of a page that can be asked for.
const maxLimit = 200

type paging struct {
	Limit  int    `json:"limit,omitzero"`
	Before string `json:"before,omitzero"`
}

func (o paging) options() (client.FeedOptions, error) {
	if o.Limit < 0 || o.Limit > maxLimit {
		return client.FeedOptions{}, wire.Errorf(wire.Invalid, "limit", "1 to %d was expected", maxLimit)
	}
	return client.FeedOptions{Limit: o.Limit, Before: o.Before}, nil
}

type feeding struct {
	paging
	Kept bool `json:"kept,omitzero"` // what lies on the device, without asking anybody
}

func feed(ctx context.Context, p *client.Person, in *feeding) (any, error) {
	o, err := in.options()
	if err != nil {
		return nil, err
	}
	if in.Kept {
		page, err := p.Kept(ctx)
		if err != nil {
			return nil, err
		}
		shown := pageOf(page, nil)
		shown.Kept = true
		return shown, nil
	}
	page, err := p.Feed(ctx, o)
	if err != nil {
		return nil, err
	}
	return pageOf(page, p.Notes()), nil
}

type reading struct {
	Address wire.Address `json:"address"`
	paging
}

func read(ctx context.Context, p *client.Person, in *reading) (any, error) {
	o, err := in.options()
	if err != nil {
		return nil, err
	}
	page, err := p.Read(ctx, in.Address, o)
	if err != nil {
		return nil, err
	}
	return pageOf(page, p.Notes()), nil
}
