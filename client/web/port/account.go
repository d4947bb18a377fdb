package port

import (
	"context"
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// whose is the session that a page shows.
type whose struct {
	Address wire.Address   `json:"address"`
	Account wire.AccountID `json:"account"`
	Device  string         `json:"device"`
	Node    wire.NodeName  `json:"node"`
}

func whoseOf(p *client.Person) *whose {
	w := p.Whoami()
	return &whose{w.Address, w.Account, w.Device, w.Address.Node}
}

// entered is what a page is told of somebody who has come in.
type entered struct {
	State        *whose   `json:"state"`
	RecoveryCode string   `json:"recovery_code,omitzero"`
	Notices      []string `json:"notices"`
}

// state resumes the session that lies on the device; null for none.
func state(ctx context.Context, p *Port, _ *nothing) (any, error) {
	now, err := p.asPerson(ctx, code{}, func(person *client.Person) (any, error) { return whoseOf(person), nil })
	if errors.Is(err, wire.Unauthenticated) {
		return nil, nil
	}
	return now, err
}

// here refuses who is at home somewhere else.
func (p *Port) here(who wire.Address) error {
	if who.Node != p.Node {
		return wire.Errorf(wire.Invalid, "address", "this page is that of %s, and speaks to no other node: open %s", p.Node, who.Node.Origin())
	}
	return nil
}

// defaultDevice is what a session that a registration opens is called.
const defaultDevice = "web browser"

type registering struct {
	Address  wire.Address `json:"address"`
	Password typed        `json:"password"`
}

func register(ctx context.Context, p *Port, in *registering) (any, error) {
	if err := p.here(in.Address); err != nil {
		return nil, err
	}
	password, err := in.Password.password()
	if err != nil {
		return nil, err
	}
	return p.with(ctx, code{}, func(c *client.Client, _ Store) (any, error) {
		shown := ""
		person, err := c.Register(ctx, client.RegisterOptions{
			Address: in.Address, Password: password, Device: defaultDevice,
			ShowCode: func(code string) error { shown = code; return nil },
		})
		if err != nil {
			return nil, err
		}
		return entered{whoseOf(person), shown, person.Notes()}, nil
	})
}

type entering struct {
	Address  wire.Address `json:"address"`
	Password typed        `json:"password"`
	Device   string       `json:"device"`
	factored
}

func login(ctx context.Context, p *Port, in *entering) (any, error) {
	if err := p.here(in.Address); err != nil {
		return nil, err
	}
	password, err := in.Password.present()
	if err != nil {
		return nil, err
	}
	return p.with(ctx, in.Code, func(c *client.Client, _ Store) (any, error) {
		person, report, err := c.Login(ctx, client.LoginOptions{Address: in.Address, Password: password, Device: in.Device})
		if err != nil {
			return nil, err
		}
		return entered{State: whoseOf(person), Notices: noticesOf(person, report)}, nil
	})
}

type recovering struct {
	Address  wire.Address `json:"address"`
	Recovery typed        `json:"recovery_code"`
	Password typed        `json:"password"`
	Device   string       `json:"device"`
	factored
}

func recoverAccount(ctx context.Context, p *Port, in *recovering) (any, error) {
	if err := p.here(in.Address); err != nil {
		return nil, err
	}
	recovery, err := in.Recovery.recovery()
	if err != nil {
		return nil, err
	}
	password, err := in.Password.password()
	if err != nil {
		return nil, err
	}
	return p.with(ctx, in.Code, func(c *client.Client, _ Store) (any, error) {
		shown := ""
		person, report, err := c.Recover(ctx, client.RecoverOptions{
			Address: in.Address, Code: recovery, Password: password, Device: in.Device,
			ShowCode: func(code string) error { shown = code; return nil },
		})
		if err != nil {
			return nil, err
		}
		return entered{whoseOf(person), shown, noticesOf(person, report)}, nil
	})
}

// noticesOf says what a log-in has found out.
func noticesOf(p *client.Person, r client.LoginReport) []string {
	list := p.Notes()
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.Foreign > 0 {
		add("the log of your node holds %d statement(s) of keys for your address that you did not make: whoever has no keys of yours yet may be shown these. "+
			"Tell your friends, and the operator of the node", r.Foreign)
	}
	switch {
	case r.HandedBack:
		add("the node had lost something that you have written, as after an old copy was restored; this device has handed it in again")
	case r.Behind:
		add("the node shows less than this device has seen: an old copy of it was restored, or it hides what is newest. " +
			"You can read; nothing can be written from here. Log in on the devices that you used last, and then here again: they hand in what they still have")
	}
	return list
}

// logout ends the session, and removes everything from the device.
func logout(ctx context.Context, p *Port, _ *nothing) (any, error) {
	p.stopFollowing()
	return p.with(ctx, code{}, func(c *client.Client, s Store) (any, error) {
		person, err := c.Resume(ctx)
		if err == nil {
			err = person.Logout(ctx)
		}
		if err != nil && !errors.Is(err, wire.Unauthenticated) && !errors.Is(err, wire.Update) {
			s.Remove() // what can be removed, before the failure is told
			return nil, err
		}
		return nothing{}, s.Remove()
	})
}

type deleting struct {
	Password typed `json:"password"`
	factored
}

// deleteAccount deletes the account, and removes everything from the device.
func deleteAccount(ctx context.Context, p *Port, in *deleting) (any, error) {
	password, err := in.Password.present()
	if err != nil {
		return nil, err
	}
	return p.with(ctx, in.Code, func(c *client.Client, s Store) (any, error) {
		person, err := c.Resume(ctx)
		if err != nil {
			return nil, err
		}
		if err := person.DeleteAccount(ctx, password); err != nil {
			return nil, err
		}
		p.stopFollowing()
		return nothing{}, s.Remove()
	})
}
