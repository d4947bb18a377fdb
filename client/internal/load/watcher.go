package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A watcher is somebody who holds an event stream, as who leaves `peerbrain feed
// --follow` open: told that there is something new, they ask for what, fetch it,
// and open it. Their keys are those that a client keeps.
type watcher struct {
	watch   *watch
	person  *person
	friends map[streamID]*person // at the beginning
	events  events
	state   string              // of the newest answer about the feed
	told    map[streamID]uint64 // the newest seq that the node told of

	mu    sync.Mutex
	known map[streamID]uint64 // the newest seq that was opened
	away  error               // what keeps them from hearing or reading anything; nil for nothing
}

func newWatcher(w *watch, p *person) *watcher {
	r := &watcher{
		watch: w, person: p, friends: make(map[streamID]*person), events: events{person: p},
		told: make(map[streamID]uint64), known: make(map[streamID]uint64),
	}
	for number := range p.friends {
		f := p.crowd.people[number]
		r.friends[f.streamID()], r.known[f.streamID()] = f, f.before
	}
	return r
}

// begin opens the stream for as long as ctx, and looks at what is there already.
func (w *watcher) begin(ctx context.Context) error {
	if w.events.c == nil { // else it was refused to look, and they look again
		if err := w.events.open(ctx); err != nil {
			return err
		}
	}
	return w.look(ctx)
}

// Waits between two tries to open a stream again, as a client waits.
const (
	reopenFirst = time.Second
	reopenMore  = time.Second // at random
)

// follow looks at what is new whenever there is something, until ctx ends.
func (w *watcher) follow(ctx context.Context) {
	defer w.events.close()
	for behind := false; ; {
		wait, err := restTime, error(nil)
		if !behind {
			behind, err = w.hear(ctx)
			wait = reopenFirst + rand.N(reopenMore)
		}
		if behind {
			wait = restTime
			err = w.look(ctx)
			behind = err != nil
		}
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.away = err
		w.mu.Unlock()
		if err == nil {
			continue
		}
		var e *wire.Error
		if errors.As(err, &e) {
			wait = max(wait, e.RetryAfter)
		}
		if !errors.Is(err, errBroken) {
			w.watch.failed(err)
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// hear waits for events about the feed, on a stream that is opened again where it
// has ended.
func (w *watcher) hear(ctx context.Context) (news bool, err error) {
	if w.events.c == nil {
		if err := w.events.open(ctx); err != nil {
			return false, err
		}
		w.watch.resumed.Add(1)
		w.mu.Lock()
		w.away = nil
		w.mu.Unlock()
	}
	count, err := w.events.feed()
	w.watch.heard.Add(uint64(count))
	return count > 0, err
}

// look asks for what has changed, and reads what is new of it: the requests of a
// client that follows its feed.
func (w *watcher) look(ctx context.Context) error {
	path := wire.PathFeed + "?limit=1"
	if w.state != "" {
		path += "&since=" + url.QueryEscape(w.state)
	}
	a, err := w.person.call(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	var page feedTail
	if err := page.parse(a.body); err != nil {
		return wire.Errorf(wire.Unavailable, "feed", "the feed of %s is not understood: %v", w.person.address(), err)
	}
	for _, s := range page.Streams {
		w.told[streamID{s.Author, s.Audience}] = s.Head
	}
	w.state = page.State // what was told is kept until it is read
	for id, author := range w.friends {
		for w.known[id] < w.told[id] {
			if err := w.read(ctx, id, author); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads the next entries of a friend.
func (w *watcher) read(ctx context.Context, id streamID, author *person) error {
	var reply wire.StreamReply
	path := fmt.Sprintf("/v1/streams/%s/%s?after=%d", id.author, id.audience, w.known[id])
	if _, err := w.person.call(ctx, http.MethodGet, path, nil, &reply); err != nil {
		return err
	}
	next, check, who := w.known[id]+1, w.watch.check, fmt.Sprintf("%s, watched by %s", author.address(), w.person.address())
	for _, e := range reply.Entries {
		seq, _ := check.entry(author, e, author.content, who)
		now := time.Now()
		switch {
		case seq == 0: // nobody knows which it is: it is taken for the one that it stands for
			next++
			continue
		case seq < next:
			check.violated(doubled, "%s: entry %d comes again", who, seq)
			continue
		case seq > next:
			check.violated(lost, "%s: entry %d was left out", who, next)
		}
		next = seq + 1
		w.watch.saw(w.person, author, seq, now)
	}
	if next == w.known[id]+1 {
		return wire.Errorf(wire.Unavailable, "stream", "%s tells of entry %d and does not have what comes after %d", w.person.home.name, w.told[id], w.known[id])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[id] = next - 1
	return nil
}

// missing is how many acknowledged posts of a friend were not seen.
func (w *watcher) missing(id streamID) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.friends[id].acked - min(w.known[id], w.friends[id].acked)
}

// done reports whether everything that was acknowledged was seen.
func (w *watcher) done() bool {
	for id := range w.friends {
		if w.missing(id) > 0 {
			return false
		}
	}
	return true
}
