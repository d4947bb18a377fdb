package bolt

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A walk goes through the pairs of a query, within a transaction. It looks at
// each pair, and at the one before the first and the one behind the last: only
// if those are in order, too, none is missing.
type walk struct {
	cursor *cursor
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

// deleted reports whether it says that a record is no more.
func (f finding) deleted() bool { return f.err == nil && f.stored == nil }

// maxIllegible is how many keys in a row may be other than what was written.
const maxIllegible = 1000

// What a walk gives a page up for.
var (
	errOrder     = errors.New("its keys are not in order")
	errIllegible = errors.New("none of its keys is what was written")
)

// batch walks until the query or its limit ends. The error is that of a page
// that leads on no further.
func (w *walk) batch() (broken error) {
	defer func() {
		if p := recover(); p != nil {
			broken = fmt.Errorf("%v", p)
		}
	}()
	w.found = make([]finding, 0, w.q.Limit)
	for p := w.first(); p.key != nil && !w.full(); p = w.next() {
		if p.legible() && !w.inOrder(p.key) {
			if w.beyondEnd(p.key) {
				return nil
			}
			return errOrder // a page that leads back would do so for ever
		}
		w.take(p)
	}
	if w.more = w.full(); w.more && w.last == nil {
		return errIllegible
	}
	return nil
}

// full reports whether enough was found to go on from there later.
func (w *walk) full() bool {
	if w.last == nil {
		return len(w.found) >= maxIllegible
	}
	return len(w.found) >= w.q.Limit || w.size >= maxBatchBytes
}

// first returns the first pair of the query, and leaves the cursor there.
func (w *walk) first() pair {
	bound := w.q.From
	if w.q.Reverse {
		bound = w.q.To
	}
	var at, before pair
	if w.q.Reverse && (bound == "" || w.q.begun) {
		at.key, at.stored = w.cursor.Before([]byte(bound))
		return at
	}
	at.key, at.stored = w.cursor.Seek([]byte(bound))
	switch {
	case w.q.begun:
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

// take adds a pair to what was found.
func (w *walk) take(p pair) {
	switch {
	case !p.legible():
		w.note()
		return
	default:
		f := p.finding()
		w.found, w.size = append(w.found, f), w.size+len(f.stored)
	}
	w.last = p.key
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
	other := walk{cursor: w.cursor.tree.cursor(), q: &scan{Query: w.q.Query}}
	other.q.Reverse = !w.q.Reverse
	defer func() {
		recover() // that page again
		key = string(other.last)
	}()
	illegible := 0
	for p := other.first(); p.key != nil && illegible < maxIllegible; p = other.next() {
		if !p.legible() {
			illegible++
			continue
		}
		if !other.inOrder(p.key) {
			break
		}
		other.last, illegible = p.key, 0
	}
	return string(other.last)
}

// reach returns the part of the query about which the walk knows all, or that all
// of it is lost up to next.
func (w *walk) reach(broken error, next string) store.Query {
	q, end := w.q.Query, next
	switch {
	case broken == nil && !w.more, broken != nil && next == "":
		return q
	case broken == nil:
		end = string(w.last)
	}
	if q.Reverse == (broken != nil) {
		end = store.After(end)
	}
	if q.Reverse {
		q.From = end
	} else {
		q.To = end
	}
	return q
}
