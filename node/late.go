package node

import (
	"container/list"
	"sync"
)

// lateAfter is how long ago the node of an author may have been heard before
// readers are told since when they see a copy as it was. Other processes of this
// node hear of it every saveAsOf.
const lateAfter = 2 * saveAsOf

// timely keeps the copies that are not late, the one that was heard of first in
// front: to find those that have become late costs nothing while there are none.
type timely struct {
	mu      sync.Mutex
	inOrder list.List // of *stream
}

// heardOf notes that a copy is what the author's node has at a time, ms since 1970.
func (n *Node) heardOf(s *stream, at int64) {
	n.timely.mu.Lock()
	s.asOf.Store(at)
	again := s.inOrder == nil
	if again {
		s.inOrder = n.timely.inOrder.PushBack(s)
		s.late.Store(false)
	} else {
		n.timely.inOrder.MoveToBack(s.inOrder)
	}
	n.timely.mu.Unlock()
	if again {
		n.changes.ofStream(s)
	}
}

// noteLate finds the copies that have become late. Those from the future are
// among them, which are there when the clock went back.
func (n *Node) noteLate() {
	n.timely.mu.Lock()
	defer n.timely.mu.Unlock()
	now := n.now().UnixMilli()
	for first := n.timely.inOrder.Front(); first != nil; first = n.timely.inOrder.Front() {
		s := first.Value.(*stream)
		if age := now - s.asOf.Load(); age >= 0 && age <= lateAfter.Milliseconds() {
			return
		}
		n.timely.inOrder.Remove(first)
		s.inOrder = nil
		s.late.Store(true)
		n.changes.ofStream(s)
	}
}

// lateSince returns when the author's node was last heard, ms since 1970; 0 if
// that is not long ago.
func (s *stream) lateSince() int64 {
	if !s.late.Load() {
		return 0
	}
	return s.asOf.Load()
}
