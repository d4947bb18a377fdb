package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Where the nodes of the demo serve. The linker can set these (-X), so that tests
// play it on ports that are free.
var (
	demoLeft  = "localhost:8081"
	demoRight = "localhost:8082"
)

// demoNodes are the nodes of the demo, in the order in which the story names them.
var demoNodes = [2]string{demoLeft, demoRight}

// newDemo is the command demo.
func newDemo() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run two nodes and a friendship across them on this machine",
		Long: `Run two nodes and a friendship across them on this machine.

Two nodes serve on ` + demoNodes[0] + ` and ` + demoNodes[1] + `. Four people, played by the
peerbrain command beside this one, register, write, befriend and part; each step
is shown as it is typed, and what came of it is checked. The nodes serve until
Ctrl-C, so that you can join in; with --once the demo ends after the story, with
status 0 only if every step held.`,
		Example: "  peerbrain-node demo\n  peerbrain-node demo --once\n  peerbrain-node demo --data demo-data",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			d.colours = colourful(d.out)
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return d.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&d.once, "once", false, "end after the story")
	cmd.Flags().StringVar(&d.data, "data", "", "keep nodes and people in `DIR`, which must be empty or new (default: a temporary folder, removed at the end)")
	return cmd
}

// A demo is one run of the command.
type demo struct {
	once    bool
	data    string
	out     io.Writer
	colours bool
}

// run plays the story on a stage, and ends everything it started.
func (d *demo) run(ctx context.Context) (err error) {
	peerbrain, err := besideThis("peerbrain")
	if err != nil {
		return err
	}
	if err := portsFree(demoNodes[:]); err != nil {
		return err
	}
	dir, remove, err := d.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	st := &stage{dir: dir, peerbrain: peerbrain, out: d.out, colours: d.colours}
	defer func() { err = errors.Join(err, st.close()) }()

	st.say("PeerBrain: two nodes, four people, and a friendship between the nodes.")
	st.say("Everything lies in %s", dir)
	if err = play(ctx, st); ctx.Err() != nil {
		st.say("\nInterrupted. The nodes are ended.")
		return errors.New("the demo was interrupted before its end")
	}
	if d.once {
		return err
	}
	if err != nil {
		st.say("\n%s", err)
	}
	d.invite(st)
	<-ctx.Done()
	st.say("\nThe nodes are ended.")
	return err
}

// folder makes the place for nodes and people. A temporary one is removed at
// the end, and one that was named stays.
func (d *demo) folder() (dir string, remove func() error, err error) {
	if d.data == "" {
		dir, err = os.MkdirTemp("", "peerbrain-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(d.data); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, err
	}
	if len(entries) > 0 {
		return "", nil, fmt.Errorf("%s is not empty; the story needs an empty or a new folder", dir)
	}
	return dir, func() error { return nil }, nil
}

// invite tells how to be one of the people.
func (d *demo) invite(st *stage) {
	st.say("\nThe nodes go on serving. In a browser you can be one of their people, or a new one:")
	st.say("")
	st.say("  http://%s/    ada, carol", demoNodes[0])
	st.say("  http://%s/    bob, eve", demoNodes[1])
	st.say("\nTheir passwords are \"%s\" and so on. The same in another terminal:", password("ada"))
	st.say("")
	for _, command := range []struct{ who, words string }{
		{"ada", "feed"}, {"carol", "post \"hello from carol\""}, {"bob", "friend add eve@" + demoNodes[1]}, {"eve", "friend list"},
	} {
		st.say("  PEERBRAIN_HOME=%s %s %s", shellWord(st.home(command.who)), shellWord(st.peerbrain), command.words)
	}
	st.say("\nOr be yourself:\n")
	st.say("  export PEERBRAIN_HOME=%s", shellWord(st.home("me")))
	st.say("  %s register yourname@%s", shellWord(st.peerbrain), demoNodes[1])
	st.say("  %s friend add ada@%s", shellWord(st.peerbrain), demoNodes[0])
	if d.data == "" {
		st.say("\nCtrl-C ends the nodes and removes %s.", st.dir)
	} else {
		st.say("\nCtrl-C ends the nodes; %s stays.", st.dir)
	}
}

// besideThis finds another binary in the folder of this one.
func besideThis(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the people of the demo are played by %s, which is not there; make build puts both binaries into one folder", path)
	}
	return path, nil
}

// shellWord is s as a shell takes it for one word.
func shellWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\"'`$&|;<>()*?[]#~\\!{}") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
