package federation

import (
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A node changes its request key while peers go on believing what they know. Its
// document lists the new key beside the old one, which from then on has an end.
// All times follow from the moment at which the new key was first listed:
//
//	0            the document with both is served; the old key signs
//	keySettles   the new key signs: whoever asked for the document before it had
//	             the key may ask again by now
//	keyOverlap   the old key ends
//	5 minutes    (documentFresh) no peer that can ask still believes a document
//	             in which the old key goes on
//
// A peer's clock may be ahead by as much as a request lives, and ours is not asked
// when the old key ends there: so keyOverlap is keySettles, requestLifetime and
// half a minute for what is under way (TestRotationUnderLoad).
const (
	keySettles = fetchPauseServe + 30*time.Second
	keyOverlap = 4 * time.Minute
	// keyRemains is how long after the end of a key nobody may ask for it any more:
	// clocks differ.
	keyRemains = time.Minute
)

// ListKeys returns what a document says of a node's request keys, which are given
// oldest first, when the one before it said what last does. A key that is new
// counts from now on, and the one before it for keyOverlap after that.
func ListKeys(last []wire.NodeKey, keys []wire.NodeRequestKey, now time.Time) []wire.NodeKey {
	list := make([]wire.NodeKey, len(keys))
	for i, key := range keys {
		list[i] = wire.NodeKey{Purpose: wire.KeyForRequests, Key: key, NotBefore: now.Add(-requestKeyEarly).UnixMilli()}
		if was := find(last, key); was != nil {
			list[i] = *was
		}
	}
	for i := range list {
		end := now.Add(requestKeyValid).UnixMilli()
		if i+1 < len(list) {
			end = Listed(list[i+1]).Add(keyOverlap).UnixMilli()
			if was := find(last, list[i].Key); was != nil {
				end = min(end, was.NotAfter)
			}
		}
		list[i].NotAfter = max(end, list[i].NotBefore+1) // the clock may have been set back
	}
	return list
}

func find(list []wire.NodeKey, key wire.NodeRequestKey) *wire.NodeKey {
	i := slices.IndexFunc(list, func(k wire.NodeKey) bool { return k.Purpose == wire.KeyForRequests && k.Key == key })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// Listed returns when a request key of one's own was first listed.
func Listed(k wire.NodeKey) time.Time { return time.UnixMilli(k.NotBefore).Add(requestKeyEarly) }

// Signs returns from when on a request key of one's own signs, if there is one
// before it.
func Signs(k wire.NodeKey) time.Time { return Listed(k).Add(keySettles) }

// Forgotten returns from when on nothing needs a request key of one's own.
func Forgotten(k wire.NodeKey) time.Time { return time.UnixMilli(k.NotAfter).Add(keyRemains) }

// SigningOrder returns the request keys of one's own document in the order in
// which they are to be tried: the newest that has settled, and then the others
// that count, newest first. A peer that could not ask for the document still
// takes the one before.
func SigningOrder(listed []wire.NodeKey, now time.Time) []wire.NodeRequestKey {
	var order []wire.NodeRequestKey
	first, at := -1, now.UnixMilli()
	for i := len(listed) - 1; i >= 0; i-- { // newest first
		k := listed[i]
		if k.Purpose != wire.KeyForRequests || at > k.NotAfter || at < k.NotBefore {
			continue
		}
		order = append(order, k.Key)
		if first < 0 && !now.Before(Signs(k)) {
			first = len(order) - 1
		}
	}
	if first < 0 {
		first = len(order) - 1 // none has settled: the oldest
	}
	if first > 0 {
		key := order[first]
		order = slices.Insert(slices.Delete(order, first, first+1), 0, key)
	}
	return order
}
