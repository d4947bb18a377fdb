package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A tap is a Streamer whose event streams a test makes.
type tap struct {
	*line
	open  func(ctx context.Context, n int) (io.ReadCloser, *Response, error)
	lasts []string    // ids that were sent
	times []time.Time // when
}

func (s *tap) Stream(ctx context.Context, r *Request, last string) (io.ReadCloser, *Response, error) {
	s.lasts, s.times = append(s.lasts, last), append(s.times, time.Now())
	if len(s.lasts) > maxCalls {
		panic("asked for ever")
	}
	return s.open(ctx, len(s.lasts)-1)
}

var eventToken = wire.NewToken([32]byte{1: 7})

func (s *tap) events() *events {
	return &events{streamer: s, address: address("bob@two.example"), token: eventToken}
}

func body(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// quiet is a stream that says something and then nothing, until ctx ends.
func quiet(ctx context.Context, said string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, said)
		<-ctx.Done()
		w.CloseWithError(ctx.Err())
	}()
	return r
}

const feedEvent = "event: feed\nid: a1\ndata: {}\n\n"

// TestEventLines wants events to be read as they are written, and everything else
// to be skipped, or to end the stream.
func TestEventLines(t *testing.T) {
	long := strings.Repeat("x", maxEventLine)
	for name, row := range map[string]struct {
		said string
		want []string // kinds
		last string
	}{
		"one":                      {feedEvent, []string{"feed"}, "a1"},
		"two":                      {feedEvent + "event: friends\ndata: {}\n\n", []string{"feed", "friends"}, "a1"},
		"comments and waits":       {"retry: 2000\n\n:\n\n: hello\n\n" + feedEvent, []string{"feed"}, "a1"},
		"other line ends":          {strings.ReplaceAll(feedEvent, "\n", "\r\n"), []string{"feed"}, "a1"},
		"no space":                 {"event:feed\nid:a2\n\n", []string{"feed"}, "a2"},
		"an id of nothing":         {"id: a2\n\n", nil, ""},
		"an event without an end":  {"event: feed\nid: a1\n", nil, ""},
		"a line that is too long":  {feedEvent + "data: " + long + "\n\n" + feedEvent, []string{"feed"}, "a1"},
		"a line without an end":    {long + long, nil, ""},
		"lines without an end":     {"event: feed\n" + strings.Repeat("data: x\n", maxEventLines) + "\n", nil, ""},
		"an id that is too long":   {"event: feed\nid: " + strings.Repeat("a", maxState+1) + "\n\n", nil, ""},
		"an id that is no header":  {"event: feed\nid: a\x00b\n\n", nil, ""},
		"an id with another line":  {"event: feed\nid: a\rb: c\n\n", nil, ""},
		"an id after an id":        {feedEvent + "event: feed\nid: a b\n\n", []string{"feed"}, "a1"},
		"an id that is taken back": {feedEvent + "event: feed\nid\n\n", []string{"feed", "feed"}, ""},
	} {
		s := &tap{open: func(context.Context, int) (io.ReadCloser, *Response, error) { return body(row.said), nil, nil }}
		e := s.events()
		if err := e.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			kind, err := e.read()
			if err != nil {
				break
			}
			got = append(got, kind)
		}
		e.close()
		if !slices.Equal(got, row.want) || e.last != row.last {
			t.Errorf("%s: got %q and id %q, want %q and %q", name, got, e.last, row.want, row.last)
		}
	}
}

// TestEventsComeBack wants a stream that breaks, or is refused for the moment, to
// be opened again, with the id of the last event and after waits that differ and
// have a limit.
func TestEventsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(e *wire.Error) *Response {
			p := wire.ProblemOf(e)
			return &Response{Status: p.Status, Body: wire.EncodeJSON(p)}
		}
		failures := []func() (io.ReadCloser, *Response, error){
			func() (io.ReadCloser, *Response, error) { return body(""), nil, nil },
			func() (io.ReadCloser, *Response, error) { return body("data: half"), nil, nil },
			func() (io.ReadCloser, *Response, error) {
				return nil, nil, wire.Errorf(wire.Unavailable, "node", "it cannot be reached")
			},
			func() (io.ReadCloser, *Response, error) {
				return nil, refused(wire.Errorf(wire.Unavailable, "", "")), nil
			},
			func() (io.ReadCloser, *Response, error) {
				return nil, refused(wire.Errorf(wire.Throttled, "", "")), nil
			},
			func() (io.ReadCloser, *Response, error) { return nil, refused(wire.Errorf(wire.Internal, "", "")), nil },
			func() (io.ReadCloser, *Response, error) {
				return nil, &Response{Status: 200, Body: []byte("<html>")}, nil // which is no event stream
			},
			func() (io.ReadCloser, *Response, error) { return nil, &Response{Status: 302}, nil },
		}
		s := &tap{}
		s.open = func(ctx context.Context, n int) (io.ReadCloser, *Response, error) {
			if n == 0 || n == 1+3*len(failures) {
				return body(feedEvent), nil, nil
			}
			return failures[(n-1)%len(failures)]()
		}
		e := s.events()
		for range 2 {
			if kind, err := e.next(t.Context()); kind != wire.EventFeed || err != nil {
				t.Fatalf("got %q, %v", kind, err)
			}
		}
		e.close()
		if s.lasts[0] != "" || slices.ContainsFunc(s.lasts[1:], func(id string) bool { return id != "a1" }) {
			t.Errorf("ids that were sent: %q", s.lasts)
		}
		waits := map[time.Duration]bool{}
		for i := range s.times[1:] {
			wait := s.times[i+1].Sub(s.times[i])
			if waits[wait] = true; wait < reconnectFirst || wait > reconnectLast {
				t.Errorf("wait %d is %v", i, wait)
			}
		}
		if len(waits) < len(s.times)/2 {
			t.Errorf("%d tries after %v", len(s.times), waits)
		}
		if e.wait != 0 {
			t.Error("after an event the next wait is not a short one")
		}
	})
}

