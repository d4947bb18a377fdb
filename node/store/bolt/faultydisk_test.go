//go:build linux && !faultydisk

package bolt

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What of bbolt touches the file, and what does so in the copy that the tests
// of disk_test.go run on.
var touches = []struct{ file, real, faulty string }{
	{"bolt_linux.go", "syscall.Fdatasync(int(db.file.Fd()))", "Disk.Sync(db.file, func() error { return syscall.Fdatasync(int(db.file.Fd())) })"},
	{"db.go", "db.file.Sync()", "Disk.Sync(db.file, db.file.Sync)"},
	{"db.go", "db.file.Truncate(int64(sz))", "Disk.Truncate(db.file, int64(sz))"},
	{"db.go", "db.ops.writeAt = db.file.WriteAt",
		"db.ops.writeAt = func(b []byte, at int64) (int, error) { return Disk.WriteAt(db.file, b, at) }"},
}

// hook is the file that the copy has in addition.
const hook = `package bbolt

import "os"

// Disk does what touches the file.
var Disk struct {
	Sync     func(f *os.File, really func() error) error
	Truncate func(f *os.File, size int64) error
	WriteAt  func(f *os.File, b []byte, at int64) (int, error)
}
`

// TestOnFaultyDisk runs the tests of disk_test.go, in a build of their own with
// a bbolt that lets them see and fail each write, sync and growth of the file.
func TestOnFaultyDisk(t *testing.T) {
	var module, main struct{ Dir, Path string }
	list(t, &module, "go.etcd.io/bbolt")
	list(t, &main)
	copied := filepath.Join(t.TempDir(), "bbolt")
	if err := os.CopyFS(copied, os.DirFS(module.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, touch := range touches {
		name := filepath.Join(copied, touch.file)
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(source, []byte(touch.real)); n != 1 {
			t.Fatalf("bbolt's %s has %q %d times, want 1", touch.file, touch.real, n)
		}
		write(t, name, string(bytes.Replace(source, []byte(touch.real), []byte(touch.faulty), 1)))
	}
	write(t, filepath.Join(copied, "disk.go"), hook)
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(main.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "go.mod" {
			content = append(content, "\nreplace go.etcd.io/bbolt => "+copied+"\n"...)
		}
		write(t, filepath.Join(copied, "..", name), string(content))
	}
	args := []string{"test", "-modfile=" + filepath.Join(copied, "..", "go.mod"), "-trimpath", "-tags=faultydisk", "-count=1", "-v", "-run=^TestDisk", "."}
	if testing.Short() {
		args = append(args, "-short")
	}
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestDiskPowerCut")) {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "disk_test.go") || strings.HasPrefix(line, "---") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// list asks for a module, the main one without a name.
func list(t *testing.T, into any, name ...string) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-m", "-json"}, name...)...).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil { // modules are read-only
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
