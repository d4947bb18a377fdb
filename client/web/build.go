//go:build ignore

// Build makes the files of the web client, in the folder dist of the folder in which
// it runs, of the folders static and wasm there. go generate ./client/web runs it. What
// it makes depends on those, on the release of Go and on this module, not on where or
// when it runs. A file that is there already is not compressed again.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

// fixed are the files that have fixed paths, and know those of all others.
var fixed = []string{"index.html", "sw.js"}

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
	for _, name := range fixed {
		files[name] = bytes.ReplaceAll(files[name], []byte(mark), []byte("/web/"+digest+"/"))
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
	for _, name := range fixed {
		if files[name] == nil {
			return nil, fmt.Errorf("static/%s is not there", name)
		}
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

// linking is how the WebAssembly is built: with no trace of where, and without inlining,
// which would make it a tenth larger, but in cryptography.
var linking = []string{
	"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
	"-gcflags=all=-l", "-gcflags=crypto/...=", "-gcflags=vendor/golang.org/x/crypto/...=", "-gcflags=golang.org/x/crypto/...=",
}

// compile builds the WebAssembly.
func compile() ([]byte, error) {
	dir, err := os.MkdirTemp("", "peerbrain-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, core)
	if _, err := output("go", slices.Concat(linking, []string{"-o", out, "./wasm"})...); err != nil {
		return nil, err
	}
	linked, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return joinData(linked)
}

// Numbers of sections of a module (https://www.w3.org/TR/wasm-core-1/, section 5.5).
const (
	headerSize   = 8
	dataSection  = 11
	countSection = 12
	maxGap       = 4096 // bytes of zeros that take less room than the head of a segment, compressed
)

// A segment is what memory holds at the start from an address on.
type segment struct {
	at    uint64
	bytes []byte
}

// joinData returns a module that begins with the same memory, of fewer segments. The
// linker writes one for every few bytes that are not zero, 95,000 for the SDK; their
// heads alone are 100 KB that cannot be compressed.
func joinData(module []byte) ([]byte, error) {
	if len(module) < headerSize {
		return nil, errors.New("the linker has written no module")
	}
	joined := slices.Clone(module[:headerSize])
	r := &reader{rest: module[headerSize:]}
	for len(r.rest) > 0 && r.err == nil {
		section, body := r.byte(), r.bytes(r.number())
		switch section {
		case dataSection:
			segments, err := readSegments(body)
			if err != nil {
				return nil, err
			}
			if segments, err = join(segments); err != nil {
				return nil, err
			}
			body = writeSegments(segments)
		case countSection:
			return nil, errors.New("the linker counts segments, which is not expected of it")
		}
		joined = append(joined, section)
		joined = binary.AppendUvarint(joined, uint64(len(body)))
		joined = append(joined, body...)
	}
	return joined, r.err
}

func readSegments(body []byte) ([]segment, error) {
	r := &reader{rest: body}
	segments := make([]segment, 0, 1<<16)
	for range r.number() {
		if flags, constant := r.number(), r.byte(); flags != 0 || constant != 0x41 { // i32.const, into the one memory
			return nil, errors.Join(r.err, errors.New("a segment is not at an address that is known"))
		}
		at := uint64(uint32(r.signed()))
		if end := r.byte(); end != 0x0b {
			return nil, errors.Join(r.err, errors.New("a segment is not at an address that is known"))
		}
		segments = append(segments, segment{at, r.bytes(r.number())})
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("something follows the segments")
	}
	return segments, r.err
}

// join puts segments together that are near each other, with the zeros between them.
func join(segments []segment) (joined []segment, err error) {
	slices.SortFunc(segments, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	for _, s := range segments {
		if len(joined) > 0 {
			last := &joined[len(joined)-1]
			end := last.at + uint64(len(last.bytes))
			if s.at < end {
				return nil, errors.New("two segments overlap")
			}
			if s.at-end <= maxGap {
				last.bytes = append(append(last.bytes, make([]byte, s.at-end)...), s.bytes...)
				continue
			}
		}
		joined = append(joined, segment{s.at, slices.Clone(s.bytes)})
	}
	return joined, nil
}

func writeSegments(segments []segment) []byte {
	body := binary.AppendUvarint(nil, uint64(len(segments)))
	for _, s := range segments {
		body = append(body, 0, 0x41)
		body = append(appendSigned(body, int32(uint32(s.at))), 0x0b)
		body = binary.AppendUvarint(body, uint64(len(s.bytes)))
		body = append(body, s.bytes...)
	}
	return body
}

// appendSigned appends signed LEB128.
func appendSigned(b []byte, n int32) []byte {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

// A reader takes a module apart. After an error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = io.ErrUnexpectedEOF
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); r.err == nil {
		return b[0]
	}
	return 0
}

// number reads unsigned LEB128, which is what package binary calls a Uvarint.
func (r *reader) number() uint64 {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 {
		r.err = io.ErrUnexpectedEOF
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

// signed reads signed LEB128.
func (r *reader) signed() (n int32) {
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= int32(b&0x7f) << shift
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift < 25 {
				n |= -1 << (shift + 7)
			}
			return n
		}
	}
	r.err = errors.New("a number has more than 32 bits")
	return 0
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
