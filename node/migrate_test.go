package node

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// frozen unpacks the stores that the first version left, and reads them.
func frozen(t *testing.T) (data string, records map[string][]store.Record) {
	t.Helper()
	data, records = t.TempDir(), map[string][]store.Record{}
	for _, file := range storeFiles {
		packed, err := os.Open(filepath.Join("testdata", "schema-1", file+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer packed.Close()
		r, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(data, file), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(filepath.Join(data, file), 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("records")).ForEach(func(key, stored []byte) error {
				records[file] = append(records[file], store.Record{
					Key: string(key), Revision: binary.BigEndian.Uint64(stored), Value: bytes.Clone(stored[8:]),
				})
				return nil
			})
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return data, records
}

// filesIn reads all files of a folder.
func filesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	for _, name := range names {
		var content []byte
		if content, err = os.ReadFile(name); err == nil {
			files[filepath.Base(name)] = string(content)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// migrates calls Migrate and returns the plan.
func migrates(t *testing.T, c Config, check bool) string {
	t.Helper()
	var plan []string
	err := Migrate(t.Context(), c, MigrateReport{
		Plan:     func(s string) { plan = append(plan, s) },
		Progress: func(string, int64, int64, int) error { return nil },
		Check:    check,
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// TestMigrate brings the stores of the first version up to this one: each record
// but sessions is there as it was, and what people signed verifies.
func TestMigrate(t *testing.T) {
	data, records := frozen(t)
	before := filesIn(t, data)
	c := devConfig(t)
	c.Data, c.Name = data, "localhost:8081"
	err := Run(t.Context(), c, slog.New(slog.DiscardHandler), func(string) { t.Error("ready") })
	if err == nil || !strings.Contains(err.Error(), "peerbrain-node migrate --data "+data) {
		t.Errorf("serve: got %v, want what to type", err)
	}
	if plan := migrates(t, c, true); strings.Count(plan, "has schema 1") != 2 || !maps.Equal(filesIn(t, data), before) {
		t.Errorf("the plan is %s, or something was written", plan)
	}
	migrates(t, c, false)
	for _, file := range storeFiles {
		s, err := bolt.Open(filepath.Join(data, file), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		wanted := slices.DeleteFunc(records[file], func(r store.Record) bool { return strings.HasPrefix(r.Key, sessionPrefix) })
		n := 0
		for r, err := range s.Scan(t.Context(), store.Query{}) {
			want := wanted[n]
			if want.Key == "schema" {
				want.Value = wire.EncodeCBOR(&schemaRecord{recordVersion, recordSchema})
			}
			if n++; err != nil || r.Key != want.Key || r.Revision != want.Revision || !bytes.Equal(r.Value, want.Value) {
				t.Fatalf("%s: got %q, revision %d, %v; want %q, %d", file, r.Key, r.Revision, err, want.Key, want.Revision)
			}
		}
		if n != len(wanted) || n < 9 {
			t.Errorf("%s: got %d records, want %d", file, n, len(wanted))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if plan := migrates(t, c, false); strings.Count(plan, "nothing to do") != 2 {
		t.Errorf("a second time: %s", plan)
	}
	verifies(t, c)
}

// verifies opens a node and verifies all that its people signed.
func verifies(t *testing.T, c Config) {
	t.Helper()
	own, copies, err := openStores(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(own.Close(), copies.Close()); err != nil {
			t.Error(err)
		}
	}()
	n, err := Open(t.Context(), Options{Name: c.Name, Development: true, Own: own, Copies: copies})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(t.Context())
	people, entries := 0, 0
	for rec, err := range own.Scan(t.Context(), store.Prefix("account/")) {
		var r accountRecord
		if err == nil {
			err = decodeRecord(rec, &r)
		}
		account, parseErr := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "account/"))
		if err := errors.Join(err, parseErr); err != nil {
			t.Fatal(err)
		}
		people++
		p := n.As(account, r.Handle)
		chain, err := p.chain(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", r.Handle, err)
		}
		for _, s := range n.streams.of(account) {
			reply, err := p.Stream(t.Context(), account, s.name.audience, 0, 0, 0)
			if err != nil || uint64(len(reply.Entries)) != reply.Head {
				t.Errorf("%s: %d of %d entries, %v", s.name, len(reply.Entries), reply.Head, err)
			}
			for _, e := range reply.Entries {
				if _, err := chain.OpenEntry(e); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
				entries++
			}
		}
		if feed, err := p.Feed(t.Context(), 0, "", ""); err != nil || len(feed.Items) == 0 {
			t.Errorf("the feed of %s has %d entries, %v", r.Handle, len(feed.Items), err)
		}
	}
	if people == 0 || entries == 0 {
		t.Errorf("%d people with %d entries prove little", people, entries)
	}
	t.Logf("%d people, %d entries", people, entries)
}

// TestOtherSchemas serves what other releases wrote: one sentence, and nothing
// is touched.
func TestOtherSchemas(t *testing.T) {
	for schema, want := range map[uint64]string{1: "peerbrain-node migrate", 3: "of a later release"} {
		c := devConfig(t)
		c.Name = "localhost:1"
		runs(t, c).ends(t)
		for i, file := range slices.Backward(storeFiles) {
			s, err := bolt.Open(filepath.Join(c.Data, file), bolt.Options{})
			if err == nil && i == 0 {
				err = s.Apply(t.Context(), put("schema", &schemaRecord{recordVersion, schema}))
			}
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
		}
		before := filesIn(t, c.Data)
		ctx, stop := context.WithCancel(t.Context())
		err := Run(ctx, c, slog.New(slog.DiscardHandler), func(string) {
			t.Error("ready")
			stop()
		})
		stop()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("schema %d: got %v, want %q", schema, err, want)
		}
		if !maps.Equal(filesIn(t, c.Data), before) {
			t.Errorf("schema %d: something was written", schema)
		}
	}
}

// TestRaiseSchema: the record of schema 1 becomes that of this release, and no other.
func TestRaiseSchema(t *testing.T) {
	for schema, whole := range map[uint64]bool{0: false, 1: true, recordSchema: false, recordSchema + 1: false} {
		got, err := raiseSchema(store.Record{Key: "schema", Value: wire.EncodeCBOR(&schemaRecord{recordVersion, schema})})
		if whole != (err == nil) || whole && !bytes.Equal(got, wire.EncodeCBOR(&schemaRecord{recordVersion, recordSchema})) {
			t.Errorf("of schema %d: got %x, %v", schema, got, err)
		}
	}
}
