package client

import (
	"context"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Session is one that is open on some device of the person. ID names it and opens
// nothing.
type Session struct {
	ID      wire.Hash
	Device  string
	Created time.Time // when the device logged in
	Expires time.Time
	Current bool // it is that of this device
}

// Sessions lists the sessions of this person that are open, newest first, by the word
// of the home node, and whether there are more than it lists.
func (p *Person) Sessions(ctx context.Context) (list []Session, more bool, err error) {
	err = p.do(ctx, func() error {
		list, more, err = p.sessions(ctx)
		return err
	})
	return list, more, err
}

func (p *Person) sessions(ctx context.Context) (list []Session, more bool, err error) {
	var reply wire.SessionsReply
	if err := p.get(ctx, wire.PathSessions, &reply); err != nil {
		return nil, false, err
	}
	if len(reply.Sessions) > wire.MaxSessions {
		return nil, false, wire.Errorf(wire.Unavailable, "node", "%s lists too many sessions", p.session.Address.Node)
	}
	mine, found := p.session.Token.Hash(wire.LabelToken), false
	for _, s := range reply.Sessions {
		if s.Current != (s.ID == mine) || found && s.Current {
			return nil, false, wire.Errorf(wire.Tampered, "sessions", "the node takes another session for that of this device")
		}
		found = found || s.Current
		device := printable(s.Device)
		device = device[:min(len(device), wire.MaxDeviceName)]
		list = append(list, Session{ID: s.ID, Device: device, Created: time.UnixMilli(s.Created), Expires: time.UnixMilli(s.Expires), Current: s.Current})
	}
	if !found && !reply.More {
		return nil, false, wire.Errorf(wire.Tampered, "sessions", "the node does not list the session of this device")
	}
	return list, reply.More, nil
}

// EndSession ends the session called id, which may be that of this device: then Logout
// is better, which also removes what lies here. NotExist where none is open under it;
// Tampered where the node says that it has ended, and lists it still.
func (p *Person) EndSession(ctx context.Context, id wire.Hash) error {
	return p.do(ctx, func() error {
		if err := p.home(ctx, "DELETE", pathOf(wire.PathOneOfAll, id.String()), nil, nil); err != nil {
			return err
		}
		if id == p.session.Token.Hash(wire.LabelToken) {
			return nil
		}
		return p.haveEnded(ctx, id)
	})
}

// EndOtherSessions ends all sessions of this person but that of this device.
func (p *Person) EndOtherSessions(ctx context.Context) error {
	return p.do(ctx, func() error {
		before, _, err := p.sessions(ctx)
		if err != nil {
			return err
		}
		if err := p.home(ctx, "DELETE", wire.PathSessions, nil, nil); err != nil {
			return err
		}
		var others []wire.Hash
		for _, s := range before {
			if !s.Current {
				others = append(others, s.ID)
			}
		}
		return p.haveEnded(ctx, others...)
	})
}

// haveEnded refuses the word of the node that sessions have ended which it still lists.
func (p *Person) haveEnded(ctx context.Context, ids ...wire.Hash) error {
	after, _, err := p.sessions(ctx)
	if err != nil {
		return err
	}
	for _, s := range after {
		if slices.Contains(ids, s.ID) {
			return wire.Errorf(wire.Tampered, "sessions", "the node says that a session has ended, and still lists it")
		}
	}
	return nil
}
