package node

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A cut is what a backup holds of a store that cannot show one moment of itself,
// such as a database that several processes of the node write to. It is not what
// was there at one moment, but what could have been: it has nothing without what
// that needs. What was acknowledged before it was begun is in it.
//
// Records are read kind by kind, in this order; what is kept of a kind limits what
// is kept of those that come later.
//
//	account, handle  who is in it: whoever was registered when it was begun.
//	                 Nothing is kept that belongs to others, or is between them
//	                 and somebody in it.
//	vault, sealed    each vault together with its sealed bytes, which are deleted
//	                 when it is replaced. Those that no vault names are left out.
//	friend           twice. Where one has changed in between, and the other person
//	                 is of this node as well, the records of the two are read
//	                 together: each holds what the other one said.
//	entry            each stream up to the first entry that needs a later vault, or
//	                 ends a friendship later, than what is kept. An end that is not
//	                 in the friendRecord yet is the last of its stream: a start
//	                 takes it in.
//	wrap             was there before the entry of the epoch.
//	vhead, id        up to the vaults and entries that are kept.
//	key              of people here, up to the one that their vault is signed under.
//	deliver          is not read, but follows from the friendRecords.
//	handle           once more: of who was deleted meanwhile, the tombstone, with a
//	                 marker, so that the rest goes after a restore (cutgone.go).
//	others           need nothing (peer, node, device), or were there before what
//	                 needs them (elsewhere, account).
//
// What does not depend on the moment is kept as it is: records that cannot be
// read, and those that lack what they need in the store as well. Fsck names them.
//
// TestCutUnderLoad compares; TestCutOrder has what each of these rules is for.
type cut struct {
	own   store.Store
	name  wire.NodeName
	held  *side // the chains of people here
	spool *spool

	people  map[wire.AccountID]uint64 // who is in it, and the version of their vault; 0: nobody can tell
	leaving map[wire.AccountID]bool   // who is being deleted
	gone    map[wire.AccountID]bool   // who was deleted before
	keys    map[wire.AccountID]uint64 // the number of the key statement that it is signed under
	changed map[string][]byte         // friendRecords that were read together, by key
	waiting map[pair]wire.NodeName    // deliveries
	heads   map[streamName]uint64     // the last entry that is kept
	lists   []iter.Seq2[store.Record, error]
}

// A cutStore is a store whose Snapshot is a cut, which it keeps in the folder dir
// until all of it is there. One cut is under way at a time.
type cutStore struct {
	store.Store
	name wire.NodeName
	dir  string
}

// Snapshot implements store.Snapshotter, but for the one moment. It holds nothing
// of the store.
func (s cutStore) Snapshot(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		held, err := newSpool(s.dir, s.name)
		if err == nil {
			c := &cut{own: s.Store, name: s.name, spool: held, people: map[wire.AccountID]uint64{}, keys: map[wire.AccountID]uint64{}, leaving: map[wire.AccountID]bool{}, gone: map[wire.AccountID]bool{}, changed: map[string][]byte{},
				waiting: map[pair]wire.NodeName{}, heads: map[streamName]uint64{}, held: newFsck(FsckOptions{Own: s.Store}).own}
			if err = c.take(ctx); err == nil {
				for rec, err := range merged(c.lists...) {
					if !yield(rec, err) || err != nil {
						_ = held.close() // nobody asks any more
						return
					}
				}
			}
			err = errors.Join(err, held.close())
		}
		if err != nil {
			yield(store.Record{}, err)
		}
	}
}

