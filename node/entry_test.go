package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestPublish(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	e := ann.post()
	var first wire.PublishReply
	for i := range 3 {
		reply, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: e})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = reply
		}
		if reply != first || reply.ID != e.ID() || reply.Arrival != n.world.clock.now().Add(-time.Duration(i)*time.Second).UnixMilli() {
			t.Fatalf("time %d: got %+v, want %+v", i, reply, first)
		}
		n.world.clock.advance(time.Second)
	}
	other := ann.post() // of another device
	_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: other})
	kind(t, err, wire.Conflict)
	ann.advance(e)
	ann.posts(3)
	ann.rotate()
	ann.posts(1)
	item, err := ann.as().Post(t.Context(), e.ID())
	if err != nil || !bytes.Equal(item.Entry.Header, e.Header) || !bytes.Equal(item.Entry.Body, e.Body) || item.Author != ann.account || item.Audience != ann.audience {
		t.Fatalf("got %+v, %v", item, err)
	}
	if got := ann.reads(ann); len(got) != 7 {
		t.Fatalf("got %d", got)
	}
}

func TestPublishRefuses(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.posts(2)
	ann.putVault()
	ann.rotate()
	ann.posts(1)
	changed := func(k wire.EntryKind, change func(*wire.EntryHeader)) func() wire.Entry {
		return func() wire.Entry {
			h := ann.header(k)
			change(h)
			body := random32()
			return ann.seal(h, body[:])
		}
	}
	epoch := func(change func(*wire.EpochBody)) func() wire.Entry {
		return func() wire.Entry {
			b := ann.epochBody()
			change(b)
			return ann.seal(ann.header(wire.KindEpoch), must(b.Encode()))
		}
	}
	for name, c := range map[string]struct {
		want  wire.Kind
		entry func() wire.Entry
	}{
		"nothing":           {wire.Invalid, func() wire.Entry { return wire.Entry{} }},
		"bad signature":     {wire.Invalid, func() wire.Entry { e := ann.post(); e.Header[3] ^= 1; return e }},
		"other body":        {wire.Invalid, func() wire.Entry { e := ann.post(); e.Body[0] ^= 1; return e }},
		"no body":           {wire.Invalid, func() wire.Entry { e := ann.post(); e.Body = nil; return e }},
		"another's":         {wire.Invalid, func() wire.Entry { return ben.post() }},
		"signed by another": {wire.Invalid, func() wire.Entry { x := *ann; x.identity = ben.identity; return x.post() }},
		"gap":               {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Seq++ })},
		"other before":      {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Prev = random32() })},
		"again":             {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Seq-- })},
		"back in time":      {wire.Invalid, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Created-- })},
		"early": {wire.Clock, changed(wire.KindPost, func(h *wire.EntryHeader) {
			h.Created += (wire.MaxSkew + time.Second).Milliseconds()
		})},
		"older epoch":    {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Epoch = 1 })},
		"not an epoch":   {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Epoch++ })},
		"other keys":     {wire.Invalid, changed(wire.KindPost, func(h *wire.EntryHeader) { h.KeySeq = 1 })},
		"new stream":     {wire.Conflict, changed(wire.KindPost, func(h *wire.EntryHeader) { h.Audience = random32() })},
		"no epoch body":  {wire.Invalid, changed(wire.KindEpoch, func(*wire.EntryHeader) {})},
		"no link":        {wire.Invalid, epoch(func(b *wire.EpochBody) { b.Links = nil })},
		"link elsewhere": {wire.Invalid, epoch(func(b *wire.EpochBody) { b.Links[0].Epoch = 1 })},
		"another's head": {wire.Invalid, epoch(func(b *wire.EpochBody) { b.VaultHead = ben.heads[0] })},
		"head to come":   {wire.Conflict, epoch(func(b *wire.EpochBody) { b.VaultHead = ann.nextVault().Head })},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: c.entry()})
			kind(t, err, c.want)
		})
	}
	if got := ann.reads(ann); len(got) != 5 {
		t.Fatalf("got %d, want what was there", got)
	}
	if got := len(n.streams.byAuthor[ann.account]); got != 1 {
		t.Fatalf("%d streams are remembered", got)
	}
	ann.posts(1)
}

