package bolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// pageEnv names the file that this binary, run once more as a child of
// TestDamagedPages, is to use as a node would.
const pageEnv = "PEERBRAIN_BOLT_PAGE_TEST"

const pageRecords = 3000 // in three levels of pages, since the keys are long

func pageKey(i int) string   { return fmt.Sprintf("k/%04d/%s", i, strings.Repeat("x", 400)) }
func pageValue(i int) string { return fmt.Sprintf("%0100d", i) }

// A usage is what a child found.
type usage struct {
	Opened              bool
	Got, Named          int      // records that were read one by one, or named as damaged
	Scanned             int      // records that a scan had, of both directions the fewer
	ScanTells           bool     // both scans named a range
	Wrong               []string // what was not what was written, or missing without a word
	Flaws               int      // that an inspection found
	Acknowledged, Taken int      // writes, and those that were there when it was opened again
}

// pageChild uses a file and prints what it found.
func pageChild(path string) {
	debug.SetMaxStack(16 << 20) // what goes down for ever ends sooner
	var u usage
	s, err := Open(path, Options{})
	if u.Opened = err == nil; u.Opened {
		flaws, err := s.Inspect(context.Background())
		if u.Flaws = len(flaws); err != nil {
			u.wrong("inspection: %v", err)
		}
		u.read(s)
		u.write(s)
	} else if !errors.Is(err, store.ErrDamaged) {
		u.wrong("it does not open: %v", err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(u)
	os.Exit(0)
}

func (u *usage) wrong(format string, args ...any) {
	u.Wrong = append(u.Wrong, fmt.Sprintf(format, args...))
}

func (u *usage) read(s *Store) {
	ctx := context.Background()
	for i := range pageRecords {
		switch r, err := s.Get(ctx, pageKey(i)); {
		case errors.Is(err, store.ErrDamaged):
			u.Named++
		case err != nil || string(r.Value) != pageValue(i):
			u.wrong("record %d: %q, %v", i, r.Value, err)
		default:
			u.Got++
		}
	}
	u.Scanned, u.ScanTells = pageRecords, true
	for _, reverse := range []bool{false, true} {
		scanned, tells := 0, false
		for r, err := range s.Scan(ctx, store.Query{Reverse: reverse}) {
			var i int
			switch {
			case errors.Is(err, store.ErrDamaged):
				tells = true
			case err != nil:
				u.wrong("scan: %v", err)
			default:
				if _, err := fmt.Sscanf(r.Key, "k/%d/", &i); err != nil || r.Key != pageKey(i) || string(r.Value) != pageValue(i) {
					u.wrong("scan: %.10q is %q", r.Key, r.Value)
				}
				scanned++
			}
		}
		u.Scanned, u.ScanTells = min(u.Scanned, scanned), u.ScanTells && tells
	}
}

// write changes every thirtieth record, and deletes as many (of which nobody may be able to
// tell that they are not there), and looks for what was
// acknowledged when the file was closed and opened again.
func (u *usage) write(s *Store) {
	ctx := context.Background()
	var done []int
	for i := 0; i < pageRecords; i += 15 {
		c := store.Change{Key: pageKey(i), Value: []byte("new")}
		if i%2 == 0 {
			c.Value = nil
		}
		err := s.Apply(ctx, c)
		if err == nil {
			done = append(done, i)
		} else if !errors.Is(err, store.ErrDamaged) {
			u.wrong("write %d: %v", i, err)
		}
	}
	u.Acknowledged = len(done)
	if err := s.Close(); err != nil {
		u.wrong("close: %v", err)
	}
	s, err := Open(s.path, Options{})
	if err != nil {
		u.wrong("open again: %v", err)
		return
	}
	defer s.Close()
	for _, i := range done {
		r, err := s.Get(ctx, pageKey(i))
		if i%2 == 0 && (err == store.ErrNotExist || errors.Is(err, store.ErrDamaged)) || i%2 == 1 && err == nil && string(r.Value) == "new" {
			u.Taken++
		} else {
			u.wrong("record %d was written: %q, %v", i, r.Value, err)
		}
	}
}

// used lets a child use a file.
func used(t *testing.T, path string) (u usage) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), pageEnv+"="+path)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &u)
	}
	if err != nil {
		t.Fatalf("the process ended: %v\n%.500s", err, said.String())
	}
	return u
}

// threeLevels makes a file whose tree has three levels.
func threeLevels(t *testing.T) (path string) {
	s := open(t, t.TempDir())
	var changes []store.Change
	for i := range pageRecords {
		changes = append(changes, put(pageKey(i), pageValue(i)))
	}
	if err := s.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.path
}

