package node

import (
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestStreamPages(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	ann.posts(249)
	run := func(from, to uint64) (seqs []uint64) {
		for s := from; s <= to; s++ {
			seqs = append(seqs, s)
		}
		return seqs
	}
	for _, c := range []struct {
		after, before uint64
		limit         int
		want          []uint64
	}{
		{0, 0, 0, run(1, 100)},
		{0, 0, 1000, run(1, 100)},
		{0, 0, 3, run(1, 3)},
		{100, 0, 100, run(101, 200)},
		{249, 0, 0, run(250, 250)},
		{250, 0, 0, nil},
		{1 << 60, 0, 0, nil},
		{0, 1, 0, nil},
		{0, 2, 0, run(1, 1)},
		{0, 151, 50, run(101, 150)},
		{0, 251, 2, run(249, 250)},
		{0, 1<<64 - 1, 2, run(249, 250)},
	} {
		reply, err := ann.as().Stream(t.Context(), ann.account, ann.audience, c.after, c.before, c.limit)
		if err != nil || reply.Head != 250 || reply.Entries == nil {
			t.Fatalf("%+v: got head %d, %v", c, reply.Head, err)
		}
		var got []uint64
		for _, e := range reply.Entries {
			got = append(got, must(wire.OpenEntry(e, ann.identity.Public())).Seq)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %d", c, got)
		}
	}
	_, err := ann.as().Stream(t.Context(), ann.account, ann.audience, 1, 2, 0)
	kind(t, err, wire.Invalid)
	_, err = ann.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, -1)
	kind(t, err, wire.Invalid)
	reply, err := ann.as().Stream(t.Context(), ann.account, random32(), 0, 0, 0)
	if err != nil || reply.Head != 0 || len(reply.Entries) != 0 {
		t.Fatalf("own audience without entries: got %+v, %v", reply, err)
	}
}

