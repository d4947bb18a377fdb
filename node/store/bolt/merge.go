package bolt

import (
	"bytes"

	"github.com/peerbrain/peerbrain/node/store"
)

// layers are what is not in the file yet, or may be there only in part. A record
// is what the first of active, frozen, apart and file has under its key.
type layers struct {
	active  table
	frozen  table // on its way into the file; empty if nothing is
	apart   table // what the file has beside its records, see apart.go
	freezes int   // how often an active one became a frozen one
}

// get returns what the layers have under a key.
func (l *layers) get(key []byte) (p pair, ok bool) {
	if p, ok = l.active.get(key); ok {
		return p, true
	}
	if p, ok = l.frozen.get(key); ok {
		return p, true
	}
	return l.apart.get(key)
}

// over returns the first pairs of a query that lie over those of the file; those
// without a stored value are deleted. More says that it ended at the last of them,
// and not at the end of the query.
func (l *layers) over(q store.Query) (found []finding, more bool) {
	var end []byte // of the one that ended first
	for _, t := range []table{l.active, l.frozen, l.apart} {
		older, more := t.some(q, q.Limit)
		if last := len(older) - 1; more && (end == nil || ahead(older[last].key, end, q.Reverse)) {
			end = older[last].key
		}
		found = merge(found, older, q.Reverse)
	}
	return upTo(found, end, q.Reverse), end != nil
}

// ahead reports whether key a comes before b.
func ahead(a, b []byte, reverse bool) bool {
	if reverse {
		return bytes.Compare(a, b) > 0
	}
	return bytes.Compare(a, b) < 0
}

// upTo cuts off what lies behind a key; nil is no key.
func upTo(found []finding, end []byte, reverse bool) []finding {
	for n := len(found); end != nil && n > 0 && ahead(end, found[n-1].key, reverse); n-- {
		found = found[:n-1]
	}
	return found
}

// merge puts two lists in order into one. Of two with the same key, the newer
// stays. What has no key keeps its place behind those that came before it.
func merge(newer, older []finding, reverse bool) []finding {
	switch {
	case len(newer) == 0:
		return older
	case len(older) == 0:
		return newer
	}
	merged := make([]finding, 0, len(newer)+len(older))
	for _, f := range older {
		for f.key != nil && len(newer) > 0 && ahead(newer[0].key, f.key, reverse) {
			merged, newer = append(merged, newer[0]), newer[1:]
		}
		if f.key != nil && len(newer) > 0 && bytes.Equal(newer[0].key, f.key) {
			continue // the newer one follows
		}
		merged = append(merged, f)
	}
	return append(merged, newer...)
}
