package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs what an operator could type.
func TestScripts(t *testing.T) {
	clean(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Setenv("NAME", strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1))
			e.Setenv("LISTEN", l.Addr().String())
			if err := l.Close(); err != nil {
				return err
			}
			return os.WriteFile(e.WorkDir+"/later", []byte("peerbrain-backup\x00\x00\x00\x02"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  checkStatus,
			"serving": awaitServing,
			"mode":    checkMode,
			"cut":     rewrite(func(b []byte) []byte { return b[:len(b)-1] }),
			"flip":    rewrite(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
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

// awaitServing waits until the node of a data folder serves: serving FOLDER.
func awaitServing(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(ts.MkAbs(args[0]), "control.sock")
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", path); err == nil {
			ts.Check(c.Close())
			return
		}
	}
	ts.Fatalf("%s is not served", args[0])
}

// checkMode wants a file to have a mode: mode MODE FILE.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// rewrite makes a file of another: COMMAND FROM TO.
func rewrite(change func([]byte) []byte) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), change(b), 0o600))
	}
}
