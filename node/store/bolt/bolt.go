// Package bolt keeps a node's records in one file of its own, with bbolt.
//
// It is the default of a node that runs alone. One process holds the file at
// a time. Every Apply that returned is on disk; concurrent calls share the
// sync (see write.go). It keeps more than package store promises, the changes
// of an Apply come all or none, but no caller may rely on that.
//
// The records are in the bucket "records" of the file. Its keys are the records'
// keys. A value has a CRC-32C of the key, one of key, revision and value, the
// revision, and then the record's value:
//
//	"post/ann/7"  ->  b5 88 ff 7c  c2 c3 56 ab  00 00 00 00 00 00 00 2a  68 69     (revision 42, "hi")
//
// The bucket "format" holds "2" under "version" (see format.go, which also tells
// what is looked at before a record counts as absent). Revisions are counted
// store-wide in the sequence number of "records", so no revision is given out
// twice.
//
// It refuses to trade safety for speed: there is no option to skip a sync. After
// a commit failed it opens the file again before the next (see heal.go).
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

	writeAt func(f *os.File, b []byte, at int64) (int, error) // (*os.File).WriteAt, but for tests
}

// A Store is a store.Store in a file. Open makes one.
type Store struct {
	path string
	opts Options

	gate      sync.RWMutex // held to use db; for writing to replace it
	db        *bbolt.DB    // nil after it could not be opened again
	committed atomic.Int64 // the number of the last transaction that is known to be durable
	opened    int64        // committed when the file was opened

	mu        sync.Mutex
	waiting   []*request // calls of Apply that the writer has not taken
	ready     *sync.Cond // on mu: waiting grew, or closed was set
	closed    bool
	failed    error         // of the last commit: the file has to be opened again
	abandoned error         // why neither reading nor writing is possible any more
	finished  chan struct{} // closed when the writer has ended

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
// With 8 KiB and records that are 4 % longer it is 4,478.
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
	if opts.writeAt == nil {
		opts.writeAt = (*os.File).WriteAt
	}
	s := &Store{path: path, opts: opts, finished: make(chan struct{})}
	err := create(path, opts)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: open %q: %w", path, err)
	}
	s.opened = s.committed.Load()
	s.ready = sync.NewCond(&s.mu)
	go s.write()
	return s, nil
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
		db.AllocSize = allocSize
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

// Close implements store.Store. All writes that wait are still made.
//
// If there were any, it commits once more: the two pages that bbolt can begin
// with then lead to the same records, and either may be damaged.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.ready.Signal()
		<-s.finished
		s.mu.Lock()
		failed, abandoned := s.failed, s.abandoned
		s.mu.Unlock()
		var err error
		if failed == nil && abandoned == nil && s.committed.Load() != s.opened {
			err = s.update(func(*bbolt.Bucket) error { return nil })
		}
		s.gate.Lock()
		defer s.gate.Unlock()
		if s.usable() == nil { // else bbolt may hold its own locks
			err = errors.Join(err, s.db.Close())
		}
		if err != nil {
			s.closeErr = fmt.Errorf("bolt: close: %w", err)
		}
	})
	return s.closeErr
}
