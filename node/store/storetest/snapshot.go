package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// The cases of Snapshots.
var snapshotCases = []struct {
	name string
	run  func(*testing.T, store.Store, store.Snapshotter)
}{
	{"equals a scan", testSnapshotEqualsScan},
	{"of one moment", testSnapshotOfOneMoment},
	{"under load", testSnapshotUnderLoad},
	{"early end", testSnapshotEarlyEnd},
	{"closed", testSnapshotClosed},
}

// Snapshots tests a backend that is a store.Snapshotter too. Open returns a new,
// empty store each time; Snapshots closes it.
func Snapshots(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range snapshotCases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, s, s.(store.Snapshotter))
		})
	}
}

func snapshot(t *testing.T, s store.Snapshotter, visit func(i int)) (records []store.Record) {
	t.Helper()
	for r, err := range s.Snapshot(t.Context()) {
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		records = append(records, r)
		visit(len(records))
	}
	return records
}

func testSnapshotEqualsScan(t *testing.T, s store.Store, of store.Snapshotter) {
	equal(t, snapshot(t, of, func(int) {}), nil)
	apply(t, s, put("empty", ""), put("big", strings.Repeat("b", 1<<20)))
	fillNumbered(t, s, 1000)
	equal(t, snapshot(t, of, func(int) {}), scan(t, s, store.Query{}))
}

// fillNumbered writes so many records of 600 bytes.
func fillNumbered(t *testing.T, s store.Store, count int) {
	t.Helper()
	var changes []store.Change
	for i := range count {
		changes = append(changes, put(fmt.Sprintf("k/%05d", i), strings.Repeat(strconv.Itoa(i%10), 600)))
	}
	apply(t, s, changes...)
}

// testSnapshotOfOneMoment changes what is still to come, and what was there.
func testSnapshotOfOneMoment(t *testing.T, s store.Store, of store.Snapshotter) {
	fillNumbered(t, s, 2000)
	before := scan(t, s, store.Query{})
	got := snapshot(t, of, func(i int) {
		if i%100 == 5 {
			apply(t, s, put(fmt.Sprintf("k/%05d", 1999-i), "changed"), put(fmt.Sprintf("new/%d", i), "new"), del(fmt.Sprintf("k/%05d", i)))
		}
	})
	equal(t, got, before)
	equal(t, snapshot(t, of, func(int) {}), scan(t, s, store.Query{}))
}

// testSnapshotUnderLoad has each of many write the same number into one record
// and then, by another Apply, into a second one that sorts before it: no snapshot
// shows the second without the first, or what was acknowledged before it as
// missing.
func testSnapshotUnderLoad(t *testing.T, s store.Store, of store.Snapshotter) {
	fillNumbered(t, s, 500)
	var all sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make([]int, racers)
	ended := make(chan struct{})
	for w := range racers {
		all.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-ended:
					return
				default:
				}
				for _, key := range []string{"z/%02d", "a/%02d"} {
					if err := s.Apply(t.Context(), put(fmt.Sprintf(key, w), strconv.Itoa(i))); err != nil {
						t.Errorf("apply: %v", err)
						return
					}
				}
				mu.Lock()
				acknowledged[w] = i
				mu.Unlock()
			}
		})
	}
	for range 20 {
		mu.Lock()
		least := append([]int(nil), acknowledged...)
		mu.Unlock()
		found := map[string]int{}
		for _, r := range snapshot(t, of, func(int) {}) {
			found[r.Key], _ = strconv.Atoi(string(r.Value))
		}
		for w := range racers {
			first, second := found[fmt.Sprintf("z/%02d", w)], found[fmt.Sprintf("a/%02d", w)]
			if second > first || first > second+1 || second < least[w] {
				t.Errorf("writer %d: got %d and then %d, with %d acknowledged before", w, first, second, least[w])
			}
		}
	}
	close(ended)
	all.Wait()
}

// testSnapshotEarlyEnd breaks off, and cancels: nothing is held afterwards.
func testSnapshotEarlyEnd(t *testing.T, s store.Store, of store.Snapshotter) {
	fillNumbered(t, s, 600)
	for _, err := range of.Snapshot(t.Context()) {
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	n, last := 0, error(nil)
	for _, err := range of.Snapshot(ctx) {
		if n++; n == 5 {
			cancel()
		}
		last = err
	}
	cancel()
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v at the end, want %v", last, context.Canceled)
	}
	apply(t, s, put("after", ""))
}

func testSnapshotClosed(t *testing.T, s store.Store, of store.Snapshotter) {
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	n := 0
	for _, err := range of.Snapshot(t.Context()) {
		if n++; !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v, want %v", err, store.ErrClosed)
		}
	}
	if n != 1 {
		t.Errorf("yielded %d times, want 1", n)
	}
}
