package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// This is the only file that knows the web framework. It is held short of
// everything in fiber and fasthttp that decodes, inflates, merges or normalises
// what was received; the tests beside it show what would come of that.

// A body that nobody wants is read up to here, so that the client sees the
// answer instead of a reset, and the connection can go on. What is larger or
// slower closes it.
const (
	drainLimit = 8 << 20 // bytes
	drainTime  = time.Second

	// The same while the node is busy.
	busyBody  = 64 << 10 // bytes
	busyDrain = 100 * time.Millisecond

	bodyRoom = 2 << 10 // bytes that are taken for a body before it is there: a post of 600 has 1.8 KB
)

// methods are those that may have a route; to others, every path says no.
var methods = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"}

// A server serves an api over HTTP/1.1.
type server struct {
	app  *fiber.App
	api  *api
	gate *gate

	untils  untils             // of requests
	stop    context.CancelFunc // ends all requests, when a graceful end has failed
	proxies []netip.Prefix
	warned  sync.Once // that there may be a proxy
}

// serverOptions are what may be configured of a server.
type serverOptions struct {
	connections       int // at once
	requests          int // at once; defaultRequests if 0
	read, write, idle time.Duration
	proxies           []netip.Prefix
}

func newServer(a *api, table []route, o serverOptions) *server {
	if o.requests == 0 {
		o.requests = defaultRequests
	}
	s := &server{api: a, gate: &gate{most: int64(o.requests)}, proxies: o.proxies}
	s.untils.gate = s.gate
	s.untils.base, s.stop = context.WithCancel(context.Background())
	s.app = fiber.New(fiber.Config{
		DisableStartupMessage:        true,
		Immutable:                    true,
		CaseSensitive:                true,
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true, // it would read a form of any length before we are asked
		ReduceMemoryUsage:            true,
		BodyLimit:                    1,       // what is read before we are asked; the routes have the limits
		ReadBufferSize:               8 << 10, // the longest head of a request
		ReadTimeout:                  o.read,
		WriteTimeout:                 o.write,
		IdleTimeout:                  o.idle,
		Concurrency:                  o.connections + 1, // listener closes what is above before fasthttp answers in its own words
		ErrorHandler:                 s.refuse,
	})
	for _, rt := range table {
		path := rt.pattern
		if rt.deep {
			path = path[:strings.LastIndex(path, ":")] + "+"
		}
		if rt.method == "*" {
			s.app.All(rt.pattern, s.handler(rt))
		} else {
			s.app.Add(rt.method, path, s.handler(rt))
		}
		if rt.head {
			s.app.Add("HEAD", path, s.handler(rt))
		}
	}
	routed := s.app.Handler()
	s.app.Server().Handler = func(c *fasthttp.RequestCtx) {
		s.serve(c, routed)
		s.share(c)
	}
	s.app.Server().CloseOnShutdown = true
	return s
}

// requestKey is where a request lies among the values of fasthttp.
type requestKey struct{}

// serve is in front of the router.
func (s *server) serve(c *fasthttp.RequestCtx, routed fasthttp.RequestHandler) {
	start := time.Now()
	if s.gate.full(start) && string(c.Request.Header.RequestURI()) != wire.PathHealth {
		s.refuseBusy(c, start)
		return
	}
	r := &incoming{method: string(c.Method()), target: string(c.Request.Header.RequestURI()), begun: start}
	defer func() {
		if p := recover(); p != nil {
			c.Response.Reset()
			c.SetConnectionClose()
			send(c, s.api.panicked(r, p))
		}
		s.api.record(r, c.Response.StatusCode(), time.Since(start))
	}()
	if err := s.receive(c, r); err != nil {
		c.SetConnectionClose()
		send(c, s.api.failure(r, err))
		return
	}
	if headers := s.api.origins.preflight(r); headers != nil {
		send(c, reply{status: fiber.StatusNoContent, headers: headers})
		return
	}
	c.SetUserValue(requestKey{}, r)
	routed(c)
	s.drain(c, r)
}

// refuseBusy does as little as it can. It keeps the connection where the request
// is here in full already: to open new ones would cost more.
func (s *server) refuseBusy(c *fasthttp.RequestCtx, now time.Time) {
	s.gate.pause()
	send(c, s.gate.busy(s.api.log, now))
	length := int64(c.Request.Header.ContentLength())
	if length == 0 || c.Request.Header.IsGet() {
		return
	}
	if err := c.Conn().SetReadDeadline(now.Add(busyDrain)); err != nil || length < 0 || length > busyBody {
		c.SetConnectionClose()
		return
	}
	if n, err := io.CopyN(io.Discard, c.RequestBodyStream(), length); err != nil || n < length {
		c.SetConnectionClose()
	}
}

