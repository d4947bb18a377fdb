//go:build faultydisk

package bolt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A step is one thing that happens to a file, or to the folder.
type step struct {
	file string // "" is that of the records, else what its name has besides
	kind byte   // 'w'rite, 't'runcate, 's'ync, 'S': a sync that failed, 'c'reate, 'u'nlink, 'd': sync of the folder
	at   int64
	data []byte
}

// A drive is what the store's files lie on. It notes each step, lets chosen ones
// fail, and may leave syncs out.
type drive struct {
	mu    sync.Mutex
	steps []step
	fail  func(n int, kind byte) error  // nil: nothing fails
	half  bool                          // a write that fails is made in part
	fast  bool                          // syncs are noted, not made
	omit  func(file string, n int) bool // the n-th sync of a file is not made, nor noted; nil: all are
	syncs map[string]int
}

// use has bbolt work on the drive.
func (d *drive) use() Options {
	bbolt.Disk.Sync, bbolt.Disk.Truncate, bbolt.Disk.WriteAt = d.sync, d.truncate, d.writeAt
	really := disk{}.whole()
	return Options{disk: disk{
		writeAt: d.writeAt,
		sync:    func(f *os.File) error { return d.sync(f, func() error { return really.sync(f) }) },
		create: func(path string) (*os.File, error) {
			if err := d.next(step{file: nameOf(path), kind: 'c'}); err != nil {
				return nil, err
			}
			return really.create(path)
		},
		remove: func(path string) error {
			if _, err := os.Stat(path); err != nil {
				return err
			}
			if err := d.next(step{file: nameOf(path), kind: 'u'}); err != nil {
				return err
			}
			return really.remove(path)
		},
		folder: func(dir string) error {
			d.mu.Lock()
			omitted := d.omit != nil && d.omit("folder", 0)
			d.mu.Unlock()
			if omitted {
				return nil
			}
			if err := d.next(step{kind: 'd'}); err != nil || d.fast {
				return err
			}
			return really.folder(dir)
		},
	}}
}

// nameOf is what a step calls a file: that of the records is made under another
// name.
func nameOf(path string) string {
	if i := strings.Index(path, ".log"); i >= 0 {
		return path[i:]
	}
	return ""
}

// quick has bbolt work on a drive that notes nothing and needs no syncs.
func quick() Options {
	bbolt.Disk.Sync = func(*os.File, func() error) error { return nil }
	bbolt.Disk.Truncate, bbolt.Disk.WriteAt = (*os.File).Truncate, (*os.File).WriteAt
	return Options{disk: disk{sync: func(*os.File) error { return nil }, folder: func(string) error { return nil }}}
}

// next notes a step and reports whether it is to fail.
func (d *drive) next(s step) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.fail != nil {
		err = d.fail(len(d.steps), s.kind)
	}
	switch {
	case err == nil:
	case s.kind == 's':
		s.kind = 'S'
	case s.kind == 'w':
		s.data = s.data[:0]
	default:
		s.kind = '-' // it was not made
	}
	d.steps = append(d.steps, s)
	return err
}

func (d *drive) writeAt(f *os.File, b []byte, at int64) (int, error) {
	if err := d.next(step{nameOf(f.Name()), 'w', at, append([]byte{}, b...)}); err != nil {
		n := 0
		if d.half {
			n, _ = f.WriteAt(b[:len(b)/2], at)
			d.mu.Lock()
			d.steps[len(d.steps)-1].data = append([]byte{}, b[:n]...)
			d.mu.Unlock()
		}
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: err}
	}
	return f.WriteAt(b, at)
}

func (d *drive) truncate(f *os.File, size int64) error {
	if err := d.next(step{file: nameOf(f.Name()), kind: 't', at: size}); err != nil {
		return err
	}
	return f.Truncate(size)
}

