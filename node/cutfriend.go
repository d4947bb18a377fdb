package node

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// takeFriends takes the friendRecords.
func (c *cut) takeFriends(ctx context.Context) error {
	first, err := c.spool.fill(func(add func(store.Record) error) error {
		return c.scanFriends(ctx, func(rec store.Record, p pair, r *friendRecord) error {
			c.note(p, r)
			return add(rec)
		})
	})
	if err != nil {
		return err
	}
	if err := c.compareFriends(ctx, first); err != nil {
		return err
	}
	c.lists = append(c.lists, c.friendRecords(first))
	return nil
}

// friendRecords are those that are kept, in order.
func (c *cut) friendRecords(first *part) iter.Seq2[store.Record, error] {
	return merged(inOrder(c.changed), first.records())
}

// scanFriends visits the friendRecords of people in the cut, but for those with
// somebody who was registered here since. Of one that cannot be read, r is nil.
func (c *cut) scanFriends(ctx context.Context, visit func(rec store.Record, p pair, r *friendRecord) error) error {
	for rec, err := range c.own.Scan(ctx, store.Prefix("friend/")) {
		if err != nil {
			return err
		}
		if !c.has(rec.Key) {
			continue
		}
		p, err := parseFriendKey(rec.Key)
		r := new(friendRecord)
		if err != nil || decodeRecord(rec, r) != nil {
			r = nil
		}
		if r != nil && r.Node == c.name {
			if later, err := c.later(ctx, p.other); err != nil {
				return err
			} else if later {
				continue
			}
		}
		if err := visit(rec, p, r); err != nil {
			return err
		}
	}
	return nil
}

// later reports whether somebody was registered here since the cut was begun.
func (c *cut) later(ctx context.Context, account wire.AccountID) (bool, error) {
	if _, ok := c.people[account]; ok {
		return false, nil
	}
	_, err := c.own.Get(ctx, accountKey(account))
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return true, err
}

// note notes whether something of a pair waits for delivery.
func (c *cut) note(p pair, r *friendRecord) {
	delete(c.waiting, p)
	if r != nil && len(r.Queue) > 0 {
		c.waiting[p] = r.Node
	}
}

// compareFriends reads all friendRecords once more. Those that are as before were
// so at the moment between.
func (c *cut) compareFriends(ctx context.Context, first *part) error {
	var before listed
	var stop func()
	before.pull, stop = iter.Pull2(first.records())
	defer stop()
	more := before.next()
	return c.scanFriends(ctx, func(rec store.Record, p pair, r *friendRecord) error {
		for more && before.err == nil && before.rec.Key < rec.Key {
			more = before.next()
		}
		if before.err != nil {
			return before.err
		}
		same := more && before.rec.Key == rec.Key && bytes.Equal(before.rec.Value, rec.Value)
		if same || r == nil || r.Node != c.name {
			return nil // what is between nodes may be at any moment
		}
		return c.readTogether(ctx, p)
	})
}

// readTogether reads both records of two people of this node as they are at one
// moment.
func (c *cut) readTogether(ctx context.Context, p pair) error {
	back := pair{p.other, p.me}
	for {
		mine, err := c.own.Get(ctx, friendKey(p))
		if errors.Is(err, store.ErrNotExist) {
			return nil // one of them has deleted their account
		}
		if err != nil {
			return err
		}
		theirs, err := c.own.Get(ctx, friendKey(back))
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		again, err := c.own.Get(ctx, friendKey(p))
		if errors.Is(err, store.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if again.Revision != mine.Revision {
			continue
		}
		c.replace(p, mine)
		if theirs.Revision != 0 {
			c.replace(back, theirs)
		}
		return nil
	}
}

func (c *cut) replace(p pair, rec store.Record) {
	c.changed[friendKey(p)] = rec.Value
	r := new(friendRecord)
	if decodeRecord(rec, r) != nil {
		r = nil
	}
	c.note(p, r)
}

// keptFriends finds friendRecords that are kept, of one person after the other in
// order of the accounts.
type keptFriends struct {
	at   listed
	more bool
	me   wire.AccountID
	all  map[string][]byte // of me, by key
}

func newKeptFriends(records iter.Seq2[store.Record, error]) (k *keptFriends, stop func()) {
	k = new(keptFriends)
	k.at.pull, stop = iter.Pull2(records)
	k.more = k.at.next()
	return k, stop
}

// of returns the record of a pair, nil if there is none that can be read.
func (k *keptFriends) of(p pair) (*friendRecord, error) {
	if k.all == nil || k.me != p.me {
		k.me, k.all = p.me, map[string][]byte{}
		for prefix := friendsKey(p.me); k.more && k.at.err == nil && k.at.rec.Key < store.Prefix(prefix).To; k.more = k.at.next() {
			if strings.HasPrefix(k.at.rec.Key, prefix) {
				k.all[k.at.rec.Key] = k.at.rec.Value
			}
		}
	}
	if k.at.err != nil {
		return nil, k.at.err
	}
	value, ok := k.all[friendKey(p)]
	r := new(friendRecord)
	if !ok || decodeRecord(store.Record{Key: friendKey(p), Value: value}, r) != nil {
		return nil, nil
	}
	return r, nil
}
