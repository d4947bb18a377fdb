package bolt

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/node/store"
)

// A page that is damaged may not take a record any more: bbolt panics when it is
// to be changed. What was acknowledged is kept all the same, in a bucket of its own
// beside "records": it lies over that bucket, and each later change of the record
// comes there, too. An empty value says that the record is deleted.
var apartBucket = []byte("apart")

// keepApart puts records where they belong, one by one, and those that cannot be put
// there into that bucket.
func (s *Store) keepApart(records []pair) error {
	for _, p := range records {
		err := s.transact(func(b *bbolt.Bucket) error { return s.place(b, wayIn(b.Tx(), bucketName), p) })
		if errors.Is(err, store.ErrDamaged) {
			if err = s.transact(func(b *bbolt.Bucket) error { return putApart(b.Tx(), p) }); err == nil {
				s.publish(func(l *layers) { l.apart = l.apart.with(p) })
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place makes a change in the file, after the way to it was looked at.
func (s *Store) place(b *bbolt.Bucket, w *way, p pair) error {
	if _, ok := s.layers.Load().apart.get(p.key); ok {
		return putApart(b.Tx(), p)
	}
	w.passable(p.key)
	if p.stored == nil {
		return b.Delete(p.key)
	}
	return b.Put(p.key, p.stored)
}

// placed shows what was placed apart.
func (s *Store) placed(records []pair) {
	apart := s.layers.Load().apart
	if apart.tree.Len() == 0 {
		return
	}
	for _, p := range records {
		if _, ok := apart.get(p.key); ok {
			apart = apart.with(p)
		}
	}
	s.publish(func(l *layers) { l.apart = apart })
}

func putApart(tx *bbolt.Tx, p pair) error {
	b, err := tx.CreateBucketIfNotExists(apartBucket)
	if err != nil {
		return err
	}
	wayIn(tx, apartBucket).passable(p.key)
	return b.Put(p.key, p.stored)
}

// apartOf reads the bucket.
func apartOf(file content) table {
	t := newTable()
	if b, ok := file.bucket(apartBucket); ok {
		c := b.cursor()
		for key, stored := c.First(); key != nil; key, stored = c.Next() {
			p := pair{key: bytes.Clone(key)}
			if len(stored) > 0 {
				p.stored = bytes.Clone(stored)
			}
			t.set(p)
		}
	}
	return t
}
