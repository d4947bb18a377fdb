package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A copy of which nothing was read for long gives up its older entries (room.go)
// and keeps its newest end: the newest entry, that of the newest epoch, and the
// wraps of that epoch. So it is known how far the stream goes and who may read
// it, what is new is copied on, and no older head is taken. The rest is a gap,
// which is closed when somebody reads it (refill.go).

// gapRecord: gap/<author>/<audience>, in the copies. It commits that entries are
// not here: they are deleted after it is written, and all there again before it
// is deleted. What there is of them meanwhile is read by nobody.
type gapRecord struct {
	Version  uint64 `cbor:"1,keyasint"`
	From     uint64 `cbor:"2,keyasint"`           // the entries before it are not here
	Epoch    uint64 `cbor:"3,keyasint"`           // but for this one, the newest epoch at From
	Position int64  `cbor:"4,keyasint"`           // of the entry before From, ms since 1970
	Arrival  int64  `cbor:"5,keyasint"`           // of the same
	Rest     int64  `cbor:"6,keyasint,omitempty"` // bytes that are left; 0 while entries go or come
	Busy     int64  `cbor:"7,keyasint,omitempty"` // when a process was last at that, ms since 1970
}

// gapBusy is how long other processes leave a gap to one that was at it.
const gapBusy = 2 * pullTimeout

// A gap is a gapRecord as it is in the store.
type gap struct {
	gapRecord
	revision uint64
}

var (
	errGap  = errors.New("the entry is not kept here at present")
	errBusy = wire.Errorf(wire.Conflict, "stream", "somebody else is at the gap in this copy")
)

func gapKey(s streamName) string { return "gap/" + s.String() }

// has reports whether an entry up to the head is here.
func (s *stream) has(seq uint64) bool {
	g := s.gap.Load()
	return g == nil || seq >= g.From || seq == g.Epoch
}

// around returns the lowest seq from which on all entries up to seq are here, and
// the highest up to which they are.
func (s *stream) around(seq uint64) (low, high uint64) {
	g := s.gap.Load()
	switch {
	case g == nil:
		return 1, s.state().Seq
	case seq >= g.From:
		return g.From, s.state().Seq
	}
	return g.Epoch, g.Epoch
}

// loadGap reads what is missing of a copy. The caller holds s.appending, or is
// alone.
func (n *Node) loadGap(ctx context.Context, s *stream) error {
	var g gap
	var err error
	g.revision, err = read(ctx, n.copies, gapKey(s.name), &g.gapRecord)
	switch {
	case errors.Is(err, wire.NotExist):
		s.gap.Store(nil)
	case err != nil:
		return err
	default:
		s.gap.Store(&g)
	}
	return nil
}

// steady reports whether a copy has the gap that it had before it was read. Of
// what another process does meanwhile, this one may not have heard yet.
func (n *Node) steady(ctx context.Context, s *stream, before *gap) (bool, error) {
	if s.copy && n.news != nil {
		s.appending.Lock()
		defer s.appending.Unlock()
		if err := n.loadGap(ctx, s); err != nil {
			return false, err
		}
	}
	now := s.gap.Load()
	return now == before || now != nil && before != nil && now.From == before.From, nil
}

// putGap writes the gap of a copy, unless another process did. The caller holds
// s.appending.
func (n *Node) putGap(ctx context.Context, s *stream, r *gapRecord) error {
	var before uint64
	if g := s.gap.Load(); g != nil {
		before = g.revision
	}
	s.stale = true // until it is known to have succeeded
	err := n.copies.Apply(ctx, putIf(gapKey(s.name), r, store.IfRevision(before)))
	if errors.Is(err, store.ErrConflict) {
		return errBusy
	}
	if err == nil {
		err = n.loadGap(ctx, s)
	}
	if err == nil {
		s.stale = false
	}
	return err
}

// A gapWork is what is to be done in a gap.
type gapWork int

const (
	toTrim   gapWork = iota // up to the head, whether there is a gap or not
	toFinish                // what an interruption left
	toRefill
)

// wants reports whether the work is to be done at a gap, nil for none.
func (w gapWork) wants(g *gap) bool {
	return w == toTrim || g != nil && (w == toRefill || g.Rest == 0)
}

// enterGap makes or takes over the gap of a copy, to change what is in it. It
// returns nothing where nothing is to be done; else leaveGap follows. The caller
// holds s.appending.
func (n *Node) enterGap(ctx context.Context, s *stream, work gapWork) (*gap, error) {
	if err := n.ready(ctx, s); err != nil {
		return nil, err
	}
	now, before, head := n.now(), s.gap.Load(), s.state()
	if head.Seq == 0 || !work.wants(before) {
		return nil, nil
	}
	if s.moving || n.news != nil && before != nil && now.Sub(time.UnixMilli(before.Busy)).Abs() < gapBusy {
		return nil, errBusy
	}
	next := gapRecord{Version: recordVersion, From: head.Seq, Epoch: head.Epoch}
	switch {
	case work != toTrim || before != nil && before.From == head.Seq:
		next = before.gapRecord
		next.Rest = 0
	case head.Seq > 1:
		r, err := n.entry(ctx, s, head.Seq-1)
		if err != nil {
			return nil, err
		}
		next.Position, next.Arrival = r.position(), r.Arrival
	}
	next.Busy = now.UnixMilli()
	if err := n.putGap(ctx, s, &next); err != nil {
		return nil, err
	}
	s.moving = true
	return s.gap.Load(), nil
}