// take reads the store.
func (c *cut) take(ctx context.Context) error {
	for _, one := range []func(context.Context) error{
		c.noteLeavers, c.takePeople, c.takeVaults, c.takeFriends, c.takeStreams, c.takeWraps, c.takeHeads, c.takeIDs, c.takeKeys, c.takeOthers, c.takeGone,
	} {
		if err := one(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keep adds to the cut those records of queries that are wanted.
func (c *cut) keep(ctx context.Context, wanted func(store.Record) (bool, error), queries ...store.Query) error {
	p, err := c.spool.fill(func(add func(store.Record) error) error {
		for _, q := range queries {
			for rec, err := range c.own.Scan(ctx, q) {
				ok := false
				if err == nil && c.has(rec.Key) {
					ok, err = wanted(rec)
				}
				if err == nil && ok {
					err = add(rec)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		c.lists = append(c.lists, p.records())
	}
	return err
}

func (c *cut) takePeople(ctx context.Context) error {
	// Who has an account and no handle of their own may be about to get it, or
	// have lost it.
	begun := map[wire.AccountID]wire.Handle{}
	for rec, err := range c.own.Scan(ctx, store.Prefix("account/")) {
		if err != nil {
			return err
		}
		account, err := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "account/"))
		var r accountRecord
		if err == nil && decodeRecord(rec, &r) == nil {
			begun[account] = wire.Handle(strings.Clone(string(r.Handle)))
		}
	}
	err := c.keep(ctx, func(rec store.Record) (bool, error) {
		var r handleRecord
		if decodeRecord(rec, &r) == nil {
			c.people[r.Account] = 0
			c.gone[r.Account] = len(r.Tombstone) > 0
		}
		return true, nil
	}, store.Prefix("handle/"))
	if err != nil {
		return err
	}
	for account, handle := range begun {
		if _, ok := c.people[account]; ok {
			continue
		}
		var r handleRecord
		_, legible, err := c.held.get(ctx, handleKey(handle), &r)
		if err != nil {
			return err
		}
		if !legible || r.Account != account {
			c.people[account] = 0
		}
	}
	return nil
}

// has reports whether a record belongs to somebody who is in the cut, or to nobody
// in particular.
func (c *cut) has(key string) bool {
	parts := strings.Split(key, "/")
	at := 1
	switch parts[0] {
	case elsewherePrefix:
		at = 2
	case "account", "device", "entry", "farewell", "friend", "key", "leaving", "vault", "vhead", "wrap":
	default:
		return true
	}
	if len(parts) <= at {
		return true
	}
	owner, err := wire.ParseAccountID(parts[at])
	_, ok := c.people[owner]
	return ok || err != nil
}

func always(store.Record) (bool, error) { return true, nil }

func (c *cut) takeWraps(ctx context.Context) error {
	return c.keep(ctx, always, store.Prefix("wrap/"))
}

func (c *cut) takeHeads(ctx context.Context) error {
	return c.keep(ctx, func(rec store.Record) (bool, error) {
		parts := strings.Split(rec.Key, "/")
		if len(parts) != 4 {
			return true, nil
		}
		account, err := wire.ParseAccountID(parts[1])
		counter, ok := parseHex16(parts[2])
		newest := c.people[account]
		return err != nil || !ok || newest == 0 || counter <= newest, nil
	}, store.Prefix("vhead/"))
}

func (c *cut) takeKeys(ctx context.Context) error {
	return c.keep(ctx, func(rec store.Record) (bool, error) {
		parts := strings.Split(rec.Key, "/")
		if len(parts) != 3 {
			return true, nil
		}
		account, err := wire.ParseAccountID(parts[1])
		seq, ok := parseHex16(parts[2])
		newest, known := c.keys[account]
		return err != nil || !ok || !known || seq <= newest, nil
	}, store.Prefix("key/"))
}

func (c *cut) takeIDs(ctx context.Context) error {
	return c.keep(ctx, func(rec store.Record) (bool, error) {
		var r idRecord
		err := decodeRecord(rec, &r)
		return err != nil || r.Seq <= c.heads[streamName{r.Author, r.Audience}], nil
	}, store.Prefix("id/"))
}

// takeOthers takes what lies between all that was taken, and between what a backup
// leaves out.
func (c *cut) takeOthers(ctx context.Context) error {
	done := slices.Concat(passing, []string{"deliver/", "entry/", "friend/", "handle/", "id/", "key/", "sealed/", "vault/", "vhead/", "wrap/"})
	slices.Sort(done)
	var gaps []store.Query
	from := ""
	for _, prefix := range done {
		gaps = append(gaps, store.Query{From: from, To: prefix})
		from = store.Prefix(prefix).To
	}
	if err := c.keep(ctx, always, append(gaps, store.Query{From: from})...); err != nil {
		return err
	}
	marks := map[string][]byte{}
	for p, node := range c.waiting {
		marks[deliverKey(node, p)] = wire.EncodeCBOR(&deliverRecord{recordVersion})
	}
	c.lists = append(c.lists, inOrder(marks))
	return nil
}

// inOrder are the records of a map.
func inOrder(m map[string][]byte) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(store.Record{Key: key, Value: m[key]}, nil) {
				return
			}
		}
	}
}
