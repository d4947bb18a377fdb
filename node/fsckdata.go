package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// FsckData is Fsck of a node by its configuration. It fills in the stores of o. A
// node on the embedded store must not be running; one on MongoDB may.
func FsckData(ctx context.Context, c Config, o FsckOptions) (report FsckReport, err error) {
	o.Live = c.Store.Kind == StoreMongoDB
	err = withRecords(ctx, c, func(own, copies store.Store) error {
		o.Own, o.Copies = own, copies
		report, err = Fsck(ctx, o)
		return err
	})
	return report, err
}

// withRecords opens both stores of a node for look. One on the embedded store may
// have no copies.
func withRecords(ctx context.Context, c Config, look func(own, copies store.Store) error) error {
	if c.Store.Kind != StoreMongoDB {
		return withFolder(c.Data, look)
	}
	own, copies, err := visitDatabase(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(look(own, copies), own.Close(), copies.Close())
}

func withFolder(data string, look func(own, copies store.Store) error) (err error) {
	var own, copies store.Store
	for _, file := range []struct {
		name string
		into *store.Store
	}{{"own.db", &own}, {"copies.db", &copies}} {
		path := filepath.Join(data, file.name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if file.name == "copies.db" {
				continue // which may be deleted at any time
			}
			return fmt.Errorf("data: %q holds no node; choose its folder with --data", data)
		}
		s, failed := bolt.Open(path, bolt.Options{})
		if errors.Is(failed, bolt.ErrInUse) {
			return fmt.Errorf("data: the node in %q is running; end it, and check it then", data)
		}
		if failed != nil {
			return aboutFolder(data, failed)
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		*file.into = s
	}
	return look(own, copies)
}
