// Package bolt keeps a node's records in one file of its own, with bbolt.
//
// It is the default of a node that runs alone. One process holds the file at
// a time. Every Apply that returned is on disk; concurrent calls share the
// sync (see write.go). It keeps more than package store promises, the changes
// of an Apply come all or none, but no caller may rely on that.
//
// The file has one bucket, "records". Its keys are the records' keys, its
// values the revision, 8 bytes big-endian, and then the record's value:
//
//	"post/ann/7"  ->  00 00 00 00 00 00 00 2a  68 69     (revision 42, "hi")
//
// Revisions are counted store-wide in the bucket's sequence number, so no
// revision is given out twice.
//
// It refuses to trade safety for speed: there is no option to skip a sync.
// After a commit failed in a way that leaves unclear what is on disk, it
// refuses all writes until the file is opened again.
package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/peerbrain/peerbrain/node/store"
)

// ErrInUse says that another process (or another Store of this one) has the
// file open.
var ErrInUse = errors.New("another process has it open")

// Options are the few things one may choose. The zero value is good.
type Options struct {
	// LockTimeout is how long Open waits for another process to let go of
	// the file, for instance during a restart. 0 means one second.
	LockTimeout time.Duration
}

// A Store is a store.Store in a file. Open makes one.
type Store struct {
	db *bbolt.DB

	mu       sync.Mutex
	waiting  []*request // calls of Apply that the writer has not taken
	ready    *sync.Cond // on mu: waiting grew, or closed was set
	closed   bool
	failed   error         // why no further write is possible
	finished chan struct{} // closed when the writer has ended

	closing  sync.Once
	closeErr error
}

var _ store.Store = (*Store)(nil)

var bucketName = []byte("records")

// The mapping is address space, not memory. Mapping much from the start
// spares a growing store the remaps, each of which stops all readers.
const initialMapping = 1 << 30

// With posts of 600 bytes arriving for many authors in turn, a file of 8 KiB
// pages that are split 70 to 30 is 1.66 times as large as what is in it; with
// bbolt's own 4 KiB and 50 to 50 it is 2.71 times, and writing is no faster.
// (90 to 10 makes it 1.56, but suits keys in random order badly.)
const (
	pageSize    = 8 << 10 // of new files; old ones keep theirs
	fillPercent = 0.7
)

// Open opens the file, and creates it with mode 0600 if need be, in a folder
// that it also creates, with mode 0700. If another process has the file open
// for longer than the options allow, the error matches ErrInUse.
func Open(path string, opts Options) (*Store, error) {
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = time.Second
	}
	touched, err := makeFolder(path)
	if err != nil {
		return nil, fmt.Errorf("bolt: open %q: %w", path, err)
	}
	s := &Store{finished: make(chan struct{})}
	err = s.openFile(path, opts)
	if err == nil {
		err = syncFolders(touched)
	}
	if err != nil {
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, fmt.Errorf("bolt: open %q: %w", path, err)
	}
	s.ready = sync.NewCond(&s.mu)
	go s.write()
	return s, nil
}

// openFile opens bbolt. A damaged file can make bbolt panic, and one that was
// cut short can make it read beyond the end of the mapping: both become errors.
func (s *Store) openFile(path string, opts Options) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}()
	// The list of free pages is written with each commit. To leave it out
	// would make Open walk through the whole file (124 ms for 225 MB, instead
	// of 0.3). As a map it stays fast when it is long.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         opts.LockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMapping,
		PageSize:        pageSize,
		NoStatistics:    true,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return ErrInUse
	}
	if err != nil {
		return err
	}
	s.db = db
	return s.prepare()
}

// prepare checks that an old file is as long as its own account of it, and
// makes the bucket in a new one.
func (s *Store) prepare() error {
	var empty bool
	err := s.db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(s.db.Path())
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("the file is damaged: it has %d bytes instead of %d", info.Size(), tx.Size())
		}
		empty = tx.Bucket(bucketName) == nil
		return nil
	})
	if err != nil || !empty {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
}

// makeFolder makes the folder of the file if need be, and returns the folders
// that must be synced so that the file is found again after a power cut: its
// own, in case an earlier Open did not get that far, and those that hold new ones.
func makeFolder(path string) (touched []string, err error) {
	dir := filepath.Dir(path)
	touched = []string{dir}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			return touched, os.MkdirAll(dir, 0o700)
		}
		touched = append(touched, filepath.Dir(d))
	}
}

func syncFolders(dirs []string) error {
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Close implements store.Store. All writes that wait are still made.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.ready.Signal()
		<-s.finished
		if err := s.db.Close(); err != nil {
			s.closeErr = fmt.Errorf("bolt: close: %w", err)
		}
	})
	return s.closeErr
}
