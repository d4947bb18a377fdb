package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
)

type posting struct {
	Text string `json:"text"`
	Key  string `json:"key"`
}

func post(ctx context.Context, p *Port, in *posting) (any, error) {
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		posted, err := person.Post(ctx, in.Text, "")
		if err != nil {
			return nil, err
		}
		return shown(posted), nil
	})
}