func (d *drive) sync(f *os.File, really func() error) error {
	name := nameOf(f.Name())
	d.mu.Lock()
	if d.syncs == nil {
		d.syncs = map[string]int{}
	}
	omitted := d.omit != nil && d.omit(name, d.syncs[name])
	d.syncs[name]++
	d.mu.Unlock()
	if omitted {
		return nil
	}
	if err := d.next(step{file: name, kind: 's'}); err != nil || d.fast {
		return err
	}
	return really()
}

func (d *drive) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.steps)
}

const sector = 512

// An image is what of a file is on a disk, by sectors.
type image struct {
	sectors map[int64][]byte
	size    int64
}

// do makes a step, or each sector of it with a probability: a write that was
// not synced may be there in parts.
func (m *image) do(s step, odds float64) {
	if s.kind == 't' {
		if rand.Float64() < odds {
			m.size = s.at
		}
		return
	}
	for i := 0; i < len(s.data); i += sector {
		if rand.Float64() < odds {
			m.sectors[s.at+int64(i)] = s.data[i:min(i+sector, len(s.data))]
			m.size = max(m.size, s.at+int64(i)+sector)
		}
	}
}

func (m image) write(t *testing.T, path string) {
	t.Helper()
	size := m.size
	for at, data := range m.sectors {
		size = max(size, at+int64(len(data)))
	}
	b := make([]byte, size)
	for at, data := range m.sectors {
		copy(b[at:], data)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A surface is what is on a disk for certain, and what may be besides.
type surface struct {
	files   map[string]image // by what their names have besides
	pending map[string][]step
	folder  []step // creations and removals that were not synced
}

func newSurface() *surface {
	return &surface{files: map[string]image{"": {sectors: map[int64][]byte{}}}, pending: map[string][]step{}}
}

// make takes a step in.
func (f *surface) make(s step) {
	switch s.kind {
	case '-':
	case 's', 'S':
		odds := 1.0
		if s.kind == 'S' {
			odds = 0.5 // and the kernel forgets the rest
		}
		m := f.content(s.file)
		for _, p := range f.pending[s.file] {
			m.do(p, odds)
		}
		f.files[s.file] = m
		delete(f.pending, s.file)
	case 'c', 'u':
		f.folder = append(slices.DeleteFunc(f.folder, func(p step) bool { return p.file == s.file }), s)
		if s.kind == 'c' { // its name is not there for certain, but what it holds may be
			f.files[s.file] = image{sectors: map[int64][]byte{}}
			delete(f.pending, s.file)
		}
	case 'd':
		for _, p := range f.folder {
			if p.kind == 'u' {
				delete(f.files, p.file)
			}
		}
		f.folder = nil
	default:
		f.pending[s.file] = append(f.pending[s.file], s)
	}
}

func (f *surface) content(name string) image {
	if m, ok := f.files[name]; ok {
		return m
	}
	return image{sectors: map[int64][]byte{}}
}

// write writes the files as a power cut may leave them.
func (f *surface) write(t *testing.T, path string, odds float64) {
	t.Helper()
	gone := map[string]bool{}
	for _, p := range f.folder {
		// A name whose creation was not synced may be missing, one whose removal
		// was not synced may be there.
		gone[p.file] = rand.Float64() < odds == (p.kind == 'u')
	}
	for name, m := range f.files {
		if gone[name] {
			continue
		}
		m = image{maps.Clone(m.sectors), m.size}
		for _, p := range f.pending[name] {
			m.do(p, odds)
		}
		m.write(t, path+name)
	}
}

// A state is what a store holds.
type state map[string]string

// script returns the changes of the n-th commit, and what is there after it.
// Large values make the file grow; others are replaced, or deleted.
func script(n int, before state) ([]store.Change, state) {
	after := maps.Clone(before)
	var changes []store.Change
	for i := range 3 {
		key := fmt.Sprintf("%d/%d", i, n%7)
		value := strings.Repeat(fmt.Sprintf("%d-%d ", n, i), 1+n*n*i%700)
		c := put(key, value)
		if n%4 == i {
			c.Value = nil
			delete(after, key)
		} else {
			after[key] = value
		}
		changes = append(changes, c)
	}
	return changes, after
}

func contents(t *testing.T, s *Store) state {
	t.Helper()
	found := state{}
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Errorf("scan: %v", err)
			break
		}
		found[r.Key] = string(r.Value)
	}
	return found
}

