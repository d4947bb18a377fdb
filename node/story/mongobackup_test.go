package story_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// TestBackupUnderLoadOnMongoDB is TestBackupUnderLoad with two processes of the
// node on one database; fsck finds nothing in the restored copy.
func TestBackupUnderLoadOnMongoDB(t *testing.T) {
	offices := map[string]*office{}
	w := newWorld(t, manyAddresses, inOffices(t, offices))
	second := offices[w.left.name].processes[1]
	testBackupUnderLoad(w, 20, func() {
		if err := second.kill(); err != nil {
			t.Fatal(err)
		}
		second.env = w.left.env
		if err := second.start(); err != nil {
			t.Fatal(err)
		}
		healthy(w, w.left)
	}, w.left, second)
}

// manyAddresses lets a node believe from where members say they come.
func manyAddresses(s *server) error {
	s.flags = append(s.flags, "--proxies", "127.0.0.1")
	return nil
}

// healthy wants nothing to be wrong with the records of a node on MongoDB.
func healthy(w *world, s *server) {
	w.Helper()
	if out := w.operates(s, "fsck"); !strings.Contains(out, "0 wrong") {
		w.Errorf("fsck: %s", out)
	}
}

// TestMoveOnMongoDB carries a node with its operator's commands from MongoDB into a
// folder and back, and tells the rest of the story there.
func TestMoveOnMongoDB(t *testing.T) {
	w := newWorld(t, onMongoDB(t))
	w.plays("ada: register ada@", "bob: register bob@", "ada: friend add bob@", "bob: friend accept ada@", "ada: post one")
	w.sees("bob", "ada", "one")
	s := w.left
	w.auditsDatabase(s)
	onto := s.moves
	for i, moves := range []func(){func() { s.env = nil }, onto} {
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		file := w.backup(s)
		s.moves = moves
		w.restore(s, file)
		w.logsIn("ada", "")
		text := fmt.Sprint("hello", i)
		w.plays("ada: post " + text)
		w.sees("bob", "ada", []string{text, "hello0", "one"}[1-i:]...)
		if log, err := os.ReadFile(s.log); err != nil || i == 0 && !strings.Contains(string(log), "store=bolt") {
			t.Errorf("it does not serve from the folder: %v", err)
		}
	}
}

// auditsDatabase audits a node that runs on MongoDB, and once more with a record in
// each of its two stores that should not be there.
func (w *world) auditsDatabase(s *server) {
	w.Helper()
	if out := w.operates(s, "audit"); !strings.Contains(out, " own sealed\n") || !strings.Contains(out, " copies schema\n") || !strings.Contains(out, " 0 findings\n") {
		w.Errorf("audit: %s", out)
	}
	for _, in := range []string{"own", "copies"} {
		record := bson.D{{Key: "_id", Value: "notes/1"}}
		inDatabase(w, s, in, func(ctx context.Context, c *mongo.Collection) error {
			_, err := c.InsertOne(ctx, append(record, bson.E{Key: "v", Value: []byte("plain")}, bson.E{Key: "r", Value: int64(7)}))
			return err
		})
		if out, err := w.tries(s, "audit"); !failed(err) || !strings.Contains(out, "found: "+in+" notes/1\n") || !strings.Contains(out, " 1 findings\n") {
			w.Errorf("audit of what was put into %s: %v\n%s", in, err, out)
		}
		inDatabase(w, s, in, func(ctx context.Context, c *mongo.Collection) error {
			_, err := c.DeleteOne(ctx, record)
			return err
		})
	}
}

