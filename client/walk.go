package client

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxFill bounds the entries that are fetched to close a gap between what a
// device has seen and what it is shown.
const maxFill = 5000

// walk goes down a stream from its newest entry and sees that none is missing.
type walk struct {
	s     stream
	head  uint64        // seq of the newest entry, as the node says
	loose bool          // the walk begins somewhere in the middle
	high  *edge         // the newest entry of this walk
	low   *edge         // the entry before, nil at the beginning
	want  *wire.EntryID // of the first entry, if that is known
	err   error         // why the walk has ended
}

// take verifies that v is the next entry of the walk, fetches those in between
// if the node left them out, and returns what is new, newest first.
func (p *Person) take(ctx context.Context, w *walk, v verified) ([]verified, error) {
	var next []verified
	switch {
	case w.low != nil && v.Seq >= w.low.Seq:
		return nil, nil // again: the walk has passed it
	case w.low != nil && v.Seq < w.low.Seq-1:
		filled, err := p.fill(ctx, w, v.Seq, w.low.Seq-1)
		if err != nil {
			return nil, err
		}
		next = filled
	case w.low == nil && !w.loose && v.Seq < w.head:
		filled, err := p.fill(ctx, w, v.Seq, w.head)
		if err != nil {
			return nil, err
		}
		next = filled
	}
	next = append(next, v)
	for _, n := range next {
		if err := p.step(w, n); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// step goes on to v, which must be the entry below the lowest, and the one that
// this device has seen in its place before.
func (p *Person) step(w *walk, v verified) error {
	switch {
	case w.low != nil:
		if err := v.connect(*w.low); err != nil {
			return w.s.tampered(err)
		}
	case w.want != nil && v.ID != *w.want:
		return w.s.tampered(wire.Errorf(wire.Tampered, "entry", "entry %d is not the one that the next entry names", v.Seq))
	}
	if t := p.cache.track(w.s.streamID); t != nil {
		for _, seen := range []edge{t.Top, t.Low} {
			if v.Seq == seen.Seq && v.ID != seen.ID {
				return w.s.tampered(wire.Errorf(wire.Tampered, "entry", "entry %d is not the one that was seen before", v.Seq))
			}
		}
	}
	if w.high == nil {
		w.high = &v.edge
	}
	w.low = &v.edge
	return nil
}

// fill fetches the entries above seq after, up to seq to, newest first.
func (p *Person) fill(ctx context.Context, w *walk, after, to uint64) ([]verified, error) {
	if to-after > maxFill {
		return nil, w.s.missing(after+1, to)
	}
	var all []verified
	for at := after; at < to; {
		entries, _, err := p.runAfter(ctx, w.s, at, int(min(to-at, wire.MaxPage)))
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return nil, w.s.missing(at+1, to)
		}
		for _, v := range entries {
			if v.Seq <= to {
				all = append(all, v)
			}
		}
		at = entries[len(entries)-1].Seq
	}
	return reversed(all), nil
}

// merge connects a walk with what was verified of the stream before.
func (p *Person) merge(ctx context.Context, w *walk) error {
	if w.high == nil || w.err != nil {
		return w.err
	}
	id := w.s.streamID
	t := p.cache.track(id)
	switch {
	case t == nil:
		p.cache.setTrack(id, track{*w.low, *w.high})
		return nil
	case w.low.Seq > t.Top.Seq: // wholly above
		if w.low.Seq-t.Top.Seq > maxFill {
			p.cache.setTrack(id, track{*w.low, *w.high})
			return nil
		}
		return p.bridge(ctx, w)
	}
	next := *t
	if w.high.Seq > t.Top.Seq {
		next.Top = *w.high
	}
	if w.low.Seq < t.Low.Seq && w.high.Seq >= t.Low.Seq-1 {
		if w.high.Seq == t.Low.Seq-1 {
			if err := w.high.connect(t.Low); err != nil {
				return w.s.tampered(err)
			}
		}
		next.Low = *w.low
	}
	p.cache.setTrack(id, next)
	return nil
}

// bridge fetches what lies between the track and a walk above it, and puts them
// together.
func (p *Person) bridge(ctx context.Context, w *walk) error {
	t := p.cache.track(w.s.streamID)
	if below := w.low.Seq - 1; t.Top.Seq < below {
		if err := p.climb(ctx, w.s, below); err != nil {
			return err
		}
		t = p.cache.track(w.s.streamID)
	}
	if err := t.Top.connect(*w.low); err != nil {
		return w.s.tampered(err)
	}
	p.cache.setTrack(w.s.streamID, track{t.Low, *w.high})
	return nil
}
