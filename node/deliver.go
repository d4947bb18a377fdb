package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	deliverTimeout = 3 * time.Second // for one statement
	deliverFirst   = time.Second     // until a failed delivery is tried again, growing
	deliverLast    = 30 * time.Second
	deliverLastDev = 2 * time.Second
	deliverParked  = 5 * time.Minute // after that
	deliverParkAt  = 2 * time.Hour   // without success
	deliverAtOnce  = 4               // to one node
	deliverNodes   = 16              // at once, of those that were not tried in vain
	deliverRetries = 16              // of the others
)

func deliverKey(node wire.NodeName, p pair) string {
	return "deliver/" + string(node) + "/" + p.me.String() + "/" + p.other.String()
}

// deliverNow tries to hand over what waits in the record of a pair, and leaves
// the rest to the loop. node is the other's.
func (n *Node) deliverNow(ctx context.Context, p pair, node wire.NodeName) {
	defer waiting(ctx)()
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if err := n.deliver(ctx, p, node); err != nil {
		n.log.Info("a friendship statement is not delivered yet", "to", string(node), "error", err)
		n.tryLater(p, node, err)
	}
}

// tryLater lets a pair be tried again, here or by the process that leads.
func (n *Node) tryLater(p pair, node wire.NodeName, err error) {
	switch after := saidWhen(err); {
	case !n.leads():
		n.queue.done(p)
	case after > 0:
		n.queue.asked(p, node, min(after, deliverParked))
	default:
		n.queue.later(p, node, n.dev)
	}
}

// deliver hands over the statements that wait in the record of a pair, oldest
// first, until none is left or one has to wait. node is the other's.
func (n *Node) deliver(ctx context.Context, p pair, node wire.NodeName) error {
	defer n.delivering.lock(p)()
	for {
		r, _, err := n.friendship(ctx, p)
		if err != nil {
			return err
		}
		if len(r.Queue) == 0 {
			return n.unmark(ctx, p, node)
		}
		first := r.Queue[0]
		err = n.handOver(ctx, p, r, first)
		if err != nil && mayTakeLater(first.Kind, err) {
			return err
		}
		if err != nil {
			n.log.Warn("a friendship statement was refused", "kind", string(first.Kind), "by", string(r.Node), "error", err)
		}
		if err := n.dequeue(ctx, p, node, first, err); err != nil {
			return err
		}
		if r.Node != n.name && r.Friendship.State() == wire.StateFriend {
			n.follows.renew(r.Node) // where we may be served only now
			n.pullSoon(r.Node)
		}
	}
}

// mayTakeLater reports whether the node that did not take a statement may take it
// later. An acceptance may have overtaken its offer; Tampered is how package
// federation says that the other node is in quarantine.
func mayTakeLater(k wire.FriendKind, err error) bool {
	return temporary(err) || errors.Is(err, wire.Tampered) || k == wire.FriendAccept && errors.Is(err, wire.NotExist)
}

