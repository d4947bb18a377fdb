package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const codeHelp = `A code is asked on the terminal when the node wants one. A script gives it with
--code-file FILE (- for standard input) or in PEERBRAIN_CODE. It is never an
argument, which other people could see.`

// codeFlag gives cmd the flag --code-file.
func (a *app) codeFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.codeFile, "code-file", "", "read the code of your second factor from `FILE`, - for standard input")
}

// oneStandardInput refuses to read a code and a password from the same standard input.
func (a *app) oneStandardInput(files ...string) error {
	for _, file := range files {
		if file == "-" && a.codeFile == "-" {
			return usage("only one of code and password can come from standard input", "--code-file FILE, or PEERBRAIN_CODE in the environment")
		}
	}
	return nil
}

// code gets a code when a node wants one.
func (a *app) code(ctx context.Context, again bool) (wire.FactorCode, error) {
	if again && (a.codeFile != "" || a.env("PEERBRAIN_CODE") != "") {
		return wire.FactorCode{}, failure("the code is wrong, or was used before", "each code works once; wait for the next one, and see that the clock of the device is right that shows it")
	}
	if again {
		fmt.Fprintln(a.prompt, "This code is wrong, or was used before. Wait for the next one, or use another backup code.")
	}
	return a.readCode(ctx, "Code of your second factor: ")
}

// readCode reads one from the file, the environment or the terminal, in that order.
func (a *app) readCode(ctx context.Context, question string) (code wire.FactorCode, err error) {
	raw, err := a.factorBytes(ctx, question)
	if err != nil {
		return code, a.explain(err, about{doing: "read the code"})
	}
	defer clear(raw)
	if code, err = client.ParseFactorCode(bytes.TrimSpace(raw)); err != nil {
		return code, failure("this is no code: "+detail(err), "type the six digits that your app shows, or one of your backup codes")
	}
	return code, nil
}

func (a *app) factorBytes(ctx context.Context, question string) ([]byte, error) {
	switch env, file := a.env("PEERBRAIN_CODE"), a.codeFile; {
	case file == "-":
		return interruptible(ctx, func() ([]byte, error) { return passwordFrom(a.in) })
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, failure("cannot read the code: "+err.Error(), "--code-file FILE, or - for standard input")
		}
		defer f.Close()
		return passwordFrom(f)
	case env != "":
		return []byte(env), nil
	case !a.asks:
		return nil, failure("a code of your second factor is needed, and there is no terminal to ask for it", "--code-file FILE, or PEERBRAIN_CODE in the environment")
	}
	return a.askSecret(ctx, question)
}

func (a *app) secondFactor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "second-factor",
		Short: "Have your node ask for a code beside the password",
		Long: `Have your node ask for a code beside the password.

With a second factor, your node wants a code at log-in, and before the password
changes, other sessions end, or the second factor itself changes: the six digits
that an app on your phone shows at the moment (TOTP), or one of ten backup
codes. Each works once. Without a further word, this command shows whether it is
on.

It keeps out whoever knows your password. It does nothing against your node,
which checks the codes: what you write is encrypted under keys that come from
the password alone. If app and backup codes are lost, peerbrain recover gets you
back in with the recovery code of your account, and turns the second factor off.`,
		Example: `  peerbrain second-factor
  peerbrain second-factor on
  peerbrain second-factor codes`,
		Args:                       a.noSuchCommand,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error { return a.showFactor(cmd.Context(), p) })
		},
	}
	cmd.AddCommand(a.factorOn(), a.factorOff(), a.factorCodes())
	return cmd
}

func (a *app) showFactor(ctx context.Context, p *client.Person) error {
	f, err := p.SecondFactor(ctx)
	switch {
	case err != nil:
		return a.explain(err, about{doing: "see whether there is a second factor"})
	case a.json:
		return a.object(factorJSON{f.On, f.Backup})
	case !f.On:
		a.say("The second factor of %s is off: the password is enough.", p.Whoami().Address)
		a.next("peerbrain second-factor on")
		return nil
	}
	a.say("The second factor of %s is on. Backup codes that were not used: %d.", p.Whoami().Address, f.Backup)
	return nil
}

