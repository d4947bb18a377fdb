//go:build unix

package load

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// processorTime is what this process has used of the processors so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spareFiles is what the process has open beside its connections.
const spareFiles = 32

// checkFiles raises the number of files that this process may have open as far as
// the system lets it, and refuses to begin with too few.
func checkFiles(connections int) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur < l.Max {
		raised := unix.Rlimit{Cur: l.Max, Max: l.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	if need := connections + spareFiles; uint64(l.Cur) < uint64(need) {
		return wire.Errorf(wire.Limit, "files", "this process may have %d files open, and needs %d for so many connections", l.Cur, need)
	}
	return nil
}
