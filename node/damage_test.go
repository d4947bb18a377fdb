package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// village makes a node whose people sit in a ring and are friends with the next.
func village(t *testing.T, w *world, own store.Store, people, posts int) (names []who) {
	t.Helper()
	home := w.open(north, own, nil)
	all := make([]*testPerson, people)
	for i := range all {
		all[i] = home.person(wire.Handle(fmt.Sprintf("person%02d", i)))
		names = append(names, who{all[i].account, all[i].address.Handle, streamName{all[i].account, all[i].audience}})
	}
	for i, p := range all {
		p.befriend(all[(i+1)%people])
	}
	for i, p := range all {
		p.rotate(all[(i+1)%people], all[(i+people-1)%people])
		p.posts(posts)
	}
	home.close()
	return names
}

// who is one of the village.
type who struct {
	account wire.AccountID
	handle  wire.Handle
	stream  streamName
}

// seen is what somebody gets of their node: an error, or what is on the page.
type seen struct {
	err  error
	what []string
}

// sees reads the feed and the own stream of everybody.
func sees(n *Node, all []who) map[wire.Handle]seen {
	found := map[wire.Handle]seen{}
	for _, one := range all {
		p := n.As(one.account, one.handle)
		var s seen
		feed, err := p.Feed(context.Background(), 0, "", "")
		for _, i := range feed.Items {
			s.what = append(s.what, fmt.Sprintf("feed %x %x", i.Entry.Header, i.Entry.Body))
		}
		stream, err2 := p.Stream(context.Background(), one.account, one.stream.audience, 0, 0, 0)
		for _, e := range stream.Entries {
			s.what = append(s.what, fmt.Sprintf("own %x %x", e.Header, e.Body))
		}
		s.err = errors.Join(err, err2)
		found[one.handle] = s
	}
	return found
}