// receive copies the head of a request and checks it.
func (s *server) receive(c *fasthttp.RequestCtx, r *incoming) (err error) {
	if r.headers, err = parseHeaders(string(c.Request.Header.RawHeaders())); err != nil {
		return err
	}
	if remote, ok := netip.AddrFromSlice(addressBytes(c.RemoteAddr())); ok {
		forwarded := r.all("X-Forwarded-For")
		r.from = clientAddress(remote, forwarded, s.proxies)
		if len(forwarded) > 0 && len(s.proxies) == 0 {
			s.warned.Do(func() {
				s.api.log.Warn("a request came through a proxy, and proxies is not set: people behind it share the limits of one address")
			})
		}
	}
	if err := r.check(string(c.Request.Header.Protocol())); err != nil {
		return err
	}
	if !slices.Contains(methods, r.method) { // fiber would answer in its own words
		return wire.Errorf(wire.Method, "", "there is no such method here")
	}
	return nil
}

// share adds to any answer what pages of other origins need to see it, those of a busy
// node too.
func (s *server) share(c *fasthttp.RequestCtx) {
	if len(s.api.origins) == 0 {
		return
	}
	var from []string
	for _, value := range c.Request.Header.PeekAll("Origin") {
		from = append(from, string(value))
	}
	for _, h := range s.api.origins.headers(string(c.Request.Header.RequestURI()), from) {
		c.Response.Header.Add(h[0], h[1])
	}
}

func addressBytes(a net.Addr) []byte {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP
	}
	return nil
}

// handler serves one route.
func (s *server) handler(rt route) fiber.Handler {
	return func(f *fiber.Ctx) error {
		c := f.Context()
		r := c.UserValue(requestKey{}).(*incoming)
		r.pattern = rt.pattern
		if names := f.Route().Params; len(names) > 0 {
			r.params = make(map[string]string, len(names))
			for _, name := range names {
				r.params[name] = f.Params(name)
			}
		}
		until := s.untils.at(r.begun)
		if err := s.api.admit(until.outside, rt, r); err != nil {
			send(c, s.api.failure(r, err))
			return nil
		}
		if err := readBody(c, r); err != nil {
			c.SetConnectionClose()
			return err
		}
		s.gate.enter()
		defer s.gate.leave()
		answer := s.api.answer(until.inside, rt, r)
		if answer.events != nil {
			sendEvents(c, answer, s.api.origins.headers(r.target, r.all("Origin")))
		} else {
			send(c, answer)
		}
		return nil
	}
}

// readBody reads as many bytes as were declared. fasthttp's stream ends without
// an error where the connection does, so the length is compared.
func readBody(c *fasthttp.RequestCtx, r *incoming) error {
	if r.length == 0 {
		return nil
	}
	if r.length <= bodyRoom {
		body := make([]byte, r.length)
		if _, err := io.ReadFull(c.RequestBodyStream(), body); err != nil {
			return err
		}
		r.body = body
		return nil
	}
	var body bytes.Buffer // grows with what arrives, not with what is claimed
	if _, err := io.Copy(&body, io.LimitReader(c.RequestBodyStream(), int64(r.length))); err != nil {
		return err
	}
	if body.Len() != r.length {
		return io.ErrUnexpectedEOF
	}
	r.body = body.Bytes()
	return nil
}

// drain leaves the connection at the end of the request, or closes it: what is
// left of a body must not be read as the next request.
func (s *server) drain(c *fasthttp.RequestCtx, r *incoming) {
	if r.length == len(r.body) || c.Response.ConnectionClose() {
		return
	}
	if err := c.Conn().SetReadDeadline(time.Now().Add(drainTime)); err != nil {
		c.SetConnectionClose()
		return
	}
	left := int64(r.length)
	if n, err := io.CopyN(io.Discard, c.RequestBodyStream(), min(left, drainLimit)); err != nil || n < left {
		c.SetConnectionClose()
	}
}

