package federation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A nonceShelf is a NonceStore in memory.
type nonceShelf struct {
	markShelf
	mu    sync.Mutex
	spent map[spentNonce]bool
	delay time.Duration
	err   error
}

type spentNonce struct {
	node    wire.NodeName
	nonce   wire.Nonce
	expires int64
}

func (s *nonceShelf) SpendNonce(_ context.Context, node wire.NodeName, nonce wire.Nonce, expires time.Time) (bool, error) {
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := spentNonce{node, nonce, expires.Unix()}
	if s.err != nil || s.spent[key] {
		return false, s.err
	}
	if s.spent == nil {
		s.spent = map[spentNonce]bool{}
	}
	s.spent[key] = true
	return true, nil
}

// TestNoncesOfSeveral: of one request to several servers, many times at once, one
// counts; a server that starts refuses what others accepted, and nothing else.
func TestNoncesOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &nonceShelf{}
		first := newServer(t, shelf)
		all := []*Server{first, serverOf(t, first.client, shelf), serverOf(t, first.client, shelf)}
		var accepted []RawRequest
		for range 20 {
			r := honest()
			var counts atomic.Int64
			var senders sync.WaitGroup
			for i := range 30 {
				senders.Go(func() {
					if all[i%3].Serve(t.Context(), r).Status == 200 {
						counts.Add(1)
					}
				})
			}
			senders.Wait()
			if counts.Load() != 1 {
				t.Fatalf("one request counted %d times", counts.Load())
			}
			accepted = append(accepted, r)
		}
		again := serverOf(t, first.client, shelf)
		for _, r := range accepted {
			wantStatus(t, "a replay", again, r, 401)
		}
		wantStatus(t, "honest, at once after a start", again, honest(), 200)
		if shelf.writes != 0 {
			t.Errorf("the mark was written %d times", shelf.writes)
		}
		shelf.err = errors.New("the disk is away")
		wantStatus(t, "with a store that fails", again, honest(), 503)
	})
}

// TestNonceComesTooLate: a request that expired while its nonce was stored may be one
// that was accepted before and forgotten.
func TestNonceComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &nonceShelf{}
		s := newServer(t, shelf)
		wantStatus(t, "in time", s, honest(), 200)
		shelf.delay = wire.SignatureLifetime
		wantStatus(t, "late", s, honest(), 401)
	})
}
