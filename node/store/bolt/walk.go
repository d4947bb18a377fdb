package bolt

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A walk goes through the pairs of a query, within a transaction. It looks at
// each pair, and at the one before the first and the one behind the last: only
// if those are in order, too, none is missing.
type walk struct {
	cursor *bbolt.Cursor
	q      *scan
	found  []finding
	size   int    // bytes of what was found
	more   bool   // it may not have come to the end
	last   []byte // the last key that could be read, within the query; in the file
}

// A finding is a pair, or an error in its place.
type finding struct {
	pair
	err error
}

// batch walks until the query or its limit ends. The error is that of a page
// that cannot be read.
func (w *walk) batch() (broken error) {
	defer func() {
		if p := recover(); p != nil {
			broken = fmt.Errorf("a page of the file: %v", p)
		}
	}()
	w.found = make([]finding, 0, w.q.Limit)
	for p := w.first(); p.key != nil && !w.full() && w.take(p); p = w.next() {
	}
	w.more = w.full()
	return nil
}

func (w *walk) full() bool { return len(w.found) >= w.q.Limit || w.size >= maxBatchBytes }

// first returns the first pair of the query, and leaves the cursor there.
func (w *walk) first() pair {
	bound := w.q.From
	if w.q.Reverse {
		bound = w.q.To
	}
	var at, before pair
	if w.q.Reverse && bound == "" {
		at.key, at.stored = w.cursor.Last()
		return at
	}
	at.key, at.stored = w.cursor.Seek([]byte(bound))
	switch {
	case w.q.begun && !w.q.Reverse:
		return at
	case at.key == nil:
		before.key, before.stored = w.cursor.Last()
	default:
		before.key, before.stored = w.cursor.Prev()
	}
	inner, outer := at, before
	if w.q.Reverse {
		inner, outer = before, at
	}
	if !w.q.begun && outer.key != nil && (!outer.legible() || w.within(outer.key)) {
		w.note()
	}
	if !w.q.Reverse && at.key != nil && before.key != nil {
		w.cursor.Next()
	}
	return inner
}

func (w *walk) next() (p pair) {
	if w.q.Reverse {
		p.key, p.stored = w.cursor.Prev()
	} else {
		p.key, p.stored = w.cursor.Next()
	}
	return p
}

func (w *walk) within(key []byte) bool {
	return string(key) >= w.q.From && (w.q.To == "" || string(key) < w.q.To)
}

// take adds a pair to what was found. It reports false behind the end.
func (w *walk) take(p pair) bool {
	switch {
	case !p.legible():
		w.note()
	case !w.within(p.key) && w.beyondEnd(p.key):
		return false
	case !w.inOrder(p.key):
		w.note()
	case !p.intact():
		w.last = p.key
		w.found = append(w.found, finding{pair{p.key, nil}, &store.DamagedError{Key: string(p.key), Detail: "its checksum does not fit"}})
	default:
		w.last = p.key
		w.found, w.size = append(w.found, finding{p, nil}), w.size+len(p.stored)
	}
	return true
}

// beyondEnd reports whether a key outside of the query lies where the walk ends.
func (w *walk) beyondEnd(key []byte) bool {
	if w.q.Reverse {
		return string(key) < w.q.From
	}
	return w.q.To != "" && string(key) >= w.q.To
}

// inOrder reports whether a key is within the query, and behind the last.
func (w *walk) inOrder(key []byte) bool {
	if !w.within(key) {
		return false
	}
	if w.q.Reverse {
		return w.last == nil || bytes.Compare(key, w.last) < 0
	}
	return bytes.Compare(key, w.last) > 0
}

// note puts an error in the place of a pair whose key is not what was written, or
// does not belong there.
func (w *walk) note() {
	e := &store.DamagedError{From: w.q.From, To: w.q.To, Detail: "a key is not what was written, or not in order"}
	if w.last != nil && w.q.Reverse {
		e.To = string(w.last)
	} else if w.last != nil {
		e.From = string(w.last)
	}
	w.found = append(w.found, finding{err: e})
}

// beyond returns the key of the query that is next to a page that cannot be
// read, on its other side; empty if there is none. It comes from the other end.
func (w *walk) beyond() (key string) {
	other := walk{cursor: w.cursor.Bucket().Cursor(), q: &scan{Query: w.q.Query}}
	other.q.Reverse = !w.q.Reverse
	defer func() {
		recover() // that page again
		key = string(other.last)
	}()
	for p := other.first(); p.key != nil; p = other.next() {
		if p.legible() && !other.within(p.key) && other.beyondEnd(p.key) {
			break
		}
		if p.legible() && other.inOrder(p.key) {
			other.last = p.key
		}
	}
	return string(other.last)
}
