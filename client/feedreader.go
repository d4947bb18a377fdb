package client

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxStalls bounds the pages that bring nothing new.
const maxStalls = 200

// maxState bounds what a node calls the state of the streams.
const maxState = 1024

// feedReader reads one page of the feed, over as many of the node's pages as
// that takes.
type feedReader struct {
	p     *Person
	page  FeedPage
	order []streamID // of the walks
	walks map[streamID]*walk
	whole bool  // the page begins with the newest
	begun bool  // the first page of the node was read
	less  bool  // the node shows less than was seen before
	last  int64 // position of the last item
}

// sendWaiting tries to send posts whose acknowledgement was lost.
func (f *feedReader) sendWaiting(ctx context.Context) {
	waiting, err := f.p.outbox()
	if err != nil || len(waiting) == 0 {
		return
	}
	if err = f.p.ready(ctx); err == nil {
		_, err = f.p.flush(ctx, waiting, "")
	}
	if !slices.ContainsFunc(waiting, func(i *outboxItem) bool { return i.key == "" }) {
		return // of drafts, p.Sent and p.Waiting tell
	}
	if err != nil {
		f.page.Notices = append(f.page.Notices, "a post waits to be sent: "+err.Error())
		return
	}
	f.page.Notices = append(f.page.Notices, "a post that was waiting has been sent")
}

// goOn takes up the walks of the page before, if this device remembers them.
func (f *feedReader) goOn(cursor string) {
	f.last = math.MaxInt64
	state := f.p.cache.cursor(cursor)
	if cursor == "" || state == nil {
		return
	}
	for _, at := range state.Streams {
		w := &walk{head: at.Head}
		if len(at.Low) == 1 {
			low := at.Low[0]
			w.high, w.low = &low, &low
		}
		f.add(streamID{at.Author, at.Audience}, w)
	}
}

func (f *feedReader) add(id streamID, w *walk) {
	f.walks[id] = w
	f.order = append(f.order, id)
}

// read asks the node for pages until there are enough posts.
func (f *feedReader) read(ctx context.Context, o FeedOptions) error {
	limit, cursor, cut, stalls := o.limit(), o.Before, false, 0
	ask := min(limit, wire.MaxPage)
	for {
		reply, err := f.fetch(ctx, cursor, ask)
		if err != nil {
			return err
		}
		before, until := len(f.page.Posts), limit
		if cut {
			until = math.MaxInt
		}
		read, steps, err := f.items(ctx, reply.Items, until)
		if err != nil {
			return err
		}
		if read < len(reply.Items) { // enough: the same page again, cut here, has the cursor
			ask, cut = read, true
			continue
		}
		if steps > 0 || cut {
			stalls = 0
		} else if stalls++; stalls > maxStalls {
			return wire.Errorf(wire.Unavailable, "feed", "the node's feed does not go on")
		}
		cursor, cut = reply.Cursor, false
		switch {
		case cursor == "":
			f.bottom()
			return nil
		case len(f.page.Posts) >= limit:
			f.page.Cursor = cursor
			return nil
		case len(f.page.Posts) == before:
			ask = min(2*ask, wire.MaxPage)
		default:
			ask = min(limit-len(f.page.Posts), wire.MaxPage)
		}
	}
}

func (f *feedReader) fetch(ctx context.Context, cursor string, ask int) (wire.FeedReply, error) {
	path := wire.PathFeed + "?limit=" + number(uint64(ask))
	if cursor != "" {
		path += "&before=" + escape(cursor)
	}
	since := f.p.cache.state
	if since != "" {
		path += "&since=" + since
	}
	var reply wire.FeedReply
	err := f.p.get(ctx, path, &reply)
	if f.begun && errors.Is(err, wire.Invalid) {
		return reply, wire.Errorf(wire.Unavailable, "feed", "the node's feed does not go on where the node says it does")
	}
	if err != nil {
		return reply, err
	}
	if reply.Cursor != printable(reply.Cursor) || strings.Contains(reply.Cursor, " ") || len(reply.Items) == 0 && reply.Cursor != "" ||
		!isState(reply.State) || !reply.All && since == "" {
		return reply, wire.Errorf(wire.Unavailable, "feed", "the node's feed is not understood")
	}
	f.p.cache.hear(reply)
	if f.begun {
		return reply, nil
	}
	err = f.heads(ctx)
	f.begun = true
	return reply, err
}

