package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// enough is how many requests, and how many answers, are cut in the middle.
const enough = 15

// TestCut has many write and read while their connections are cut. Each write
// is tried again until it is acknowledged, by the store and not by its caller;
// and what was acknowledged is there once, as it was written.
func TestCut(t *testing.T) {
	server := mongotest.Get(t)
	database := server.Database(t)
	cut, uri := newCutter(t, server.URI)
	s := open(t, uri, database)
	cut.chance.Store(20)
	cutEnough := func() bool { return cut.requests.Load() >= enough && cut.answers.Load() >= enough }

	const writers = 16
	rounds := make([]int, writers) // acknowledged as a whole
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for ; !cutEnough() && !t.Failed(); rounds[w]++ {
				writeRound(t, s, w, rounds[w])
			}
		})
	}
	all.Go(func() {
		for !cutEnough() && !t.Failed() {
			readAll(t, s)
		}
	})
	all.Wait()
	cut.chance.Store(0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d requests and %d answers were cut", cut.requests.Load(), cut.answers.Load())

	direct := open(t, server.URI, database)
	records := 0
	for w, n := range rounds {
		records += 3*n + min(n, 1)
		if got := value(t, direct, counterKey(w)); n > 0 && got != strconv.Itoa(n) {
			t.Errorf("writer %d counted %d times and has %s", w, n, got)
		}
		for i := range n {
			for key, want := range map[string]string{
				createdKey(w, i): fmt.Sprint(w, " ", i), "plain/" + createdKey(w, i): "before", "behind/" + createdKey(w, i): "behind",
			} {
				if got := value(t, direct, key); got != want {
					t.Errorf("%s: got %q, want %q: it was acknowledged", key, got, want)
				}
			}
		}
	}
	if got := len(readAll(t, direct)); got != records {
		t.Errorf("got %d records, want %d: none is left of what was deleted", got, records)
	}
}

func createdKey(writer, i int) string { return fmt.Sprintf("created/%02d/%04d", writer, i) }
func counterKey(writer int) string    { return fmt.Sprintf("counter/%02d", writer) }

// writeRound makes one change of each kind. Nobody else writes these keys, so
// each has to succeed, however often it is sent.
func writeRound(t *testing.T, s *Store, w, i int) {
	key := createdKey(w, i)
	before, err := s.Get(t.Context(), counterKey(w))
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		t.Errorf("get: %v", err)
		return
	}
	if i > 0 && string(before.Value) != strconv.Itoa(i) {
		t.Errorf("the counter is %q after %d acknowledged rounds", before.Value, i)
	}
	for _, changes := range [][]store.Change{
		{
			put("plain/"+key, "before"),
			{Key: key, Value: []byte(fmt.Sprint(w, " ", i)), If: store.IfAbsent()},
			put("behind/"+key, "behind"), put("deleted/"+key, ""),
		},
		{{Key: counterKey(w), Value: []byte(strconv.Itoa(i + 1)), If: store.IfRevision(before.Revision)}},
		{{Key: "deleted/" + key}},
	} {
		if err := s.Apply(t.Context(), changes...); err != nil {
			t.Errorf("writer %d, round %d: %v", w, i, err)
		}
	}
}

// readAll scans everything: in order, nothing twice.
func readAll(t *testing.T, s *Store) (keys []string) {
	for r, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Errorf("scan: %v", err)
			return keys
		}
		if len(keys) > 0 && r.Key <= keys[len(keys)-1] {
			t.Errorf("%q comes after %q", r.Key, keys[len(keys)-1])
		}
		keys = append(keys, r.Key)
	}
	return keys
}

func value(t *testing.T, s *Store, key string) string {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		return err.Error()
	}
	return string(r.Value)
}

// TestLinger cancels a write that is under way: it comes to its end, and is not
// left for somebody to wonder about.
func TestLinger(t *testing.T) {
	server := mongotest.Get(t)
	cut, uri := newCutter(t, server.URI)
	cut.seen = make(chan []byte, 1000)
	s := open(t, uri, server.Database(t))
	if err := s.Apply(t.Context(), put("first", "")); err != nil { // a connection is there
		t.Fatal(err)
	}
	cut.gate.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	applied := make(chan error)
	go func() { applied <- s.Apply(ctx, put("lingering", "v")) }()
	for !bytes.Contains(<-cut.seen, []byte("lingering")) {
	}
	cancel()
	cut.gate.Unlock()
	if err := <-applied; err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if got := value(t, s, "lingering"); got != "v" {
		t.Errorf("got %q, want v", got)
	}
}

// TestGone takes the server away: calls give up with their context, and with
// Close, and say no more of the server than that it does not answer.
func TestGone(t *testing.T) {
	server := mongotest.Get(t)
	cut, uri := newCutter(t, server.URI)
	s := open(t, uri, server.Database(t))
	if err := s.Apply(t.Context(), put("k", "v")); err != nil {
		t.Fatal(err)
	}
	cut.close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Apply(ctx, put("k", "w")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("apply: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get: got %v, want %v", err, context.DeadlineExceeded)
	}
	errs := make(chan error, 2)
	go func() { errs <- s.Apply(t.Context(), put("k", "x")) }()
	go func() {
		_, err := s.Get(t.Context(), "k")
		errs <- err
	}()
	for s.client.NumberSessionsInProgress() == 0 { // until Apply has begun
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v, want %v", err, store.ErrClosed)
		}
	}
}