func TestPageBytes(t *testing.T) {
	undetected(t)
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	for range 20 {
		ann.publish(ann.seal(ann.header(wire.KindPost), make([]byte, wire.MaxSealedPost)))
	}
	check := func(sizes []wire.Entry, count *int) {
		size := 0
		for _, e := range sizes {
			size += e.Size()
		}
		if size > wire.MaxPageBytes || len(sizes) == 0 {
			t.Fatalf("a page of %d entries has %d bytes", len(sizes), size)
		}
		*count += len(sizes)
	}
	count := 0
	for count < 21 {
		reply, err := ben.as().Stream(t.Context(), ann.account, ann.audience, uint64(count), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		check(reply.Entries, &count)
	}
	count = 0
	for cursor, first := "", true; first || cursor != ""; first = false {
		reply, err := ben.as().Feed(t.Context(), 0, cursor, "")
		if err != nil {
			t.Fatal(err)
		}
		var entries []wire.Entry
		for _, item := range reply.Items {
			entries = append(entries, item.Entry)
		}
		check(entries, &count)
		cursor = reply.Cursor
	}
	if count != 22 { // ben's epoch too
		t.Fatalf("got %d items", count)
	}
}

func TestWraps(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben, cid := n.person("ann"), n.person("ben"), n.person("cid")
	put := func(change func(*wire.WrapsRequest)) error {
		r := wire.WrapsRequest{Audience: ann.audience, Commitment: ann.content, Wraps: []wire.Wrap{ann.wrapFor(ben)}}
		change(&r)
		return ann.as().PutWraps(t.Context(), r)
	}
	for name, change := range map[string]func(*wire.WrapsRequest){
		"none":          func(r *wire.WrapsRequest) { r.Wraps = nil },
		"too many":      func(r *wire.WrapsRequest) { r.Wraps = make([]wire.Wrap, wire.MaxWrapBatch+1) },
		"no audience":   func(r *wire.WrapsRequest) { r.Audience = wire.AudienceID{} },
		"no commitment": func(r *wire.WrapsRequest) { r.Commitment = wire.Commitment{} },
		"too short":     func(r *wire.WrapsRequest) { r.Wraps[0].Sealed = r.Wraps[0].Sealed[1:] },
		"no reader":     func(r *wire.WrapsRequest) { r.Wraps[0].Reader = wire.AccountID{} },
	} {
		kind(t, put(change), wire.Invalid)
		if keys := keysOf(t, n.own, "wrap/"); len(keys) != 0 {
			t.Fatalf("%s: %q", name, keys)
		}
	}
	ann.befriend(ben)
	for range 2 { // the newer one replaces the older
		w := ann.wrapFor(ben)
		kind(t, put(func(r *wire.WrapsRequest) { r.Wraps[0] = w }), "")
		got, err := ben.as().Wrap(t.Context(), ann.account, ann.audience, ann.content)
		if err != nil || !slices.Equal(got.Sealed, w.Sealed) || got.Reader != ben.account || got.Key != w.Key {
			t.Fatalf("got %v", err)
		}
		s := n.streams.get(streamName{ann.account, ann.audience})
		if hash, err := n.wrapHash(t.Context(), s, ann.content, ben.account); err != nil || hash != sealedHash(w.Sealed) {
			t.Fatalf("the hash of the older wrap is remembered, or %v", err)
		}
	}
	_, err := ben.as().Wrap(t.Context(), ann.account, ann.audience, random32())
	kind(t, err, wire.NotExist)
	for i := 0; i < wire.MaxWraps-1; i += wire.MaxWrapBatch {
		var r wire.WrapsRequest
		for range min(wire.MaxWrapBatch, wire.MaxWraps-1-i) {
			r.Wraps = append(r.Wraps, wire.Wrap{Reader: random32(), Key: random32(), Sealed: make([]byte, wire.WrapSize)})
		}
		r.Audience, r.Commitment = ann.audience, ann.content
		kind(t, ann.as().PutWraps(t.Context(), r), "")
	}
	kind(t, put(func(r *wire.WrapsRequest) { r.Wraps[0] = ann.wrapFor(cid) }), wire.Limit)
}

// Who may read what: every relation to the author, at the author's node and
// at another, by every door there is.
func TestWhoMayRead(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann := home.person("ann")
	old := ann.posts(1)[0]
	type reader struct {
		*testPerson
		name string
		may  bool
	}
	var readers []reader
	for _, n := range []*testNode{home, other} {
		at := map[wire.NodeName]string{north: " here", south: " elsewhere"}[n.name]
		add := func(name string, may bool, become func(p *testPerson)) {
			p := n.person(wire.Handle(name))
			become(p)
			readers = append(readers, reader{p, name + at, may})
		}
		add("friend", true, ann.befriend)
		add("asked", false, func(p *testPerson) { ann.wraps(ann.content, p); ann.tell(ann.offer(p)) })
		add("asking", false, func(p *testPerson) { ann.wraps(ann.content, p); p.tell(p.offer(ann)) })
		add("unwrapped", false, func(p *testPerson) { p.tell(p.offer(ann)); ann.tell(ann.accept(p)) })
		add("leaver", false, func(p *testPerson) { ann.befriend(p); p.tell(p.end(ann)) })
		add("removed", false, func(p *testPerson) {
			ann.befriend(p)
			ann.publish(ann.epoch(), ann.end(p))
		})
		add("declined", false, func(p *testPerson) { ann.wraps(ann.content, p); ann.tell(ann.offer(p)); p.tell(p.end(ann)) })
		add("stranger", false, func(p *testPerson) { ann.wraps(ann.content, p) })
		for _, r := range readers { // the epoch of removed closed everybody's
			if r.may {
				ann.wraps(ann.content, r.testPerson)
			}
		}
	}
	readers = append(readers, reader{ann, "author", true})
	new := ann.posts(1)[0]
	eventually(t, "all is delivered", func() bool {
		return len(keysOf(t, home.own, "deliver/"))+len(keysOf(t, other.own, "deliver/")) == 0
	})
	other.pulls(home)
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			want := wire.NotExist
			if r.may {
				want = ""
			}
			_, err := r.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
			kind(t, err, want)
			if r.testPerson != ann && !r.may { // and cannot tell it from one that never was
				_, none := r.as().Stream(t.Context(), ann.account, random32(), 0, 0, 0)
				if none == nil || err.Error() != none.Error() {
					t.Errorf("got %q, of no stream %v", err, none)
				}
			}
			for _, id := range []wire.EntryID{old, new} {
				_, err = r.as().Post(t.Context(), id)
				kind(t, err, want)
			}
			if r.testPerson != ann {
				_, err = r.as().Wrap(t.Context(), ann.account, ann.audience, ann.content)
				kind(t, err, want)
			}
			feed, err := r.as().Feed(t.Context(), 0, "", "")
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.ContainsFunc(feed.Items, func(i wire.FeedItem) bool { return i.Author == ann.account }); got != r.may {
				t.Errorf("in the feed: %t", got)
			}
			if got := slices.ContainsFunc(feed.Streams, func(s wire.StreamStatus) bool { return s.Author == ann.account }); got != r.may {
				t.Errorf("among the streams: %t", got)
			}
			for _, node := range []wire.NodeName{south, "west.example"} {
				synced := ask(t, home, node, ann, 0, r.testPerson)
				may := r.may && r.home.name == node && node == south
				if (len(synced.Entries) > 0) != may || (len(synced.Wraps) > 0) != may || (synced.Head > 0) != may ||
					(synced.Code == "" && len(synced.Closed) == 0) != may {
					t.Errorf("asked by %s: got %d entries, %d wraps, head %d, %d closed, %q", node,
						len(synced.Entries), len(synced.Wraps), synced.Head, len(synced.Closed), synced.Code)
				}
				for _, c := range synced.Closed {
					if len(c.Ends) > 0 && node != r.home.name {
						t.Errorf("%s learns of the end of a friendship", node)
					}
				}
			}
		})
	}
}

// ask asks about the stream of one author on behalf of readers.
func ask(t *testing.T, n *testNode, from wire.NodeName, author *testPerson, after uint64, readers ...*testPerson) wire.SyncedStream {
	t.Helper()
	s := wire.SyncStream{Author: author.account, Audience: author.audience, After: after}
	if after > 0 {
		r, err := n.entry(t.Context(), n.streams.get(streamName{author.account, author.audience}), after)
		if err != nil {
			t.Fatal(err)
		}
		s.Head = r.entry().ID()
	}
	for _, p := range readers {
		s.Readers = append(s.Readers, wire.SyncReader{Account: p.account})
	}
	reply, err := n.peer(from).Sync(t.Context(), wire.SyncRequest{Streams: []wire.SyncStream{s}})
	if err != nil || len(reply.Streams) != 1 || reply.Streams[0].Code != "" && reply.Streams[0].Code != wire.NotExist {
		t.Fatalf("got %+v, %v", reply, err)
	}
	return reply.Streams[0]
}
