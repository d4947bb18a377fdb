package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// inDatabase is what lies in the own collection of a node.
func inDatabase(t *testing.T, c Config) (all map[string]string) {
	t.Helper()
	withStores(t, c, func(stores []*mongo.Store) { all = contentsOf(t, stores[0]) })
	return all
}

// collectionsOf are those of a database, which is not made by looking.
func collectionsOf(t *testing.T, c Config) []string {
	t.Helper()
	names := must(mongo.Collections(t.Context(), c.Store.MongoDB.URI.Reveal(), c.Store.MongoDB.Database))
	slices.Sort(names)
	return names
}

// elsewhereThan is c on another, empty database.
func elsewhereThan(t *testing.T, c Config) Config {
	c.Store.MongoDB.Database = mongotest.Get(t).Database(t)
	return c
}

// sameNode wants what a restore makes of records.
func sameNode(t *testing.T, got, want map[string]string) {
	t.Helper()
	for key := range want {
		if (isPassing(key) || strings.HasPrefix(key, topPrefix)) == (got[key] != "") {
			t.Errorf("%s: passing %t, restored %t", key, isPassing(key), got[key] != "")
		}
		if !isPassing(key) && !isRemade(key) && got[key] != want[key] {
			t.Errorf("%s: got another value", key)
		}
	}
	for key := range got {
		if want[key] == "" && key != highWaterKey && key != regainKey {
			t.Errorf("%s was not there before", key)
		}
	}
}

// TestBackupOnMongoDB moves a node from MongoDB into a folder, back, and from one
// database into another.
func TestBackupOnMongoDB(t *testing.T) {
	c := mongoConfig(t)
	r := runs(t, c)
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	first := r.logsIn(t, ann)
	c.Name, c.Listen = r.name, strings.TrimPrefix(r.url, "http://")
	dir := t.TempDir()
	folder := c
	folder.Store.Kind, folder.Data = StoreBolt, filepath.Join(dir, "data")
	places := []Config{c, folder, elsewhereThan(t, c), elsewhereThan(t, c)}
	for i, from := range places[:3] {
		file := filepath.Join(dir, fmt.Sprint("backup", i))
		report, err := Backup(t.Context(), from, file, nil)
		if err != nil || report.Node != r.name || report.Records < 5 {
			t.Fatalf("got %+v, %v", report, err)
		}
		if names := left(t, dir); slices.Contains(names, filepath.Base(file)+partial) || slices.Contains(names, filepath.Base(file)+partial+spooled) {
			t.Errorf("what was needed meanwhile is still there: %q", names)
		}
		r.ends(t)
		var want map[string]string
		if from.Store.Kind == StoreBolt {
			want = recordsOf(t, from.Data)
		} else {
			want = inDatabase(t, from)
		}
		if _, err := Restore(t.Context(), places[i+1], file, nil); err != nil {
			t.Fatal(err)
		}
		if places[i+1].Store.Kind == StoreBolt {
			sameNode(t, recordsOf(t, places[i+1].Data), want)
		} else {
			sameNode(t, inDatabase(t, places[i+1]), want)
		}
		r = runs(t, places[i+1])
		if status, _ := r.asks(t, "GET", wire.PathSession, &first.Token, nil, nil); status != 401 {
			t.Errorf("a session from before the copy: got %d, want 401", status)
		}
		first = r.logsIn(t, ann)
	}
	r.ends(t)
}

