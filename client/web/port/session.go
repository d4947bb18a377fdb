package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A shownSession is one that is open on some device.
type shownSession struct {
	ID      wire.Hash `json:"id"`
	Device  string    `json:"device"`
	Created int64     `json:"created"` // ms since 1970
	Expires int64     `json:"expires"`
	Current bool      `json:"current"`
}

type sessionList struct {
	Sessions []shownSession `json:"sessions"`
	More     bool           `json:"more"`
}

func sessions(ctx context.Context, p *client.Person, _ *nothing) (any, error) {
	list, more, err := p.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	shown := sessionList{More: more}
	for _, s := range list {
		shown.Sessions = append(shown.Sessions, shownSession{s.ID, s.Device, s.Created.UnixMilli(), s.Expires.UnixMilli(), s.Current})
	}
	return shown, nil
}

type ending struct {
	ID wire.Hash `json:"id"`
	factored
}

func endSession(ctx context.Context, p *client.Person, in *ending) (any, error) {
	return nothing{}, p.EndSession(ctx, in.ID)
}

func endOthers(ctx context.Context, p *client.Person, _ *factored) (any, error) {
	return nothing{}, p.EndOtherSessions(ctx)
}
