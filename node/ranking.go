package node

import (
	"context"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A spot is an entry of a stream and its position: a place without the names.
type spot struct {
	stream   *stream
	seq      uint64
	position int64 // ms since 1970
}

func (s spot) place() place { return placeOf(s.stream.name, s.seq, s.position) }

// before is the order of places.
func (s spot) before(t spot) bool {
	if s.position != t.position {
		return s.position < t.position
	}
	if s.stream == t.stream {
		return s.seq < t.seq
	}
	return s.stream.name.compare(t.stream.name) < 0
}

// A ranked stream stands at its newest entry.
type ranked struct {
	spot
	friend *friendOf // nil: one's own
}

func rankedAt(s *stream, f *friendOf) ranked {
	at := s.head.Load()
	return ranked{spot{s, at.Seq, at.position}, f}
}

func (r ranked) compare(s ranked) int {
	switch {
	case r.before(s.spot):
		return -1
	case s.before(r.spot):
		return 1
	}
	return 0
}

// A ranking is what somebody may be able to read, the newest last, as it was when
// the changes had come to a number. It is never modified. Whether a friend's stream
// may be read is asked where it is shown.
type ranking struct {
	at      uint64
	streams []ranked // that have begun
}

// ranking returns the ranking of a circle with all changes up to a number. What
// changed since the one before costs little: only when more happened on the node
// than there are friends, each friend's stream is looked at.
func (p *page) ranking(ctx context.Context, c *circle, number uint64) (*ranking, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest != nil && c.newest.at >= number && len(c.lost) == 0 {
		return c.newest, nil
	}
	before, now := c.newest, p.node.changes.now()
	if before == nil {
		before = new(ranking)
	}
	list, all := p.node.changes.since(before.at, len(c.friends)/4)
	if c.newest == nil || !all {
		var err error
		if list, err = p.changedSince(ctx, c, before.at); err != nil {
			return nil, err
		}
	}
	list = append(list, c.lost...)
	c.lost = nil
	moved, err := p.ranked(ctx, c, list)
	if err != nil {
		return nil, err
	}
	c.newest = &ranking{now, before.with(moved)}
	return c.newest, nil
}

// changedSince looks for the streams of a circle that have changed since a number,
// all of them since 0. The caller holds c.mu.
func (p *page) changedSince(ctx context.Context, c *circle, number uint64) ([]*stream, error) {
	list, err := p.node.streamsOf(ctx, p.account)
	if err != nil {
		return nil, err
	}
	for i := range c.friends {
		f := &c.friends[i]
		if f.begun == nil {
			if err := p.node.seek(ctx, f.link.Value().stream.author); err != nil {
				return nil, err
			}
			f.begun = p.node.streams.get(f.link.Value().stream)
		}
		if f.begun != nil {
			list = append(list, f.begun)
		}
	}
	return slices.DeleteFunc(list, func(s *stream) bool { return number > 0 && s.changed.Load() <= number }), nil
}

// ranked ranks those of the streams that are in the circle and have begun, and
// notes those that cannot be read. The caller holds c.mu.
func (p *page) ranked(ctx context.Context, c *circle, list []*stream) ([]ranked, error) {
	mine := make([]ranked, 0, len(list))
	for _, s := range list {
		f, ok := c.reads(p.account, s)
		if !ok {
			continue
		}
		err := p.node.freshen(ctx, s)
		if err == nil {
			err = p.node.found(ctx, s)
		}
		if p.leavesOut(s, err) {
			c.lost = append(c.lost, s)
			continue
		}
		if err != nil {
			return nil, err
		}
		if r := rankedAt(s, f); r.seq > 0 {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

// reads reports whether a stream is in the circle of me, and of which friend; nil
// for one's own.
func (c *circle) reads(me wire.AccountID, s *stream) (*friendOf, bool) {
	if s.name.author == me {
		return nil, true
	}
	f := c.friend(s.name.author)
	return f, f != nil && f.link.Value().stream == s.name
}

// with returns the streams of r, some of them where they stand now.
func (r *ranking) with(moved []ranked) []ranked {
	if len(moved) == 0 {
		return r.streams
	}
	slices.SortFunc(moved, ranked.compare)
	where := make(map[*stream]int, len(moved)) // the newest of those that are there twice
	for i, m := range moved {
		where[m.stream] = i
	}
	all, next := make([]ranked, 0, len(r.streams)+len(moved)), 0
	add := func(until int) {
		for ; next < until; next++ {
			if where[moved[next].stream] == next {
				all = append(all, moved[next])
			}
		}
	}
	for _, old := range r.streams {
		if _, ok := where[old.stream]; ok {
			continue
		}
		for next < len(moved) && moved[next].before(old.spot) {
			add(next + 1)
		}
		all = append(all, old)
	}
	add(len(moved))
	return all
}