// refuse answers what the router or the parser below it refuses. Their own
// words hold what was received, so they are not used.
func (s *server) refuse(f *fiber.Ctx, err error) error {
	c := f.Context()
	r, ok := c.UserValue(requestKey{}).(*incoming)
	if !ok {
		r = &incoming{method: "?"} // the head was not understood
		defer func() { s.api.record(r, c.Response.StatusCode(), 0) }()
	}
	status := fiber.StatusBadRequest
	var framework *fiber.Error
	if errors.As(err, &framework) {
		status = framework.Code
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		status = fiber.StatusRequestTimeout
	}
	p := wire.ProblemOf(refusals[status])
	if p.Status == 500 {
		p = wire.ProblemOf(refusals[fiber.StatusBadRequest])
	}
	switch status {
	case fiber.StatusRequestTimeout:
		p.Status, p.Title = status, "request timeout"
	case fiber.StatusRequestHeaderFieldsTooLarge:
		p.Status, p.Title = status, "request header fields too large"
	}
	send(c, problemReply(p))
	return nil
}

// refusals are the answers by the status that the framework gives.
var refusals = map[int]error{
	fiber.StatusBadRequest:                  wire.Errorf(wire.Invalid, "", "the request is malformed or incomplete"),
	fiber.StatusNotFound:                    wire.Errorf(wire.NotExist, "", "no such path"),
	fiber.StatusMethodNotAllowed:            wire.Errorf(wire.Method, "", "the path has other methods"),
	fiber.StatusRequestTimeout:              wire.Errorf(wire.Invalid, "", "the request did not arrive in time"),
	fiber.StatusRequestEntityTooLarge:       wire.Errorf(wire.TooLarge, "body", "the body is too large"),
	fiber.StatusRequestHeaderFieldsTooLarge: wire.Errorf(wire.TooLarge, "headers", "the headers are too large"),
}

// headersOfAll are names in the form that fasthttp would bring them into, and values.
var headersOfAll = [][2][]byte{
	{[]byte("Cache-Control"), []byte("no-store")},
	{[]byte("X-Content-Type-Options"), []byte("nosniff")},
	{[]byte("Referrer-Policy"), []byte("no-referrer")},
	{[]byte("Content-Security-Policy"), []byte("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' blob:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")},
	{[]byte("Cross-Origin-Opener-Policy"), []byte("same-origin")},
	{[]byte("Cross-Origin-Resource-Policy"), []byte("same-origin")},
}

// send writes a reply, and the headers that all of them have.
func send(c *fasthttp.RequestCtx, r reply) {
	h := &c.Response.Header
	c.SetStatusCode(r.status)
	h.SetNoDefaultContentType(true)
	if r.contentType != "" {
		h.SetContentType(r.contentType)
	}
	for _, same := range headersOfAll {
		h.SetCanonical(same[0], same[1])
	}
	if r.cache != "" {
		h.SetCanonical(headersOfAll[0][0], []byte(r.cache))
	}
	for _, own := range r.headers {
		h.Set(own[0], own[1])
	}
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(r.retryAfter, 10))
	}
	if len(r.checkpoint) > 0 {
		h.Set(wire.HeaderCheckpoint, base64.StdEncoding.EncodeToString(r.checkpoint))
	}
	if r.status == fiber.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if r.value == nil {
		c.Response.SetBodyRaw(r.body)
		return
	}
	buffer := c.Response.SwapBody(nil) // of a pool, where fasthttp puts it back
	c.Response.SwapBody(wire.AppendJSON(buffer[:0], r.value))
}

// sendEvents takes the connection over for an answer without an end, which closes
// it.
func sendEvents(c *fasthttp.RequestCtx, r reply, shared [][2]string) {
	head := "HTTP/1.1 200 OK\r\nDate: " + string(fasthttp.AppendHTTPDate(nil, time.Now())) + "\r\nConnection: close\r\nX-Accel-Buffering: no\r\nContent-Type: " + r.contentType + "\r\n"
	for _, same := range headersOfAll {
		head += string(same[0]) + ": " + string(same[1]) + "\r\n"
	}
	for _, h := range shared {
		head += h[0] + ": " + h[1] + "\r\n"
	}
	c.HijackSetNoResponse(true)
	c.Hijack(func(conn net.Conn) {
		if _, err := io.WriteString(conn, head+"\r\n"); err == nil {
			r.events(conn)
		}
	})
}

// listen serves l until shutdown.
func (s *server) listen(l net.Listener) error { return s.app.Listener(l) }

// shutdown ends the server gracefully until ctx ends, and then at once.
func (s *server) shutdown(ctx context.Context) error {
	defer s.stop()
	return s.app.ShutdownWithContext(ctx)
}
