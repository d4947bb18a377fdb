package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node"
)

func newRotate() *cobra.Command {
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Sign requests to other nodes with a new key, or the node's document with --root",
		Long: `Sign requests to other nodes with a new key, as happens by itself after keys.lifetime.

The new key is published at once, beside the old one, and signs after a minute and a
half, when other nodes have had time to learn of it. The old key ends after four
minutes; after five, no node that can ask this one takes it any more. No request
fails meanwhile. Use it when somebody may have had a copy of the node's data; the
root key, which signs the node's document, stays as it is.

With --root the root key is changed instead, by which other nodes know this one. The
old root signs an announcement of the new one, the node's document shows it from
then on, and other nodes follow. The request keys stay. Before you do it:

  - Make a new backup right after it: one from before comes back with the old root,
    and other nodes put the node in quarantine.
  - Whoever has a copy of the old root can announce a root too, and other nodes
    believe the announcement that they see first. If you fear that, tell their
    operators which root is yours.
  - It can be done 16 times. Change the request key as well, without --root.

A running node is asked through control.sock in its data folder, by the user it runs
as or by root. One that does not run has the new key when it is served again. On
MongoDB it reaches all processes through the database.`,
		Example: `  peerbrain-node admin rotate --data /var/lib/peerbrain
  peerbrain-node admin rotate --config /etc/peerbrain/config.yaml
  peerbrain-node admin rotate --root --data /var/lib/peerbrain`,
		Args: noArguments,
	}
	file := dataFlags(rotate)
	root := rotate.Flags().Bool("root", false, "change the root key, by which other nodes know this one")
	rotate.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := node.LoadStoreConfig(sources(*file, cmd.Flags(), os.Environ()))
		if err != nil {
			return usageError{err}
		}
		change := rotateRequests
		if *root {
			change = rotateRoot
		}
		if err := change(cmd, c); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
		return nil
	}
	return rotate
}

func rotateRequests(cmd *cobra.Command, c node.Config) error {
	r, err := node.Rotate(cmd.Context(), c)
	if err != nil {
		return err
	}
	const form = "15:04:05 UTC"
	fmt.Fprintf(cmd.OutOrStdout(), "rotated: the new key of %s signs from %s on, the old one ends at %s\n",
		r.Node, r.Signs.UTC().Format(form), r.Ends.UTC().Format(form))
	return nil
}

func rotateRoot(cmd *cobra.Command, c node.Config) error {
	r, err := node.RotateRoot(cmd.Context(), c)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "rotated: the root key of %s is %s, no longer %s; it can be changed %d times more\n"+
		"take a backup now: those from before have the old root key, and other nodes would put the node in quarantine\n",
		r.Node, wire.Nonce(r.New), wire.Nonce(r.Old), r.Left)
	return nil
}
