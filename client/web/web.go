// Package web is the page with which people use PeerBrain in a browser: its files,
// and what is answered to a browser that asks for one. A node serves them (package
// node takes them as a node.Site), and so does the command peerbrain web, from the
// user's own disk.
//
// The files lie in dist, where go generate builds them (build.go): the page as it is
// in static, the SDK of wasm compiled to WebAssembly, and the support file of the Go
// release. Two builds with one release of Go have the same bytes (TestBuildsAreEqual).
// Each file is embedded as brotli alone; what it is without, and as gzip, is made when
// it is first asked for, and kept.
//
// Two files have fixed paths, / and /sw.js, and are asked for anew each time. All
// others lie below /web/ and a digest of all files, so they never change. The package
// knows nothing of accounts, nodes and keys, and imports nothing of this module:
// that is why a node may link it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/molecule-man/go-brrr"
)

//go:generate go run build.go

// all: because of dist/.gitignore, which is there before anything is built.
//
//go:embed all:dist
var dist embed.FS

// List is the file that names the others, in the folder that build.go makes. Its first
// line is the digest of all files, and the others, sorted by name, each have a file's
// SHA-256 in hex, its length in bytes and its name.
const List = "LIST"

// A Site is the files. Its methods may be called by many goroutines at once.
type Site struct {
	digest string
	files  map[string]*file // by path
}

// A file is one of them, as it is served.
type file struct {
	media  string
	cache  string
	digest string // SHA-256 of what it is without a coding, in hex
	length int    // of the same
	brotli []byte
	plain  func() []byte
	gzip   func() []byte
}

// How long browsers keep a file: for ever, or as long as it is still the same, as they
// find out each time.
const (
	immutable = "public, max-age=31536000, immutable"
	noCache   = "no-cache"
)

// Media are the types of files by the end of their names. build.go takes no others.
var media = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
	".wasm": "application/wasm",
}

// Embedded returns the files of this binary. If it was built without them, that is what
// its page says.
func Embedded() (*Site, error) {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return Open(built)
}

// Open reads what build.go has built.
func Open(built fs.FS) (*Site, error) {
	list, err := fs.ReadFile(built, List)
	if errors.Is(err, fs.ErrNotExist) {
		return unbuilt(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
	s := &Site{digest: lines[0], files: map[string]*file{}}
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("web: %s: %q is no digest, length and name", List, line)
		}
		name := fields[2]
		f := &file{digest: fields[0], media: media[path.Ext(name)], cache: immutable}
		if f.length, err = strconv.Atoi(fields[1]); err != nil {
			return nil, fmt.Errorf("web: %s: %w", List, err)
		}
		if f.brotli, err = fs.ReadFile(built, name+".br"); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		f.plain = sync.OnceValue(f.inflate)
		f.gzip = sync.OnceValue(f.deflate)
		at := s.Root() + name
		switch name {
		case "index.html":
			at, f.cache = "/", noCache
		case "sw.js":
			at, f.cache = "/sw.js", noCache
		}
		s.files[at] = f
	}
	return s, nil
}

// unbuilt is what there is to say where nothing is built.
func unbuilt() *Site {
	text := []byte(notBuilt)
	f := &file{digest: digest(text), length: len(text), media: media[".html"], cache: noCache, plain: func() []byte { return text }}
	return &Site{files: map[string]*file{"/": f}}
}

const notBuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PeerBrain</title>
<h1>This is a node of PeerBrain</h1>
<p>It serves, but its program was built without the page for browsers.
Whoever runs it can build it with the page: <code>make build</code>, or
<code>go generate ./client/web</code> before <code>go build</code>.</p>
<p>From a terminal the node can be used with the command <code>peerbrain</code>.</p>
</html>
`

// inflate returns the file without a coding. What the build wrote was read back then.
func (f *file) inflate() []byte {
	b, err := brrr.Decompress(f.brotli)
	if err != nil || digest(b) != f.digest {
		panic("web: a file of this binary is damaged")
	}
	return b
}

func (f *file) deflate() []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(f.plain())
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic("web: " + err.Error()) // the level is one that there is, and memory takes all writes
	}
	return b.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Digest is the first 32 hex digits of a SHA-256 over names and digests of all files.
// It is empty if nothing was built.
func (s *Site) Digest() string { return s.digest }

// Root is the path below which all files but / and /sw.js are, with a slash at its end.
func (s *Site) Root() string { return "/web/" + s.digest + "/" }

// Paths lists the files, sorted.
func (s *Site) Paths() []string { return slices.Sorted(maps.Keys(s.files)) }

// FileDigest is the SHA-256 of the file at path, without a coding, in hex. It is empty
// if there is none.
func (s *Site) FileDigest(path string) string {
	if f := s.files[path]; f != nil {
		return f.digest
	}
	return ""
}
