//go:build ignore

// Build makes the files of the web client, in the folder dist of the folder in which
// it runs, of the folders static and wasm there. go generate ./client/web runs it. What
// it makes depends on those, on the release of Go and on this module, not on where or
// when it runs. A file that is there already is not compressed again.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/molecule-man/go-brrr"
)

const (
	dist = "dist"
	list = "LIST" // see List in web.go
	core = "peerbrain.wasm"
	mark = "/web/HASH/" // in index.html and sw.js, what stands before the names of all others
)

// names are those that a file may have: they stand in URLs as they are.
var names = regexp.MustCompile(`^([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.(html|css|js|json|svg|txt|wasm)$`)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "building the web client:", err)
		os.Exit(1)
	}
}

func build() error {
	files, err := gather()
	if err != nil {
		return err
	}
	digest := sum([]byte(lines(files, func(name string) string { return sum(files[name]) + " " + name })))[:32]
	for _, name := range []string{"index.html", "sw.js"} {
		if text, ok := files[name]; ok {
			files[name] = bytes.ReplaceAll(text, []byte(mark), []byte("/web/"+digest+"/"))
		}
	}
	made := map[string][]byte{}
	made[list] = []byte(digest + "\n" + lines(files, func(name string) string {
		return fmt.Sprintf("%s %d %s", sum(files[name]), len(files[name]), name)
	}))
	if err := compress(files, made); err != nil {
		return err
	}
	for name, b := range made {
		if err := write(filepath.Join(dist, filepath.FromSlash(name)), b); err != nil {
			return err
		}
	}
	return sweep(made)
}

// gather reads and compiles what there is, by name.
func gather() (map[string][]byte, error) {
	files := map[string][]byte{}
	static := os.DirFS("static")
	err := fs.WalkDir(static, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !names.MatchString(name) {
			return fmt.Errorf("static/%s: no such name, or kind of file, is served", name)
		}
		files[name], err = fs.ReadFile(static, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	if files["wasm_exec.js"], err = os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", "wasm_exec.js")); err != nil {
		return nil, err
	}
	files[core], err = compile()
	return files, err
}

// compile builds the WebAssembly, with no trace of where.
func compile() ([]byte, error) {
	dir, err := os.MkdirTemp("", "peerbrain-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, core)
	if _, err := output("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, "./wasm"); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// output runs a command for WebAssembly.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
	}
	return string(out), err
}

// compress adds what files are as brotli. One that an earlier run of the same program has
// made is taken as it is.
func compress(files, made map[string][]byte) error {
	self, err := stamp()
	if err != nil {
		return err
	}
	made[".made"] = self
	before, _ := os.ReadFile(filepath.Join(dist, ".made")) // whatever is wrong with it: all is made
	same := bytes.Equal(before, self)
	var mu sync.Mutex
	var work sync.WaitGroup
	for name, b := range files {
		work.Go(func() {
			packed, err1 := os.ReadFile(filepath.Join(dist, filepath.FromSlash(name+".br")))
			if was, err2 := brrr.Decompress(packed); !same || err1 != nil || err2 != nil || !bytes.Equal(was, b) {
				packed, err1 = brrr.Compress(b, brrr.BestCompression)
			}
			mu.Lock()
			defer mu.Unlock()
			made[name+".br"], err = packed, errors.Join(err, err1)
		})
	}
	work.Wait()
	return err
}

// stamp tells this program from others that would compress otherwise.
func stamp() ([]byte, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("the program does not know what it was built of")
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "github.com/molecule-man/go-brrr" })
	if i < 0 {
		return nil, errors.New("the program does not know what it compresses with")
	}
	return []byte(info.Deps[i].Version + "\n"), nil
}

// write writes a file unless it is there, so that go build sees no change.
func write(path string, b []byte) error {
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// sweep removes what an earlier run has left.
func sweep(made map[string][]byte) error {
	return filepath.WalkDir(dist, func(path string, d fs.DirEntry, err error) error {
		name, err1 := filepath.Rel(dist, path)
		if err = errors.Join(err, err1); err != nil || d.IsDir() || name == ".gitignore" {
			return err
		}
		if _, ok := made[filepath.ToSlash(name)]; !ok {
			return os.Remove(path)
		}
		return nil
	})
}

// lines has one for each file, in the order of their names.
func lines(files map[string][]byte, line func(name string) string) string {
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.WriteString(line(name) + "\n")
	}
	return s.String()
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
