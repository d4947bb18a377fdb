package load

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A watch is all who hold an event stream while there is a load, and what they
// see of it.
type watch struct {
	check    *checker
	recorder *recorder // once the load is on
	watchers []*watcher
	heard    atomic.Uint64 // events about the feed
	resumed  atomic.Uint64 // streams that were opened again
	all      sync.WaitGroup
	start    func(*recorder) // has them follow what comes
	stop     context.CancelFunc
}

// newWatch lets so many of the people begin to watch; nil for none of them.
func (l *Load) newWatch(ctx context.Context, check *checker) (*watch, error) {
	if l.o.Watch == 0 {
		return nil, nil
	}
	w := &watch{check: check}
	for _, p := range l.crowd.audience(l.o.Watch) {
		w.watchers = append(w.watchers, newWatcher(w, p))
	}
	for _, r := range w.watchers {
		for _, author := range r.friends {
			author.dues.watched(author.dues.watchers + 1)
		}
	}
	ctx, w.stop = context.WithCancel(ctx)
	if err := l.crowd.each(ctx, "beginning to watch", len(w.watchers), func(_ context.Context, i int) error { return w.watchers[i].begin(ctx) }); err != nil {
		w.close()
		return nil, err
	}
	w.start = func(rec *recorder) {
		w.recorder = rec
		for _, r := range w.watchers {
			w.all.Go(func() { r.follow(ctx) })
		}
	}
	return w, nil
}

// audience chooses count of the people, as many of each node and at random, first
// those who have friends elsewhere.
func (c *crowd) audience(count int) []*person {
	type place struct {
		home *node
		lone bool // no friends elsewhere
	}
	rank, next := make(map[*person]int), make(map[place]int)
	people := make([]*person, 0, len(c.people))
	for _, i := range rand.Perm(len(c.people)) {
		p := c.people[i]
		f := c.friendOf(p)
		at := place{p.home, f == nil || f.home == p.home}
		if rank[p] = next[at]; at.lone {
			rank[p] += len(c.people)
		}
		next[at]++
		people = append(people, p)
	}
	slices.SortStableFunc(people, func(a, b *person) int { return cmp.Compare(rank[a], rank[b]) })
	return people[:count]
}

// close ends all streams.
func (w *watch) close() {
	w.stop()
	w.all.Wait()
	for _, r := range w.watchers {
		r.events.close()
	}
}

// saw counts a post that somebody who watches has opened.
func (w *watch) saw(reader, author *person, seq uint64, now time.Time) {
	due, ok := author.dues.seen(seq)
	if !ok { // the node refused it, and has it
		return
	}
	w.recorder.done(sight(reader, author), due, now)
}

// sight is how one person sees what another posts.
func sight(reader, author *person) operation {
	if reader.home == author.home {
		return seenAtHome
	}
	return seen
}

// failed counts a request of somebody who watches.
func (w *watch) failed(err error) {
	now := time.Now()
	w.recorder.failed(seen, now, now, err)
}

// finish waits until everything that was acknowledged was seen, for as long as
// news may take, ends the streams, and tells what came of it. All who post have
// come to an end.
func (w *watch) finish(ctx context.Context, report *Report, seconds float64) {
	settling, cancel := context.WithTimeout(ctx, w.check.settle)
	defer cancel()
	for left := slices.Clone(w.watchers); ; {
		if left = slices.DeleteFunc(left, (*watcher).done); len(left) == 0 || pause(settling, nextLook) != nil {
			break
		}
		w.check.crowd.tell("%d of %d who watch have not seen everything yet", len(left), len(w.watchers))
	}
	w.close()
	report.Watch = &WatchReport{People: len(w.watchers), Events: w.heard.Load(), Resumed: w.resumed.Load()}
	report.fillSeen(w.recorder, seconds)
	for _, r := range w.watchers {
		for id, author := range r.friends {
			n := r.missing(id)
			if sight(r.person, author) == seen {
				report.Seen.Missed += n
			} else {
				report.SeenAtHome.Missed += n
			}
			if n > 0 && ctx.Err() == nil {
				w.missed(r, author, n)
			}
		}
	}
}

// missed says what it means that acknowledged posts were not seen.
func (w *watch) missed(r *watcher, author *person, n uint64) {
	if r.away != nil { // nothing can be said of a node that does not answer
		w.check.add(&w.check.sum.Unchecked, 1)
		return
	}
	w.check.violated(unseen, "%s has acknowledged up to entry %d of %s, and %s, who watches, was not told of the last %d",
		author.home.name, author.acked, author.address(), r.person.address(), n)
}
