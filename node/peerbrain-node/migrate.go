package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/peerbrain/peerbrain/node"
)

func newMigrate() *cobra.Command {
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Bring what an earlier release stored to this one",
		Long: `Bring what an earlier release stored to this one, while the node is not running.

It says what it will do, and does it. It may be stopped at any moment: started
again, it goes on. The old files stay as they are until the new ones are whole,
so at most as much room again is needed. With nothing to do it says so, as on
MongoDB, where no release has kept an earlier schema.`,
		Example: `  # what would be done
  peerbrain-node migrate --data ./node-a --check

  peerbrain-node migrate --data ./node-a`,
		Args: noArguments,
	}
	file := migrate.Flags().String("config", "", "the `file` to read, YAML")
	check := migrate.Flags().Bool("check", false, "only say what would be done")
	addSettings(migrate.Flags())
	migrate.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := node.LoadStoreConfig(sources(*file, cmd.Flags(), os.Environ()))
		if err != nil {
			return usageError{err}
		}
		out := cmd.OutOrStdout()
		show := func(string, int64, int64, int) error { return nil }
		if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			show = progressLine(f)
		}
		err = node.Migrate(cmd.Context(), c, node.MigrateReport{
			Plan:     func(sentence string) { fmt.Fprintln(out, sentence) },
			Progress: show,
			Check:    *check,
		})
		if errors.Is(err, cmd.Context().Err()) && err != nil {
			return errors.New("stopped; started again, it goes on")
		}
		if err == nil && !*check {
			fmt.Fprintln(out, "done")
		}
		return err
	}
	return migrate
}

// progressLine writes one line over and over.
func progressLine(w io.Writer) func(string, int64, int64, int) error {
	return func(file string, done, of int64, records int) error {
		_, err := fmt.Fprintf(w, "\r%s: %d of about %d MiB, %d records\x1b[K\n\x1b[A", file, done>>20, of>>20, records)
		return err
	}
}
