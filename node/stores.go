package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/mongo"
)

// A StoreConfig is what keeps the records, and where.
type StoreConfig struct {
	Kind    StoreKind
	MongoDB MongoDBConfig
}

// A StoreKind is a backend of package store.
type StoreKind string

const (
	StoreBolt    StoreKind = "bolt"
	StoreMongoDB StoreKind = "mongodb"
)

// A MongoDBConfig is a database. Its URI may hold a password.
type MongoDBConfig struct {
	URI      wire.Hidden[string]
	Database string
}

func storeSettings() []Setting {
	return []Setting{
		text("store.kind", "`bolt`, files in the data folder, or mongodb", func(c *Config) *string { return (*string)(&c.Store.Kind) }),
		hidden("store.mongodb.uri", "where MongoDB is: mongodb://user:password@host/?replicaSet=name", func(c *Config) *wire.Hidden[string] { return &c.Store.MongoDB.URI }),
		text("store.mongodb.database", "the `database` of this node, one for each name", func(c *Config) *string { return &c.Store.MongoDB.Database }),
	}
}

// hidden is a setting that no flag sets, since other users of the machine see
// the arguments of a process, and that is not written out.
func hidden(key, usage string, of func(*Config) *wire.Hidden[string]) Setting {
	return Setting{Key: key, Usage: usage, Secret: true,
		set: func(c *Config, s string) error {
			*of(c) = wire.Hidden[string]{}
			if s != "" {
				*of(c) = wire.Hide(s)
			}
			return nil
		},
		get: func(c *Config) string {
			if of(c).Reveal() == "" {
				return ""
			}
			return wire.Redacted
		}}
}

// databaseName is what every server takes, on whatever system it runs.
var databaseName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

func (c *Config) checkStore() error {
	m := &c.Store.MongoDB
	uri := m.URI.Reveal()
	switch {
	case c.Store.Kind == StoreBolt:
		return nil
	case c.Store.Kind != StoreMongoDB:
		return fmt.Errorf("store.kind: %q was found, bolt or mongodb was expected", c.Store.Kind)
	case uri == "":
		return errors.New("store.mongodb.uri: a URI was expected, from the file or from PEERBRAIN_STORE_MONGODB_URI")
	case !strings.HasPrefix(uri, "mongodb://") && !strings.HasPrefix(uri, "mongodb+srv://"):
		return fmt.Errorf("store.mongodb.uri: %w", mongo.ErrURI)
	case !databaseName.MatchString(m.Database):
		return fmt.Errorf("store.mongodb.database: %q was found, 1 to 63 letters, digits, _ and - were expected", m.Database)
	case slices.Contains([]string{"admin", "config", "local"}, m.Database):
		return fmt.Errorf("store.mongodb.database: %q is MongoDB's own, another name was expected", m.Database)
	}
	return nil
}

// openStores opens both stores of a node. They belong to one name.
func openStores(ctx context.Context, c Config) (own, copies store.Store, err error) {
	if c.Store.Kind == StoreMongoDB {
		return serveDatabase(ctx, c)
	}
	return openFiles(ctx, c)
}

// belongsTo refuses data of another name.
func (c *Config) belongsTo(other string) error {
	if c.Store.Kind == StoreMongoDB {
		return fmt.Errorf("name: the database %q belongs to %q; serve it with --name %s, or choose another with --store-mongodb-database", c.Store.MongoDB.Database, other, other)
	}
	return fmt.Errorf("name: the folder %q belongs to %q; serve it with --name %s, or choose another folder with --data", c.Data, other, other)
}

// aboutFolder says what is wrong with a data folder that cannot be opened.
func aboutFolder(data string, err error) error {
	path := data
	var at *os.PathError
	if errors.As(err, &at) {
		path = at.Path
	}
	var format *bolt.FormatError
	switch {
	case errors.As(err, &format):
		return aboutFormat(data, format.Found)
	case errors.Is(err, bolt.ErrInUse):
		return fmt.Errorf("data: another process serves %q; end it, or choose another folder with --data", data)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("data: %q is a file, a folder was expected", path)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("data: %q is a folder, a file of a node was expected", path)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data: %q lies on a file system that is read-only; make it writable, or choose another folder with --data", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("data: this user may not read and write %q; give the folder and its files to the user that serves, or choose another folder with --data", path)
	}
	return err
}
