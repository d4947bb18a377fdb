package bolt

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/google/btree"

	"github.com/peerbrain/peerbrain/node/store"
)

// A table holds in memory, in order, what the log has and the file may not have
// yet. One that was published is never changed again: the writer changes a clone,
// which shares all nodes but those that it changes.
type table struct {
	tree  *btree.BTreeG[pair]
	had   *filter
	bytes int // of keys and stored values, an upper bound
}

const tableDegree = 32

// A filter knows of most keys that a table does not have that it never had them, in
// one look instead of one at each of many nodes. All clones of a table share it: that
// it has keys of a later one, or of one that was given up, costs a look in vain.
type filter [filterSize / 64]atomic.Uint64

// filterSize is how many bits a filter has: 128 KiB, of which the 30,000 small records
// of a full table set 3 %.
const filterSize = 1 << 20

var filterSeed = maphash.MakeSeed()

func (f *filter) add(key []byte) {
	bit := maphash.Bytes(filterSeed, key) % filterSize
	f[bit/64].Or(1 << (bit % 64))
}

func (f *filter) mayHave(key []byte) bool {
	bit := maphash.Bytes(filterSeed, key) % filterSize
	return f[bit/64].Load()&(1<<(bit%64)) != 0
}

func newTable() table {
	return table{had: new(filter), tree: btree.NewG(tableDegree, func(a, b pair) bool { return bytes.Compare(a.key, b.key) < 0 })}
}

func (t table) clone() table { return table{t.tree.Clone(), t.had, t.bytes} }

// get returns what the table has under a key.
func (t table) get(key []byte) (p pair, ok bool) {
	if !t.had.mayHave(key) {
		return pair{}, false
	}
	return t.tree.Get(pair{key: key})
}

// set keeps a pair, which must not be changed any more. One without a stored value
// says that the record is deleted.
func (t *table) set(p pair) {
	t.had.add(p.key)
	t.tree.ReplaceOrInsert(p)
	t.bytes += len(p.key) + len(p.stored) // also in place of another: the log has both
}

// with is a clone that keeps one more.
func (t table) with(p pair) table {
	t = t.clone()
	t.set(p)
	return t
}

// from calls visit for the pairs of a query in its direction until that returns
// false.
func (t table) from(q store.Query, visit func(pair) bool) {
	if q.Reverse {
		within := func(p pair) bool { return string(p.key) >= q.From && visit(p) }
		if q.To == "" {
			t.tree.Descend(within)
			return
		}
		t.tree.DescendLessOrEqual(pair{key: []byte(q.To)}, func(p pair) bool { return string(p.key) == q.To || within(p) })
		return
	}
	t.tree.AscendGreaterOrEqual(pair{key: []byte(q.From)}, func(p pair) bool {
		return (q.To == "" || string(p.key) < q.To) && visit(p)
	})
}

// some returns the first pairs of a query, at most so many, and whether there are
// more.
func (t table) some(q store.Query, most int) (found []finding, more bool) {
	if t.tree.Len() == 0 {
		return nil, false
	}
	size := 0
	t.from(q, func(p pair) bool {
		if more = len(found) >= most || size >= maxBatchBytes; more {
			return false
		}
		found = append(found, p.finding())
		size += len(p.stored)
		return true
	})
	return found, more
}
