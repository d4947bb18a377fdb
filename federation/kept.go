package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"
)

// errStale tells that a kept connection was closed before any of an answer came.
// Peers close kept connections when they like, also at the moment at which one is
// used again: that says nothing of the peer. net/http sends a GET again by itself
// then. A POST has to be signed anew, since the peer may have had the first.
var errStale = errors.New("the peer closed a kept connection")

// A use is what one request sees of its connection.
type use struct {
	kept     atomic.Bool // others went over it before
	answered atomic.Bool // a byte of the answer came
}

// watch returns a context for a request that tells u.
func (u *use) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(c httptrace.GotConnInfo) { u.kept.Store(c.Reused) },
		GotFirstResponseByte: func() { u.answered.Store(true) },
	})
}

// judge returns err, as an errStale where that is why the request failed. A peer
// that is silent has not closed anything.
func (u *use) judge(err error) error {
	var timeout interface{ Timeout() bool }
	if err == nil || !u.kept.Load() || u.answered.Load() || errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return fmt.Errorf("%w: %w", errStale, err)
}
