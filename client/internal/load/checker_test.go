package load

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// reading is a reader with two friends, and the feed that an honest node gives
// them: all entries of the three, newest first.
func reading(t *testing.T) (c *checker, reader *person, page *wire.FeedReply) {
	t.Helper()
	o := someOptions()
	crowd, err := newCrowd(&o, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.draw(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	page = &wire.FeedReply{All: true, State: "a-state"}
	position := int64(1000)
	for i, p := range crowd.people {
		p.account[0] = byte(i + 1)
		p.stream = wire.StreamHead{Seq: 1, ID: wire.EntryID{1}, Epoch: 1} // as after the first epoch
		p.acked = 1
	}
	for range 4 {
		for _, p := range crowd.people {
			if err := p.write(); err != nil {
				t.Fatal(err)
			}
			var r wire.PublishRequest
			if err := wire.DecodeJSON(p.pending[0].body, &r); err != nil {
				t.Fatal(err)
			}
			p.pending, p.acked, p.created = nil, p.acked+1, position
			page.Items = append(page.Items, wire.FeedItem{Author: p.account, Audience: p.audience, Entry: r.Entry, Position: position})
			position++
		}
	}
	slices.Reverse(page.Items)
	for _, p := range crowd.people {
		page.Streams = append(page.Streams, wire.StreamStatus{Author: p.account, Audience: p.audience, Head: 5})
	}
	page.Cursor = "there is more"
	return newChecker(crowd, 1, 0), crowd.people[0], page
}

// looks lets the checker look at a page that was asked for with since.
func (c *checker) looks(t *testing.T, p *person, page *wire.FeedReply, since string) {
	t.Helper()
	got := &feedPage{since: since, body: wire.EncodeJSON(page)}
	if err := got.parse(got.body); err != nil {
		t.Fatal(err)
	}
	c.hear(p, got)
	c.page(p, got)
}

// TestPage: a page of the feed as it should be, and each way in which it can be
// wrong.
func TestPage(t *testing.T) {
	for want, lie := range map[string]func(reader *person, page *wire.FeedReply){
		"": func(reader *person, _ *wire.FeedReply) {
			reader.feed.told[streamID{wire.AccountID{8}, wire.AudienceID{8}}] = 0 // it could not be read, and is gone
		},
		doubled: func(_ *person, page *wire.FeedReply) {
			page.Items = slices.Insert(page.Items, 4, page.Items[3])
		},
		disordered: func(_ *person, page *wire.FeedReply) {
			page.Items[4], page.Items[5] = page.Items[5], page.Items[4]
		},
		missing: func(_ *person, page *wire.FeedReply) { page.Items = slices.Delete(page.Items, 4, 5) },
		unread: func(reader *person, page *wire.FeedReply) {
			page.Items = slices.DeleteFunc(page.Items, func(i wire.FeedItem) bool { return i.Author == reader.account })
		},
		unread + " 2": func(reader *person, _ *wire.FeedReply) { reader.acked++ },
		backward: func(reader *person, page *wire.FeedReply) {
			reader.feed.told[streamID{page.Streams[1].Author, page.Streams[1].Audience}] = 6
		},
		backward + " 2": func(reader *person, page *wire.FeedReply) {
			reader.feed.told[streamID{wire.AccountID{9}, wire.AudienceID{9}}] = 6
		},
		changed + " 2": func(_ *person, page *wire.FeedReply) { page.All = false },
		changed: func(_ *person, page *wire.FeedReply) {
			page.Items[4].Entry.Header = slices.Clone(page.Items[4].Entry.Header[:80])
		},
	} {
		c, reader, page := reading(t)
		lie(reader, page)
		c.looks(t, reader, page, "")
		found := c.report().Violations
		if want == "" {
			if len(found) > 0 || !c.report().Passed() {
				t.Errorf("an honest page: got %+v", found)
			}
			continue
		}
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Kind == want[:min(len(want), len(v.Kind))] }) {
			t.Errorf("%s: got %+v", want, found)
		}
	}
}

