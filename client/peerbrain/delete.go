package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func (a *app) deleteAccount() *cobra.Command {
	var file string
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete-account",
		Short: "Delete your account, for good",
		Long: `Delete your account, for good.

All sessions end at once. Your node deletes your vault, your posts and who your
friends are; your friends' nodes delete their copies of your posts, and your
friends see that the account is deleted. What stays is a signed note that it is,
with your public keys, and their entry in the node's public log of keys. Nobody
gets the name again, you included. What friends have read they may have kept,
and backups of nodes last as long as their operators keep them.

The password is asked on the terminal, and then your address. A script gives the
password with --password-file FILE (- for standard input) or in
PEERBRAIN_PASSWORD, and --yes in place of the address.

` + codeHelp,
		Example: `  peerbrain delete-account
  peerbrain delete-account --yes --password-file password.txt`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.oneStandardInput(file); err != nil {
				return err
			}
			return a.person(cmd.Context(), func(p *client.Person) error { return a.runDelete(cmd.Context(), p, file, yes) })
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "read the password from `FILE`, - for standard input")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for the address")
	a.codeFlag(cmd)
	return cmd
}

func (a *app) runDelete(ctx context.Context, p *client.Person, file string, yes bool) error {
	who := p.Whoami()
	if !yes && !a.asks {
		return usage("an account is deleted for good, and there is no terminal to ask whether it is meant", "peerbrain delete-account --yes")
	}
	from := presentPassword(file)
	from.question = fmt.Sprintf("Password of %s: ", who.Address)
	password, err := a.password(ctx, from)
	if err != nil {
		return err
	}
	if !yes {
		typed, err := a.ask(ctx, fmt.Sprintf("This cannot be undone. To delete the account, type %s: ", who.Address))
		if err != nil {
			return a.explain(err, about{doing: "ask for the address"})
		}
		if typed != who.Address.String() {
			return failure("nothing was deleted: another address was typed", "peerbrain delete-account")
		}
	}
	if err := p.DeleteAccount(ctx, password); err != nil {
		if errors.Is(err, client.ErrPresentPassword) {
			return &fault{what: detail(err), hint: "nothing was deleted; type the one that you log in with", status: failed, cause: err}
		}
		return a.explain(err, about{doing: "delete the account", words: map[wire.Kind][2]string{
			wire.Unauthenticated: {detail(err), fmt.Sprintf("if an earlier attempt was interrupted, the account is deleted: then peerbrain login %s is refused", who.Address)},
		}})
	}
	if a.json {
		return a.object(accountJSON{who.Address, who.Account, who.Device})
	}
	a.say("The account %s is deleted. Nobody gets the name again.", who.Address)
	return nil
}
