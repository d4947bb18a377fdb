package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

func newAdmin() *cobra.Command {
	admin := &cobra.Command{
		Use:   "admin",
		Short: "Administer a node while it runs",
		RunE:  wants("peer or rotate"),
	}
	admin.AddCommand(newAdminPeer(), newRotate())
	return admin
}

// wants refuses to run a command without one of those below it.
func wants(commands string) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("there is no command %q: %s was expected", args[0], commands)}
		}
		return usageError{errors.New("a command was expected: " + commands)}
	}
}

func newAdminPeer() *cobra.Command {
	peer := &cobra.Command{
		Use:   "peer",
		Short: "See other nodes, and decide which to have to do with",
		Long: `See other nodes, and decide which to have to do with.

A NAME is that of a node, or a domain: a rule is about the node and all nodes under
it, the longest name counts, and "*" stands for all others. So "block *" leaves only
those that are allowed.

The running node is asked through control.sock in its data folder, by the user it
runs as or by root. What is decided holds at once and over restarts. Rules may also
stand in the file that peers.file names, and count before those set by command.`,
		Example: `  peerbrain-node admin peer list --data /var/lib/peerbrain
  peerbrain-node admin peer block evil.example --data /var/lib/peerbrain
  peerbrain-node admin peer block '*' --config /etc/peerbrain/config.yaml`,
		RunE: wants("list, rules, block, silence, allow, unblock, trust or reload"),
	}
	peer.AddCommand(
		newPeerList(), newPeerRules(),
		newPeerRule(node.RuleBlock, "blocked", "Take nothing from a node, and send nothing to it",
			"What people here have read of their friends there stays readable, and what waits for\nthem goes on waiting."),
		newPeerRule(node.RuleSilence, "silenced", "Take no friend requests from a node",
			"Friendships that there are go on, and people here may ask people there."),
		newPeerRule(node.RuleAllow, "allowed", "Except a node from a rule about more", ""),
		newPeerUnblock(), newPeerTrust(), newPeerReload(),
	)
	return peer
}

// newPeerRule makes the command that sets a rule.
func newPeerRule(rule node.Rule, done, short, more string) *cobra.Command {
	cmd := &cobra.Command{Use: string(rule) + " NAME", Short: short, Long: short + ".\n\n" + more,
		Example: "  peerbrain-node admin peer " + string(rule) + " some.example --data /var/lib/peerbrain"}
	return asking(cmd, oneName, func(ctx context.Context, o node.Operator, args []string) error {
		if err := o.SetRule(ctx, args[0], rule); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", done, reach(args[0]))
		return err
	})
}

func reach(name string) string {
	if name == node.EveryNode {
		return "all nodes that no other rule is about"
	}
	return name + " and all nodes under it"
}

func newPeerUnblock() *cobra.Command {
	cmd := &cobra.Command{Use: "unblock NAME", Aliases: []string{"unsilence", "unallow"}, Short: "Take the rule about a name back",
		Long:    "Take the rule about a name back, whichever it is. What waited is sent at once.",
		Example: "  peerbrain-node admin peer unblock evil.example --data /var/lib/peerbrain"}
	return asking(cmd, oneName, func(ctx context.Context, o node.Operator, args []string) error {
		if err := o.DropRule(ctx, args[0]); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "no rule any more: %s\n", args[0])
		return err
	})
}

func newPeerTrust() *cobra.Command {
	cmd := &cobra.Command{Use: "trust NAME ROOT", Short: "End the quarantine of a node that shows a root key",
		Long: `End the quarantine of a node that shows a root key.

A node is in quarantine while it shows another root key than it was known by, and the
old one has not announced it: it might be somebody else's. If its operator says that
this is theirs, and tells you ROOT in another way than by the node, the key is pinned
in place of the old one. The log names both, as does "admin rotate --root" there.`,
		Example: "  peerbrain-node admin peer trust some.example rswgtc4fgtbicz3mqm7dwsp2aw7j4qsrwchdm2sjmgrbiwvh5v4q --data /var/lib/peerbrain"}
	return asking(cmd, nameAndRoot, func(ctx context.Context, o node.Operator, args []string) error {
		if err := o.Trust(ctx, args[0], args[1]); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "trusted: %s with the root key %s\n", args[0], args[1])
		return err
	})
}

