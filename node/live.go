package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// live wakes those who watch (see watcher) when something happens that they can
// read. It says nothing of what: they ask, by the door of everybody else.
type live struct {
	watched atomic.Int64 // watchers; while there are none, events cost nothing

	mu       sync.Mutex
	watchers map[wire.AccountID][]*watcher // of each, the one that came first in front
	streams  map[*stream]struct{}          // that events were about since the loop looked
	people   map[wire.AccountID]struct{}
	all      bool
	over     bool // nobody watches any more
	wake     chan struct{}
}

func (l *live) init() {
	l.watchers = make(map[wire.AccountID][]*watcher)
	l.streams = make(map[*stream]struct{})
	l.people = make(map[wire.AccountID]struct{})
	l.wake = make(chan struct{}, 1)
}

// ofStream notes that a stream has changed.
func (l *live) ofStream(s *stream) {
	l.note(func() { l.streams[s] = struct{}{} })
}

// ofPeople notes that it may be others who are friends with these.
func (l *live) ofPeople(people []wire.AccountID) {
	l.note(func() {
		for _, who := range people {
			l.people[who] = struct{}{}
		}
	})
}

// ofAll notes that anything may have changed.
func (l *live) ofAll() {
	l.note(func() { l.all = true })
}

func (l *live) note(add func()) {
	if l == nil || l.watched.Load() == 0 {
		return
	}
	l.mu.Lock()
	add()
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// add lets a watcher be woken. Of more than maxWatchers of one person the one that
// came first is ended: it may be a device that is gone.
func (l *live) add(w *watcher) {
	l.watched.Add(1) // before anything is read that may change
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.watchers[w.person.account]
	if len(list) >= maxWatchers {
		list[0].end()
		list = list[1:]
	}
	l.watchers[w.person.account] = append(list, w)
	if l.over {
		w.end()
	}
}

// end ends all who watch, and all who begin to.
func (l *live) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.each((*watcher).end)
}

func (l *live) remove(w *watcher) {
	l.watched.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	account := w.person.account
	var left []*watcher
	for _, other := range l.watchers[account] {
		if other != w {
			left = append(left, other)
		}
	}
	if l.watchers[account] = left; len(left) == 0 {
		delete(l.watchers, account)
	}
}

// ended ends those who watch in a session.
func (l *live) ended(session wire.Hash) {
	l.each(func(w *watcher) {
		if w.person.session.hash == session {
			w.end()
		}
	})
}

// each calls f with every watcher.
func (l *live) each(f func(*watcher)) {
	if l.watched.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range l.watchers {
		for _, w := range list {
			f(w)
		}
	}
}

// watches reports whether a person watches here.
func (l *live) watches(who wire.AccountID) bool {
	if l.watched.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watchers[who]) > 0
}

// liveLoop wakes whom events concern, until the node closes.
func (n *Node) liveLoop() {
	l := &n.live
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-l.wake:
		}
		l.mu.Lock()
		streams, people, all := l.streams, l.people, l.all
		l.streams, l.people, l.all = make(map[*stream]struct{}), make(map[wire.AccountID]struct{}), false
		l.mu.Unlock()
		if all {
			l.each(func(w *watcher) { w.tell(eventFeed | eventFriends) })
			continue
		}
		for who := range people {
			l.tell(who, eventFeed|eventFriends)
		}
		for s := range streams {
			n.tellReaders(n.ctx, s)
		}
	}
}

func (l *live) tell(who wire.AccountID, what uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.watchers[who] {
		w.tell(what)
	}
}

// tellReaders wakes those who may read a stream, and maybe some who may not: what
// they can see then has not changed.
func (n *Node) tellReaders(ctx context.Context, s *stream) {
	if s.copy {
		for _, reader := range n.follows.readers(s.name) {
			n.live.tell(reader, eventFeed)
		}
		return
	}
	n.live.tell(s.name.author, eventFeed)
	c, err := n.circle(ctx, s.name.author)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Error("it is not known who watches for an entry", "error", err)
		}
		return
	}
	for i := range c.friends {
		n.live.tell(c.friends[i].link.Value().stream.author, eventFeed)
	}
}
