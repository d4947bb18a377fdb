package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/node/store"
)

// Copies have a cap in bytes (copies.max_bytes). What each takes is in its
// syncRecord, written with what it takes; the sum is made of those, and kept in
// memory from then on. When it is above the cap, the copies that were not read for
// longest are trimmed (gap.go), in the background, until it is below the low-water
// mark.

const (
	roomInterval = time.Minute     // between two looks, if there is need for them
	lowWater     = 90              // percent of the cap
	readStep     = time.Minute     // what is read again sooner was not read anew
	saveReads    = 5 * time.Minute // how late the time of reading is stored
	spareRead    = 2 * time.Minute // what was read since is being read, and stays
)

// readRecord: read/<author>/<audience>, in the copies. It is written now and then.
type readRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	At      int64  `cbor:"2,keyasint"` // ms since 1970
}

func readKey(s streamName) string { return "read/" + s.String() }

// room is what the copies take, and may take.
type room struct {
	max  int64
	wake chan struct{}
	look sync.Mutex // held while room is made

	mu    sync.Mutex
	total int64            // as far as is known
	since int64            // grown since the last look began
	doubt bool             // total may be wrong: of what another process did, or what was interrupted
	tight bool             // the last look did not find enough that could go
	read  map[*stream]bool // since the times of reading were stored
}

func (r *room) init(most int64) {
	r.max = cmp.Or(most, DefaultMaxCopies)
	r.wake = make(chan struct{}, 1)
	r.read = make(map[*stream]bool)
	r.doubt = true
}

// mark lets there be another look.
func (r *room) mark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubt = true
}

// grow notes that copies take more.
func (r *room) grow(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total, r.since = r.total+bytes, r.since+bytes
	if r.total > r.max && !r.tight {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// touch notes that somebody reads entries of a stream.
func (n *Node) touch(s *stream, now time.Time) {
	at := now.UnixMilli()
	if !s.copy || at-s.read.Load() < readStep.Milliseconds() {
		return
	}
	s.read.Store(at)
	n.room.mu.Lock()
	defer n.room.mu.Unlock()
	n.room.read[s] = true
}

// roomLoop makes room when it is needed, and stores now and then when what was
// read.
func (n *Node) roomLoop() {
	select {
	case <-n.warmed:
	case <-n.ctx.Done():
		return
	}
	looks, saves := time.NewTicker(roomInterval), time.NewTicker(saveReads)
	defer looks.Stop()
	defer saves.Stop()
	for {
		if n.leads() && n.room.due() {
			if err := n.makeRoom(n.ctx); err != nil && n.ctx.Err() == nil {
				n.log.Error("no room could be made among the copies", "error", err)
			}
		}
		select {
		case <-n.ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = n.saveReads(last) // it is not worth more
			return
		case <-n.room.wake:
		case <-looks.C:
		case <-saves.C:
			if err := n.saveReads(n.ctx); err != nil && n.ctx.Err() == nil {
				n.log.Warn("when copies were read could not be stored", "error", err)
			}
		}
	}
}

// due reports whether a look is worth it.
func (r *room) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubt || r.tight || r.total > r.max
}

// saveReads stores when copies were read, those that were since the last time.
func (n *Node) saveReads(ctx context.Context) error {
	n.room.mu.Lock()
	read := n.room.read
	n.room.read = make(map[*stream]bool)
	n.room.mu.Unlock()
	var changes []store.Change
	for s := range read {
		if s.state().Seq == 0 {
			continue // it was dropped since
		}
		changes = append(changes, put(readKey(s.name), &readRecord{recordVersion, s.read.Load()}))
	}
	for batch := range slices.Chunk(changes, sweepBatch) {
		if err := n.copies.Apply(ctx, batch...); err != nil {
			n.room.mu.Lock()
			defer n.room.mu.Unlock()
			for s := range read {
				n.room.read[s] = true
			}
			return err
		}
	}
	return nil
}

// A weight is what a copy takes, and what of it would stay.
type weight struct {
	name        streamName
	bytes, rest int64
	read        int64 // ms since 1970, 0 for never
}

// makeRoom looks at what all copies take, and trims as many as have to go.
func (n *Node) makeRoom(ctx context.Context) error {
	n.room.look.Lock()
	defer n.room.look.Unlock()
	n.room.mu.Lock()
	n.room.since, n.room.doubt = 0, false
	n.room.mu.Unlock()
	list, err := n.weights(ctx)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, w := range list {
		total += w.bytes
	}
	before, trimmed := total, 0
	if total > n.room.max {
		slices.SortFunc(list, func(a, b weight) int { return cmp.Or(cmp.Compare(a.read, b.read), a.name.compare(b.name)) })
		low, spared := n.room.max/100*lowWater, n.now().Add(-spareRead).UnixMilli()
		for _, w := range list {
			if total <= low || w.read > spared {
				break
			}
			if s := n.streams.get(w.name); w.bytes <= w.rest || s != nil && s.read.Load() > spared {
				continue
			}
			rest, err := n.trimNamed(ctx, w.name, toTrim)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				n.log.Warn("a copy could not be trimmed", "stream", w.name.String(), "error", err)
				continue
			}
			total, trimmed = total-w.bytes+rest, trimmed+1
		}
	}
	n.madeRoom(before, total, trimmed)
	return nil
}

