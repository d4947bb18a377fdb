package story_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// A process is another one of this user, as the kernel shows it.
type process int

func (p process) file(name string) string { return fmt.Sprintf("/proc/%d/%s", int(p), name) }

// arguments are the command line, each argument ended by a zero byte.
func (p process) arguments() ([]byte, error) { return os.ReadFile(p.file("cmdline")) }

// environment is what the process was given, each variable ended by a zero byte.
func (p process) environment() ([]byte, error) { return os.ReadFile(p.file("environ")) }

const (
	window  = 4 << 20 // bytes of memory that are looked at together
	pageLen = 4 << 10
)

// memory gives look all that the process can read of its memory, in pieces of
// which each begins with the last overlap bytes of the one before, where that is
// its neighbour. Pages of zeros are left out. It returns how much was read.
func (p process) memory(overlap int, look func([]byte)) (read int, err error) {
	maps, err := os.ReadFile(p.file("maps"))
	if err != nil {
		return 0, err
	}
	mem, err := os.Open(p.file("mem"))
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if fields[1][0] != 'r' || strings.HasPrefix(fields[len(fields)-1], "[v") { // vdso and its kin are the kernel's
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		low, err := strconv.ParseInt(from, 16, 64)
		if err != nil {
			return read, err
		}
		high, err := strconv.ParseInt(to, 16, 64)
		if err != nil {
			return read, err
		}
		n, err := readMemory(io.NewSectionReader(mem, low, high-low), overlap, look)
		if read += n; err != nil && !errors.Is(err, syscall.EIO) { // beyond the end of a mapped file
			return read, fmt.Errorf("memory at %s: %w", fields[0], err)
		}
	}
	return read, nil
}

// readMemory reads one mapping.
func readMemory(r io.Reader, overlap int, look func([]byte)) (read int, err error) {
	zeros := make([]byte, pageLen)
	var piece []byte
	page := make([]byte, pageLen)
	for {
		if _, err = io.ReadFull(r, page); err != nil {
			break
		}
		read += pageLen
		if bytes.Equal(page, zeros) {
			look(piece)
			piece = piece[:0]
			continue
		}
		if piece = append(piece, page...); len(piece) >= window {
			look(piece)
			piece = append(piece[:0], piece[len(piece)-overlap:]...)
		}
	}
	look(piece)
	if err == io.EOF {
		err = nil
	}
	return read, err
}
