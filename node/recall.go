package node

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A recall remembers what was read of records. Whoever changes one calls forget:
// what was read before does not count, even if it is handed in after.
type recall[K comparable, V any] struct {
	mu      sync.Mutex
	known   *simplelru.LRU[K, V]
	changes uint64
}

func (r *recall[K, V]) init(size int) {
	r.known, _ = simplelru.NewLRU[K, V](size, nil) // fails for no positive size
}

// get returns what is known, and a number for remember.
func (r *recall[K, V]) get(k K) (v V, known bool, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, known = r.known.Get(k)
	return v, known, r.changes
}

// remember keeps v, unless something changed since get returned the number: it may
// have been this, read before it was changed.
func (r *recall[K, V]) remember(k K, v V, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes {
		r.known.Add(k, v)
	}
}

func (r *recall[K, V]) forget(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.known.Remove(k)
}

func (r *recall[K, V]) forgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.known.Purge()
}
