//go:build !js

package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Folder is a Device on the system's disk: one file for each name, readable by
// its owner only. It holds a lock for as long as it is open.
type Folder struct {
	dir  string
	lock *os.File
}

const (
	lockFile   = "lock"
	tempPrefix = ".new-"
	lockPause  = 20 * time.Millisecond
)

// OpenFolder opens dir, which it makes if needed, and waits until no other
// process has it open, or until ctx ends.
func OpenFolder(ctx context.Context, dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	for {
		if err = tryLock(lock); err == nil {
			break
		}
		if !errors.Is(err, errLocked) {
			lock.Close()
			return nil, fmt.Errorf("lock folder %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			lock.Close()
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
	f := &Folder{dir: dir, lock: lock}
	if err := f.sweep(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errLocked is what tryLock answers while another process has the folder.
var errLocked = errors.New("locked")

// sweep removes what an interrupted Save has left.
func (f *Folder) sweep() error {
	left, err := filepath.Glob(filepath.Join(f.dir, tempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("open folder: %w", err)
		}
	}
	return nil
}

// Close gives the folder free for others.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// path refuses names that could lead out of the folder.
func (f *Folder) path(name string) (string, error) {
	if f.lock == nil {
		return "", fs.ErrClosed
	}
	if len(name) < 1 || len(name) > 128 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == lockFile {
		return "", wire.Errorf(wire.Internal, "device", "%q is no name of a file", name)
	}
	return filepath.Join(f.dir, name), nil
}

// Load is Device's.
func (f *Folder) Load(name string) ([]byte, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Save is Device's: a new file is written whole and then takes the place of the old.
func (f *Folder) Save(name string, data []byte) (err error) {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(f.dir, tempPrefix+"*") // made with 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(data); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(f.dir)
}

// Delete is Device's.
func (f *Folder) Delete(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncFolder(f.dir)
}

// List is Device's.
func (f *Folder) List(prefix string) ([]string, error) {
	if f.lock == nil {
		return nil, fs.ErrClosed
	}
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if _, err := f.path(file.Name()); err == nil && strings.HasPrefix(file.Name(), prefix) {
			names = append(names, file.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
