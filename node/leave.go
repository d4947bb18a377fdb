package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// An account is deleted by one record: the tombstone of its owner, in the record of the
// handle. All else follows from it, in the background, and again after an interruption,
// by the process that leads: what is left of the account goes, batch by batch, and
// everybody who had to do with it is told. A marker that was written before the
// tombstone says that there is something to do. It stays for leaveAgain at least, so
// that what was under way at that moment, and wrote something later, leaves nothing.
//
// The handle stays with its tombstone, so that nobody gets it again, and the key
// statements stay, which the tombstone verifies under. What the log of keys says, it
// says for ever.

const (
	leavingPrefix  = "leaving/"
	farewellPrefix = "farewell/"

	leaveAgain    = time.Minute      // after the tombstone, all is looked through once more
	leaveUndone   = 10 * time.Minute // a marker without a tombstone is of a deletion that was interrupted before it
	leaveLook     = time.Minute      // between two looks when nothing is to be done
	leaveFirst    = time.Second      // until the next try, growing
	leaveLast     = 30 * time.Second
	leaveParked   = 5 * time.Minute // after leaveParkAt
	leaveParkAt   = 2 * time.Hour
	farewellBatch = 100 // friendRecords that are read at once
)

func leavingKey(a wire.AccountID) string { return keyOf(leavingPrefix, a) }

func parseLeavingKey(key string) (wire.AccountID, error) {
	return wire.ParseAccountID(strings.TrimPrefix(key, leavingPrefix))
}

func farewellsKey(me wire.AccountID) string { return keyOf(farewellPrefix, me) + "/" }

func farewellKey(node wire.NodeName, p pair) string {
	return farewellsKey(p.me) + string(node) + "/" + p.other.String()
}

func parseFarewellKey(key string) (p pair, node wire.NodeName, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return p, "", false
	}
	p, ok = parsePair(parts[1], parts[3])
	return p, wire.NodeName(strings.Clone(parts[2])), ok
}

// leaving wakes the loop that finishes deletions.
type leaving struct {
	wake   chan struct{}
	jitter jitter

	mu      sync.Mutex
	failing map[wire.NodeName]bool // somebody there waits to be told
}

func (l *leaving) init(j jitter) {
	l.wake, l.jitter, l.failing = make(chan struct{}, 1), j, map[wire.NodeName]bool{}
}

// fails notes that somebody of a node could not be told.
func (l *leaving) fails(node wire.NodeName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing[node] = true
}

// back lets the loop look at once, if something waits for a node that was heard of.
func (l *leaving) back(node wire.NodeName) {
	l.mu.Lock()
	waits := l.failing[node]
	delete(l.failing, node)
	l.mu.Unlock()
	if waits {
		l.look()
	}
}

// look lets the loop look at once.
func (l *leaving) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Delete deletes the account of the person, for good. Once it has returned, no session
// of theirs is open; the rest follows in the background. Kinds of errors: Invalid for
// what is no tombstone of theirs under their newest keys, Update, Clock.
//
// All other sessions end first. Else one of them could get the account other keys before
// the tombstone is there, which nobody would take under those.
func (p *Person) Delete(ctx context.Context, r wire.DeleteRequest) error {
	n := p.node
	if _, _, err := p.mayLeave(ctx, r.Tombstone); err != nil {
		return err
	}
	if err := p.EndOtherSessions(ctx); err != nil {
		if errors.Is(err, wire.NotExist) {
			return unauthenticated()
		}
		return err
	}
	n.ownKeys.Forget(p.account) // what one of them did last counts
	held, rev, err := p.mayLeave(ctx, r.Tombstone)
	if err != nil {
		return err
	}
	if err := p.keepStatement(ctx, held); err != nil { // which the vault alone may have
		return err
	}
	if err := n.commitTombstone(ctx, p, r.Tombstone); err != nil {
		return err
	}
	n.leaving.look()
	err = n.own.Apply(ctx, store.Change{Key: vaultKey(p.account), If: store.IfRevision(rev)})
	if err == nil || errors.Is(err, store.ErrConflict) { // else the loop does it
		err = n.shut(ctx, p.account)
	}
	if err != nil {
		n.log.Error("an account is deleted, and not all of its sessions could be ended yet", "error", err)
	}
	return nil
}