func TestPublishEnds(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		cid := ann.home.person("cid")
		ann.befriend(ben)
		ann.befriend(cid)
		for name, c := range map[string]struct {
			want wire.Kind
			kind wire.EntryKind
			ends []wire.FriendRequest
		}{
			"with a post":   {wire.Invalid, wire.KindPost, []wire.FriendRequest{ann.end(ben)}},
			"no end":        {wire.Invalid, wire.KindEpoch, []wire.FriendRequest{ann.offer(ben)}},
			"another's":     {wire.Invalid, wire.KindEpoch, []wire.FriendRequest{cid.end(ann)}},
			"other address": {wire.NotExist, wire.KindEpoch, []wire.FriendRequest{about(cid, wire.FriendEnd, ann.end(ben).Statement)}},
			"no friend":     {wire.NotExist, wire.KindEpoch, []wire.FriendRequest{ann.endOf(ann.home.newPerson("dan"), random32())}},
			"one of two":    {wire.NotExist, wire.KindEpoch, []wire.FriendRequest{ann.end(ben), ann.endOf(ann.home.newPerson("dan"), random32())}},
			"too many":      {wire.Invalid, wire.KindEpoch, slices.Repeat([]wire.FriendRequest{ann.end(ben)}, maxEndings+1)},
			"early":         {wire.Clock, wire.KindEpoch, []wire.FriendRequest{early(ann, func() wire.FriendRequest { return ann.end(ben) })}},
		} {
			t.Run(name, func(t *testing.T) {
				e := ann.post()
				if c.kind == wire.KindEpoch {
					e = ann.epoch()
				}
				_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: e, Ends: c.ends})
				kind(t, err, c.want)
				ann.wants(ben, wire.StateFriend, wire.StateFriend)
			})
		}
		body := ann.epochBody()
		ann.wraps(body.Content, cid)
		ann.publish(ann.seal(ann.header(wire.KindEpoch), must(body.Encode())), ann.end(ben))
		if got := ann.state(ben); got != wire.StateNone {
			t.Fatalf("got %q directly after", got)
		}
		eventually(t, "the other side learns", func() bool { return ben.state(ann) == wire.StateNone })
		ann.wants(cid, wire.StateFriend, wire.StateFriend)
		if got := cid.reads(ann); len(got) != 2 {
			t.Fatalf("got %d", got)
		}
		_, err := ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
		kind(t, err, wire.NotExist)
	})
}

