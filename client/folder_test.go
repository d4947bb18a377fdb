//go:build !js

package client

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "home")
	f := openFolder(t, dir)
	if _, err := f.Load("session"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load nothing: %v", err)
	}
	for _, text := range []string{"one", "two, longer", ""} {
		if err := f.Save("session", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := f.Load("session"); err != nil || string(b) != text {
			t.Errorf("got %q, %v", b, err)
		}
	}
	for _, name := range []string{"outbox-2", "outbox-1"} {
		if err := f.Save(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := f.List("outbox-"); err != nil || !slices.Equal(names, []string{"outbox-1", "outbox-2"}) {
		t.Errorf("list: %q, %v", names, err)
	}
	if names, _ := f.List(""); len(names) != 3 {
		t.Errorf("list all: %q", names)
	}
	for range 2 {
		if err := f.Delete("session"); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "..", "a/b", "a\\b", "A", "lock", ".new-1", strings.Repeat("x", 129), "a\x00"} {
		if err := f.Save(bad, nil); err == nil {
			t.Errorf("%q is taken as a name", bad)
		}
		if _, err := f.Load(bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load %q: %v", bad, err)
		}
		if err := f.Delete(bad); err == nil {
			t.Errorf("%q is deleted", bad)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Save("session", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
}

// TestFolderSweep: what an interrupted Save left is removed, and what was there
// before is whole.
func TestFolderSweep(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	if err := f.Save("session", []byte("whole")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, tempPrefix+"123"), []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = openFolder(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if b, err := f.Load("session"); err != nil || string(b) != "whole" {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestFolderLock: two at once wait for each other.
func TestFolderLock(t *testing.T) {
	dir := t.TempDir()
	first := openFolder(t, dir)
	cancelled, cancel := context.WithTimeout(context.Background(), 3*lockPause)
	defer cancel()
	if _, err := OpenFolder(cancelled, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the second got in: %v", err)
	}
	var free atomic.Bool
	done := make(chan error)
	go func() {
		second, err := OpenFolder(context.Background(), dir)
		if err == nil {
			if !free.Load() {
				err = errors.New("the second got in while the first was open")
			}
			second.Close()
		}
		done <- err
	}()
	time.Sleep(2 * lockPause)
	free.Store(true)
	first.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDeviceFails: a device that cannot keep anything stops an operation before
// it sends what it could not remember, and its error keeps the cause.
func TestDeviceFails(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	full := &failing{memory: ada.device}
	p, err := New(ada.line, full, WithClock(w.now), withDeriver(quick)).Resume(context.Background())
	ada.must(err)
	full.err = fs.ErrPermission
	ada.line.calls = nil
	_, err = p.Post(context.Background(), "text", "")
	if !errors.Is(err, fs.ErrPermission) || wire.KindOf(err) != wire.Internal {
		t.Errorf("got %v", err)
	}
	for _, c := range ada.line.calls {
		if c.path == wire.PathEntries {
			t.Error("the post was sent and could not be kept")
		}
	}
}

type failing struct {
	*memory
	err error
}

func (f *failing) Save(name string, b []byte) error {
	if f.err != nil {
		return f.err
	}
	return f.memory.Save(name, b)
}
