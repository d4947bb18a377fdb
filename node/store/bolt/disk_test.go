//go:build faultydisk

package bolt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A step is one thing that happens to the file.
type step struct {
	kind byte // 'w'rite, 't'runcate, 's'ync, 'S': a sync that failed
	at   int64
	data []byte
}

// A disk is what the store's file lies on. It notes each step, lets chosen ones
// fail, and may leave syncs out.
type disk struct {
	mu    sync.Mutex
	steps []step
	fail  func(n int, kind byte) error // nil: nothing fails
	half  bool                         // a write that fails is made in part
	fast  bool                         // syncs are noted, not made
	omit  func(n int) bool             // the n-th sync is not made, nor noted; nil: all are
	syncs int
}

// use has bbolt work on the disk.
func (d *disk) use() Options {
	bbolt.Disk.Sync, bbolt.Disk.Truncate, bbolt.Disk.WriteAt = d.sync, d.truncate, d.writeAt
	return Options{writeAt: d.writeAt}
}

// quick has bbolt work on a disk that notes nothing and needs no syncs.
func quick() Options {
	bbolt.Disk.Sync = func(*os.File, func() error) error { return nil }
	bbolt.Disk.Truncate, bbolt.Disk.WriteAt = (*os.File).Truncate, (*os.File).WriteAt
	return Options{}
}

// next notes a step and reports whether it is to fail.
func (d *disk) next(s step) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.fail != nil {
		err = d.fail(len(d.steps), s.kind)
	}
	if err != nil && s.kind == 's' {
		s.kind = 'S'
	}
	if err != nil && s.kind == 'w' {
		s.data = s.data[:0]
	}
	d.steps = append(d.steps, s)
	return err
}

func (d *disk) writeAt(f *os.File, b []byte, at int64) (int, error) {
	if err := d.next(step{'w', at, append([]byte{}, b...)}); err != nil {
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

func (d *disk) truncate(f *os.File, size int64) error {
	if err := d.next(step{kind: 't', at: size}); err != nil {
		return err
	}
	return f.Truncate(size)
}

func (d *disk) sync(_ *os.File, really func() error) error {
	d.mu.Lock()
	omitted := d.omit != nil && d.omit(d.syncs)
	d.syncs++
	d.mu.Unlock()
	if omitted {
		return nil
	}
	if err := d.next(step{kind: 's'}); err != nil || d.fast {
		return err
	}
	return really()
}

func (d *disk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.steps)
}

const sector = 512

// An image is what is on a disk, by sectors.
type image struct {
	sectors map[int64][]byte
	size    int64
}

func (m image) clone() image { return image{maps.Clone(m.sectors), m.size} }

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
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err == nil {
		err = f.Truncate(m.size)
	}
	for at, data := range m.sectors {
		if err == nil {
			_, err = f.WriteAt(data, at)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
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

const commits = 40

// record runs the script. Faults may make commits fail: they are tried again
// until they succeed.
func record(t *testing.T, d *disk) (acks []ack) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(path, d.use())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := state{}
	acks = append(acks, ack{d.count(), now})
	for n := range commits {
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
	}
	return acks
}

// cut builds the file as a power cut leaves it, after each step and in several
// ways, and returns how often it is not what it has to be.
func cut(t *testing.T, d *disk, acks []ack) (cuts, wrong int) {
	steps := d.steps
	dir := t.TempDir()
	durable, pending := image{sectors: map[int64][]byte{}}, []step(nil)
	known := 0
	for n := range steps {
		switch s := steps[n]; s.kind {
		case 's', 'S':
			odds := 1.0
			if s.kind == 'S' {
				odds = 0.5 // and the kernel forgets the rest
			}
			for _, p := range pending {
				durable.do(p, odds)
			}
			pending = nil
		default:
			pending = append(pending, s)
		}
		for known+1 < len(acks) && acks[known+1].steps <= n+1 {
			known++
		}
		if n+1 < acks[0].steps {
			continue // Open makes the file under another name
		}
		allowed := []state{acks[known].state}
		if known+1 < len(acks) {
			allowed = append(allowed, acks[known+1].state)
		}
		for _, odds := range []float64{0, 0.2, 0.5, 0.8, 1} {
			m := durable.clone()
			for _, p := range pending {
				m.do(p, odds)
			}
			cuts++
			path := filepath.Join(dir, fmt.Sprint(cuts))
			m.write(t, path)
			if err := opensClean(t, path, allowed); err != nil {
				if wrong++; d.omit != nil {
					return cuts, wrong // which was to be shown
				}
				t.Errorf("after step %d of %d, %c at %d, %d commits acknowledged: %v", n, len(steps), steps[n].kind, steps[n].at, known, err)
			}
			if err := os.Remove(path); err != nil {
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
	return boltCheck(s)
}

func boltCheck(s *Store) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = fmt.Errorf("bbolt's own check: %w", err)
			}
		}
		return first
	})
}

