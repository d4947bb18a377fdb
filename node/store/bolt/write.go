package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// Group commit. A call of Apply has to wait for a sync, and calls share one: they
// queue up, and a single goroutine takes all that wait, looks at their conditions,
// writes what they change to the log as one frame, syncs it, shows it to readers,
// answers all, and looks again. Who arrives meanwhile forms the next group. There
// is no timer: a lone caller waits for its own frame only, and the busier the
// store, the larger the groups.
//
// The calls of a group are tried one after the other. All conditions of a call
// are checked before its first change is made, so one that fails leaves
// nothing behind, and the others go on.

// maxGroup is how many bytes one frame takes on, but for a single larger
// call: it bounds memory, and the time the last to join has to wait.
const maxGroup = 8 << 20

// settleTime is how long the writer waits for the next to join a group while
// they come one after the other. A sync takes 200 us and more.
const settleTime = 20 * time.Microsecond

// restTime is how long nobody writes before what was written is moved.
const restTime = time.Second

// A request is one call of Apply on its way through the writer.
type request struct {
	changes []change
	size    int // bytes of keys and values
	err     error
	done    chan struct{}
}

// A change is a store.Change, with the value copied and room in front of it
// for sums and revision.
type change struct {
	key      []byte
	stored   []byte // nil deletes
	If       store.Condition
	previous int // index of the change before it in the same call with the same key, or -1
}

// Apply implements store.Store. When ctx ends while the call waits for its
// turn, nothing is written; once its turn has come, it waits for the commit.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) error {
	r, err := newRequest(changes)
	if err != nil {
		return err
	}
	if err = ctx.Err(); err == nil {
		err = s.enqueue(r)
	}
	if err != nil {
		return fmt.Errorf("bolt: apply: %w", err)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if s.withdraw(r) {
			return fmt.Errorf("bolt: apply: %w", ctx.Err())
		}
		<-r.done
	}
	return r.err
}

func newRequest(changes []store.Change) (*request, error) {
	r := &request{changes: make([]change, len(changes)), done: make(chan struct{})}
	for _, c := range changes {
		if err := c.Check(); err != nil {
			return nil, err
		}
		r.size += len(c.Key) + len(c.Value)
	}
	latest := make(map[string]int) // of few, on the stack
	room := make([]byte, r.size+headSize*len(changes))
	part := func(size int) (b []byte) {
		b, room = room[:size:size], room[size:]
		return b
	}
	for i, c := range changes {
		r.changes[i] = change{key: part(len(c.Key)), If: c.If, previous: -1}
		copy(r.changes[i].key, c.Key)
		if before, ok := latest[c.Key]; ok {
			r.changes[i].previous = before
		}
		latest[c.Key] = i
		if c.Value != nil {
			r.changes[i].stored = part(headSize + len(c.Value))
			copy(r.changes[i].stored[headSize:], c.Value)
		}
	}
	return r, nil
}

func (s *Store) enqueue(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.waiting = append(s.waiting, r)
	s.ready.Signal()
	return nil
}

