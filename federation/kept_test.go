package federation

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// sendsOnce lets nothing be sent again after a pause.
func sendsOnce(t *testing.T) {
	old := retryWaits
	t.Cleanup(func() { retryWaits = old })
	retryWaits = nil
}

func hangUp(c *net.TCPConn) { c.Close() }

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// TestKeptConnectionCloses has a peer read a request from a kept connection and close
// it. The request is signed anew and sent once more, at once; not where an answer has
// begun, where the connection was new, and where it is merely silent.
func TestKeptConnectionCloses(t *testing.T) {
	sendsOnce(t)
	const half = "HTTP/1.1 200 OK\r\n" + jsonType + "\r\nContent-Length: 9\r\n\r\n{"
	for what, test := range map[string]struct {
		fresh  bool   // the connection is new
		answer string // what comes of one
		after  func(*net.TCPConn)
		times  int // that it does so
		want   int // requests
		err    string
	}{
		"no answer":                     {after: hangUp, times: 1, want: 2},
		"no answer, and a reset":        {after: reset, times: 1, want: 2},
		"no answer, again and again":    {after: hangUp, times: 9, want: 2, err: "the connection failed"},
		"a byte":                        {answer: "H", after: hangUp, times: 1, want: 1, err: "the connection failed"},
		"half an answer":                {answer: half, after: hangUp, times: 1, want: 1, err: "the connection failed"},
		"silence":                       {after: func(*net.TCPConn) {}, times: 1, want: 1, err: "it did not answer in time"},
		"no answer on a new connection": {fresh: true, after: hangUp, times: 1, want: 1, err: "the connection failed"},
		"a reset of a new connection":   {fresh: true, after: reset, times: 1, want: 1, err: "the connection failed"},
	} {
		t.Run(what, func(t *testing.T) {
			a, b := startNode(t), startNode(t)
			if _, err := askKeys(t.Context(), a, b); err != nil {
				t.Fatal(err)
			}
			transport := a.client.http.Transport.(*http.Transport)
			transport.ResponseHeaderTimeout = 200 * time.Millisecond
			if test.fresh {
				transport.CloseIdleConnections()
			}
			var mu sync.Mutex
			nonces := map[string]bool{}
			f := func(r RawRequest) []byte {
				mu.Lock()
				defer mu.Unlock()
				nonces[*header(&r, "Peerbrain-Nonce")] = true
				if len(nonces) <= test.times {
					return []byte(test.answer)
				}
				b.after.Store(nil)
				return rawAnswer(200, jsonType, string(wire.EncodeJSON(wire.KeysReply{AsOf: 7})))
			}
			b.after.Store(&test.after)
			b.override.Store(&f)
			reply, err := askKeys(t.Context(), a, b)
			if test.err == "" && (err != nil || reply.AsOf != 7) {
				t.Errorf("got %v, %v", reply, err)
			}
			if test.err != "" && (!errors.Is(err, wire.Unavailable) || !strings.HasSuffix(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(nonces) != test.want {
				t.Errorf("%d requests with nonces of their own arrived, want %d", len(nonces), test.want)
			}
		})
	}
}

// A watchedConn tells when it is closed here.
type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestIdleConnectionCloses has a peer close each idle connection after it was chosen
// for a request, and before anything was written to it: the moment at which net/http
// sends no POST again, and says so with an error of no type. One is made up for at
// once; more are trouble, which ends after a pause as other trouble does.
func TestIdleConnectionCloses(t *testing.T) {
	for _, idle := range []int{1, maxAtOnce} {
		if idle == 1 {
			sendsOnce(t)
		} else {
			impatient(t)
		}
		a, b := startNode(t), startNode(t)
		transport := a.client.http.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			return &watchedConn{Conn: c, closed: make(chan struct{})}, err
		}
		b.api.hold = make(chan struct{})
		var wg sync.WaitGroup
		for range idle {
			wg.Go(func() {
				if _, err := askKeys(t.Context(), a, b); err != nil {
					t.Error(err)
				}
			})
		}
		for b.api.busy.Load() < int64(idle) {
			time.Sleep(time.Millisecond)
		}
		close(b.api.hold)
		wg.Wait()
		closed := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				closed++
				b.hangUp(i.Conn.LocalAddr())
				<-i.Conn.(*watchedConn).closed
			}
		}})
		if _, err := askKeys(ctx, a, b); err != nil {
			t.Errorf("%d idle connections: got %v", idle, err)
		}
		if calls := int(b.api.calls.Load()); closed != idle || calls != idle+1 {
			t.Errorf("%d connections closed, %d calls arrived, want %d and %d", closed, calls, idle, idle+1)
		}
	}
}
