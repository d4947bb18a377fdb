package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

func newRotate() *cobra.Command {
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Sign requests to other nodes with a new key",
		Long: `Sign requests to other nodes with a new key, as happens by itself after keys.lifetime.

The new key is published at once, beside the old one, and signs after a minute and a
half, when other nodes have had time to learn of it. The old key ends after four
minutes; after five, no node that can ask this one takes it any more. No request
fails meanwhile. Use it when somebody may have had a copy of the node's data; the
root key, which signs the node's document, stays as it is.

A running node is asked through control.sock in its data folder, by the user it runs
as or by root. One that does not run has the new key when it is served again. On
MongoDB it reaches all processes through the database.`,
		Example: `  peerbrain-node admin rotate --data /var/lib/peerbrain
  peerbrain-node admin rotate --config /etc/peerbrain/config.yaml`,
		Args: noArguments,
	}
	file := dataFlags(rotate)
	rotate.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := node.LoadStoreConfig(sources(*file, cmd.Flags(), os.Environ()))
		if err != nil {
			return usageError{err}
		}
		r, err := node.Rotate(cmd.Context(), c)
		if err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
		const form = "15:04:05 UTC"
		fmt.Fprintf(cmd.OutOrStdout(), "rotated: the new key of %s signs from %s on, the old one ends at %s\n",
			r.Node, r.Signs.UTC().Format(form), r.Ends.UTC().Format(form))
		return nil
	}
	return rotate
}
