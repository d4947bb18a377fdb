package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

const racers = 16

// race calls f from many goroutines at once and returns how many times it
// succeeded. All other calls must end in a conflict.
func race(t *testing.T, f func(racer int) error) int {
	t.Helper()
	var winners atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		all.Go(func() {
			<-start
			switch err := f(i); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("racer %d: got %v, want nil or %v", i, err, store.ErrConflict)
			}
		})
	}
	close(start)
	all.Wait()
	return int(winners.Load())
}

const notAtomic = "the store is not atomic (FerretDB is known for it; a real mongod is not)"

func testOneCreates(t *testing.T, s store.Store) {
	for round := range 20 {
		key := fmt.Sprintf("k/%d", round)
		n := race(t, func(racer int) error {
			return s.Apply(t.Context(), put(key, strconv.Itoa(racer), store.IfAbsent()))
		})
		if n != 1 {
			t.Fatalf("create if absent: %d of %d racers won, want 1: %s", n, racers, notAtomic)
		}
	}
}

func testOneSwaps(t *testing.T, s store.Store) {
	apply(t, s, put("k", "start"))
	for range 20 {
		before := get(t, s, "k")
		var winner atomic.Value
		n := race(t, func(racer int) error {
			value := fmt.Sprintf("%d after %s", racer, before.Value[:1])
			err := s.Apply(t.Context(), put("k", value, store.IfRevision(before.Revision)))
			if err == nil {
				winner.Store(value)
			}
			return err
		})
		if n != 1 {
			t.Fatalf("compare and swap: %d of %d racers won, want 1: %s", n, racers, notAtomic)
		}
		holds(t, s, "k", winner.Load().(string))
	}
}

func testOneDeletes(t *testing.T, s store.Store) {
	for range 20 {
		apply(t, s, put("k", "there", store.IfAbsent()))
		r := get(t, s, "k").Revision
		n := race(t, func(racer int) error {
			if racer%2 == 0 {
				return s.Apply(t.Context(), del("k", store.IfRevision(r)))
			}
			return s.Apply(t.Context(), put("k", "new", store.IfRevision(r)))
		})
		if n != 1 {
			t.Fatalf("delete or swap: %d of %d racers won, want 1: %s", n, racers, notAtomic)
		}
		apply(t, s, del("k"))
	}
}

// testCounters has everybody increment the same few counters, by compare
// and swap: no increment may get lost.
func testCounters(t *testing.T, s store.Store) {
	const each = 12
	race(t, func(racer int) error {
		for i := range each {
			if err := increment(t.Context(), s, fmt.Sprintf("counter/%d", (racer+i)%3)); err != nil {
				return err
			}
		}
		return nil
	})
	total := 0
	for _, r := range scan(t, s, store.Prefix("counter/")) {
		n, _ := strconv.Atoi(string(r.Value))
		total += n
	}
	if total != racers*each {
		t.Errorf("counted %d, want %d", total, racers*each)
	}
}

func increment(ctx context.Context, s store.Store, key string) error {
	for {
		r, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		n, _ := strconv.Atoi(string(r.Value))
		err = s.Apply(ctx, put(key, strconv.Itoa(n+1), store.IfRevision(r.Revision)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// testOrderIsSeen reads while others write: whoever sees a later change of an
// Apply sees the earlier ones.
func testOrderIsSeen(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			for r, err := range s.Scan(t.Context(), store.Prefix("b/")) {
				if err != nil {
					t.Errorf("scan: %v", err)
					return
				}
				if _, err := s.Get(t.Context(), "a/"+r.Key[2:]); err != nil {
					t.Errorf("%s is there before what was written before it: %v", r.Key, err)
				}
			}
		}
	})
	race(t, func(racer int) error {
		for i := range 15 {
			name := fmt.Sprintf("%d-%d", racer, i)
			if err := s.Apply(t.Context(), put("a/"+name, ""), put("b/"+name, "")); err != nil {
				return err
			}
		}
		return nil
	})
	cancel()
	reader.Wait()
	if a, b := len(scan(t, s, store.Prefix("a/"))), len(scan(t, s, store.Prefix("b/"))); a != racers*15 || b != a {
		t.Errorf("got %d and %d records, want %d each", a, b, racers*15)
	}
}

// testScansAndWrites scans while others write, rewrite and delete. The
// records with even numbers are there throughout and must not be missed.
func testScansAndWrites(t *testing.T, s store.Store) {
	const size = 400
	var all []string
	for i := range size {
		all = append(all, fmt.Sprintf("k/%03d", i))
	}
	fill(t, s, all)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := w; ctx.Err() == nil; i += 7 {
				key := all[i%size]
				changes := []store.Change{put(key, key+strings.Repeat(".", i%90))}
				if i%2 == 1 {
					changes = append(changes, del(key))
				}
				if err := s.Apply(t.Context(), changes...); err != nil {
					t.Errorf("apply: %v", err)
					return
				}
			}
		})
	}
	for i := range 20 {
		checkScan(t, scan(t, s, store.Query{From: "k/", To: "k0", Reverse: i%2 == 1}), i%2 == 1, size/2)
	}
	cancel()
	writers.Wait()
}

func checkScan(t *testing.T, got []store.Record, reverse bool, evens int) {
	t.Helper()
	n, last := 0, ""
	for _, r := range got {
		if last != "" && (r.Key <= last) != reverse || r.Key == last {
			t.Fatalf("%q comes after %q, reverse: %t", r.Key, last, reverse)
		}
		last = r.Key
		if strings.TrimRight(string(r.Value), ".") != r.Key {
			t.Fatalf("%q holds %q, which nobody wrote", r.Key, r.Value)
		}
		if (r.Key[len(r.Key)-1]-'0')%2 == 0 {
			n++
		}
	}
	if n != evens {
		t.Fatalf("scan found %d of the %d records that were there throughout", n, evens)
	}
}
