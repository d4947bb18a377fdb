package client

import (
	"context"
	"io"
	"math"
	"syscall/js"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// requestTimeout is how long one request may take.
const requestTimeout = 60 * time.Second

// A FetchTransport speaks to the one node that a page belongs to, by the browser's
// fetch. Others it cannot ask: the page is not allowed to. It sends no cookies, follows
// no redirects, tells no referrer, and keeps nothing in the browser's cache.
type FetchTransport struct {
	node   wire.NodeName
	origin string
}

// NewFetchTransport returns a transport to node, whose API is at origin: "" for that of
// the page.
func NewFetchTransport(node wire.NodeName, origin string) *FetchTransport {
	return &FetchTransport{node, origin}
}

// Reaches reports whether a node can be asked at all.
func (t *FetchTransport) Reaches(node wire.NodeName) bool { return node == t.node }

// Do is Transport's.
func (t *FetchTransport) Do(ctx context.Context, r *Request) (*Response, error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, answer, err := t.fetch(limited, r, wire.MediaJSON, "")
	if err == nil {
		defer body.Close()
		answer.Body, err = io.ReadAll(io.LimitReader(body, MaxResponse+1))
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, wire.Errorf(wire.Unavailable, "node", "%s does not answer", r.Node)
	case wire.KindOf(err) == wire.Unavailable:
		return nil, err
	case err != nil:
		return nil, wire.Errorf(wire.Unavailable, "node", "%s broke the connection before it had answered (%v)", r.Node, err)
	case len(answer.Body) > MaxResponse:
		return nil, wire.Errorf(wire.Unavailable, "node", "%s sends more than %d bytes in one answer", r.Node, MaxResponse)
	}
	return answer, nil
}

// Stream is Streamer's.
func (t *FetchTransport) Stream(ctx context.Context, r *Request, lastEvent string) (io.ReadCloser, *Response, error) {
	body, answer, err := t.fetch(ctx, r, wire.MediaEvents, lastEvent)
	if err != nil {
		return nil, nil, err
	}
	if answer.Status == 200 && body.media == wire.MediaEvents {
		return body, nil, nil
	}
	defer body.Close()
	if answer.Body, err = io.ReadAll(io.LimitReader(body, MaxResponse)); err != nil {
		return nil, nil, wire.Errorf(wire.Unavailable, "node", "%s broke the connection before it had answered", r.Node)
	}
	return nil, answer, nil
}

// fetch sends a request. The answer is without its body, which ends with ctx.
func (t *FetchTransport) fetch(ctx context.Context, r *Request, accept, lastEvent string) (*fetchBody, *Response, error) {
	if !t.Reaches(r.Node) {
		return nil, nil, wire.Errorf(wire.Unavailable, "node", "%s cannot be asked from a page of %s", r.Node, t.node)
	}
	abort := js.Global().Get("AbortController").New()
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	promise, err := try(js.Global(), "fetch", t.origin+r.Path, map[string]any{
		"method": r.Method, "headers": headers(r, accept, lastEvent), "body": sentBody(r), "signal": abort.Get("signal"),
		"credentials": "omit", "redirect": "error", "cache": "no-store", "referrerPolicy": "no-referrer",
	})
	var answer js.Value
	if err == nil {
		answer, err = await(ctx, promise)
	}
	if err != nil {
		stop()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, wire.Errorf(wire.Unavailable, "node", "%s cannot be reached (%v)", r.Node, err)
	}
	body := &fetchBody{ctx: ctx, abort: abort, stop: stop, media: mediaOf(answer)}
	if stream := answer.Get("body"); stream.Type() == js.TypeObject {
		body.reader = stream.Call("getReader")
	}
	return body, &Response{Status: answer.Get("status").Int(), Date: dateOf(answer)}, nil
}

func headers(r *Request, accept, lastEvent string) map[string]any {
	h := map[string]any{"Accept": accept}
	if r.Body != nil {
		h["Content-Type"] = wire.MediaJSON
	}
	if lastEvent != "" {
		h[wire.HeaderLastEvent] = lastEvent
	}
	if !r.Token.IsZero() {
		h["Authorization"] = "Bearer " + r.Token.Reveal()
	}
	if !r.Code.IsZero() {
		h[wire.HeaderSecondFactor] = r.Code.Reveal()
	}
	return h
}

func sentBody(r *Request) js.Value {
	if r.Body == nil {
		return js.Undefined()
	}
	return arrayOf(r.Body)
}

func answerHeader(answer js.Value, name string) string {
	if v := answer.Get("headers").Call("get", name); v.Type() == js.TypeString {
		return v.String()
	}
	return ""
}

func mediaOf(answer js.Value) string {
	media := answerHeader(answer, "Content-Type")
	for i := range media {
		if media[i] == ';' {
			return media[:i]
		}
	}
	return media
}

// dateOf is zero where the node's clock is not told.
func dateOf(answer js.Value) time.Time {
	ms := js.Global().Get("Date").Call("parse", answerHeader(answer, "Date")).Float()
	if math.IsNaN(ms) || math.Abs(ms) > float64(wire.MaxInteger) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// A fetchBody is the body of an answer as it comes.
type fetchBody struct {
	ctx    context.Context
	abort  js.Value
	stop   func() bool
	media  string
	reader js.Value // undefined for no body
	come   []byte   // and not read yet
	ended  bool
}

// Read is io.Reader's.
func (b *fetchBody) Read(into []byte) (int, error) {
	for len(b.come) == 0 {
		if b.reader.IsUndefined() {
			return 0, io.EOF
		}
		part, err := await(b.ctx, b.reader.Call("read"))
		if err != nil {
			return 0, err
		}
		if part.Get("done").Bool() {
			b.ended = true
			return 0, io.EOF
		}
		b.come = bytesOf(part.Get("value"))
	}
	n := copy(into, b.come)
	b.come = b.come[n:]
	return n, nil
}

// Close gives up what has not come yet.
func (b *fetchBody) Close() error {
	if b.stop() && !b.ended {
		b.abort.Call("abort")
	}
	return nil
}
