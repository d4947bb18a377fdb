package story_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var madeRoom = regexp.MustCompile(`msg="older entries of copies were removed to make room" .*left=(\d+) copies\.max_bytes=(\d+)`)

// trimmer waits until one of these processes says that it made room, more often than
// before, and wants it to have kept to the cap.
func (w *world) trimmer(before map[*server]int, processes ...*server) int {
	w.Helper()
	for deadline := time.Now().Add(newsArrive); time.Now().Before(deadline); time.Sleep(nextLook) {
		for i, s := range processes {
			said := madeRoom.FindAllStringSubmatch(string(must(os.ReadFile(s.log))), -1)
			if len(said) <= before[s] {
				continue
			}
			before[s] = len(said)
			left, most := must(strconv.Atoi(said[len(said)-1][1])), must(strconv.Atoi(said[len(said)-1][2]))
			if most != 1<<20 || left > most {
				w.Errorf("%s left %d bytes of copies, the cap is %d", s.log, left, most)
			}
			return i
		}
	}
	w.Fatalf("nobody made room among the copies:\n%s", processes[0].tail())
	return 0
}

// weighs wants the copies of a node on MongoDB to take as many bytes as is noted of
// them, and nothing to be wrong. fsck counts a wrong number as left over.
func (w *world) weighs(s *server) {
	w.Helper()
	if out := w.operates(s, "fsck", "--json"); strings.Contains(out, "as many bytes") || !strings.Contains(out, `"findings":0,`) {
		w.Errorf("fsck: %s", out)
	}
}

// TestCapOfCopiesOnMongoDB is TestCapOfCopies with two processes of the reader's node on
// one database. Each of them trims; what one has trimmed is fetched again by whichever
// is asked, and what one has fetched the other shows; and both agree with the records
// on what the copies take.
func TestCapOfCopiesOnMongoDB(t *testing.T) {
	offices, first := map[string]*office{}, true
	inOffice := inOffices(t, offices)
	w := newWorld(t, func(s *server) error {
		if first { // the left one, on files
			first = false
			return nil
		}
		s.flags = append(s.flags, "--copies-max-bytes", "1MiB")
		return inOffice(s)
	})
	both := offices[w.right.name].processes
	w.plays("ada: register ada@", "bob: register bob@", "ada: friend add bob@", "bob: friend accept ada@")
	var posts []string
	for i := range 18 {
		posts = slices.Insert(posts, 0, fmt.Sprintf("number-%02d", i+1))
		if _, errs, err := w.types("ada", "post", strings.Repeat(".", 62_000)+posts[0]); err != nil {
			t.Fatal(err, errs)
		}
	}
	rooms := map[*server]int{}
	last := w.trimmer(rooms, both[:]...)
	w.weighs(w.right)
	if err := w.left.kill(); err != nil {
		t.Fatal(err)
	}
	w.fails("bob", "are not kept at this node", "read", "ada@")
	if err := w.left.start(); err != nil {
		t.Fatal(err)
	}
	w.sees("bob", "ada", posts...)
	w.weighs(w.right)

	// Killed, they forget what was read a moment ago; and the one that did not trim does.
	for _, s := range both {
		if err := s.kill(); err != nil {
			t.Fatal(err)
		}
	}
	other := both[1-last]
	if err := other.start(); err != nil {
		t.Fatal(err)
	}
	w.trimmer(rooms, other)
	w.weighs(w.right)
	w.sees("bob", "ada", posts...)
	if err := both[last].start(); err != nil {
		t.Fatal(err)
	}
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	w.sees("bob", "ada", posts...) // at the one that did not fetch it
	w.weighs(w.right)
}