func (s *stream) leaveGap() {
	s.appending.Lock()
	defer s.appending.Unlock()
	s.moving = false
}

// trim deletes all of a copy but its newest end, and returns how many bytes are
// left. Readers and writers get in between any two batches. What is interrupted is
// done again (makeRoom).
func (n *Node) trim(ctx context.Context, s *stream, work gapWork) (rest int64, err error) {
	s.appending.Lock()
	g, err := n.enterGap(ctx, s, work)
	var older []wire.Commitment
	if g != nil {
		defer s.leaveGap()
		older, err = n.olderWraps(ctx, s)
	}
	bytes := s.bytes
	s.appending.Unlock()
	if g == nil || err != nil {
		return max(bytes, 0), err
	}
	ranges := []store.Query{{From: s.entryKey(1), To: s.entryKey(min(g.Epoch, g.From))}}
	if g.Epoch < g.From {
		ranges = append(ranges, store.Query{From: store.After(s.entryKey(g.Epoch)), To: s.entryKey(g.From)})
	}
	for _, c := range older {
		ranges = append(ranges, store.Prefix(wrapsKey(s.name.author, s.name.audience, c)))
	}
	for _, q := range ranges {
		for more := true; more; {
			if more, err = n.trimBatch(ctx, s, q); err != nil {
				return 0, err
			}
		}
	}
	return n.trimmed(ctx, s)
}

// olderWraps returns the epochs before the newest that there are wraps of. The
// caller holds s.appending.
func (n *Node) olderWraps(ctx context.Context, s *stream) (list []wire.Commitment, err error) {
	newest := s.state().content
	for q := store.Prefix("wrap/" + s.name.String() + "/"); ; {
		key := ""
		for rec, err := range firstKey(ctx, n.copies, q, n.leftOut) {
			if err != nil {
				return nil, err
			}
			key = strings.Clone(rec.Key)
		}
		if key == "" {
			return list, nil
		}
		name, err := parseWrapKey(key)
		if err != nil {
			return nil, err
		}
		if name.Commitment != newest {
			list = append(list, name.Commitment)
		}
		q.From = store.Prefix(wrapsKey(name.Author, name.Audience, name.Commitment)).To
	}
}

// trimBatch deletes the first records of a query, and reports whether there were
// any.
func (n *Node) trimBatch(ctx context.Context, s *stream, q store.Query) (bool, error) {
	s.appending.Lock()
	defer s.appending.Unlock()
	q.Limit = dropBatch
	changes, err := deletions(ctx, n.copies, q)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	if err := n.copies.Apply(ctx, changes...); err != nil {
		return false, err
	}
	for _, c := range changes {
		if name, err := parseWrapKey(c.Key); err == nil {
			n.wraps.forget(name)
		}
	}
	return true, nil
}

// trimmed notes what is left.
func (n *Node) trimmed(ctx context.Context, s *stream) (int64, error) {
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := n.ready(ctx, s); err != nil {
		return 0, err
	}
	rest, err := weigh(ctx, n.copies, s.name)
	if err != nil {
		return 0, err
	}
	s.bytes = rest
	if err := n.copies.Apply(ctx, syncChange(s.name, s.saved, s.state().Seq, rest)); err != nil {
		return 0, err
	}
	g := s.gap.Load()
	if g == nil {
		return rest, nil
	}
	next := g.gapRecord
	next.Rest, next.Busy = rest, 0
	return rest, n.putGap(ctx, s, &next)
}

// weigh counts the bytes of keys and values that a copy of a stream takes.
func weigh(ctx context.Context, s store.Store, name streamName) (bytes int64, err error) {
	for rec, err := range s.Scan(ctx, store.Prefix(streamKey(name))) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return 0, err
		}
		if seq, ok := parseHex16(strings.TrimPrefix(rec.Key, streamKey(name))); ok {
			bytes += sizeOf(store.Change{Key: rec.Key, Value: rec.Value}, idChange(name, seq, wire.EntryID{}))
		}
	}
	for rec, err := range s.Scan(ctx, store.Prefix("wrap/"+name.String()+"/")) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return 0, err
		}
		bytes += int64(len(rec.Key) + len(rec.Value))
	}
	return bytes, nil
}

func sizeOf(changes ...store.Change) (bytes int64) {
	for _, c := range changes {
		bytes += int64(len(c.Key) + len(c.Value))
	}
	return bytes
}

// newWraps returns the bytes of those changes that write a wrap that was not there
// before. One of an epoch that comes now was not, even if it is there: an attempt
// before was interrupted.
func (n *Node) newWraps(ctx context.Context, s *stream, names []keyservice.WrapName, changes []store.Change, drafts []*draft) (bytes int64, err error) {
	for i, name := range names {
		if slices.ContainsFunc(drafts, func(d *draft) bool { return d.record.Content == name.Commitment }) {
			bytes += sizeOf(changes[i])
			continue
		}
		_, err := n.wrapHash(ctx, s, name.Commitment, name.Reader)
		if errors.Is(err, wire.NotExist) {
			bytes += sizeOf(changes[i])
		} else if err != nil && !errors.Is(err, store.ErrDamaged) {
			return 0, err
		}
	}
	return bytes, nil
}
