package node

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	fullRetry  = 10 * time.Second
	fullReport = time.Minute // between two lines in the log
)

// A shortage is what is said while a store has no room: everybody who wants to
// write is told to come again, since nobody has to do anything but free space.
type shortage struct {
	refused  atomic.Int64 // since the last report
	reported atomic.Int64 // ns since 1970
}

// answer turns an error of a store that is full into one that can be told, and
// leaves others as they are. It says so in the log now and then.
func (s *shortage) answer(log *slog.Logger, now time.Time, err error) error {
	if !errors.Is(err, store.ErrFull) {
		return err
	}
	s.refused.Add(1)
	last := s.reported.Load()
	if now.UnixNano()-last > fullReport.Nanoseconds() && s.reported.CompareAndSwap(last, now.UnixNano()) {
		log.Error("the disk is full: nothing can be written until there is space", "refused", s.refused.Swap(0), "error", err)
	}
	told := wire.Errorf(wire.Unavailable, "", "this node's disk is full; try again later")
	told.RetryAfter = fullRetry
	return told
}