// mayLeave returns the vault of the person, if a tombstone is theirs and their session is
// open.
func (p *Person) mayLeave(ctx context.Context, tombstone wire.Signed) (*vaultRecord, uint64, error) {
	chain, err := p.chain(ctx)
	if err != nil {
		return nil, 0, err
	}
	t, err := chain.OpenTombstone(tombstone)
	if err != nil {
		return nil, 0, refuse(err)
	}
	if err := p.node.ahead("tombstone", t.Created); err != nil {
		return nil, 0, err
	}
	held, rev, err := p.node.vault(ctx, p.account)
	if errors.Is(err, wire.NotExist) || err == nil && !held.isOpen(p) {
		err = unauthenticated() // another one was faster, or the password has changed
	}
	return held, rev, err
}

func (r *vaultRecord) isOpen(p *Person) bool { return p.asks(r) == nil }

// commitTombstone writes the tombstone into the record of the handle.
func (n *Node) commitTombstone(ctx context.Context, p *Person, tombstone wire.Signed) error {
	var r handleRecord
	rev, err := read(ctx, n.own, handleKey(p.handle), &r)
	if err != nil {
		return fmt.Errorf("handle of %s: %v", p.account, err)
	}
	if r.Account != p.account || len(r.Tombstone) > 0 {
		return unauthenticated()
	}
	r.Tombstone = tombstone
	err = n.own.Apply(ctx,
		put(leavingKey(p.account), &leavingRecord{recordVersion, p.handle, n.now().UnixMilli()}),
		putIf(handleKey(p.handle), &r, store.IfRevision(rev)))
	n.people.Remove(p.account)
	n.door.asked.forgetAll()
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	again, err := n.holder(ctx, p.handle) // our own change may have been made twice
	if err == nil && string(again.Tombstone) != string(tombstone) {
		err = unauthenticated()
	}
	return err
}

// leaveLoop finishes deletions until the node closes.
func (n *Node) leaveLoop() {
	var wait time.Duration
	for {
		if n.leads() {
			wait = n.leaveAll(wait)
		} else {
			wait = leaveLook
		}
		select {
		case <-n.ctx.Done():
			return
		case <-n.leaving.wake:
			wait = 0
		case <-time.After(wait):
		}
	}
}

// leaveAll does what is to be done for all accounts that are being deleted, and returns
// when to look again.
func (n *Node) leaveAll(before time.Duration) time.Duration {
	marks, err := n.leavers(n.ctx)
	if err != nil && n.ctx.Err() == nil {
		n.log.Error("which accounts are being deleted could not be read", "error", err)
	}
	longest := time.Duration(0)
	for account, mark := range marks {
		done, err := n.leave(n.ctx, account, mark)
		switch {
		case n.ctx.Err() != nil:
			return leaveLook
		case err != nil:
			n.log.Error("an account is deleted, and not all of it could be removed yet", "account", account.String(), "error", err)
		case done:
			continue
		}
		longest = max(longest, leaveLast)
		if n.now().Sub(time.UnixMilli(mark.Since)) > leaveParkAt {
			longest = max(longest, leaveParked)
		}
		if n.dev {
			longest = deliverLastDev
		}
	}
	if longest == 0 {
		return leaveLook
	}
	return n.leaving.jitter.grow(before, leaveFirst, longest)
}

// leavers returns the accounts that are being deleted.
func (n *Node) leavers(ctx context.Context) (map[wire.AccountID]leavingRecord, error) {
	marks := map[wire.AccountID]leavingRecord{}
	for rec, err := range intactRecords(n.own.Scan(ctx, store.Prefix(leavingPrefix)), n.leftOut) {
		if err != nil {
			return marks, err
		}
		var r leavingRecord
		account, err := parseLeavingKey(rec.Key)
		if err == nil {
			err = decodeRecord(rec, &r)
		}
		if err != nil {
			return marks, err
		}
		marks[account] = r
	}
	return marks, nil
}

