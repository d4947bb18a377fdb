package mongo

import (
	"path"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.M{M: m}) }

// racing are the cases of the suite in which many change one record at once
// under one condition.
var racing = []string{"one_swaps", "one_deletes", "counters"}

func TestStore(t *testing.T) {
	server := mongotest.Get(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		if slices.Contains(racing, path.Base(t.Name())) {
			server.Atomic(t)
		}
		return open(t, server.URI, server.Database(t))
	})
}

func open(t *testing.T, uri, database string) *Store {
	t.Helper()
	stores, err := Open(t.Context(), uri, database, "own")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stores[0].Close() })
	return stores[0]
}
