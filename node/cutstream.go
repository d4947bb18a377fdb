package node

import (
	"context"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// takeStreams takes the entries.
func (c *cut) takeStreams(ctx context.Context) error {
	friends, stop := newKeptFriends(c.lists[len(c.lists)-1]) // which were taken just before
	defer stop()
	var at streamName
	ended := false
	return c.keep(ctx, func(rec store.Record) (bool, error) {
		name, err := parseStreamName(strings.TrimPrefix(rec.Key, "entry/"))
		seq, ok := parseHex16(rec.Key[strings.LastIndexByte(rec.Key, '/')+1:])
		if err != nil || !ok {
			return true, nil
		}
		if name != at {
			at, ended = name, false
		}
		if ended {
			return false, nil
		}
		r := new(entryRecord)
		if decodeRecord(rec, r) != nil {
			r = new(entryRecord) // it needs nothing that anybody could tell
		}
		whole, last, err := c.judge(ctx, friends, name, seq, r)
		if err != nil {
			return false, err
		}
		ended = !whole || last
		if whole {
			c.heads[name] = seq
		}
		return whole, nil
	}, store.Prefix("entry/"))
}

// judge reports whether an entry has all that it needs in the cut, and whether it
// has to be the last of its stream.
func (c *cut) judge(ctx context.Context, friends *keptFriends, name streamName, seq uint64, r *entryRecord) (whole, last bool, err error) {
	if r.Kind == wire.KindEpoch {
		if later, err := c.laterVault(ctx, name.author, r.Body); later || err != nil {
			return false, false, err
		}
	}
	for _, e := range r.Ends {
		kept, settled, err := c.judgeEnd(ctx, friends, name, seq, e)
		if err != nil || !kept {
			return false, false, err
		}
		last = last || !settled
	}
	return true, last, nil
}

// judgeEnd reports whether there is a friendRecord in the cut for an end that an
// entry commits, and whether it has the end. What is wrong in the store as well
// counts as right.
func (c *cut) judgeEnd(ctx context.Context, friends *keptFriends, name streamName, seq uint64, e endRecord) (kept, settled bool, err error) {
	p := pair{name.author, e.Other}
	r, err := friends.of(p)
	if err != nil {
		return false, false, err
	}
	if held, err := c.holdsEnd(ctx, p, r, e); held || err != nil {
		return true, true, err
	}
	// The next entry is committed after the end was taken in: look for it first.
	followed, _, err := c.held.get(ctx, entryKey(name, seq+1), new(entryRecord))
	if err != nil {
		return false, false, err
	}
	now := new(friendRecord)
	if _, legible, err := c.held.get(ctx, friendKey(p), now); err != nil || !legible {
		return true, true, err
	}
	held, err := c.holdsEnd(ctx, p, now, e)
	return r != nil, followed && !held, err
}

// holdsEnd reports whether a friendRecord, which may be nil, has an end.
func (c *cut) holdsEnd(ctx context.Context, p pair, r *friendRecord, e endRecord) (bool, error) {
	if r == nil {
		return false, nil
	}
	held, err := c.held.chain(ctx, p.me)
	if err != nil || held.chain == nil {
		return false, err
	}
	s, err := openStatement(held.chain, wire.FriendStatement{Kind: wire.FriendEnd, Statement: e.Statement})
	return err == nil && hasEnd(&r.Friendship, s.end), nil
}

// laterVault reports whether the body of an epoch names a later vault than the one
// that is kept.
func (c *cut) laterVault(ctx context.Context, author wire.AccountID, body []byte) (bool, error) {
	var b wire.EpochBody
	kept := c.people[author]
	if kept == 0 || wire.DecodeOwn("epoch", body, &b) != nil {
		return false, nil
	}
	head, err := c.vaultHead(ctx, author, b.VaultHead)
	return head != nil && head.Counter > kept, err
}
