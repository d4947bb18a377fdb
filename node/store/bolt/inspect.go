package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

var _ store.Inspector = (*Store)(nil)

// metaPages is how many pages a file begins with that are of no tree.
const metaPages = 2

// errSeen ends the transaction of an inspection, in which nothing is changed.
var errSeen = errors.New("all was looked at")

// Inspect implements store.Inspector. It looks at every page: that one branch leads
// to it, to keys that lie between those of the branch, in order, and that it is not
// on the list of free pages, as one is that was written over since; and that
// nothing leads to the others but that list. A record that is another one than it
// should be, though it is whole, is seen by that alone.
func (s *Store) Inspect(ctx context.Context) ([]store.Flaw, error) {
	i := inspection{ctx: ctx}
	err := s.update(func(b *bbolt.Bucket) error { return i.run(b.Tx()) })
	if !errors.Is(err, errSeen) {
		return nil, fmt.Errorf("bolt: inspect: %w", err)
	}
	return i.flaws, nil
}

// An inspection walks through all trees of a file. It is a write transaction, since
// only one knows which pages are free.
type inspection struct {
	content
	ctx   context.Context
	used  []bool // by page
	flaws []store.Flaw
}

func (i *inspection) run(tx *bbolt.Tx) error {
	i.content = contentOf(tx)
	i.used = make([]bool, uint64(len(i.data))/i.pageSize)
	i.visit(i.root, nil, nil)
	lost, first := 0, 0
	for id := metaPages; id < len(i.used); id++ {
		info, err := tx.Page(id)
		switch {
		case err != nil:
			return err
		case info.Type == "free" && i.used[id]:
			i.flaw(uint64(id), "it is in use, and on the list of free pages")
		case info.Type == "free" || i.used[id]:
		case info.Type == "freelist":
			id += info.OverflowCount
		default:
			if lost++; lost == 1 {
				first = id
			}
		}
	}
	if lost > 0 {
		i.flaw(uint64(first), fmt.Sprintf("nothing leads to it, and it is not free (%d pages in all)", lost))
	}
	if err := i.ctx.Err(); err != nil {
		return err
	}
	return errSeen
}

func (i *inspection) flaw(id uint64, problem string) {
	i.flaws = append(i.flaws, store.Flaw{Place: fmt.Sprint("page ", id), Problem: problem})
}

// visit looks at a page, whose keys have to lie within bounds (nil: none), and what
// it leads to.
func (i *inspection) visit(id uint64, from, to []byte) {
	defer func() {
		if p := recover(); p != nil {
			i.flaw(id, fmt.Sprint(p))
		}
	}()
	if i.ctx.Err() != nil {
		return
	}
	p := i.page(id)
	for n := range uint64(len(p.b)) / i.pageSize {
		if i.used[id+n] {
			i.flaw(id, "more than one other leads to it")
			return
		}
		i.used[id+n] = true
	}
	i.look(p, from, to)
}

// look looks at the keys of a page.
func (i *inspection) look(p page, from, to []byte) {
	for n := range p.count {
		key, end := p.key(n), to
		if n+1 < p.count {
			end = p.key(n + 1)
		}
		if bytes.Compare(key, from) < 0 || end != nil && bytes.Compare(key, end) >= 0 {
			i.flaw(p.id, "its keys are not in order, or not those that lead to it")
			return
		}
		from = key
		if !p.leaf {
			i.visit(p.child(n), key, end)
		} else if p.flags(n) == bucketFlag {
			i.enter(p, key)
		}
	}
}

// enter looks at a bucket.
func (i *inspection) enter(p page, name []byte) {
	switch t, ok := i.bucket(name); {
	case !ok:
		i.flaw(p.id, "it calls a record a bucket")
	case t.root == 0:
		i.look(t.top(), nil, nil)
	default:
		i.visit(t.root, nil, nil)
	}
}
