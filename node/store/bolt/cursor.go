package bolt

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// A cursor goes through the keys of a tree. It does what bbolt's does, from which
// it differs in what it makes of damage: in a page whose pointer leads back up the
// tree, bbolt goes down for ever, until there is no room on its stack, or no
// memory, and the process ends. A cursor goes down maxDepth pages, and panics,
// which ends a call.
type cursor struct {
	tree
	stack []spot
	room  [4]spot // for it, as a rule
}

// A spot is an element of a page.
type spot struct {
	page
	index    int
	from, to []byte // where at least one of the keys of the page has to be; nil: no bound
}

// maxDepth is how many pages there can be between root and leaf: each branch has
// two children at least.
const maxDepth = 40

func (t tree) cursor() *cursor {
	c := &cursor{tree: t}
	c.stack = c.room[:0]
	return c
}

// Seek moves to a key, or the first behind it, and returns it with its value; nil if
// there is none. What the cursor returns is valid as long as its transaction.
func (c *cursor) Seek(key []byte) (found, value []byte) {
	c.find(key)
	if s := c.at(); s.index >= s.count {
		return c.Next()
	}
	return c.pair()
}

// Before moves to the last key before a key, or to the last there is where the key
// is empty.
func (c *cursor) Before(key []byte) (found, value []byte) {
	if len(key) == 0 {
		return c.Last()
	}
	c.find(key)
	return c.Prev()
}

// find goes down to the place in a leaf where a key is, or would be.
func (c *cursor) find(key []byte) {
	c.stack = append(c.stack[:0], spot{page: c.top()})
	for c.at().index = c.at().search(key); !c.at().leaf; c.at().index = c.at().search(key) {
		c.down()
	}
}

// astray reports whether a page on the way to where the cursor is has other keys than
// the branch above leads to.
func (c *cursor) astray() bool {
	var end []byte
	for i, s := range c.stack[1:] {
		above := c.stack[i]
		if above.index+1 < above.count {
			end = above.key(above.index + 1)
		}
		if bytes.Compare(s.key(0), above.key(above.index)) < 0 || end != nil && bytes.Compare(s.key(s.count-1), end) >= 0 {
			return true
		}
	}
	return false
}

// search returns the index of the first key of a leaf that is not before a key,
// or that of the child of a branch in which it has to be.
func (p page) search(key []byte) int {
	low, high := 0, p.count
	for low < high {
		middle := (low + high) / 2
		if order := bytes.Compare(p.key(middle), key); order < 0 || order == 0 && !p.leaf {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if p.leaf {
		return low
	}
	return max(0, low-1)
}

// First moves to the first key.
func (c *cursor) First() (key, value []byte) {
	c.stack = append(c.stack[:0], spot{page: c.top()})
	return c.leaf(false)
}

// Last moves to the last key.
func (c *cursor) Last() (key, value []byte) {
	p := c.top()
	c.stack = append(c.stack[:0], spot{page: p, index: p.count - 1})
	return c.leaf(true)
}

// Next moves to the next key. Behind the last it stays where it is.
func (c *cursor) Next() (key, value []byte) {
	for i, s := range slices.Backward(c.stack) {
		if s.index+1 < s.count {
			c.stack = c.stack[:i+1]
			c.at().index++
			return c.leaf(false)
		}
	}
	return nil, nil
}

// Prev moves to the key before. At the first it stays where it is.
func (c *cursor) Prev() (key, value []byte) {
	for i, s := range slices.Backward(c.stack) {
		if s.index > 0 {
			c.stack = c.stack[:i+1]
			c.at().index--
			return c.leaf(true)
		}
	}
	return nil, nil
}

func (c *cursor) at() *spot { return &c.stack[len(c.stack)-1] }

// leaf goes down to the first key below where it is, or the last.
func (c *cursor) leaf(last bool) (key, value []byte) {
	for !c.at().leaf {
		c.down()
		if last {
			c.at().index = c.at().count - 1
		}
	}
	if c.at().count == 0 {
		return nil, nil
	}
	return c.pair()
}

// down goes to the page that a branch leads to.
func (c *cursor) down() {
	s := c.at()
	if len(c.stack) == maxDepth {
		panic(fmt.Sprintf("page %d leads to no leaf", s.id))
	}
	c.stack = append(c.stack, c.below(s, s.index))
}

// below returns the page that the i-th element of a branch leads to. That is another
// one than those beside, and has keys where it should, give or take one key of the
// branch: if that is what is damaged, the way is none the less right.
func (c *cursor) below(s *spot, i int) spot {
	next := spot{page: c.page(s.child(i)), from: s.from, to: s.to}
	if i > 0 {
		next.from = s.key(i - 1)
	}
	if i+2 < s.count {
		next.to = s.key(i + 2)
	}
	twice := i > 0 && s.child(i-1) == next.id || i+1 < s.count && s.child(i+1) == next.id
	if twice || next.count == 0 || !next.crosses(next.from, next.to) {
		panic(fmt.Sprintf("page %d leads to page %d, which is another", s.id, next.id))
	}
	return next
}

// crosses reports whether a page may have keys within bounds.
func (p page) crosses(from, to []byte) bool {
	first, ok := p.readable(0)
	last, also := p.readable(p.count - 1)
	return !ok || !also || bytes.Compare(last, from) >= 0 && (to == nil || bytes.Compare(first, to) < 0)
}

func (c *cursor) pair() (key, value []byte) { return c.at().pair(c.at().index) }
func (c *cursor) flags() uint32             { return c.at().flags(c.at().index) }

// A way is where the keys of a bucket are before anything of a transaction is
// committed.
type way struct {
	cursor *cursor // nil: there is no such bucket
	passed []spot  // how it went to the last key that was passable
}

func wayIn(tx *bbolt.Tx, bucket []byte) *way {
	t, ok := contentOf(tx).bucket(bucket)
	if !ok {
		return new(way)
	}
	return &way{cursor: t.cursor()}
}

// passable panics unless bbolt may be asked to change a key: it goes the same way
// once more, and where it deletes, what becomes too small is put into the pages
// beside.
func (w *way) passable(key []byte) {
	c := w.cursor
	if c == nil {
		return
	}
	c.find(key)
	s := c.at()
	if s.index < s.count && bytes.Equal(s.key(s.index), key) && c.flags() != 0 {
		panic(fmt.Sprintf("page %d calls a record a bucket", s.id))
	}
	if slices.EqualFunc(c.stack, w.passed, func(a, b spot) bool { return a.id == b.id && (a.leaf || a.index == b.index) }) {
		return // as to the key before
	}
	if c.astray() {
		panic(fmt.Sprintf("page %d has other keys than those that lead there", s.id))
	}
	for depth, s := range c.stack[:len(c.stack)-1] {
		below := c.stack[depth+1]
		for i := max(0, s.index-1); i < min(s.count, s.index+2); i++ {
			beside := c.below(&s, i)
			if i != s.index && (beside.leaf != below.leaf || slices.ContainsFunc(c.stack, func(s spot) bool { return s.id == beside.id })) {
				panic(fmt.Sprintf("page %d leads to page %d, which is none beside", s.id, beside.id))
			}
		}
	}
	w.passed = append(w.passed[:0], c.stack...)
}
