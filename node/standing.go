package node

import (
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A standing is what a friendRecord comes to: whether the two are friends, and where
// the other writes. A first page asks two records of each friend for it.
type standing struct {
	friendLink
	friends bool
}

// link returns where the other writes.
func (r *friendRecord) link() friendLink { return linkOf(&r.Friendship, r.Node) }

func linkOf(f *wire.Friendship, node wire.NodeName) friendLink {
	return friendLink{streamName{f.Other, f.Yours.Audience}, node}
}

// standingIn reads the standing in a friendRecord. It keeps nothing of rec.
func standingIn(rec store.Record) (standing, error) {
	if s, ok := plainStanding(rec.Value); ok {
		return s, nil
	}
	r := new(friendRecord)
	if err := decodeRecord(rec, r); err != nil {
		return standing{}, err
	}
	return standing{r.link(), r.Friendship.State() == wire.StateFriend}, nil
}

// plainStanding reads it the short way: statements are gone past.
func plainStanding(b []byte) (standing, bool) {
	r := wire.ReadPlain(b)
	r.Pairs(12)
	r.Number(1)
	r.Text(2)
	node := r.Text(3)
	f := r.Said(4)
	for key := uint64(5); key <= 12; key++ {
		r.Skip(key)
	}
	if !r.End() {
		return standing{}, false
	}
	return standing{linkOf(&f, wire.NodeName(node)), f.State() == wire.StateFriend}, true
}
