package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/peerbrain/peerbrain/node/store"
)

// A view is the store as it was at one moment: a transaction of the file, and what
// lies over it.
type view struct {
	*layers
	records tree
	lost    string // why nobody knows what is missing; empty if nothing is
}

// errAgain says that the layers are not those of the transaction.
var errAgain = errors.New("a table was frozen")

// view reads the store as it is at one moment. What of it was moved into the file
// meanwhile is there twice, which does no harm; but a table that was frozen after
// the layers were looked at may be in the file already, in which case it looks
// again.
func (s *Store) view(read func(view) error) error { return s.viewIn(&s.shared, read) }

// viewLong is view for what takes longer than a commit should wait.
func (s *Store) viewLong(read func(view) error) error { return s.viewIn(nil, read) }

func (s *Store) viewIn(h *shared, read func(view) error) (err error) {
	for err = errAgain; err == errAgain; {
		err = s.viewUnder(s.layers.Load(), h, read)
	}
	return err
}

// viewUnder reads the file under layers that were looked at before.
func (s *Store) viewUnder(l *layers, h *shared, read func(view) error) error {
	return s.viewFile(h, func(t tree) error {
		if s.layers.Load().freezes != l.freezes {
			return errAgain
		}
		return read(view{l, t, s.lost})
	})
}

// publish changes what others see.
func (s *Store) publish(change func(*layers)) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	l := *s.layers.Load()
	change(&l)
	s.layers.Store(&l)
}

// viewFile reads in a shared transaction, or if h is nil or has none, in one of its
// own. What bbolt does not expect of a page makes it panic, and an offset beyond the
// end of the file makes it fault: both become a *store.DamagedError.
func (s *Store) viewFile(h *shared, read func(tree) error) (err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if err := s.usable(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	beginning := false
	defer func() {
		if p := recover(); p != nil {
			err = damage(p)
			if beginning {
				s.abandon(err) // bbolt holds its locks now
			}
		}
	}()
	if h != nil {
		if ok, err := h.view(read); ok {
			return err
		}
	}
	committed := s.committed.Load()
	beginning = true
	err = s.db.View(func(tx *bbolt.Tx) error {
		beginning = false
		t, err := records(tx, committed)
		if err != nil {
			return err
		}
		return read(t)
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// records returns the records. A transaction that is older than what was
// committed before it began means that the page with the newest root was
// changed, and bbolt took the one before.
func records(tx *bbolt.Tx, committed int64) (tree, error) {
	if int64(tx.ID()) < committed {
		return tree{}, &store.DamagedError{Detail: "the page that leads to the newest records was overwritten"}
	}
	t, ok := contentOf(tx).bucket(bucketName)
	if !ok {
		return tree{}, &store.DamagedError{Detail: "the way to the records was overwritten"}
	}
	return t, nil
}

// damage makes an error of a panic.
func damage(p any) error {
	return &store.DamagedError{Detail: fmt.Sprintf("a page of the file: %v", p)}
}

// guarded makes errors of panics and faults, where nobody comes after.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damage(p)
		}
	}()
	return do()
}

// usable reports why there is nothing to read or write. The caller holds s.gate.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.abandoned != nil:
		return s.abandoned
	case s.db == nil:
		return s.failed
	}
	return nil
}

// abandon gives the file up: nobody touches it again in this process.
func (s *Store) abandon(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned = fmt.Errorf("bolt: the file cannot be used until it is opened again: %w", err)
}

// transact commits a change of the file, after it has put in order what an earlier
// one that failed has left.
func (s *Store) transact(write func(*bbolt.Bucket) error) error {
	s.mu.Lock()
	abandoned := s.abandoned
	s.mu.Unlock()
	if abandoned != nil {
		return abandoned // and bbolt may hold its locks
	}
	if !s.healthy() {
		if err := s.heal(); err != nil {
			return fmt.Errorf("bolt: open again after a failed commit: %w", noteFull(err))
		}
	}
	if err := s.update(write); err != nil {
		return s.fail(err)
	}
	return nil
}

// update runs a write transaction, like viewFile.
func (s *Store) update(write func(*bbolt.Bucket) error) (err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if err := s.usable(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var tx *bbolt.Tx
	defer func() {
		if p := recover(); p != nil {
			if err = damage(p); tx == nil || !rolledBack(tx) {
				s.abandon(err)
			}
		}
	}()
	committed := s.committed.Load()
	s.shared.end()
	if tx, err = s.db.Begin(true); err != nil {
		return err
	}
	id := int64(tx.ID())
	_, err = records(tx, committed+1)
	if err == nil {
		err = write(tx.Bucket(bucketName))
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err = tx.Commit(); err == nil {
		s.committed.Store(id)
		s.share(id)
	}
	return err
}

// rolledBack ends a transaction that panicked, unless that panics too.
func rolledBack(tx *bbolt.Tx) (done bool) {
	defer func() { recover() }()
	err := tx.Rollback()
	return err == nil || errors.Is(err, berrors.ErrTxClosed)
}
