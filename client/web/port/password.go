package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
)

type changing struct {
	Present typed `json:"present"`
	Next    typed `json:"next"`
	factored
}

func passwd(ctx context.Context, p *client.Person, in *changing) (any, error) {
	present, err := in.Present.present()
	if err != nil {
		return nil, err
	}
	next, err := in.Next.password()
	if err != nil {
		return nil, err
	}
	return nothing{}, p.ChangePassword(ctx, present, next)
}

type coded struct {
	Recovery typed `json:"recovery_code"`
	factored
}

func checkCode(ctx context.Context, p *client.Person, in *coded) (any, error) {
	present, err := in.Recovery.recovery()
	if err != nil {
		return nil, err
	}
	return nothing{}, p.CheckCode(ctx, present)
}

// renewed is the code that took the place of another one.
type renewed struct {
	RecoveryCode string `json:"recovery_code"`
}

func renewCode(ctx context.Context, p *client.Person, in *coded) (any, error) {
	present, err := in.Recovery.recovery()
	if err != nil {
		return nil, err
	}
	var now renewed
	err = p.RenewCode(ctx, present, func(code string) error { now.RecoveryCode = code; return nil })
	if err != nil {
		return nil, err
	}
	return now, nil
}
