package story_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs sessions of several people as they could be typed. Each
// script has two nodes of its own, left and right, whose names are in $LEFT and
// $RIGHT; "node start" starts them. Beside the commands of testscript it has
//
//	node start|stop|kill left|right    kill is kill -9
//	as NAME                            go on at the home of NAME
//	peerbrain ...                      as typed; "!" before it expects failure
//	status N peerbrain ...             expects exactly this exit status
//	until PATTERN peerbrain ...        types it again and again until it prints the pattern
//	untilnot PATTERN peerbrain ...     the same, until it succeeds without printing it
//	protect                            turns the second factor on; $SPARE1 to $SPARE10 are the backup codes
//	set NAME PATTERN                   $NAME is the group of the pattern in the last standard output
func TestScripts(t *testing.T) {
	bin := built(t)
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error { return setTheScene(e, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node":      node,
			"as":        as,
			"peerbrain": peerbrain,
			"status":    status,
			"until":     until,
			"untilnot":  untilNot,
			"set":       set,
			"protect":   protect,
		},
	})
}

// cast is the nodes of one script.
type cast map[string]*server

func setTheScene(e *testscript.Env, bin string) error {
	e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
	e.Setenv("PEERBRAIN_PASSWORD", "canary-password")
	e.Setenv("PEERBRAIN_HOME", filepath.Join(e.WorkDir, "nobody"))
	dir := filepath.Join(e.WorkDir, "nodes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	nodes := make(cast)
	for _, name := range []string{"left", "right"} {
		s, err := newServer(bin, dir, name)
		if err != nil {
			return err
		}
		nodes[name] = s
		e.Setenv(strings.ToUpper(name), s.name)
		e.Defer(func() { _ = s.kill() }) // the folder's removal complains if it lives on
	}
	e.Values[castKey{}] = nodes
	return nil
}

type castKey struct{}

func node(ts *testscript.TestScript, _ bool, args []string) {
	nodes := ts.Value(castKey{}).(cast)
	for _, name := range args[1:] {
		s := nodes[name]
		if s == nil {
			ts.Fatalf("node: %q is neither left nor right", name)
		}
		switch args[0] {
		case "start":
			ts.Check(s.start())
		case "stop":
			ts.Check(s.stop())
		case "kill":
			ts.Check(s.kill())
		default:
			ts.Fatalf("node: %q is none of start, stop and kill", args[0])
		}
	}
}

func as(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("PEERBRAIN_HOME", ts.MkAbs("home-"+args[0]))
}

func peerbrain(ts *testscript.TestScript, neg bool, args []string) {
	if err := ts.Exec("peerbrain", args...); (err != nil) != neg {
		ts.Fatalf("peerbrain %q: got %v, want failure %t", args, err, neg)
	}
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%q: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("%q: got status %d, want %s", args[1:], got, args[0])
	}
}

func protect(ts *testscript.TestScript, _ bool, _ []string) {
	p, errs, err := turnsOn(binaries.dir, ts.Getenv("PEERBRAIN_HOME"))
	if err != nil || len(p.backup) != 10 {
		ts.Fatalf("second-factor on: %v, %s", err, errs)
	}
	for i, code := range p.backup {
		ts.Setenv(fmt.Sprintf("SPARE%d", i+1), code)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	typeUntil(ts, args[1:], func(out string) bool { return pattern.MatchString(out) })
}

func untilNot(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	typeUntil(ts, args[1:], func(out string) bool { return !pattern.MatchString(out) })
}

// typeUntil types a command until it succeeds with an output that is good.
func typeUntil(ts *testscript.TestScript, args []string, good func(string) bool) {
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil && good(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q: not within %s; at last %v", args, newsArrive, err)
		}
	}
}

func set(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("set %s: %q found %q, want one group", args[0], args[1], found)
	}
	ts.Setenv(args[0], found[1])
}
