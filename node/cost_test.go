package node

import (
	"context"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// counted opens a node whose own records are counted.
func counted(t testing.TB) (*testNode, *storetest.Counter) {
	own := storetest.Count(storetest.NewMemory())
	return newWorld(t).open(north, own, nil), own
}

// work is what an operation asked of a store.
type work struct{ gets, scans, applies, changes int }

func workOf(s *storetest.Counter, do func()) work {
	s.Reset()
	do()
	return work{s.Gets(), s.Scans(), s.Applies(), s.Changes()}
}

// TestFeedCost: what a page reads depends on neither how many friends there are
// nor how much they wrote. The first one finds out who they are; from then on, a
// page reads nothing but what it has not shown before, and tells nothing but what
// it has not told.
func TestFeedCost(t *testing.T) {
	const limit = 50
	for _, friends := range []int{20, 200, 2000} {
		for _, posts := range []int{5, 50} {
			if friends == 2000 && posts == 50 {
				continue // 100,000 records say no more than 10,000
			}
			n, own := counted(t)
			streams := make([][]int64, friends)
			for i := range streams {
				for j := range posts {
					streams[i] = append(streams[i], int64(j*1000+i))
				}
			}
			p, _ := n.reader(t, streams)
			page := func(cursor string) func() {
				return func() {
					if _, err := p.Feed(t.Context(), limit, cursor, ""); err != nil {
						t.Fatal(err)
					}
				}
			}
			const lookups = 2 // for each friend: their friendRecord and a wrap
			first := workOf(own, page(""))
			if first.gets > lookups*friends+2*limit || first.scans != 1 || first.applies != 0 {
				t.Errorf("%d friends, %d posts each: the first page: %+v", friends, posts, first)
			}
			if again := workOf(own, page("")); again != (work{}) {
				t.Errorf("%d friends, %d posts each: the same page again: %+v", friends, posts, again)
			}
			reply, err := p.Feed(t.Context(), limit, "", "")
			if err != nil {
				t.Fatal(err)
			}
			if next := workOf(own, page(reply.Cursor)); next.gets > 2*limit || next.scans != 0 {
				t.Errorf("%d friends, %d posts each: the page behind: %+v", friends, posts, next)
			}
			const around = 256 // bytes: cursor, state, and what is around the items
			for what, cursor := range map[string]string{"the same page": "", "the page behind": reply.Cursor} {
				told, err := p.Feed(t.Context(), limit, cursor, reply.State)
				size := len(wire.EncodeJSON(told)) - len(wire.EncodeJSON(told.Items))
				if err != nil || len(told.Streams) > 0 || size > around {
					t.Errorf("%d friends, %d posts each: %s tells of %d streams, in %d bytes, %v", friends, posts, what, len(told.Streams), size, err)
				}
			}
			news := n.streams.get(streamName{reply.Items[0].Author, reply.Items[0].Audience})
			n.changes.ofStream(news)
			told, err := p.Feed(t.Context(), limit, "", reply.State)
			if err != nil || len(told.Streams) != 1 || told.Streams[0].Author != news.name.author {
				t.Errorf("%d friends, %d posts each: one with news: told of %d streams, %v", friends, posts, len(told.Streams), err)
			}
		}
	}
}

// TestFriendsFeedCost: of a friend whose own circle is remembered, a first page asks
// for the wrap alone, and again for the friendRecord when it is forgotten.
func TestFriendsFeedCost(t *testing.T) {
	const friends = 20
	n, own := counted(t)
	streams := make([][]int64, friends+1)
	for i := range streams {
		streams[i] = []int64{int64(i)}
	}
	p, _ := n.reader(t, streams)
	must(p.Feed(t.Context(), 50, "", "")) // the posts are remembered
	first := func() work {
		n.circles.lists.remove(p.account)
		return workOf(own, func() { must(p.Feed(t.Context(), 50, "", "")) })
	}
	if got := first(); got != (work{gets: 2 * friends, scans: 1}) {
		t.Errorf("with friends who are not remembered: %+v", got)
	}
	known := must(n.circle(t.Context(), p.account)).friends
	for i := range known {
		must(n.circle(t.Context(), known[i].link.Value().stream.author))
	}
	if got := first(); got != (work{gets: friends, scans: 1}) {
		t.Errorf("with friends who are: %+v", got)
	}
	n.circles.forget(pair{known[0].link.Value().stream.author, random32()})
	if got := first(); got != (work{gets: friends + 1, scans: 1}) {
		t.Errorf("with one who was forgotten: %+v", got)
	}
}

// TestFriendsPostCost: a new post of one friend is one read for a reader who had
// all others before.
func TestFriendsPostCost(t *testing.T) {
	n, own := counted(t)
	ann, ben, eve := n.person("ann"), n.person("ben"), n.person("eve")
	for _, friend := range []*testPerson{ann, eve} {
		friend.befriend(ben)
		friend.posts(3)
	}
	ben.pages(100)
	ann.posts(1)
	if got := workOf(own, func() { ben.pages(100) }); got != (work{gets: 1}) {
		t.Errorf("got %+v, want one read", got)
	}
}

// TestPublishCost: a post is one Apply, of the entry and its id, and reads
// nothing; an epoch looks at the vault's head besides.
func TestPublishCost(t *testing.T) {
	n, own := counted(t)
	ann := n.person("ann")
	for range 2 {
		post := ann.post()
		if got := workOf(own, func() { ann.publish(post) }); got != (work{applies: 1, changes: 2}) {
			t.Errorf("a post: got %+v", got)
		}
	}
	epoch := ann.epoch()
	if got := workOf(own, func() { ann.publish(epoch) }); got.applies != 1 || got.changes != 2 || got.scans != 0 {
		t.Errorf("an epoch: got %+v", got)
	}
}

// TestLoginCost: a log-in is one commit, in its second step, and four look-ups, who
// is meant, what their vault says, the device, and whether there is a second factor. The devices of an account are read once,
// when there is a new one, and again after a log-in that was not committed.
func TestLoginCost(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	login := func(what string, device *wire.Token, want work) (token *wire.Token) {
		var c wire.ChallengeReply
		if got := workOf(l.store, func() { c = l.challenges(t, "ann", wire.PurposeLogin) }); got != (work{gets: 2}) {
			t.Errorf("%s: the challenge: got %+v", what, got)
		}
		answer := l.ann.answer(t, visitorNode, wire.PurposeLogin, c, nil)
		answer.DeviceToken = device
		got := workOf(l.store, func() {
			reply, err := l.Login(t.Context(), answer, newAddress())
			if err != nil {
				t.Fatal(err)
			}
			token = &reply.DeviceToken
		})
		if got != want {
			t.Errorf("%s: the answer: got %+v, want %+v", what, got, want)
		}
		if what == "one that is answered twice" {
			_, err := l.Login(t.Context(), answer, newAddress())
			silent(t, what, err)
		}
		return token
	}
	first, other := work{gets: 2, scans: 1, applies: 1, changes: 3}, work{gets: 2, applies: 1, changes: 3}
	device := login("the first device", nil, first)
	login("a known device", device, other)
	for range maxDevices - 1 {
		login("a new device", nil, other)
	}
	full := other
	full.changes++ // one is forgotten
	login("one too many", nil, full)
	login("one that is answered twice", nil, full)
	full.scans++
	login("the one behind it", nil, full)
	forgotten := full
	forgotten.gets, forgotten.scans = 4, 0
	before := l.challenges(t, "ann", wire.PurposeLogin)
	l.door.asked.forgetAll()
	got := workOf(l.store, func() {
		must(l.Login(t.Context(), l.ann.answer(t, visitorNode, wire.PurposeLogin, before, nil), newAddress()))
	})
	if got != forgotten {
		t.Errorf("an answer when who was asked is forgotten: got %+v, want %+v", got, forgotten)
	}
}

// TestRememberedEnds: that somebody may read a stream is remembered, and forgotten
// at once when either of the two ends the friendship, here or across nodes, and
// when a new epoch leaves them out.
func TestRememberedEnds(t *testing.T) {
	for _, apart := range []bool{false, true} {
		for name, close := range map[string]func(author, reader, other *testPerson){
			"the author ends it": func(author, reader, _ *testPerson) { author.tell(author.end(reader)) },
			"the reader ends it": func(author, reader, _ *testPerson) { reader.tell(reader.end(author)) },
			"an epoch with the end": func(author, reader, other *testPerson) {
				b := author.epochBody()
				author.wraps(b.Content, other)
				author.publish(author.seal(author.header(wire.KindEpoch), must(b.Encode())), author.end(reader))
			},
			"an epoch without them": func(author, reader, other *testPerson) {
				author.rotate(other)
				if reader.home != author.home {
					reader.home.pulls(author.home)
				}
			},
		} {
			w := newWorld(t)
			home := w.open(north, nil, nil)
			away := home
			if apart {
				away = w.open(south, nil, nil)
			}
			ann, ben, eve := home.person("ann"), away.person("ben"), away.person("eve")
			ann.befriend(ben)
			ann.befriend(eve)
			ann.posts(2)
			if apart {
				away.pulls(home)
			}
			if got := ben.shown(ann); got != 3 {
				t.Fatalf("%s, apart %v: %d entries before", name, apart, got)
			}
			close(ann, ben, eve)
			if name != "an epoch without them" { // an end travels to the other node in the background
				eventually(t, name, func() bool { return ben.state(ann) != wire.StateFriend && ann.state(ben) != wire.StateFriend })
			}
			if got := ben.shown(ann); got != 0 {
				t.Errorf("%s, apart %v: %d entries are still shown", name, apart, got)
			}
			if got := eve.shown(ann); got < 3 {
				t.Errorf("%s, apart %v: somebody else sees %d entries", name, apart, got)
			}
		}
	}
}

// TestEndNotDelivered: an end that is in the author's record alone, since its
// delivery is still to come, closes the stream as well.
func TestEndNotDelivered(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	ann.pages(1) // her circle is remembered
	if got := ben.shown(ann); got != 1 {
		t.Fatalf("%d entries before", got)
	}
	end := ann.end(ben)
	if _, err := n.ingest(t.Context(), byClient, parties{pair{me: ann.account}, ben.address}, end.FriendStatement); err != nil {
		t.Fatal(err)
	}
	if got := ben.shown(ann); got != 0 || ben.state(ann) != wire.StateFriend {
		t.Errorf("%d entries are still shown", got)
	}
}

// shown counts the entries of o in the feed of p.
func (p *testPerson) shown(o *testPerson) int {
	return len(slices.DeleteFunc(p.pages(100), func(i wire.FeedItem) bool { return i.Author != o.account }))
}

// TestEndsUnderLoad: whoever reads all the time while a friendship ends, reads
// nothing any more once the end was acknowledged, however often that is done.
func TestEndsUnderLoad(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.posts(1)
	for range 20 {
		n.world.clock.advance(1000)
		ann.befriend(ben)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				ben.pages(100)
			}
		}()
		if ben.shown(ann) == 0 {
			t.Error("a friend sees nothing")
		}
		ann.tell(ann.end(ben))
		if got := ben.shown(ann); got != 0 {
			t.Errorf("%d entries are shown after the end", got)
		}
		stop()
		<-ended
	}
}
