package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
)

const passwordHelp = `The password is asked on the terminal. A script gives it with --password-file
FILE (- for standard input; one line break at its end does not count) or in
PEERBRAIN_PASSWORD. It is never an argument, which other people could see.`

// maxPasswordFile is more than any password, and less than a wrong file.
const maxPasswordFile = 4096

// passwordFlag gives cmd the flag --password-file.
func passwordFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "password-file", "", "read the password from `FILE`, - for standard input")
}

// password gets the password from the file, the environment or the terminal,
// in that order. Where a new one is chosen it is asked twice.
func (a *app) password(ctx context.Context, file string, choose bool) (client.Password, error) {
	raw, err := a.passwordBytes(ctx, file, choose)
	if err != nil {
		return client.Password{}, a.explain(err, about{doing: "read the password"})
	}
	defer clear(raw)
	password, err := client.NewPassword(raw)
	if err != nil {
		hint := "peerbrain asked for a longer one when the account was made"
		if choose {
			hint = "four or more random words make a good password, and can be remembered"
		}
		return client.Password{}, failure("this password cannot be used: "+detail(err), hint)
	}
	return password, nil
}

func (a *app) passwordBytes(ctx context.Context, file string, choose bool) ([]byte, error) {
	switch env := a.env("PEERBRAIN_PASSWORD"); {
	case file == "-":
		return interruptible(ctx, func() ([]byte, error) { return passwordFrom(a.in) })
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, failure("cannot read the password: "+err.Error(), "--password-file FILE, or - for standard input")
		}
		defer f.Close()
		return passwordFrom(f)
	case env != "":
		return []byte(env), nil
	case !a.asks:
		return nil, usage("a password is needed, and there is no terminal to ask for it", "--password-file FILE, or PEERBRAIN_PASSWORD in the environment")
	case choose:
		return a.chosenPassword(ctx)
	}
	return a.askSecret(ctx, "Password: ")
}

// passwordFrom reads a password and drops one line break at its end.
func passwordFrom(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxPasswordFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxPasswordFile {
		return nil, failure("this is too long for a password", "is it the right file?")
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	return bytes.TrimSuffix(raw, []byte("\r")), nil
}

// chosenPassword asks for a new password until it is acceptable and typed
// twice alike.
func (a *app) chosenPassword(ctx context.Context) ([]byte, error) {
	for {
		first, err := a.askSecret(ctx, "Choose a password (8 characters or more): ")
		if err != nil {
			return nil, err
		}
		if _, err := client.NewPassword(first); err != nil {
			fmt.Fprintf(a.prompt, "It cannot be used: %s. Please try again.\n", detail(err))
			continue
		}
		second, err := a.askSecret(ctx, "The same password again: ")
		if err != nil {
			return nil, err
		}
		if bytes.Equal(first, second) {
			return first, nil
		}
		fmt.Fprintln(a.prompt, "These were two different passwords. Please try again.")
	}
}