// isState reports whether s is nothing, or may be sent back as it is. What no
// node takes would have every later page refused.
func isState(s string) bool {
	return len(s) <= maxState && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// heads compares what the node says it has with what this device has seen.
func (f *feedReader) heads(ctx context.Context) error {
	for _, id := range f.p.cache.listed() {
		status := f.p.cache.told[id]
		w, err := f.walk(ctx, id)
		if err != nil {
			return err
		}
		if w.err != nil {
			continue
		}
		if f.whole {
			w.head = status.head
		}
		t := f.p.cache.track(id)
		if t != nil && status.head < t.Top.Seq && w.s.own {
			f.fail(w, rolledBack(w.s, status.head, t.Top.Seq))
			continue
		}
		f.less = f.less || t != nil && status.head < t.Top.Seq
		f.page.Notices = append(f.page.Notices, f.p.notices(w.s, status.head, status.asOf)...)
	}
	own := f.p.ownStream()
	if t := f.p.cache.track(own.streamID); t != nil && f.p.cache.told[own.streamID].head == 0 {
		f.problem(own.missing(1, t.Top.Seq))
	}
	return f.absent(ctx)
}

// absent names the friends whose posts were here before and are not now.
func (f *feedReader) absent(ctx context.Context) error {
	for i := 0; i < len(f.p.vault.Friends); i++ {
		g := &f.p.vault.Friends[i]
		id := streamID{g.Account, g.Friendship.Yours.Audience}
		if g.state() != wire.StateFriend || f.p.cache.told[id].head > 0 || f.p.cache.track(id) == nil {
			continue
		}
		if f.p.records == nil { // the friendship may have ended
			if err := f.p.lookAgain(ctx); err != nil {
				return err
			}
			i = -1
			continue
		}
		f.less = true
		f.page.Notices = append(f.page.Notices, unreadable(g.address()))
	}
	return nil
}

// walk returns the walk down a stream that the node names. Streams that come up
// after the beginning are followed from where they come up.
func (f *feedReader) walk(ctx context.Context, id streamID) (*walk, error) {
	w := f.walks[id]
	if w == nil {
		w = &walk{loose: !f.whole || f.begun}
		f.add(id, w)
	}
	if !w.s.address.IsZero() || w.err != nil {
		return w, nil
	}
	s, err := f.p.streamKnown(ctx, id)
	if err != nil {
		return w, f.failed(ctx, w, err)
	}
	w.s = s
	return w, nil
}

// streamKnown is streamBy, after a look whether the vault is up to date if it
// does not have the author as a friend.
func (p *Person) streamKnown(ctx context.Context, id streamID) (stream, error) {
	s, err := p.streamBy(id)
	if !errors.Is(err, wire.Tampered) && !errors.Is(err, errEnded) {
		return s, err
	}
	if err := p.lookAgain(ctx); err != nil {
		return s, err
	}
	return p.streamBy(id)
}

// lookAgain brings the vault up to date, once in an operation.
func (p *Person) lookAgain(ctx context.Context) error {
	if p.records != nil {
		return nil
	}
	if err := p.refreshVault(ctx); err != nil {
		return err
	}
	return p.takeIn(ctx)
}

// items takes in items of a page until there are enough posts. It returns how
// many it has read, and how many entries were new.
func (f *feedReader) items(ctx context.Context, items []wire.FeedItem, limit int) (read, steps int, err error) {
	for i, item := range items {
		if len(f.page.Posts) >= limit {
			return i, steps, nil
		}
		w, err := f.walk(ctx, streamID{item.Author, item.Audience})
		if err != nil {
			return i, steps, err
		}
		if w.err != nil {
			continue
		}
		n, err := f.item(ctx, w, item)
		if err != nil {
			if err := f.failed(ctx, w, err); err != nil {
				return i, steps, err
			}
		}
		steps += n
	}
	return len(items), steps, nil
}

func (f *feedReader) item(ctx context.Context, w *walk, item wire.FeedItem) (steps int, err error) {
	if w.s, err = f.p.verifier(ctx, w.s); err != nil {
		return 0, err
	}
	var v verified
	if w.s, v, err = f.p.openEntry(ctx, w.s, item.Entry); err != nil {
		return 0, err
	}
	next, err := f.p.take(ctx, w, v)
	if err != nil || len(next) == 0 {
		return 0, err
	}
	if item.Position > f.last || item.Position > v.Created {
		f.problem(wire.Errorf(wire.Tampered, "feed", "the node shows the posts of %s out of the order of time", w.s.address))
	}
	f.last = min(f.last, item.Position)
	for _, n := range next {
		if err := f.p.addPost(ctx, w, n, &f.page); err != nil {
			return len(next), err
		}
	}
	return len(next), nil
}

// bottom sees that the walks have come to their first entries.
func (f *feedReader) bottom() {
	for _, id := range f.order {
		switch w := f.walks[id]; {
		case w.err != nil || w.low == nil && w.loose:
		case w.low == nil && w.head > 0:
			f.fail(w, w.s.missing(1, w.head))
		case w.low != nil && w.low.Seq > 1:
			f.fail(w, w.s.missing(1, w.low.Seq-1))
		}
	}
}

// finish connects what was read with what was verified before, and remembers
// where the next page goes on.
func (f *feedReader) finish(ctx context.Context) error {
	state := cursorState{Cursor: f.page.Cursor}
	for _, id := range f.order {
		w := f.walks[id]
		if w.err != nil {
			continue
		}
		if err := f.p.merge(ctx, w); err != nil {
			if err := f.failed(ctx, w, err); err != nil {
				return err
			}
			continue
		}
		place := cursorPlace{Author: id.Author, Audience: id.Audience, Head: w.head}
		if w.low != nil {
			place.Low = []edge{*w.low}
		}
		if !w.loose || w.low != nil {
			state.Streams = append(state.Streams, place)
		}
	}
	if f.page.Cursor != "" {
		f.p.cache.setCursor(state)
	}
	return nil
}

// failed ends a walk with err, unless it is one that ends everything.
func (f *feedReader) failed(ctx context.Context, w *walk, err error) error {
	if ctx.Err() != nil || errors.Is(err, wire.Unauthenticated) {
		return err
	}
	if errors.Is(err, errEnded) {
		w.err = err
		return nil
	}
	f.fail(w, err)
	return nil
}

// fail ends a walk: nothing of its stream is shown.
func (f *feedReader) fail(w *walk, err error) {
	w.err = err
	f.problem(err)
	f.page.Posts = slices.DeleteFunc(f.page.Posts, func(p Post) bool {
		return streamID{p.AuthorAccount, p.AudienceID} == w.s.streamID
	})
}

// problem notes what is wrong, once.
func (f *feedReader) problem(err error) {
	if !slices.ContainsFunc(f.page.Problems, func(e error) bool { return e.Error() == err.Error() }) {
		f.page.Problems = append(f.page.Problems, err)
	}
}
