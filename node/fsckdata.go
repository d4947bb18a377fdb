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
	if c.Store.Kind == StoreMongoDB {
		o.Own, o.Copies, err = visitDatabase(ctx, c)
		if err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, o.Own.Close(), o.Copies.Close()) }()
		o.Live = true
		return Fsck(ctx, o)
	}
	return fsckFolder(ctx, c.Data, o)
}

func fsckFolder(ctx context.Context, data string, o FsckOptions) (report FsckReport, err error) {
	for _, file := range []struct {
		name string
		into *store.Store
	}{{"own.db", &o.Own}, {"copies.db", &o.Copies}} {
		path := filepath.Join(data, file.name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if file.name == "copies.db" {
				continue // which may be deleted at any time
			}
			return report, fmt.Errorf("data: %q holds no node; choose its folder with --data", data)
		}
		s, err := bolt.Open(path, bolt.Options{})
		if errors.Is(err, bolt.ErrInUse) {
			return report, fmt.Errorf("data: the node in %q is running; end it, and check it then", data)
		}
		if err != nil {
			return report, aboutFolder(data, err)
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		*file.into = s
	}
	return Fsck(ctx, o)
}