// handOver gives one statement to the other's node, this one included. Refused
// for good is what errs with a kind that is not temporary.
func (n *Node) handOver(ctx context.Context, p pair, r *friendRecord, q queuedRecord) error {
	handle, err := n.person(ctx, p.me)
	if err != nil {
		return fmt.Errorf("who says it: %v", err)
	}
	from := wire.Address{Handle: handle, Node: n.name}
	statement := wire.FriendStatement{Kind: q.Kind, Statement: q.Statement}
	if r.Node == n.name {
		_, err := n.ingest(ctx, byNode, parties{pair{p.other, p.me}, from}, statement)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	_, err = n.peers.To(r.Node).Deliver(ctx, wire.PeerFriendRequest{
		From: from, FromAccount: p.me, To: r.address(), ToAccount: p.other, FriendStatement: statement,
	})
	return err
}

// dequeue removes a statement that was taken, or refused for good.
func (n *Node) dequeue(ctx context.Context, p pair, node wire.NodeName, q queuedRecord, refused error) error {
	// Another process may queue something more: then it writes the marker anew.
	marker, err := read(ctx, n.own, deliverKey(node, p), new(deliverRecord))
	if ignoreAbsent(err) != nil {
		return err
	}
	_, err = n.changeFriendship(ctx, p, func(r *friendRecord, _ bool) (*friendChange, error) {
		if len(r.Queue) == 0 || string(r.Queue[0].Statement) != string(q.Statement) {
			return nil, nil
		}
		r.Queue, r.Problem = r.Queue[1:], ""
		if refused != nil {
			r.Problem = fmt.Sprintf("%s did not take the %s: %v", r.Node, q.Kind, refused)
		}
		c := new(friendChange)
		if len(r.Queue) == 0 && marker != 0 {
			c.after = []store.Change{{Key: deliverKey(node, p), If: store.IfRevision(marker)}}
		}
		return c, nil
	})
	return err
}

// unmark deletes the marker of a pair with nothing to deliver, which is there
// after an interruption only. Another process may be about to queue something:
// after the marker, it changes the record. So the record is written as it is, and
// the other has to begin again; where there is none yet, the marker stays.
func (n *Node) unmark(ctx context.Context, p pair, node wire.NodeName) error {
	defer n.pairs.lock(p)()
	key := deliverKey(node, p)
	marker, err := read(ctx, n.own, key, new(deliverRecord))
	if err != nil {
		return ignoreAbsent(err)
	}
	r, rev, err := n.friendship(ctx, p)
	if err != nil || len(r.Queue) > 0 || rev == 0 && n.news != nil {
		return err
	}
	if rev == 0 {
		return n.own.Apply(ctx, store.Change{Key: key})
	}
	err = n.own.Apply(ctx, putIf(friendKey(p), r, store.IfRevision(rev)), store.Change{Key: key, If: store.IfRevision(marker)})
	if errors.Is(err, store.ErrConflict) {
		return nil // whoever was first sees to it
	}
	return err
}

// deliveries are the pairs whose statements wait, and when to try again.
type deliveries struct {
	mu      sync.Mutex
	waiting map[pair]*delivery
	busy    map[wire.NodeName]bool // the loop is at it; whether it is one of the failing
	failing map[wire.NodeName]bool // something was tried there in vain, and it was not heard of since
	wake    chan struct{}          // the loop looks again
	jitter  jitter
}

type delivery struct {
	node wire.NodeName
	at   time.Time // zero while it is tried
	wait time.Duration
	fail time.Time // since when it fails, zero if it does not
}

// longest is how long to wait between two tries.
func (d *delivery) longest(now time.Time, dev bool) time.Duration {
	switch {
	case dev:
		return deliverLastDev
	case now.Sub(d.fail) >= deliverParkAt:
		return deliverParked
	}
	return deliverLast
}

func (d *deliveries) init(j jitter) {
	d.jitter = j
	d.waiting = make(map[pair]*delivery)
	d.busy = make(map[wire.NodeName]bool)
	d.failing = make(map[wire.NodeName]bool)
	d.wake = make(chan struct{}, 1)
}

// add lets a pair be tried at once.
func (d *deliveries) add(p pair, node wire.NodeName) {
	d.mu.Lock()
	d.waiting[p] = &delivery{node: node, at: time.Now()}
	d.mu.Unlock()
	d.look()
}

// heard lets a pair be tried that another process queued something for, unless
// that process has done so by then.
func (d *deliveries) heard(p pair, node wire.NodeName) {
	d.mu.Lock()
	if d.waiting[p] == nil {
		d.waiting[p] = &delivery{node: node, at: time.Now().Add(deliverTimeout)}
	}
	d.mu.Unlock()
	d.look()
}

// later lets a pair be tried after a wait that grows with each failure, and
// differs from that of others.
func (d *deliveries) later(p pair, node wire.NodeName, dev bool) {
	now := time.Now()
	d.mu.Lock()
	one := d.waiting[p]
	if one == nil {
		one = &delivery{node: node}
		d.waiting[p] = one
	}
	if one.fail.IsZero() {
		one.fail = now
	}
	one.wait = d.jitter.grow(one.wait, deliverFirst, one.longest(now, dev))
	one.at = now.Add(one.wait)
	d.failing[node] = true
	d.mu.Unlock()
	d.look()
}

// asked lets a pair be tried when its node has said that it may be, or up to
// deliverFirst later.
func (d *deliveries) asked(p pair, node wire.NodeName, after time.Duration) {
	d.mu.Lock()
	d.waiting[p] = &delivery{node: node, at: time.Now().Add(after + d.jitter(deliverFirst))}
	d.mu.Unlock()
	d.look()
}

// back lets all that waits for a node that was heard of be tried at once.
func (d *deliveries) back(node wire.NodeName) {
	d.mu.Lock()
	if !d.failing[node] {
		d.mu.Unlock()
		return
	}
	delete(d.failing, node)
	found := false
	for _, one := range d.waiting {
		if one.node == node && one.wait > 0 && !one.at.IsZero() {
			one.at, found = time.Now(), true
		}
	}
	d.mu.Unlock()
	if found {
		d.look()
	}
}

// nodes returns those that something waits for, some more than once.
func (d *deliveries) nodes() (list []wire.NodeName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.waiting {
		list = append(list, one.node)
	}
	return list
}

func (d *deliveries) look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due returns the pairs to be tried now, by node, and when to look again. They
// are not due again before done or later, nor are others of the node before free.
// What waits for a node without a place is due when one is free.
func (d *deliveries) due() (map[wire.NodeName][]pair, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	next := time.Hour
	due := make(map[wire.NodeName][]pair)
	for p, one := range d.waiting {
		_, busy := d.busy[one.node]
		switch wait := one.at.Sub(now); {
		case one.at.IsZero(), busy && due[one.node] == nil:
		case wait > 0:
			next = min(next, wait)
		case busy || d.place(one.node):
			one.at = time.Time{}
			due[one.node] = append(due[one.node], p)
		}
	}
	return due, next
}

// place has a node be busy, if there is a place for it. Those that were tried in vain
// have places of their own, so that such as hang hold up no others. The caller holds
// d.mu.
func (d *deliveries) place(node wire.NodeName) bool {
	failing, free := d.failing[node], deliverNodes
	if failing {
		free = deliverRetries
	}
	for _, f := range d.busy {
		if f == failing {
			free--
		}
	}
	if free <= 0 {
		return false
	}
	d.busy[node] = failing
	return true
}

// free lets what waits for a node be due again.
func (d *deliveries) free(node wire.NodeName) {
	d.mu.Lock()
	delete(d.busy, node)
	d.mu.Unlock()
	d.look()
}

// done forgets a pair that was delivered, unless it was added again meanwhile.
func (d *deliveries) done(p pair) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.waiting[p]; one != nil && one.at.IsZero() {
		delete(d.waiting, p)
		if d.failing[one.node] && !d.waits(one.node) {
			delete(d.failing, one.node)
		}
	}
}

