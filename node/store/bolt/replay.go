package bolt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/node/store"
)

// What a log has, and the file not yet, is read when a store is opened that was
// not closed.
//
// The last frame may be torn: its sync did not return, nobody was told, and it is
// left out. So is one that was damaged after it was acknowledged, which looks the
// same, as long as none stands behind it. Each frame before it was synced before
// the next was written. If one of those is missing, something acknowledged is
// lost: what its records still tell is taken, a record whose key is whole counts
// as damaged under it, and if there may be others, the segment is kept under
// another name. As long as such a file lies beside that of the records, scans begin
// with a *store.DamagedError, and no record counts as absent that is not known to
// have been deleted since (see view.find). Who has taken note of the loss, and
// accepts it, moves that file elsewhere.
type replay struct {
	content  [segments][]byte
	id       uint64
	sequence uint64 // of the last frame that counts
	revision uint64
	table    table
	last     foundFrame
	lost     bool // there was more than could be told
}

// A foundFrame is a frame, and where it was found.
type foundFrame struct {
	frame
	segment, at int
}

func (f foundFrame) end() int { return f.at + f.blocks() }

// recover reads the log of a file that was just opened, and has what it finds
// moved there.
func (s *Store) recover() error {
	var state fileState
	var apart table
	err := s.view(func(v view) error {
		state, apart = stateOf(v.records), apartOf(v.records.content)
		return nil
	})
	if err != nil {
		return err
	}
	s.publish(func(l *layers) { l.apart = apart })
	s.sequence, s.revision = state.sequence, state.revision
	if !state.logged {
		return errors.Join(s.dropStale(), s.findLost())
	}
	r := &replay{id: state.id, sequence: state.sequence, revision: state.revision, table: newTable()}
	if err := r.read(s.path); err != nil {
		return err
	}
	if err := r.settle(s.path, s.opts.disk); err != nil {
		return err
	}
	if err := s.findLost(); err != nil {
		return err
	}
	s.sequence, s.revision = r.sequence, r.revision
	s.publish(func(l *layers) { l.frozen = r.table })
	s.start(&move{table: r.table, sequence: r.sequence, revision: r.revision, ends: true})
	return nil
}

// dropStale removes what a log has left that the file does not know any more.
// On the disk it may, where an earlier process ended before a sync.
func (s *Store) dropStale() error {
	for i := range segments {
		if _, err := os.Stat(segmentPath(s.path, i)); err == nil {
			return errors.Join(s.db.Sync(), dropSegments(s.opts.disk, s.path))
		}
	}
	return nil
}

// read takes the frames of both segments.
func (r *replay) read(path string) (err error) {
	var frames []foundFrame
	for i := range segments {
		if r.content[i], err = readSegment(segmentPath(path, i), r.id); err != nil {
			return err
		}
		frames = append(frames, r.framesIn(i)...)
	}
	slices.SortFunc(frames, func(a, b foundFrame) int { return cmp.Compare(a.sequence, b.sequence) })
	ends := [segments]int{segmentHead, segmentHead}
	for _, f := range frames {
		if missing := f.sequence - r.sequence - 1; missing > 0 {
			before, other := r.content[f.segment][ends[f.segment]:f.at], r.content[1-f.segment][ends[1-f.segment]:]
			r.lost = !(r.salvage(before) || r.salvage(other)) || missing > 1 || r.lost
		}
		r.lost = !r.take(f.records) || r.lost
		r.sequence, r.revision, r.last = f.sequence, max(r.revision, f.revision), f
		ends[f.segment] = f.end()
	}
	return nil
}

// readSegment reads a segment, which has to be one of the log.
func readSegment(path string, id uint64) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &store.DamagedError{Detail: fmt.Sprintf("%s is missing, and what was acknowledged last may be in it", path)}
	}
	if err != nil {
		return nil, err
	}
	if mark := markOf(id); len(b) < segmentHead || !bytes.HasPrefix(b, mark) && !bytes.HasPrefix(b[segmentHead/2:], mark) {
		return nil, &store.DamagedError{Detail: fmt.Sprintf("%s is not the log of this file, and what was acknowledged last may be missing", path)}
	}
	return b, nil
}

// framesIn finds the frames of a segment that the file does not have. Behind the
// last there may be older ones.
func (r *replay) framesIn(segment int) (frames []foundFrame) {
	b := r.content[segment]
	for at := segmentHead; at < len(b); {
		f, ok := parseFrame(b[at:], r.id)
		if !ok || f.sequence <= r.sequence {
			at += blockSize
			continue
		}
		frames = append(frames, foundFrame{f, segment, at})
		at += f.blocks()
	}
	return frames
}

// take puts records into the table, and reports whether it could read all of them.
func (r *replay) take(records []byte) (all bool) {
	for len(records) > 0 {
		p, rest, ok := nextRecord(records)
		if !ok {
			return false
		}
		r.table.set(p)
		if p.intact() {
			r.revision = max(r.revision, p.revision())
		}
		records = rest
	}
	return true
}

// salvage takes what can still be told of a frame that is damaged, and reports
// whether that may be all. Nothing that its head says is believed: the records end
// where there are zeros, or the room.
func (r *replay) salvage(b []byte) (all bool) {
	if f, ok := parseFrame(b, r.id); len(b) < frameHead || ok && f.sequence <= r.sequence {
		return false // it is one of before
	}
	records := b[frameHead:]
	end := 0
	for len(records)-end >= recordHead && !allZero(records[end:end+recordHead]) {
		_, rest, ok := nextRecord(records[end:])
		if !ok {
			r.take(records[:end])
			return false
		}
		end = len(records) - len(rest)
	}
	return r.take(records[:end]) && end > 0
}

func allZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// settle makes certain that what counts is on disk: an earlier process may have
// ended before the last sync returned, or after it failed, so the last frame is
// written once more (see heal). Where something is lost, the log is kept.
func (r *replay) settle(path string, d disk) (err error) {
	for i := 0; r.lost && i < segments; i++ {
		kept := fmt.Sprintf("%s%s%016x-%d", path, lostSuffix, r.id, i)
		if err := os.Link(segmentPath(path, i), kept); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if r.lost {
		if err := d.folder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	if r.last.records == nil {
		return nil
	}
	f, err := os.OpenFile(segmentPath(path, r.last.segment), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := d.writeAt(f, r.content[r.last.segment][r.last.at:r.last.end()], int64(r.last.at)); err != nil {
		return err
	}
	return d.sync(f)
}

// lostSuffix is in the names of segments from which something is lost.
const lostSuffix = ".damaged-"

// findLost looks for such segments.
func (s *Store) findLost() error {
	files, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), filepath.Base(s.path)+lostSuffix) {
			s.lost = fmt.Sprintf("a part of the log is lost, which is kept as %s", f.Name())
		}
	}
	return nil
}
