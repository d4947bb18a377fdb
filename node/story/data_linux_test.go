package story_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user who owns nothing.
const nobody = 65534

// TestDataFolders starts a node on folders that it cannot use: it says so in
// one sentence, and touches nothing. Since root may do everything, root's tests
// run it as somebody else.
func TestDataFolders(t *testing.T) {
	undetected(t)
	bin := built(t)
	for _, test := range []struct {
		name    string
		arrange func(data string) error
		want    string // of what it says, %s is the folder
	}{
		{"read-only", func(data string) error { return os.Chmod(data, 0o555) }, `data: this user may not read and write "%s/own.db"; give the folder and its files to the user that serves`},
		{"closed", func(data string) error { return os.Chmod(data, 0) }, `data: this user may not read and write "%s/own.db"`},
		{"with files of somebody else", func(data string) error {
			return os.WriteFile(filepath.Join(data, "own.db"), []byte("of somebody else"), 0)
		}, `data: this user may not read and write "%s/own.db"`},
		{"that is a file", func(data string) error {
			if err := os.Remove(data); err != nil {
				return err
			}
			return os.WriteFile(data, []byte("a file"), 0o644)
		}, `data: "%s" is a file, a folder was expected`},
		{"that may not be made", func(data string) error {
			if err := os.Remove(data); err != nil {
				return err
			}
			return os.Chmod(filepath.Dir(data), 0o555)
		}, `data: this user may not read and write "%s"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := openToAll(t)
			data := filepath.Join(top, "data")
			err := os.Mkdir(data, 0o777)
			if err == nil && os.Getuid() == 0 {
				err = os.Chown(data, nobody, nobody)
			}
			if err == nil {
				err = test.arrange(data)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := pictureOf(t, top)
			node := exec.Command(filepath.Join(bin, "peerbrain-node"), "serve", "--dev", "--listen", "127.0.0.1:0", "--data", data)
			node.Env = bare()
			if os.Getuid() == 0 {
				node.Path = copyFor(t, node.Path)
				node.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			node.Dir = string(filepath.Separator)
			said, err := node.CombinedOutput()
			want := "peerbrain-node: " + fmt.Sprintf(test.want, data)
			if err == nil || !strings.HasPrefix(string(said), want) || strings.Count(string(said), "\n") != 1 {
				t.Errorf("got %v and %q, want %q", err, said, want)
			}
			if after := pictureOf(t, top); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// openToAll is a temporary folder that every user may go through.
func openToAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peerbrain-data-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range []string{dir, filepath.Join(dir, "data")} {
			_ = os.Chmod(d, 0o700) // for those who are not root; it may be gone
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// copyFor puts a program where everybody may run it.
func copyFor(t *testing.T, program string) string {
	t.Helper()
	text, err := os.ReadFile(program)
	to := filepath.Join(openToAll(t), filepath.Base(program))
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// pictureOf is what lies in a folder: names, kinds, permissions, sizes, times,
// and what is in the files that may be read.
func pictureOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintln(&all, path, "closed")
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, _ := os.ReadFile(path) // of a folder or a closed file there is none
		fmt.Fprintln(&all, path, info.Mode(), info.Size(), info.ModTime().UnixNano(), string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
