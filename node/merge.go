package node

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A lane is one stream in the merge, at its newest entry that is not in the feed
// yet.
type lane struct {
	spot
	item *item // nil until it is needed: the place of a head is in memory
}

// A merge puts the streams of a ranking into one order. It opens a stream when
// its turn comes, and asks then whether it may be read.
type merge struct {
	p       *page
	streams []ranked // not opened yet, the newest last
	lanes   []lane   // a heap, the newest first
	now     time.Time
}

// merge begins below a place, or with the newest.
func (p *page) merge(ctx context.Context, r *ranking, after *place, reply *wire.FeedReply) (*merge, error) {
	m := &merge{p: p, streams: r.streams, lanes: make([]lane, 0, wire.MaxPage), now: p.node.now()}
	if after == nil {
		return m, nil
	}
	older := sort.Search(len(r.streams), func(i int) bool { return !r.streams[i].place().before(*after) })
	m.streams = r.streams[:older]
	for _, s := range r.streams[older:] {
		may, err := p.reads(ctx, s)
		if err != nil {
			return nil, err
		}
		if !may {
			continue
		}
		l, err := p.node.laneBelow(ctx, s.spot, after)
		if p.lacks(s.stream, err) || p.leavesOut(s.stream, err) {
			leaveOut(reply, s.stream)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.stream != nil {
			m.push(l)
		}
	}
	return m, nil
}

// A page of a feed is being put together for a person.
type page struct {
	*Person
	left bool      // a stream was left out that cannot be read
	gaps []*stream // streams of which entries are not here that belong on the page
}

// lacks reports whether the page goes on without a stream because what belongs on
// it is not kept here at present, and notes it.
func (p *page) lacks(s *stream, err error) bool {
	if !errors.Is(err, errGap) {
		return false
	}
	p.left, p.gaps = true, append(p.gaps, s)
	return true
}

// leavesOut reports whether the page goes on without a stream, and notes it.
func (p *page) leavesOut(s *stream, err error) bool {
	out := p.node.mayLeaveOut(p.account, s.name, err)
	p.left = p.left || out
	return out
}

// reads reports whether a stream of the person's ranking may be read now.
func (p *page) reads(ctx context.Context, r ranked) (bool, error) {
	if r.friend == nil {
		return true, nil
	}
	_, err := p.node.readableFriend(ctx, p.account, r.friend)
	if errors.Is(err, wire.NotExist) || p.leavesOut(r.stream, err) {
		return false, nil
	}
	return err == nil, err
}

// laneBelow returns a stream at its newest entry below after; a zero lane if there
// is none. Places along a stream rise with seq, so it is found in steps from the
// newest on that double, and then by halving: what is asked for is mostly near.
func (n *Node) laneBelow(ctx context.Context, head spot, after *place) (lane, error) {
	var found lane
	g := head.stream.gap.Load()
	low, high := uint64(1), head.seq // the last below after is before high
	if g != nil {
		low = min(g.From, high)
	}
	for step := uint64(1); low < high; {
		middle := low + (high-low)/2
		if found.item == nil && step < high-middle {
			middle, step = high-step, 2*step
		}
		i, err := n.item(ctx, head.stream, middle)
		if err != nil {
			return lane{}, err
		}
		if at := (spot{head.stream, middle, i.Position}); at.place().before(*after) {
			low, found = middle+1, lane{at, i}
		} else {
			high = middle
		}
	}
	if found.stream == nil && g != nil && g.From > 1 {
		missing := lane{spot: spot{head.stream, g.From - 1, g.Position}}
		if !missing.place().before(*after) {
			return lane{}, errGap // nobody can tell where it goes on
		}
		return missing, nil
	}
	return found, nil
}

// fill moves entries into reply until it is full. It returns where the last one
// stands, and whether there are more.
func (m *merge) fill(ctx context.Context, limit int, reply *wire.FeedReply) (last spot, more bool, err error) {
	size := 0
	for {
		l, err := m.newest(ctx)
		if l == nil || err != nil {
			return last, false, err
		}
		if len(reply.Items) == limit {
			return last, true, nil
		}
		if l.item == nil {
			l.item, err = m.p.node.item(ctx, l.stream, l.seq)
			if m.p.lacks(l.stream, err) || m.p.leavesOut(l.stream, err) {
				leaveOut(reply, l.stream)
				m.pop()
				continue
			}
			if err != nil {
				return last, false, err
			}
		}
		if l.item.Position < l.position { // where it stands was not known
			l.position = l.item.Position
			m.down()
			continue
		}
		if size += l.item.Entry.Size(); size > wire.MaxPageBytes && len(reply.Items) > 0 {
			return last, true, nil
		}
		reply.Items, last = append(reply.Items, l.item.FeedItem), l.spot
		m.p.node.touch(l.stream, m.now)
		if err := m.next(ctx); err != nil {
			return last, false, err
		}
	}
}

// newest returns the lane whose turn it is, nil at the end.
func (m *merge) newest(ctx context.Context) (*lane, error) {
	for n := len(m.streams) - 1; n >= 0; n-- {
		s := m.streams[n]
		if len(m.lanes) > 0 && s.before(m.lanes[0].spot) {
			break
		}
		m.streams = m.streams[:n]
		may, err := m.p.reads(ctx, s)
		if err != nil {
			return nil, err
		}
		if may {
			m.push(lane{spot: s.spot})
		}
	}
	if len(m.lanes) == 0 {
		return nil, nil
	}
	return &m.lanes[0], nil
}

// next leads the newest lane to the entry below.
func (m *merge) next(ctx context.Context) error {
	l := &m.lanes[0]
	if l.seq == 1 {
		m.pop()
		return nil
	}
	i, err := m.p.node.item(ctx, l.stream, l.seq-1)
	if errors.Is(err, errGap) {
		*l = l.overGap() // it is missed when its turn comes
		m.down()
		return nil
	}
	if m.p.leavesOut(l.stream, err) {
		m.pop() // what is newer stays
		return nil
	}
	if err != nil {
		return err
	}
	*l = lane{spot{l.stream, l.seq - 1, i.Position}, i}
	m.down()
	return nil
}

// overGap returns the lane at the entry below, which is not here. It stands no
// further down than that.
func (l lane) overGap() lane {
	at := spot{l.stream, l.seq - 1, l.position}
	if g := l.stream.gap.Load(); g != nil {
		at.position = min(at.position, g.Position)
	}
	return lane{spot: at}
}

// pop drops the newest lane.
func (m *merge) pop() {
	last := len(m.lanes) - 1
	m.lanes[0] = m.lanes[last]
	m.lanes = m.lanes[:last]
	m.down()
}

func (m *merge) push(l lane) {
	m.lanes = append(m.lanes, l)
	for i := len(m.lanes) - 1; i > 0; {
		above := (i - 1) / 2
		if !m.lanes[above].before(m.lanes[i].spot) {
			return
		}
		m.lanes[above], m.lanes[i] = m.lanes[i], m.lanes[above]
		i = above
	}
}

// down moves the first lane to where it belongs.
func (m *merge) down() {
	for i := 0; ; {
		newer := 2*i + 1
		if newer >= len(m.lanes) {
			return
		}
		if newer+1 < len(m.lanes) && m.lanes[newer].before(m.lanes[newer+1].spot) {
			newer++
		}
		if !m.lanes[i].before(m.lanes[newer].spot) {
			return
		}
		m.lanes[i], m.lanes[newer] = m.lanes[newer], m.lanes[i]
		i = newer
	}
}
