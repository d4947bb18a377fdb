package bolt

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/peerbrain/peerbrain/node/store"
)

// heal opens the file again after a commit failed, before the next one. Readers
// wait meanwhile.
//
// After a failed sync the kernel may have dropped what it could not write, and
// call it clean: a later sync succeeds without it (see "fsyncgate",
// https://danluu.com/fsyncgate/). So the cache, which readers see, may be ahead
// of the disk. What can have been lost is little, because bbolt writes each commit
// to free pages, syncs, writes the page with the root (the "meta page": there are
// two, taken in turn), and syncs:
//
//   - When writing or the first sync failed, what may be missing on the disk are
//     pages that are free as of the last commit. Nothing leads to them, and the
//     next commit that uses one writes all of it.
//   - When the meta page could not be written, or the second sync failed, all it
//     leads to is on the disk, but the page itself may not be. The commit after it
//     would overwrite the other meta page, the only one that is certain to be on
//     the disk. So heal writes the page again as it is in the cache, which makes
//     the kernel call it dirty again, and syncs. Should the cache have lost it
//     too, then what is written again is what was there before the commit.
//
// Either way, cache and disk agree when that sync succeeds, on a state with
// everything that was acknowledged. If it fails, the store stays as it is, and the
// next Apply tries it again. bbolt's account in memory of which pages are free
// may be of another state, so the file is opened anew, once all readers of the
// old mapping have ended.
func (s *Store) heal() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.healthy() {
		return nil // another one was first
	}
	if s.db != nil {
		if err := s.rewriteMeta(); err != nil {
			return err
		}
		s.shared.end()
		err := s.db.Close()
		s.db = nil
		if err != nil {
			return err
		}
	}
	if err := s.open(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil
	return nil
}

func (s *Store) healthy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed == nil
}

// reopened opens the file again where that has failed before.
func (s *Store) reopened() error {
	s.gate.RLock()
	gone := s.db == nil
	s.gate.RUnlock()
	if !gone {
		return nil
	}
	if err := s.heal(); err != nil {
		return fmt.Errorf("bolt: open again after a failed commit: %w", noteFull(err))
	}
	return nil
}

// rewriteMeta writes the meta page of the commit that failed once more.
func (s *Store) rewriteMeta() (err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, s.db.Info().PageSize)
	at := (s.committed.Load() + 1) % 2 * int64(len(page))
	if _, err := f.ReadAt(page, at); err != nil {
		return err
	}
	if _, err := s.opts.disk.writeAt(f, page, at); err != nil {
		return err
	}
	return s.db.Sync()
}

// fail notes that a commit failed.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = fmt.Errorf("bolt: a commit failed: %w", noteFull(err))
	return s.failed
}

// noteFull makes an error of a disk, quota or file that is full match
// store.ErrFull. bbolt passes those of growing on as text.
func noteFull(err error) error {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.HasSuffix(err.Error(), ": "+full.Error()) {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}
	return err
}
