package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A value of format 1 is the revision, 8 bytes big-endian, and the record's value.
const headSize1 = 8

// migrateBatch is how many bytes of records one commit of Migrate takes on.
const migrateBatch = 4 << 20

// fromKey is in the bucket "format" of a file that Migrate has not finished: the
// number of the last transaction of the old file.
var fromKey = []byte("from")

// A Migration tells how far Migrate is.
type Migration struct {
	Bytes, Of int64 // of the old file, about
	Records   int
}

// Found returns the format of a file, and its size; the empty one if it is not
// there. Nothing is written.
func Found(path string) (format string, size int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	err = readOld(path, func(tx *bbolt.Tx) error {
		format = formatOf(tx)
		return nil
	})
	return format, info.Size(), err
}

// Migrate makes a file of format 1 one of this release's. All records keep their
// revisions, and their values but for what change, if not nil, makes of them: a
// record of which that is nil is left out.
//
// It writes a second file beside the first, in commits of a few megabytes, and then
// puts it in the place of the first, which it never writes: so it may be stopped at
// any moment, goes on where it was when it is called again, and takes at most
// the room of the first file again until then. An error of progress, which is
// called after each commit, stops it.
func Migrate(ctx context.Context, path string, change func(store.Record) ([]byte, error), progress func(Migration) error) error {
	err := readOld(path, func(tx *bbolt.Tx) error {
		if found := formatOf(tx); found != "1" {
			return &FormatError{found}
		}
		made := path + ".migrating"
		m := &migration{old: tx, change: change, progress: progress}
		if err := m.fill(ctx, made); err != nil {
			return err
		}
		if err := os.Rename(made, path); err != nil {
			return err
		}
		return syncFolders([]string{filepath.Dir(path)})
	})
	if err != nil {
		return fmt.Errorf("bolt: migrate %q: %w", path, err)
	}
	return nil
}

// readOld reads a file that no process writes meanwhile.
func readOld(path string, read func(*bbolt.Tx) error) error {
	db, err := openBolt(path, Options{LockTimeout: lockTimeout}, true)
	if err != nil {
		return err
	}
	return errors.Join(guarded(func() error { return db.View(read) }), db.Close())
}

type migration struct {
	old      *bbolt.Tx
	change   func(store.Record) ([]byte, error)
	progress func(Migration) error
	done     Migration
}

// fill brings the new file up to the old one.
func (m *migration) fill(ctx context.Context, made string) error {
	db, err := openBolt(made, Options{LockTimeout: lockTimeout}, false)
	var damaged *store.DamagedError
	if errors.As(err, &damaged) { // it was stopped while the file was being made
		if err := os.Remove(made); err != nil {
			return err
		}
		db, err = openBolt(made, Options{LockTimeout: lockTimeout}, false)
	}
	if err != nil {
		return err
	}
	err = m.begin(db)
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			more, err = m.batch(db)
		}
		if err == nil && m.progress != nil {
			err = m.progress(m.done)
		}
	}
	return errors.Join(err, db.Close())
}

// begin empties a new file that was begun with another state of the old one.
func (m *migration) begin(db *bbolt.DB) error {
	from := []byte(strconv.Itoa(m.old.ID()))
	m.done.Of = m.old.Size()
	return db.Update(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(formatBucket); b != nil {
			if bytes.Equal(b.Get(fromKey), from) {
				return nil
			}
			if err := errors.Join(tx.DeleteBucket(formatBucket), tx.DeleteBucket(bucketName)); err != nil {
				return err
			}
		}
		if err := makeFormat(tx); err != nil {
			return err
		}
		return tx.Bucket(formatBucket).Put(fromKey, from)
	})
}

// batch copies the next records, and reports whether there are more. With the
// last ones it makes the new file one that can be opened.
func (m *migration) batch(db *bbolt.DB) (more bool, err error) {
	err = db.Update(func(tx *bbolt.Tx) error {
		to, c := tx.Bucket(bucketName), m.old.Bucket(bucketName).Cursor()
		to.FillPercent = fillPercent
		key, stored := c.First()
		if last, _ := to.Cursor().Last(); last != nil {
			key, stored = c.Seek([]byte(store.After(string(last))))
		}
		size := 0
		for ; key != nil && size < migrateBatch; key, stored = c.Next() {
			value, err := m.convert(key, stored)
			if err != nil {
				return err
			}
			if value == nil {
				continue
			}
			if err := to.Put(key, value); err != nil {
				return err
			}
			size += len(key) + len(value)
			m.done.Records++
		}
		m.done.Bytes += int64(size)
		if more = key != nil; more {
			return nil
		}
		return errors.Join(to.SetSequence(m.old.Bucket(bucketName).Sequence()), tx.Bucket(formatBucket).Delete(fromKey))
	})
	return more, err
}

// convert makes a value of this format of one of format 1.
func (m *migration) convert(key, stored []byte) ([]byte, error) {
	if len(stored) < headSize1 {
		return nil, &store.DamagedError{Key: string(key), Detail: "it has no revision"}
	}
	r := store.Record{Key: string(key), Value: stored[headSize1:], Revision: binary.BigEndian.Uint64(stored)}
	if m.change != nil {
		var err error
		if r.Value, err = m.change(r); err != nil || r.Value == nil {
			return nil, err
		}
	}
	if err := (store.Change{Key: r.Key, Value: r.Value}).Check(); err != nil {
		return nil, err
	}
	value := append(make([]byte, headSize, headSize+len(r.Value)), r.Value...)
	seal(key, value, r.Revision)
	return value, nil
}
