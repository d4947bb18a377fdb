package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A pretender answers requests in place of a node. It runs in a bubble of
// synctest, over pipes: time is virtual, and what is tested exact.
type pretender struct {
	answer func(r *http.Request) (status int, header string, body any)
	events func(r *http.Request, c net.Conn) (end bool) // answers who watches, in place of answer, unless it is nil or not the end

	mu          sync.Mutex
	now, most   int // requests that are being answered
	connections []net.Conn
	serving     sync.WaitGroup
}

func (p *pretender) dial(context.Context, net.Addr) (net.Conn, error) {
	near, far := net.Pipe()
	p.mu.Lock()
	p.connections = append(p.connections, near, far)
	p.mu.Unlock()
	p.serving.Go(func() {
		in := bufio.NewReader(far)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			sent, err := io.ReadAll(r.Body)
			if err != nil || r.URL.Path == wire.PathEvents && p.events != nil && p.events(r, far) {
				far.Close()
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(sent))
			p.count(1)
			status, header, body := p.answer(r)
			p.count(-1)
			text := wire.EncodeJSON(body)
			if _, err := fmt.Fprintf(far, "HTTP/1.1 %d x\r\nContent-Length: %d\r\n%s\r\n%s", status, len(text), header, text); err != nil {
				return
			}
		}
	})
	return near, nil
}

func (p *pretender) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now += n
	p.most = max(p.most, p.now)
}

func (p *pretender) close() {
	for _, c := range p.connections {
		c.Close()
	}
	p.serving.Wait()
}

// pretended is a load of people whom the pretender takes for its own.
func pretended(t *testing.T, p *pretender, o Options) *Load {
	t.Helper()
	c, err := newCrowd(&o, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.dial = p.dial
	}
	if err := c.draw(t.Context(), o.People); err != nil {
		t.Fatal(err)
	}
	return &Load{o: o, crowd: c}
}

func emptyFeed(*http.Request) (int, string, any) {
	return http.StatusOK, "", wire.FeedReply{Items: []wire.FeedItem{}, Streams: []wire.StreamStatus{}}
}

// TestCoordinatedOmission: a node that answers within 1 ms, but for one second in
// ten, in which it does not answer at all. A closed loop hides that: in its
// figures one request was slow. In an open one all who wait are in the figures.
func TestCoordinatedOmission(t *testing.T) {
	measure := func(l Loop) (r OperationReport) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			stall := begin.Add(4 * time.Second)
			turn := make(chan struct{}, 1) // time goes on while somebody waits for it, as it does not for a mutex
			p := &pretender{answer: func(r *http.Request) (int, string, any) {
				turn <- struct{}{}
				defer func() { <-turn }()
				if time.Now().After(stall) && time.Now().Before(stall.Add(time.Second)) {
					time.Sleep(time.Until(stall.Add(time.Second)))
				}
				time.Sleep(time.Millisecond)
				return emptyFeed(r)
			}}
			o := someOptions()
			o.Loop, o.Mix, o.Length, o.People = l, Mix{feeds: 1}, 10*time.Second, 500
			load := pretended(t, p, o)
			report := newRun(load, newChecker(load.crowd, 0, 0)).all(t.Context())
			load.Close()
			p.close()
			r = report.Operations[0]
		})
		return r
	}
	closed := measure(Loop{Clients: 1})
	open := measure(Loop{Rate: 100, Even: true, Outstanding: 55})
	if closed.P99 > 2 || closed.P999 > 2 || closed.Max < 990 {
		t.Errorf("closed loop: p99 %g ms, p99.9 %g ms, longest %g ms; want the stall in the longest alone", closed.P99, closed.P999, closed.Max)
	}
	if open.Done < 995 || open.P50 > 2 || open.P90 < 80 || open.P99 < 850 {
		t.Errorf("open loop: %d done, p50 %g ms, p90 %g ms, p99 %g ms; want a tenth of them to have waited for up to 1 s", open.Done, open.P50, open.P90, open.P99)
	}
}

// TestOverload: five times as much as a node can do. No more is under way than
// was allowed, and all that was due is counted.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{}, 1)
		p := &pretender{answer: func(r *http.Request) (int, string, any) {
			turn <- struct{}{}
			defer func() { <-turn }()
			time.Sleep(10 * time.Millisecond)
			return emptyFeed(r)
		}}
		o := someOptions()
		o.Loop, o.Mix, o.Length, o.People = Loop{Rate: 500, Even: true, Outstanding: 20}, Mix{feeds: 1}, 10*time.Second, 100
		l := pretended(t, p, o)
		report := newRun(l, newChecker(l.crowd, 0, 0)).all(t.Context())
		l.Close()
		p.close()
		r := report.Operations[0]
		if p.most > 20 {
			t.Errorf("%d requests were under way, 20 were allowed", p.most)
		}
		if all := r.Done + r.Refused + r.Failed + r.Unsent; all < 4999 || all > 5001 || r.Failed+r.Refused > 0 {
			t.Errorf("%d were done and %d not sent, of 5000 that were due", r.Done, r.Unsent)
		}
		if r.PerS < 99 || r.PerS > 101 || r.P99 > 500 {
			t.Errorf("%g/s were done within %g ms, want 100/s, and at most 40 before each", r.PerS, r.P99)
		}
	})
}

// TestRetryAfter: who is refused leaves the node alone for as long as it asks, or
// does not where the load is to ignore that. Refusals are no failures.
func TestRetryAfter(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			p := &pretender{answer: func(*http.Request) (int, string, any) {
				asked++
				time.Sleep(time.Millisecond)
				err := wire.Errorf(wire.Throttled, "", "too many requests; try again later")
				return http.StatusTooManyRequests, "Retry-After: 3\r\n", wire.ProblemOf(err)
			}}
			o := someOptions()
			o.Loop, o.Mix, o.Length, o.People, o.Ignore = Loop{Clients: 1}, Mix{feeds: 1}, 10*time.Second, 2, ignore
			l := pretended(t, p, o)
			report := newRun(l, newChecker(l.crowd, 0, 0)).all(t.Context())
			l.Close()
			p.close()
			r := report.Operations[0]
			if int(r.Refused) != asked || r.Failed+r.Done+r.Unsent > 0 || report.RetryAfterS != 3 || len(report.Failures) > 0 {
				t.Errorf("%d were asked: got %+v, %v", asked, r, report.Failures)
			}
			if obeyed := asked == 8; obeyed == ignore { // two people, at 0, 3, 6 and 9 s
				t.Errorf("ignore %t: %d requests in 10 s", ignore, asked)
			}
		})
	}
}

// TestAway: a node that breaks every connection fails, and is not refused; and a
// load ends when it is told to.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := someOptions()
		o.Mix, o.Length = Mix{feeds: 1}, time.Hour
		l := pretended(t, nil, o)
		for _, n := range l.crowd.nodes {
			n.dial = func(context.Context, net.Addr) (net.Conn, error) {
				near, far := net.Pipe()
				return near, far.Close()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		report := newRun(l, newChecker(l.crowd, 0, 0)).all(ctx)
		r := report.Operations[0]
		if r.Failed == 0 || r.Refused+r.Done > 0 || len(report.Failures) != 1 || report.Seconds != 2 {
			t.Errorf("got %+v, %v in %g s", r, report.Failures, report.Seconds)
		}
	})
}