// leave removes what is left of an account, and tells whom it concerns. It reports
// whether that was all, for good.
func (n *Node) leave(ctx context.Context, account wire.AccountID, mark leavingRecord) (done bool, err error) {
	holder, err := n.holder(ctx, mark.Handle)
	if ignoreAbsent(err) != nil {
		return false, err
	}
	age := n.now().Sub(time.UnixMilli(mark.Since))
	unmark := store.Change{Key: leavingKey(account)}
	if holder.Account != account || len(holder.Tombstone) == 0 {
		if age < leaveUndone {
			return false, nil // the tombstone may be about to come
		}
		return true, n.own.Apply(ctx, unmark)
	}
	if err := n.own.Apply(ctx, store.Change{Key: vaultKey(account)}); err != nil {
		return false, err
	}
	for _, step := range []func(context.Context, wire.AccountID) error{n.shut, n.part, n.dropWritten, n.dropPerson} {
		if err := step(ctx, account); err != nil {
			return false, err
		}
	}
	told, err := n.tellFarewells(ctx, wire.Address{Handle: mark.Handle, Node: n.name}, account, holder.Tombstone)
	if err != nil || !told || age < leaveAgain {
		return false, err
	}
	return true, n.own.Apply(ctx, unmark)
}

// shut ends all sessions of an account that is deleted.
func (n *Node) shut(ctx context.Context, account wire.AccountID) error {
	return n.As(account, "").endThose(ctx, func(*session) bool { return true })
}

// part ends all that there was between an account that is deleted and others.
func (n *Node) part(ctx context.Context, account wire.AccountID) error {
	q := store.Prefix(friendsKey(account))
	for q.Limit = farewellBatch; ; {
		var others []pair
		for rec, err := range n.own.Scan(ctx, q) {
			var damaged *store.DamagedError
			if errors.As(err, &damaged) && damaged.Key != "" {
				rec, err = store.Record{Key: damaged.Key}, nil
			}
			if err != nil {
				return err
			}
			p, err := parseFriendKey(rec.Key)
			if err != nil {
				return err
			}
			others = append(others, p)
		}
		for _, p := range others {
			if err := n.partFrom(ctx, p); err != nil {
				return err
			}
		}
		if len(others) < farewellBatch {
			return nil
		}
	}
}

// partFrom lets somebody be told, and removes the friendRecord. A record that cannot be read says of nobody where they are.
func (n *Node) partFrom(ctx context.Context, p pair) error {
	r, _, err := n.friendship(ctx, p)
	if errors.Is(err, store.ErrDamaged) {
		r, err = new(friendRecord), nil
	}
	if err != nil {
		return err
	}
	defer n.pairs.lock(p)()
	changes := []store.Change{{Key: friendKey(p)}}
	if r.Node != "" {
		changes = []store.Change{
			put(farewellKey(r.Node, p), &farewellRecord{recordVersion, r.Handle}),
			{Key: deliverKey(r.Node, p)}, {Key: elsewhereKey(r.Node, p)}, {Key: friendKey(p)}, // by which the others are found
		}
	}
	err = n.own.Apply(ctx, changes...)
	n.noteFriendship(p, &friendRecord{Friendship: wire.Friendship{Me: p.me, Other: p.other}}, err)
	return err
}

// dropRead removes what was served to p.me of p.other, after their friendRecord: until
// then more of it may be copied.
func (n *Node) dropRead(ctx context.Context, p pair) error {
	if err := n.dropReader(ctx, p); err != nil {
		return err
	}
	return n.dropCopies(ctx, p.other, n.follows.readers)
}

