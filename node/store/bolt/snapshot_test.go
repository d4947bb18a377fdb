package bolt

import (
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestSnapshots(t *testing.T) {
	storetest.Snapshots(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}
