package federation

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A bucket allows burst events at once and rate per second in the long run.
type bucket struct {
	rate, burst float64
	mu          sync.Mutex
	used        float64
	at          time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.used = max(0, b.used-passed*b.rate)
		b.at = now
	}
	if b.used+1 > b.burst {
		return false
	}
	b.used++
	return true
}

// An lru is a bounded map for concurrent use; the least recently used goes first.
type lru[V any] struct {
	mu sync.Mutex
	m  *simplelru.LRU[wire.NodeName, V]
}

func newLRU[V any](size int) *lru[V] {
	m, err := simplelru.NewLRU[wire.NodeName, V](size, nil)
	if err != nil {
		panic("federation: " + err.Error()) // size is a positive constant
	}
	return &lru[V]{m: m}
}

func (l *lru[V]) get(n wire.NodeName) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m.Get(n)
}

func (l *lru[V]) set(n wire.NodeName, v V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m.Add(n, v)
}

func (l *lru[V]) drop(n wire.NodeName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m.Remove(n)
}

// names returns what there is something of.
func (l *lru[V]) names() []wire.NodeName {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m.Keys()
}

// sweep drops what is old.
func (l *lru[V]) sweep(old func(V) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.m.Keys() {
		if v, ok := l.m.Peek(n); ok && old(v) {
			l.m.Remove(n)
		}
	}
}

// gates let few requests at once through to each peer. A gate exists while
// somebody is at it.
type gates struct {
	mu sync.Mutex
	m  map[wire.NodeName]*gate
}

type gate struct {
	places chan struct{}
	users  int
}

func (g *gates) join(n wire.NodeName) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.m[n]
	if p == nil {
		p = &gate{places: make(chan struct{}, maxAtOnce)}
		g.m[n] = p
	}
	p.users++
	return p
}

func (g *gates) leave(n wire.NodeName, p *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(g.m, n)
	}
}
