package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// factorState is what a log-in needs beside the password.
type factorState struct {
	On   bool `json:"on"`
	Left int  `json:"left"` // backup codes
}

func factor(ctx context.Context, p *client.Person, _ *nothing) (any, error) {
	now, err := p.SecondFactor(ctx)
	if err != nil {
		return nil, err
	}
	return factorState{now.On, now.Backup}, nil
}

// enrolment is what an app is told.
type enrolment struct {
	Secret string   `json:"secret"`
	URI    string   `json:"uri"`
	QR     *shownQR `json:"qr"`
}

// beginFactor makes what an app is told, and remembers it until the app has shown that it
// knows it.
func beginFactor(ctx context.Context, p *Port, _ *nothing) (any, error) {
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		app := person.NewAuthenticator()
		p.mu.Lock()
		p.app = app
		p.mu.Unlock()
		return enrolment{app.Secret(), app.URI(), drawn(app.QR())}, nil
	})
}

type firstCode struct {
	First code `json:"first"`
}

// codeList is backup codes, shown once.
type codeList struct {
	Codes []string `json:"codes"`
}

func factorOn(ctx context.Context, p *Port, in *firstCode) (any, error) {
	first, err := client.ParseFactorCode([]byte(in.First.Reveal()))
	if err != nil {
		return nil, errWrongFactor
	}
	p.mu.Lock()
	app := p.app
	p.mu.Unlock()
	if app.IsZero() {
		return nil, wire.Errorf(wire.Invalid, "first", "no app was told anything yet")
	}
	return p.asPerson(ctx, code{}, func(person *client.Person) (any, error) {
		codes, err := person.TurnOnSecondFactor(ctx, app, first)
		if err != nil {
			return nil, err
		}
		return codeList{codes.Reveal()}, nil
	})
}

func factorOff(ctx context.Context, p *client.Person, _ *factored) (any, error) {
	return nothing{}, p.TurnOffSecondFactor(ctx)
}

func backupCodes(ctx context.Context, p *client.Person, _ *factored) (any, error) {
	codes, err := p.NewBackupCodes(ctx)
	if err != nil {
		return nil, err
	}
	return codeList{codes.Reveal()}, nil
}