// TestDiskPowerCut cuts the power at each step of a run of commits.
func TestDiskPowerCut(t *testing.T) {
	d := new(disk)
	acks := record(t, d)
	for i, a := range acks {
		if last := d.steps[a.steps-1]; last.kind != 's' {
			t.Errorf("commit %d was acknowledged after a %c, not a sync", i, last.kind)
		}
	}
	cuts, wrong := cut(t, d, acks)
	if wrong > 0 || cuts < 5*3*commits {
		t.Errorf("%d of %d files are wrong", wrong, cuts)
	}
	t.Logf("%d commits, %d steps, %d files: 0 lost, 0 torn", commits, len(d.steps), cuts)
}

// TestDiskPowerCutAfterFaults does so when one sync in five fails, and the
// kernel forgets half of what it should have written.
func TestDiskPowerCutAfterFaults(t *testing.T) {
	failed := 0
	d := &disk{fail: func(n int, kind byte) error {
		if kind != 's' || n < 20 || rand.IntN(5) > 0 {
			return nil
		}
		failed++
		return syscall.EIO
	}}
	acks := record(t, d)
	cuts, wrong := cut(t, d, acks)
	if wrong > 0 || failed < 5 {
		t.Errorf("%d of %d files are wrong, after %d failed syncs", wrong, cuts, failed)
	}
	t.Logf("%d commits, %d failed syncs, %d files: 0 lost, 0 torn", commits, failed, cuts)
}

// TestDiskNeedsSyncs leaves one of the two syncs of each commit out: the test
// above must see it.
func TestDiskNeedsSyncs(t *testing.T) {
	for name, which := range map[string]int{"before the root": 0, "behind the root": 1} {
		d := &disk{omit: func(n int) bool { return n > 10 && n%2 == which }}
		acks := record(t, d)
		cuts, wrong := cut(t, d, acks)
		if wrong == 0 {
			t.Errorf("without the sync %s, nothing was found wrong", name)
		}
		t.Logf("without the sync %s, file %d is wrong", name, cuts)
	}
}

// tried is how much of the script is run for each fault.
const tried = 14

// attempt runs the script on a disk, tries again what fails, and checks that exactly
// those calls fail during which a step did, that reading goes on, and what is there.
func attempt(t *testing.T, d *disk, what string) {
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
	}
	failed = false
	if err := s.Close(); failed != (err != nil) {
		t.Fatalf("%s: a fault in Close, %t, and the answer: %v", what, failed, err)
	}
	if err := opensClean(t, path, []state{now}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestDiskFaults lets each write, growth and sync fail, one per run: that of
// creation, of Open, of each commit, of Close; and then the first ones of the
// recovery as well.
func TestDiskFaults(t *testing.T) {
	whole := &disk{fast: true}
	attempt(t, whole, "no fault")
	runs := map[byte]int{}
	for n, s := range whole.steps {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for _, more := range []int{0, 1, 3} { // steps behind it that fail, too
				d := &disk{fast: true, half: n%2 == 0, fail: func(at int, _ byte) error {
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
	for _, kind := range "wts" {
		if runs[byte(kind)] == 0 {
			t.Errorf("no %c was there to fail", kind)
		}
	}
	t.Logf("%d steps; runs in which a write failed: %d, a growth: %d, a sync: %d", len(whole.steps), runs['w'], runs['t'], runs['s'])
}
