package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/mongo"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// mongoConfig is that of a node on a new database.
func mongoConfig(t *testing.T) Config {
	t.Helper()
	server := mongotest.Get(t)
	c := devConfig(t)
	c.Store = StoreConfig{Kind: StoreMongoDB, MongoDB: MongoDBConfig{URI: wire.Hide(server.URI), Database: server.Database(t)}}
	return c
}

// TestRunOnMongoDB registers and logs in, across a restart, and looks for the
// password of the database in the logs and for files in the data folder.
func TestRunOnMongoDB(t *testing.T) {
	c := mongoConfig(t)
	r := runs(t, c)
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	first := r.logsIn(t, ann)
	r.ends(t)

	c.Name, c.Listen = r.name, strings.TrimPrefix(r.url, "http://")
	again := runs(t, c)
	var session wire.SessionReply
	again.succeeds(t, "GET", wire.PathSession, &first.Token, nil, &session)
	if session.Handle != "ann" || session.Account != ann.account {
		t.Errorf("got session %+v", session)
	}
	again.ends(t)
	logs := r.log.String() + again.log.String()
	if password := mongotest.Get(t).Password(); password != "" && strings.Contains(logs, password) {
		t.Error("the password of the database is in the log")
	}
	if !strings.Contains(logs, "store=mongodb") {
		t.Errorf("the log does not say what keeps the records: %s", logs)
	}
	for _, file := range []string{"own.db", "copies.db"} {
		if _, err := os.Stat(filepath.Join(c.Data, file)); !os.IsNotExist(err) {
			t.Errorf("%s is in the data folder of a node on MongoDB (%v)", file, err)
		}
	}
}

// doesNotStart runs a node that must not start, and returns what it says.
func doesNotStart(t *testing.T, c Config) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := Run(ctx, c, slog.New(slog.NewTextHandler(io.Discard, nil)), func(string) { stop() }); err != nil {
		return oneSentence(t, err)
	}
	t.Fatal("the node served")
	return ""
}

// oneSentence returns what an error says, which is nothing of the URI.
func oneSentence(t *testing.T, err error) string {
	t.Helper()
	if password := mongotest.Get(t).Password(); strings.Contains(err.Error(), "canary") || password != "" && strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a part of the URI, or more than one sentence: %v", err)
	}
	return err.Error()
}

func TestRunRefusesAnotherDatabase(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for _, test := range []struct {
		name, want string
		change     func(*url.URL)
	}{
		{"nobody listens", "no server that takes writes answers", func(u *url.URL) { u.Host = nobody.Addr().String() }},
		{"an unknown host", "no host of the URI is known", func(u *url.URL) { u.Host = "canary.invalid" }},
		{"a wrong password", "the server refuses the user or the password", func(u *url.URL) { u.User = url.UserPassword("canary", "canary") }},
		{"a malformed URI", "a URI such as mongodb://", func(u *url.URL) { u.Host = "canary:canary" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mongoConfig(t)
			u, err := url.Parse(c.Store.MongoDB.URI.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			test.change(u)
			c.Store.MongoDB.URI = wire.Hide(u.String())
			if got := doesNotStart(t, c); !strings.HasPrefix(got, "store.mongodb.uri: "+test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestRunRefusesForeignData serves a database under another name, and one of a
// later release: neither is changed.
func TestRunRefusesForeignData(t *testing.T) {
	c := mongoConfig(t)
	c.Name = "localhost:1"
	runs(t, c).ends(t)
	before := contents(t, c)
	other := c
	other.Name = "localhost:2"
	if got := doesNotStart(t, other); !strings.Contains(got, `belongs to "localhost:1"; serve it with --name localhost:1, or choose another with --store-mongodb-database`) {
		t.Errorf("got %s", got)
	}
	if after := contents(t, c); !slices.Equal(before, after) {
		t.Errorf("another name changed the database from %q to %q", before, after)
	}
	withStores(t, c, func(stores []*mongo.Store) {
		later := put("schema", &schemaRecord{recordVersion, recordSchema + 1})
		if err := stores[0].Apply(t.Context(), later); err != nil {
			t.Fatal(err)
		}
	})
	before = contents(t, c)
	if got := doesNotStart(t, c); !strings.Contains(got, fmt.Sprint("schema ", recordSchema+1)) {
		t.Errorf("got %s, want a word about the schema", got)
	}
	if after := contents(t, c); !slices.Equal(before, after) {
		t.Errorf("an earlier release changed the database from %q to %q", before, after)
	}
}

func withStores(t *testing.T, c Config, do func([]*mongo.Store)) {
	t.Helper()
	stores, err := mongo.Open(t.Context(), c.Store.MongoDB.URI.Reveal(), c.Store.MongoDB.Database, "own", "copies")
	if err != nil {
		t.Fatal(err)
	}
	do(stores)
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// contents is every record of a database, with its revision.
func contents(t *testing.T, c Config) (all []string) {
	t.Helper()
	withStores(t, c, func(stores []*mongo.Store) {
		for _, s := range stores {
			for r, err := range s.Scan(t.Context(), store.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, fmt.Sprintf("%s %d %x", r.Key, r.Revision, r.Value))
			}
		}
	})
	if len(all) == 0 {
		t.Fatal("the database is empty")
	}
	return all
}

// TestAboutFolder holds to one sentence each what the system says of a folder.
// Whole processes meet most of it in node/story.
func TestAboutFolder(t *testing.T) {
	at := func(err error) error {
		return fmt.Errorf("bolt: open: %w", &os.PathError{Op: "open", Path: "/data/own.db", Err: err})
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{bolt.ErrInUse, `data: another process serves "/data"; end it, or choose another folder with --data`},
		{at(syscall.ENOTDIR), `data: "/data/own.db" is a file, a folder was expected`},
		{at(syscall.EISDIR), `data: "/data/own.db" is a folder, a file of a node was expected`},
		{at(syscall.EROFS), `data: "/data/own.db" lies on a file system that is read-only; make it writable, or choose another folder with --data`},
		{at(syscall.EACCES), `data: this user may not read and write "/data/own.db"; give the folder and its files to the user that serves, or choose another folder with --data`},
		{at(syscall.EPERM), `data: this user may not read and write "/data/own.db"; give the folder and its files to the user that serves, or choose another folder with --data`},
		{at(syscall.EIO), `bolt: open: open /data/own.db: ` + syscall.EIO.Error()},
	} {
		if got := aboutFolder("/data", test.err); got.Error() != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
}
