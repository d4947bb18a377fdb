package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Several processes of one node share its stores, and each remembers things
// beside them. News is how one hears that what it remembers has changed.
//
// Each process has two kinds of records that it alone writes, in the own store:
//
//	news/<process>/<n16>   the keys that some changes touched
//	process/<process>      the n of its newest news; written anew with them, and
//	                       in each beat, so that others see that it lives
//
// Who writes: after the changes of an Apply, and before it returns, their keys
// are in news. Who reads: a request is not served before a look at all processes
// has ended that began after the request came (Node.hear), and each key found
// there drops what was remembered of it. Hence a change that was acknowledged by
// one process is seen by every request that begins after that at any other
// (TestAcknowledgedIsSeen). Of a change that is still being made, some may
// see it a moment before others, but nobody sees the newest entry of a stream
// come and go: who reads one that is not in news yet puts it there (catchUp).
//
// When a process cannot know what it missed, it forgets all that it remembers,
// once: when news that it did not read are gone, or a process fell silent, which
// may have died between a change and its news.
//
// This needs no clock in common, no transaction, and of the store only that what
// was written is read by whoever asks later.
type news struct {
	own     store.Store // without announcing
	process string
	pace    pace
	forget  func(copied bool, key string) // what this process itself remembers

	mu     sync.Mutex
	next   *batch // to be announced
	ended  bool
	listen *round            // of those who wait for a look that has not begun
	busy   bool              // a look is under way
	gone   map[string]uint64 // processes whose records are to be deleted, and the revisions of these

	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	ending  sync.Once

	// Of the goroutine that announces.
	n       uint64
	known   bool           // others may have seen a sign of life
	pending []store.Change // news not known to be in the store
	written []writtenNews  // oldest first

	// Of the look that is under way.
	others map[string]*colleague
	begun  bool

	leading atomic.Bool
}

// A pace is how fast processes hear of each other.
type pace struct {
	beat    time.Duration // between two signs of life, and between two looks at the others
	silence time.Duration // without a sign of life: it may have died
	kept    time.Duration // news, for those who look
	gone    time.Duration // without a sign of life: its records are deleted
}

var usualPace = pace{beat: 2 * time.Second, silence: 15 * time.Second, kept: 30 * time.Second, gone: time.Minute}

const (
	newsTimeout = 5 * time.Second // for one look, or one announcement
	maxNewsKeys = 256             // in one record
	maxPending  = 256             // records, while the store does not take them
)

// processRecord: process/<process>
type processRecord struct {
	Version uint64 `cbor:"1,keyasint"`
	Newest  uint64 `cbor:"2,keyasint"` // n of its newest news, 0 for none
	Ended   bool   `cbor:"3,keyasint,omitempty"`
	Beats   uint64 `cbor:"4,keyasint"`
}

// newsRecord: news/<process>/<n16>, n from 1 on without gaps. A gap says that
// something was lost.
type newsRecord struct {
	Version uint64   `cbor:"1,keyasint"`
	Own     []string `cbor:"2,keyasint,omitempty"` // keys in the own store
	Copies  []string `cbor:"3,keyasint,omitempty"`
}

const (
	processPrefix = "process/"
	newsPrefix    = "news/"
)

func newsOf(process string) string            { return newsPrefix + process + "/" }
func newsKey(process string, n uint64) string { return newsOf(process) + hex16(n) }

// A batch of keys is announced together. done is closed with err set.
type batch struct {
	own, copies []string
	done        chan struct{}
	err         error
}

// writtenNews are in the store since at.
type writtenNews struct {
	n  uint64
	at time.Time
}

