package node

import (
	"context"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// noticePause is between pulls from a node because it said that there is more.
const noticePause = time.Second

// Notice takes in what is new in streams of people of the asking node that are
// followed here. What is not is left alone; what does not verify, or does not
// continue what is here, is asked for. Unavailable while it cannot be kept.
func (p peer) Notice(ctx context.Context, r wire.NoticeRequest) (wire.NoticeReply, error) {
	defer working(ctx)()
	if len(r.Streams) > wire.MaxSyncStreams {
		return wire.NoticeReply{}, wire.Errorf(wire.TooLarge, "streams", "at most %d streams", wire.MaxSyncStreams)
	}
	ask, failed := r.More, error(nil)
	for _, told := range r.Streams {
		whole, err := p.takeNotice(ctx, told)
		if ctx.Err() != nil {
			return wire.NoticeReply{}, ctx.Err()
		}
		if err != nil {
			p.node.log.Warn("what a node tells of a stream is not taken", "node", string(p.name), "author", told.Author.String(), "error", err)
			if k := wire.KindOf(err); k == wire.Internal || k == wire.Unavailable {
				failed = err
			}
		}
		ask = ask || !whole
	}
	if ask {
		p.node.pullTold(p.name)
	}
	if failed != nil {
		return wire.NoticeReply{}, p.node.shortage.answer(p.node.log, p.node.now(), failed)
	}
	return wire.NoticeReply{}, nil
}

// takeNotice takes in what is told of one stream, by the door of what is pulled.
// whole is false when something is missing here after that.
func (p peer) takeNotice(ctx context.Context, told wire.NoticedStream) (whole bool, err error) {
	name := streamName{told.Author, told.Audience}
	readers := p.node.follows.readersAt(p.name, name)
	if len(readers) == 0 {
		return true, nil
	}
	s, err := p.node.stream(ctx, name)
	if err != nil {
		return false, err
	}
	at := uint64(0)
	if s != nil {
		at = s.state().Seq
	}
	if told.After > at || len(told.Entries) > 0 && told.Head < told.After+uint64(len(told.Entries)) {
		return false, nil
	}
	if told.Head <= at && len(told.Wraps) == 0 {
		return true, nil
	}
	_, err = p.node.takeStream(ctx, followed{stream: name, readers: readers, after: told.After}, wire.SyncedStream{
		Author: told.Author, Audience: told.Audience, Head: told.Head, Entries: told.Entries, Wraps: told.Wraps,
	})
	return err == nil && told.After+uint64(len(told.Entries)) >= told.Head, err
}

// pullTold pulls from a node that said that there is more: at once, and when it
// says so again, once more after a pause, however often that is.
func (n *Node) pullTold(node wire.NodeName) {
	o := &n.notices
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, under := o.asking[node]; under {
		o.asking[node] = true
		return
	}
	if !n.follows.from(node) {
		return
	}
	if n.spawn(func() { n.pullAgain(node) }) == nil {
		o.asking[node] = false
	}
}

// pullAgain pulls for as long as a node says that there is more.
func (n *Node) pullAgain(node wire.NodeName) {
	o := &n.notices
	for again := true; again; {
		n.follows.renew(node)
		n.pullNow(node)
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(noticePause):
		}
		o.mu.Lock()
		if again = o.asking[node]; again {
			o.asking[node] = false
		} else {
			delete(o.asking, node)
		}
		o.mu.Unlock()
	}
}
