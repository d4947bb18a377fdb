package bolt

import (
	"os"
	"syscall"
)

// datasync writes to disk what a file holds. It leaves out the time of the last
// change, which would cost a second write.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
