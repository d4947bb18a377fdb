package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		crashChild(path)
		return
	}
	if path := os.Getenv(pageEnv); path != "" {
		pageChild(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

// TestStoreMoves does so while all that is written is moved into the file at once,
// so that each record is in the active table, the frozen one, or the file.
func TestStoreMoves(t *testing.T) {
	storetest.Run(t, restless)
	storetest.Snapshots(t, restless)
}

// restless opens a store that takes each moment for one in which nobody writes.
func restless(t *testing.T) store.Store {
	s := open(t, t.TempDir())
	stop, stopped := make(chan bool), make(chan bool)
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.stayed()
				time.Sleep(rand.N(300 * time.Microsecond))
			}
		}
	}()
	return s
}

// TestStoreFills does so with a store that has no log.
func TestStoreFills(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return fills(t, filepath.Join(t.TempDir(), "node.db")) })
}

func fills(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{Fill: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// spoil changes a byte of a file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		content[at] ^= 4
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFill fills a store, of which nothing lies in memory or in a log meanwhile, and
// opens it as others.
func TestFill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := fills(t, path)
	want := map[string]string{}
	for i := range 20 {
		key, value := fmt.Sprintf("k/%d", i), strings.Repeat("v", 100_000)
		apply(t, s, put(key, value), put("last", key))
		want[key], want["last"] = value, key
		if l := s.layers.Load(); l.active.tree.Len()+l.frozen.tree.Len()+l.apart.tree.Len() != 0 {
			t.Fatal("what was written lies in memory")
		}
		if _, err := os.Stat(segmentPath(path, 0)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("there is a log, or: %v", err)
		}
	}
	revision := s.revision
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []bool{false, true} { // the newer of the two pages that bbolt can begin with
		if damaged {
			spoil(t, path, s.committed.Load()%2*pageSize+pageHead)
		}
		again := open(t, filepath.Dir(path))
		if got := scanned(t, again); got.lost || !maps.Equal(got.values, want) {
			t.Errorf("damaged: %t: got %.100v", damaged, got)
		}
		if again.revision != revision {
			t.Errorf("damaged: %t: got revision %d, want %d", damaged, again.revision, revision)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReopen(t *testing.T) {
	storetest.Reopen(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}

// TestDamage flips a bit of values, and of the sums in front of them: in the file,
// and in what lies over it.
func TestDamage(t *testing.T) {
	for at, name := range map[int]string{headSize: "value", headSize - 1: "revision", recordSum: "checksum"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			storetest.Damage(t, s, func(key string) {
				moveAll(t, s)
				s.shared.end() // which would not see what comes now
				err := s.db.Update(func(tx *bbolt.Tx) error {
					b := tx.Bucket(bucketName)
					stored := bytes.Clone(b.Get([]byte(key)))
					stored[at] ^= 4
					return b.Put([]byte(key), stored)
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		})
		t.Run(name+" over the file", func(t *testing.T) {
			s := open(t, t.TempDir())
			storetest.Damage(t, s, func(key string) {
				p, ok := s.layers.Load().get([]byte(key))
				if !ok {
					t.Fatalf("%q is not over the file", key)
				}
				p.stored[at] ^= 4
			})
		})
	}
}

// freezeNow has what was written moved into the file, as if nobody wrote for a
// while, and does not wait for that.
func freezeNow(t testing.TB, s *Store) {
	t.Helper()
	for range 5000 {
		if s.layers.Load().active.tree.Len() == 0 {
			return
		}
		s.stayed()
		time.Sleep(100 * time.Microsecond)
	}
	t.Fatal("what was written is not moved into the file")
}

// moveAll has everything moved into the file, as if nobody wrote for a while.
func moveAll(t testing.TB, s *Store) {
	t.Helper()
	freezeNow(t, s)
	for range 5000 {
		if s.layers.Load().frozen.tree.Len() == 0 {
			return
		}
		s.stayed() // tries again what failed
		time.Sleep(time.Millisecond)
	}
	t.Fatal("what was written is not moved into the file")
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(filepath.Join(dir, "node.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(key, value string) store.Change {
	return store.Change{Key: key, Value: []byte(value)}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	open(t, dir)
	for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "node.db"): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: got mode %o, want %o", name, got, want)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := filepath.Join(dir, "node.db")
	_, err := Open(path, Options{LockTimeout: 60 * time.Millisecond})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want %v with the path", err, ErrInUse)
	}
	time.AfterFunc(100*time.Millisecond, func() { s.Close() })
	open(t, dir) // waits for its turn
}

func TestOpenDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		if err := s.Apply(t.Context(), put(fmt.Sprintf("k/%d", i), strings.Repeat("v", 9000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "node.db"))
	if err != nil {
		t.Fatal(err)
	}
	zeroed := append(make([]byte, 2*pageSize), whole[2*pageSize:]...)
	for name, content := range map[string][]byte{
		"text":      []byte(strings.Repeat("not a database\n", 5000)),
		"short":     []byte("x"),
		"zeroed":    zeroed,
		"one page":  whole[:pageSize],
		"two pages": whole[:2*pageSize],
		"cut":       whole[:100_000],
		"cut late":  whole[:400_000],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "node.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			if s, err := Open(path, Options{}); err == nil {
				t.Errorf("opened, want an error; close: %v", s.Close())
			}
		})
	}
}

// TestCallsShareCommits holds the writer up until many calls wait: they must
// all go into one commit, and one whose condition fails must not spoil it.
func TestCallsShareCommits(t *testing.T) {
	s, release := holdUp(t)
	before := s.log.sequence
	errs := make([]error, 40)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			key := fmt.Sprintf("k/%d", i)
			bad := store.Change{Key: key, If: store.IfRevision(1 << 60)}
			if i%4 > 0 {
				bad = put("fine/"+key, "")
			}
			errs[i] = s.Apply(t.Context(), put(key, "v"), bad)
		})
	}
	waitFor(t, s, func(n int) bool { return n == len(errs) })
	release()
	all.Wait()
	for i, err := range errs {
		_, got := s.Get(t.Context(), fmt.Sprintf("k/%d", i))
		if i%4 == 0 && (!errors.Is(err, store.ErrConflict) || !errors.Is(got, store.ErrNotExist)) || i%4 > 0 && (err != nil || got != nil) {
			t.Errorf("call %d: got %v, and its first record: %v", i, err, got)
		}
	}
	if frames := s.log.sequence - before; frames != 2 {
		t.Errorf("one call and then %d took %d frames, want 2", len(errs), frames)
	}
}

// TestCloseWaits closes a store while somebody writes: what they write is there.
func TestCloseWaits(t *testing.T) {
	s, release := holdUp(t)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for ended := false; !ended; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		ended = s.closed
		s.mu.Unlock()
	}
	select {
	case err := <-closed:
		t.Errorf("closed before that was written: %v", err)
	default:
	}
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, filepath.Dir(s.path)).Get(t.Context(), "first"); err != nil {
		t.Error(err)
	}
}

