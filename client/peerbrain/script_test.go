package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"peerbrain": main})
}

// leakless are tests that leave no goroutine behind. testscript ends the
// process itself, so what they come to is handed on.
type leakless struct{ *testing.M }

func (l leakless) Run() (status int) {
	goleak.VerifyTestMain(l.M, goleak.Cleanup(func(s int) { status = s }))
	return status
}

// TestScripts runs what a person could type where no node is needed; the
// scripts of node/story do the rest.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PEERBRAIN_HOME", e.WorkDir+"/home")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  checkStatus,
			"letters": writeLetters,
			"latin1":  writeLatin1,
		},
	})
}

// checkStatus runs a command and wants exactly one exit status: status N COMMAND...
func checkStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND [ARGUMENT...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%q: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("%q: got status %d, want %s", args[1:], got, want)
	}
}

// writeLetters makes a file of N letters: letters N FILE.
func writeLetters(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), bytes.Repeat([]byte("a"), n), 0o600))
}

// writeLatin1 makes a file that is no UTF-8: latin1 FILE.
func writeLatin1(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("caf\xe9"), 0o600))
}
