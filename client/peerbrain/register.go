package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func (a *app) register() *cobra.Command {
	var file, device string
	cmd := &cobra.Command{
		Use:   "register ADDRESS",
		Short: "Make an account on a node",
		Long: `Make an account on a node.

Keys are made on this device, and a recovery code is shown once, before
anything is sent: write it down. It is the only way back into the account when
the password is lost, with peerbrain recover; nobody can reset it for you.

` + passwordHelp,
		Example: `  peerbrain register ada@node.example
  peerbrain register ada@localhost:8081 --password-file secret.txt --json`,
		Args: oneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := addressOf(cmd, args[0])
			if err != nil {
				return err
			}
			return a.runRegister(cmd.Context(), addr, file, device)
		},
	}
	passwordFlag(cmd, &file)
	deviceFlag(cmd, &device)
	return cmd
}

func (a *app) runRegister(ctx context.Context, addr wire.Address, file, device string) error {
	password, err := a.password(ctx, firstPassword(file))
	if err != nil {
		return err
	}
	return a.client(ctx, func(c *client.Client) error {
		var code string
		p, err := c.Register(ctx, client.RegisterOptions{
			Address:  addr,
			Password: password,
			Device:   deviceName(device),
			ShowCode: func(shown string) error {
				code = shown
				return a.showCode(ctx, shown)
			},
		})
		if err != nil {
			return a.explain(err, about{doing: "register " + addr.String(), words: map[wire.Kind][2]string{
				wire.Conflict: somebodyElse(err),
				wire.Exist:    {fmt.Sprintf("%s is taken", addr), fmt.Sprintf("choose another name; if it is yours: peerbrain login %s", addr)},
			}})
		}
		who := p.Whoami()
		if a.json {
			return a.object(registeredJSON{who.Address, who.Account, code})
		}
		a.say("%s is registered, and logged in here.", who.Address)
		a.next("peerbrain friend add bob@node.example", `peerbrain post "hello"`, "peerbrain --help")
		return nil
	})
}

// showCode shows the recovery code, and at a terminal makes sure that it was
// written down. With --json it stands in the object that is printed at the end.
func (a *app) showCode(ctx context.Context, code string) error {
	if a.json {
		return nil
	}
	fmt.Fprintf(a.out, "Your recovery code:\n\n    %s\n\n", a.styled(bold, code))
	fmt.Fprint(a.out, "Write it down and keep it away from this device. It is shown only now, and\n"+
		"it is the only way back into your account when the password is lost.\n\n")
	if !a.asks {
		return nil
	}
	last := code[strings.LastIndexAny(code, "- ")+1:]
	for range 3 {
		typed, err := a.ask(ctx, fmt.Sprintf("Type its last %d characters to go on: ", len(last)))
		if err != nil {
			return err
		}
		if strings.EqualFold(typed, last) {
			return nil
		}
		fmt.Fprintln(a.prompt, "They are different.")
	}
	return failure("the recovery code was not confirmed; nothing was changed", "run the same command again")
}