// TestPublishEndsWait: an end has to wait like all that is told, and is refused
// where too much waits already.
func TestPublishEndsWait(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	end, p := ann.end(ben), pair{ann.account, ben.account}
	r, _, err := n.friendship(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	r.Queue = slices.Repeat([]queuedRecord{{end.Kind, end.Statement}}, wire.MaxFriendQueue)
	if err := n.own.Apply(t.Context(), put(friendKey(p), r)); err != nil {
		t.Fatal(err)
	}
	_, err = ann.as().Publish(t.Context(), wire.PublishRequest{Entry: ann.epoch(), Ends: []wire.FriendRequest{end}})
	kind(t, err, wire.Limit)
}

// TestPostOfNoEntry: an id that was noted before its entry, which never came, or
// where another one came, is that of no post.
func TestPostOfNoEntry(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	_, none := ann.as().Post(t.Context(), random32())
	kind(t, none, wire.NotExist)
	for _, seq := range []uint64{1, 99} {
		id := wire.EntryID(random32())
		if err := n.own.Apply(t.Context(), put(idKey(id), &idRecord{recordVersion, ann.account, ann.audience, seq})); err != nil {
			t.Fatal(err)
		}
		if _, err := ann.as().Post(t.Context(), id); err == nil || err.Error() != none.Error() {
			t.Errorf("entry %d: got %v, want %v", seq, err, none)
		}
	}
}

// early makes something by a clock that is too far ahead.
func early[T any](p *testPerson, make func() T) T {
	p.home.world.clock.advance(wire.MaxSkew + time.Second)
	defer p.home.world.clock.advance(-wire.MaxSkew - time.Second)
	return make()
}

// Many devices of one person write at once: each entry has one winner.
func TestPublishRace(t *testing.T) {
	for _, chaos := range []bool{false, true} {
		n := newWorld(t).open(north, nil, nil)
		ann := n.person("ann")
		memory := n.own.(*storetest.Memory)
		for round := range 20 {
			entries := []wire.Entry{ann.post(), ann.post(), ann.post()}
			errs := make([]error, len(entries))
			if chaos {
				memory.Chaos(uint64(round))
			}
			var all sync.WaitGroup
			for i, e := range entries {
				all.Go(func() {
					for {
						_, errs[i] = ann.as().Publish(context.Background(), wire.PublishRequest{Entry: e})
						if wire.KindOf(errs[i]) != wire.Internal || errs[i] == nil {
							return
						}
					}
				})
			}
			all.Wait()
			memory.Resume()
			winner := -1
			for i, err := range errs {
				if err == nil {
					if winner >= 0 {
						t.Fatal("two entries have one place")
					}
					winner = i
				} else {
					kind(t, err, wire.Conflict)
				}
			}
			if winner < 0 {
				t.Fatalf("nobody won: %v", errs)
			}
			ann.advance(entries[winner])
			if _, err := ann.as().Post(t.Context(), entries[winner].ID()); err != nil {
				t.Fatalf("by id: %v", err)
			}
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	for range maxStreams - 1 {
		if _, err := n.streams.open(streamName{ann.account, random32()}, false, maxStreams); err != nil {
			t.Fatal(err)
		}
	}
	ann.posts(1)
	ann.audience, ann.stream = random32(), wire.StreamHead{}
	_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: ann.epoch()})
	kind(t, err, wire.Limit)
}

// Time that goes backwards at the node moves no entry before an older one.
func TestPositionNeverFalls(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann := n.person("ann")
	for range 10 {
		ann.posts(1)
		n.world.clock.advance(-time.Second)
	}
	reply, err := ann.as().Feed(t.Context(), 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range reply.Items {
		if seq := must(wire.OpenEntry(item.Entry, ann.identity.Public())).Seq; seq != uint64(11-i) {
			t.Fatalf("item %d: got entry %d", i, seq)
		}
		if i > 0 && item.Position > reply.Items[i-1].Position {
			t.Fatalf("item %d stands at %d, after one at %d", i, item.Position, reply.Items[i-1].Position)
		}
	}
}

// What is signed under keys that were replaced does not count any more, but for
// what is there.
func TestReplacedKeys(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		ann.posts(1)
		old := *ann
		end := func(p *testPerson) wire.FriendRequest { return p.endOf(ben, random32()) }
		post, offer, vault, epoch := old.post(), old.offer(ben), old.nextVault(), old.epoch()
		ann.replaceKeys()
		publish := func(e wire.Entry) error {
			_, err := ann.as().Publish(t.Context(), wire.PublishRequest{Entry: e})
			return err
		}
		kind(t, publish(post), wire.Conflict)
		kind(t, publish(epoch), wire.Conflict)
		kind(t, publish(ann.post()), wire.Invalid) // a change of keys begins with an epoch
		_, err := ann.as().Tell(t.Context(), offer)
		kind(t, err, wire.Conflict)
		kind(t, ann.as().PutVault(t.Context(), vault), wire.Conflict)
		ann.putVault()
		_, err = ann.as().Publish(t.Context(), wire.PublishRequest{Entry: ann.epoch(), Ends: []wire.FriendRequest{end(&old)}})
		kind(t, err, wire.Conflict)
		ann.rotate()
		ann.befriend(ben)
		if ben.home != ann.home {
			_, err := ben.home.peer(north).Deliver(t.Context(), wire.PeerFriendRequest{
				From: ann.address, FromAccount: ann.account, To: ben.address, ToAccount: ben.account, FriendStatement: end(&old).FriendStatement,
			})
			kind(t, err, wire.Invalid)
			ben.home.pulls(ann.home)
		}
		if got := ben.reads(ann); len(got) != 3 {
			t.Fatalf("got %d", got)
		}
		// Keys that change later are found when they are needed.
		ann.home.world.clock.advance(2 * time.Second)
		ann.replaceKeys()
		ann.putVault()
		ann.rotate(ben)
		if ben.home != ann.home {
			ben.home.pulls(ann.home)
		}
		if got := ben.reads(ann); len(got) != 4 {
			t.Fatalf("got %d", got)
		}
		ann.home.world.clock.advance(2 * time.Second)
		ann.replaceKeys()
		ann.tell(ann.end(ben))
		ann.wants(ben, wire.StateNone, wire.StateNone)
	})
}

// replaceKeys gives p a new identity key.
func (p *testPerson) replaceKeys() {
	p.t.Helper()
	identity := wire.NewIdentitySecret(random32())
	p.renews(p.renewal(&identity))
}

// A lateStore answers what is got from it in turn.
type lateStore struct {
	store.Store
	answers []func() error
}

func (s *lateStore) Get(context.Context, string) (store.Record, error) {
	next := s.answers[0]
	s.answers = s.answers[1:]
	return store.Record{}, next()
}

// TestPostWhileStarting: what was not found while a start finished what was interrupted
// is looked for once more, also where that ended meanwhile.
func TestPostWhileStarting(t *testing.T) {
	n := &Node{warmed: make(chan struct{}), copies: storetest.NewMemory()}
	found := errors.New("it was looked for again")
	n.own = &lateStore{answers: []func() error{
		func() error { close(n.warmed); return store.ErrNotExist },
		func() error { return found },
	}}
	if _, err := n.As(random32(), "ann").Post(t.Context(), random32()); !errors.Is(err, found) {
		t.Errorf("got %v, want %v", err, found)
	}
}
