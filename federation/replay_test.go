package federation

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func penOfA() *forgery.Pen { return newPen(nodeA, nodeB, testSecrets(string(nodeA)), time.Now()) }

// TestRestart takes what was accepted before a restart, honest requests at once
// after it, and honest requests once the mark is behind.
func TestRestart(t *testing.T) {
	for _, up := range []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(up)
			marks := &markShelf{}
			s := newServer(t, marks)
			var accepted []RawRequest
			for i := range 50 {
				p := penOfA()
				p.Created = p.At(int64(i%14 - 3)) // clocks differ
				r := write(p)
				if s.Serve(t.Context(), r).Status == 200 {
					accepted = append(accepted, r)
				}
				time.Sleep(70 * time.Millisecond)
			}
			if len(accepted) < 40 {
				t.Fatalf("only %d accepted", len(accepted))
			}
			s = serverOf(t, s.client, marks)
			for i := range 30 {
				for _, r := range accepted {
					wantStatus(t, "a replay", s, r, 401)
				}
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			}
			wantStatus(t, "honest, after the mark", s, honest(), 200)
		})
	}
}

// TestRestartRetry shows that the pauses of a Client outlast the mark, wherever
// in a second the node was killed.
func TestRestartRetry(t *testing.T) {
	for killed := time.Duration(0); killed < time.Second; killed += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(killed)
			marks := &markShelf{}
			s := newServer(t, marks)
			wantStatus(t, "before", s, honest(), 200)
			s = serverOf(t, s.client, marks)
			wantStatus(t, "at once", s, honest(), 401)
			for _, w := range retryWaits {
				time.Sleep(w)
			}
			wantStatus(t, "at the last retry", s, honest(), 200)
		})
	}
}

// TestMarkIsAhead counts what is written: once a second under traffic, and
// always before the request that it speaks of passes.
func TestMarkIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := &markShelf{}
		s := newServer(t, marks)
		for range 1000 {
			r := honest()
			wantStatus(t, "honest", s, r, 200)
			if now := time.Now().Unix() * 1000; marks.mark < now {
				t.Fatalf("accepted at %d with a mark of %d", now, marks.mark)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if marks.writes > 11 {
			t.Errorf("%d writes in 10 s of traffic, want at most 11", marks.writes)
		}
	})
}

// TestMarkFromAhead lets a peer run ahead: it costs no write for each request.
func TestMarkFromAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := &markShelf{}
		s := newServer(t, marks)
		for range 100 {
			p := penOfA()
			p.Created = p.At(10)
			wantStatus(t, "ahead", s, write(p), 200)
			if want := (time.Now().Unix() + 10) * 1000; marks.mark < want {
				t.Fatalf("a mark of %d, want %d", marks.mark, want)
			}
			wantStatus(t, "honest", s, honest(), 200)
			time.Sleep(10 * time.Millisecond)
		}
		if marks.writes > 3 {
			t.Errorf("%d writes in 1 s, want at most 3", marks.writes)
		}
	})
}

func TestMarkCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := &markShelf{}
		s := newServer(t, marks)
		wantStatus(t, "honest", s, honest(), 200)
		marks.fail = errors.New("disk full")
		time.Sleep(time.Second)
		wantStatus(t, "covered by what was written", s, honest(), 200)
		time.Sleep(time.Second)
		wantStatus(t, "not covered", s, honest(), 503)
		marks.fail = nil
		wantStatus(t, "afterwards", s, honest(), 200)
	})
	if _, err := newReplay(&markShelf{fail: errors.New("gone")}, time.Now(), quiet); err == nil {
		t.Error("a server starts without its mark")
	}
}

// claimOf is a verified claim for the replay cache alone.
func claimOf(node wire.NodeName, n uint32, created, expires int64) *claim {
	c := &claim{node: node, created: created, expires: expires}
	c.nonce = wire.Nonce{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	return c
}

// TestNonceBounds fills the memory: a greedy peer is refused, others are not, and
// everything is free again when the signatures have expired.
func TestNonceBounds(t *testing.T) {
	r, err := newReplay(&markShelf{}, time.Now(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(node wire.NodeName, now int64, n uint32) (i uint32) {
		for ; i < n; i++ {
			if err := r.remember(claimOf(node, i, now, now+300), now); err != nil {
				if !errors.Is(err, wire.Throttled) {
					t.Fatalf("%s at %d: %v", node, i, err)
				}
				return i
			}
		}
		return i
	}
	if got := fill("greedy.example", 1000, maxFree+1); got != maxFree {
		t.Errorf("a greedy peer got %d places, want %d", got, maxFree)
	}
	if got := fill("second.example", 1000, maxFree); got != maxWhenBusy {
		t.Errorf("the next got %d places, want %d", got, maxWhenBusy)
	}
	if got := fill("small.example", 1000, 10); got != 10 {
		t.Errorf("a small peer got %d places, want 10", got)
	}
	r.total = maxNonces
	if got := fill("late.example", 1000, 1); got != 0 {
		t.Error("a place beyond the last is given")
	}
	r.total = maxFree + maxWhenBusy + 10
	if err := r.remember(claimOf("greedy.example", 5, 1000, 1300), 1299); !errors.Is(err, errReplayed) {
		t.Errorf("its replay just before expiry: %v", err)
	}
	if got := fill("second.example", 1300+slotSeconds, maxFree); got != maxFree || r.total != maxFree || len(r.peers) != 1 {
		t.Errorf("after expiry %d places, %d taken by %d peers", got, r.total, len(r.peers))
	}
	// The clock goes back: what is forgotten must not be accepted again.
	if err := r.remember(claimOf("greedy.example", 5, 1000, 1300), 1200); !errors.Is(err, errReplayed) {
		t.Errorf("a replay after the clock went back: %v", err)
	}
}

// TestReplay sends one honest request again: after it, beside it and after a
// restart.
func TestReplay(t *testing.T) {
	a, b := startNode(t), startNode(t)
	r := write(newPen(a.name, b.name, a.secrets, time.Now()))
	if status, got := b.send(r); status != 200 {
		t.Fatalf("the honest request: %d %s", status, got)
	}
	if status, got := b.send(r); status != 401 || got != the401 {
		t.Errorf("its replay: %d %s", status, got)
	}
	for range 20 {
		r := write(newPen(a.name, b.name, a.secrets, time.Now()))
		results := make(chan int, 16)
		var wg sync.WaitGroup
		for range cap(results) {
			wg.Go(func() { results <- b.server.Serve(t.Context(), r).Status })
		}
		wg.Wait()
		won := 0
		for range cap(results) {
			if <-results == 200 {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d of 16 concurrent copies won, want 1", won)
		}
	}
	again := newPen(a.name, b.name, a.secrets, time.Now())
	again.Nonce = *header(&r, "Peerbrain-Nonce")
	again.Expires = again.At(200)
	if status, _ := b.send(write(again)); status != 401 {
		t.Errorf("a nonce used again in another request: %d", status)
	}
	b.restart()
	if status, got := b.send(r); status != 401 || got != the401 {
		t.Errorf("its replay after a restart: %d %s", status, got)
	}
}