// TestFsckOnMongoDB checks a node of two processes while people write, finds what is
// spoilt, repairs what can be, and checks it once more when it is stopped.
func TestFsckOnMongoDB(t *testing.T) {
	offices := map[string]*office{}
	w := newWorld(t, manyAddresses, inOffices(t, offices))
	people := newMembers(t, w.left, "load", 4)
	people[0].befriends(people[1:])
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i, m := range people {
		m.home = offices[w.left.name].processes[i%2]
		load.Go(func() {
			for post := time.NewTicker(4 * nextLook); ctx.Err() == nil; <-post.C { // the store must not outgrow the checks
				m.ask("POST", wire.PathEntries, wire.PublishRequest{Entry: m.entry(wire.KindPost, make([]byte, sealedPost))}, nil)
			}
		})
	}
	healthy(w, w.left)
	account := "account/" + people[1].account.String()
	spoil(t, w.left, account)
	if out, err := w.tries(w.left, "fsck"); !failed(err) || !strings.Contains(out, account) || !strings.Contains(out, "--repair would: write it again from the") || !strings.Contains(out, "1 wrong") {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	if out := w.operates(w.left, "fsck", "--repair"); !strings.Contains(out, "repaired: own "+account) || !strings.Contains(out, "0 wrong") {
		t.Errorf("fsck --repair: %s", out)
	}
	healthy(w, w.left)
	stop()
	load.Wait()
	for _, one := range offices[w.left.name].processes {
		if err := one.stop(); err != nil {
			t.Fatal(err)
		}
	}
	healthy(w, w.left)
	key := "vault/" + people[2].account.String()
	spoil(t, w.left, key)
	if out, err := w.tries(w.left, "fsck", "--repair"); !failed(err) || !strings.Contains(out, "wrong: own "+key) || !strings.Contains(out, "it cannot be made again here: restore it from a backup") {
		t.Errorf("fsck of a vault: %v\n%s", err, out)
	}
}

// failed reports whether a command ended with status 1.
func failed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 1
}

// spoil changes a record in the database of a node.
func spoil(t testing.TB, s *server, key string) {
	t.Helper()
	inDatabase(t, s, "own", func(ctx context.Context, c *mongo.Collection) error {
		spoilt := bson.D{{Key: "$set", Value: bson.D{{Key: "v", Value: []byte("spoilt")}, {Key: "r", Value: int64(7)}}}}
		result, err := c.UpdateOne(ctx, bson.D{{Key: "_id", Value: key}}, spoilt)
		if err == nil && result.MatchedCount != 1 {
			err = fmt.Errorf("%s is not there", key)
		}
		return err
	})
}

// inDatabase does something to a collection of a node.
func inDatabase(t testing.TB, s *server, collection string, do func(context.Context, *mongo.Collection) error) {
	t.Helper()
	var database string
	for _, v := range s.env {
		if name, ok := strings.CutPrefix(v, "PEERBRAIN_STORE_MONGODB_DATABASE="); ok {
			database = name
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := mongo.Connect(options.Client().ApplyURI(mongotest.Get(t).URI))
	if err != nil {
		t.Fatal(err)
	}
	err = do(ctx, c.Database(database).Collection(collection))
	if err := errors.Join(err, c.Disconnect(ctx)); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreRefusesOnMongoDB types what an operator might, by mistake.
func TestRestoreRefusesOnMongoDB(t *testing.T) {
	w := newWorld(t, onMongoDB(t))
	w.plays("ada: register ada@", "ada: post one")
	file := w.backup(w.left)
	for _, one := range []struct {
		args []string
		want string
	}{
		{[]string{"restore", file}, "is not empty"},
		{[]string{"backup", file}, "is there already"},
		{[]string{"backup", "--name", "localhost:1", filepath.Join(w.dir, "other")}, `it is of node "` + w.left.name},
		{[]string{"backup", "--store-mongodb-database", "nobody", filepath.Join(w.dir, "other")}, `"nobody" holds no node`},
		{[]string{"fsck", "--store-mongodb-database", "nobody"}, `"nobody" holds no node`},
		{[]string{"migrate", "--store-mongodb-database", "nobody"}, `"nobody" holds no node`},
	} {
		out, err := w.tries(w.left, one.args...)
		if !failed(err) || !strings.Contains(out, one.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("peerbrain-node %q: %v, %s, want one sentence: %s", one.args, err, out, one.want)
		}
	}
	if out := w.operates(w.left, "migrate"); strings.Count(out, "nothing to do") != 2 {
		t.Errorf("migrate: %s", out)
	}
	w.sees("ada", "ada", "one")
}