// holdUp returns a store in which somebody writes "first", and waits for a sync until
// released.
func holdUp(t *testing.T) (s *Store, release func()) {
	t.Helper()
	var held atomic.Bool
	syncing, gate := make(chan bool), make(chan bool)
	s, err := Open(filepath.Join(t.TempDir(), "node.db"), Options{disk: disk{sync: func(f *os.File) error {
		if held.CompareAndSwap(true, false) {
			syncing <- true
			<-gate
		}
		return datasync(f)
	}}})
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { close(gate) })
	var first sync.WaitGroup
	t.Cleanup(func() { release(); first.Wait(); s.Close() })
	if err := s.Apply(t.Context(), put("before", "")); err != nil {
		t.Fatal(err)
	}
	held.Store(true)
	first.Go(func() {
		if err := s.Apply(t.Context(), put("first", "")); err != nil {
			t.Error(err)
		}
	})
	<-syncing
	return s, release
}

// waitFor waits until the number of calls that wait for the writer is right.
func waitFor(t *testing.T, s *Store, right func(waiting int) bool) {
	t.Helper()
	for range 5000 {
		s.mu.Lock()
		waiting := len(s.waiting)
		s.mu.Unlock()
		if right(waiting) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the writer is not where it should be")
}

func lastCommit(t *testing.T, s *Store) (id int) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error {
		id = tx.ID()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestConflictsDoNotCommit(t *testing.T) {
	s := open(t, t.TempDir())
	before := lastCommit(t, s)
	for range 3 {
		err := s.Apply(t.Context(), put("a", ""), store.Change{Key: "b", If: store.IfRevision(1)})
		if !errors.Is(err, store.ErrConflict) {
			t.Fatalf("got %v, want %v", err, store.ErrConflict)
		}
	}
	if got := lastCommit(t, s); got != before {
		t.Errorf("%d commits for nothing", got-before)
	}
	if _, err := os.Stat(segmentPath(s.path, 0)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log for nothing, or: %v", err)
	}
}

// TestCancelledCallIsNotWritten cancels calls that wait for their turn.
func TestCancelledCallIsNotWritten(t *testing.T) {
	s, release := holdUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	for i := range 5 {
		go func() { errs <- s.Apply(ctx, put(fmt.Sprintf("cancelled/%d", i), "")) }()
	}
	waitFor(t, s, func(n int) bool { return n == 5 })
	cancel()
	for range 5 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
	release()
	if err := s.Apply(t.Context()); err != nil { // behind all others
		t.Fatal(err)
	}
	for r, err := range s.Scan(t.Context(), store.Prefix("cancelled/")) {
		t.Errorf("cancelled, but got %q, %v", r.Key, err)
	}
}

// TestFullFile fills the file up to a limit: the log takes what it may take beside
// that, then what does not fit fails, what was acknowledged stays, and when there
// is room again, writing goes on.
func TestFullFile(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "node.db"), Options{disk: disk{maxSize: 20 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	big := strings.Repeat("b", 1<<20)
	var failure error
	acknowledged := 0
	for ; failure == nil && acknowledged < 200; acknowledged++ {
		failure = s.Apply(t.Context(), put(fmt.Sprintf("big/%03d", acknowledged), big))
	}
	acknowledged--
	if most := 20 + 2*(mostUnmoved+maxGroup)>>20; !errors.Is(failure, berrors.ErrMaxSizeReached) || acknowledged < mostUnmoved>>20 || acknowledged > most {
		t.Fatalf("after %d writes of 1 MiB: got %v, want %v", acknowledged, failure, berrors.ErrMaxSizeReached)
	}
	if err := s.Apply(t.Context(), put("small", "")); !errors.Is(err, berrors.ErrMaxSizeReached) {
		t.Errorf("a small one: got %v, want %v", err, berrors.ErrMaxSizeReached)
	}
	holds := func() {
		n := 0
		for r, err := range s.Scan(t.Context(), store.Prefix("big/")) {
			if err != nil || string(r.Value) != big {
				t.Fatalf("%q: %d bytes, %v", r.Key, len(r.Value), err)
			}
			n++
		}
		if n != acknowledged {
			t.Errorf("got %d records, want %d", n, acknowledged)
		}
	}
	holds()
	s.opts.disk.maxSize = 0 // nothing is being moved: the last call has waited for that
	if err := s.Apply(t.Context(), put("small", "")); err != nil {
		t.Errorf("with room again: got %v", err)
	}
	holds()
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, filepath.Dir(path))
	holds()
}

// TestFailedFrame lets the sync of a frame fail that is on the disk all the same.
// It may be there until the next call, and never again.
func TestFailedFrame(t *testing.T) {
	var failing atomic.Bool
	for _, rests := range []bool{false, true} {
		s, err := Open(filepath.Join(t.TempDir(), "node.db"), Options{disk: disk{sync: func(f *os.File) error {
			if failing.Load() {
				return syscall.EIO
			}
			return datasync(f)
		}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		apply(t, s, put("before", "v"))
		failing.Store(true)
		for range 2 {
			if err := s.Apply(t.Context(), put("failed", strings.Repeat("v", 3*blockSize))); !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v, want %v", err, syscall.EIO)
			}
		}
		if _, err := s.Get(t.Context(), "failed"); err != store.ErrNotExist {
			t.Errorf("what failed is shown: %v", err)
		}
		failing.Store(false)
		if rests {
			moveAll(t, s)
		}
		apply(t, s, put("after", "v"))
		again := open(t, filepath.Dir(killed(t, s)))
		if got := scanned(t, again); got.lost || !maps.Equal(got.values, map[string]string{"before": "v", "after": "v"}) {
			t.Errorf("rests: %t: got %.100v", rests, got)
		}
	}
}
