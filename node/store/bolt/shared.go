package bolt

import (
	"errors"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A shared is a read transaction that all calls have in common which look at a few
// records: to begin one takes half as long as to find a record. It sees the last
// commit, and ends before the next one begins: bbolt would wait for it to map a file
// that grows, and not use the pages again that it sees.
type shared struct {
	mu      sync.RWMutex // held to read in it; for writing to begin and end it
	tx      *bbolt.Tx    // nil: there is none, as long as something is being committed, or after that failed
	records tree
}

// share begins the transaction, after the commit of a number. Where anything is wrong
// there is none, and who reads finds out.
func (s *Store) share(committed int64) {
	h := &s.shared
	h.mu.Lock()
	defer h.mu.Unlock()
	var tx *bbolt.Tx
	err := guarded(func() (err error) {
		if tx, err = s.db.Begin(false); err == nil {
			h.records, err = records(tx, committed)
		}
		return err
	})
	switch {
	case err == nil:
		h.tx = tx
	case tx != nil:
		rolledBack(tx)
	case errors.Is(err, store.ErrDamaged):
		s.abandon(err) // bbolt holds its locks now
	}
}

// end waits for those who read, and ends it.
func (h *shared) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tx != nil {
		rolledBack(h.tx)
		h.tx = nil
	}
}

// view reads in the transaction, if there is one.
func (h *shared) view(read func(tree) error) (ok bool, err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.tx == nil {
		return false, nil
	}
	return true, read(h.records)
}