// dropReader removes the wraps that p.other has made for p.me.
func (n *Node) dropReader(ctx context.Context, p pair) error {
	for _, s := range []store.Store{n.own, n.copies} {
		gone := map[streamName][]store.Change{}
		for rec, err := range s.Scan(ctx, store.Prefix("wrap/"+p.other.String()+"/")) {
			if err != nil && !errors.Is(err, store.ErrDamaged) {
				return err
			}
			if name, err := parseWrapKey(rec.Key); err == nil && name.Reader == p.me {
				of := streamName{name.Author, name.Audience}
				gone[of] = append(gone[of], store.Change{Key: wrapKey(name)})
			}
		}
		for name, changes := range gone {
			if err := n.dropWraps(ctx, s == n.copies, name, changes); err != nil {
				return err
			}
		}
	}
	n.wraps.forgetAll()
	return nil
}

// dropWraps makes changes that delete wraps of a stream. What a copy takes is counted
// again then.
func (n *Node) dropWraps(ctx context.Context, copied bool, name streamName, changes []store.Change) error {
	kept := n.own
	if copied {
		kept = n.copies
		s := n.streams.add(name, true)
		s.appending.Lock()
		defer s.appending.Unlock()
		if err := n.ready(ctx, s); err != nil {
			return err
		}
		if s.bytes = -1; s.state().Seq > 0 {
			changes = slices.Insert(changes, 0, syncChange(name, s.saved, s.state().Seq, -1))
		}
		n.room.mark()
	}
	for batch := range slices.Chunk(changes, dropBatch) {
		if err := kept.Apply(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

// dropCopies removes the copies of the streams of an author elsewhere, but those with
// readers here; nil for none at all.
func (n *Node) dropCopies(ctx context.Context, author wire.AccountID, readers func(streamName) []wire.AccountID) error {
	for _, kind := range copyKinds {
		q := store.Prefix(kind + author.String() + "/")
		for {
			key, err := lowestKey(ctx, n.copies, q)
			if err != nil {
				return err
			}
			if key == "" {
				break
			}
			name, err := parseStreamName(strings.TrimPrefix(groupOf(key, 3), kind))
			if err != nil {
				return fmt.Errorf("record %q: %v", key, err)
			}
			if readers == nil || len(readers(name)) == 0 {
				if err := n.dropAll(ctx, n.streams.add(name, true)); err != nil {
					return err
				}
				n.room.mark()
			}
			q.From = store.Prefix(groupOf(key, 3) + "/").To
		}
	}
	return nil
}

// copyKinds are the beginnings of keys of what there may be of a copy.
var copyKinds = []string{"entry/", "gap/", "read/", "sync/", "wrap/"}

// dropWritten removes all that an account has written.
func (n *Node) dropWritten(ctx context.Context, account wire.AccountID) error {
	list, err := n.streamsOf(ctx, account)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err := n.dropAll(ctx, s); err != nil {
			return err
		}
	}
	return n.deleteAll(ctx, store.Prefix("wrap/"+account.String()+"/"))
}

// dropAll removes a stream.
func (n *Node) dropAll(ctx context.Context, s *stream) error {
	s.appending.Lock()
	defer s.appending.Unlock()
	s.stale = true // until it is known what is left
	if err := dropStream(ctx, n.storeOf(s), s.name); err != nil {
		return err
	}
	n.wraps.forgetAll()
	n.items.removeAll(func(i itemName) bool { return i.stream == s })
	return n.catchUp(ctx, s)
}

// dropPerson removes what else there is of an account.
func (n *Node) dropPerson(ctx context.Context, account wire.AccountID) error {
	for _, prefix := range personPrefixes(account) {
		if err := n.deleteAll(ctx, store.Prefix(prefix)); err != nil {
			return err
		}
	}
	n.door.devices.Remove(account)
	return n.own.Apply(ctx, store.Change{Key: factorKey(account)}, store.Change{Key: accountKey(account)})
}

// personPrefixes are where the records of somebody lie that nobody else has to do with.
func personPrefixes(a wire.AccountID) []string {
	return []string{"sealed/" + a.String() + "/", vheadsKey(a), devicePrefix(a)}
}

// tellFarewells tells those who are not told yet that an account is deleted. It reports
// whether nobody is left who has to be.
func (n *Node) tellFarewells(ctx context.Context, from wire.Address, account wire.AccountID, tombstone wire.Signed) (bool, error) {
	waiting := map[wire.NodeName][]wire.PeerFriendRequest{}
	for rec, err := range n.own.Scan(ctx, store.Prefix(farewellsKey(account))) {
		if err != nil {
			return false, err
		}
		var r farewellRecord
		p, node, ok := parseFarewellKey(rec.Key)
		if err := decodeRecord(rec, &r); err != nil || !ok {
			return false, fmt.Errorf("record %q: not that of a farewell: %v", rec.Key, err)
		}
		if err := n.dropRead(ctx, p); err != nil {
			return false, err
		}
		waiting[node] = append(waiting[node], wire.PeerFriendRequest{
			From: from, FromAccount: account, To: wire.Address{Handle: r.Handle, Node: node}, ToAccount: p.other,
			FriendStatement: wire.FriendStatement{Kind: wire.FriendTombstone, Statement: tombstone},
		})
	}
	var work sync.WaitGroup
	places := make(chan struct{}, deliverNodes)
	for _, farewells := range waiting {
		work.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			n.bidFarewell(ctx, farewells)
		})
	}
	work.Wait()
	left, err := lowestKey(ctx, n.own, store.Prefix(farewellsKey(account)))
	return left == "", err
}

