package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// call asks a node and decodes its answer into out; nil for answers without
// content. Errors of the node keep their kind.
func (c *Client) call(ctx context.Context, r *Request, in, out any) (*Response, error) {
	if in != nil {
		r.Body = wire.EncodeJSON(in)
	}
	answer, err := c.answer(ctx, r)
	if err != nil {
		return answer, err
	}
	if out == nil {
		return answer, nil
	}
	if err := wire.DecodeJSON(answer.Body, out); err != nil {
		return answer, wire.Errorf(wire.Unavailable, "node", "the answer of %s is not understood (%s)", r.Node, reason(err))
	}
	return answer, nil
}

// A node that is busy says when to come again, and that it did nothing: so the
// same request is sent again, a few times and not all at the same moment.
const (
	busyTries = 4
	busyWait  = 5 * time.Second // at most
)

// answer sends r until the node is not busy. An answer comes with an error unless
// it is a success.
func (c *Client) answer(ctx context.Context, r *Request) (*Response, error) {
	for try := 1; ; try++ {
		answer, err := c.transport.Do(ctx, r)
		if err != nil {
			return nil, err
		}
		if answer.Status >= 200 && answer.Status <= 299 {
			return answer, nil
		}
		refused := refusal(r.Node, answer)
		if refused.Kind != wire.Unavailable || refused.RetryAfter == 0 || try == busyTries {
			return answer, refused
		}
		wait := min(refused.RetryAfter, busyWait)
		select {
		case <-time.After(wait + rand.N(wait)):
		case <-ctx.Done():
			return answer, refused
		}
	}
}

// refusal turns an error answer back into the error.
func refusal(node wire.NodeName, answer *Response) *wire.Error {
	var p wire.Problem
	if err := wire.DecodeJSON(answer.Body, &p); err != nil || p.Code.Status() != answer.Status {
		return wire.Errorf(wire.Unavailable, "node", "%s answers with status %d and nothing that is understood", node, answer.Status)
	}
	e := p.Err()
	e.Field, e.Detail = printable(e.Field), printable(e.Detail)
	if e.Kind == wire.Internal {
		e.Field, e.Detail = "node", string(node)+" failed to answer"
	}
	return e
}

// printable makes words of a node fit for a terminal and a log.
func printable(s string) string {
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s), "?")
}

// ask is call for a home node: it notes the node's clock.
func (c *Client) ask(ctx context.Context, r *Request, in, out any) error {
	answer, err := c.call(ctx, r, in, out)
	if answer != nil {
		c.skew.heard(r.Node, answer.Date, c.now())
	}
	return c.skew.explain(err)
}

// home asks the home node in the session, with a code if it wants one.
func (p *Person) home(ctx context.Context, method, path string, in, out any) error {
	err := p.c.withCode(ctx, func(code wire.FactorCode) error {
		return p.c.ask(ctx, &Request{Method: method, Node: p.session.Address.Node, Path: path, Token: p.session.Token, Code: code}, in, out)
	})
	if errors.Is(err, wire.Unauthenticated) {
		return sessionEnded(p.session.Address)
	}
	return err
}

// sessionEnded says what a node does not: why it knows a session no more.
func sessionEnded(a wire.Address) error {
	return wire.Errorf(wire.Unauthenticated, "session", "the session of %s has ended: it was ended elsewhere, the password is a new one, or it was too old", a)
}

func (p *Person) get(ctx context.Context, path string, out any) error {
	return p.home(ctx, "GET", path, nil, out)
}

// reason is what err says, without the name of the field.
func reason(err error) string {
	var e *wire.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

// pathOf fills the words after colons of a path of the API.
func pathOf(pattern string, values ...string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i], values = escape(values[0]), values[1:]
		}
	}
	return strings.Join(parts, "/")
}

// escape writes a value for a path or a query (RFC 3986, section 2.1).
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// skew is how far this device's clock is from the home node's.
type skew struct {
	mu           sync.Mutex
	node         wire.NodeName
	theirs, ours time.Time
}

func (s *skew) heard(node wire.NodeName, theirs, ours time.Time) {
	if !theirs.IsZero() {
		s.mu.Lock()
		s.node, s.theirs, s.ours = node, theirs, ours
		s.mu.Unlock()
	}
}

// explain adds both times to an error about time.
func (s *skew) explain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, wire.Clock) || s.theirs.IsZero() {
		return err
	}
	return s.wrong()
}

// check refuses to date anything while the two clocks disagree.
func (s *skew) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.theirs.IsZero() || s.theirs.Sub(s.ours).Abs() <= wire.MaxSkew {
		return nil
	}
	return s.wrong()
}

func (s *skew) wrong() error {
	const layout = "2006-01-02 15:04:05 UTC"
	return wire.Errorf(wire.Clock, "clock", "this computer's clock says %s, that of %s says %s: one of them is wrong",
		s.ours.UTC().Format(layout), s.node, s.theirs.UTC().Format(layout))
}

// stamp is the time that statements are dated with, in ms since 1970.
func (c *Client) stamp() (int64, error) {
	if err := c.skew.check(); err != nil {
		return 0, err
	}
	return c.now().UnixMilli(), nil
}