// TestEventsSilence wants a connection on which nothing comes, not even a sign of
// life, to be given up; also one that does not begin.
func TestEventsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tap{}
		s.open = func(ctx context.Context, n int) (io.ReadCloser, *Response, error) {
			switch n {
			case 0:
				<-ctx.Done()
				return nil, nil, ctx.Err()
			case 1:
				return quiet(ctx, ":\n\nevent: fe"), nil, nil
			}
			return body(feedEvent), nil, nil
		}
		e := s.events()
		if kind, err := e.next(t.Context()); kind != wire.EventFeed || err != nil {
			t.Fatalf("got %q, %v", kind, err)
		}
		e.close()
		for i := range 2 {
			if silent := s.times[i+1].Sub(s.times[i]); silent < silentFor || silent > silentFor+reconnectLast {
				t.Errorf("connection %d was given up after %v", i, silent)
			}
		}
	})
}

// TestEventsLive wants a stream with signs of life to be kept.
func TestEventsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tap{}
		s.open = func(ctx context.Context, n int) (io.ReadCloser, *Response, error) {
			r, w := io.Pipe()
			context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
			go func() {
				for range 20 {
					time.Sleep(silentFor - time.Second)
					_, _ = io.WriteString(w, ":\n\n")
				}
				_, _ = io.WriteString(w, feedEvent)
			}()
			return r, nil, nil
		}
		e := s.events()
		if _, err := e.next(t.Context()); err != nil || len(s.lasts) != 1 {
			t.Errorf("%v after %d connections", err, len(s.lasts))
		}
		e.close()
	})
}

// TestEventsRefused wants what would be refused again to be an error, and to say
// nothing of the token.
func TestEventsRefused(t *testing.T) {
	for _, kind := range []wire.Kind{wire.Unauthenticated, wire.Forbidden, wire.NotExist, wire.Invalid, wire.Update} {
		p := wire.ProblemOf(wire.Errorf(kind, "", "no"))
		s := &tap{open: func(context.Context, int) (io.ReadCloser, *Response, error) {
			return nil, &Response{Status: p.Status, Body: wire.EncodeJSON(p)}, nil
		}}
		_, err := s.events().next(t.Context())
		if !errors.Is(err, kind) || len(s.lasts) != 1 {
			t.Errorf("%s: %v after %d requests", kind, err, len(s.lasts))
		}
		if err != nil && strings.Contains(err.Error(), eventToken.Reveal()) {
			t.Errorf("the token is in %v", err)
		}
	}
}

// TestEventsCancelled wants a wait to end with its context, wherever it is.
func TestEventsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, open := range map[string]func(ctx context.Context, n int) (io.ReadCloser, *Response, error){
			"reading": func(ctx context.Context, _ int) (io.ReadCloser, *Response, error) {
				return quiet(ctx, ":\n\n"), nil, nil
			},
			"between": func(context.Context, int) (io.ReadCloser, *Response, error) { return body(""), nil, nil },
			"connecting": func(ctx context.Context, _ int) (io.ReadCloser, *Response, error) {
				<-ctx.Done()
				return nil, nil, ctx.Err()
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			e := (&tap{open: open}).events()
			if _, err := e.next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if e.body != nil {
				t.Errorf("%s: the stream is still open", name)
			}
			cancel()
		}
	})
}

// FuzzEvents: whatever a node sends, it is read to its end, and an id that is kept
// can be sent back.
func FuzzEvents(f *testing.F) {
	f.Add("retry: 2000\n\n" + feedEvent + ":\n\nevent: friends\ndata: {}\n\n")
	f.Add("id: \x00\nevent\r\n\r\n")
	f.Fuzz(func(t *testing.T, said string) {
		s := &tap{open: func(context.Context, int) (io.ReadCloser, *Response, error) { return body(said), nil, nil }}
		e := s.events()
		if err := e.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer e.close()
		for range len(said) + 1 {
			kind, err := e.read()
			if !isState(e.last) {
				t.Errorf("%q is kept as an id", e.last)
			}
			if err != nil {
				return
			}
			if kind == "" || strings.ContainsAny(kind, "\n") {
				t.Errorf("%q is an event", kind)
			}
		}
		t.Error("more events than bytes")
	})
}
