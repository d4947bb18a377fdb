package load

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What a node can do wrong, as the report names it.
const (
	unread     = "own write not read" // it was acknowledged, and a read of its author does not have it
	backward   = "feed went back"     // a stream is shorter than it was, or gone
	disordered = "feed out of order"
	missing    = "feed left out" // an entry in the middle of a stream
	lost       = "lost"          // acknowledged and not there
	doubled    = "doubled"       // there more than once, or never written
	changed    = "changed"       // other than it was written
	unowned    = "wrong answer"  // of another entry than was asked about
	unseen     = "not seen"      // acknowledged, and a friend who watches was not told of it
)

// A checker reads beside the load what nodes have acknowledged. It may be used
// by several goroutines.
type checker struct {
	crowd  *crowd
	every  int64         // of so many, one is looked at; 0 for none
	settle time.Duration // that news may take when the load is over
	acks   atomic.Int64
	reads  atomic.Int64

	mu    sync.Mutex
	found map[string]*Violation
	sum   CheckReport
}

// A CheckReport says what was checked and what was wrong.
type CheckReport struct {
	Acknowledged uint64      `json:"acknowledged"`    // posts
	OwnReads     uint64      `json:"own_reads"`       // feeds read by an author right after an acknowledgement
	FeedPages    uint64      `json:"feed_pages"`      // of the load, looked at
	ReadBack     uint64      `json:"read_back"`       // posts that their authors found at the end
	ByFriends    uint64      `json:"read_by_friends"` // posts that a friend found and opened at the end
	Sampled      bool        `json:"sampled"`         // not all acknowledged posts were read back
	Unchecked    uint64      `json:"unchecked"`       // reads at the end that were not answered
	Skipped      string      `json:"skipped,omitempty"`
	Violations   []Violation `json:"violations"`
}

// A Violation is one thing that a node has done wrong.
type Violation struct {
	Kind    string `json:"kind"`
	Count   uint64 `json:"count"`
	Example string `json:"example"`
}

// Passed reports whether all was checked that was to be, and nothing was wrong.
func (r *CheckReport) Passed() bool { return len(r.Violations) == 0 && r.Unchecked == 0 }

func newChecker(c *crowd, every int, settle time.Duration) *checker {
	return &checker{crowd: c, every: int64(every), settle: settle, found: make(map[string]*Violation)}
}

// violated notes something wrong.
func (c *checker) violated(kind, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.found[kind]
	if v == nil {
		v = &Violation{Kind: kind, Example: fmt.Sprintf(format, args...)}
		c.found[kind] = v
	}
	v.Count++
}

func (c *checker) add(count *uint64, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count += uint64(n)
}

func (c *checker) report() *CheckReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.sum
	r.Violations = []Violation{}
	for _, v := range c.found {
		r.Violations = append(r.Violations, *v)
	}
	slices.SortFunc(r.Violations, func(a, b Violation) int { return cmp.Compare(a.Kind, b.Kind) })
	return &r
}

// posted is told that a post of p was acknowledged. Now and then p reads it.
func (c *checker) posted(ctx context.Context, p *person) {
	n := c.acks.Add(1)
	if c.every == 0 || n%c.every != 0 {
		return
	}
	page, _, err := p.askFeed(ctx, 20)
	if err != nil {
		return // refused or away: there is nothing to look at
	}
	c.add(&c.sum.OwnReads, 1)
	c.hear(p, page)
	c.page(p, page)
}

// read is told of a page of the feed that p got.
func (c *checker) read(p *person, page *feedPage) {
	c.hear(p, page)
	if n := c.reads.Add(1); c.every == 0 || n%c.every != 0 {
		return
	}
	c.add(&c.sum.FeedPages, 1)
	c.page(p, page)
}

