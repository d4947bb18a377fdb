package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// logged waits until the log of a node has a text so many times.
func (w *world) logged(s *server, text string, times int) {
	w.Helper()
	for deadline := time.Now().Add(newsArrive); time.Now().Before(deadline); time.Sleep(nextLook) {
		if log, err := os.ReadFile(s.log); err == nil && strings.Count(string(log), text) >= times {
			return
		}
	}
	w.Fatalf("the log of %s has not %d times %q:\n%s", s.name, times, text, s.tail())
}

// TestCapOfCopies lets a friend elsewhere write more than the copies may take. What
// is old goes, and says so while its home is away; it is fetched again when it is
// read; the node may be killed in the middle of that; and all copies may be deleted.
func TestCapOfCopies(t *testing.T) {
	undetected(t)
	t.Parallel()
	const trimmed = "older entries of copies were removed to make room"
	first := true
	w := newWorld(t, func(s *server) error {
		if !first { // the right one
			s.flags = append(s.flags, "--copies-max-bytes", "1MiB")
		}
		first = false
		return nil
	})
	w.plays("ada: register ada@", "bob: register bob@", "ada: friend add bob@", "bob: friend accept ada@", "bob: post mine")
	var posts []string
	write := func(count int) {
		for range count {
			post := fmt.Sprintf("number-%02d", len(posts)+1)
			if _, errs, err := w.types("ada", "post", strings.Repeat(".", 62_000)+post); err != nil {
				t.Fatal(err, errs)
			}
			posts = slices.Insert(posts, 0, post)
		}
	}
	write(18)
	w.logged(w.right, trimmed, 1)

	if err := w.left.kill(); err != nil {
		t.Fatal(err)
	}
	w.fails("bob", "are not kept at this node", "read", "ada@")
	if err := w.left.start(); err != nil {
		t.Fatal(err)
	}
	w.sees("bob", "ada", posts...)

	// After a start, what was read long ago goes again. It ends at some moment.
	for round := range 3 {
		if err := w.right.kill(); err != nil {
			t.Fatal(err)
		}
		w.operates(w.right, "fsck", "--data", w.right.data)
		if err := w.right.begin(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * 15 * time.Millisecond) // not to wait: to be somewhere else
		if err := w.right.kill(); err != nil {
			t.Fatal(err)
		}
		w.operates(w.right, "fsck", "--data", w.right.data)
		if err := w.right.start(); err != nil {
			t.Fatal(err)
		}
		w.sees("bob", "ada", posts...)
	}

	if err := w.right.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.right.data, "copies.db")); err != nil {
		t.Fatal(err)
	}
	if err := w.right.start(); err != nil {
		t.Fatal(err)
	}
	w.sees("bob", "ada", posts...)
	w.sees("bob", "bob", "mine")
	w.sees("ada", "bob", "mine")
}