func newNews(own store.Store, p pace) *news {
	if p == (pace{}) {
		p = usualPace
	}
	id := random32()
	return &news{
		own: own, process: fmt.Sprintf("%x", id[:8]), pace: p, others: map[string]*colleague{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// announced reports whether a change of a record may outdate what another process
// remembers. Of sessions only that they are there is remembered.
func announced(c store.Change) bool {
	kind, _, _ := strings.Cut(c.Key, "/")
	switch kind {
	case "entry", "friend", "wrap", "key", "deliver", "sync", "gap", "rule", "leaving":
		return true
	case "sess":
		return c.Value == nil
	case "logtop", "cosigned":
		return c.Value != nil
	}
	return c.Key == documentKey || c.Key == logKey
}

// A toldStore is a store whose changes are announced.
type toldStore struct {
	store.Store
	news   *news
	copied bool
}

// Apply implements store.Store. It errs as well when the changes are made and
// not announced.
func (s *toldStore) Apply(ctx context.Context, changes ...store.Change) error {
	var keys []string
	for _, c := range changes {
		if announced(c) {
			keys = append(keys, strings.Clone(c.Key))
		}
	}
	err := s.Store.Apply(ctx, changes...)
	if len(keys) == 0 || errors.Is(err, store.ErrInvalid) {
		return err
	}
	if err != nil { // some of the changes may be there
		for _, key := range keys {
			s.news.forget(s.copied, key)
		}
	}
	if told := s.news.announce(ctx, s.copied, keys); err == nil {
		err = told
	}
	return err
}

// announce returns once the keys are in news, or with the error of ctx; then they
// will be.
func (w *news) announce(ctx context.Context, copied bool, keys []string) error {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return wire.Errorf(wire.Unavailable, "", "this node is closing")
	}
	b := w.next
	if b == nil {
		b = &batch{done: make(chan struct{})}
		w.next = b
	}
	if copied {
		b.copies = append(b.copies, keys...)
	} else {
		b.own = append(b.own, keys...)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run announces until end. One Apply is under way at a time; those who come
// meanwhile share the next.
func (w *news) run() {
	defer close(w.stopped)
	beat := time.NewTicker(w.pace.beat)
	defer beat.Stop()
	for {
		select {
		case <-w.wake:
			_ = w.write(w.take(false), false, false) // whoever waits is told
		case <-beat.C:
			_ = w.write(w.take(false), true, false) // so again in the next beat
		case <-w.stop:
			return
		}
	}
}

// take returns what is to be announced, or nil. After the last, nothing more is
// taken.
func (w *news) take(last bool) *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.next
	w.next = nil
	w.ended = w.ended || last
	return b
}

// write announces b, which may be nil, and gives a sign of life. News that may
// not have got there are written once more, as they were: others may have read
// them. With clean it deletes those that are old.
func (w *news) write(b *batch, clean, last bool) error {
	if b == nil && (!w.known || !clean && !last) {
		return nil // nor before the first announcement: the store may not be ours to write
	}
	w.known = true
	if b != nil {
		w.pend(b)
	}
	now := time.Now()
	sign := processRecord{Version: recordVersion, Newest: w.n, Ended: last, Beats: uint64(now.UnixNano())}
	changes := append(w.pending[:len(w.pending):len(w.pending)], put(processPrefix+w.process, &sign))
	old := 0
	for clean && old < len(w.written) && now.Sub(w.written[old].at) > w.pace.kept {
		changes = append(changes, store.Change{Key: newsKey(w.process, w.written[old].n)})
		old++
	}
	ctx, cancel := context.WithTimeout(context.Background(), newsTimeout)
	defer cancel()
	err := w.own.Apply(ctx, changes...)
	if err == nil {
		for i := range w.pending {
			w.written = append(w.written, writtenNews{w.n - uint64(len(w.pending)-1-i), now})
		}
		w.pending, w.written = nil, w.written[old:]
	}
	if b != nil {
		b.err = err
		close(b.done)
	}
	return err
}

// pend makes news of a batch. Where the store has not taken any for long, what
// waits is dropped, and the gap tells the others.
func (w *news) pend(b *batch) {
	if len(w.pending) >= maxPending {
		w.pending = nil
	}
	for len(b.own)+len(b.copies) > 0 {
		own := b.own[:min(len(b.own), maxNewsKeys)]
		copies := b.copies[:min(len(b.copies), maxNewsKeys-len(own))]
		b.own, b.copies = b.own[len(own):], b.copies[len(copies):]
		w.n++
		w.pending = append(w.pending, put(newsKey(w.process, w.n), &newsRecord{recordVersion, own, copies}))
	}
}

// end says, after the last news, that the process ended as it should. Its records
// are deleted by another, which gives all time to read them.
func (w *news) end() (err error) {
	w.ending.Do(func() {
		close(w.stop)
		<-w.stopped
		err = w.write(w.take(true), true, true)
	})
	return err
}