// safeLog can be written and read by many.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// opens opens the node of a village on stores, with a log of its own.
func opens(w *world, own store.Store, log *safeLog) (*Node, error) {
	n, err := Open(context.Background(), Options{
		Name: north, Own: own, Copies: storetest.NewMemory(), Now: w.clock.now, SyncInterval: time.Hour, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err == nil {
		<-n.warmed
	}
	return n, err
}

// compare returns who does not see what they saw before, and whether somebody
// sees what was never there.
func compare(before, after map[wire.Handle]seen) (affected []wire.Handle, wrong bool) {
	for handle, b := range before {
		a := after[handle]
		if a.err != nil || !slices.Equal(a.what, b.what) {
			affected = append(affected, handle)
		}
		for _, item := range a.what {
			wrong = wrong || !slices.Contains(b.what, item)
		}
	}
	return affected, wrong
}

// TestDamageOfEachRecord damages each record of a node in turn. It starts, but
// without its own keys or document; each is named; and at most those whose record
// it is, and their two neighbours, miss anything.
func TestDamageOfEachRecord(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	all := village(t, w, own, 5, 2)
	whole := own.Snapshot()
	before := map[wire.Handle]seen(nil)
	var keys []string
	for rec := range own.Scan(t.Context(), store.Query{}) {
		keys = append(keys, rec.Key)
	}
	for _, key := range slices.Insert(keys, 0, "") {
		own.Restore(whole)
		if key != "" {
			own.Damage(key)
		}
		log := new(safeLog)
		n, err := opens(w, own, log)
		if strings.HasPrefix(key, "node/") || key == "schema" || strings.HasPrefix(key, "replay/") {
			if err == nil {
				n.Close(t.Context())
			}
			if err != nil && !strings.Contains(err.Error(), key) {
				t.Errorf("%q: the node does not start: %v", key, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: the node does not start: %v", key, err)
			continue
		}
		after := sees(n, all)
		n.Close(t.Context())
		if key == "" {
			before = after
			continue
		}
		affected, wrong := compare(before, after)
		if wrong || len(affected) > 3 {
			t.Errorf("%q: %v do not see what they saw, wrong: %t", key, affected, wrong)
		}
		named := strings.Contains(log.String(), key)
		for _, handle := range affected {
			err := after[handle].err
			named = named || err != nil && strings.Contains(err.Error(), key)
			if mine := strings.Contains(key, all[slices.IndexFunc(all, func(w who) bool { return w.handle == handle })].account.String()); err != nil && strings.HasPrefix(key, "entry/") && !mine {
				t.Errorf("%q: %s, who only reads it, got %v", key, handle, err)
			}
		}
		if len(affected) > 0 && !named {
			t.Errorf("%q: %v do not see what they saw, and nothing names it", key, affected)
		}
		if strings.HasPrefix(key, "entry/") && len(affected) == 0 {
			t.Errorf("%q: nobody misses it", key)
		}
	}
}

// TestDamagedStreamIsWellAgain writes a damaged entry once more while the node
// runs.
func TestDamagedStreamIsWellAgain(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	all := village(t, w, own, 3, 2)
	key := entryKey(all[0].stream, 4) // two epochs, two posts
	rec, err := own.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	own.Damage(key)
	n, err := opens(w, own, new(safeLog))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(t.Context())
	if got := sees(n, all)[all[0].handle]; !errors.Is(got.err, store.ErrDamaged) {
		t.Errorf("its owner got %v, want %v", got.err, store.ErrDamaged)
	}
	if f, err := n.As(all[0].account, all[0].handle).Friends(t.Context()); err != nil || len(f.Friends) != 2 {
		t.Errorf("its owner has %d friends, %v, want 2", len(f.Friends), err)
	}
	if err := own.Apply(t.Context(), store.Change{Key: key, Value: rec.Value}); err != nil {
		t.Fatal(err)
	}
	if got := sees(n, all)[all[0].handle]; got.err != nil || len(got.what) < 8 {
		t.Errorf("well again: got %d entries, %v", len(got.what), got.err)
	}
}

const flips = 60 // of which 45 while the node does not run

// TestFlips flips single bits of the file of a node, also while it is open, and
// counts what comes of it.
func TestFlips(t *testing.T) {
	undetected(t)
	w := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "own.db")
	own := must(bolt.Open(path, bolt.Options{}))
	all := village(t, w, own, 20, 3)
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	whole := must(os.ReadFile(path))
	used := len(bytes.TrimRight(whole, "\x00"))
	before, _, _ := flip(t, w, all, whole, -1, false)
	count := map[string]int{}
	for i := range flips {
		at, open := rand.IntN(used), i%4 == 0
		after, log, err := flip(t, w, all, whole, at, open)
		if err != nil {
			count["the node does not start, and says why"]++
			if !errors.Is(err, store.ErrDamaged) && !strings.Contains(err.Error(), "record ") {
				t.Errorf("byte %d: the node does not start: %v", at, err)
			}
			continue
		}
		affected, wrong := compare(before, after)
		told := strings.Contains(log, "damaged")
		for _, handle := range affected {
			told = told || after[handle].err != nil
		}
		switch {
		case wrong:
			t.Errorf("byte %d, open: %t: somebody sees what was never there", at, open)
		case len(affected) == 0 && !told:
			count["nobody sees a difference"]++
		case !told:
			count["something is missing, and nobody was told"]++
			t.Errorf("byte %d of page %d, open: %t: %v miss something, and nothing tells", at%16384, at/16384, open, affected)
		case len(affected) <= 3:
			count["told, and at most 3 of 20 people are concerned"]++
		default:
			count["told, and more people are concerned"]++
			t.Logf("byte %d of page %d: %d people: %.300s", at%16384, at/16384, len(affected), log)
		}
	}
	for what, n := range count {
		t.Logf("%4d of %d flips: %s", n, flips, what)
	}
}

// flip opens the node on a copy of its file with one bit flipped, before or after
// it is opened; none if at is negative.
func flip(t *testing.T, w *world, all []who, whole []byte, at int, open bool) (after map[wire.Handle]seen, log string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.db")
	damaged := bytes.Clone(whole)
	if at >= 0 {
		damaged[at] ^= 1 << rand.IntN(8)
	}
	content := damaged
	if open {
		content = whole
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, "", err
	}
	defer own.Close()
	kept := new(safeLog)
	n, err := opens(w, own, kept)
	if err != nil {
		return nil, "", err
	}
	defer n.Close(t.Context())
	if open {
		f := must(os.OpenFile(path, os.O_RDWR, 0))
		_, err := f.WriteAt(damaged[at:at+1], int64(at))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return sees(n, all), kept.String(), nil
}
