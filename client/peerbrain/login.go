package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// deviceFlag gives cmd the flag --device.
func deviceFlag(cmd *cobra.Command, device *string) {
	cmd.Flags().StringVar(device, "device", "", "`NAME` of this device in your list of sessions (default: the host's name)")
}

// deviceName is the name given, or that of the host.
func deviceName(given string) string {
	if given != "" {
		return given
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "unnamed"
	}
	return host[:min(len(host), wire.MaxDeviceName)]
}

func (a *app) login() *cobra.Command {
	var file, device string
	cmd := &cobra.Command{
		Use:   "login ADDRESS",
		Short: "Log in on this device: name and password bring everything back",
		Long: `Log in on this device: name and password bring everything back.

Friends, keys and posts are in place at once, on a device that never saw them.

` + passwordHelp + `

` + codeHelp,
		Example: `  peerbrain login ada@node.example
  peerbrain login ada@node.example --device laptop --password-file secret.txt`,
		Args: oneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := addressOf(cmd, args[0])
			if err != nil {
				return err
			}
			return a.runLogin(cmd.Context(), addr, file, device)
		},
	}
	passwordFlag(cmd, &file)
	a.codeFlag(cmd)
	deviceFlag(cmd, &device)
	return cmd
}

func (a *app) runLogin(ctx context.Context, addr wire.Address, file, device string) error {
	if err := a.oneStandardInput(file); err != nil {
		return err
	}
	password, err := a.password(ctx, presentPassword(file))
	if err != nil {
		return err
	}
	return a.client(ctx, func(c *client.Client) error {
		p, report, err := c.Login(ctx, client.LoginOptions{Address: addr, Password: password, Device: deviceName(device)})
		if errors.Is(err, client.ErrNewerPassword) {
			return &fault{what: detail(err), hint: "log in with that one: peerbrain login " + addr.String(), status: failed, cause: err}
		}
		if err != nil {
			return a.explain(err, about{doing: "log in as " + addr.String(), words: map[wire.Kind][2]string{
				wire.Conflict: somebodyElse(err),
				wire.Unauthenticated: {
					fmt.Sprintf("name or password is wrong: no log-in as %s", addr),
					fmt.Sprintf("check both and try again; if there is no such account yet: peerbrain register %s", addr),
				},
			}})
		}
		a.notes(p)
		a.tell(report)
		return a.account(p)
	})
}

// somebodyElse is for a home that belongs to another person.
func somebodyElse(err error) [2]string {
	return [2]string{detail(err), "peerbrain logout, or keep both with a folder for each: --home DIR"}
}

func (a *app) logout() *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "End the session of this device",
		Long:    "End the session of this device. What it kept of the account is removed from here.",
		Example: "  peerbrain logout",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				who := p.Whoami()
				if err := p.Logout(cmd.Context()); err != nil {
					return a.explain(err, about{doing: "log out"})
				}
				if a.json {
					return a.object(accountJSON{who.Address, who.Account, who.Device})
				}
				a.say("%s is logged out here.", who.Address)
				return nil
			})
		},
	}
}

func (a *app) whoami() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Show who is logged in here",
		Long:    "Show who is logged in here: the address, the account's id, and the name of this device.",
		Example: "  peerbrain whoami\n  peerbrain whoami --json",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), a.account)
		},
	}
}

// account prints who p is.
func (a *app) account(p *client.Person) error {
	who := p.Whoami()
	if a.json {
		return a.object(accountJSON{who.Address, who.Account, who.Device})
	}
	a.say("%s\n  account  %s\n  device   %s", a.styled(bold, who.Address.String()), who.Account, oneLine(who.Device))
	return nil
}

// noWords demands that nothing follows the command.
func noWords(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Sprintf("%s takes no argument", cmd.CommandPath()), cmd.CommandPath())
	}
	return nil
}

// tell says what a device without memory could compare the node's word with, and whether
// the log of the node holds keys that others could take for this person's.
func (a *app) tell(r client.LoginReport) {
	if r.Foreign > 0 {
		a.note("the log of your node holds %d statement(s) of keys for your address that you did not make: whoever has no keys of yours yet may be shown these. "+
			"Tell your friends, and the operator of the node", r.Foreign)
	}
	switch {
	case r.HandedBack:
		a.note("the node had lost something that you have written, as after an old copy was restored; this device has handed it in again")
	case r.Behind:
		a.note("the node shows less than this device has seen: an old copy of it was restored, or it hides what is newest. " +
			"You can read; nothing can be written from here. Log in on the devices that you used last, and then here again: they hand in what they still have")
	case r.Known || r.Friends == 0:
	case r.Answered == 0:
		a.note("none of your friends' nodes could be asked whether this is your newest state; your node's word was taken for it")
	default:
		a.note("%d of %d friends' nodes were asked whether this is your newest state, and agree", r.Answered, r.Asked)
	}
}
