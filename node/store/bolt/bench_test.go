package bolt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// postKey spreads posts over 1000 authors, as a node sees them.
func postKey(n int64) string { return fmt.Sprintf("post/author-%03d/%010d", n*7919%1000, n) }

var postValue = []byte(strings.Repeat("v", 900))

// inParallel makes b.N calls from so many goroutines.
func inParallel(b *testing.B, goroutines int, call func(n int64) error) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := call(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkApply(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			var syncs atomic.Int64 // of the log
			s, err := Open(filepath.Join(b.TempDir(), "node.db"), Options{disk: disk{sync: func(f *os.File) error { syncs.Add(1); return datasync(f) }}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			defer func() { b.ReportMetric(float64(syncs.Load())/float64(b.N), "syncs/op") }()
			ctx := b.Context()
			inParallel(b, writers, func(n int64) error {
				return s.Apply(ctx, store.Change{Key: postKey(n), Value: postValue, If: store.IfAbsent()})
			})
		})
	}
}

// BenchmarkPlainBatch is what BenchmarkApply is to be compared with: the
// same writes with bbolt's own Batch, at its best setting and as it comes.
func BenchmarkPlainBatch(b *testing.B) {
	for _, delay := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("delay=%v/writers=%d", delay, writers), func(b *testing.B) {
				benchmarkBatch(b, delay, writers)
			})
		}
	}
}

func benchmarkBatch(b *testing.B, delay time.Duration, writers int) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.MaxBatchDelay, db.MaxBatchSize = delay, 64
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	inParallel(b, writers, func(n int64) error {
		return db.Batch(func(tx *bbolt.Tx) error {
			bucket, key := tx.Bucket(bucketName), []byte(postKey(n))
			if bucket.Get(key) != nil {
				return store.ErrConflict
			}
			return bucket.Put(key, postValue)
		})
	})
}

// filled returns a store with so many posts.
func filled(b *testing.B, posts int) *Store {
	b.Helper()
	s := open(b, b.TempDir())
	var changes []store.Change
	for n := range posts {
		changes = append(changes, store.Change{Key: postKey(int64(n)), Value: postValue})
		if len(changes) == 5000 || n == posts-1 {
			if err := s.Apply(b.Context(), changes...); err != nil {
				b.Fatal(err)
			}
			changes = changes[:0]
		}
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	const posts = 50_000
	s := filled(b, posts)
	for _, readers := range []int{1, 16} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			inParallel(b, readers, func(int64) error {
				_, err := s.Get(b.Context(), postKey(rand.Int64N(posts)))
				return err
			})
		})
	}
}

func BenchmarkScan(b *testing.B) {
	const posts = 50_000
	s := filled(b, posts)
	for _, limit := range []int{1, 50} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			inParallel(b, 1, func(n int64) error {
				q := store.Prefix(fmt.Sprintf("post/author-%03d/", n%1000))
				q.Reverse, q.Limit = true, limit
				got := 0
				for _, err := range s.Scan(b.Context(), q) {
					if err != nil {
						return err
					}
					got++
				}
				if got != limit {
					return fmt.Errorf("got %d records, want %d", got, limit)
				}
				return nil
			})
		})
	}
}

// BenchmarkOpen opens and closes a file with 50,000 posts.
func BenchmarkOpen(b *testing.B) {
	s := filled(b, 50_000)
	path := s.db.Path()
	if err := s.Close(); err != nil { // which moves what is in the log
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(path, Options{})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplay opens what a kill leaves that came when a log of 7 MiB was
// waiting to be moved: until it can be read, and until the first write, which waits
// for the move.
func BenchmarkReplay(b *testing.B) {
	s := open(b, b.TempDir())
	for n := int64(0); s.active.bytes < 7<<20; n += 30 {
		var changes []store.Change
		for i := range int64(30) {
			changes = append(changes, store.Change{Key: postKey(n + i), Value: postValue})
		}
		if err := s.Apply(b.Context(), changes...); err != nil {
			b.Fatal(err)
		}
	}
	path := killed(b, s)
	var opened, written time.Duration
	for b.Loop() {
		b.StopTimer()
		again := filepath.Join(b.TempDir(), "node.db")
		for _, suffix := range []string{"", ".log0", ".log1"} {
			content, err := os.ReadFile(path + suffix)
			if err == nil {
				err = os.WriteFile(again+suffix, content, 0o600)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		start := time.Now()
		s, err := Open(again, Options{})
		opened += time.Since(start)
		if err == nil {
			err = s.Apply(b.Context(), put("first", ""))
			written += time.Since(start)
		}
		b.StopTimer()
		if err := errors.Join(err, s.Close()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(opened.Microseconds())/1000/float64(b.N), "ms-to-open")
	b.ReportMetric(float64(written.Microseconds())/1000/float64(b.N), "ms-to-write")
}