// TestPageGoesOn: heads that were read once are not forgotten.
func TestPageGoesOn(t *testing.T) {
	c, reader, page := reading(t)
	c.looks(t, reader, page, "")
	page.Streams[2].Head--
	page.Items = slices.DeleteFunc(page.Items, func(i wire.FeedItem) bool { return i.Author == page.Streams[2].Author })
	c.looks(t, reader, page, "")
	if found := c.report().Violations; len(found) != 1 || found[0].Kind != backward || found[0].Count != 1 {
		t.Errorf("got %+v", found)
	}
}

// TestPageSince: a page that tells of what changed is taken together with those
// before it, and each way in which that can be wrong.
func TestPageSince(t *testing.T) {
	for want, lie := range map[string]func(reader *person, page *wire.FeedReply){
		"":              func(*person, *wire.FeedReply) {},
		" again":        func(_ *person, page *wire.FeedReply) { page.All = true },
		doubled:         func(_ *person, page *wire.FeedReply) { page.Streams = page.Streams[:1] }, // of a friend it shows what it did not tell
		unread:          func(_ *person, page *wire.FeedReply) { page.Streams = page.Streams[1:] },
		backward:        func(_ *person, page *wire.FeedReply) { page.Streams[1].Head = 3 },
		backward + " 2": func(_ *person, page *wire.FeedReply) { page.Streams[1].Head = 0 },
		backward + " 3": func(_ *person, page *wire.FeedReply) { page.All, page.Streams = true, page.Streams[:2] },
		missing:         func(_ *person, page *wire.FeedReply) { page.Items = slices.Delete(page.Items, 4, 5) },
		changed:         func(_ *person, page *wire.FeedReply) { page.Items[4].Entry.Header = nil },
	} {
		c, reader, page := reading(t)
		first := *page
		first.Items, first.Streams = page.Items[3:], slices.Clone(page.Streams) // before the newest of each of the three
		for i := range first.Streams {
			first.Streams[i].Head--
		}
		reader.acked--
		c.looks(t, reader, &first, "")
		if found := c.report().Violations; len(found) > 0 {
			t.Fatalf("the page before: got %+v", found)
		}
		reader.acked++
		page.All = false
		lie(reader, page)
		c.looks(t, reader, page, "a-state")
		found := c.report().Violations
		if want == "" || want == " again" {
			if len(found) > 0 {
				t.Errorf("an honest page%s: got %+v", want, found)
			}
			continue
		}
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Kind == want[:min(len(want), len(v.Kind))] }) {
			t.Errorf("%s: got %+v", want, found)
		}
	}
}

// TestFeedTail: what a page says beside its items is found behind them, in
// whatever order a node writes it.
func TestFeedTail(t *testing.T) {
	_, _, page := reading(t)
	page.Cursor = `"streams":[`
	for _, body := range [][]byte{
		wire.EncodeJSON(page),
		[]byte(`{"streams":[` + string(wire.EncodeJSON(page.Streams))[1:] + `,"all":true,"cursor":"x","state":"a-state","items":[]}`),
	} {
		var got feedTail
		if err := got.parse(body); err != nil || !got.All || got.State != "a-state" || len(got.Streams) != 3 || got.Streams[2].Head != 5 {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{``, `{}x`, `{"streams":[1]}`, `{"streams":[],"all":1}`} {
		var got feedTail
		if err := got.parse([]byte(body)); err == nil {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}

// TestAskFeed: the first page asks for all streams, the following for what changed
// since the one before, and after a while one asks for all again.
func TestAskFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		p := &pretender{answer: func(r *http.Request) (int, string, any) {
			asked = append(asked, r.URL.Query().Get("since"))
			return http.StatusOK, "", wire.FeedReply{Items: []wire.FeedItem{}, Streams: []wire.StreamStatus{}, All: true, State: fmt.Sprintf("s-%d", len(asked))}
		}}
		l := pretended(t, p, someOptions())
		var want []string
		for i := range freshEvery + 2 {
			if want = append(want, fmt.Sprintf("s-%d", i)); i%freshEvery == 0 {
				want[i] = ""
			}
			if page, _, err := l.crowd.people[0].askFeed(t.Context(), 50); err != nil || page.since != want[i] {
				t.Errorf("page %d: got %+v, %v", i, page, err)
			}
		}
		if !slices.Equal(asked, want) || l.crowd.fresh.Load() != 2 {
			t.Errorf("asked for %q, want %q; %d were counted, want 2", asked, want, l.crowd.fresh.Load())
		}
		l.Close()
		p.close()
	})
}
