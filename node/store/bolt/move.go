package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A move brings a frozen table into the file, in the background, in the order of
// the keys: pages are filled well, and most are written once. With the last of it
// comes the sequence of the last frame that is in the table; the segment with
// those frames is free then. A move that is broken off begins with the same
// records again, which changes nothing.
type move struct {
	table              table
	sequence, revision uint64 // of the last frame, and of the last record
	ends               bool   // no log is in use any more
	from               []byte // the key to go on with
	done               chan struct{}
	err                error // valid when done is closed
}

const (
	// freezeAt is how many bytes of a table or a segment are enough.
	freezeAt = 8 << 20
	// mostUnmoved is how many there may be while the table before is being moved.
	// Then writers wait. So the memory of a store is bounded: two tables of that,
	// and of a group, which has maxGroup or a single call.
	mostUnmoved = 32 << 20
	// moveBatch and moveRecords bound a commit of a move: each of its records may
	// lie in another page.
	moveBatch   = 2 << 20
	moveRecords = 2000
)

// start begins a move, or tries it again.
func (s *Store) start(m *move) {
	m.done = make(chan struct{})
	s.move = m
	go func() {
		defer close(m.done)
		m.err = s.run(m)
	}()
}

// run moves, and lets go of the table.
func (s *Store) run(m *move) error {
	for more := true; more; {
		records, next := m.next()
		commit := func() error {
			return s.transact(func(b *bbolt.Bucket) error { return s.commitMoved(b, m, records, next == nil) })
		}
		err := commit()
		if errors.Is(err, store.ErrDamaged) {
			if err = s.keepApart(records); err == nil {
				err = commit()
			}
		}
		if err != nil {
			return err
		}
		s.placed(records)
		m.from, more = next, next != nil
	}
	if m.ends {
		if err := s.again(); err != nil {
			return err
		}
	}
	s.publish(func(l *layers) { l.frozen = newTable() })
	return nil
}

// again commits once more: the two pages that bbolt can begin with then lead to the
// same records, and either may be damaged.
func (s *Store) again() error {
	return s.transact(func(*bbolt.Bucket) error { return nil })
}

// next returns the records of the next commit, and the key to go on with behind
// them.
func (m *move) next() (records []pair, next []byte) {
	size := 0
	m.table.from(store.Query{From: string(m.from)}, func(p pair) bool {
		if size >= moveBatch || len(records) >= moveRecords {
			next = p.key
			return false
		}
		records, size = append(records, p), size+len(p.key)+len(p.stored)
		return true
	})
	return records, next
}

// commitMoved makes the changes of one commit.
func (s *Store) commitMoved(b *bbolt.Bucket, m *move, records []pair, last bool) error {
	b.FillPercent = fill(records)
	w := wayIn(b.Tx(), bucketName)
	for _, p := range records {
		if err := s.place(b, w, p); err != nil {
			return fmt.Errorf("write %q: %w", p.key, err)
		}
	}
	if !last {
		return nil
	}
	if err := b.SetSequence(m.revision); err != nil {
		return err
	}
	return m.note(b.Tx().Bucket(formatBucket))
}

// fill is how full pages become that a commit of the records splits. Where most of
// them continue a series, as the posts of somebody do, nothing comes between them
// later, and no room is left for it.
func fill(records []pair) float64 {
	continued := 0
	for i := 1; i < len(records); i++ {
		if continues(records[i-1].key, records[i].key) {
			continued++
		}
	}
	if 2*continued > len(records) {
		return 1
	}
	return fillPercent
}

// continues reports whether both keys are as long and differ in the last quarter only.
func continues(before, key []byte) bool {
	n := len(key) * 3 / 4
	return len(before) == len(key) && bytes.Equal(before[:n], key[:n])
}

// note tells the file which frames it has, and that there is no log any more.
func (m *move) note(format *bbolt.Bucket) error {
	err := format.Put(sequenceKey, binary.BigEndian.AppendUint64(nil, m.sequence))
	if m.ends {
		err = errors.Join(err, format.Delete(logKey))
	}
	return err
}

// await waits until nothing is being moved, and tries once more what failed.
func (s *Store) await() error {
	for tries := 0; s.move != nil; tries++ {
		<-s.move.done
		switch {
		case s.move.err == nil:
			return s.moved()
		case tries > 0:
			return s.move.err
		}
		s.start(s.move)
	}
	return nil
}

// idle reports whether nothing is being moved. What failed is tried once more.
func (s *Store) idle() bool {
	if s.move == nil {
		return true
	}
	select {
	case <-s.move.done:
	default:
		return false
	}
	if s.move.err == nil {
		return s.moved() == nil
	}
	s.start(s.move)
	return false
}

// moved gives back what a move that has succeeded leaves.
func (s *Store) moved() error {
	ended := s.move.ends
	s.move = nil
	switch {
	case !ended:
		return nil
	case s.log == nil: // it was that of an earlier process
		return dropSegments(s.opts.disk, s.path)
	}
	l := s.log
	s.log, s.sequence = nil, l.sequence
	return l.drop()
}

// freeze has the active table moved, and goes on with an empty one in the other
// segment.
func (s *Store) freeze(ends bool) error {
	if err := s.log.erase(); err != nil {
		return err
	}
	m := &move{table: s.active, sequence: s.log.sequence, revision: s.revision, ends: ends}
	s.active = newTable()
	s.publish(func(l *layers) { l.active, l.frozen, l.freezes = s.active, m.table, l.freezes+1 })
	s.log.turn()
	s.start(m)
	return nil
}

// room makes sure that there is a log, and room for a group.
func (s *Store) room() error {
	switch size := max(int64(s.active.bytes), s.logAt()); {
	case s.log == nil || !s.log.known:
		if err := s.await(); err != nil {
			return err
		}
		return s.begin()
	case size >= mostUnmoved:
		if err := s.await(); err != nil {
			return err
		}
		return s.freeze(false)
	case size >= freezeAt && s.idle():
		return s.freeze(false)
	}
	return nil
}

func (s *Store) logAt() int64 {
	if s.log == nil {
		return 0
	}
	return s.log.at
}

// begin makes a log, and tells the file. Once the file may know it, it stays until
// the file certainly does not.
func (s *Store) begin() error {
	if s.log == nil {
		l, err := newLog(s.path, s.opts.disk, s.sequence)
		if err != nil {
			return fmt.Errorf("bolt: begin a log: %w", noteFull(err))
		}
		s.log = l
	}
	err := s.transact(func(b *bbolt.Bucket) error {
		format := b.Tx().Bucket(formatBucket)
		return errors.Join(format.Put(sequenceKey, binary.BigEndian.AppendUint64(nil, s.sequence)), format.Put(logKey, binary.BigEndian.AppendUint64(nil, s.log.id)))
	})
	if err == nil {
		// Either page that bbolt can begin with has to know of the log, or the next
		// Open takes it for one of before when the newer page is damaged.
		err = s.again()
	}
	s.log.known = err == nil
	return err
}

// rest has the active table moved when nobody has written for a while, so that a
// start after a kill finds little. What fails is told to the next who writes, if
// there is no room for that.
func (s *Store) rest() {
	if !s.idle() {
		s.pause.Reset(restTime)
		return
	}
	if s.log != nil && s.active.tree.Len() > 0 && s.freeze(false) != nil {
		s.pause.Reset(restTime)
	}
}
