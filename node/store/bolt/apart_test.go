package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// TestPageThatTakesNothing damages a page so that bbolt can read it and not change
// it. What concerns it is kept all the same, and what does not goes on.
func TestPageThatTakesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	want := map[string]string{}
	for i := range 400 {
		key, value := fmt.Sprintf("k/%04d", i), fmt.Sprintf("%0200d", i)
		if err := s.Apply(t.Context(), put(key, value)); err != nil {
			t.Fatal(err)
		}
		want[key] = value
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoilLeaf(t, s.path, "k/0000")
	s = open(t, filepath.Dir(s.path))
	write := func(keys ...string) {
		for _, key := range keys {
			if err := s.Apply(t.Context(), put(key, "new")); err != nil {
				t.Fatal(err)
			}
			want[key] = "new"
		}
	}
	check := func(when string) {
		t.Helper()
		for _, key := range []string{"k/0000", "k/0001", "k/0399", "l"} {
			if r, err := s.Get(t.Context(), key); err != nil || string(r.Value) != want[key] {
				t.Errorf("%s: %q: got %q, %v", when, key, r.Value, err)
			}
		}
		if _, err := s.Get(t.Context(), "k/0002"); err != store.ErrNotExist {
			t.Errorf("%s: what was deleted: got %v", when, err)
		}
		got := scanned(t, s)
		for key := range got.values {
			if got.values[key] != want[key] {
				t.Errorf("%s: %q is %.20q", when, key, got.values[key])
			}
		}
	}
	write("k/0000", "k/0001", "k/0399", "l")
	if err := s.Apply(t.Context(), store.Change{Key: "k/0002"}); err != nil {
		t.Fatal(err)
	}
	delete(want, "k/0002")
	moveAll(t, s)
	if n := s.layers.Load().apart.tree.Len(); n == 0 || n > 3 {
		t.Errorf("%d records are kept apart", n)
	}
	check("moved")
	again := func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, filepath.Dir(s.path))
	}
	again()
	check("opened again")
	want["k/0000"] = "newer"
	if err := s.Apply(t.Context(), put("k/0000", "newer")); err != nil {
		t.Fatal(err)
	}
	moveAll(t, s)
	check("written once more")
	again()
	check("opened once more")
	if !maps.Equal(filesOf(t, s.path+"."), map[string]string{}) {
		t.Error("something is left behind")
	}
}

// spoilLeaf gives the last element of the leaf that begins with a key a length that
// cannot be.
func spoilLeaf(t *testing.T, path, key string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const head, element = 16, 16 // of a page, and of a leaf's element: flags, position, key size, value size
	for page := 2 * pageSize; page < len(b); page += pageSize {
		n := int(binary.NativeEndian.Uint16(b[page+10:]))
		if binary.NativeEndian.Uint16(b[page+8:]) != 2 || n < 10 {
			continue
		}
		if at := page + head + int(binary.NativeEndian.Uint32(b[page+head+4:])); bytes.HasPrefix(b[at:], []byte(key)) {
			binary.NativeEndian.PutUint32(b[page+head+(n-1)*element+4:], 1<<30)
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
