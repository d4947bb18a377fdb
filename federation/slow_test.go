package federation

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestDrippingPeers has peers that answer a byte at a time, send headers without an end,
// or nothing at all: whoever asks is let go when their time is over, four at once are at
// one such peer, and others are asked meanwhile.
func TestDrippingPeers(t *testing.T) {
	for what, test := range map[string]struct{ begin, drip string }{
		"a byte at a time": {"HTTP/1.1 200 OK\r\n" + jsonType + "\r\nContent-Length: 1000000\r\n\r\n", " "},
		"headers":          {"HTTP/1.1 200 OK\r\n" + jsonType + "\r\nX: ", "x"},
		"interim answers":  {"HTTP/1.1 103 Early Hints\r\nX: ", "x"},
		"nothing":          {"", ""},
	} {
		t.Run(what, func(t *testing.T) {
			a, b, c := startNode(t), startNode(t), startNode(t)
			for _, n := range []*testNode{b, c} {
				if _, err := askKeys(t.Context(), a, n); err != nil {
					t.Fatal(err)
				}
			}
			var at, most atomic.Int64
			b.answers([]byte(test.begin))
			drips := func(conn *net.TCPConn) {
				n := at.Add(1)
				defer at.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					conn.Read(make([]byte, 1)) // until who asks hangs up
				}()
				for {
					select {
					case <-gone:
						return
					case <-time.After(5 * time.Millisecond):
						conn.Write([]byte(test.drip))
					}
				}
			}
			b.after.Store(&drips)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			var wg sync.WaitGroup
			for range 3 * maxAtOnce {
				wg.Go(func() {
					_, err := askKeys(ctx, a, b)
					if !errors.Is(err, wire.Unavailable) || !strings.HasSuffix(err.Error(), "it did not answer in time") {
						t.Errorf("got %v", err)
					}
				})
			}
			for at.Load() < maxAtOnce {
				time.Sleep(time.Millisecond)
			}
			if _, err := askKeys(t.Context(), a, c); err != nil {
				t.Errorf("another: %v", err)
			}
			wg.Wait()
			if n := most.Load(); n != maxAtOnce {
				t.Errorf("%d were at the peer at once, want %d", n, maxAtOnce)
			}
			if len(a.client.gates.m) != 0 {
				t.Error("a place is not given back")
			}
		})
	}
}
