package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// killed copies the files of a store as a kill at this moment would leave them.
func killed(t testing.TB, s *Store) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "node.db")
	for _, suffix := range []string{"", ".log0", ".log1"} {
		b, err := os.ReadFile(s.path + suffix)
		if err == nil {
			err = os.WriteFile(path+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// apply writes one record a frame.
func apply(t *testing.T, s *Store, changes ...store.Change) {
	t.Helper()
	for _, c := range changes {
		if err := s.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// A finds is what a scan finds: values, damaged keys, and whether it is told of
// something that has no key.
type finds struct {
	values  map[string]string
	damaged map[string]bool
	lost    bool
}

func scanned(t *testing.T, s *Store) finds {
	t.Helper()
	f := finds{map[string]string{}, map[string]bool{}, false}
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		switch {
		case err == nil:
			f.values[r.Key] = string(r.Value)
		case !errors.Is(err, store.ErrDamaged):
			t.Fatal(err)
		case r.Key == "":
			f.lost = true
		default:
			f.damaged[r.Key] = true
		}
	}
	return f
}

// manyFrames returns a store with two records in the file and six frames in the
// log, one of which deletes; the last writes "c/last".
func manyFrames(t *testing.T) (s *Store, want map[string]string) {
	s = open(t, t.TempDir())
	want = map[string]string{}
	add := func(key, value string) { apply(t, s, put(key, value)); want[key] = value }
	add("a/moved", strings.Repeat("moved ", 50))
	add("a/goes", "soon")
	moveAll(t, s)
	for i := range 3 {
		add(fmt.Sprintf("b/%d", i), strings.Repeat(fmt.Sprint("value ", i), 100*i+1))
	}
	apply(t, s, store.Change{Key: "a/goes"})
	delete(want, "a/goes")
	add("b/1", "another")
	add("c/last", strings.Repeat("last", 10))
	return s, want
}

// TestFlipsOfLog flips single bits of a log that a kill has left: what is missing
// is named, but for the last frame, which looks like one that was never
// acknowledged.
func TestFlipsOfLog(t *testing.T) {
	s, want := manyFrames(t)
	from := killed(t, s)
	segment := ""
	for _, suffix := range []string{".log0", ".log1"} {
		b, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("c/last")) {
			segment = suffix
		}
	}
	used := int(s.log.at)
	count := map[string]int{}
	for at := 0; at < used; at++ {
		inBlock := at % blockSize
		if inBlock > 60 && rand.IntN(100) > 0 { // all of the heads, and some of the rest
			continue
		}
		path := filepath.Join(t.TempDir(), "node.db")
		for _, suffix := range []string{"", ".log0", ".log1"} {
			b, err := os.ReadFile(from + suffix)
			if suffix == segment {
				b[at] ^= 1 << rand.IntN(8)
			}
			if err == nil {
				err = os.WriteFile(path+suffix, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		opts := Options{disk: disk{sync: func(*os.File) error { return nil }}}
		s, err := Open(path, opts)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		got := scanned(t, s)
		for key, value := range got.values {
			if _, there := want[key]; value != want[key] && !got.lost && (there || !got.damaged[key]) {
				t.Errorf("byte %d: %q is %.20q", at, key, value)
			}
		}
		missing := 0
		for key := range want {
			if _, ok := got.values[key]; !ok && !got.damaged[key] {
				missing++
			}
		}
		last := at >= used-blockSize
		switch {
		case got.lost:
			count["something without a name is lost, and told"]++
			if len(got.values) < len(want)-1 {
				t.Errorf("byte %d: only %d records are left", at, len(got.values))
			}
		case len(got.damaged) > 0:
			count["a record is damaged, and told"]++
		case maps.Equal(got.values, want):
			count["nobody sees a difference"]++
		case last && missing == 1:
			count["the last frame is left out"]++
		default:
			count["missing, and not told"]++
			t.Errorf("byte %d of block %d: got %v", inBlock, at/blockSize, got)
		}
		if last && (got.lost || len(got.damaged) > 0) {
			t.Errorf("byte %d: the last frame is told to be lost", at)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, n := range count {
		t.Logf("%4d flips: %s", n, what)
	}
	if len(count) != 4 {
		t.Errorf("got %v", count)
	}
}

// TestLostFrame overwrites a whole frame: what it had is told to be lost, as long
// as the segment lies there.
func TestLostFrame(t *testing.T) {
	s, want := manyFrames(t)
	path := killed(t, s)
	for _, suffix := range []string{".log0", ".log1"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte("b/2")); at > 0 {
			copy(b[at&^(blockSize-1):], make([]byte, blockSize))
			if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	delete(want, "b/2")
	for range 2 { // what a start finds, the next one knows
		s := open(t, filepath.Dir(path))
		if got := scanned(t, s); !got.lost || !maps.Equal(got.values, want) {
			t.Errorf("got %v, lost: %t", got.values, got.lost)
		}
		for _, key := range []string{"b/2", "never"} {
			if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%q, which may be lost: got %v", key, err)
			}
			if err := s.Apply(t.Context(), store.Change{Key: key, Value: []byte{1}, If: store.IfAbsent()}); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%q, if it is absent: got %v", key, err)
			}
		}
		for r, err := range s.Snapshot(t.Context()) {
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("a snapshot has %q, %v", r.Key, err)
			}
		}
		if _, err := s.Get(t.Context(), "a/goes"); errors.Is(err, store.ErrNotExist) {
			t.Log("what was deleted since is known to be gone")
		}
		apply(t, s, put("b/1", "well"), put("d/new", "written"))
		want["b/1"], want["d/new"] = "well", "written"
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := filepath.Glob(path + lostSuffix + "*")
	if err != nil || len(kept) != segments {
		t.Fatalf("kept: %q, %v", kept, err)
	}
	for _, name := range kept {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, filepath.Dir(path))
	if got := scanned(t, s); got.lost || !maps.Equal(got.values, want) {
		t.Errorf("accepted: got %v, lost: %t", got.values, got.lost)
	}
	apply(t, s, store.Change{Key: "b/2", Value: []byte{1}, If: store.IfAbsent()})
}

// TestForeignLogs opens a file without its log, or with one that is not its own.
func TestForeignLogs(t *testing.T) {
	s, _ := manyFrames(t)
	other, _ := manyFrames(t)
	for name, spoil := range map[string]func(path string) error{
		"missing":               func(path string) error { return os.Remove(path + ".log0") },
		"empty":                 func(path string) error { return os.Truncate(path+".log1", 0) },
		"of another store":      func(path string) error { return os.Rename(killed(t, other)+".log1", path+".log1") },
		"two flips in one head": func(path string) error { return flipHead(path+".log0", 0) },
	} {
		path := killed(t, s)
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		before := filesOf(t, path)
		again, err := Open(path, Options{})
		if name == "two flips in one head" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := again.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path+".log") {
			t.Errorf("%s: got %v, want which file it is about", name, err)
		}
		if !maps.Equal(filesOf(t, path), before) {
			t.Errorf("%s: something was written", name)
		}
	}
}

// flipHead flips a bit of one of the two heads of a segment.
func flipHead(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[at+3] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func filesOf(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	names, err := filepath.Glob(path + "*")
	for _, name := range names {
		var b []byte
		if b, err = os.ReadFile(name); err == nil {
			found[name] = string(b)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSegmentsInTurn goes through both segments several times, and ends at each
// step: what stands there from before does not come back.
func TestSegmentsInTurn(t *testing.T) {
	s := open(t, t.TempDir())
	want := map[string]string{}
	for round := range 5 {
		for i := range 4 - round%3 { // fewer than before, so that old frames stay behind them
			key, value := fmt.Sprintf("k/%d", i), fmt.Sprintf("round %d", round)
			apply(t, s, put(key, value))
			want[key] = value
			path := killed(t, s)
			again := open(t, filepath.Dir(path))
			if got := scanned(t, again); got.lost || !maps.Equal(got.values, want) {
				t.Fatalf("round %d, frame %d: got %v, want %v", round, i, got, want)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		moveAll(t, s)
	}
}

// TestStaleLog finds the segments of a log that the file does not know any more.
func TestStaleLog(t *testing.T) {
	s, want := manyFrames(t)
	path := killed(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, filepath.Dir(path))
	if got := scanned(t, again); got.lost || !maps.Equal(got.values, want) {
		t.Errorf("got %v", got)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestNewestRootIsDamaged damages the page of the file that leads to its newest
// records, of a store that was killed: before anything was moved, and after. The
// page before knows of the log, too, which has what came since.
func TestNewestRootIsDamaged(t *testing.T) {
	for _, moved := range []bool{false, true} {
		s := open(t, t.TempDir())
		want := map[string]string{}
		for i := range 6 {
			key := fmt.Sprint("k/", i)
			apply(t, s, put(key, "v"))
			want[key] = "v"
			if moved && i == 3 {
				moveAll(t, s)
			}
		}
		path := killed(t, s)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const number = 64 // of the transaction, in the page
		at := number
		if binary.NativeEndian.Uint64(b[pageSize+number:]) > binary.NativeEndian.Uint64(b[number:]) {
			at += pageSize
		}
		b[at] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, filepath.Dir(path))
		if got := scanned(t, again); got.lost || !maps.Equal(got.values, want) {
			t.Errorf("moved: %t: got %v", moved, got)
		}
	}
}
