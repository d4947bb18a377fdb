package bolt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// crashEnv names the file in which this binary, run once more as a child of
// TestKill, is to write until it is killed.
const crashEnv = "PEERBRAIN_BOLT_CRASH_TEST"

const kills = 20

// TestKill lets a child write, kills it in the middle, and looks for what it
// had acknowledged, twenty times with the same file.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	acknowledged := map[string]bool{}
	for range kills {
		for _, name := range writeUntilKilled(t, path) {
			acknowledged[name] = true
		}
		checkAfterKill(t, path, acknowledged)
	}
	if len(acknowledged) < kills*10 {
		t.Errorf("only %d writes were acknowledged, which proves little", len(acknowledged))
	}
	t.Logf("%d kills, %d acknowledged, 0 lost", kills, len(acknowledged))
}

// writeUntilKilled returns the names that the child acknowledged.
func writeUntilKilled(t *testing.T, path string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	lines, enough := bufio.NewReader(out), 10+rand.IntN(40)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a last line without end was not acknowledged
		}
		if names = append(names, strings.TrimSpace(line)); len(names) == enough {
			time.AfterFunc(rand.N(3*time.Millisecond), func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
	return names
}

func checkAfterKill(t *testing.T, path string, acknowledged map[string]bool) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	there := map[string]int{}
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Value, crashValue(r.Key)) {
			t.Errorf("%q is torn", r.Key)
		}
		there[r.Key[2:]]++
	}
	for name := range acknowledged {
		if there[name] != 2 {
			t.Errorf("%q was acknowledged, and %d of its 2 records are there", name, there[name])
		}
	}
	for name, n := range there {
		if n != 2 {
			t.Errorf("%q: %d of the 2 records of one call are there", name, n)
		}
	}
	moveAll(t, s) // bbolt's check is for files that nobody writes to
	err = s.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's own check: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crashChild writes pairs of records from a few goroutines and prints each
// name once it is acknowledged.
func crashChild(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 8 {
		go func() {
			for {
				name := fmt.Sprintf("%016x", rand.Uint64())
				a, b := "a/"+name, "b/"+name
				err := s.Apply(context.Background(),
					store.Change{Key: a, Value: crashValue(a), If: store.IfAbsent()},
					store.Change{Key: b, Value: crashValue(b), If: store.IfAbsent()})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				io.WriteString(os.Stdout, name+"\n")
			}
		}()
	}
	time.Sleep(time.Minute) // should the parent be gone
	os.Exit(1)
}

// crashValue is what the record with this key holds: up to 6 KB, so that
// some lie across pages.
func crashValue(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return bytes.Repeat(sum[:], 1+int(sum[0])%190)
}
