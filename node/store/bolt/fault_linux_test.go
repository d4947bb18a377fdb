package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/peerbrain/peerbrain/node/store"
)

// replaceFile puts a device in the place of the store's open file, under the
// same descriptor, and returns how to put the file back. /dev/full answers
// each write with ENOSPC; /dev/null takes writes but cannot be synced.
func replaceFile(t *testing.T, path, device string) (restore func()) {
	t.Helper()
	fd := descriptor(t, path)
	saved, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(unix.Dup3(saved, fd, unix.O_CLOEXEC), unix.Close(saved)); err != nil {
			t.Fatal(err)
		}
	}
}

func descriptor(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			fd, err := strconv.Atoi(filepath.Base(link))
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}

// openRoomy opens a store whose file has free pages: what comes next need
// not make the file longer, which a device cannot be.
func openRoomy(t *testing.T, dir string) *Store {
	t.Helper()
	s := open(t, dir)
	for _, c := range []store.Change{put("room", string(make([]byte, 1<<20))), {Key: "room"}} {
		if err := s.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	applyMany(t, s, "before", isNil)
	return s
}

// applyMany makes concurrent calls, and expects each to end as told.
func applyMany(t *testing.T, s *Store, prefix string, right func(error) bool) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := s.Apply(t.Context(), put(fmt.Sprintf("%s/%d", prefix, i), "v"))
			if !right(err) {
				t.Errorf("%s: got %v", prefix, err)
			}
		})
	}
	all.Wait()
}

func isNil(err error) bool { return err == nil }

// TestDiskFull has the disk full for a while. Everybody is told so, and
// afterwards writing goes on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := openRoomy(t, dir)
	restore := replaceFile(t, filepath.Join(dir, "node.db"), "/dev/full")
	applyMany(t, s, "full", func(err error) bool { return errors.Is(err, syscall.ENOSPC) })
	restore()
	applyMany(t, s, "after", isNil)
	want := map[string]int{"before/": 20, "full/": 0, "after/": 20}
	checkCounts(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkCounts(t, open(t, dir), want)
}

// TestSyncFails has a sync fail. Nobody knows then what is on disk, so
// nothing is acknowledged any more, even if the next sync would succeed.
func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	s := openRoomy(t, dir)
	restore := replaceFile(t, filepath.Join(dir, "node.db"), "/dev/null")
	applyMany(t, s, "lost", func(err error) bool { return errors.Is(err, syscall.EINVAL) })
	restore()
	applyMany(t, s, "after", func(err error) bool { return errors.Is(err, syscall.EINVAL) })
	checkCounts(t, s, map[string]int{"before/": 20})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	applyMany(t, s, "again", isNil)
	checkCounts(t, s, map[string]int{"before/": 20, "lost/": 0, "after/": 0, "again/": 20})
}

func checkCounts(t *testing.T, s *Store, want map[string]int) {
	t.Helper()
	for prefix, want := range want {
		got := 0
		for _, err := range s.Scan(t.Context(), store.Prefix(prefix)) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != want {
			t.Errorf("%s: got %d records, want %d", prefix, got, want)
		}
	}
}
