package bolt

import (
	"errors"
	"os"
)

// A disk is what touches the files of a store, but for what bbolt does to its own
// (heal writes there, too). Its fields that are nil are the system's.
type disk struct {
	writeAt func(f *os.File, b []byte, at int64) (int, error)
	sync    func(f *os.File) error // what a file holds, not when it was changed
	create  func(path string) (*os.File, error)
	remove  func(path string) error
	folder  func(dir string) error // syncs a folder
	maxSize int                    // of the records' file; 0: no bound
}

// whole fills in what is nil.
func (d disk) whole() disk {
	if d.writeAt == nil {
		d.writeAt = (*os.File).WriteAt
	}
	if d.sync == nil {
		d.sync = datasync
	}
	if d.create == nil {
		d.create = func(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) }
	}
	if d.remove == nil {
		d.remove = os.Remove
	}
	if d.folder == nil {
		d.folder = syncFolder
	}
	return d
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
