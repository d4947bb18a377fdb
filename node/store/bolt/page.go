package bolt

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"go.etcd.io/bbolt"
)

// The pages of the file, as bbolt writes them in its format 2. All numbers are in
// the byte order of the machine. A page has a head, an element for each of its
// keys, and then the keys and values, in the same order and without gaps:
//
//	 0  8 bytes  id: the page begins at so many times the size of a page
//	 8  2 bytes  kind: 1 for a branch, 2 for a leaf
//	10  2 bytes  count of elements
//	12  4 bytes  overflow: how many pages behind belong to it
//
// An element of a branch has the offset of its key from the element (4 bytes), the
// length of the key (4), and the id of the page that begins with it (8). One of a
// leaf has flags (4 bytes; 1 for a bucket), the offset (4), and the lengths of key
// and value (4 each). The value of a bucket is the id of its root (8 bytes), or 0 if
// the root is a page that follows in the value itself, and its sequence number (8).
const (
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16

	branchPage = 1
	leafPage   = 2
	bucketFlag = 1
)

// A content is what a transaction sees of the file.
type content struct {
	data     []byte // a multiple of a page
	pageSize uint64
	root     uint64 // of the bucket with all buckets
}

// contentOf returns it. It is valid as long as nothing is committed in the
// transaction, and no longer than that.
func contentOf(tx *bbolt.Tx) content {
	info := tx.DB().Info()
	start := *(**byte)(unsafe.Pointer(&info.Data)) // bbolt has the address as a number
	return content{unsafe.Slice(start, tx.Size()), uint64(info.PageSize), uint64(tx.Cursor().Bucket().Root())}
}

// A page is one of a tree.
type page struct {
	b     []byte
	id    uint64
	count int
	leaf  bool
}

// page returns a page. It panics if none of a tree begins there, as everything here
// does, and bbolt, when something is not what was written.
func (c content) page(id uint64) page {
	pages := uint64(len(c.data)) / c.pageSize
	if id >= pages {
		panic(fmt.Sprintf("page %d lies behind the end", id))
	}
	b := c.data[id*c.pageSize:]
	if found := binary.NativeEndian.Uint64(b); found != id {
		panic(fmt.Sprintf("page %d calls itself %d", id, found))
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if more >= pages-id {
		panic(fmt.Sprintf("page %d goes on behind the end", id))
	}
	return pageIn(b[:(1+more)*c.pageSize], id)
}

// pageIn returns the page that some bytes are. Keys and values begin right behind
// the elements, so where the first begins tells how many there are: a count that was
// changed does not hide any.
func pageIn(b []byte, id uint64) page {
	p := page{b: b, id: id, count: int(binary.NativeEndian.Uint16(b[10:]))}
	kind := binary.NativeEndian.Uint16(b[8:])
	if p.leaf = kind == leafPage; !p.leaf && kind != branchPage {
		panic(fmt.Sprintf("page %d is of the kind %d", id, kind))
	}
	if p.count == 0 && (len(b) == pageHead || allZero(p.element(0))) {
		return p
	}
	if first, _ := p.bounds(0); first != uint64(pageHead+elementSize*p.count) {
		panic(fmt.Sprintf("page %d has other than %d elements", id, p.count))
	}
	return p
}

// element returns the i-th element.
func (p page) element(i int) []byte {
	at := pageHead + elementSize*i
	return p.b[at : at+elementSize]
}

// bounds tells where the i-th key begins and ends.
func (p page) bounds(i int) (from, to uint64) {
	e := p.element(i)
	if p.leaf {
		e = e[4:]
	}
	from = uint64(pageHead+elementSize*i) + uint64(binary.NativeEndian.Uint32(e))
	to = from + uint64(binary.NativeEndian.Uint32(e[4:]))
	return from, to
}

// readable returns the i-th key, if it lies in the page.
func (p page) readable(i int) (key []byte, ok bool) {
	from, to := p.bounds(i)
	if to > uint64(len(p.b)) {
		return nil, false
	}
	return p.b[from:to:to], true
}

func (p page) key(i int) []byte {
	key, ok := p.readable(i)
	if !ok {
		panic(fmt.Sprintf("a key of page %d ends behind it", p.id))
	}
	return key
}

// pair returns the i-th key and value of a leaf.
func (p page) pair(i int) (key, value []byte) {
	from, to := p.bounds(i)
	end := to + uint64(binary.NativeEndian.Uint32(p.element(i)[12:]))
	if to > uint64(len(p.b)) || end > uint64(len(p.b)) {
		panic(fmt.Sprintf("a record of page %d ends behind it", p.id))
	}
	return p.b[from:to:to], p.b[to:end:end]
}

// flags returns those of the i-th element of a leaf.
func (p page) flags(i int) uint32 { return binary.NativeEndian.Uint32(p.element(i)) }

// child returns the id of the page that the i-th element of a branch leads to.
func (p page) child(i int) uint64 { return binary.NativeEndian.Uint64(p.element(i)[8:]) }

// A tree is a bucket.
type tree struct {
	content
	root     uint64
	inline   []byte // the root where it is in the value of the bucket
	sequence uint64
}

// bucket returns a bucket, if there is one of that name.
func (c content) bucket(name []byte) (t tree, ok bool) {
	p := c.page(c.root)
	if !p.leaf {
		panic("the list of buckets is none") // they are few
	}
	i := p.search(name)
	if i == p.count || string(p.key(i)) != string(name) {
		return tree{}, false
	}
	_, value := p.pair(i)
	if len(value) < bucketHead || p.flags(i) != bucketFlag {
		panic(fmt.Sprintf("%q is no bucket", name))
	}
	t = tree{content: c, root: binary.NativeEndian.Uint64(value), sequence: binary.NativeEndian.Uint64(value[8:])}
	if t.root == 0 {
		if t.inline = value[bucketHead:]; len(t.inline) < pageHead {
			panic(fmt.Sprintf("the bucket %q has no root", name))
		}
	}
	return t, true
}

// top returns the page that a tree begins with.
func (t tree) top() page {
	if t.root != 0 {
		return t.page(t.root)
	}
	return pageIn(t.inline, 0)
}

// get returns the value of a key, nil if there is none.
func (t tree) get(key []byte) []byte {
	if found, value := t.cursor().Seek(key); string(found) == string(key) {
		return value
	}
	return nil
}
