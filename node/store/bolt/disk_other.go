//go:build !linux

package bolt

import "os"

// datasync writes to disk what a file holds.
func datasync(f *os.File) error { return f.Sync() }
