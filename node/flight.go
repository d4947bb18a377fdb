package node

import (
	"context"
	"sync"
)

// locks are mutexes by name. They may be held while other nodes are asked. The zero
// value is ready.
type locks[K comparable] struct {
	mu   sync.Mutex
	held map[K]*namedLock
}

type namedLock struct {
	place chan struct{} // for the one who holds it
	users int
}

// lock waits for the lock of k and returns what releases it.
func (l *locks[K]) lock(k K) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[K]*namedLock)
	}
	h := l.held[k]
	if h == nil {
		h = &namedLock{place: make(chan struct{}, 1)}
		l.held[k] = h
	}
	h.users++
	l.mu.Unlock()
	h.place <- struct{}{}
	return func() {
		<-h.place
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.held, k)
		}
	}
}

// flights let those who want the same thing at the same time get it once. The
// zero value is ready.
type flights[K comparable, V any] struct {
	mu    sync.Mutex
	under map[K]*flight[V]
}

type flight[V any] struct {
	done chan struct{}
	v    V
	err  error
}

// join waits for what get returns, or for ctx. If it is under way already, it
// waits for that. get goes on when nobody waits any more; spawn runs it.
func (f *flights[K, V]) join(ctx context.Context, spawn func(func()) error, k K, get func() (V, error)) (V, error) {
	f.mu.Lock()
	one := f.under[k]
	if one == nil {
		one = &flight[V]{done: make(chan struct{})}
		err := spawn(func() {
			one.v, one.err = get()
			f.mu.Lock()
			delete(f.under, k)
			f.mu.Unlock()
			close(one.done)
		})
		if err != nil {
			f.mu.Unlock()
			return one.v, err
		}
		if f.under == nil {
			f.under = make(map[K]*flight[V])
		}
		f.under[k] = one
	}
	f.mu.Unlock()
	defer waiting(ctx)()
	select {
	case <-one.done:
		return one.v, one.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
