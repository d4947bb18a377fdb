package port

import (
	"context"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// typed is a secret that a person has typed. It does not print.
type typed struct{ wire.Hidden[string] }

// UnmarshalText takes what was typed as it is.
func (t *typed) UnmarshalText(b []byte) error {
	t.Hidden = wire.Hide(string(b))
	return nil
}

// password reads one that is about to be chosen.
func (t typed) password() (client.Password, error) { return client.NewPassword([]byte(t.Reveal())) }

// present reads one that was chosen before: what cannot be one is a wrong one.
func (t typed) present() (client.Password, error) {
	password, err := t.password()
	if err != nil {
		return password, client.ErrWrongPassword
	}
	return password, nil
}

// recovery reads a recovery code.
func (t typed) recovery() (client.RecoveryCode, error) {
	code, err := client.ParseRecoveryCode([]byte(t.Reveal()))
	if err != nil {
		return code, client.ErrWrongCode
	}
	return code, nil
}

// A code is that of a second factor, or none.
type code struct{ typed }

// errWrongFactor is for a code that the node has refused, or that cannot be one.
var errWrongFactor = wire.Errorf(wire.SecondFactor, "code", "this code was refused: it is wrong, or was used before")

// source gives a node the code once. Without one, what wants it fails.
func (c code) source() (client.CodeSource, error) {
	if c.Reveal() == "" {
		return nil, nil
	}
	given, err := client.ParseFactorCode([]byte(c.Reveal()))
	if err != nil {
		return nil, errWrongFactor
	}
	return func(_ context.Context, again bool) (wire.FactorCode, error) {
		if again {
			return wire.FactorCode{}, errWrongFactor
		}
		return given, nil
	}, nil
}

// codeIn is the code among the parameters of a call.
func codeIn(params any) code {
	if with, ok := params.(interface{ factor() code }); ok {
		return with.factor()
	}
	return code{}
}

// factored is the code in parameters.
type factored struct {
	Code code `json:"code,omitzero"`
}

func (f *factored) factor() code { return f.Code }
