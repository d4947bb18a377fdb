package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo"
)

// restoringKey is a record that is there while a restore into a database is not
// finished: it is written first, anew with all that follows, and deleted last.
const restoringKey = "restoring"

// restoringRecord: restoring
type restoringRecord struct {
	Version uint64    `cbor:"1,keyasint"`
	By      wire.Hash `cbor:"2,keyasint"` // drawn at random, by each restore
}

// notHalfRestored refuses a database in which a restore is under way, or was
// interrupted: it holds no node, and none must begin there.
func (c *Config) notHalfRestored(ctx context.Context, own store.Store) error {
	_, err := own.Get(ctx, restoringKey)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("store.mongodb.database: a restore into %q is under way, or was interrupted; if none runs, run peerbrain-node restore again", c.Store.MongoDB.Database)
}

// A restoring is a store that is being restored, and the marker of it. Whoever
// begins later takes over.
type restoring struct {
	store.Store
	mine     []byte
	revision uint64
}

// restoreDatabase writes the records of an archive into an empty database, or one
// in which a restore was interrupted.
func restoreDatabase(ctx context.Context, c Config, from io.Reader) (err error) {
	if err := c.foreignDatabase(ctx); err != nil {
		return err
	}
	own, copies, err := c.openDatabase(ctx, func(own, copies store.Store) error {
		if c.notHalfRestored(ctx, own) != nil {
			return c.emptyStores(ctx, copies) // own is cleared
		}
		return c.emptyStores(ctx, own, copies)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close(), copies.Close()) }()
	r := &restoring{Store: own, mine: wire.EncodeCBOR(&restoringRecord{recordVersion, random32()})}
	if err := r.begin(ctx, func() error { return c.emptyStores(ctx, own, copies) }); err != nil {
		return err
	}
	if err := restore(ctx, r, from, time.Now()); err != nil {
		return err
	}
	return r.end(ctx)
}

// foreignDatabase refuses a database that others use, before anything is made in it.
func (c *Config) foreignDatabase(ctx context.Context) error {
	m := c.Store.MongoDB
	there, err := mongo.Collections(ctx, m.URI.Reveal(), m.Database)
	if err != nil {
		return fmt.Errorf("store.mongodb.uri: %w", err)
	}
	for _, name := range there {
		if !slices.Contains(collections, name) {
			return c.notEmpty("collection", name)
		}
	}
	return nil
}

// emptyStores refuses stores with anything in them but the marker.
func (c *Config) emptyStores(ctx context.Context, stores ...store.Store) error {
	for _, s := range stores {
		for rec, err := range s.Scan(ctx, store.Query{Limit: 2}) {
			if err != nil {
				return err
			}
			if rec.Key != restoringKey {
				return c.notEmpty("record", rec.Key)
			}
		}
	}
	return nil
}

func (c *Config) notEmpty(what, name string) error {
	return fmt.Errorf("store.mongodb.database: %q is not empty (the %s %s is in it), and nothing is overwritten; choose another with --store-mongodb-database", c.Store.MongoDB.Database, what, name)
}

// begin writes the marker. What an earlier restore has left goes; without its
// marker, the store has to be empty still.
func (r *restoring) begin(ctx context.Context, empty func() error) error {
	left, err := r.Get(ctx, restoringKey)
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return err
	}
	r.revision = left.Revision
	if err := r.Apply(ctx); err != nil {
		return err
	}
	if left.Revision != 0 {
		return r.clear(ctx)
	}
	if err := empty(); err != nil { // a node began meanwhile
		return errors.Join(err, r.end(ctx))
	}
	return nil
}

// end deletes the marker.
func (r *restoring) end(ctx context.Context) error {
	return theirs(r.Store.Apply(ctx, store.Change{Key: restoringKey, If: store.IfRevision(r.revision)}))
}

// Apply implements store.Store. The first change is to the marker, which must be
// as this restore has left it.
func (r *restoring) Apply(ctx context.Context, changes ...store.Change) error {
	mark := store.Change{Key: restoringKey, Value: r.mine, If: store.IfRevision(r.revision)}
	if err := theirs(r.Store.Apply(ctx, append([]store.Change{mark}, changes...)...)); err != nil {
		return err
	}
	now, err := r.Get(ctx, restoringKey)
	if err == nil && string(now.Value) != string(r.mine) {
		err = errTaken
	}
	r.revision = now.Revision
	return err
}

var errTaken = errors.New("another restore into this database has begun, and goes on instead of this one")

// theirs says what it means that the marker is not as it was left.
func theirs(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return errTaken
	}
	return err
}

// clear deletes what an interrupted restore has left.
func (r *restoring) clear(ctx context.Context) error {
	for {
		var gone []store.Change
		for rec, err := range r.Scan(ctx, store.Query{Limit: sweepBatch}) {
			if err != nil {
				return err
			}
			if rec.Key != restoringKey {
				gone = append(gone, store.Change{Key: strings.Clone(rec.Key)})
			}
		}
		if len(gone) == 0 {
			return nil
		}
		if err := r.Apply(ctx, gone...); err != nil {
			return err
		}
	}
}