// hear takes in what a page tells of streams: what p may read goes on from where
// it was, and what p wrote is there.
func (c *checker) hear(p *person, page *feedPage) {
	told := p.feed.told
	if !page.All && page.since == "" {
		c.violated(changed, "the feed of %s tells of what changed, and nobody asked since when", p.address())
	}
	listed := make(map[streamID]bool, len(page.Streams))
	for _, s := range page.Streams {
		id := streamID{s.Author, s.Audience}
		listed[id] = true
		if s.Head < told[id] {
			c.violated(backward, "%s had read entry %d of %s, now the newest is %d", p.address(), told[id], c.crowd.whose(s.Author), s.Head)
		}
		told[id] = max(told[id], s.Head)
	}
	for id, head := range told {
		if page.All && !listed[id] && head > 0 { // 0 was told of one that could not be read
			c.violated(backward, "%s had read entry %d of %s, now the stream is gone", p.address(), head, c.crowd.whose(id.author))
		}
	}
	if head := told[p.streamID()]; head < p.acked {
		c.violated(unread, "entry %d of %s was acknowledged, and the newest in the feed is %d", p.acked, p.address(), head)
	}
}

// page looks at the items of the first page of a feed, when what it tells was
// heard: they are in order, leave nothing out, and have what their reader wrote.
func (c *checker) page(p *person, page *feedPage) {
	var whole wire.FeedReply
	if err := wire.DecodeJSON(page.body, &whole); err != nil {
		c.violated(changed, "the feed of %s is not understood: %v", p.address(), err)
		return
	}
	next, own := maps.Clone(p.feed.told), p.streamID() // seq of the next entry of each stream
	there := next[own] >= p.acked
	oldest := c.items(p, whole.Items, next)
	if there && next[own] >= p.acked && (whole.Cursor == "" || p.created > oldest) && p.acked > 0 {
		c.violated(unread, "entry %d of %s was acknowledged, and is not in the feed", p.acked, p.address())
	}
}

// items looks at the items of a page. It leaves in next what was not on it, and
// returns the position of the last.
func (c *checker) items(p *person, items []wire.FeedItem, next map[streamID]uint64) (oldest int64) {
	for i := range items {
		item := &items[i]
		var h wire.EntryHeader
		signed := item.Entry.Header
		if len(signed) < ed25519.SignatureSize || wire.DecodeCBOR("entry", signed[ed25519.SignatureSize:], &h) != nil {
			c.violated(changed, "an item in the feed of %s is no entry", p.address())
			continue
		}
		id := streamID{h.Author, h.Audience}
		switch {
		case i > 0 && before(&items[i-1], item):
			c.violated(disordered, "entry %d of %s stands behind what is older in the feed of %s", h.Seq, c.crowd.whose(h.Author), p.address())
		case h.Seq > next[id]:
			c.violated(doubled, "entry %d of %s is in the feed of %s twice, or was not there", h.Seq, c.crowd.whose(h.Author), p.address())
		case h.Seq < next[id]:
			c.violated(missing, "entry %d of %s is not in the feed of %s, and entry %d is", next[id], c.crowd.whose(h.Author), p.address(), h.Seq)
		}
		if next[id] = 0; h.Seq > 0 {
			next[id] = h.Seq - 1
		}
		oldest = item.Position
	}
	return oldest
}

// before reports whether a is older than b, or in the place of b, in a feed.
func before(a, b *wire.FeedItem) bool {
	return cmp.Or(cmp.Compare(a.Position, b.Position), bytes.Compare(a.Author[:], b.Author[:]), bytes.Compare(a.Audience[:], b.Audience[:])) < 0
}

// whose is the address of an account.
func (c *crowd) whose(id wire.AccountID) string {
	i := slices.IndexFunc(c.people, func(p *person) bool { return p.account == id })
	if i < 0 {
		return "somebody else"
	}
	return c.people[i].address().String()
}

// words writes the report for a person.
func (r *CheckReport) words(w io.Writer) {
	switch {
	case r.Skipped != "":
		fmt.Fprintf(w, "not read back: %s\n", r.Skipped)
	case r.Acknowledged == 0:
		fmt.Fprintf(w, "checked: %d feed pages; no post was acknowledged\n", r.FeedPages)
	default:
		sample := "all of them"
		if r.Sampled {
			sample = "a sample"
		}
		fmt.Fprintf(w, "checked: of %d acknowledged posts %d were read back by their authors (%s) and %d opened by a friend; %d own reads, %d feed pages\n",
			r.Acknowledged, r.ReadBack, sample, r.ByFriends, r.OwnReads, r.FeedPages)
	}
	if r.Unchecked > 0 {
		fmt.Fprintf(w, "NOT CHECKED: %d reads at the end had no answer\n", r.Unchecked)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "VIOLATION, %d times: %s: %s\n", v.Count, v.Kind, v.Example)
	}
}
