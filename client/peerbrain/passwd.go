package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func (a *app) passwd() *cobra.Command {
	var present, next string
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Change your password",
		Long: `Change your password.

All other sessions end: on your other devices you log in again, with the new
password. The recovery code stays as it is. If the command is interrupted, run
it again with the same two passwords: until it succeeds, one of them opens your
account, and never both.

Both are asked on the terminal. A script gives the present one with
--password-file FILE (- for standard input; one line break at its end does not
count) or in PEERBRAIN_PASSWORD, and the new one with --new-password-file FILE
or in PEERBRAIN_NEW_PASSWORD.

` + codeHelp,
		Example: `  peerbrain passwd
  peerbrain passwd --password-file old.txt --new-password-file new.txt`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if present == "-" && next == "-" {
				return usage("only one of the two passwords can come from standard input", "peerbrain passwd --password-file FILE --new-password-file -")
			}
			if err := a.oneStandardInput(present, next); err != nil {
				return err
			}
			return a.person(cmd.Context(), func(p *client.Person) error { return a.runPasswd(cmd.Context(), p, present, next) })
		},
	}
	cmd.Flags().StringVar(&present, "password-file", "", "read the present password from `FILE`, - for standard input")
	cmd.Flags().StringVar(&next, "new-password-file", "", "read the new password from `FILE`, - for standard input")
	a.codeFlag(cmd)
	return cmd
}

func (a *app) runPasswd(ctx context.Context, p *client.Person, present, next string) error {
	from := presentPassword(present)
	from.question = "Present password: "
	before, err := a.password(ctx, from)
	if err != nil {
		return err
	}
	after, err := a.password(ctx, newPassword(next))
	if err != nil {
		return err
	}
	if err := p.ChangePassword(ctx, before, after); err != nil {
		if errors.Is(err, client.ErrPresentPassword) {
			return &fault{what: detail(err), hint: "type the one that you log in with, and again the new one", status: failed, cause: err}
		}
		return a.explain(err, about{doing: "change the password", words: map[wire.Kind][2]string{
			wire.Invalid: {"this password cannot be used: " + detail(err), goodPassword},
		}})
	}
	if a.json {
		return a.account(p)
	}
	a.say("The password of %s is changed. All other sessions have ended.", p.Whoami().Address)
	a.next(fmt.Sprintf("peerbrain login %s    on your other devices", p.Whoami().Address))
	return nil
}
