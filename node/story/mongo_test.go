package story_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// onMongoDB gives each node a database of its own.
func onMongoDB(t testing.TB) func(*server) error {
	db := mongotest.Get(t)
	return func(s *server) error {
		s.moves = func() {
			s.env = append(s.env, "PEERBRAIN_STORE_KIND=mongodb", "PEERBRAIN_STORE_MONGODB_URI="+db.URI, "PEERBRAIN_STORE_MONGODB_DATABASE="+db.Database(t))
		}
		s.moves()
		return nil
	}
}

// TestOnMongoDB tells the whole story with both nodes on MongoDB: once in
// peace, and once while both are killed in the middle of every step. Nothing of
// it is in their data folders, and the password of the database in no log.
func TestOnMongoDB(t *testing.T) {
	for _, test := range []struct {
		name string
		step func(*world, act) error
	}{
		{"in peace", (*world).play},
		{"killed during each step", func(w *world, a act) error {
			return w.meanwhile(a, func() error {
				time.Sleep(rand.N(150 * time.Millisecond)) // somewhere within the command
				return w.revive()
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, onMongoDB(t))
			for i, a := range acts {
				if err := test.step(w, a); err != nil {
					t.Fatalf("step %d: %v", i+1, err)
				}
			}
			w.curtain()
			for _, s := range []*server{w.left, w.right} {
				s.lookAround(t, mongotest.Get(t).Password())
			}
		})
	}
}

// lookAround finds what a node on MongoDB must not leave behind.
func (s *server) lookAround(t *testing.T, password string) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "store=mongodb") {
		t.Errorf("%s did not serve from MongoDB", s.name)
	}
	if password != "" && strings.Contains(string(log), password) {
		t.Errorf("the password of the database is in the log of %s", s.name)
	}
	if files, err := filepath.Glob(filepath.Join(s.data, "*.db")); err != nil || len(files) > 0 {
		t.Errorf("%s has %q in its data folder (%v)", s.name, files, err)
	}
}