// recordsIn returns the tree of records in the bytes of a file that is closed.
func recordsIn(t *testing.T, path string, b []byte) (found tree) {
	t.Helper()
	db, err := openBolt(path, Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		c := contentOf(tx)
		c.data = b
		found, _ = c.bucket(bucketName)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDamagedPages lets pages lead where they do not, and count what they do not
// have. No process ends, nothing is wrong or missing without a word, and what lies
// in other pages is there, can be changed, and stays.
func TestDamagedPages(t *testing.T) {
	path := threeLevels(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	top := recordsIn(t, path, whole).top()
	at := recordsIn(t, path, whole)
	mid := at.page(top.child(top.count / 2))
	leaf := at.page(mid.child(mid.count / 2))
	if top.leaf || mid.leaf || !leaf.leaf {
		t.Fatalf("the tree has not three levels")
	}
	below := mid.count * leaf.count * 3 / 2 // records below mid, at most, about
	set := func(p page, i int, id uint64) func([]byte) {
		return func(b []byte) {
			binary.NativeEndian.PutUint64(b[int(p.id)*pageSize+pageHead+elementSize*i+8:], id)
		}
	}
	count := func(p page, n int) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint16(b[int(p.id)*pageSize+10:], uint16(n)) }
	}
	flags := func(b []byte) { b[int(leaf.id)*pageSize+pageHead+elementSize] ^= 1 }
	for _, test := range []struct {
		name   string
		damage func([]byte)
		lost   int // records that are not there, at most
		silent bool
	}{
		{"a branch leads to itself", set(mid, mid.count/2, mid.id), 3 * leaf.count, false},
		{"its first child is itself", set(mid, 0, mid.id), 3 * leaf.count, false},
		{"its last child is itself", set(mid, mid.count-1, mid.id), 3 * leaf.count, false},
		{"a branch leads to the root", set(mid, mid.count/2, top.id), 3 * leaf.count, false},
		{"its first child is the root", set(mid, 0, top.id), 3 * leaf.count, false},
		{"its last child is the root", set(mid, mid.count-1, top.id), 3 * leaf.count, false},
		{"the root leads to itself", set(top, top.count/2, top.id), below, false},
		{"its first child is the root itself", set(top, 0, top.id), below, false},
		{"its last child is the root itself", set(top, top.count-1, top.id), below, false},
		{"a branch leads behind the end", set(mid, 1, 1<<40), 3 * leaf.count, false},
		{"a branch leads to a page of another branch", set(mid, 1, at.page(top.child(0)).child(2)), 3 * leaf.count, false},
		{"a branch leads to a branch beside", set(mid, 1, top.child(0)), 3 * leaf.count, false},
		{"a leaf counts one less", count(leaf, leaf.count-1), leaf.count, false},
		{"a leaf counts none", count(leaf, 0), leaf.count, false},
		{"a leaf counts one more", count(leaf, leaf.count+1), leaf.count, false},
		{"a branch counts one less", count(mid, mid.count-1), below, false},
		{"a branch counts one", count(mid, 1), below, false},
		{"the root counts one less", count(top, top.count-1), pageRecords, false},
		{"a record is called a bucket", flags, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := slices.Clone(whole)
			test.damage(b)
			path := filepath.Join(t.TempDir(), "node.db")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			u := used(t, path)
			if len(u.Wrong) > 0 {
				t.Errorf("%d faults, such as %.300s", len(u.Wrong), u.Wrong[0])
			}
			if !u.Opened {
				t.Fatal("it does not open")
			}
			if u.Got+u.Named != pageRecords || u.Named > test.lost || pageRecords-u.Scanned > test.lost {
				t.Errorf("%d records were read one by one, %d named, %d scanned of %d, at most %d may be missing", u.Got, u.Named, u.Scanned, pageRecords, test.lost)
			}
			if u.Flaws == 0 {
				t.Error("an inspection finds nothing")
			}
			if test.silent == u.ScanTells || test.silent != (u.Named == 0) {
				t.Errorf("%d records were named, scans tell: %t", u.Named, u.ScanTells)
			}
			t.Logf("%d flaws, %d read, %d named, %d scanned, %d writes acknowledged, %d there", u.Flaws, u.Got, u.Named, u.Scanned, u.Acknowledged, u.Taken)
		})
	}
}

// TestInspection inspects files in which all is well, and one in which a branch leads
// to an older copy of a page, which looks like any other to whoever reads it.
func TestInspection(t *testing.T) {
	path := threeLevels(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	older := recordsIn(t, path, before).cursor()
	inspect := func() []store.Flaw {
		t.Helper()
		s := open(t, filepath.Dir(path))
		defer s.Close()
		flaws, err := s.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return flaws
	}
	if flaws := inspect(); len(flaws) > 0 {
		t.Errorf("a new file: %v", flaws)
	}
	s := open(t, filepath.Dir(path))
	for i := 0; i < pageRecords; i += 10 {
		if err := s.Apply(t.Context(), put(pageKey(i), "new")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if flaws := inspect(); len(flaws) > 0 {
		t.Errorf("a changed file: %v", flaws)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := recordsIn(t, path, b).cursor()
	var was, is uint64
	var above spot
	for i := 0; i < pageRecords && was == 0; i += 10 { // most copies were written over since
		older.find([]byte(pageKey(i)))
		newer.find([]byte(pageKey(i)))
		id := older.at().id
		if slices.Equal(b[id*pageSize:(id+1)*pageSize], before[id*pageSize:(id+1)*pageSize]) {
			was, is, above = id, newer.at().id, newer.stack[1]
		}
	}
	if was == 0 || was == is {
		t.Fatal("no older copy of a page is there any more")
	}
	binary.NativeEndian.PutUint64(b[int(above.id)*pageSize+pageHead+elementSize*above.index+8:], was)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []store.Flaw{
		{Place: fmt.Sprint("page ", was), Problem: "it is in use, and on the list of free pages"},
		{Place: fmt.Sprint("page ", is), Problem: "nothing leads to it, and it is not free (1 pages in all)"},
	}
	flaws := inspect()
	for _, flaw := range want {
		if !slices.Contains(flaws, flaw) {
			t.Errorf("got %v, want %v", flaws, flaw)
		}
	}
}
