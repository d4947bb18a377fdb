// Peerbrain-node is the server of PeerBrain: one node of the federation, which
// keeps and serves what its people write and can read none of it.
//
//	peerbrain-node serve --name node.example --listen 127.0.0.1:8080
//
// It is configured by flags, PEERBRAIN_ variables and a file, in this order of
// weight; config.example.yaml has all keys. TERM and INT end it within 10
// seconds, HUP reads the level of the log, the certificate and the rules about other
// nodes again. It speaks TLS if it is given a certificate, or a CA to get one from;
// else plain HTTP, and outside of development a reverse proxy in front of it speaks
// TLS.
//
// The exit status is 0 when it did what was asked, 1 when that failed, and 2
// when it was called wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A usageError is the fault of whoever typed the command.
type usageError struct{ error }

// Unwrap returns what was wrong.
func (e usageError) Unwrap() error { return e.error }

// run runs one command until ctx ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusDone
	}
	fmt.Fprintln(stderr, "peerbrain-node:", err)
	var usage usageError
	if errors.As(err, &usage) || isUnknownCommand(err) {
		fmt.Fprintf(stderr, "hint: %s --help\n", ran.CommandPath())
		return statusUsage
	}
	return statusFailed
}

// isUnknownCommand recognises the error of cobra that has no type.
func isUnknownCommand(err error) bool { return strings.HasPrefix(err.Error(), "unknown command ") }

// newRoot is the whole tree; each command has a file of its own.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "peerbrain-node",
		Short:         "One node of PeerBrain",
		Long:          "The server of PeerBrain: it keeps and serves what its people write, and can read none of it.",
		Version:       node.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("a command was expected")}
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(), newBackup(), newRestore(), newMigrate(), newFsck(), newAudit(), newAdmin(), newDemo())
	return root
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown argument %q", args[0])}
	}
	return nil
}
