package federation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A request counts once. While the node runs, its nonce is remembered until the
// signature has expired. Over a restart a single number does it: the mark. It is
// written ahead of the requests that it speaks of (created <= mark holds for all
// that were ever accepted), and after a start nothing with created <= mark is
// accepted.
//
// So that requests do not wait for the disk, the mark is written markAhead into
// the future, about once in that time while there is traffic, by the one request
// that finds it used up. The price: for up to markAhead after a crash honest
// requests are refused as well. Client.send signs again and retries for longer
// than that. A peer whose clock is ahead moves the mark with it, by at most
// wire.SignatureAhead.
//
// Where the store is a NonceStore, which several processes share, each nonce is
// written into it instead: a request counts if that was the first time. What is in
// memory then only bounds how many a peer may send.
const (
	markAhead   = time.Second
	markTimeout = 5 * time.Second

	slotSeconds = 32 // nonces are forgotten in slots of this width
)

// Bounds on what is remembered: 24 to 40 bytes each. Half of all places are for
// whoever comes; of the other half a peer gets only what it lacks to maxWhenBusy,
// so that no few peers take them all.
const (
	maxNonces   = 1 << 20
	maxFree     = maxNonces / 2
	maxWhenBusy = 1 << 14
)

var errReplayed = errors.New("the nonce was seen")

// seenNonces are those of one peer by expiry / slotSeconds. Half a nonce is
// enough: who makes two alike only hinders themselves.
type seenNonces struct {
	slots map[int64]map[[16]byte]struct{}
	count int
}

type replay struct {
	store ReplayStore
	log   *slog.Logger
	floor int64        // ms; the mark that was found at the start
	mark  atomic.Int64 // ms; on disk
	write sync.Mutex   // held by who moves the mark

	mu    sync.Mutex
	peers map[wire.NodeName]*seenNonces
	total int
	first int64 // slots before this one are forgotten
}

func newReplay(store ReplayStore, now time.Time, log *slog.Logger) (*replay, error) {
	ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
	defer cancel()
	floor, err := store.HighWater(ctx)
	if err != nil && !errors.Is(err, wire.NotExist) {
		return nil, fmt.Errorf("reading the replay mark: %w", err)
	}
	if ahead := time.UnixMilli(floor).Sub(now); ahead > wire.SignatureAhead+markAhead+time.Second {
		log.Error("the clock was set back: requests of other nodes are refused until it has caught up", "wait", ahead.Round(time.Second))
	}
	r := &replay{store: store, log: log, floor: floor, peers: map[wire.NodeName]*seenNonces{}}
	r.mark.Store(floor)
	return r, nil
}

// beforeStart reports whether c may have been accepted by an earlier process.
func (r *replay) beforeStart(c *claim) bool { return c.created*1000 <= r.floor }

// admit lets each verified claim pass once, also when it comes concurrently.
func (r *replay) admit(ctx context.Context, c *claim, now time.Time) error {
	if err := r.remember(c, now.Unix()); err != nil {
		return err
	}
	if nonces, ok := r.store.(NonceStore); ok {
		return r.spend(ctx, nonces, c)
	}
	return r.cover(ctx, c.created*1000, now.UnixMilli())
}

// spend lets a claim pass if no process let it pass before.
func (r *replay) spend(ctx context.Context, nonces NonceStore, c *claim) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	first, err := nonces.SpendNonce(ctx, c.node, c.nonce, time.Unix(c.expires, 0))
	if err != nil {
		r.log.Error("cannot store a nonce", "error", err)
		return wire.Errorf(wire.Unavailable, "", "this node cannot store what it needs to accept requests")
	}
	if !first {
		return errReplayed
	}
	return nil
}

func (r *replay) remember(c *claim, now int64) error {
	slot, id := c.expires/slotSeconds, [16]byte(c.nonce[:16])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now / slotSeconds)
	if slot < r.first { // the clock went back, and its nonce is forgotten
		return errReplayed
	}
	p := r.peers[c.node]
	if p == nil {
		p = &seenNonces{slots: map[int64]map[[16]byte]struct{}{}}
	}
	for _, seen := range p.slots {
		if _, ok := seen[id]; ok {
			return errReplayed
		}
	}
	if r.total >= maxNonces || r.total >= maxFree && p.count >= maxWhenBusy {
		return &wire.Error{Kind: wire.Throttled, Detail: "too many requests of this node are remembered", RetryAfter: slotSeconds * time.Second}
	}
	if p.slots[slot] == nil {
		p.slots[slot] = map[[16]byte]struct{}{}
	}
	p.slots[slot][id] = struct{}{}
	p.count++
	r.total++
	r.peers[c.node] = p
	return nil
}

// forget drops the slots whose nonces have expired.
func (r *replay) forget(first int64) {
	if first <= r.first {
		return
	}
	r.first = first
	for name, p := range r.peers {
		for slot, seen := range p.slots {
			if slot < first {
				p.count -= len(seen)
				r.total -= len(seen)
				delete(p.slots, slot)
			}
		}
		if p.count == 0 {
			delete(r.peers, name)
		}
	}
}

// cover returns once the mark on disk is at least created. One request in
// markAhead writes it; the others wait only when it does not reach for them.
func (r *replay) cover(ctx context.Context, created, now int64) error {
	if created < r.mark.Load() {
		return nil
	}
	if !r.write.TryLock() {
		if created <= r.mark.Load() {
			return nil
		}
		r.write.Lock()
	}
	defer r.write.Unlock()
	mark := r.mark.Load()
	if created < mark {
		return nil
	}
	next := max(created, now-now%1000+markAhead.Milliseconds())
	if next <= mark {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	if err := r.store.SetHighWater(ctx, next); err != nil {
		r.log.Error("cannot write the replay mark", "error", err)
		if created <= mark {
			return nil
		}
		return wire.Errorf(wire.Unavailable, "", "this node cannot store what it needs to accept requests")
	}
	r.mark.Store(next)
	return nil
}
