package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

func newBackup() *cobra.Command {
	backup := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a node into a file, while it runs or not",
		Long: `Copy a node into a file, while it runs or not.

The file holds what belongs to the node's own people, as it was at one moment,
and the node's own keys: it is as secret as the data folder. It has mode 0600, is
there only once it is whole and on disk, and replaces no other. Copies from other
nodes are left out, since they are fetched again, and so are open sessions.

A running node is asked through control.sock in its data folder, by the user it
runs as or by root. A node on MongoDB is read from its database, and FILE.partial.records
holds what was read until all is there; docs/operating.md says what is in such a copy.`,
		Example: `  peerbrain-node backup --data /var/lib/peerbrain /backup/$(date +%F).peerbrain
  peerbrain-node backup --config /etc/peerbrain/config.yaml today.peerbrain`,
		Args: oneFile,
	}
	file := dataFlags(backup)
	backup.RunE = func(cmd *cobra.Command, args []string) error {
		return onData(cmd, *file, args[0], "copied", node.Backup)
	}
	return backup
}

func newRestore() *cobra.Command {
	restore := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a node again from the file of a backup",
		Long: `Make a node again from the file of a backup, in an empty folder or, with
--store-kind mongodb, in an empty database. Either takes the file of either kind.

The whole file is verified first. If it is interrupted, run it again. The node has the same name and the same keys as
before: end the other one, if it still runs, before this one is served. Everybody
logs in again. If the copy is old, docs/operating.md says what people see.`,
		Example: `  peerbrain-node restore --data /var/lib/peerbrain /backup/2026-01-31.peerbrain
  peerbrain-node restore --config /etc/peerbrain/config.yaml today.peerbrain`,
		Args: oneFile,
	}
	file := dataFlags(restore)
	restore.RunE = func(cmd *cobra.Command, args []string) error {
		return onData(cmd, *file, args[0], "restored", node.Restore)
	}
	return restore
}

// dataFlags gives a command what says where the data of a node lie.
func dataFlags(cmd *cobra.Command) (file *string) {
	file = cmd.Flags().String("config", "", "the `file` to read, YAML")
	addSettings(cmd.Flags(), "name", "data", "store.kind", "store.mongodb.database")
	return file
}

func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New("one file was expected")}
	}
	return nil
}

// onData does something with the data of a node and a file, and tells what came
// of it.
func onData(cmd *cobra.Command, config, path, done string, do func(context.Context, node.Config, string, func(int64)) (node.BackupReport, error)) error {
	c, err := node.LoadStoreConfig(sources(config, cmd.Flags(), os.Environ()))
	if err != nil {
		return usageError{err}
	}
	p := newProgress(cmd.ErrOrStderr())
	r, err := do(cmd.Context(), c, path, p.tell)
	p.end()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records of %s, %.1f MiB, as of %s\n",
		done, r.Records, r.Node, float64(r.Bytes)/(1<<20), r.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
	return nil
}

// progress tells on a terminal how far something is; elsewhere it is silent.
type progress struct {
	w     io.Writer // nil: silent
	began time.Time
	last  time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return new(progress)
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return new(progress)
	}
	return &progress{w: w, began: time.Now()}
}

func (p *progress) tell(bytes int64) {
	now := time.Now()
	if p.w == nil || now.Sub(p.last) < 200*time.Millisecond {
		return
	}
	p.last = now
	mib := float64(bytes) / (1 << 20)
	fmt.Fprintf(p.w, "\r%8.0f MiB %6.0f MiB/s ", mib, mib/max(now.Sub(p.began).Seconds(), 0.001))
}

func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