// withdraw takes a request back, if the writer has not taken it yet.
func (s *Store) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w == r {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// write is the writer: it commits groups until the store is closed and
// nobody waits.
func (s *Store) write() {
	defer close(s.finished)
	for {
		group, closed := s.nextGroup()
		if closed {
			return
		}
		if len(group) == 0 {
			s.rest()
			continue
		}
		err := s.commit(group)
		if errors.Is(err, store.ErrDamaged) && len(group) > 1 {
			for _, r := range group { // only those that concern the damaged page shall fail
				if err := s.commit([]*request{r}); err != nil {
					r.err = err
				}
			}
			err = nil
		}
		for _, r := range group {
			if err != nil {
				r.err = err
			}
			close(r.done)
		}
		s.settle(len(group))
	}
}

// settle lets those who were just answered come back with their next change
// before the next group is closed. Without it, half of them find it gone, and there
// are nearly twice as many syncs: with 8 writers 0.26 a call instead of 0.14, with 64
// of them 0.037 instead of 0.022 (BenchmarkApply); a lone writer needs the same CPU. It
// only yields to what is ready to run, and ends when as many are there again,
// or when nobody came for a moment that is short beside a commit. A single one
// would come back to a group of one, for which there is nothing to wait.
func (s *Store) settle(answered int) {
	if answered == 1 {
		return
	}
	latest, since := 0, time.Now()
	for time.Since(since) < settleTime {
		runtime.Gosched()
		s.mu.Lock()
		waiting := len(s.waiting)
		s.mu.Unlock()
		if waiting >= answered {
			return
		}
		if waiting > latest {
			latest, since = waiting, time.Now()
		}
	}
}

// nextGroup waits for requests and takes them, up to maxGroup. It returns
// none when nobody has written for a while, or when the store is closed and all
// requests are taken; then it reports that.
func (s *Store) nextGroup() (group []*request, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed && !s.paused {
		s.ready.Wait()
	}
	s.paused = false
	n, size := 0, 0
	for n < len(s.waiting) && (n == 0 || size+s.waiting[n].size <= maxGroup) {
		size += s.waiting[n].size
		n++
	}
	group = s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return group, n == 0 && s.closed
}

// A draft is what a group will change.
type draft struct {
	view
	cursor   *cursor
	table    table  // the active one with the changes
	added    []pair // the changes, in order
	frame    []byte
	revision uint64
}

// commit brings a group to disk. It sets the errors of those that cannot be
// made; the error it returns concerns the whole group.
func (s *Store) commit(group []*request) error {
	if err := s.reopened(); err != nil {
		return err
	}
	d := &draft{table: s.active.clone(), frame: append(s.buffer[:0], make([]byte, frameHead)...), revision: s.revision}
	err := s.view(func(v view) error {
		over := *v.layers
		over.active = d.table
		d.view, d.cursor = view{&over, v.records, v.lost}, v.records.cursor()
		for _, r := range group {
			if r.err = d.check(r); r.err == nil {
				d.put(r)
			}
		}
		return nil
	})
	if err != nil || len(d.added) == 0 {
		return err
	}
	return s.record(d)
}

// record writes a draft to the log, and shows it.
func (s *Store) record(d *draft) error {
	if s.opts.Fill {
		return s.fill(d)
	}
	active := s.active.tree
	if err := s.room(); err != nil {
		return err
	}
	if s.active.tree != active { // which was frozen
		d.table = newTable()
		for _, p := range d.added {
			d.table.set(p)
		}
	}
	s.buffer = closeFrame(d.frame, s.log.id, s.log.sequence+1, d.revision)
	if err := s.log.append(s.buffer); err != nil {
		return fmt.Errorf("bolt: the log could not be written: %w", noteFull(err))
	}
	s.active, s.revision = d.table, d.revision
	s.publish(func(l *layers) { l.active = s.active })
	s.pause.Reset(restTime)
	return nil
}

// fill brings a draft into the file.
func (s *Store) fill(d *draft) error {
	if err := s.await(); err != nil {
		return err
	}
	m := &move{sequence: s.sequence, revision: d.revision}
	err := s.transact(func(b *bbolt.Bucket) error { return s.commitMoved(b, m, d.added, true) })
	if err == nil {
		s.revision = d.revision
	}
	return err
}

// check returns an error for the first condition that does not hold, or cannot
// be told. The i-th change, if made, gets the i-th revision from now.
func (d *draft) check(r *request) error {
	for _, c := range r.changes {
		_, bound := c.If.Revision()
		var current uint64
		switch {
		case c.previous < 0:
			found, known, err := d.look(d.cursor, c.key)
			if err == nil && bound && !known {
				err = d.missing(c.key)
			}
			if err != nil && (bound || !known) { // else it is written over
				return fmt.Errorf("bolt: apply: %w", err)
			}
			if found.key != nil {
				current = found.revision()
			}
		case r.changes[c.previous].stored != nil:
			current = d.revision + uint64(c.previous) + 1
		}
		if !c.If.Holds(current) {
			return &store.ConflictError{Key: string(c.key)}
		}
	}
	return nil
}

// put makes all changes of a request whose conditions hold.
func (d *draft) put(r *request) {
	for _, c := range r.changes {
		d.revision++
		p := pair{c.key, c.stored}
		if p.stored != nil {
			seal(p.key, p.stored, d.revision)
		}
		d.table.set(p)
		d.added = append(d.added, p)
		d.frame = appendRecord(d.frame, p)
	}
}