// madeRoom notes what a look came to, and tells the operator.
func (n *Node) madeRoom(before, total int64, trimmed int) {
	r := &n.room
	r.mu.Lock()
	r.total = total + r.since
	tight := total > r.max
	first := tight && !r.tight
	r.tight = tight
	r.mu.Unlock()
	if trimmed > 0 {
		n.log.Info("older entries of copies were removed to make room", "copies", trimmed, "bytes", before-total, "left", total, "copies.max_bytes", r.max)
	}
	if first {
		n.log.Warn("the copies take more than copies.max_bytes: what is being read, and the newest end of each copy, stays", "bytes", total, "copies.max_bytes", r.max)
	}
}

// trimNamed trims a copy and returns how many bytes are left.
func (n *Node) trimNamed(ctx context.Context, name streamName, work gapWork) (int64, error) {
	s, err := n.stream(ctx, name)
	if err != nil || s == nil || !s.copy {
		return 0, err
	}
	return n.trim(ctx, s, work)
}

// weights returns what each copy takes. It counts those that were not counted, and
// trims those at which somebody was interrupted.
func (n *Node) weights(ctx context.Context) ([]weight, error) {
	gaps, err := copiesBy[gapRecord](ctx, n, "gap/")
	if err != nil {
		return nil, err
	}
	reads, err := copiesBy[readRecord](ctx, n, "read/")
	if err != nil {
		return nil, err
	}
	syncs, err := copiesBy[syncRecord](ctx, n, "sync/")
	if err != nil {
		return nil, err
	}
	list := make([]weight, 0, len(syncs))
	for name, r := range syncs {
		w := weight{name, r.Bytes, gaps[name].Rest, reads[name].At}
		if s := n.streams.get(name); s != nil {
			w.read = max(w.read, s.read.Load())
		}
		_, gapped := gaps[name]
		if gapped && w.rest == 0 {
			w.bytes, err = n.trimNamed(ctx, name, toFinish)
			w.rest = w.bytes
		} else if w.bytes == 0 {
			w.bytes, err = n.count(ctx, name)
		}
		if errors.Is(err, errBusy) {
			w.bytes, w.rest, err = r.Bytes, r.Bytes, nil // by somebody who is at it now
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			n.log.Warn("a copy could not be counted", "stream", name.String(), "error", err)
			continue
		}
		list = append(list, w)
	}
	return list, nil
}

// count counts what a copy takes, and stores it.
func (n *Node) count(ctx context.Context, name streamName) (int64, error) {
	s, err := n.stream(ctx, name)
	if err != nil || s == nil || !s.copy {
		return 0, err
	}
	before := s.state().Seq
	bytes, err := weigh(ctx, n.copies, name)
	if err != nil {
		return 0, err
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil || bytes == 0 || s.state().Seq != before {
		return bytes, err // more came meanwhile: the next look counts again
	}
	s.bytes = bytes
	return bytes, n.copies.Apply(ctx, syncChange(name, s.saved, before, bytes))
}

// copiesBy reads all records of a kind that are about copies.
func copiesBy[R any](ctx context.Context, n *Node, prefix string) (map[streamName]R, error) {
	all := make(map[streamName]R)
	for rec, err := range intactRecords(n.copies.Scan(ctx, store.Prefix(prefix)), n.leftOut) {
		if err != nil {
			return nil, err
		}
		name, err := parseStreamName(strings.TrimPrefix(rec.Key, prefix))
		var r R
		if err == nil {
			err = decodeRecord(rec, &r)
		}
		if err != nil {
			n.leftOut(err)
			continue
		}
		all[name] = r
	}
	return all, nil
}
