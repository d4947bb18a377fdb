package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

// errExposed is how audit ends when something lies there that should not.
var errExposed = errors.New("audit: not all that lies there is what may lie there")

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Say of every byte that a node keeps who may know it",
		Long: `Say of every byte that a node keeps who may know it. One on the embedded store must
not be running. Nothing is changed.

Each record is taken apart to its fields. Each byte of keys and values counts once,
as one of these:

  public    anybody may ask for it: addresses, public keys, documents of nodes
  shared    nodes of friends know it, too: who is friends with whom, when, how much
  here      this node alone knows it: log-ins, devices, what it notes for its work
  private   the node's own private keys
  sealed    posts, vaults, wrapped keys: nothing here opens them
  frame     what holds the fields together

What is none of these is named: bytes that no field accounts for, records of no kind,
fields that should be sealed and do not look it, and private keys of people, their
epochs and sessions. What is found is not shown.

Whether signatures and hashes are right is what fsck looks at. docs/security.md lists
every field, and what an audit cannot see.

The status is 0 if nothing is found, and 1 if something is.`,
		Example: `  peerbrain-node audit --data /var/lib/peerbrain
  peerbrain-node audit --json --config /etc/peerbrain/config.yaml`,
		Args: noArguments,
	}
	lines := cmd.Flags().Bool("json", false, "write a line of JSON for each finding, and one for the whole")
	readsRecords(cmd, func(c node.Config, tick func(int)) (func() error, error) {
		out := auditOutput{w: cmd.OutOrStdout(), json: *lines}
		report, err := node.AuditData(cmd.Context(), c, node.AuditOptions{Found: out.finding, Progress: tick})
		return func() error { return cmp.Or(out.report(report), errIf(report.Findings, errExposed)) }, err
	})
	return cmd
}

// auditOutput writes what was found, for people or for programs.
type auditOutput struct {
	w    io.Writer
	json bool
}

func (o auditOutput) finding(f node.AuditFinding) {
	if o.json {
		_ = json.NewEncoder(o.w).Encode(f) // report fails as well
		return
	}
	fmt.Fprintf(o.w, "found: %s %s\n  %s: %s\n", f.Store, f.Key, cmp.Or(f.Field, "the record"), f.Problem)
}

func (o auditOutput) report(r node.AuditReport) error {
	if o.json {
		return json.NewEncoder(o.w).Encode(r)
	}
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	classes := node.AuditClasses()
	row := func(records any, bytes func(class string) any, name string) {
		fmt.Fprintf(w, "%v\t", records)
		for _, class := range classes {
			fmt.Fprintf(w, "%v\t", bytes(class))
		}
		fmt.Fprintf(w, " %s\t\n", name)
	}
	row("RECORDS", func(class string) any { return strings.ToUpper(class) }, "BYTES OF")
	records, sum := 0, map[string]int64{}
	for _, k := range r.Kinds {
		row(k.Records, func(class string) any { sum[class] += k.Bytes[class]; return k.Bytes[class] }, k.Store+" "+k.Kind)
		records += k.Records
	}
	row(records, func(class string) any { return sum[class] }, "in all of "+string(r.Name))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.w, "%d bytes, %d findings\n", r.Bytes, r.Findings)
	return err
}
