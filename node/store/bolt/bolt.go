// Package bolt keeps a node's records in one file of its own, with bbolt, and has a
// log in front of it.
//
// It is the default of a node that runs alone. One process holds the file at
// a time, and its log with it. Every Apply that returned is on disk; concurrent
// calls share the sync (see write.go). It keeps more than package store promises,
// the changes of an Apply come all or none, but no caller may rely on that.
//
// A call is answered when what it changes is in the log, and synced, and in a table
// in memory that lies over the file. What is in the table is moved into the file
// in the background: in order, many records at once, and not with two syncs for
// each group of calls (see log.go, move.go and merge.go). Close leaves the file
// alone, with everything in it. A process that was killed leaves the log beside it,
// which the next Open reads (see replay.go):
//
//	node.db         the records, with bbolt
//	node.db.log0    segments of the log, from the first write to Close
//	node.db.log1
//	node.db.damaged-...  a segment from which something is lost
//
// The records are in the bucket "records" of the file. Its keys are the records'
// keys. A value has a CRC-32C of the key, one of key, revision and value, the
// revision, and then the record's value:
//
//	"post/ann/7"  ->  b5 88 ff 7c  c2 c3 56 ab  00 00 00 00 00 00 00 2a  68 69     (revision 42, "hi")
//
// The bucket "format" holds "2" under "version" (see format.go, which also tells
// what is looked at before a record counts as absent), under "frames" how much of
// the log is in the file, and under "log" the id of the log while there is one.
// Revisions are counted store-wide in the sequence number of "records", and in each
// frame of the log (see frame.go), so no revision is given out twice. What a
// damaged page does not take is in the bucket "apart" (see apart.go).
//
// It refuses to trade safety for speed: there is no option to skip a sync. After
// a commit failed it opens the file again before the next (see heal.go), and after
// a frame failed it erases it (see log.go).
package bolt

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/peerbrain/peerbrain/node/store"
)

const lockTimeout = time.Second

// ErrInUse says that another process (or another Store of this one) has the
// file open.
var ErrInUse = errors.New("another process has it open")

// Options are the few things one may choose. The zero value is good.
type Options struct {
	// LockTimeout is how long Open waits for another process to let go of
	// the file, for instance during a restart. 0 means one second.
	LockTimeout time.Duration
	// Fill is for a store that is filled before anybody uses it. Each Apply brings
	// what it takes into the file itself, and there is no log: nothing of it lies in
	// memory any more when it returns. Calls should be large, and in the order of the keys.
	Fill bool

	disk disk
}

// A Store is a store.Store in a file. Open makes one.
type Store struct {
	path string
	opts Options

	gate      sync.RWMutex // held to use db; for writing to replace it
	db        *bbolt.DB    // nil after it could not be opened again
	committed atomic.Int64 // the number of the last transaction that is known to be durable
	shared    shared

	mu        sync.Mutex
	waiting   []*request // calls of Apply that the writer has not taken
	ready     *sync.Cond // on mu: waiting grew, or closed was set
	closed    bool
	failed    error         // of the last commit: the file has to be opened again
	abandoned error         // why neither reading nor writing is possible any more
	paused    bool          // nobody has written for a while
	pause     *time.Timer   // sets that
	finished  chan struct{} // closed when the writer has ended

	publishing sync.Mutex // held to change layers
	layers     atomic.Pointer[layers]
	lost       string // see replay

	// The writer's own, and from when it has ended, Close's.
	log      *log   // nil: none was begun
	move     *move  // nil: nothing is on its way into the file
	active   table  // the same as that of layers
	sequence uint64 // of the last frame, where there is no log
	revision uint64 // the last that was given out
	buffer   []byte // for frames

	closing  sync.Once
	closeErr error
}

var _ store.Store = (*Store)(nil)

// The mapping is address space, not memory. Mapping much from the start spares a
// growing store the remaps, each of which waits for all readers and stops those
// that come: behind a backup of minutes, the whole node would stand still. So a
// process maps what the file has and mappingRoom more: 64 GiB, or 1 GiB where an
// address has 32 bits.
const mappingRoom = 1 << (30 + 6*(math.MaxInt>>62))

func mappingFor(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return mappingRoom // of a new file
	}
	return int(min(info.Size(), math.MaxInt-mappingRoom)) + mappingRoom
}

