//go:build !race

package node

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestAllocations holds a feed page, all of it in memory, to allocations that
// depend on neither friends nor posts: the first one, which tells of all streams,
// and those that follow, one stream with news among them.
func TestAllocations(t *testing.T) {
	for _, friends := range []int{20, 200, 2000} {
		n := newWorld(t).open(north, nil, nil)
		streams := make([][]int64, friends)
		for i := range streams {
			streams[i] = []int64{int64(i), int64(1000 + i), int64(2000 + i)}
		}
		p, _ := n.reader(t, streams)
		first, err := p.Feed(t.Context(), 50, "", "")
		if err != nil {
			t.Fatal(err)
		}
		news := n.streams.get(streamName{first.Items[49].Author, first.Items[49].Audience})
		for _, c := range []struct {
			name, cursor, since string
			before              func()
			most                float64
		}{
			{"the first", "", "", nil, 35},
			{"the same again", "", first.State, nil, 35},
			{"the next", first.Cursor, first.State, nil, 40},
			{"one with news", "", first.State, func() { n.changes.ofStream(news) }, 45},
		} {
			got := testing.AllocsPerRun(20, func() {
				if c.before != nil {
					c.before()
				}
				if reply, err := p.Feed(t.Context(), 50, c.cursor, c.since); err != nil || len(reply.Items) != 50 && friends > 20 {
					t.Fatal(len(reply.Items), err)
				}
			})
			if t.Logf("%d friends: %s: %v allocations", friends, c.name, got); got > c.most {
				t.Errorf("%d friends: %s: %v allocations, at most %v were expected", friends, c.name, got, c.most)
			}
		}
	}
}

// TestLoginAllocations holds both steps of a log-in from a known device, without HTTP
// and JSON, to their allocations. The store in memory makes some of them.
func TestLoginAllocations(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	device := l.logsIn(t).DeviceToken
	ask := wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}
	var answers []wire.LoginRequest
	for range 30 {
		r := l.ann.answer(t, visitorNode, wire.PurposeLogin, l.challenges(t, "ann", wire.PurposeLogin), nil)
		r.DeviceToken = &device
		answers = append(answers, r)
	}
	for _, c := range []struct {
		name string
		most float64
		do   func()
	}{
		{"the challenge", 13, func() { must(l.Node.Challenge(t.Context(), ask, someAddress)) }},
		{"the answer", 33, func() {
			must(l.Node.Login(t.Context(), answers[0], someAddress))
			answers = answers[1:]
		}},
	} {
		got := testing.AllocsPerRun(20, c.do)
		if t.Logf("%s: %v allocations", c.name, got); got > c.most {
			t.Errorf("%s: %v allocations, at most %v were expected", c.name, got, c.most)
		}
	}
}

// TestPostAllocations holds the parts of a post, from its head to the store, to
// their allocations. The store in memory makes some of those of the last.
func TestPostAllocations(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	var posts [][]byte
	for range 30 {
		e := ann.seal(ann.header(wire.KindPost), make([]byte, 600))
		ann.advance(e)
		posts = append(posts, wire.EncodeJSON(wire.PublishRequest{Entry: e}))
	}
	head := "Host: north.example\r\nAuthorization: Bearer " + wire.NewToken(random32()).Reveal() +
		"\r\nContent-Type: application/json\r\nContent-Length: 1841\r\n\r\n"
	a := &api{node: n.Node, log: n.log}
	for _, c := range []struct {
		name string
		most float64
		do   func()
	}{
		{"the head", 2, func() {
			r := &incoming{method: "POST", target: wire.PathEntries}
			var err error
			if r.headers, err = parseHeaders(head); err == nil {
				err = r.check("HTTP/1.1")
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"the post", 19, func() {
			r := &incoming{body: posts[0], person: ann.as().Person}
			posts = posts[1:]
			if got := a.answer(t.Context(), route{serve: servePublish}, r); got.status != 200 {
				t.Fatalf("%+v", got)
			}
		}},
	} {
		got := testing.AllocsPerRun(20, c.do)
		if t.Logf("%s: %v allocations", c.name, got); got > c.most {
			t.Errorf("%s: %v allocations, at most %v were expected", c.name, got, c.most)
		}
	}
}
