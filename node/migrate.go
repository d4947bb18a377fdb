package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// storeFiles are the two stores of a node in its data folder.
var storeFiles = []string{ownFile, "copies.db"}

// A MigrateReport is told what Migrate finds and how far it is.
type MigrateReport struct {
	// Plan says in a sentence what will be done; it is called first, for each store.
	Plan func(string)
	// Progress is called after each commit. An error stops the migration, which
	// goes on where it was when it is called again.
	Progress func(file string, done, of int64, records int) error
	// Check only makes the plan.
	Check bool
}

// Migrate brings the stores of a node that is not running to the schema of this
// release. It may be stopped at any moment, and called again.
func Migrate(ctx context.Context, c Config, r MigrateReport) error {
	if c.Store.Kind == StoreMongoDB {
		return migrateMongoDB(ctx, c, r)
	}
	var todo []string
	for _, file := range storeFiles {
		path := filepath.Join(c.Data, file)
		format, size, err := bolt.Found(path)
		if err != nil {
			return aboutFolder(c.Data, err)
		}
		switch format {
		case "1":
			todo = append(todo, file)
			r.Plan(fmt.Sprintf("%s has schema 1 and %d MiB: it is copied to schema %d in %s.migrating, at most as large, which takes its place at the end", path, size>>20, recordSchema, file))
		case "":
			r.Plan(path + " is not there: nothing to do")
		default:
			if err := aboutFormat(c.Data, format); err != nil {
				return err
			}
			r.Plan(fmt.Sprintf("%s has schema %d: nothing to do", path, recordSchema))
		}
	}
	if r.Check {
		return nil
	}
	for _, file := range todo {
		err := bolt.Migrate(ctx, filepath.Join(c.Data, file), raiseSchema, func(m bolt.Migration) error {
			return r.Progress(file, m.Bytes, m.Of, m.Records)
		})
		if err != nil {
			return aboutFolder(c.Data, err)
		}
	}
	return nil
}

// raiseSchema is all that schema 2 changes in records: the one that tells it, and
// sessions, which are found by their account now. Who had one logs in again. What else is
// new is the form of the file.
func raiseSchema(rec store.Record) ([]byte, error) {
	if strings.HasPrefix(rec.Key, sessionPrefix) {
		return nil, nil
	}
	if rec.Key != "schema" {
		return rec.Value, nil
	}
	var found schemaRecord
	if err := decodeRecord(rec, &found); err != nil {
		return nil, err
	}
	if found.Schema != 1 {
		return nil, fmt.Errorf("schema 1 was expected, not %d", found.Schema)
	}
	return wire.EncodeCBOR(&schemaRecord{recordVersion, recordSchema}), nil
}

// migrateMongoDB has nothing to do: schema 2 is the first that a release kept on
// MongoDB.
func migrateMongoDB(ctx context.Context, c Config, r MigrateReport) (err error) {
	own, copies, err := visitDatabase(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close(), copies.Close()) }()
	for i, s := range []store.Store{own, copies} {
		plan, err := planSchema(ctx, s)
		if err != nil {
			return fmt.Errorf("the collection %q: %w", collections[i], err)
		}
		r.Plan(fmt.Sprintf("the collection %q %s: nothing to do", collections[i], plan))
	}
	return nil
}

func planSchema(ctx context.Context, s store.Store) (string, error) {
	var found schemaRecord
	_, err := read(ctx, s, "schema", &found)
	if errors.Is(err, wire.NotExist) {
		return "is empty", nil
	}
	if err == nil && found.Schema < recordSchema {
		return "", fmt.Errorf("it says that it has schema %d, which no release has kept on MongoDB; restore a backup into an empty database", found.Schema)
	}
	if err == nil {
		err = checkSchema(ctx, s)
	}
	return fmt.Sprintf("has schema %d", recordSchema), err
}

// aboutFormat says what to do about a file of another format than this release's.
func aboutFormat(data, format string) error {
	switch format {
	case "2":
		return nil
	case "1":
		return fmt.Errorf("data: %q is of an earlier release; bring it up to this one with: peerbrain-node migrate --data %s", data, data)
	case "":
		return fmt.Errorf("data: %q has a file that is not of a node; choose another folder with --data", data)
	}
	return fmt.Errorf("data: %q is of a later release (format %.10q); serve it with that release, or choose another folder with --data", data, format)
}