// bidFarewell tells people of one node, one after the other, until it does not answer.
func (n *Node) bidFarewell(ctx context.Context, farewells []wire.PeerFriendRequest) {
	for _, f := range farewells {
		err := n.tellTombstone(ctx, f)
		if err != nil && mayTakeLater(f.Kind, err) {
			n.log.Info("a tombstone is not delivered yet", "to", string(f.To.Node), "error", err)
			n.leaving.fails(f.To.Node)
			return
		}
		if err != nil {
			n.log.Warn("a tombstone was refused", "by", string(f.To.Node), "error", err)
		}
		key := farewellKey(f.To.Node, pair{f.FromAccount, f.ToAccount})
		if err := n.own.Apply(ctx, store.Change{Key: key}); err != nil {
			n.log.Error("a tombstone is delivered, and will be again", "error", err)
			return
		}
	}
}

// tellTombstone gives a tombstone to the node of somebody, this one included.
func (n *Node) tellTombstone(ctx context.Context, f wire.PeerFriendRequest) error {
	if f.To.Node == n.name {
		_, err := n.ingest(ctx, byNode, parties{pair{f.ToAccount, f.FromAccount}, f.From}, f.FriendStatement)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	_, err := n.peers.To(f.To.Node).Deliver(ctx, f)
	return err
}

// takeGone looks whether an author elsewhere whose stream is not there any more has
// deleted their account: their node may have told this one before it was restored from
// an old copy. Then the readers here are told.
func (n *Node) takeGone(ctx context.Context, f followed) bool {
	r, _, err := n.friendship(ctx, pair{f.readers[0], f.stream.author})
	if err != nil || r.Node == "" {
		return false
	}
	known, err := n.keys(ctx, r.address(), &f.stream.author, remindAfter)
	if err != nil || len(known.tombstone) == 0 {
		return false
	}
	for _, reader := range f.readers {
		statement := wire.FriendStatement{Kind: wire.FriendTombstone, Statement: known.tombstone}
		_, err := n.ingest(ctx, byNode, parties{pair{reader, f.stream.author}, r.address()}, statement)
		if err == nil {
			err = n.forgetGone(ctx, f.stream.author, reader)
		}
		if err != nil {
			n.log.Warn("a tombstone was not taken", "author", f.stream.author.String(), "error", err)
		}
	}
	return true
}

// forgetGone removes what there is here of somebody elsewhere who has deleted their
// account, and what somebody here has wrapped for them.
func (n *Node) forgetGone(ctx context.Context, gone, here wire.AccountID) error {
	if err := n.dropReader(ctx, pair{gone, here}); err != nil {
		return err
	}
	return n.dropCopies(ctx, gone, nil)
}
