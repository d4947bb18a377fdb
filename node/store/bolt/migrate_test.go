package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// oldFile makes a file of format 1, of several batches.
func oldFile(t *testing.T, path string) (records []store.Record) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucketName)
		for i := range 2500 {
			r := store.Record{Key: fmt.Sprintf("k/%05d", i), Value: []byte(strings.Repeat("v", i*3)), Revision: uint64(7 * i)}
			records = append(records, r)
			if err == nil {
				err = b.Put([]byte(r.Key), append(binary.BigEndian.AppendUint64(nil, r.Revision), r.Value...))
			}
		}
		return errors.Join(err, b.SetSequence(99_999))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return records
}

func holdsAll(t *testing.T, path string, want []store.Record) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if w := want[n]; r.Key != w.Key || r.Revision != w.Revision || !bytes.Equal(r.Value, w.Value) {
			t.Fatalf("record %d: got %q, revision %d, want %q, %d", n, r.Key, r.Revision, w.Key, w.Revision)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("got %d records, want %d", n, len(want))
	}
	if got := s.db.Info().PageSize; got != pageSize {
		t.Errorf("the new file has pages of %d bytes, want %d", got, pageSize)
	}
	if err := s.Apply(t.Context(), put("new", "")); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(t.Context(), "new"); err != nil || r.Revision != 100_000 {
		t.Errorf("got revision %d, %v, want the one behind the last of the old file", r.Revision, err)
	}
}

// TestMigrate stops after each commit, also for good: the old file stays as it
// was until the new one is whole.
func TestMigrate(t *testing.T) {
	stopped := errors.New("stopped")
	for _, again := range []bool{true, false} { // the old file changes after the stop, or not
		path := filepath.Join(t.TempDir(), "node.db")
		want := oldFile(t, path)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		commits, largest := 0, int64(0)
		for {
			err := Migrate(t.Context(), path, nil, func(m Migration) error {
				commits++
				if m.Bytes > 2*migrateBatch {
					t.Errorf("one call wrote %d bytes before it was stopped", m.Bytes)
				}
				return stopped
			})
			if !errors.Is(err, stopped) {
				t.Fatalf("got %v, want %v", err, stopped)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
				t.Fatalf("the old file was written after %d commits, or: %v", commits, err)
			}
			if info, err := os.Stat(path + ".migrating"); err == nil {
				largest = max(largest, info.Size())
			}
			if commits == 4 {
				break
			}
		}
		if again { // an earlier release wrote to it meanwhile
			db, err := bbolt.Open(path, 0o600, nil)
			if err == nil {
				want[0].Value = []byte("changed")
				err = db.Update(func(tx *bbolt.Tx) error {
					return tx.Bucket(bucketName).Put([]byte(want[0].Key), append(make([]byte, 8), "changed"...))
				})
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if err := Migrate(t.Context(), path, nil, nil); err != nil {
			t.Fatal(err)
		}
		if most := 2*int64(len(before)) + 16<<20; largest > most { // bbolt lengthens files by 16 MB at a time
			t.Errorf("the new file had %d bytes, the old one has %d", largest, len(before))
		}
		holdsAll(t, path, want)
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
		if err := Migrate(t.Context(), path, nil, nil); !errors.Is(err, ErrFormat) {
			t.Errorf("a second time: got %v, want %v", err, ErrFormat)
		}
	}
}

// TestOtherFormats opens files of other formats: nothing is written.
func TestOtherFormats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	oldFile(t, path)
	later := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(later, Options{})
	if err == nil {
		err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(formatBucket).Put(formatKey, []byte("3")) })
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{path: "1", later: "3"} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f *FormatError
		if _, err := Open(path, Options{}); !errors.As(err, &f) || f.Found != want || !errors.Is(err, ErrFormat) {
			t.Errorf("got %v, want format %s", err, want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("format %s was written to, or: %v", want, err)
		}
		if found, _, err := Found(path); found != want || err != nil {
			t.Errorf("found %q, %v, want %s", found, err, want)
		}
	}
}
