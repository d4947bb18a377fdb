package bolt

import (
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestSnapshots(t *testing.T) {
	storetest.Snapshots(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

// TestViewsAreOfOneMoment looks at the layers, and at the file after what was
// written since is there.
func TestViewsAreOfOneMoment(t *testing.T) {
	s := open(t, t.TempDir())
	apply(t, s, put("first", "v"))
	l := s.layers.Load()
	apply(t, s, put("second", "v"))
	moveAll(t, s)
	for _, h := range []*shared{nil, &s.shared} {
		err := s.viewUnder(l, h, func(v view) error {
			p, err := v.find(nil, []byte("second"))
			t.Errorf("what came later is there: %q, %v", p.key, err)
			return nil
		})
		if err != errAgain {
			t.Errorf("got %v, want %v", err, errAgain)
		}
	}
}