func (a *app) factorOn() *cobra.Command {
	var qr bool
	cmd := &cobra.Command{
		Use:   "on",
		Short: "Turn the second factor on",
		Long: `Turn the second factor on.

It shows a QR code, and the same as text, for an app that makes codes (TOTP).
Scan or copy it, and type the first code that the app shows: only then the
second factor is on. Ten backup codes are shown once, for when the app is lost:
write them down.

Whoever sees what is shown can make your codes. The first code is asked on the
terminal; a script reads the text, and then gives the code with --code-file FILE
(- for standard input).`,
		Example: "  peerbrain second-factor on",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error { return a.turnOn(cmd.Context(), p, qr) })
		},
	}
	a.codeFlag(cmd)
	cmd.Flags().BoolVar(&qr, "qr", false, "draw the QR code also where the output is no terminal")
	return cmd
}

func (a *app) turnOn(ctx context.Context, p *client.Person, qr bool) error {
	doing := about{doing: "turn the second factor on", words: map[wire.Kind][2]string{
		wire.Invalid: {"this is not the first code of the new secret; nothing is turned on", "run the command again; see that the clock of the device is right that shows the codes"},
	}}
	f, err := p.SecondFactor(ctx)
	if err != nil {
		return a.explain(err, doing)
	}
	if f.On {
		return failure("the second factor is on already", "for other backup codes: peerbrain second-factor codes; for another app: peerbrain second-factor off, and then on")
	}
	with := p.NewAuthenticator()
	if a.json {
		err = a.object(authenticatorJSON{with.URI(), with.Secret()})
	} else {
		a.showAuthenticator(with, qr)
	}
	if err != nil {
		return err
	}
	first, err := a.readCode(ctx, "The code that the app shows now: ")
	if err != nil {
		return err
	}
	codes, err := p.TurnOnSecondFactor(ctx, with, first)
	if err != nil {
		return a.explain(err, doing)
	}
	if a.json {
		return a.object(backupJSON{codes.Reveal()})
	}
	a.say("\nThe second factor of %s is on.", p.Whoami().Address)
	a.showBackup(codes)
	a.say("\nIf all is lost, peerbrain recover and the recovery code of your account turn it off.")
	return nil
}

func (a *app) showAuthenticator(with client.Authenticator, qr bool) {
	a.say("Scan this with an app that makes codes, or copy it into one:\n")
	if a.shows || qr {
		a.say("%s", a.drawQR(with.QR()))
	}
	a.say("    %s\n", with.URI())
	a.say("Whoever sees it can make your codes.")
}

func (a *app) showBackup(codes client.BackupCodes) {
	a.say("Backup codes, each for one time when the app is not at hand. They are not shown\nagain; write them down:\n")
	for _, code := range codes.Reveal() {
		a.say("    %s", a.styled(bold, code))
	}
}

func (a *app) factorOff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "off",
		Short: "Turn the second factor off",
		Long: `Turn the second factor off. The password is enough then.

` + codeHelp,
		Example: "  peerbrain second-factor off",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				if err := p.TurnOffSecondFactor(cmd.Context()); err != nil {
					return a.explain(err, about{doing: "turn the second factor off"})
				}
				if a.json {
					return a.object(factorJSON{})
				}
				a.say("The second factor of %s is off: the password is enough.", p.Whoami().Address)
				return nil
			})
		},
	}
	a.codeFlag(cmd)
	return cmd
}

func (a *app) factorCodes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "codes",
		Short: "Make new backup codes",
		Long: `Make new backup codes. Those from before work no more.

` + codeHelp,
		Example: "  peerbrain second-factor codes",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				codes, err := p.NewBackupCodes(cmd.Context())
				if err != nil {
					return a.explain(err, about{doing: "make backup codes", words: map[wire.Kind][2]string{
						wire.NotExist: {"the second factor is off, and without it there are no backup codes", "peerbrain second-factor on"},
					}})
				}
				if a.json {
					return a.object(backupJSON{codes.Reveal()})
				}
				a.showBackup(codes)
				return nil
			})
		},
	}
	a.codeFlag(cmd)
	return cmd
}
