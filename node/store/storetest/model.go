package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/node/store"
)

// A model is what a store should hold, kept as simply as possible, with what
// is needed to test one against the other.
type model struct {
	store   store.Store
	prefix  string // of this run's keys, so that runs can share a store
	records map[string]modelRecord
	// old holds revisions that records had once: they must never match again.
	old map[string][]uint64
}

type modelRecord struct {
	value    string
	revision uint64
}

// testModel makes random histories of a few keys and compares the store with
// the model after each step.
func testModel(t *testing.T, s store.Store) {
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &model{s, fmt.Sprintf("%d/", run), map[string]modelRecord{}, map[string][]uint64{}}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) { m.apply(t, rt) },
			"scan":  func(rt *rapid.T) { m.scan(t, rt) },
			"get":   func(rt *rapid.T) { m.get(t, rt) },
		})
		m.compare(t, rt, store.Prefix(m.prefix))
	})
}

func (m *model) key(rt *rapid.T, label string) string {
	return m.prefix + rapid.StringMatching(`[a-c/]{1,2}`).Draw(rt, label)
}

func (m *model) get(t *testing.T, rt *rapid.T) {
	key := m.key(rt, "key")
	want, ok := m.records[key]
	got, err := m.store.Get(t.Context(), key)
	if ok != (err == nil) || err != nil && !errors.Is(err, store.ErrNotExist) ||
		string(got.Value) != want.value || got.Revision != want.revision {
		rt.Fatalf("get %q: got %+v, %v, want %+v", key, got, err, want)
	}
}

func (m *model) scan(t *testing.T, rt *rapid.T) {
	m.compare(t, rt, store.Query{
		From:    m.key(rt, "from"),
		To:      m.key(rt, "to"),
		Reverse: rapid.Bool().Draw(rt, "reverse"),
		Limit:   rapid.IntRange(0, 5).Draw(rt, "limit"),
	})
}

func (m *model) compare(t *testing.T, rt *rapid.T, q store.Query) {
	want := selected(slices.Sorted(maps.Keys(m.records)), q)
	got := []string{}
	for r, err := range m.store.Scan(t.Context(), q) {
		if err != nil {
			rt.Fatalf("scan %+v: %v", q, err)
		}
		if w := m.records[r.Key]; w.value != string(r.Value) || w.revision != r.Revision {
			rt.Fatalf("scan %+v: got %+v, want %+v", q, r, w)
		}
		got = append(got, r.Key)
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("scan %+v: got %q, want %q", q, got, want)
	}
}

// apply makes a few random changes. After a conflict, the changes before
// it may be there or not, so the model takes those keys over from the store;
// all others must be as they were.
func (m *model) apply(t *testing.T, rt *rapid.T) {
	changes, failing := m.draw(rt)
	err := m.store.Apply(t.Context(), changes...)
	var conflict *store.ConflictError
	switch {
	case failing < 0 && err != nil:
		rt.Fatalf("apply %+v: %v", changes, err)
	case failing >= 0 && (!errors.As(err, &conflict) || conflict.Key != changes[failing].Key):
		rt.Fatalf("apply %+v: got %v, want a conflict on %q", changes, err, changes[failing].Key)
	case failing >= 0:
		changes = changes[:failing]
	}
	allowed := map[string][]string{}
	for _, c := range changes {
		allowed[c.Key] = append(allowed[c.Key], describe(c.Value))
	}
	for key, values := range allowed {
		if failing < 0 {
			values = values[len(values)-1:]
		} else if r, ok := m.records[key]; ok {
			values = append(values, describe([]byte(r.value)))
		} else {
			values = append(values, describe(nil))
		}
		m.adopt(t, rt, key, values)
	}
}

// describe tells a deletion from an empty value.
func describe(value []byte) string {
	if value == nil {
		return "absent"
	}
	return "=" + string(value)
}

// adopt takes a record over from the store, if it is one of those allowed.
func (m *model) adopt(t *testing.T, rt *rapid.T, key string, allowed []string) {
	r, err := m.store.Get(t.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		rt.Fatalf("get %q: %v", key, err)
	}
	if got := describe(r.Value); !slices.Contains(allowed, got) {
		rt.Fatalf("%q: got %q, want one of %q", key, got, allowed)
	}
	before, existed := m.records[key]
	if existed && before.revision != r.Revision {
		m.old[key] = append(m.old[key], before.revision)
	}
	if slices.Contains(m.old[key], r.Revision) {
		rt.Fatalf("%q: revision %d was used before", key, r.Revision)
	}
	delete(m.records, key)
	if err == nil {
		m.records[key] = modelRecord{string(r.Value), r.Revision}
	}
}

// draw draws changes and works out which one's condition fails first, or -1.
func (m *model) draw(rt *rapid.T) (changes []store.Change, failing int) {
	failing = -1
	type state struct {
		exists, touched bool
	}
	states := map[string]state{}
	for i := range rapid.IntRange(1, 4).Draw(rt, "changes") {
		c := store.Change{Key: m.key(rt, "key")}
		if rapid.IntRange(0, 3).Draw(rt, "delete") > 0 {
			c.Value = []byte(rapid.StringMatching(`[xyz]{0,3}`).Draw(rt, "value"))
		}
		now, ok := states[c.Key]
		if !ok {
			_, now.exists = m.records[c.Key]
		}
		holds := true
		switch rapid.IntRange(0, 4).Draw(rt, "condition") {
		case 0:
			c.If, holds = store.IfAbsent(), !now.exists
		case 1: // the revision before this call, which a change in it ends
			c.If = store.IfRevision(m.records[c.Key].revision)
			_, before := m.records[c.Key]
			holds = !now.touched && before == now.exists || !before && !now.exists
		case 2:
			if old := m.old[c.Key]; len(old) > 0 {
				c.If, holds = store.IfRevision(rapid.SampledFrom(old).Draw(rt, "old")), false
			}
		}
		changes = append(changes, c)
		if !holds && failing < 0 {
			failing = i
		}
		states[c.Key] = state{exists: c.Value != nil, touched: true}
	}
	return changes, failing
}