// An ack says that so many steps were made when a commit was acknowledged.
type ack struct {
	steps int
	state state
}

const (
	commits = 40
	resting = 3 // commits, before nobody writes for a while
)

// record runs the script on a store, which holds what now says; nil: what it is
// found to hold. Faults may make commits fail: they are tried again until they
// succeed.
func record(t *testing.T, d *drive, path string, now state, from, to int) (acks []ack) {
	t.Helper()
	s, err := Open(path, d.use())
	if err != nil {
		t.Fatal(err)
	}
	if now == nil {
		now = contents(t, s)
	}
	acks = append(acks, ack{d.count(), now})
	for n := from; n < to; n++ {
		changes, after := script(n, now)
		for tries := 0; ; tries++ {
			err := s.Apply(t.Context(), changes...)
			if err == nil {
				break
			}
			if tries == 20 {
				t.Fatalf("commit %d: %v", n, err)
			}
		}
		now = after
		acks = append(acks, ack{d.count(), now})
		if n%resting == 0 {
			freezeNow(t, s) // it is moved while the next ones are written
		}
	}
	if err := s.Close(); err != nil && d.fail == nil {
		t.Error(err)
	}
	return acks
}

// cut builds the files as a power cut leaves them, after each step and in several
// ways, and returns how often they are not what they have to be.
func cut(t *testing.T, d *drive, disk *surface, acks []ack) (cuts, wrong int) {
	steps := d.steps
	dir := t.TempDir()
	known := 0
	for n := range steps {
		disk.make(steps[n])
		for known+1 < len(acks) && acks[known+1].steps <= n+1 {
			known++
		}
		if n+1 < acks[0].steps {
			continue // Open makes the file under another name, and has not told anybody what it holds
		}
		allowed := []state{acks[known].state}
		if known+1 < len(acks) {
			allowed = append(allowed, acks[known+1].state)
		}
		for _, odds := range []float64{0, 0.2, 0.5, 0.8, 1} {
			cuts++
			path := filepath.Join(dir, fmt.Sprint(cuts), "node.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			disk.write(t, path, odds)
			if err := opensClean(t, path, allowed); err != nil {
				if wrong++; d.omit != nil {
					return cuts, wrong // which was to be shown
				}
				t.Errorf("after step %d of %d, %c of %q at %d, %d commits acknowledged, odds %v: %v", n, len(steps), steps[n].kind, steps[n].file, steps[n].at, known, odds, err)
			}
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cuts, wrong
}

// opensClean opens a file, compares it with the states that it may have, writes
// to it, and has bbolt check it.
func opensClean(t *testing.T, path string, allowed []state) error {
	s, err := Open(path, quick())
	if err != nil {
		return err
	}
	defer s.Close()
	found := state{}
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			return err
		}
		found[r.Key] = string(r.Value)
	}
	if !maps.Equal(found, allowed[0]) && !(len(allowed) > 1 && maps.Equal(found, allowed[1])) {
		return fmt.Errorf("it holds neither what was acknowledged nor what was being written")
	}
	if err := s.Apply(t.Context(), put("new", "")); err != nil {
		return err
	}
	if r, err := s.Get(t.Context(), "new"); err != nil || r.Revision <= revisions(found) {
		return fmt.Errorf("a new record has revision %d, %v", r.Revision, err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		return fmt.Errorf("a closed store has left %q, %v", left, err)
	}
	return boltCheck(path, len(found)+1)
}

// revisions is how many were given out at least.
func revisions(s state) uint64 { return uint64(len(s)) }

// boltCheck has bbolt check a file, which has to have so many records.
func boltCheck(path string, records int) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = fmt.Errorf("bbolt's own check: %w", err)
			}
		}
		if n := tx.Bucket(bucketName).Stats().KeyN; n != records && first == nil {
			first = fmt.Errorf("the closed file has %d records, not %d", n, records)
		}
		return first
	})
}

