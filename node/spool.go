package node

import (
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
)

// A spool keeps records on disk until all of them are there and can be put into
// one order: one file, an archive, for each part.
type spool struct {
	dir   string
	name  wire.NodeName
	parts []*part
}

// newSpool makes the folder, in place of one that was left by somebody who is gone.
func newSpool(dir string, name wire.NodeName) (*spool, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return &spool{dir: dir, name: name}, os.Mkdir(dir, 0o700)
}

// close removes the folder.
func (s *spool) close() (err error) {
	for _, p := range s.parts {
		err = errors.Join(err, p.f.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// A part is records in order of their keys.
type part struct{ f *os.File }

// fill makes a part of what is added, in order of the keys.
func (s *spool) fill(with func(add func(store.Record) error) error) (*part, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, strconv.Itoa(len(s.parts))), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	p := &part{f}
	s.parts = append(s.parts, p)
	w, err := archive.NewWriter(f, archive.Header{Node: s.name})
	if err != nil {
		return nil, err
	}
	if err := with(w.Add); err != nil {
		return nil, err
	}
	return p, w.Close()
}

// records are those of a part, as often as they are ranged over.
func (p *part) records() iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		a, err := archive.NewReader(io.NewSectionReader(p.f, 0, math.MaxInt64))
		for err == nil {
			var rec store.Record
			if rec, err = a.Next(); err == nil && !yield(rec, nil) {
				return
			}
		}
		if err != io.EOF {
			yield(store.Record{}, err)
		}
	}
}

// merged puts records into one order. Of those with the same key, the first list
// that has one has it.
func merged(lists ...iter.Seq2[store.Record, error]) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var heads []*listed
		for _, l := range lists {
			h := new(listed)
			var stop func()
			h.pull, stop = iter.Pull2(l)
			defer stop()
			if h.next() {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := heads[0]
			for _, h := range heads[1:] {
				if h.rec.Key < first.rec.Key || h.err != nil {
					first = h
				}
			}
			rec := first.rec
			if !yield(rec, first.err) || first.err != nil {
				return
			}
			rest := heads[:0]
			for _, h := range heads {
				if h.err != nil || h.rec.Key != rec.Key || h.next() {
					rest = append(rest, h)
				}
			}
			heads = rest
		}
	}
}

// A listed record is the one that a list is at, or the error behind them.
type listed struct {
	pull func() (store.Record, error, bool)
	rec  store.Record
	err  error
}

// next goes on to the next, and reports whether there is one.
func (l *listed) next() (more bool) {
	l.rec, l.err, more = l.pull()
	return more
}
