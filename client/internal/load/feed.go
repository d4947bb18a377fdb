package load

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	pageLength = 50 // entries, as a client asks for them
	// freshEvery: so many pages of a person begin with one that asks for all, as a
	// client does that is new on a device. The others ask for what changed.
	freshEvery = 20
)

// A feed is what a person knows of theirs.
type feed struct {
	pages int                 // that were asked for
	state string              // of the newest answer; "" for none
	told  map[streamID]uint64 // the newest seq of each stream that the node told of
}

// A feedPage is an answer of the node about the newest entries.
type feedPage struct {
	feedTail
	since string // what was asked for
	body  []byte // all of it
}

// A feedTail is a wire.FeedReply without its items.
type feedTail struct {
	Streams []wire.StreamStatus `json:"streams"`
	All     bool                `json:"all"`
	State   string              `json:"state"`
}

// askFeed asks for the newest page of the feed as a client does: for all streams
// at first, and then for those that changed since the page before.
func (p *person) askFeed(ctx context.Context, limit int) (*feedPage, answer, error) {
	page := &feedPage{since: p.feed.state}
	if p.feed.pages%freshEvery == 0 {
		page.since = ""
	}
	path := wire.PathFeed + "?limit=" + strconv.Itoa(limit)
	if page.since != "" {
		path += "&since=" + url.QueryEscape(page.since)
	}
	a, err := p.call(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, a, err
	}
	if page.body, err = a.body, page.parse(a.body); err != nil {
		return nil, a, wire.Errorf(wire.Tampered, "feed", "the feed of %s is not understood: %v", p.address(), err)
	}
	if p.feed.pages++; page.since == "" {
		p.crowd.fresh.Add(1)
	}
	p.feed.state = page.State
	return page, a, nil
}

// parse reads what a page says beside its items, which are most of it. A node
// writes that behind them; where it does not, all is read. No text can hold the
// mark, since quotes in it are escaped.
func (t *feedTail) parse(body []byte) error {
	const mark = `"streams":[`
	if at := bytes.LastIndex(body, []byte(mark)); at > 0 && wire.DecodeJSON(append([]byte("{"), body[at:]...), t) == nil {
		return nil
	}
	var whole wire.FeedReply
	err := wire.DecodeJSON(body, &whole)
	*t = feedTail{whole.Streams, whole.All, whole.State}
	return err
}
