package port

import (
	"cmp"
	"context"
	"strings"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A shownFriend is somebody as a page lists them.
type shownFriend struct {
	Address     wire.Address     `json:"address"`
	State       wire.FriendState `json:"state"` // or "deleted"
	Verified    bool             `json:"verified"`
	Keys        client.KeysState `json:"keys"`
	KeysChanged bool             `json:"keys_changed,omitzero"` // others were verified
	Undelivered bool             `json:"undelivered,omitzero"`  // they have not heard of it yet
	Note        string           `json:"note,omitzero"`
}

const deleted wire.FriendState = "deleted"

func friendOf(f client.Friend, notes ...string) shownFriend {
	if f.Deleted {
		f.State = deleted
	}
	if f.Problem != "" {
		notes = append(notes, f.Problem)
	}
	return shownFriend{
		f.Address, f.State, f.Verified, cmp.Or(f.Keys, client.KeysNew), f.KeysChanged, f.Undelivered, strings.Join(notes, ". "),
	}
}

type friendList struct {
	Friends []shownFriend `json:"friends"`
}

func friends(ctx context.Context, p *client.Person, _ *nothing) (any, error) {
	list, err := p.Friends(ctx)
	if err != nil {
		return nil, err
	}
	var shown friendList
	for _, f := range list {
		shown.Friends = append(shown.Friends, friendOf(f))
	}
	return shown, nil
}

type befriended struct {
	Address wire.Address `json:"address"`
	History bool         `json:"history,omitzero"` // they may read what was written before
}

func befriending(do func(*client.Person, context.Context, wire.Address, bool) (client.Friend, error)) method {
	return asking(func(ctx context.Context, p *client.Person, in *befriended) (any, error) {
		f, err := do(p, ctx, in.Address, in.History)
		if err != nil {
			return nil, err
		}
		return friendOf(f, p.Notes()...), nil
	})
}

type named struct {
	Address wire.Address `json:"address"`
}

func unfriending(do func(*client.Person, context.Context, wire.Address) (client.Friend, error)) method {
	return asking(func(ctx context.Context, p *client.Person, in *named) (any, error) {
		f, err := do(p, ctx, in.Address)
		if err != nil {
			return nil, err
		}
		return friendOf(f, p.Notes()...), nil
	})
}

// compared is what one of two people sees who compare their keys.
type compared struct {
	Groups   []string         `json:"groups"`
	QR       *shownQR         `json:"qr"`
	Verified bool             `json:"verified"`
	Keys     client.KeysState `json:"keys"`
	Newer    bool             `json:"newer,omitzero"` // of keys that came after those that are trusted
}

func safety(ctx context.Context, p *client.Person, in *named) (any, error) {
	now, err := p.SafetyNumber(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	return compared{now.Number.Groups(), drawn(now.Number.QR()), now.Verified, now.Keys, now.Newer}, nil
}

type comparing struct {
	Address wire.Address `json:"address"`
	Number  string       `json:"number"`
}

func verify(ctx context.Context, p *client.Person, in *comparing) (any, error) {
	number, err := client.ParseSafetyNumber(in.Number)
	if err != nil {
		return nil, err
	}
	f, err := p.VerifyFriend(ctx, in.Address, number)
	if err != nil {
		return nil, err
	}
	return friendOf(f, p.Notes()...), nil
}

// invited is a link that others open to ask this person for friendship.
type invited struct {
	Link string   `json:"link"`
	QR   *shownQR `json:"qr"`
}

func invitation(ctx context.Context, p *Port, _ *nothing) (any, error) {
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		link := p.Page + "/#add=" + person.Whoami().Address.String()
		qr, err := client.TextQR(link)
		if err != nil {
			return nil, err
		}
		return invited{link, drawn(qr)}, nil
	})
}
