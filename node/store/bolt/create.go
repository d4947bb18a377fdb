package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// create makes the file unless it is there. It is made whole under another name
// first: a file that a full disk or a power cut left half made could not be
// opened, and would look like one that is damaged.
func create(path string, opts Options) error {
	touched, err := makeFolder(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, syncFolders(touched))
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		at.Path = path // which its reader knows
	}
	if err != nil {
		return err
	}
	made := f.Name()
	defer os.Remove(made)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openBolt(made, opts, false)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(makeFormat), db.Close()); err != nil {
		return err
	}
	if err := os.Link(made, path); err != nil && !errors.Is(err, fs.ErrExist) { // else another process was first
		return err
	}
	return syncFolders(touched)
}

// makeFolder makes the folder of the file if need be, and returns the folders
// that must be synced so that the file is found again after a power cut: its
// own, in case an earlier Open did not get that far, and those that hold new ones.
func makeFolder(path string) (touched []string, err error) {
	dir := filepath.Dir(path)
	touched = []string{dir}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			return touched, os.MkdirAll(dir, 0o700)
		}
		touched = append(touched, filepath.Dir(d))
	}
}

func syncFolders(dirs []string) error {
	for _, dir := range dirs {
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}
