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
	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
)

// passing are the beginnings of keys that a backup leaves out: what is true of a
// moment only. Everybody logs in again after a restore, since a session that was
// ended after the copy must not come back; challenges that were spent, and
// requests of other nodes that were seen, are older than the replay mark that a
// restore sets; processes and their news to each other are of those that ran; each
// restore asks other nodes for what it lost; a node that does not know all that it has
// cosigned begins another key for that, and has its own log cosigned anew; where a leaf of the log is found, and its
// tiles, follows from the leaves.
// What is kept of devices stays: their next log-in has a budget of its own.
var passing = []string{sessionPrefix, spentPrefix, noncePrefix, pursePrefix, processPrefix, newsPrefix, regainKey, findPrefix, tilePrefix, witnessKey, cosignedPrefix}

func isPassing(key string) bool {
	return slices.ContainsFunc(passing, func(p string) bool { return strings.HasPrefix(key, p) })
}

const nameKey = "node/name"

// backup writes the records of a node's own store, as they are at one moment, to
// w. Copies are left out: they are fetched again.
func backup(ctx context.Context, own store.Store, w io.Writer, now time.Time) error {
	of, ok := own.(store.Snapshotter)
	if !ok {
		return errors.New("this store cannot show its records as they are at one moment")
	}
	name, err := own.Get(ctx, nameKey)
	if errors.Is(err, store.ErrNotExist) {
		return errors.New("there is no node in it")
	}
	if err != nil {
		return err
	}
	var schema schemaRecord
	if _, err := read(ctx, own, "schema", &schema); err != nil && !errors.Is(err, wire.NotExist) {
		return err
	}
	a, err := archive.NewWriter(w, archive.Header{
		Node: wire.NodeName(name.Value), Schema: uint32(schema.Schema), Created: now.UnixMilli(),
	})
	if err != nil {
		return err
	}
	for rec, err := range of.Snapshot(ctx) {
		if err == nil && !isPassing(rec.Key) {
			err = a.Add(rec)
		}
		if err != nil {
			return err
		}
	}
	return a.Close()
}

// A BackupReport tells what a backup holds.
type BackupReport struct {
	Node    wire.NodeName
	Created time.Time
	Records uint64
	Bytes   int64 // of the file
}

// inspect reads an archive to its end, and gives each record to visit.
func inspect(r io.Reader, visit func(store.Record) error) (archive.Header, uint64, error) {
	a, err := archive.NewReader(r)
	if err != nil {
		return archive.Header{}, 0, err
	}
	for {
		rec, err := a.Next()
		if err == io.EOF {
			return a.Header(), a.Count(), nil
		}
		if err == nil {
			err = visit(rec)
		}
		if err != nil {
			return a.Header(), a.Count(), err
		}
	}
}

// A counter counts what is read through it, and tells.
type counter struct {
	r     io.Reader
	count int64
	tell  func(bytes int64) // nil for nobody
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count += int64(n)
	if c.tell != nil {
		c.tell(c.count)
	}
	return n, err
}

// ofNode refuses the data of another node than the one that was named, if any was.
func ofNode(c Config, name wire.NodeName) error {
	if c.Name != "" && c.Name != name {
		return fmt.Errorf("name: it is of node %q, not of %q", name, c.Name)
	}
	return nil
}
