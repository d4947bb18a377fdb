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

// A passwordSource is where one password comes from: the file, the environment or the
// terminal, in that order. One that is chosen is asked twice, and has to be a good one.
type passwordSource struct {
	file     string
	flag     string // that names the file
	variable string
	question string
	choose   bool
}

// presentPassword is that of the account, newPassword one that takes its place.
func presentPassword(file string) passwordSource {
	return passwordSource{file, "--password-file", "PEERBRAIN_PASSWORD", "Password: ", false}
}

func newPassword(file string) passwordSource {
	return passwordSource{file, "--new-password-file", "PEERBRAIN_NEW_PASSWORD", "Choose a new password (8 characters or more): ", true}
}

// firstPassword is that of an account which is being made.
func firstPassword(file string) passwordSource {
	return passwordSource{file, "--password-file", "PEERBRAIN_PASSWORD", "Choose a password (8 characters or more): ", true}
}

// password gets a password.
func (a *app) password(ctx context.Context, from passwordSource) (client.Password, error) {
	raw, err := a.passwordBytes(ctx, from)
	if err != nil {
		return client.Password{}, a.explain(err, about{doing: "read the password"})
	}
	defer clear(raw)
	password, err := client.NewPassword(raw)
	hint := "peerbrain asked for a longer one when the account was made"
	if from.choose {
		hint = goodPassword
		if err == nil {
			err = password.CheckNew()
		}
	}
	if err != nil {
		return client.Password{}, failure("this password cannot be used: "+detail(err), hint)
	}
	return password, nil
}

const goodPassword = "four or more random words make a good password, and can be remembered"

func (a *app) passwordBytes(ctx context.Context, from passwordSource) ([]byte, error) {
	switch env, file := a.env(from.variable), from.file; {
	case file == "-":
		return interruptible(ctx, func() ([]byte, error) { return passwordFrom(a.in) })
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, failure("cannot read the password: "+err.Error(), from.flag+" FILE, or - for standard input")
		}
		defer f.Close()
		return passwordFrom(f)
	case env != "":
		return []byte(env), nil
	case !a.asks:
		return nil, usage("a password is needed, and there is no terminal to ask for it", from.flag+" FILE, or "+from.variable+" in the environment")
	case from.choose:
		return a.chosenPassword(ctx, from.question)
	}
	return a.askSecret(ctx, from.question)
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
func (a *app) chosenPassword(ctx context.Context, question string) ([]byte, error) {
	for {
		first, err := a.askSecret(ctx, question)
		if err != nil {
			return nil, err
		}
		password, err := client.NewPassword(first)
		if err == nil {
			err = password.CheckNew()
		}
		if err != nil {
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
