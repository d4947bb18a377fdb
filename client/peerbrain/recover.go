package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// recoverFlags are those of one command.
type recoverFlags struct {
	sheet, chosen, device string // files of the code and of the new password, name
	check, renew, keys    bool
	from                  []string // nodes of friends
	into                  string   // file for what they have
}

func (a *app) recover() *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover ADDRESS",
		Short: "Get back in with your recovery code, and set a new password",
		Long: `Get back in with your recovery code, and set a new password.

It takes the recovery code that was shown last. You choose a new password and
get a new code, which takes the place of the one that you have typed: write it
down. All other sessions end; friends, keys and posts are in place at once. If
there was a second factor, it is off then: it is not asked for, so that a lost
phone does not lose the account.

If the command is interrupted, run it again with the same code on the same device;
where another device is used, one of the two codes opens, and never both.

With --check, where you are logged in, it only says whether the code that you
have is the right one. Nothing is changed then, and nothing of it is sent.

With --renew, where you are logged in, you get a new code in place of the one
that you have. The password stays, and all other sessions end. Do that when
somebody may have seen the code. A code of your second factor is wanted for that,
if there is one; a script gives it with --code-file FILE or in PEERBRAIN_CODE.

With --new-keys all your keys are replaced: do that when a device of yours was
stolen, or somebody has got at its files. What you write from then on, and what
friends write once they have heard from you, the old keys do not open; nobody
takes anything that is signed with them. What was written before, a thief may
have read. Who has compared a safety number with you does it again. Where you
are logged in, ADDRESS can be left out.

Where the home node itself is gone, --from names nodes where friends of yours
live, and --into a new file. They have copies of your public keys and of what
you wrote to friends there; the code opens it. Nothing is changed anywhere, and
ADDRESS is not asked. Each line of the file is JSON: the keys are in the first, each
post has one. Name several nodes: what one of them has lost another may have, and
what one of them makes up does not fit the others. Friends at these nodes are
named. Private keys were at the home alone and do not come back; nor does what
was not copied yet when it went.

The code is asked on the terminal, where it is not shown. A script gives it with
--recovery-code-file FILE (- for standard input), and the new password with
--password-file FILE or in PEERBRAIN_PASSWORD. Neither is ever an argument,
which other people could see.`,
		Example: `  peerbrain recover ada@node.example
  peerbrain recover ada@node.example --recovery-code-file code.txt --password-file new.txt
  peerbrain recover --check
  peerbrain recover --renew
  peerbrain recover --new-keys
  peerbrain recover ada@node.example --from north.example,west.example --into past.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(f.from) > 0 || f.into != "":
				return f.checkPast(cmd, args)
			case f.check && f.renew:
				return usage("a code is checked, or a new one is made", cmd.CommandPath()+" --check")
			case f.keys && (f.check || f.renew):
				return usage("--new-keys brings a new code anyway, and stands alone", cmd.CommandPath()+" --new-keys")
			case f.keys && len(args) == 0:
				return nil
			case (f.check || f.renew) && len(args) > 0:
				return usage("it is about the account that is logged in here, and takes no address", cmd.CommandPath()+f.asked())
			case f.check || f.renew:
				return nil
			}
			return oneAddress(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.into != "" {
				addr, err := addressOf(cmd, args[0])
				if err != nil {
					return err
				}
				nodes, err := fromNodes(cmd.CommandPath(), f.from)
				if err != nil {
					return err
				}
				return a.runPast(cmd.Context(), addr, nodes, f)
			}
			if f.check {
				return a.person(cmd.Context(), func(p *client.Person) error { return a.checkCode(cmd.Context(), p, f.sheet) })
			}
			if err := a.oneStandardInput(f.sheet, f.chosen); err != nil {
				return err
			}
			if f.renew {
				return a.person(cmd.Context(), func(p *client.Person) error { return a.renewCode(cmd.Context(), p, f.sheet) })
			}
			addr, err := a.recovered(cmd, args)
			if err != nil {
				return err
			}
			if f.sheet == "-" && f.chosen == "-" {
				return usage("only one of code and password can come from standard input", "peerbrain recover ADDRESS --recovery-code-file FILE --password-file -")
			}
			return a.runRecover(cmd.Context(), addr, f)
		},
	}
	cmd.Flags().StringVar(&f.sheet, "recovery-code-file", "", "read the recovery code from `FILE`, - for standard input")
	cmd.Flags().StringVar(&f.chosen, "password-file", "", "read the new password from `FILE`, - for standard input")
	cmd.Flags().BoolVar(&f.check, "check", false, "only say whether a recovery code is the right one")
	cmd.Flags().BoolVar(&f.renew, "renew", false, "replace the recovery code where you are logged in")
	cmd.Flags().BoolVar(&f.keys, "new-keys", false, "replace all keys, which somebody may have stolen")
	cmd.Flags().StringSliceVar(&f.from, "from", nil, "get keys and posts from these `NODES` of friends, as the home node is gone")
	cmd.Flags().StringVar(&f.into, "into", "", "the new `FILE` for what they have")
	deviceFlag(cmd, &f.device)
	a.codeFlag(cmd)
	return cmd
}

// checkPast refuses what makes no sense beside --from and --into.
func (f recoverFlags) checkPast(cmd *cobra.Command, args []string) error {
	example := cmd.CommandPath() + " ada@node.example --from north.example,west.example --into FILE"
	switch {
	case len(f.from) == 0:
		return usage("which nodes to ask is missing: those where friends live", example)
	case f.into == "":
		return usage("the file that it is written to is missing", example)
	case f.check || f.renew || f.keys || f.chosen != "" || f.device != "":
		return usage("with --from nobody is logged in, and nothing is changed", example)
	}
	return oneAddress(cmd, args)
}

// recovered is whose account is recovered: where no address is typed, that of who is
// logged in.
func (a *app) recovered(cmd *cobra.Command, args []string) (addr wire.Address, err error) {
	if len(args) > 0 {
		return addressOf(cmd, args[0])
	}
	err = a.person(cmd.Context(), func(p *client.Person) error {
		addr = p.Whoami().Address
		return nil
	})
	return addr, err
}

// asked is the flag that makes of the command another one.
func (f recoverFlags) asked() string {
	if f.renew {
		return " --renew"
	}
	return " --check"
}

func (a *app) runRecover(ctx context.Context, addr wire.Address, f recoverFlags) error {
	code, err := a.recoveryCode(ctx, f.sheet)
	if err != nil {
		return err
	}
	from := firstPassword(f.chosen)
	from.question = "Choose a new password (8 characters or more): "
	password, err := a.password(ctx, from)
	if err != nil {
		return err
	}
	return a.client(ctx, func(c *client.Client) error {
		var next string
		p, report, err := c.Recover(ctx, client.RecoverOptions{
			Address: addr, Code: code, Password: password, Device: deviceName(f.device), NewKeys: f.keys,
			ShowCode: func(shown string) error {
				next = shown
				return a.showCode(ctx, shown)
			},
		})
		if err != nil {
			return a.explain(err, about{doing: "recover " + addr.String(), words: recoverWords(addr, err)})
		}
		a.tell(report)
		if a.json {
			who := p.Whoami()
			return a.object(recoveredJSON{who.Address, who.Account, who.Device, next})
		}
		if f.keys {
			a.say("%s has new keys. Friends take them over when they next hear from you, or compare\nyour safety number again.", addr)
		}
		a.say("%s has a new password and a new recovery code, and is logged in here.\nAll other sessions have ended. The code that you have used is good for nothing more.\nThere is no second factor.", addr)
		a.next("peerbrain recover --check    whether you have written the new code down right")
		return nil
	})
}

// renewCode replaces the recovery code of whoever is logged in.
func (a *app) renewCode(ctx context.Context, p *client.Person, file string) error {
	present, err := a.recoveryCode(ctx, file)
	if err != nil {
		return err
	}
	var next string
	err = p.RenewCode(ctx, present, func(shown string) error {
		next = shown
		return a.showCode(ctx, shown)
	})
	who := p.Whoami()
	if err != nil {
		return a.aboutCode(who.Address, err, "make a new recovery code")
	}
	if a.json {
		return a.object(registeredJSON{who.Address, who.Account, next})
	}
	a.say("%s has a new recovery code. All other sessions have ended.\nThe code before is good for nothing more.", who.Address)
	a.next("peerbrain recover --check    whether you have written the new code down right")
	return nil
}

// aboutCode explains an error about a code that was typed.
func (a *app) aboutCode(who wire.Address, err error, doing string) error {
	switch {
	case errors.Is(err, client.ErrWrongCode):
		return &fault{what: fmt.Sprintf("this is not the recovery code of %s", who),
			hint: "is it one of another account, or written down wrongly?", status: failed, cause: err}
	case errors.Is(err, client.ErrOldCode):
		return &fault{what: fmt.Sprintf("this was the recovery code of %s, and another one has taken its place", who),
			hint: "use the code that was shown last", status: failed, cause: err}
	}
	return a.explain(err, about{doing: doing})
}

func recoverWords(addr wire.Address, err error) map[wire.Kind][2]string {
	words := map[wire.Kind][2]string{
		wire.Unauthenticated: {
			fmt.Sprintf("name or recovery code is wrong: nothing was recovered of %s", addr),
			"check both and try again; the code is the one that was shown last",
		},
	}
	var e *wire.Error
	if errors.As(err, &e) && e.Field == "session" {
		words[wire.Conflict] = somebodyElse(err)
	}
	return words
}

func (a *app) checkCode(ctx context.Context, p *client.Person, file string) error {
	code, err := a.recoveryCode(ctx, file)
	if err != nil {
		return err
	}
	who := p.Whoami()
	if err := p.CheckCode(ctx, code); err != nil {
		return a.aboutCode(who.Address, err, "check the recovery code")
	}
	if a.json {
		return a.account(p)
	}
	a.say("This is the recovery code of %s.", who.Address)
	return nil
}

// recoveryCode gets the code from the file or the terminal.
func (a *app) recoveryCode(ctx context.Context, file string) (client.RecoveryCode, error) {
	raw, err := a.codeBytes(ctx, file)
	if err != nil {
		return client.RecoveryCode{}, a.explain(err, about{doing: "read the recovery code"})
	}
	defer clear(raw)
	code, err := client.ParseRecoveryCode(bytes.TrimSpace(raw))
	if err != nil {
		return code, failure("this is no recovery code: "+detail(err), "it has 36 letters and digits in groups of four; O and 0 count as one, as do I, L and 1")
	}
	return code, nil
}

func (a *app) codeBytes(ctx context.Context, file string) ([]byte, error) {
	switch {
	case file == "-":
		return interruptible(ctx, func() ([]byte, error) { return passwordFrom(a.in) })
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, failure("cannot read the recovery code: "+err.Error(), "--recovery-code-file FILE, or - for standard input")
		}
		defer f.Close()
		return passwordFrom(f)
	case !a.asks:
		return nil, usage("a recovery code is needed, and there is no terminal to ask for it", "--recovery-code-file FILE, - for standard input")
	}
	return a.askSecret(ctx, "Recovery code: ")
}
