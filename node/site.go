package node

import (
	"context"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Site is the page with which people use a node in a browser. A node knows nothing of
// it but how to ask for its files; package client/web has one. Its methods may be called
// by many goroutines at once.
type Site interface {
	// Answer answers a GET of path: 200, 304 if that is what match, the value of
	// If-None-Match, leads to, or 404. accept is the value of Accept-Encoding. The
	// headers are those of this answer alone; the caller changes neither them nor body.
	Answer(path, accept, match string) (status int, headers [][2]string, body []byte)
	// Digest is one of all files, empty if there are none but a page that says so.
	Digest() string
	// Paths lists the files.
	Paths() []string
	// FileDigest is the SHA-256 of what a browser makes of the file at path, in hex.
	FileDigest(path string) string
}

// servePage serves a file of the page from memory. Its path is that of the request.
func servePage(_ context.Context, a *api, r *incoming) (any, error) {
	if a.site == nil {
		return nil, wire.Errorf(wire.NotExist, "", "no such path")
	}
	path, _, _ := strings.Cut(r.target, "?")
	list := func(header string) string { return strings.Join(r.all(header), ", ") }
	status, headers, body := a.site.Answer(path, list("Accept-Encoding"), list("If-None-Match"))
	if status == 404 {
		return nil, wire.Errorf(wire.NotExist, "", "no such path")
	}
	return reply{status: status, headers: headers, body: body}, nil
}

// servePageNode tells the page which node it came from.
func servePageNode(_ context.Context, a *api, _ *incoming) (any, error) {
	return wire.PageNode{Node: a.node.name}, nil
}

// logSite logs what is served to browsers, so that it can be compared with the release
// (peerbrain web --verify).
func (a *api) logSite() {
	if a.site == nil {
		return
	}
	if a.site.Digest() == "" {
		a.log.Warn("this program was built without its page for browsers; go generate ./client/web builds it")
		return
	}
	paths := a.site.Paths()
	a.log.Info("page for browsers", "digest", a.site.Digest(), "files", len(paths))
	for _, path := range paths {
		a.log.Debug("file of the page", "path", path, "sha256", a.site.FileDigest(path))
	}
}
