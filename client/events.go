package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Streamer is a Transport that can follow an answer without an end. The body of
// a success is left open, and ends with ctx; other answers are as those of Do.
type Streamer interface {
	Stream(ctx context.Context, r *Request, lastEvent string) (io.ReadCloser, *Response, error)
}

const (
	maxEventLine  = 4 << 10          // bytes of one line with its end
	maxEventLines = 64               // of one event
	silentFor     = 45 * time.Second // without a line, until the connection is given up
)

// events is an event stream of a node that is opened anew whenever it breaks. It is
// for one goroutine.
type events struct {
	streamer Streamer
	address  wire.Address // whose they are
	token    wire.Token
	last     string // id of the last event
	link     func(up bool)
	friends  func()
	down     bool // as link was told last

	body    io.ReadCloser // nil: not connected
	lines   *bufio.Reader
	cancel  context.CancelFunc
	silence *time.Timer
	wait    time.Duration
}

// next returns the kind of the next event.
func (e *events) next(ctx context.Context) (string, error) {
	for {
		if e.body == nil {
			if err := e.connect(ctx); err != nil {
				return "", err
			}
		}
		kind, err := e.read()
		if err == nil {
			e.wait = 0
			return kind, nil
		}
		e.close()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err := e.pause(ctx); err != nil {
			return "", err
		}
	}
}

// connect opens the stream, however long that takes.
func (e *events) connect(ctx context.Context) error {
	for {
		reading, cancel := context.WithCancel(ctx)
		silence := time.AfterFunc(silentFor, cancel)
		body, answer, err := e.streamer.Stream(reading, &Request{Method: "GET", Node: e.address.Node, Path: wire.PathEvents, Token: e.token}, e.last)
		if err == nil && body == nil {
			err = e.refused(answer)
		}
		if err == nil {
			e.body, e.cancel, e.silence = body, cancel, silence
			e.lines = bufio.NewReaderSize(body, maxEventLine)
			e.linked(true)
			return nil
		}
		silence.Stop()
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !passing(err) && !errors.Is(err, context.Canceled) {
			return err // it would be the same again
		}
		e.linked(false)
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}

// linked tells of a connection that is there again, or not any more.
func (e *events) linked(up bool) {
	if e.down == up && e.link != nil {
		e.link(up)
	}
	e.down = !up
}

func (e *events) refused(answer *Response) error {
	err := refusal(e.address.Node, answer)
	if err.Kind == wire.Unauthenticated {
		return sessionEnded(e.address)
	}
	return err
}

func (e *events) pause(ctx context.Context) error {
	e.wait = growWait(e.wait)
	return sleep(ctx, e.wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *events) close() {
	if e.body == nil {
		return
	}
	e.silence.Stop()
	e.cancel()
	_ = e.body.Close()
	e.body = nil
}

// drain takes events that have come already: who asks for what is new now need not
// do so again for each of them.
func (e *events) drain() {
	for e.body != nil {
		come, _ := e.lines.Peek(e.lines.Buffered())
		if !bytes.Contains(come, []byte("\n\n")) {
			return
		}
		if _, err := e.block(); err != nil {
			e.close()
		}
	}
}

// read reads up to the end of the next event (WHATWG HTML, section 9.2).
func (e *events) read() (string, error) {
	for {
		if kind, err := e.block(); kind != "" || err != nil {
			return kind, err
		}
	}
}

// block reads lines up to an empty one. It returns the kind of event that they
// are, or "" for comments and what is none.
func (e *events) block() (kind string, err error) {
	id := e.last
	for range maxEventLines {
		line, err := e.lines.ReadSlice('\n')
		if err != nil { // lines that are too long among them
			return "", err
		}
		e.silence.Reset(silentFor)
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			if kind != "" {
				e.last = id
			}
			if kind == wire.EventFriends && e.friends != nil {
				e.friends()
			}
			return kind, nil
		}
		field, value, _ := strings.Cut(text, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			kind = value
		case "id":
			if id = value; !isState(id) {
				return "", errors.New("an id that cannot be sent back")
			}
		}
	}
	return "", errors.New("an event without an end")
}
