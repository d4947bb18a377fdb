package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// What is written at once, and lies in memory a few times.
const (
	restoreBatch = 2000    // records
	restoreBytes = 2 << 20 // of keys and values
)

// Restore makes the node of a file that Backup wrote in the empty folder c.Data, or
// in an empty database. The file is read to its end before anything is written.
// What is written is not the node's store before it is whole and on disk: whatever
// interrupts a restore, it is simply done again. tell, if not nil, is called with the bytes that were
// read so far, of twice the file.
func Restore(ctx context.Context, c Config, path string, tell func(bytes int64)) (report BackupReport, err error) {
	f, err := os.Open(path)
	if err != nil {
		return report, err
	}
	defer f.Close()
	from := &counter{r: f, tell: tell}
	header, records, err := inspect(from, func(store.Record) error { return ctx.Err() })
	if err != nil {
		return report, aboutFile(ctx, path, err)
	}
	if header.Schema > uint32(recordSchema) {
		return report, fmt.Errorf("%s: %w: its records have schema %d, this release knows %d", path, archive.ErrLater, header.Schema, recordSchema)
	}
	if err := ofNode(c, header.Node); err != nil {
		return report, fmt.Errorf("%s: %w", path, err)
	}
	report = BackupReport{header.Node, time.UnixMilli(header.Created), records, from.count}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return report, err
	}
	if c.Store.Kind == StoreMongoDB {
		err := restoreDatabase(ctx, c, from)
		if err != nil && ctx.Err() != nil {
			return report, errors.New("interrupted; run peerbrain-node restore again")
		}
		return report, aboutFile(ctx, path, err)
	}
	if err := emptyFolder(c.Data); err != nil {
		return report, err
	}
	return report, aboutFile(ctx, path, restoreInto(ctx, filepath.Join(c.Data, ownFile), from))
}

// aboutFile says which file an error is about.
func aboutFile(ctx context.Context, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted, nothing was kept")
	case errors.Is(err, archive.ErrForeign), errors.Is(err, archive.ErrLater), errors.Is(err, archive.ErrCut), errors.Is(err, archive.ErrDamaged):
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// emptyFolder refuses a data folder with anything in it but what an interrupted
// restore has left, which it removes.
func emptyFolder(dir string) error {
	left, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	i := slices.IndexFunc(left, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ownFile+partial) })
	if i >= 0 {
		return fmt.Errorf("data: %q is not empty (%s is in it), and nothing is overwritten; choose another folder with --data", dir, left[i].Name())
	}
	if len(left) == 0 {
		return nil
	}
	unfinished, err := bolt.Open(filepath.Join(dir, ownFile+partial), bolt.Options{})
	if errors.Is(err, bolt.ErrInUse) {
		return fmt.Errorf("data: another restore into %q is under way", dir)
	}
	if err == nil { // else it is not even a store yet
		if err := unfinished.Close(); err != nil {
			return err
		}
	}
	return dropPartial(dir)
}

// dropPartial removes an unfinished store, and its log.
func dropPartial(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ownFile+partial) + "*")
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// restoreInto writes the store of a node to a file that is there once it is whole.
func restoreInto(ctx context.Context, path string, from io.Reader) error {
	own, err := bolt.Open(path+partial, bolt.Options{Fill: true})
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	err = restore(ctx, own, from, time.Now())
	if err = errors.Join(err, own.Close()); err != nil {
		return errors.Join(err, dropPartial(filepath.Dir(path)))
	}
	return publishFile(path+partial, path)
}

// restore writes the records of an archive into an empty store.
func restore(ctx context.Context, own store.Store, from io.Reader, now time.Time) error {
	var changes []store.Change
	size := 0
	var signed keyservice.Checkpoint // by the log, last before the copy was made
	flush := func() error {
		err := own.Apply(ctx, changes...)
		changes, size = changes[:0], 0
		return err
	}
	_, _, err := inspect(from, func(r store.Record) error {
		if isPassing(r.Key) || r.Key == highWaterKey {
			return ctx.Err()
		}
		if strings.HasPrefix(r.Key, topPrefix) { // these are in the order of their sizes, and lie before logKey
			var top checkpointRecord
			err := decodeRecord(r, &top)
			if err == nil {
				signed, err = keyservice.ReadCheckpoint(top.Checkpoint)
			}
			return err
		}
		if r.Key == logKey {
			var id logIdentity
			if err := decodeRecord(r, &id); err != nil {
				return err
			}
			r.Value = wire.EncodeCBOR(id.renumbered(signed, now))
		}
		if r.Key == "schema" { // nothing else has changed since the first
			r.Value = wire.EncodeCBOR(&schemaRecord{recordVersion, recordSchema})
		}
		if r.Key == documentKey {
			var d documentRecord
			if err := decodeRecord(r, &d); err != nil {
				return err
			}
			// Others may have seen later ones: the first start makes a new one.
			r.Value = wire.EncodeCBOR(&documentRecord{Version: d.Version, Number: d.Number})
		}
		changes = append(changes, store.Change{Key: r.Key, Value: r.Value})
		if size += len(r.Key) + len(r.Value); size < restoreBytes && len(changes) < restoreBatch {
			return ctx.Err()
		}
		return flush()
	})
	if err != nil {
		return err
	}
	// Whatever this node has accepted after the copy was made is refused from now
	// on, also what came from a node whose clock is as far ahead as may be.
	mark := highWaterRecord{recordVersion, now.Add(wire.SignatureAhead).UnixMilli()}
	changes = append(changes, put(highWaterKey, &mark), put(regainKey, &regainRecord{recordVersion, now.UnixMilli()}))
	return flush()
}

// unfinishedRestore refuses a data folder in which a restore was interrupted: it
// holds no node, and none must begin there.
func unfinishedRestore(dir string) error {
	_, own := os.Stat(filepath.Join(dir, ownFile))
	_, unfinished := os.Stat(filepath.Join(dir, ownFile+partial))
	if unfinished == nil && errors.Is(own, fs.ErrNotExist) {
		return fmt.Errorf("data: a restore into %q was interrupted; run peerbrain-node restore again", dir)
	}
	return nil
}
