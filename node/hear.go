package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A colleague is another process of this node, as it was when it was looked at
// last.
type colleague struct {
	n        uint64 // its news up to this one were read
	revision uint64 // of its record
	changed  time.Time
	silent   bool // it has not given a sign of life for long
	ended    bool
}

func (c *colleague) lives() bool { return !c.silent && !c.ended }

// A round is those who wait for one look. done is closed with err set.
type round struct {
	done chan struct{}
	err  error
}

// hear returns once all is heard that other processes of this node acknowledged
// before the call. Each request waits for it. Unavailable while the store cannot
// be read: what is remembered may be outdated.
func (n *Node) hear(ctx context.Context) error {
	w := n.news
	if w == nil {
		return nil
	}
	w.mu.Lock()
	r := w.listen
	if r == nil {
		r = &round{done: make(chan struct{})}
		if !w.busy {
			if err := n.spawn(n.look); err != nil {
				w.mu.Unlock()
				return err
			}
			w.busy = true
		}
		w.listen = r
	}
	w.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join makes this process known, and begins to hear.
func (n *Node) join(ctx context.Context) error {
	if err := n.news.announce(ctx, false, nil); err != nil {
		return err
	}
	return n.lookOnce(ctx)
}

// look looks at the other processes, as long as somebody waits for a look that
// begins later.
func (n *Node) look() {
	w := n.news
	for {
		w.mu.Lock()
		r := w.listen
		w.listen, w.busy = nil, r != nil
		w.mu.Unlock()
		if r == nil {
			return
		}
		ctx, cancel := context.WithTimeout(n.ctx, newsTimeout)
		err := n.lookOnce(ctx)
		cancel()
		if err != nil {
			if n.ctx.Err() == nil {
				n.log.Error("the other processes of this node cannot be heard", "error", err)
			}
			unheard := wire.Errorf(wire.Unavailable, "", "this node cannot read its store; try again later")
			unheard.RetryAfter = time.Second
			r.err = unheard
		}
		close(r.done)
	}
}

// lookOnce reads what is new of all other processes. One is under way at a time.
func (n *Node) lookOnce(ctx context.Context) error {
	w := n.news
	now, lead := time.Now(), true
	seen, gone := map[string]bool{}, map[string]uint64{}
	for rec, err := range w.own.Scan(ctx, store.Prefix(processPrefix)) {
		if err != nil {
			return err
		}
		process := strings.Clone(strings.TrimPrefix(rec.Key, processPrefix))
		if process == w.process {
			continue
		}
		var r processRecord
		if err := decodeRecord(rec, &r); err != nil {
			return err
		}
		seen[process] = true
		c := w.others[process]
		if c == nil {
			c = &colleague{changed: now}
			if !w.begun {
				c.n = r.Newest // nothing is remembered yet
			}
			w.others[process] = c
		}
		if err := n.hearFrom(ctx, process, c, r); err != nil {
			return err
		}
		n.judge(c, rec.Revision, r.Ended, now)
		lead = lead && !(c.lives() && process < w.process)
		if !c.lives() && now.Sub(c.changed) > w.pace.gone {
			gone[process] = rec.Revision
		}
	}
	for process, c := range w.others {
		if !seen[process] {
			if c.lives() { // it seemed dead to another, who deleted its records
				n.forgetAll()
			}
			delete(w.others, process)
		}
	}
	w.begun = true
	w.mu.Lock()
	w.gone = gone
	w.mu.Unlock()
	n.lead(lead)
	return nil
}

// hearFrom reads the news of one process.
func (n *Node) hearFrom(ctx context.Context, process string, c *colleague, r processRecord) error {
	if r.Newest <= c.n {
		return nil
	}
	next := c.n + 1
	q := store.Query{From: newsKey(process, next), To: store.After(newsKey(process, r.Newest))}
	for rec, err := range n.news.own.Scan(ctx, q) {
		if err != nil {
			return err
		}
		var said newsRecord
		if rec.Key != newsKey(process, next) {
			break
		}
		if err := decodeRecord(rec, &said); err != nil {
			return err
		}
		for _, key := range said.Own {
			if err := n.heard(ctx, false, key); err != nil {
				return err
			}
		}
		for _, key := range said.Copies {
			if err := n.heard(ctx, true, key); err != nil {
				return err
			}
		}
		next++
	}
	if next <= r.Newest {
		n.forgetAll()
	}
	c.n = r.Newest
	return nil
}

// judge notes whether a process lives. Its signs of life are counted by this
// process's own clock.
func (n *Node) judge(c *colleague, revision uint64, ended bool, now time.Time) {
	if revision != c.revision {
		c.revision, c.changed, c.silent = revision, now, false
	}
	c.ended = ended
	if c.lives() && now.Sub(c.changed) > n.news.pace.silence {
		c.silent = true
		n.log.Warn("another process of this node gives no sign of life")
		n.forgetAll()
		n.tellStart() // what that one did not come to tell
	}
}

// leads reports whether this process does what one has to do: pulls and sweeps
// that nobody waits for, and deliveries that failed elsewhere. Of those that live
// it is the one with the lowest id; that there are two for a while does no harm.
func (n *Node) leads() bool { return n.news == nil || n.news.leading.Load() }

// lead notes whether this process leads. One that begins to takes over what waits.
func (n *Node) lead(now bool) {
	if n.news.leading.Swap(now) || !now {
		return
	}
	_ = n.spawn(func() {
		if err := n.loadQueue(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Error("what waits for delivery could not be read", "error", err)
			n.news.leading.Store(false) // tried again after the next look
		}
	})
}

// listenLoop looks at the others in each beat, also while nobody asks, and more
// often while somebody watches.
func (n *Node) listenLoop() {
	for {
		next := n.news.pace.beat
		if n.live.watched.Load() > 0 {
			next = min(next, watchLook)
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(next):
			_ = n.hear(n.ctx) // which logs
		}
	}
}

// sweepProcesses deletes the records of processes that ended or died a while ago.
func (n *Node) sweepProcesses(ctx context.Context) error {
	if n.news == nil {
		return nil
	}
	n.news.mu.Lock()
	gone := n.news.gone
	n.news.mu.Unlock()
	for process, revision := range gone {
		if err := n.deleteAll(ctx, store.Prefix(newsOf(process))); err != nil {
			return err
		}
		err := n.own.Apply(ctx, store.Change{Key: processPrefix + process, If: store.IfRevision(revision)})
		if err != nil && !errors.Is(err, store.ErrConflict) { // it lives after all
			return err
		}
	}
	return nil
}

// deleteAll deletes what a query selects.
func (n *Node) deleteAll(ctx context.Context, q store.Query) error {
	for q.Limit = sweepBatch; ; {
		var gone []store.Change
		for rec, err := range n.own.Scan(ctx, q) {
			if err != nil {
				return err
			}
			gone = append(gone, store.Change{Key: strings.Clone(rec.Key)})
		}
		if len(gone) == 0 {
			return nil
		}
		if err := n.own.Apply(ctx, gone...); err != nil {
			return err
		}
	}
}

// heard drops what is remembered of a record that another process changed.
func (n *Node) heard(ctx context.Context, copied bool, key string) error {
	n.forget(copied, key)
	switch kind, _, _ := strings.Cut(key, "/"); {
	case key == documentKey:
		return n.loadDocument(ctx)
	case key == logKey:
		return n.heardOfLog(ctx)
	case kind == "friend":
		if p, err := parseFriendKey(key); err == nil {
			return n.refollow(ctx, p)
		}
	case kind == "rule":
		return n.heardOfRules(ctx)
	case kind == "cosigned" && n.keyLog != nil:
		return n.readCosigned(ctx, false)
	case kind == "deliver" && n.leads():
		if p, node, err := parseDeliverKey(key); err == nil {
			n.queue.heard(p, node)
		}
	}
	return nil
}

// forget drops what is remembered of a record. A key that this release does not
// know may be about anything.
func (n *Node) forget(copied bool, key string) {
	var err error
	switch kind, rest, _ := strings.Cut(key, "/"); kind {
	case "entry", "sync", "gap":
		var name streamName
		if name, err = parseStreamName(rest); err == nil {
			n.changes.ofStream(n.streams.hear(name, copied))
		}
		if copied {
			n.room.mark()
		}
	case "friend":
		var p pair
		if p, err = parseFriendKey(key); err == nil {
			n.circles.forget(p)
		}
	case "wrap":
		var name keyservice.WrapName
		if name, err = parseWrapKey(key); err == nil {
			n.wraps.forget(name)
			n.noteReader(name)
		}
	case "key":
		var account wire.AccountID
		account, err = wire.ParseAccountID(strings.SplitN(rest, "/", 2)[0])
		if keys := n.ownKeys; err == nil {
			if copied {
				keys = n.copyKeys
			}
			keys.Forget(account)
		}
	case "sess":
		var hash wire.Hash
		if _, hash, err = parseSessionKey(key); err == nil {
			n.door.cache.forget(hash)
			n.live.ended(hash)
		}
	case "logtop":
		if n.keyLog != nil { // else it is about to be opened
			n.keyLog.Forget()
		}
	case "leaving":
		var account wire.AccountID
		if account, err = parseLeavingKey(key); err == nil {
			n.people.Remove(account)
			n.leaving.look()
		}
	case "cosigned", "deliver", "node", "rule":
	default:
		err = fmt.Errorf("nothing is known of %q", key)
	}
	if err != nil {
		n.log.Warn("news of another process are not understood", "error", err)
		n.forgetAll()
	}
}

// forgetAll drops all that is remembered. It is read again when it is used.
func (n *Node) forgetAll() {
	n.streams.forgetAll()
	n.circles.forgetAll()
	n.wraps.forgetAll()
	n.changes.ofAll()
	n.ownKeys.ForgetAll()
	n.copyKeys.ForgetAll()
	n.people.Purge()
	n.door.cache.forgetAll()
	if n.keyLog != nil {
		n.keyLog.Forget()
	}
	_ = n.spawn(func() {
		err := errors.Join(n.loadDocument(n.ctx), n.heardOfLog(n.ctx), n.heardOfRules(n.ctx), n.refollowAll(n.ctx))
		if n.keyLog != nil {
			err = errors.Join(err, n.readCosigned(n.ctx, false))
		}
		if err != nil && n.ctx.Err() == nil {
			n.log.Error("not all that is remembered could be read again", "error", err)
		}
	})
}

// refollow brings follows up to the record of a pair. It is read until it stays
// the same, so that what this process itself makes of it is not undone.
func (n *Node) refollow(ctx context.Context, p pair) error {
	for {
		r, before, err := n.friendship(ctx, p)
		if err != nil {
			return err
		}
		n.follows.set(p, r, n.name)
		_, after, err := n.friendship(ctx, p)
		if err != nil || before == after {
			return err
		}
	}
}
