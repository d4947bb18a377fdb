package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// frozen makes a data folder of the stores of a node that people have lived on.
func frozen(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir()
	for _, name := range []string{"own.db", "copies.db"} {
		text := unzipped(t, filepath.Join("..", "testdata", "schema-1", name+".gz"))
		if err := os.WriteFile(filepath.Join(data, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	if status := run(t.Context(), []string{"migrate", "--data", data}, &said, &said); status != 0 {
		t.Fatalf("migrate: status %d, said %q", status, said.String())
	}
	return data
}

func unzipped(t *testing.T, path string) []byte {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fscked runs the command.
func fscked(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return ran(t, append([]string{"fsck"}, args...)...)
}

// ran runs a command.
func ran(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}

// TestFsck checks the records of a whole story, spoils some, and repairs them.
func TestFsck(t *testing.T) {
	clean(t)
	data := frozen(t)
	status, out, _ := fscked(t, "--data", data)
	if status != 0 || !strings.Contains(out, "own entry") || !strings.Contains(out, "0 wrong, ") {
		t.Fatalf("status %d, said %q", status, out)
	}

	var account, key string
	spoil := func(changes ...store.Change) {
		s, err := bolt.Open(filepath.Join(data, "own.db"), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for prefix, into := range map[string]*string{"account/": &account, "key/": &key} {
			for rec, err := range s.Scan(t.Context(), store.Query{From: prefix, Limit: 1}) {
				if err != nil {
					t.Fatal(err)
				}
				*into = strings.Clone(rec.Key)
			}
		}
		if err := s.Apply(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		const running = "is running; end it, and check it then"
		if status, out, stderr := fscked(t, "--data", data); status != 1 || out != "" || !strings.Contains(stderr, running) {
			t.Errorf("while it is open: status %d, said %q and %q", status, out, stderr)
		}
	}
	spoil()
	spoil(store.Change{Key: account})
	status, out, stderr := fscked(t, "--data", data)
	if status != 1 || !strings.Contains(out, "wrong: own "+account) || !strings.Contains(out, "--repair would: ") || !strings.Contains(stderr, "not all records") {
		t.Errorf("status %d, said %q and %q", status, out, stderr)
	}
	status, out, _ = fscked(t, "--data", data, "--repair", "--json")
	var first node.Finding
	var last node.FsckReport
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for text, into := range map[string]any{lines[0]: &first, lines[len(lines)-1]: &last} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	if status != 0 || first.Key != account || !first.Repaired || last.Findings != 0 || last.Repaired < 1 || last.Name == "" {
		t.Errorf("status %d, said %s", status, out)
	}

	spoil(store.Change{Key: key, Value: []byte{0}})
	if status, out, _ = fscked(t, "--data", data, "--repair"); status != 1 || !strings.Contains(out, "wrong: own "+key) || !strings.Contains(out, "restore it from a backup") {
		t.Errorf("status %d, said %q", status, out)
	}
	if err := os.Remove(filepath.Join(data, "copies.db")); err != nil {
		t.Fatal(err)
	}
	if _, out, _ = fscked(t, "--data", data); strings.Contains(out, "copies") {
		t.Errorf("without copies, it said %q", out)
	}
}

// TestFsckRefuses: what is no node is not made one.
func TestFsckRefuses(t *testing.T) {
	clean(t)
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	status, out, stderr := fscked(t, "--data", nowhere)
	if status != 1 || out != "" || !strings.Contains(stderr, `holds no node; choose its folder with --data`) {
		t.Errorf("status %d, said %q and %q", status, out, stderr)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a folder was made")
	}
	if status, _, stderr = fscked(t, "now"); status != 2 || !strings.Contains(stderr, "unknown argument") {
		t.Errorf("status %d, said %q", status, stderr)
	}
}