// TestDiskPowerCut cuts the power at each step of a run of commits.
func TestDiskPowerCut(t *testing.T) {
	d := new(drive)
	acks := record(t, d, filepath.Join(t.TempDir(), "node.db"), state{}, 0, commits)
	for i, a := range acks[1:] {
		last := a.steps - 1
		for d.steps[last].file == "" { // the file is written meanwhile
			last--
		}
		if d.steps[last].kind != 's' {
			t.Errorf("commit %d was acknowledged after a %c of the log, not a sync", i, d.steps[last].kind)
		}
	}
	kinds := map[string]int{}
	for _, s := range d.steps {
		kinds[fmt.Sprintf("%c of %q", s.kind, s.file)]++
	}
	cuts, wrong := cut(t, d, newSurface(), acks)
	if wrong > 0 || cuts < 5*3*commits || kinds[`w of ".log0"`] < 5 || kinds[`w of ".log1"`] < 5 {
		t.Errorf("%d of %d files are wrong; steps: %v", wrong, cuts, kinds)
	}
	t.Logf("%d commits, %d steps, %d files: 0 lost, 0 torn; %v", commits, len(d.steps), cuts, kinds)
}

// TestDiskPowerCutAfterKill does so in a second run, which finds what the kernel has
// of the first: it was killed before the sync of a frame. What the second run has
// shown to anybody has to stay.
func TestDiskPowerCutAfterKill(t *testing.T) {
	first := new(drive)
	acks := record(t, first, filepath.Join(t.TempDir(), "node.db"), state{}, 0, commits)
	all := 0
	for known := 8; known < commits; known += 7 {
		end := acks[known].steps - 1
		for s := first.steps[end]; s.kind != 's' || s.file == ""; s = first.steps[end] {
			end--
		}
		path := filepath.Join(t.TempDir(), "node.db")
		disk := newSurface()
		for _, s := range first.steps[:end] {
			disk.make(s)
		}
		disk.write(t, path, 1)
		second := new(drive)
		again := record(t, second, path, nil, known, known+3)
		if !maps.Equal(again[0].state, acks[known].state) {
			t.Fatalf("killed before the sync of commit %d, it is not there", known)
		}
		cuts, wrong := cut(t, second, disk, again)
		if wrong > 0 || cuts < 50 {
			t.Errorf("killed before the sync of commit %d: %d of %d files are wrong", known, wrong, cuts)
		}
		all += cuts
	}
	t.Logf("%d files after kills: 0 lost, 0 torn", all)
}

// TestDiskPowerCutAfterFaults does so when one sync in five fails, and the
// kernel forgets half of what it should have written.
func TestDiskPowerCutAfterFaults(t *testing.T) {
	failed := 0
	d := &drive{fail: func(n int, kind byte) error {
		if kind != 's' || n < 20 || rand.IntN(5) > 0 {
			return nil
		}
		failed++
		return syscall.EIO
	}}
	acks := record(t, d, filepath.Join(t.TempDir(), "node.db"), state{}, 0, commits)
	cuts, wrong := cut(t, d, newSurface(), acks)
	if wrong > 0 || failed < 5 {
		t.Errorf("%d of %d files are wrong, after %d failed syncs", wrong, cuts, failed)
	}
	t.Logf("%d commits, %d failed syncs, %d files: 0 lost, 0 torn", commits, failed, cuts)
}

