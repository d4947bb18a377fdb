package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
)

type posting struct {
	Text string `json:"text"`
	Key  string `json:"key"` // the same for one draft, however often it is handed in
}

// post sends a draft, or keeps it until the node can be reached.
func post(ctx context.Context, p *client.Person, in *posting) (any, error) {
	now, sent, err := p.PostDraft(ctx, in.Key, in.Text)
	if err != nil {
		return nil, err
	}
	if !sent {
		return waitingPost(client.Waiting{Key: in.Key, Post: now}), nil
	}
	return shown(now), nil
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

func waiting(ctx context.Context, p *client.Person, _ *nothing) (any, error) {
	list, err := p.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	var posts waitingList
	for _, w := range list {
		posts.Posts = append(posts.Posts, waitingPost(w))
	}
	return posts, nil
}

// settled is what came of a draft that waited.
type settled struct {
	Draft string     `json:"key"`
	Post  *shownPost `json:"post,omitzero"`
	Error *Fault     `json:"error,omitzero"`
}

// tellSent tells what came of drafts meanwhile.
func (p *Port) tellSent(person *client.Person) {
	for _, s := range person.Sent() {
		if s.Err != nil {
			p.tell(eventUnsent, settled{Draft: s.Key, Error: faultOf("post", s.Err)})
			continue
		}
		post := shown(s.Post)
		p.tell(eventPosted, settled{Draft: s.Key, Post: &post})
	}
}
