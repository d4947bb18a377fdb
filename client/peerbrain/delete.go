package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// deleteFlags are those of the command.
type deleteFlags struct {
	file, sheet string // files of the password and of the recovery code
	yes         bool
}

func (a *app) deleteAccount() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{
		Use:   "delete-account [ADDRESS]",
		Short: "Delete your account, for good",
		Long: `Delete your account, for good.

All sessions end at once. Your node deletes your vault, your posts and who your
friends are; your friends' nodes delete their copies of your posts, and your
friends see that the account is deleted. What stays is a signed note that it is,
with your public keys, and their entry in the node's public log of keys. Nobody
gets the name again, you included. What friends have read they may have kept,
and backups of nodes last as long as their operators keep them.

Where you are logged in, the password is asked on the terminal, and then your
address. A script gives the password with --password-file FILE (- for standard
input) or in PEERBRAIN_PASSWORD, and --yes in place of the address.

Who has lost the password names the account, on any device, and is asked for its
recovery code instead: a script gives that with --recovery-code-file FILE (- for
standard input). A second factor is not asked for then.

` + codeHelp,
		Example: `  peerbrain delete-account
  peerbrain delete-account --yes --password-file password.txt
  peerbrain delete-account ada@node.example`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && f.sheet != "":
				return usage("with the recovery code, the address of the account is needed", cmd.CommandPath()+" ADDRESS --recovery-code-file FILE")
			case len(args) == 0:
				return nil
			case f.file != "":
				return usage("with an address, it takes the recovery code in place of the password", cmd.CommandPath()+" ADDRESS --recovery-code-file FILE")
			}
			return oneAddress(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.oneStandardInput(f.file, f.sheet); err != nil {
				return err
			}
			if len(args) > 0 {
				addr, err := addressOf(cmd, args[0])
				if err != nil {
					return err
				}
				return a.client(cmd.Context(), func(c *client.Client) error { return a.runDeleteByCode(cmd.Context(), c, addr, f) })
			}
			return a.person(cmd.Context(), func(p *client.Person) error { return a.runDelete(cmd.Context(), p, f) })
		},
	}
	cmd.Flags().StringVar(&f.file, "password-file", "", "read the password from `FILE`, - for standard input")
	cmd.Flags().StringVar(&f.sheet, "recovery-code-file", "", "read the recovery code from `FILE`, - for standard input")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask for the address")
	a.codeFlag(cmd)
	return cmd
}

// canMean refuses to delete an account where nobody can be asked whether it is meant.
func (a *app) canMean(f deleteFlags, command string) error {
	if !f.yes && !a.asks {
		return usage("an account is deleted for good, and there is no terminal to ask whether it is meant", command+" --yes")
	}
	return nil
}

// meant asks whether an account is to be deleted.
func (a *app) meant(ctx context.Context, addr wire.Address, f deleteFlags, command string) error {
	if f.yes {
		return nil
	}
	typed, err := a.ask(ctx, fmt.Sprintf("This cannot be undone. To delete the account, type %s: ", addr))
	if err != nil {
		return a.explain(err, about{doing: "ask for the address"})
	}
	if typed != addr.String() {
		return failure("nothing was deleted: another address was typed", command)
	}
	return nil
}

func (a *app) deleted(who client.Whoami) error {
	if a.json {
		return a.object(accountJSON{who.Address, who.Account, who.Device})
	}
	a.say("The account %s is deleted. Nobody gets the name again.", who.Address)
	return nil
}

// runDeleteByCode is for who has lost the password.
func (a *app) runDeleteByCode(ctx context.Context, c *client.Client, addr wire.Address, f deleteFlags) error {
	command := "peerbrain delete-account " + addr.String()
	if err := a.canMean(f, command); err != nil {
		return err
	}
	code, err := a.recoveryCode(ctx, f.sheet)
	if err != nil {
		return err
	}
	if err := a.meant(ctx, addr, f, command); err != nil {
		return err
	}
	who, err := c.DeleteByCode(ctx, client.DeleteOptions{Address: addr, Code: code, Device: deviceName("")})
	if err != nil {
		return a.explain(err, about{doing: "delete the account", words: map[wire.Kind][2]string{
			wire.Conflict: somebodyElse(err),
			wire.Unauthenticated: {
				fmt.Sprintf("name or recovery code is wrong: nothing was deleted of %s", addr),
				"check both and try again, with the code that was shown last; if an earlier attempt was interrupted, the account may be deleted: there is nobody of that name then",
			},
		}})
	}
	return a.deleted(who)
}

func (a *app) runDelete(ctx context.Context, p *client.Person, f deleteFlags) error {
	who, command := p.Whoami(), "peerbrain delete-account"
	if err := a.canMean(f, command); err != nil {
		return err
	}
	from := presentPassword(f.file)
	from.question = fmt.Sprintf("Password of %s: ", who.Address)
	password, err := a.password(ctx, from)
	if err != nil {
		return err
	}
	if err := a.meant(ctx, who.Address, f, command); err != nil {
		return err
	}
	if err := p.DeleteAccount(ctx, password); err != nil {
		if errors.Is(err, client.ErrPresentPassword) {
			return &fault{what: detail(err), hint: "nothing was deleted; type the one that you log in with", status: failed, cause: err}
		}
		return a.explain(err, about{doing: "delete the account", words: map[wire.Kind][2]string{
			wire.Unauthenticated: {detail(err), fmt.Sprintf("if an earlier attempt was interrupted, the account is deleted: then peerbrain login %s is refused", who.Address)},
		}})
	}
	return a.deleted(who)
}
