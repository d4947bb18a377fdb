package port

import (
	"context"
	"maps"

	"github.com/peerbrain/peerbrain/client"
)

type posting struct {
	Text string `json:"text"`
	Key  string `json:"key"` // the same for one draft, however often it is handed in
}

// post sends a draft, or keeps it until the node can be reached.
func post(ctx context.Context, p *Port, in *posting) (any, error) {
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		now, sent, err := person.PostDraft(ctx, in.Key, in.Text)
		if err != nil {
			return nil, err
		}
		if !sent {
			return p.waits(client.Waiting{Key: in.Key, Post: now}), nil
		}
		p.known(in.Key)
		return shown(now), nil
	})
}

// waits remembers that the page is told of a draft that waits.
func (p *Port) waits(w client.Waiting) shownPost {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drafts[w.Key] = w.Post.Text
	return waitingPost(w)
}

// known is that the page is told what came of a draft.
func (p *Port) known(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.drafts, key)
}

// waitingPost is a draft as it is shown among posts: it has no id yet, and its key for one.
func waitingPost(w client.Waiting) shownPost {
	s := shown(w.Post)
	s.ID, s.Waiting = w.Key, true
	return s
}

// begun is what was being written when the page was left.
func begun(ctx context.Context, p *client.Person, _ *nothing) (any, error) {
	b, err := p.Begun(ctx)
	if err != nil {
		return nil, err
	}
	return posting{Text: b.Text, Key: b.Key}, nil
}

func keepBegun(ctx context.Context, p *client.Person, in *posting) (any, error) {
	return nothing{}, p.KeepBegun(ctx, client.Begun{Key: in.Key, Text: in.Text})
}

type waitingList struct {
	Posts []shownPost `json:"posts"`
}

func waiting(ctx context.Context, p *Port, _ *nothing) (any, error) {
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		list, err := person.Waiting(ctx)
		if err != nil {
			return nil, err
		}
		var posts waitingList
		for _, w := range list {
			posts.Posts = append(posts.Posts, p.waits(w))
		}
		return posts, nil
	})
}

// settled is what came of a draft that waited.
type settled struct {
	Draft string     `json:"key"`
	Post  *shownPost `json:"post,omitzero"`
	Error *Fault     `json:"error,omitzero"`
}

// tellSent tells what came of drafts meanwhile, of those too that another page has sent.
func (p *Port) tellSent(ctx context.Context, person *client.Person) {
	for _, s := range person.Sent() {
		p.known(s.Key)
		if s.Err != nil {
			p.tell(eventUnsent, settled{Draft: s.Key, Error: faultOf("post", s.Err)})
		} else {
			p.tellPosted(s.Key, s.Post)
		}
	}
	p.mu.Lock()
	open := maps.Clone(p.drafts)
	p.mu.Unlock()
	for key, text := range open {
		if post, sent, err := person.SentDraft(ctx, key, text); err == nil && sent {
			p.known(key)
			p.tellPosted(key, post)
		}
	}
}

func (p *Port) tellPosted(key string, post client.Post) {
	s := shown(post)
	p.tell(eventPosted, settled{Draft: key, Post: &s})
}
