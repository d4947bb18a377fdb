package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/node/store"
)

func testCancel(t *testing.T, s store.Store) {
	var all []string
	for i := range 600 {
		all = append(all, fmt.Sprintf("k/%03d", i))
	}
	fill(t, s, all)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last := 0, error(nil)
	for _, err := range s.Scan(ctx, store.Query{}) {
		if n++; n == 5 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("scan: got %v at the end, want %v", last, context.Canceled)
	}
	if _, err := s.Get(ctx, "k/000"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: got %v, want %v", err, context.Canceled)
	}
	if err := s.Apply(ctx, put("new", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("apply: got %v, want %v", err, context.Canceled)
	}
	for _, err := range s.Scan(ctx, store.Query{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("scan: got %v, want %v", err, context.Canceled)
		}
	}
	absent(t, s, "new")
}

// testCancelUnderLoad cancels while many write. Whatever an Apply returned,
// afterwards its record is there or not there, and stays so.
func testCancelUnderLoad(t *testing.T, s store.Store) {
	var all sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for w := range racers {
		all.Go(func() {
			for i := range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(w*i)*10*time.Microsecond)
				key := fmt.Sprintf("k/%d/%d", w, i)
				err := s.Apply(ctx, put(key, key, store.IfAbsent()))
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("apply: %v", err)
				}
				mu.Lock()
				acknowledged[key] = err == nil
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for key, ok := range acknowledged {
		if ok {
			holds(t, s, key, key)
		}
	}
}

func testClose(t *testing.T, s store.Store) {
	apply(t, s, put("k", "v"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("get: got %v, want %v", err, store.ErrClosed)
	}
	if err := s.Apply(t.Context(), put("k", "v")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("apply: got %v, want %v", err, store.ErrClosed)
	}
	n := 0
	for _, err := range s.Scan(t.Context(), store.Query{}) {
		if n++; !errors.Is(err, store.ErrClosed) {
			t.Errorf("scan: got %v, want %v", err, store.ErrClosed)
		}
	}
	if n != 1 {
		t.Errorf("scan: yielded %d times, want 1", n)
	}
}

// testCloseWaits closes while many write and scan: each call either works
// or says that the store is closed.
func testCloseWaits(t *testing.T, s store.Store) {
	var all sync.WaitGroup
	for w := range racers {
		all.Go(func() {
			for i := 0; ; i++ {
				var err error
				if w%4 == 0 {
					for _, err = range s.Scan(t.Context(), store.Query{}) {
					}
				} else {
					err = s.Apply(t.Context(), put(fmt.Sprintf("k/%d/%d", w, i), "v"))
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("got %v, want nil or %v", err, store.ErrClosed)
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	all.Wait()
}
