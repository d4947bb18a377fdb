package node

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	maxWatchers = 8                      // of one person
	watchBeat   = 15 * time.Second       // without an event, until a sign of life
	watchPause  = 2 * time.Millisecond   // after events: of what happens often the last is enough
	watchWrite  = 5 * time.Second        // until a reader is cut off who takes nothing
	watchLook   = 100 * time.Millisecond // between looks at what other processes changed
	watchRetry  = 2000                   // ms, until a client comes again
)

// Kinds of events.
const (
	eventFeed uint32 = 1 << iota
	eventFriends
)

// A watcher is one event stream of a person: an endless answer that says when
// there is something new. What has not been written yet is at most one event of
// each kind, however slow the reader is.
type watcher struct {
	person *Person
	last   string        // id of the last event that the reader got, or empty
	what   atomic.Uint32 // not written yet
	wake   chan struct{}
	over   chan struct{}
	once   sync.Once
}

// Watch begins an event stream: a function that writes events to a connection
// until that breaks, the session ends or the node closes. last is the id of the
// last event that the person got, or empty; what may have happened since is told
// first. Unauthenticated for a person without a session.
func (p *Person) Watch(last string) (func(net.Conn), error) {
	if p.session == nil {
		return nil, unauthenticated()
	}
	w := &watcher{person: p, last: last, wake: make(chan struct{}, 1), over: make(chan struct{})}
	return w.serve, nil
}

// newsSince returns of which kinds there may have been events since one with an id.
func (p *Person) newsSince(ctx context.Context, last string) (uint32, error) {
	const anything = eventFeed | eventFriends
	before, known := p.node.openState(p.account, last)
	if !known || p.node.changes.about(p.account) > before {
		return anything, nil
	}
	streams, all := p.node.changes.since(before, changesKept)
	if !all {
		return anything, nil
	}
	c, err := p.node.circle(ctx, p.account)
	if err != nil {
		return 0, err
	}
	for _, s := range streams {
		if _, reads := c.reads(p.account, s); reads {
			return eventFeed, nil
		}
	}
	return 0, nil
}

// tell notes what happened, for the reader to be told.
func (w *watcher) tell(what uint32) {
	w.what.Or(what)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) end() { w.once.Do(func() { close(w.over) }) }

// serve writes events to c.
func (w *watcher) serve(c net.Conn) {
	n := w.person.node
	n.live.add(w)
	defer n.live.remove(w)
	news, err := w.person.newsSince(n.ctx, w.last)
	if err != nil || !w.goesOn() {
		return
	}
	w.what.Or(news)
	b := fmt.Appendf(nil, "retry: %d\n\n", watchRetry)
	b = append(b, w.events()...)
	beat := time.NewTicker(watchBeat)
	defer beat.Stop()
	for {
		if c.SetWriteDeadline(time.Now().Add(watchWrite)) != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
		time.Sleep(watchPause)
		select {
		case <-w.wake:
			b = w.events()
			beat.Reset(watchBeat)
		case <-beat.C:
			b = []byte(":\n\n")
		case <-w.over:
			return
		case <-n.ctx.Done():
			return
		}
		if !w.goesOn() {
			return
		}
	}
}

// goesOn reports whether the session has not ended.
func (w *watcher) goesOn() bool {
	n := w.person.node
	s := w.person.session
	_, err := n.session(n.ctx, wire.ShelfOf(s.Account), s.hash)
	return err == nil
}

// events puts what happened into words.
func (w *watcher) events() (b []byte) {
	n := w.person.node
	id := n.stateAt(w.person.account, n.changes.now()) // before anything that may change
	what := w.what.Swap(0)
	if what&eventFriends != 0 {
		b = append(b, "event: "+wire.EventFriends+"\ndata: {}\n\n"...)
	}
	if what&eventFeed != 0 {
		b = append(b, "event: "+wire.EventFeed+"\nid: "+id+"\ndata: {}\n\n"...)
	}
	return b
}
