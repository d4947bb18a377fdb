package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	eventBuffer   = 4 << 10          // bytes, longer than any line of an event
	maxEventLines = 64               // of one event
	silentFor     = 45 * time.Second // without a line, until a stream is given up, as a client does
)

// errBroken says that an event stream was there and is no more.
var errBroken = errors.New("the event stream has ended")

// events is the event stream of a person, which goes on after the last event when
// it is opened again. It is for one goroutine.
type events struct {
	person *person
	last   string // id of the last event

	c    *connection // nil: not connected
	in   *bufio.Reader
	stop func() bool // what ends the connection with its context
}

// open connects; the connection ends with ctx. Where the session has ended, the
// person logs in again.
func (e *events) open(ctx context.Context) error {
	token, number := e.person.session.current()
	a, err := e.try(ctx, token)
	if a.status != http.StatusUnauthorized {
		return err
	}
	if _, err := e.person.renew(ctx, number); err != nil {
		return err
	}
	token, _ = e.person.session.current()
	_, err = e.try(ctx, token)
	return err
}

// try is open with one token.
func (e *events) try(ctx context.Context, token wire.Token) (a answer, err error) {
	n, from := e.person.home, e.person.from()
	raw, err := n.dial(ctx, n.pools[from%len(n.pools)].from)
	if err != nil {
		return a, n.away(ctx, err)
	}
	e.c = &connection{Conn: raw, in: bufio.NewReaderSize(raw, eventBuffer)}
	e.stop = context.AfterFunc(ctx, func() { raw.Close() })
	if a, err = e.begin(ctx, &request{method: http.MethodGet, path: wire.PathEvents, from: from, token: token, accept: wire.MediaEvents, last: e.last}); err != nil {
		e.close()
		return a, err
	}
	return a, nil
}

// begin asks for the stream, and reads the answer up to the first event.
func (e *events) begin(ctx context.Context, r *request) (a answer, err error) {
	n := e.person.home
	if err := e.c.SetDeadline(time.Now().Add(e.person.crowd.timeout)); err != nil {
		return a, n.away(ctx, err)
	}
	if _, err := e.c.Write(r.append(nil, n.name)); err != nil {
		return a, n.away(ctx, err)
	}
	a, head, err := readHead(e.c.in)
	if err == nil && a.status != http.StatusOK {
		if a.body, err = head.body(e.c.in); err == nil {
			return a, n.refusal(&a)
		}
	}
	if err != nil {
		return a, n.away(ctx, err)
	}
	if e.in = e.c.in; head.chunked {
		e.in = bufio.NewReaderSize(httputil.NewChunkedReader(e.c.in), eventBuffer)
	}
	return a, nil
}

func (e *events) close() {
	if e.c == nil {
		return
	}
	e.stop()
	e.c.Close()
	e.c, e.in = nil, nil
}

// feed waits for an event that says that the feed has changed, and takes those
// that have come with it: one look is enough for all. errBroken where the stream
// has ended.
func (e *events) feed() (count int, err error) {
	for {
		kind, err := e.event()
		if err != nil {
			e.close()
			return count, err
		}
		if kind == wire.EventFeed {
			count++
		}
		come, _ := e.in.Peek(e.in.Buffered())
		if count > 0 && !bytes.Contains(come, []byte("\n\n")) {
			return count, nil
		}
	}
}

// event reads up to the end of the next block of lines (WHATWG HTML, section 9.2),
// and returns the kind of event that it is, "" for none.
func (e *events) event() (kind string, err error) {
	id := e.last
	for range maxEventLines {
		_ = e.c.SetReadDeadline(time.Now().Add(silentFor)) // fails for a closed one alone, which is read next
		line, err := readLine(e.in)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errBroken, err)
		}
		if len(line) == 0 {
			e.last = id
			return kind, nil
		}
		field, value, _ := strings.Cut(string(line), ":")
		switch value = strings.TrimPrefix(value, " "); field {
		case "event":
			kind = value
		case "id":
			id = value
		}
	}
	return "", errBroken
}
