package story_test

import (
	"os"
	"strings"
	"testing"
)

// What a restored node logs.
const (
	nobodyAsked = "after the restore, nobody is asked any more"
	notAsked    = "after the restore, a node could not be asked yet"
)

// loses takes a device away from somebody, with all that is on it.
func (w *world) loses(device string) {
	w.Helper()
	if err := os.RemoveAll(w.home(device)); err != nil {
		w.Fatal(err)
	}
}

// TestRegain restores a home from an old copy when the device that wrote what is
// lost is gone as well: the friend's node has it, and another device, which has
// seen all of it and wrote nothing, goes on where that ended.
func TestRegain(t *testing.T) {
	t.Parallel()
	testRegain(newWorld(t))
}

// TestRegainOnMongoDB is TestRegain with both nodes on MongoDB.
func TestRegainOnMongoDB(t *testing.T) { testRegain(newWorld(t, onMongoDB(t))) }

func testRegain(w *world) {
	w.plays("ada: register ada@", "carol: register carol@", "bob: register bob@",
		"ada: friend add bob@", "bob: friend accept ada@", "carol: friend add ada@", "ada: friend accept carol@",
		"ada: post one", "ada-2: login ada@")
	w.sees("bob", "ada", "one")
	w.sees("carol", "ada", "one")
	copied := w.backup(w.left)
	w.plays("ada: post two", "ada: post three")
	w.sees("bob", "ada", "three", "two", "one")
	w.sees("ada-2", "ada", "three", "two", "one")
	w.loses("ada")

	w.restore(w.left, copied)
	w.logged(w.left, nobodyAsked, 1)
	if out, errs, err := w.types("ada-2", "login", w.address("ada")); err != nil || strings.Contains(errs, behind) || strings.Contains(errs, handedIn) {
		w.Fatalf("ada logs in on her other device: got %v, %s%s", err, out, errs)
	}
	w.plays("ada-2: post four", "carol: login carol@")
	for _, reader := range []string{"ada-2", "bob", "carol"} {
		if notes := w.sees(reader, "ada", "four", "three", "two", "one"); strings.Contains(notes, "less than was seen") {
			w.Errorf("%s is told that something is missing: %s", reader, notes)
		}
	}

	// The friend's node is away meanwhile, and comes back later.
	if err := w.right.stop(); err != nil {
		w.Fatal(err)
	}
	w.restore(w.left, copied)
	w.logged(w.left, notAsked, 1)
	w.logsIn("ada-2", behind)
	if err := w.right.start(); err != nil {
		w.Fatal(err)
	}
	w.logged(w.left, nobodyAsked, 2)
	if out, errs, err := w.types("ada-2", "login", w.address("ada")); err != nil || strings.Contains(errs, behind) || strings.Contains(errs, handedIn) {
		w.Fatalf("ada logs in on her other device again: got %v, %s%s", err, out, errs)
	}
	w.plays("ada-2: post five")
	w.sees("ada-2", "ada", "five", "four", "three", "two", "one")
	w.sees("bob", "ada", "five", "four", "three", "two", "one")
}
