package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
)

// A log takes what is acknowledged before the file has it. It is two files beside
// that of the records, "segments", which are written in turn, from the beginning
// to as far as a table goes, and again when what they had is in the file. They
// are there from the first write to Close: whoever copies a file that is closed
// has all.
//
// Frames overwrite what was written before, at first zeros: a sync then has
// nothing to write but the frame, and takes 0.2 ms here; of a file that grows,
// it took up to 1.6. Old frames in a segment do not count: their sequences are
// not above the one that the file has.
//
// The file knows a log by its id, 8 random bytes, which each frame has, too. So a
// frame of another store, or of an earlier log, is none, and nobody can make one
// within a record.
type log struct {
	disk     disk
	path     string
	files    [2]*os.File
	filled   [2]int64 // as far as the segments were written
	id       uint64
	known    bool   // to the file
	active   int    // the segment that is written
	at       int64  // where its next frame begins
	sequence uint64 // of the last frame
	spoilt   bool   // a frame that is none may stand there
}

const (
	segments    = 2
	fillAhead   = 1 << 20 // zeros that are written at once
	segmentHead = blockSize
)

// segmentPath is where a segment lies.
func segmentPath(path string, n int) string { return path + ".log" + string(rune('0'+n)) }

// segmentMagic begins each segment. Behind it come the id and the CRC-32C of both,
// and all of it once more, half a block behind.
const segmentMagic = "pb-log-2"

func markOf(id uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte(segmentMagic), id)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// newLog makes the segments of a log, durably, whose first frame comes behind a
// sequence.
func newLog(path string, d disk, sequence uint64) (_ *log, err error) {
	var id [8]byte
	rand.Read(id[:])
	l := &log{disk: d, path: path, id: binary.BigEndian.Uint64(id[:]), at: segmentHead, sequence: sequence}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.drop())
		}
	}()
	head := make([]byte, segmentHead)
	copy(head, markOf(l.id))
	copy(head[segmentHead/2:], markOf(l.id))
	for i := range l.files {
		if l.files[i], err = d.create(segmentPath(path, i)); err != nil {
			return nil, err
		}
		if _, err = d.writeAt(l.files[i], head, 0); err != nil {
			return nil, err
		}
		if err = d.sync(l.files[i]); err != nil {
			return nil, err
		}
		l.filled[i] = segmentHead
	}
	return l, d.folder(filepath.Dir(path))
}

// append writes a frame, and returns when it is on disk. If it fails, the frame is
// none: see erase.
func (l *log) append(frame []byte) error {
	end := l.at + int64(len(frame))
	err := l.erase()
	if err == nil {
		err = l.fill(end)
	}
	if err != nil {
		return err
	}
	l.spoilt = true
	if err := l.put(frame, l.at); err != nil {
		return err
	}
	l.spoilt = false
	l.at, l.filled[l.active] = end, max(end, l.filled[l.active])
	l.sequence++
	return nil
}

// put writes to the active segment, durably.
func (l *log) put(b []byte, at int64) error {
	f := l.files[l.active]
	if _, err := l.disk.writeAt(f, b, at); err != nil {
		return err
	}
	return l.disk.sync(f)
}

// fill writes zeros ahead of the frames, unless the frame is so large that it is
// cheaper to let it be the first to come there.
func (l *log) fill(end int64) error {
	filled := l.filled[l.active]
	if end <= filled || end-l.at > fillAhead {
		return nil
	}
	if err := l.put(make([]byte, fillAhead), filled); err != nil {
		return err
	}
	l.filled[l.active] += fillAhead
	return nil
}

// erase makes sure that a frame that failed is none, before anything else is
// written.
//
// After a failed write or sync, the frame may be on the disk as a whole, in part,
// or not at all, and the kernel may call its pages clean, whatever they hold (see
// heal). Should it stay, the next one would have the same sequence, and where
// that one is shorter, or in the other segment, a start would find both. So the
// block of its head is overwritten with zeros, which makes the kernel call it dirty
// again, and synced. When that succeeds, there is no head, and without one the
// blocks behind it are nothing: each frame begins with a block that is written as
// a whole. No block with an older frame was touched. If it fails, the next append
// tries it again.
func (l *log) erase() error {
	if !l.spoilt {
		return nil
	}
	if err := l.put(make([]byte, blockSize), l.at); err != nil {
		return err
	}
	l.spoilt = false
	return nil
}

// turn goes on in the other segment.
func (l *log) turn() {
	l.active, l.at = (l.active+1)%segments, segmentHead
}

// drop ends the log. What it has must be in the file, which must not know it.
func (l *log) drop() error { return errors.Join(l.close(), dropSegments(l.disk, l.path)) }

// close leaves the log to the next Open. There may be none.
func (l *log) close() error {
	if l == nil {
		return nil
	}
	var errs []error
	for _, f := range l.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// dropSegments removes the segments that are there.
func dropSegments(d disk, path string) error {
	var errs []error
	for i := range segments {
		if err := d.remove(segmentPath(path, i)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
