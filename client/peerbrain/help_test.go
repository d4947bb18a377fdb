package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp walks through all commands. Each explains itself with examples, and
// what an example types is understood: the command is there, and so are its flags.
func TestHelp(t *testing.T) {
	commands, examples := 0, 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		commands++
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s: wants a short and a long explanation, and examples", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "    ") // what stands behind explains
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			examples++
			understood(t, cmd, line)
		}
	}
	a, _, _ := typing("")
	walk(a.root())
	if commands < 15 || examples < commands {
		t.Errorf("%d examples of %d commands, too few to show anything", examples, commands)
	}
}

// understood parses a line of the help of cmd.
func understood(t *testing.T, cmd *cobra.Command, line string) {
	t.Helper()
	if i := strings.LastIndex(line, "| "); i >= 0 {
		line = line[i+2:]
	}
	words := strings.Fields(line)
	if words[0] != "peerbrain" {
		t.Errorf("%s: the example %q types another command", cmd.CommandPath(), line)
		return
	}
	a, out, _ := typing("")
	root := a.root()
	root.SetOut(out)
	root.SetErr(new(bytes.Buffer))
	found, rest, err := root.Find(words[1:])
	if err == nil {
		err = found.ParseFlags(rest)
	}
	if err != nil || cmd != cmd.Root() && found.CommandPath() != cmd.CommandPath() && !strings.HasPrefix(found.CommandPath(), cmd.CommandPath()+" ") {
		t.Errorf("%s: the example %q is not understood: %v", cmd.CommandPath(), line, err)
	}
}
