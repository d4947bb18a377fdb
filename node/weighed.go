package node

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A weighed cache holds no more than a number of bytes, by what its entries say
// they take. Who was not asked for the longest goes first. Use newWeighed.
type weighed[K comparable, V interface{ weight() int }] struct {
	mu    sync.Mutex
	known *simplelru.LRU[K, V]
	bytes int
	most  int
}

func newWeighed[K comparable, V interface{ weight() int }](most int) *weighed[K, V] {
	w := &weighed[K, V]{most: most}
	w.known, _ = simplelru.NewLRU(math.MaxInt, func(_ K, gone V) { w.bytes -= gone.weight() }) // fails for no positive size
	return w
}

func (w *weighed[K, V]) get(k K) (V, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known.Get(k)
}

// peek is get that does not count as asking.
func (w *weighed[K, V]) peek(k K) (V, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known.Peek(k)
}

// add keeps v, which has to weigh the same for ever, in the place of what was
// there. What is heavier than all may be is not kept.
func (w *weighed[K, V]) add(k K, v V) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.Remove(k)
	w.known.Add(k, v)
	for w.bytes += v.weight(); w.bytes > w.most; {
		w.known.RemoveOldest()
	}
}

func (w *weighed[K, V]) remove(k K) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.Remove(k)
}

// removeAll removes what is kept of those for which of holds.
func (w *weighed[K, V]) removeAll(of func(K) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.known.Keys() {
		if of(k) {
			w.known.Remove(k)
		}
	}
}

func (w *weighed[K, V]) purge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.Purge()
}
