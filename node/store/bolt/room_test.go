package bolt

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// written returns the bytes that this process has given to write calls so far.
func written(b *testing.B) (n int64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err == nil {
		_, after, _ := strings.Cut(string(text), "wchar: ")
		_, err = fmt.Sscan(after, &n)
	}
	if err != nil {
		b.Skip(err)
	}
	return n
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSeriesFillPages: records that come one after the other, as the posts of
// somebody do, leave no room in their pages for what never comes between them;
// random ones do.
func TestSeriesFillPages(t *testing.T) {
	for _, c := range []struct {
		name        string
		key         func(n int) string
		least, most float64
	}{
		{"series", func(n int) string { return fmt.Sprintf("entry/%0110d/%08x", n%8, n/8) }, 0.88, 1},
		{"random", func(n int) string { return fmt.Sprintf("id/%x", sha256.Sum256(fmt.Append(nil, n))) }, 0.4, 0.8},
	} {
		s := open(t, t.TempDir())
		for round := range 4 {
			var changes []store.Change
			for n := range 800 {
				changes = append(changes, store.Change{Key: c.key(round*800 + n), Value: make([]byte, 1404)})
			}
			if err := s.Apply(t.Context(), changes...); err != nil {
				t.Fatal(err)
			}
			moveAll(t, s)
		}
		var used float64
		err := s.db.View(func(tx *bbolt.Tx) error {
			stats := tx.Bucket(bucketName).Stats()
			used = float64(stats.LeafInuse) / float64(stats.LeafAlloc)
			return nil
		})
		if err != nil || used < c.least || used > c.most {
			t.Errorf("%s: %.2f of the pages is in use, %v; want %v to %v", c.name, used, err, c.least, c.most)
		}
	}
}

// BenchmarkRoom stores the records of posts of 600 bytes, keys and values as long
// as a node's, of many authors in turn, 30 posts a commit.
func BenchmarkRoom(b *testing.B) {
	const posts, group = 50_000, 30
	entry, id := make([]byte, 1404), make([]byte, 77)
	name := func(what string, n int) string {
		h := sha256.Sum256(fmt.Append(nil, what, n))
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:]))
	}
	for _, authors := range []int{64, 200, 5000} {
		b.Run(fmt.Sprintf("authors=%d", authors), func(b *testing.B) {
			for b.Loop() {
				s := open(b, b.TempDir())
				before, busy := written(b), cpu(b)
				var changes []store.Change
				for n := range posts {
					key := fmt.Sprintf("entry/%s/%s/%016x", name("author", n%authors), name("audience", n%authors), n/authors)
					changes = append(changes,
						store.Change{Key: key, Value: entry, If: store.IfAbsent()},
						store.Change{Key: "id/" + name("id", n), Value: id})
					if len(changes) == 2*group || n == posts-1 {
						if err := s.Apply(b.Context(), changes...); err != nil {
							b.Fatal(err)
						}
						changes = changes[:0]
					}
				}
				b.ReportMetric(float64((cpu(b)-busy).Microseconds())/posts, "us-CPU/post")
				b.ReportMetric(float64(written(b)-before)/posts, "written-B/post")
				info, err := os.Stat(s.path)
				if err := errors.Join(err, s.Close()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(info.Size())/posts, "B/post")
			}
		})
	}
}