func newPeerReload() *cobra.Command {
	cmd := &cobra.Command{Use: "reload", Short: "Read the file of rules again", Long: "Read the file that peers.file names again, as HUP does, and say what is wrong with\nit. Then nothing changes.",
		Example: "  peerbrain-node admin peer reload --data /var/lib/peerbrain"}
	return asking(cmd, noArguments, func(ctx context.Context, o node.Operator, _ []string) error {
		if err := o.ReloadRules(ctx); err != nil {
			return err
		}
		r, err := o.Rules(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "reloaded: %d rules\n", len(r.Rules))
		return err
	})
}

func newPeerRules() *cobra.Command {
	cmd := &cobra.Command{Use: "rules", Short: "List what is decided about nodes",
		Example: "  peerbrain-node admin peer rules --data /var/lib/peerbrain"}
	lines := cmd.Flags().Bool("json", false, "write a line of JSON for each rule")
	return asking(cmd, noArguments, func(ctx context.Context, o node.Operator, _ []string) error {
		r, err := o.Rules(ctx)
		if err != nil {
			return err
		}
		return writeList(cmd.OutOrStdout(), *lines, "RULE\tNAME\tSET BY", r.Rules, func(one node.SetRule) string {
			by := "command"
			if one.Line > 0 {
				by = fmt.Sprintf("%s, line %d", r.File, one.Line)
			}
			return fmt.Sprintf("%s\t%s\t%s", one.Rule, one.Name, by)
		})
	})
}

func newPeerList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List other nodes, and what was noticed of them",
		Long: `List other nodes: those that people here have friends at, that something waits for,
or that were noticed in the last days. Of several processes of a node, the one that
is asked tells what it noticed itself.

HEARD and REACHED say how long ago it sent a request, and answered one. WAITING
counts what waits for it: statements of friendships and streams of which it is to be
told. ERRORS counts requests in vain since it last answered. CLOCK is how far its
clock is ahead, by about a second. COSIGNED is how many entries the log of this node
had when it last cosigned it, and how many its log had when this node did.`,
		Example: `  peerbrain-node admin peer list --data /var/lib/peerbrain
  peerbrain-node admin peer list --json --config /etc/peerbrain/config.yaml`,
	}
	lines := cmd.Flags().Bool("json", false, "write a line of JSON for each node; times are ms since 1970, 0 for never")
	return asking(cmd, noArguments, func(ctx context.Context, o node.Operator, _ []string) error {
		list, err := o.Peers(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		return writeList(cmd.OutOrStdout(), *lines, "NODE\tRULE\tHEARD\tREACHED\tWAITING\tERRORS\tCLOCK\tCOSIGNED\tSOFTWARE\tLAST ERROR", list, func(r node.PeerReport) string {
			clock, rule := "-", string(r.Rule)
			if r.Ahead != nil {
				clock = fmt.Sprintf("%+ds", *r.Ahead/1000)
			}
			if r.Quarantined {
				rule += ", quarantined"
			}
			failure := "-"
			if r.Failed > 0 {
				failure = ago(now, r.Failed) + " ago: " + r.Error
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d/%d\t%s\t%s", r.Peer, rule, ago(now, r.Heard), ago(now, r.Reached),
				r.Deliveries+r.Notices, r.Errors, clock, r.Witnessed, r.Witnesses, cmp.Or(r.Software, "-"), failure)
		})
	})
}

// ago writes how long ago something was, ms since 1970.
func ago(now time.Time, ms int64) string {
	if ms == 0 {
		return "-"
	}
	return max(now.Sub(time.UnixMilli(ms)), 0).Round(time.Second).String()
}

// writeList writes a table, or a line of JSON for each.
func writeList[T any](w io.Writer, lines bool, head string, list []T, row func(T) string) error {
	if lines {
		encoder := json.NewEncoder(w)
		for _, one := range list {
			if err := encoder.Encode(one); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	for _, one := range list {
		fmt.Fprintln(table, row(one))
	}
	return table.Flush()
}

func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New(`one name was expected, of a node or a domain, or "*"`)}
	}
	return nil
}

func nameAndRoot(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usageError{errors.New("two arguments were expected: the name of a node, and the root key that it shows")}
	}
	return nil
}

// asking gives a command what says which running node it asks.
func asking(cmd *cobra.Command, args cobra.PositionalArgs, do func(context.Context, node.Operator, []string) error) *cobra.Command {
	cmd.Args = args
	file := dataFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := node.LoadStoreConfig(sources(*file, cmd.Flags(), os.Environ()))
		if err != nil {
			return usageError{err}
		}
		if err := do(cmd.Context(), node.Operator{Data: c.Data}, args); err != nil {
			return fmt.Errorf("%s: %w", cmd.Name(), err)
		}
		return nil
	}
	return cmd
}