// waits reports whether anything waits for a node. The caller holds d.mu.
func (d *deliveries) waits(node wire.NodeName) bool {
	for _, one := range d.waiting {
		if one.node == node {
			return true
		}
	}
	return false
}

// loadQueue finds what waits since before the start.
func (n *Node) loadQueue(ctx context.Context) error {
	for rec, err := range intactRecords(n.own.Scan(ctx, store.Prefix("deliver/")), n.leftOut) {
		if err != nil {
			return err
		}
		p, node, err := parseDeliverKey(rec.Key)
		if err != nil {
			return err
		}
		n.queue.add(p, node)
	}
	return nil
}

func parseDeliverKey(key string) (pair, wire.NodeName, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return pair{}, "", fmt.Errorf("record %q: not the key of a delivery", key)
	}
	me, err1 := wire.ParseAccountID(parts[2])
	other, err2 := wire.ParseAccountID(parts[3])
	if err := errors.Join(err1, err2); err != nil {
		return pair{}, "", fmt.Errorf("record %q: %v", key, err)
	}
	return pair{me, other}, wire.NodeName(strings.Clone(parts[1])), nil
}

// deliverLoop tries what is due until the node closes. Each node has workers of
// its own.
func (n *Node) deliverLoop() {
	for {
		due, next := n.queue.due()
		for node, pairs := range due {
			n.work.Go(func() {
				defer n.queue.free(node)
				n.deliverAll(node, pairs)
			})
		}
		select {
		case <-n.ctx.Done():
			return
		case <-n.queue.wake:
		case <-time.After(next):
		}
	}
}

// deliverAll delivers to one node. When it cannot be reached, those that were
// not tried wait as well.
func (n *Node) deliverAll(node wire.NodeName, pairs []pair) {
	ctx, away := context.WithCancel(n.ctx)
	defer away()
	next := make(chan pair)
	var workers sync.WaitGroup
	for range min(deliverAtOnce, len(pairs)) {
		workers.Go(func() {
			for p := range next {
				err := ctx.Err()
				if err == nil {
					err = n.deliver(n.ctx, p, node)
				}
				if err == nil {
					n.queue.done(p)
					continue
				}
				if errors.Is(err, wire.Unavailable) {
					away()
				}
				n.tryLater(p, node, err)
			}
		})
	}
	for _, p := range pairs {
		next <- p
	}
	close(next)
	workers.Wait()
}
