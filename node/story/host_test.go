package story_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// documentOf is a document that somebody made up for a node, with keys of theirs.
// With a number, the node keeps a log of that number.
func documentOf(t testing.TB, name, host string, number ...uint64) wire.NodeDocumentReply {
	t.Helper()
	root, request := wire.NewNodeRootSecret([32]byte{1}), wire.NewNodeRequestSecret([32]byte{2})
	d := &wire.NodeDocument{
		Version: wire.Version, Suite: wire.Suite, Name: wire.NodeName(name), Host: wire.NodeName(host), Root: root.Public(),
		Keys:   []wire.NodeKey{{Purpose: wire.KeyForRequests, Key: request.Public(), NotBefore: 1, NotAfter: 1 << 40}},
		Number: 1, Software: "test", OldestClient: 1, MaxPost: wire.MaxSealedPost, Created: 1,
	}
	for _, n := range number {
		d.Log = &wire.NodeLog{Number: n}
		d.Keys = append(d.Keys, wire.NodeKey{Purpose: wire.KeyForLog, Key: wire.NodeRequestKey(wire.NewNodeLogSecret([32]byte{3}).Public()), NotBefore: 1, NotAfter: 1 << 40})
	}
	signed, err := d.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	return wire.NodeDocumentReply{Document: signed}
}

// A static web server has one file, and keeps what was asked of it.
type static struct {
	file string
	mu   sync.Mutex
	seen []string // methods and targets, and what might be a secret
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+r.RequestURI+r.Header.Get("Authorization"))
	s.mu.Unlock()
	if r.URL.Path != wire.PathDocument {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", wire.MediaJSON)
	http.ServeFile(w, r, s.file)
}

// TestDelegatedName has a node whose API is at another host than its name says:
// at the name there is a file with its document, on a server that knows nothing
// else. Its people, and those of another node, notice no difference, and the
// server at the name is asked for the file alone.
func TestDelegatedName(t *testing.T) {
	undetected(t)
	t.Parallel()
	site := &static{file: filepath.Join(t.TempDir(), "peerbrain")}
	w := newWorld(t, func(s *server) error {
		if filepath.Base(s.data) != "left" {
			return nil
		}
		err := standBefore(t, s, site)
		s.flags = append(s.flags, "--host", strings.Replace(s.listen, "127.0.0.1", "localhost", 1))
		return err
	})
	copies := func() { // as docs/operating.md tells the operator to
		transport := &http.Transport{DisableKeepAlives: true}
		answer, err := (&http.Client{Transport: transport}).Get("http://" + w.left.listen + wire.PathDocument)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		document, err := io.ReadAll(answer.Body)
		if err == nil {
			err = os.WriteFile(site.file, document, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, errs, err := w.types("ada", "register", w.address("ada")); err == nil || !strings.Contains(errs, "status 404 and nothing that is understood") {
		t.Errorf("before the file is there: got %v, %s", err, errs)
	}
	copies()
	w.plays("ada: register ada@", "carol: register carol@", "bob: register bob@",
		"ada: friend add bob@", "bob: friend accept ada@", "carol: friend add ada@", "ada: friend accept carol@",
		"ada: post one", "bob: post two", "ada: post three")
	for _, reader := range []string{"ada", "bob", "carol"} {
		w.sees(reader, "ada", "three", "one")
	}
	w.sees("ada", "bob", "two")
	w.plays("ada: logout", "ada: login ada@", "ada: post four")
	w.sees("bob", "ada", "four", "three", "one")
	if err := w.left.stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.left.start(); err != nil { // the file is that of before
		t.Fatal(err)
	}
	w.plays("bob: post five", "ada: post six")
	w.sees("bob", "ada", "six", "four", "three", "one")
	w.sees("ada", "bob", "five", "two")
	for path, want := range map[string]string{
		"/.well-known/webfinger?resource=acct:ada@" + w.left.name: fmt.Sprintf(`"href":"http://%s/.well-known/peerbrain"`, w.left.name),
		"/.well-known/nodeinfo":                                   fmt.Sprintf(`"href":"http://%s/nodeinfo/2.1"`, strings.Replace(w.left.listen, "127.0.0.1", "localhost", 1)),
	} {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + w.left.listen + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s, %v, want %s", path, text, err, want)
		}
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	if other := slices.DeleteFunc(slices.Clone(site.seen), func(s string) bool { return s == "GET "+wire.PathDocument }); len(other) > 0 || len(site.seen) < 10 {
		t.Errorf("the server at the name was asked %d times, and for more than the file: %q", len(site.seen), other)
	}
}