// Of posts of 600 bytes that arrive for many authors in turn, a record has 1.56 KB
// and the one that finds it by its id 0.16 KB, under a key in random order. A page
// that overflows is split where its first part is fillPercent full, but the second
// gets three records at least, and the first never grows again, so what counts is
// how many fit: of 8 KiB, 3 of 5; of 16 KiB, 8 of 10. The random keys fill pages
// the worse the further fillPercent is from a half. BenchmarkRoom, 30 posts in a commit:
//
//	page     full   bytes of file per post   bytes written per post
//	 8 KiB   0.7    3,087                    32,200
//	16 KiB   0.7    2,672                    50,800
//	16 KiB   0.77   2,417                    50,500
//	32 KiB   0.8    2,347                    80,900, and half as much CPU again
//
// With 8 KiB and records that are 4 % longer it is 4,478. That is for records that
// come between others one by one; with a log, most of an author's come together, and
// a move fills their pages whole (fill): 2,361 and 2,047 bytes, of 64 authors.
const (
	pageSize    = 16 << 10 // of new files; old ones keep theirs
	fillPercent = 0.77
)

// The file grows by so much at a time, each with a sync of its own. bbolt's own
// 16 MiB are more than a small node ever fills.
const allocSize = 1 << 20

// Open opens the file, and creates it with mode 0600 if need be, in a folder
// that it also creates, with mode 0700. If another process has the file open
// for longer than the options allow, the error matches ErrInUse, if it is of
// another format, ErrFormat; in both cases nothing is written.
func Open(path string, opts Options) (*Store, error) {
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = lockTimeout
	}
	opts.disk = opts.disk.whole()
	s := &Store{path: path, opts: opts, finished: make(chan struct{}), active: newTable()}
	s.ready = sync.NewCond(&s.mu)
	s.layers.Store(&layers{active: s.active, frozen: newTable(), apart: newTable()})
	err := create(path, opts)
	if err == nil {
		err = s.open()
	}
	if err == nil {
		if err = s.recover(); err != nil {
			s.shared.end()
			err = errors.Join(err, s.db.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: open %q: %w", path, err)
	}
	s.pause = time.AfterFunc(restTime, s.stayed)
	go s.write()
	return s, nil
}

// stayed wakes the writer when nobody has written for a while.
func (s *Store) stayed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
	s.ready.Signal()
}

// open opens a file that is there, and checks that it is of this format, as long
// as its own account of it, and no older than what was committed.
func (s *Store) open() error {
	db, err := openBolt(s.path, s.opts, false)
	if err != nil {
		return err
	}
	id, err := check(db)
	if err == nil && id < s.committed.Load() {
		err = &store.DamagedError{Detail: "what was committed is not there"}
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.db = db
	s.committed.Store(id)
	s.share(id)
	return nil
}

// openBolt opens a file with bbolt. A damaged file can make bbolt panic, and one
// that was cut short can make it read beyond the end of the mapping: both become
// errors.
func openBolt(path string, opts Options, readOnly bool) (db *bbolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(damage(p), file.Close())
		}
	}()
	// The list of free pages is written with each commit. To leave it out
	// would make Open walk through the whole file (124 ms for 225 MB, instead
	// of 0.3). As a map it stays fast when it is long.
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         opts.LockTimeout,
		ReadOnly:        readOnly,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mappingFor(path),
		PageSize:        pageSize,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
	switch {
	case err == nil:
		db.AllocSize, db.MaxSize = allocSize, opts.disk.maxSize
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, &store.DamagedError{Detail: "the beginning of the file: " + err.Error()}
	}
	return db, err
}

// check returns the number of the last transaction of a file.
func check(db *bbolt.DB) (id int64, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			info, err := os.Stat(db.Path())
			if err != nil {
				return err
			}
			if info.Size() < tx.Size() {
				return &store.DamagedError{Detail: fmt.Sprintf("the file has %d bytes instead of %d", info.Size(), tx.Size())}
			}
			if found := formatOf(tx); found != format {
				return &FormatError{found}
			}
			id = int64(tx.ID())
			return nil
		})
	})
	return id, err
}

// Close implements store.Store. All writes that wait are still made, and all that
// the log has is moved into the file, which is alone then.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.ready.Signal()
		<-s.finished
		s.pause.Stop()
		err := s.endLog()
		s.gate.Lock()
		defer s.gate.Unlock()
		if s.usable() == nil { // else bbolt may hold its own locks
			s.shared.end()
			err = errors.Join(err, s.db.Close())
		}
		if err != nil {
			s.closeErr = fmt.Errorf("bolt: close: %w", err)
		}
	})
	return s.closeErr
}

// endLog moves what there is into the file. If that fails, it stays in the log,
// and the next Open finds it.
func (s *Store) endLog() error {
	if err := s.await(); err != nil || s.log == nil {
		if err == nil && s.opts.Fill {
			err = s.again()
		}
		return errors.Join(err, s.log.close())
	}
	if err := s.freeze(true); err != nil {
		return errors.Join(err, s.log.close())
	}
	err := s.await()
	return errors.Join(err, s.log.close())
}
