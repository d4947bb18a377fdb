package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/node"
)

// errFound is how fsck ends when something is wrong with the records.
var errFound = errors.New("fsck: not all records are as they should be")

func newFsck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check every record of a node",
		Long: `Check every record of a node. One on the embedded store must not be running.

Each record is read, and what can be verified is: signatures, chains of keys,
entries and vaults, hashes, and that records which name each other agree. What is
wrong is named with whom it concerns. What is left over from interruptions is only
counted, and named with --json: it harms nobody.

With --repair, what follows from something else is made again, what can be done
without is removed, and copies from other nodes are dropped where they are wrong:
they are fetched again. What somebody signed cannot be made again; a backup has
it. Take one first.

The status is 0 if nothing is wrong, or nothing is left after the repair, and 1 if
there is.`,
		Example: `  peerbrain-node fsck --data /var/lib/peerbrain
  peerbrain-node fsck --repair --config /etc/peerbrain/config.yaml`,
		Args: noArguments,
	}
	repair := cmd.Flags().Bool("repair", false, "repair what can be, and check again")
	lines := cmd.Flags().Bool("json", false, "write a line of JSON for each finding, and one for the whole")
	readsRecords(cmd, func(c node.Config, tick func(int)) (func() error, error) {
		out := fsckOutput{w: cmd.OutOrStdout(), json: *lines}
		report, err := node.FsckData(cmd.Context(), c, node.FsckOptions{Repair: *repair, Found: out.finding, Progress: tick})
		return func() error { return cmp.Or(out.report(report), errIf(report.Findings, errFound)) }, err
	})
	return cmd
}

// readsRecords makes cmd one that reads all records of a node, which its settings
// say where to find. Read returns what is to be done once it was told for the last
// time how far it is.
func readsRecords(cmd *cobra.Command, read func(c node.Config, tick func(int)) (end func() error, err error)) {
	file := cmd.Flags().String("config", "", "the `file` to read, YAML")
	addSettings(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := node.LoadStoreConfig(sources(*file, cmd.Flags(), os.Environ()))
		if err != nil {
			return usageError{err}
		}
		tick, done := counter(cmd.ErrOrStderr())
		end, err := read(c, tick)
		done()
		if err != nil {
			return err
		}
		return end()
	}
}

// errIf is err if there are findings.
func errIf(findings int, err error) error {
	if findings == 0 {
		return nil
	}
	return err
}

// counter tells on a terminal how many records were checked; elsewhere it is
// silent.
func counter(w io.Writer) (tick func(int), done func()) {
	f, ok := w.(*os.File)
	if ok {
		info, err := f.Stat()
		ok = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !ok {
		return nil, func() {}
	}
	return func(records int) { fmt.Fprintf(f, "\r%d records ", records) }, func() { fmt.Fprint(f, "\r\x1b[K") }
}

// fsckOutput writes what was found, for people or for programs.
type fsckOutput struct {
	w    io.Writer
	json bool
}

func (o fsckOutput) finding(f node.Finding) {
	if o.json {
		_ = json.NewEncoder(o.w).Encode(f) // report fails as well
		return
	}
	if f.Leftover {
		return // they are many, and are counted
	}
	what := "wrong"
	if f.Repaired {
		what = "repaired"
	}
	fmt.Fprintf(o.w, "%s: %s %s\n  %s\n", what, f.Store, f.Key, f.Problem)
	if f.Person != "" {
		fmt.Fprintf(o.w, "  it concerns %s\n", f.Person)
	}
	switch {
	case f.Repaired:
		fmt.Fprintf(o.w, "  done: %s\n", f.Repair)
	case f.Repair != "":
		fmt.Fprintf(o.w, "  --repair would: %s\n", f.Repair)
	default:
		fmt.Fprintln(o.w, "  it cannot be made again here: restore it from a backup")
	}
}

func (o fsckOutput) report(r node.FsckReport) error {
	if o.json {
		return json.NewEncoder(o.w).Encode(r)
	}
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	kinds := make([]string, 0, len(r.Records))
	total := 0
	for kind, count := range r.Records {
		kinds = append(kinds, kind)
		total += count
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		fmt.Fprintf(w, "%d\t %s\t\n", r.Records[kind], kind)
	}
	fmt.Fprintf(w, "%d\t in all of %s\t\n", total, r.Name)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.w, "%d wrong, %d left over, %d repaired, %d could not be verified\n", r.Findings, r.Leftovers, r.Repaired, r.Unchecked)
	return err
}
