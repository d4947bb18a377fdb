package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// purses are where a throttle keeps what is left of budgets.
type purses interface {
	// change lets f change the purse of a claim, which is whole if there is none.
	// f may be called again when somebody else was first. What it errs with is
	// returned, and nothing is kept.
	change(ctx context.Context, c claim, f func(*purse) error) error
}

// throttleCap is how many purses of one budget are remembered in memory, about
// 300 bytes each. Who is forgotten first is who was seen least recently.
const throttleCap = 10_000

// memoryPurses are the purses of a node that is one process. They hold no more
// than throttleCap of each budget and start no goroutine.
type memoryPurses struct {
	mu sync.Mutex
	of map[budgetName]*simplelru.LRU[string, *purse]
}

func newMemoryPurses() purses {
	m := &memoryPurses{of: map[budgetName]*simplelru.LRU[string, *purse]{}}
	for name := range budgets {
		m.of[name], _ = simplelru.NewLRU[string, *purse](throttleCap, nil) // fails for no positive size
	}
	return m
}

// change implements purses. A purse takes a place once something was taken from it.
func (m *memoryPurses) change(_ context.Context, c claim, f func(*purse) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.of[c.name].Get(c.key)
	if !ok {
		p = new(purse)
	}
	if err := f(p); err != nil {
		return err
	}
	if !ok {
		m.of[c.name].Add(c.key, p)
	}
	return nil
}

// storedPurses are the purses of a node of several processes. They are as exact as
// the store's conditions: on a server where two that bind the same revision can
// both succeed, as many more can be taken as are asked for at the same moment.
type storedPurses struct {
	own store.Store
	key func(claim) string
}

const (
	pursePrefix = "throttle/"
	purseTries  = 8
)

// purseRecord: throttle/<hmac>
type purseRecord struct {
	Version uint64   `cbor:"1,keyasint"`
	Whole   [2]int64 `cbor:"2,keyasint"` // ns since 1970; 0 for never touched
	Failed  int      `cbor:"3,keyasint"`
	Until   int64    `cbor:"4,keyasint"` // ns since 1970; 0 for never
}

// purseKey is where the purse of a claim lies, for who has the node's secret: what
// is on the disk tells no addresses. A slash begins no handle.
func (n *Node) purseKey(c claim) string {
	return pursePrefix + n.mac(wire.LabelFakeSalt, []byte("/purse/"+string(c.name)+"/"+c.key)).String()
}

// change implements purses.
func (s storedPurses) change(ctx context.Context, c claim, f func(*purse) error) error {
	key := s.key(c)
	for range purseTries {
		var r purseRecord
		rev, err := read(ctx, s.own, key, &r)
		if ignoreAbsent(err) != nil {
			return fmt.Errorf("look up budget: %w", err)
		}
		p := r.purse()
		if err := f(p); err != nil {
			return err
		}
		err = s.own.Apply(ctx, putIf(key, p.record(), store.IfRevision(rev)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return throttled(time.Second) // so many at once are too many
}

func (r *purseRecord) purse() *purse {
	return &purse{whole: [2]time.Time{nanoTime(r.Whole[0]), nanoTime(r.Whole[1])}, failed: r.Failed, until: nanoTime(r.Until)}
}

func (p *purse) record() *purseRecord {
	return &purseRecord{recordVersion, [2]int64{nanos(p.whole[0]), nanos(p.whole[1])}, p.failed, nanos(p.until)}
}

func nanoTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// rested reports whether a purse is as one that was never touched. A row of
// failures is forgotten after a day without any (backOff).
func (p *purse) rested(before time.Time) bool {
	end := p.until
	if p.failed > 0 {
		end = end.Add(guesses.rates[1].span)
	}
	return end.Before(before) && p.whole[0].Before(before) && p.whole[1].Before(before)
}

// sweepPurses deletes some of the purses that are whole again.
func (n *Node) sweepPurses(ctx context.Context) error {
	before := n.now().Add(-wire.MaxSkew) // clocks of processes differ
	q := store.Prefix(pursePrefix)
	q.From, q.Limit = max(q.From, n.door.sweptPurses), sweepBatch
	seen := 0
	for rec, err := range n.own.Scan(ctx, q) {
		if err != nil {
			return fmt.Errorf("sweep budgets: %w", err)
		}
		seen++
		n.door.sweptPurses = store.After(strings.Clone(rec.Key))
		var r purseRecord
		if err := decodeRecord(rec, &r); err != nil {
			return err
		}
		if !r.purse().rested(before) {
			continue
		}
		err := n.own.Apply(ctx, store.Change{Key: rec.Key, If: store.IfRevision(rec.Revision)})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	if seen < sweepBatch {
		n.door.sweptPurses = "" // from the start next time
	}
	return nil
}
