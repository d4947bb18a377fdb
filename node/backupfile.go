package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// Names of files in the data folder, and what is added to those that are not
// whole yet.
const (
	ownFile = "own.db"
	partial = ".partial"
	spooled = ".records" // a folder beside a backup that is being made
)

// Backup copies what a node holds into a new file: one on the embedded store from
// the process that serves it or, if there is none, from the store; one on MongoDB
// from its database. The file is not there
// before it is whole, verified, and on disk. tell, if not nil, is called with the
// bytes so far.
func Backup(ctx context.Context, c Config, path string, tell func(bytes int64)) (report BackupReport, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return report, cmp.Or(err, fmt.Errorf("%s is there already; choose another name, nothing is overwritten", path))
	}
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return report, fmt.Errorf("%s is there: another backup is under way, or one was interrupted; if none runs, delete it", path+partial)
	}
	if err != nil {
		return report, err
	}
	if report, err = saveBackup(ctx, c, f, tell); err == nil {
		err = publishFile(f.Name(), path)
	}
	if err != nil {
		return BackupReport{}, errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return report, nil
}

// saveBackup writes a backup to f, and closes it.
func saveBackup(ctx context.Context, c Config, f *os.File, tell func(bytes int64)) (report BackupReport, err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	source, err := openBackup(ctx, c, f.Name()+spooled)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	from := &counter{r: source, tell: tell}
	header, records, err := inspect(io.TeeReader(from, f), func(store.Record) error { return ctx.Err() })
	switch {
	case ctx.Err() != nil:
		return report, errors.New("interrupted, nothing was kept")
	case errors.Is(err, archive.ErrCut):
		return report, errors.New("the node did not finish the copy; its log says why")
	case err != nil:
		return report, err
	}
	if err := ofNode(c, header.Node); err != nil {
		return report, err
	}
	if err := f.Sync(); err != nil {
		return report, err
	}
	return BackupReport{header.Node, time.UnixMilli(header.Created), records, from.count}, nil
}

// publishFile gives a file that is on disk its name, durably.
func publishFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// openBackup begins a backup of a node. What has to lie on disk meanwhile lies in
// the folder spool.
func openBackup(ctx context.Context, c Config, spool string) (io.ReadCloser, error) {
	if c.Store.Kind == StoreMongoDB {
		return openDatabaseBackup(ctx, c, spool)
	}
	running, own, err := reachNode(ctx, c.Data, controlBackup)
	if err != nil {
		return nil, err
	}
	if running != nil {
		return running, nil
	}
	return newStoreBackup(ctx, own, own), nil
}

// reachNode asks the process that serves a data folder for something; if there is
// none, it opens the store instead.
func reachNode(ctx context.Context, dir, request string) (*controlReply, store.Store, error) {
	path := filepath.Join(dir, ownFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("data: %q holds no node; choose its folder with --data", dir)
	} else if err != nil {
		return nil, nil, fmt.Errorf("data: %w", err)
	}
	running, silent := dialControl(ctx, dir, request)
	if silent == nil {
		return running, nil, nil
	}
	var refusal *refusedError
	if errors.As(silent, &refusal) {
		return nil, nil, silent
	}
	own, err := bolt.Open(path, bolt.Options{})
	if errors.Is(err, bolt.ErrInUse) {
		return nil, nil, fmt.Errorf("data: another process has %q open and does not answer at %s (%v)", dir, controlFile, silent)
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, own, nil
}

// A storeBackup is the backup of a store that this process has opened.
type storeBackup struct {
	*io.PipeReader
	stores []store.Store
	done   chan struct{}
}

// newStoreBackup begins the backup of a store. With its end, stores are closed.
func newStoreBackup(ctx context.Context, own store.Store, stores ...store.Store) *storeBackup {
	r, w := io.Pipe()
	b := &storeBackup{r, stores, make(chan struct{})}
	go func() {
		defer close(b.done)
		w.CloseWithError(backup(ctx, own, w, time.Now()))
	}()
	return b
}

// Close implements io.Closer.
func (b *storeBackup) Close() (err error) {
	b.PipeReader.Close()
	<-b.done
	for _, s := range b.stores {
		err = errors.Join(err, s.Close())
	}
	return err
}
