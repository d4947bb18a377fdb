package node

import (
	"context"
	"sync/atomic"
	"time"
)

// sharedFor is how long requests that begin one after the other share a context.
const sharedFor = time.Second

// untils are the contexts of requests. Each ends requestTime after a request began
// that has it, and at most sharedFor later. They are shared, since a timer and the
// tree of contexts cost as much as all that is checked of a request's head.
type untils struct {
	gate    *gate
	base    context.Context // ends when all requests have to
	current atomic.Pointer[until]
}

// An until is what the requests of a second have.
type until struct {
	outside, inside context.Context // of requests that the gate does not count, and counts
	begun           time.Time
}

// at returns the contexts of a request that begins now.
func (u *untils) at(now time.Time) *until {
	one := u.current.Load()
	if one != nil && now.Sub(one.begun) < sharedFor {
		return one
	}
	ctx, cancel := context.WithTimeout(u.base, requestTime+sharedFor)
	context.AfterFunc(ctx, cancel) // whoever has it may go on until then
	one = &until{outside: ctx, inside: context.WithValue(ctx, gated{}, u.gate), begun: now}
	u.current.Store(one) // of several at once, the last is shared
	return one
}