// TestBackupOfNothingOnMongoDB: a database without a node is not copied, checked or
// migrated, and not made by that; nor is one of another name or a later release.
func TestBackupOfNothingOnMongoDB(t *testing.T) {
	c := mongoConfig(t)
	dir := t.TempDir()
	commands := map[string]func(Config) error{
		"backup": func(c Config) error {
			_, err := Backup(t.Context(), c, filepath.Join(dir, "never"), nil)
			return err
		},
		"fsck":    func(c Config) error { _, err := FsckData(t.Context(), c, FsckOptions{}); return err },
		"migrate": func(c Config) error { return Migrate(t.Context(), c, MigrateReport{Plan: func(string) {}}) },
	}
	for name, do := range commands {
		if err := do(c); err == nil || !strings.Contains(oneSentence(t, err), "holds no node; choose its database") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if names := collectionsOf(t, c); len(names) > 0 {
		t.Errorf("the database has %q now", names)
	}
	c.Name = "localhost:1"
	runs(t, c).ends(t)
	other := c
	other.Name = "localhost:2"
	if err := commands["backup"](other); err == nil || oneSentence(t, err) != `name: it is of node "localhost:1", not of "localhost:2"` {
		t.Errorf("another name: got %v", err)
	}
	withStores(t, c, func(stores []*mongo.Store) {
		if err := stores[0].Apply(t.Context(), put("schema", &schemaRecord{recordVersion, recordSchema + 1})); err != nil {
			t.Fatal(err)
		}
	})
	before := contents(t, c)
	for name, do := range commands {
		if err := do(c); err == nil || !strings.Contains(oneSentence(t, err), fmt.Sprint("schema ", recordSchema+1)) {
			t.Errorf("%s of a later release: got %v", name, err)
		}
	}
	if after := contents(t, c); !slices.Equal(before, after) || left(t, dir) != nil {
		t.Errorf("something was written: %q", left(t, dir))
	}
}

// TestMigrateOnMongoDB: there is nothing to do, since no release kept an earlier
// schema there. One that says so all the same is left alone.
func TestMigrateOnMongoDB(t *testing.T) {
	c := mongoConfig(t)
	c.Name = "localhost:1"
	runs(t, c).ends(t)
	if plan := migrates(t, c, false); strings.Count(plan, "has schema 2: nothing to do") != 2 {
		t.Errorf("got %s", plan)
	}
	withStores(t, c, func(stores []*mongo.Store) {
		if err := stores[0].Apply(t.Context(), put("schema", &schemaRecord{recordVersion, 1})); err != nil {
			t.Fatal(err)
		}
	})
	before := contents(t, c)
	err := Migrate(t.Context(), c, MigrateReport{Plan: func(s string) { t.Errorf("planned: %s", s) }})
	if err == nil || !strings.Contains(oneSentence(t, err), "schema 1, which no release has kept on MongoDB") {
		t.Errorf("got %v", err)
	}
	if got := doesNotStart(t, c); !strings.Contains(got, "schema 1") {
		t.Errorf("got %s", got)
	}
	if after := contents(t, c); !slices.Equal(before, after) {
		t.Error("something was written")
	}
}

// TestPlanSchema has what migrate finds on MongoDB.
func TestPlanSchema(t *testing.T) {
	for schema, want := range map[uint64]string{0: "is empty", 1: "schema 1, which no release has kept", recordSchema: "has schema 2", recordSchema + 1: "of a later release"} {
		s := storetest.NewMemory()
		if schema > 0 {
			if err := s.Apply(t.Context(), put("schema", &schemaRecord{recordVersion, schema})); err != nil {
				t.Fatal(err)
			}
		}
		plan, err := planSchema(t.Context(), s)
		if err != nil {
			plan = err.Error()
		}
		if known := schema == 0 || schema == recordSchema; !strings.Contains(plan, want) || known != (err == nil) {
			t.Errorf("schema %d: got %q, %v, want %s", schema, plan, err, want)
		}
	}
}

// TestRestoreRefusesOnMongoDB has files and databases that nothing is made of.
func TestRestoreRefusesOnMongoDB(t *testing.T) {
	_, r, _, _, file := backedUp(t)
	r.ends(t)
	empty := mongoConfig(t)
	empty.Name = r.name
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(good)/2] ^= 1
	refused := func(c Config, content []byte, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := collectionsOf(t, c)
		if _, err := Restore(t.Context(), c, path, nil); err == nil || !strings.Contains(oneSentence(t, err), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if after := collectionsOf(t, c); !slices.Equal(before, after) {
			t.Errorf("%s: the database had %q, and now %q", want, before, after)
		}
	}
	refused(empty, good[:len(good)-1], "cut short")
	refused(empty, flipped, "damaged")
	named := empty
	named.Name = "localhost:1"
	refused(named, good, fmt.Sprintf(`it is of node %q, not of "localhost:1"`, r.name))

	foreign := elsewhereThan(t, empty)
	opened, err := mongo.Open(t.Context(), foreign.Store.MongoDB.URI.Reveal(), foreign.Store.MongoDB.Database, "orders")
	if err == nil {
		err = errors.Join(opened[0].Apply(t.Context(), store.Change{Key: "order/1", Value: []byte{1}}), opened[0].Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	refused(foreign, good, "is not empty (the collection orders is in it), and nothing is overwritten")

	for i, name := range collections {
		used := elsewhereThan(t, empty)
		withStores(t, used, func(stores []*mongo.Store) {
			if err := stores[i].Apply(t.Context(), store.Change{Key: "schema", Value: []byte{1}}); err != nil {
				t.Fatal(err)
			}
		})
		before := contents(t, used)
		refused(used, good, "is not empty (the record schema is in it), and nothing is overwritten; choose another with --store-mongodb-database")
		if after := contents(t, used); !slices.Equal(before, after) {
			t.Errorf("%s: something was written", name)
		}
	}
	unreachable := empty
	unreachable.Store.MongoDB.URI = wire.Hide("mongodb://canary.invalid/")
	if _, err := Restore(t.Context(), unreachable, file, nil); err == nil || oneSentence(t, err) != "store.mongodb.uri: no host of the URI is known; check their names" {
		t.Errorf("got %v", err)
	}
}

// TestInterruptedRestoreOnMongoDB interrupts a restore: nothing takes what is there
// for a node, and the next restore, of another file, leaves nothing of it.
func TestInterruptedRestoreOnMongoDB(t *testing.T) {
	folder, r, _, _, file := backedUp(t)
	r.ends(t)
	c := mongoConfig(t)
	c.Name = r.name
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	_, err = Restore(ctx, c, file, func(n int64) {
		if n > info.Size() {
			stop()
		}
	})
	if err == nil || oneSentence(t, err) != "interrupted; run peerbrain-node restore again" {
		t.Fatalf("got %v", err)
	}
	withStores(t, c, func(stores []*mongo.Store) { // what another file might have left
		if err := stores[0].Apply(t.Context(), store.Change{Key: "handle/left", Value: []byte{1}}, store.Change{Key: "zzz", Value: []byte{1}}); err != nil {
			t.Fatal(err)
		}
	})
	before := contents(t, c)
	const want = "is under way, or was interrupted; if none runs, run peerbrain-node restore again"
	if got := doesNotStart(t, c); !strings.Contains(got, want) {
		t.Errorf("serve: got %s", got)
	}
	_, backedUp := Backup(t.Context(), c, file+"-never", nil)
	_, checked := FsckData(t.Context(), c, FsckOptions{Repair: true})
	for _, err := range []error{backedUp, checked, Migrate(t.Context(), c, MigrateReport{})} {
		if err == nil || !strings.Contains(oneSentence(t, err), want) {
			t.Errorf("got %v", err)
		}
	}
	if after := contents(t, c); !slices.Equal(before, after) {
		t.Error("something was written")
	}
	if _, err := Restore(t.Context(), c, file, nil); err != nil {
		t.Fatal(err)
	}
	sameNode(t, inDatabase(t, c), recordsOf(t, folder.Data))
	runs(t, c).ends(t)
}

// TestRestoringTakesOver: of two restores into one database, the one that begins
// later goes on; a node that begins in the same moment has the database.
func TestRestoringTakesOver(t *testing.T) {
	s := storetest.NewMemory()
	fine := func() error { return nil }
	one, two := &restoring{Store: s, mine: []byte("one")}, &restoring{Store: s, mine: []byte("two")}
	if err := one.begin(t.Context(), fine); err != nil {
		t.Fatal(err)
	}
	if err := one.Apply(t.Context(), change("a", []byte{1})); err != nil {
		t.Fatal(err)
	}
	if err := two.begin(t.Context(), func() error { t.Error("asked whether it is empty"); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := two.Apply(t.Context(), change("b", []byte{2})); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{one.Apply(t.Context(), change("c", []byte{1})), one.end(t.Context())} {
		if !errors.Is(err, errTaken) {
			t.Errorf("got %v, want %v", err, errTaken)
		}
	}
	if err := two.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := contentsOf(t, s); !maps.Equal(got, map[string]string{"b": "\x02"}) {
		t.Errorf("got %q", got)
	}
	s = storetest.NewMemory()
	late := errors.New("a node is there")
	if err := (&restoring{Store: s, mine: []byte("one")}).begin(t.Context(), func() error {
		return errors.Join(s.Apply(t.Context(), change(nameKey, []byte("x"))), late)
	}); !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
	if got := contentsOf(t, s); !maps.Equal(got, map[string]string{nameKey: "x"}) {
		t.Errorf("got %q", got)
	}
}

// TestRestoreOfSchema1 restores what the first release copied: the records have the
// schema of this one.
func TestRestoreOfSchema1(t *testing.T) {
	var file bytes.Buffer
	a, err := archive.NewWriter(&file, archive.Header{Node: "localhost:1", Schema: 1})
	if err == nil {
		first := put("schema", &schemaRecord{recordVersion, 1})
		err = errors.Join(a.Add(store.Record{Key: nameKey, Value: []byte("localhost:1")}), a.Add(store.Record{Key: "schema", Value: first.Value}), a.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	c := devConfig(t)
	c.Name, c.Data = "localhost:1", filepath.Join(t.TempDir(), "new")
	path := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), c, path, nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := false
	if err := Run(ctx, c, slog.New(slog.DiscardHandler), func(string) { ready = true; stop() }); err != nil || !ready {
		t.Errorf("serve: ready %v, %v", ready, err)
	}
}