// TestDiskNeedsSyncs leaves one kind of sync out: the tests above must see it.
func TestDiskNeedsSyncs(t *testing.T) {
	for name, omit := range map[string]func(file string, n int) bool{
		"of the file, before the root": func(file string, n int) bool { return file == "" && n > 6 && n%2 == 0 },
		"of the file, behind the root": func(file string, n int) bool { return file == "" && n > 6 && n%2 == 1 },
		"of the log":                   func(file string, n int) bool { return file != "" && file != "folder" && n > 2 },
		"of the folder":                func(file string, n int) bool { return file == "folder" },
	} {
		d := &drive{omit: omit}
		acks := record(t, d, filepath.Join(t.TempDir(), "node.db"), state{}, 0, commits)
		cuts, wrong := cut(t, d, newSurface(), acks)
		if wrong == 0 {
			t.Errorf("without the sync %s, nothing was found wrong", name)
		}
		t.Logf("without the sync %s, file %d is wrong", name, cuts)
	}
}

// tried is how much of the script is run for each fault.
const tried = 14

// attempt runs the script on a drive, tries again what fails, and checks that exactly
// those calls fail during which a step did, that reading goes on, and what is
// there. What fails while a table is moved is nobody's fault.
func attempt(t *testing.T, d *drive, what string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.db")
	failed := false
	fault := d.fail
	d.fail = func(n int, kind byte) (err error) {
		if fault != nil {
			err = fault(n, kind)
		}
		failed = failed || err != nil
		return err
	}
	var s *Store
	for ; s == nil; failed = false {
		var err error
		if s, err = Open(path, d.use()); failed != (err != nil) {
			t.Fatalf("%s: a fault in Open, %t, and the answer: %v", what, failed, err)
		}
	}
	now := state{}
	for n := range tried {
		changes, after := script(n, now)
		for failed = false; ; failed = false {
			err := s.Apply(t.Context(), changes...)
			if failed != (err != nil) {
				t.Fatalf("%s, commit %d: a fault, %t, and the answer: %v", what, n, failed, err)
			}
			if err == nil {
				break
			}
			if full := strings.Contains(err.Error(), syscall.ENOSPC.Error()); errors.Is(err, store.ErrFull) != full {
				t.Fatalf("%s, commit %d: %v is said to be a full disk, %t", what, n, err, !full)
			}
			if found := contents(t, s); !maps.Equal(found, now) && !maps.Equal(found, after) {
				t.Fatalf("%s, commit %d: after the fault it holds something else", what, n)
			}
		}
		if now = after; !maps.Equal(contents(t, s), now) {
			t.Fatalf("%s, commit %d: it does not hold what was acknowledged", what, n)
		}
		if n%resting == 0 {
			moveAll(t, s)
			if !maps.Equal(contents(t, s), now) {
				t.Fatalf("%s, commit %d: moved, it does not hold what was acknowledged", what, n)
			}
		}
	}
	failed = false
	if err := s.Close(); !failed && err != nil {
		t.Fatalf("%s: no fault in Close, and the answer: %v", what, err)
	}
	if err := opensClean(t, path, []state{now}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestDiskFaults lets each write, growth and sync fail, one per run: that of
// creation, of Open, of each commit, of Close; and then the first ones of the
// recovery as well.
func TestDiskFaults(t *testing.T) {
	whole := &drive{fast: true}
	attempt(t, whole, "no fault")
	runs := map[byte]int{}
	for n, s := range whole.steps {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for _, more := range []int{0, 2} { // steps behind it that fail, too
				d := &drive{fast: true, half: n%2 == 0, fail: func(at int, _ byte) error {
					if at >= n && at <= n+more {
						return errno
					}
					return nil
				}}
				attempt(t, d, fmt.Sprintf("step %d of %d, %c, and %d behind it: %v", n, len(whole.steps), s.kind, more, errno))
				runs[s.kind]++
			}
		}
	}
	for _, kind := range "wtscd" {
		if runs[byte(kind)] == 0 {
			t.Errorf("no %c was there to fail", kind)
		}
	}
	t.Logf("%d steps; runs in which a write failed: %d, a growth: %d, a sync: %d", len(whole.steps), runs['w'], runs['t'], runs['s'])
}
