package node

import (
	"context"
	"errors"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// elsewhereRecord: elsewhere/<node>/<me>/<other>. It is written before the first
// friendRecord of a pair whose other is at another node, and stays: what has to be
// pulled is found by it. Of the friendRecords themselves there may be millions.
//
// The record elsewhere says that all have theirs. The first releases wrote none.
type elsewhereRecord struct {
	Version uint64 `cbor:"1,keyasint"`
}

const elsewherePrefix = "elsewhere"

func elsewhereKey(node wire.NodeName, p pair) string {
	return elsewherePrefix + "/" + string(node) + "/" + p.me.String() + "/" + p.other.String()
}

// warm does in the background what a start need not wait for: it finds out what is
// followed elsewhere, and finishes what the newest entries of all streams left
// unfinished. What somebody asks for meanwhile is read then.
func (n *Node) warm() {
	defer close(n.warmed)
	if err := n.refollowAll(n.ctx); err != nil && n.ctx.Err() == nil {
		n.log.Error("not all that is followed elsewhere could be read", "error", err)
	}
	n.tellStart()
	if err := n.settleStreams(n.ctx); err != nil && n.ctx.Err() == nil {
		n.log.Error("not all streams could be looked through", "error", err)
	}
}

// refollowAll brings follows up to the records of all who have friends elsewhere.
// Of one that is damaged the key says enough.
func (n *Node) refollowAll(ctx context.Context) error {
	failed := n.markElsewhere(ctx)
	for rec, err := range n.own.Scan(ctx, store.Prefix(elsewherePrefix+"/")) {
		if errors.Is(err, store.ErrDamaged) {
			n.leftOut(err)
		} else if err != nil {
			return errors.Join(failed, err)
		}
		if p, ok := parseElsewhereKey(rec.Key); ok {
			failed = errors.Join(failed, n.refollow(ctx, p)) // others are followed all the same
		} else if err == nil {
			n.log.Error("a record has not the key of a friendship elsewhere", "record", rec.Key)
		}
	}
	return failed
}

func parseElsewhereKey(key string) (pair, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != elsewherePrefix {
		return pair{}, false
	}
	return parsePair(parts[2], parts[3])
}

// markElsewhere writes the records that are missing, once. If not all friendRecords
// can be read, the next start tries again.
func (n *Node) markElsewhere(ctx context.Context) error {
	if _, err := read(ctx, n.own, elsewherePrefix, new(elsewhereRecord)); err == nil {
		return nil
	}
	var failed error
	leaveOut := func(err error) { failed = errors.Join(failed, err) }
	for rec, err := range intactRecords(n.own.Scan(ctx, store.Prefix("friend/")), leaveOut) {
		if err != nil {
			return errors.Join(failed, err)
		}
		var r friendRecord
		if err := decodeRecord(rec, &r); err != nil {
			leaveOut(err)
			continue
		}
		if r.Node == n.name {
			continue
		}
		if err := n.own.Apply(ctx, put(elsewhereKey(r.Node, pair{r.Friendship.Me, r.Friendship.Other}), &elsewhereRecord{recordVersion})); err != nil {
			return errors.Join(failed, err)
		}
	}
	if failed != nil {
		return failed
	}
	return n.own.Apply(ctx, put(elsewherePrefix, &elsewhereRecord{recordVersion}))
}

// settleStreams finishes what the newest entries of all streams left unfinished.
// One that cannot be read holds up no other.
func (n *Node) settleStreams(ctx context.Context) error {
	for _, s := range []store.Store{n.own, n.copies} {
		all := store.Prefix("entry/")
		for {
			key := ""
			for rec, err := range firstKey(ctx, s, all, n.leftOut) {
				if err != nil {
					return err
				}
				key = strings.Clone(rec.Key)
			}
			if key == "" {
				break
			}
			group := groupOf(key, 2)
			all.From = store.Prefix(group).To
			author, err := wire.ParseAccountID(strings.TrimPrefix(group, "entry/"))
			if err == nil {
				err = n.settleAuthor(ctx, author)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil { // tried again before the next entry
				n.log.Error("the streams of an author could not be looked through", "records", group, "error", err)
			}
		}
	}
	return nil
}

func (n *Node) settleAuthor(ctx context.Context, author wire.AccountID) error {
	list, err := n.streamsOf(ctx, author)
	if err != nil {
		return err
	}
	for _, s := range list {
		s.appending.Lock()
		err = errors.Join(err, n.ready(ctx, s))
		s.appending.Unlock()
	}
	return err
}
