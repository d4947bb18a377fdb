package bolt

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// TestWay: of the keys of one commit, each in another page has the pages beside it
// looked at.
func TestWay(t *testing.T) {
	s := open(t, t.TempDir())
	var changes []store.Change
	for i := range 1000 {
		changes = append(changes, put(fmt.Sprintf("%03d", i), string(make([]byte, 100))))
	}
	apply(t, s, changes...)
	moveAll(t, s)
	passes := func(w *way, key string) bool {
		return guarded(func() error {
			w.passable([]byte(key))
			return nil
		}) == nil
	}
	err := s.viewFile(nil, func(whole tree) error {
		c := whole.cursor()
		c.Last()
		above := c.stack[len(c.stack)-2]
		if above.count < 5 {
			t.Fatalf("%d pages", above.count)
		}
		whole.data = bytes.Clone(whole.data)
		whole.data[above.child(above.index-1)*whole.pageSize+8] ^= 0xff // its kind
		w := &way{cursor: whole.cursor()}
		for _, key := range []string{"000", "001", "002"} {
			if !passes(w, key) {
				t.Errorf("%s: a page far away is in the way", key)
			}
		}
		if passes(w, "999") || passes(w, "998") {
			t.Error("the page beside is damaged, and the key is passable")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
