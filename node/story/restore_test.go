package story_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// backup copies a node, running or not, with the command of its operator.
func (w *world) backup(s *server) (file string) {
	w.Helper()
	file = filepath.Join(w.TempDir(), "backup")
	w.operates(s, "backup", "--data", s.data, file)
	return file
}

// restore ends a node, and makes it again of a copy, in a place that is empty.
func (w *world) restore(s *server, file string) {
	w.Helper()
	err := s.kill()
	if err == nil && s.moves != nil {
		s.moves()
	} else if err == nil {
		err = os.RemoveAll(s.data)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.operates(s, "restore", "--data", s.data, "--name", s.name, file)
	if err := s.start(); err != nil {
		w.Fatal(err)
	}
}

// operates runs peerbrain-node for a node, which has to succeed, and returns what
// it says.
func (w *world) operates(s *server, args ...string) string {
	w.Helper()
	out, err := w.tries(s, args...)
	if err != nil {
		w.Fatalf("peerbrain-node %q: %v\n%s", args, err, out)
	}
	return out
}

// tries runs peerbrain-node for a node.
func (w *world) tries(s *server, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(w.bin, "peerbrain-node"), args...)
	cmd.Env = append(bare(), s.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// plays plays acts, which have to come out as wanted: "ada: post one", with NAME@
// for an address.
func (w *world) plays(lines ...string) {
	w.Helper()
	for _, line := range lines {
		who, words, _ := strings.Cut(line, ": ")
		if err := w.play(act{who: who, words: strings.Fields(words)}); err != nil {
			w.Fatal(err)
		}
	}
}

// sees waits until the posts of somebody are these, newest first, and returns
// what is said beside them.
func (w *world) sees(who, author string, want ...string) (notes string) {
	w.Helper()
	var texts []string
	for _, text := range want {
		texts = append(texts, "(?s:.*)"+text)
	}
	a := act{who: who, words: []string{"read", author + "@"}, want: strings.Join(texts, "") + "$"}
	if err := w.play(a); err != nil {
		w.Fatal(err)
	}
	out, notes, err := w.types(who, "read", w.address(author), "--json")
	if got := strings.Count(out, `"text"`); err != nil || got != len(want) {
		w.Fatalf("%s reads %s: got %d posts, %v, want %q\n%s%s", who, author, got, err, want, out, notes)
	}
	return notes
}

// fails types a command that has to fail with these words.
func (w *world) fails(who string, want string, words ...string) {
	w.Helper()
	for i, word := range words {
		if name, ok := strings.CutSuffix(word, "@"); ok {
			words[i] = w.address(name)
		}
	}
	if out, errs, err := w.types(who, words...); err == nil || !strings.Contains(errs, want) || !strings.Contains(errs, "hint: ") {
		w.Fatalf("%s: peerbrain %q: got %v, %s%s, want %q and a hint", who, words, err, out, errs, want)
	}
}

// logsIn logs in on a device, and wants these words beside.
func (w *world) logsIn(device, want string) {
	w.Helper()
	out, errs, err := w.types(device, "login", w.address(person(device)))
	if err != nil || !strings.Contains(errs, want) {
		w.Fatalf("%s logs in: got %v, %s%s, want %q", device, err, out, errs, want)
	}
}

const (
	handedIn = "this device has handed it in again"
	behind   = "shows less than this device has seen"
)

// TestOldCopy restores a node from a copy that is older than what was acknowledged
// since, and looks at everybody's side.
func TestOldCopy(t *testing.T) {
	undetected(t)
	t.Parallel()
	testOldCopy(newWorld(t))
}

// TestOldCopyOnMongoDB is TestOldCopy with both nodes on MongoDB.
func TestOldCopyOnMongoDB(t *testing.T) { testOldCopy(newWorld(t, onMongoDB(t))) }

func testOldCopy(w *world) {
	w.plays("ada: register ada@", "carol: register carol@", "bob: register bob@", "eve: register eve@",
		"ada: friend add bob@", "bob: friend accept ada@", "carol: friend add ada@", "ada: friend accept carol@",
		"ada: post one")
	w.sees("bob", "ada", "one")
	w.sees("carol", "ada", "one")
	copied := w.backup(w.left)
	w.plays("ada: post two", "ada: friend add eve@ --no-history", "eve: friend accept ada@", "ada: post three")
	w.sees("bob", "ada", "three", "two", "one")
	w.sees("carol", "ada", "three", "two", "one")
	w.sees("eve", "ada", "three")
	w.plays("dan: register dan@", "dan: post hi")
	w.restore(w.left, copied)

	// A friend elsewhere reads the copies of what the home has lost.
	w.sees("bob", "ada", "three", "two", "one")
	w.sees("eve", "ada", "three")

	// A friend here logs in again, and reads what is there, and what came back: what
	// stands before the next epoch.
	w.fails("carol", "has ended", "read", "ada@")
	w.logsIn("carol", "")
	if notes := w.sees("carol", "ada", "two", "one"); !strings.Contains(notes, "less than was seen here before") {
		w.Errorf("carol is not told that something is missing: %s", notes)
	}

	// A new device asks the nodes of friends, and takes nothing older.
	w.fails("ada-2", "shows an old or forked vault", "login", "ada@")

	// The device that has written it hands it in, and all goes on as before.
	w.fails("ada", "has ended", "post", "four")
	w.logsIn("ada", handedIn)
	w.sees("ada", "ada", "three", "two", "one")
	w.plays("ada: post four")
	w.sees("ada", "ada", "four", "three", "two", "one")
	w.sees("carol", "ada", "four", "three", "two", "one")
	w.sees("bob", "ada", "four", "three", "two", "one")
	w.logsIn("ada-2", "agree")
	w.plays("bob: post answer")
	w.sees("ada-2", "bob", "answer")

	// Who registered meanwhile is there again, with the same key.
	w.logsIn("dan", handedIn)
	w.sees("dan", "dan", "hi")

	// Who became a friend meanwhile is one.
	w.sees("eve", "ada", "four", "three")
	w.plays("eve: post hello")
	w.sees("ada", "eve", "hello")
}

// A cut keeps entries from reaching a node while it is on.
type cut struct {
	http.RoundTripper
	on *atomic.Bool
}

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.on.Load() && r.URL.Path == wire.PathEntries {
		return nil, errLost
	}
	return c.RoundTripper.RoundTrip(r)
}

// TestOldCopyTwoDevices has two devices of one person write in turn after the
// copy: each hands in its part. A post that has not reached the node yet waits
// meanwhile, and comes after all that.
func TestOldCopyTwoDevices(t *testing.T) {
	undetected(t)
	t.Parallel()
	testOldCopyTwoDevices(t)
}

// TestOldCopyTwoDevicesOnMongoDB is the same with both nodes on MongoDB.
func TestOldCopyTwoDevicesOnMongoDB(t *testing.T) { testOldCopyTwoDevices(t, onMongoDB(t)) }

func testOldCopyTwoDevices(t *testing.T, arrange ...func(*server) error) {
	var on atomic.Bool
	w := newWorld(t, append(arrange, front(t, func(*server) http.RoundTripper { return cut{direct(), &on} }))...)
	w.plays("ada: register ada@", "ada-2: login ada@", "ada: post one")
	copied := w.backup(w.left)
	w.plays("ada: post two", "ada-2: post three", "ada: post four", "ada-2: read ada@")
	on.Store(true)
	w.fails("ada-2", "cannot post", "post", "waiting")
	on.Store(false)
	w.restore(w.left, copied)

	w.logsIn("ada", behind)
	w.fails("ada", "rolled back", "read", "ada@")
	w.fails("ada", "peerbrain login ada@", "post", "five")
	w.logsIn("ada-2", behind)
	w.logsIn("ada", handedIn)
	w.sees("ada", "ada", "four", "three", "two", "one")
	w.plays("ada-2: feed")
	w.sees("ada", "ada", "waiting", "four", "three", "two", "one")
	w.plays("ada: post five")
	w.sees("ada-2", "ada", "five", "waiting", "four", "three", "two", "one")
}
