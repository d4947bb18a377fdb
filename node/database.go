package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo"
)

// collections are the two stores of a node in its database.
var collections = []string{"own", "copies"}

// serveDatabase opens both collections of the database, and makes what is missing.
func serveDatabase(ctx context.Context, c Config) (own, copies store.Store, err error) {
	return c.openDatabase(ctx, func(own, _ store.Store) error {
		if err := c.notHalfRestored(ctx, own); err != nil {
			return err
		}
		if err := ownedBy(ctx, own, c); err != nil {
			return err
		}
		return c.notHalfRestored(ctx, own) // one that began meanwhile either sees the name, or is seen
	})
}

// visitDatabase opens the database of a node, which may be running. One that is
// not there is not made.
func visitDatabase(ctx context.Context, c Config) (own, copies store.Store, err error) {
	m := c.Store.MongoDB
	there, err := mongo.Collections(ctx, m.URI.Reveal(), m.Database)
	if err != nil {
		return nil, nil, fmt.Errorf("store.mongodb.uri: %w", err)
	}
	if !slices.Contains(there, collections[0]) {
		return nil, nil, c.noNode()
	}
	return c.openDatabase(ctx, func(own, _ store.Store) error {
		if err := c.notHalfRestored(ctx, own); err != nil {
			return err
		}
		if _, err := own.Get(ctx, nameKey); errors.Is(err, store.ErrNotExist) {
			return c.noNode()
		} else {
			return err
		}
	})
}

func (c *Config) noNode() error {
	return fmt.Errorf("store.mongodb.database: %q holds no node; choose its database with --store-mongodb-database", c.Store.MongoDB.Database)
}

// openDatabase opens both collections, if what is in them is fit.
func (c *Config) openDatabase(ctx context.Context, fit func(own, copies store.Store) error) (own, copies store.Store, err error) {
	stores, err := mongo.Open(ctx, c.Store.MongoDB.URI.Reveal(), c.Store.MongoDB.Database, collections...)
	if err != nil {
		return nil, nil, fmt.Errorf("store.mongodb.uri: %w", err)
	}
	if err := fit(stores[0], stores[1]); err != nil {
		return nil, nil, errors.Join(err, stores[0].Close(), stores[1].Close())
	}
	return stores[0], stores[1], nil
}

// openDatabaseBackup begins a backup of the node of a database.
func openDatabaseBackup(ctx context.Context, c Config, spool string) (io.ReadCloser, error) {
	own, copies, err := visitDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	name, err := own.Get(ctx, nameKey)
	if err == nil {
		err = ignoreAbsent(checkSchema(ctx, own)) // what another release keeps may need something else
	}
	if err != nil {
		return nil, errors.Join(err, own.Close(), copies.Close())
	}
	return newStoreBackup(ctx, cutStore{own, wire.NodeName(name.Value), spool}, own, copies), nil
}
