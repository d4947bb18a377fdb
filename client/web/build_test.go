package web

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// builder compiles build.go.
func builder(t *testing.T) string {
	t.Helper()
	if _, err := os.ReadFile("build.go"); err != nil { // so that go test's cache knows another from this
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "build")
	if runtime.GOOS == "windows" {
		out += ".exe"
	}
	if said, err := exec.Command("go", "build", "-o", out, "build.go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

// smallModule copies testdata/small to a new folder, with a module around it.
func smallModule(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS("testdata/small")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "go.mod"), "module small\n\ngo 1.26.0\n")
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// builds runs the builder in dir and returns what it made, by name.
func builds(t *testing.T, builder, dir string) map[string]string {
	t.Helper()
	cmd := exec.Command(builder)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	made := map[string]string{}
	dist := os.DirFS(filepath.Join(dir, "dist"))
	if err := fs.WalkDir(dist, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(dist, path)
		made[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return made
}

func wantEqual(t *testing.T, a, b map[string]string) {
	t.Helper()
	for name := range b {
		if _, ok := a[name]; !ok {
			t.Errorf("%s is in one build only", name)
		}
	}
	for name, text := range a {
		if text != b[name] {
			t.Errorf("%s differs: %d and %d bytes", name, len(text), len(b[name]))
		}
	}
}

// TestBuilds follows a small site through the builder: what it is served as, that
// another folder makes no difference, that nothing is made twice, and that a change
// gives all files other paths.
func TestBuilds(t *testing.T) {
	build := builder(t)
	one, other := smallModule(t, "one"), smallModule(t, "another place")
	made := builds(t, build, one)
	wantEqual(t, made, builds(t, build, other))

	s := open(t, os.DirFS(filepath.Join(one, "dist")))
	_, _, page := s.Answer("/", "", "")
	if !strings.Contains(string(page), `src="`+s.Root()+`small.js"`) {
		t.Errorf("the page does not lead to its script at %s:\n%s", s.Root(), page)
	}
	if _, _, worker := s.Answer("/sw.js", "", ""); string(worker) != "const shell = \""+s.Root()+"\"\n" {
		t.Errorf("the service worker does not know %s: %s", s.Root(), worker)
	}
	if _, _, script := s.Answer(s.Root()+"small.js", "br", ""); decoded(t, "br", script) != "document.title = \"Small, and it runs\"\n" {
		t.Errorf("got %q", script)
	}
	_, _, core := s.Answer(s.Root()+"peerbrain.wasm", "", "")
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(core, []byte("\x00asm")) || bytes.Contains(core, []byte(one)) || bytes.Contains(core, bytes.TrimSpace(goroot)) {
		t.Error("the WebAssembly is none, or tells where it was built")
	}

	linked := filepath.Join(t.TempDir(), "linked.wasm")
	link := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-gcflags=all=-l", "-gcflags=crypto/...=", "-gcflags=vendor/golang.org/x/crypto/...=", "-gcflags=golang.org/x/crypto/...=", "-o", linked, "./wasm")
	link.Dir, link.Env = one, append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if said, err := link.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	as, err := os.ReadFile(linked)
	if err != nil {
		t.Fatal(err)
	}
	memory, code, segments := moduleOf(t, as)
	joined, same, few := moduleOf(t, core)
	if !bytes.Equal(memory, joined) || code != same || few > 16 || segments < 100*few {
		t.Errorf("the linker's module has %d segments and %d bytes of memory, the one that is served %d and %d; what is beside them is the same: %t", segments, len(memory), few, len(joined), code == same)
	}

	// What is there is left alone, whatever is damaged or too much is made good.
	packed := filepath.Join(one, "dist", "peerbrain.wasm.br")
	old := time.Unix(1e9, 0)
	if err := os.Chtimes(packed, old, old); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(one, "dist", "small.js.br"), "damaged")
	put(t, filepath.Join(one, "dist", "words", "gone.json.br"), "of another build")
	wantEqual(t, made, builds(t, build, one))
	if info, err := os.Stat(packed); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("what had not changed was written again (%v)", err)
	}
	put(t, filepath.Join(one, "dist", ".made"), "of another compressor")
	wantEqual(t, made, builds(t, build, one))

	put(t, filepath.Join(other, "static", "words", "en.json"), `{"hello": "Hello!"}`)
	builds(t, build, other)
	changed := open(t, os.DirFS(filepath.Join(other, "dist")))
	if changed.Root() == s.Root() || len(changed.Paths()) != len(s.Paths()) {
		t.Errorf("after a change the paths are %q", changed.Paths())
	}
}

// moduleOf takes a module of WebAssembly apart: the memory that it begins with, without
// the zeros at its end, everything but its data section, and how many segments that has.
func moduleOf(t *testing.T, module []byte) (memory []byte, others string, segments int) {
	t.Helper()
	rest := bytes.NewBuffer(module[8:])
	number := func(b *bytes.Buffer) int {
		n, err := binary.ReadUvarint(b)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	for rest.Len() > 0 {
		id := rest.Next(1)[0]
		section := bytes.NewBuffer(rest.Next(number(rest)))
		if id != 11 {
			others += fmt.Sprint(id) + section.String()
			continue
		}
		segments = number(section)
		for range segments {
			if head := section.Next(2); head[0] != 0 || head[1] != 0x41 {
				t.Fatalf("a segment begins with %x", head)
			}
			at, shift := 0, 0
			for more := true; more; shift += 7 { // addresses here are below 2^31
				b := section.Next(1)[0]
				at, more = at|int(b&0x7f)<<shift, b&0x80 != 0
			}
			if end := section.Next(1)[0]; end != 0x0b {
				t.Fatalf("an address ends with %x", end)
			}
			b := section.Next(number(section))
			if need := at + len(b); need > len(memory) {
				memory = append(memory, make([]byte, need-len(memory))...)
			}
			copy(memory[at:], b)
		}
	}
	return bytes.TrimRight(memory, "\x00"), others, segments
}

// maxCore is the most that a browser has to load of the SDK, as it is compressed.
const maxCore = 1_400_000

// TestBuildsAreEqual builds the page of this module in two other folders, and wants the
// same files, byte for byte, as those that are embedded here. What is equal before it is
// compressed is taken over compressed: TestBuilds compresses twice.
func TestBuildsAreEqual(t *testing.T) {
	build := builder(t)
	var made []map[string]string
	for _, name := range []string{"one", "another place/with another/name"} {
		dir := filepath.Join(t.TempDir(), name)
		for _, from := range []string{"client", "federation", "keyservice", "go.mod", "go.sum"} {
			copySources(t, filepath.Join("..", "..", from), filepath.Join(dir, from))
		}
		made = append(made, builds(t, build, filepath.Join(dir, "client", "web")))
	}
	wantEqual(t, made[0], made[1])
	if n := len(made[0]["peerbrain.wasm.br"]); n == 0 || n > maxCore {
		t.Errorf("a browser has to load %d bytes of WebAssembly, and they are at most %d", n, maxCore)
	}
	embedded, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if embedded.Digest() == "" {
		t.Skip("!! SKIPPED: the web client is not built; make web, or go generate ./client/web, builds it")
	}
	list, err := os.ReadFile(filepath.Join("dist", List))
	if err != nil {
		t.Fatal(err)
	}
	if made[0][List] != string(list) {
		t.Errorf("what is embedded was built of other sources, or by another release of Go; make web builds it anew:\n%s\nwant\n%s", list, made[0][List])
	}
}

// copySources copies a file or a folder, without tests.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	if err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, err1 := filepath.Rel(from, path)
		if err = errors.Join(err, err1); err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir():
			return nil
		case strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o700)
		}
		if err == nil {
			err = os.WriteFile(target, b, 0o600)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestBuildRefuses hands the builder what could not be served.
func TestBuildRefuses(t *testing.T) {
	build := builder(t)
	for _, test := range []struct{ file, text, want string }{
		{"static/a page.html", "x", "no such name"},
		{"static/notes.md", "x", "no such name"},
		{"static/.hidden.js", "x", "no such name"},
		{"static/100%.js", "x", "no such name"},
		{"static/index.html", "", "static/index.html is not there"},
		{"static/sw.js", "", "static/sw.js is not there"},
		{"wasm/main.go", "package main\n\nfunc main() { nothing() }\n", "undefined: nothing"},
	} {
		dir := smallModule(t, "small")
		put(t, filepath.Join(dir, test.file), test.text)
		if test.text == "" {
			if err := os.Remove(filepath.Join(dir, test.file)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(build)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), test.want) {
			t.Errorf("%s: got %v and %s, want %q", test.file, err, said, test.want)
		}
		if made, err := os.ReadDir(filepath.Join(dir, "dist")); err == nil && len(made) > 0 {
			t.Errorf("%s: a site was made", test.file)
		}
	}
}

// TestMediaOfNames holds the kinds of files that build.go takes to those that have a type.
func TestMediaOfNames(t *testing.T) {
	text, err := os.ReadFile("build.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `*\.(`)
	list, _, ok := strings.Cut(rest, ")$`")
	if !ok {
		t.Fatal("build.go has no such list")
	}
	kinds := strings.Split(list, "|")
	for _, kind := range kinds {
		if media["."+kind] == "" {
			t.Errorf("build.go takes .%s, which has no type", kind)
		}
	}
	for end := range media {
		if !slices.Contains(kinds, end[1:]) {
			t.Errorf("build.go does not take %s", end)
		}
	}
}
