package node

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A listener adds up what pages tell of streams.
type listener struct {
	*testPerson
	state string
	told  map[streamName]wire.StreamStatus
	all   int // how often everything was told
}

func listens(p *testPerson) *listener {
	return &listener{testPerson: p, told: make(map[streamName]wire.StreamStatus)}
}

// hears asks for a page, and returns how many streams it tells of.
func (l *listener) hears(cursor string) int {
	l.t.Helper()
	reply, err := l.as().Feed(l.t.Context(), 3, cursor, l.state)
	if err != nil {
		l.t.Fatal(err)
	}
	if reply.All {
		clear(l.told)
		l.all++
	}
	for _, s := range reply.Streams {
		if name := (streamName{s.Author, s.Audience}); s.Head > 0 {
			l.told[name] = wire.StreamStatus{Author: s.Author, Audience: s.Audience, Head: s.Head, AsOf: s.AsOf}
		} else {
			delete(l.told, name)
		}
	}
	l.state = reply.State
	return len(reply.Streams)
}

// may returns what readable says of all streams of the node.
func (l *listener) may() map[streamName]wire.StreamStatus {
	n := l.home
	n.streams.mu.RLock()
	names := slices.Collect(maps.Keys(n.streams.byName))
	n.streams.mu.RUnlock()
	all := make(map[streamName]wire.StreamStatus)
	for _, name := range names {
		if s, err := n.readable(l.t.Context(), l.account, name); err == nil && s.state().Seq > 0 {
			all[name] = wire.StreamStatus{Author: name.author, Audience: name.audience, Head: s.state().Seq, AsOf: s.lateSince()}
		}
	}
	return all
}

func sameStatus(a, b wire.StreamStatus) bool {
	return a.Author == b.Author && a.Audience == b.Audience && a.Head == b.Head && a.AsOf == b.AsOf
}

// TestTold: who adds up the changes that pages tell of knows what may be read and
// how far it goes, whatever happens, and so does who is told everything.
func TestTold(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 17))
		w := newWorld(t)
		home, away := w.open(north, nil, nil), w.open(south, nil, nil)
		people := []*testPerson{home.person("ann"), home.person("ben"), home.person("eve"), away.person("dan"), away.person("zoe")}
		var listeners []*listener
		for _, p := range people {
			listeners = append(listeners, listens(p))
		}
		for step := range 30 {
			a, b := people[rng.IntN(len(people))], people[rng.IntN(len(people))]
			did := "nothing"
			switch friends := a != b && a.state(b) == wire.StateFriend && b.state(a) == wire.StateFriend; {
			case a == b && rng.IntN(2) == 0:
				did = "an epoch for nobody"
				a.rotate()
			case a == b:
				did = "wraps afterwards"
				a.wraps(a.content, slices.DeleteFunc(slices.Clone(people), func(p *testPerson) bool { return p == a })...)
			case friends && rng.IntN(4) == 0:
				did = "an end"
				a.tell(a.end(b))
				eventually(t, did, func() bool { return b.state(a) == wire.StateNone })
			case friends || a.state(b) != wire.StateNone || b.state(a) != wire.StateNone:
				did = "posts"
				a.posts(1 + rng.IntN(3))
			default:
				did = "a friendship"
				a.befriend(b)
				eventually(t, did, func() bool { return a.state(b) == wire.StateFriend && b.state(a) == wire.StateFriend })
			}
			w.clock.advance(time.Second)
			for _, l := range listeners {
				if rng.IntN(3) == 0 && step < 29 {
					continue // somebody who does not look each time
				}
				eventually(t, fmt.Sprintf("seed %d, step %d, %s: what %s knows is what is there", seed, step, did, l.address), func() bool {
					l.hears("")
					whole := listens(l.testPerson)
					whole.hears("")
					return maps.EqualFunc(l.told, l.may(), sameStatus) && maps.EqualFunc(whole.told, l.told, sameStatus)
				})
			}
		}
	}
}

// TestPageIsOfOneMoment: what is written while a page is put together is on the next
// one, and the page does not tell of it either: a client takes what it is told of and
// cannot find for left out.
func TestPageIsOfOneMoment(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ben := n.person("ben")
	var friends []*testPerson
	for i := range 16 { // so many that events are looked through one by one
		friends = append(friends, n.person(wire.Handle(fmt.Sprint("p", i))))
		ben.befriend(friends[i])
	}
	l := listens(ben)
	l.hears("")
	ann := friends[3]
	w.clock.advance(time.Second)
	ann.posts(1)
	before := ann.stream.Seq
	p := &page{Person: n.As(ben.account, ben.address.Handle)}
	number := n.changes.now()
	c := must(n.circle(t.Context(), ben.account))
	r := must(p.ranking(t.Context(), c, number))
	ann.posts(1)
	ben.posts(1)
	var reply wire.FeedReply
	if err := p.fill(t.Context(), c, r, 3, nil, l.state, &reply); err != nil {
		t.Fatal(err)
	}
	told := make(map[wire.AccountID]uint64)
	for _, s := range reply.Streams {
		told[s.Author] = s.Head
	}
	if told[ann.account] != before || told[ben.account] >= ben.stream.Seq {
		t.Errorf("told of entries up to %d of ann and %d of ben, want %d, and less than %d", told[ann.account], told[ben.account], before, ben.stream.Seq)
	}
	if header := must(wire.OpenEntry(reply.Items[0].Entry, ann.identity.Public())); reply.Items[0].Author != ann.account || header.Seq != before {
		t.Errorf("the page begins with entry %d of %s, want %d of ann", header.Seq, reply.Items[0].Author, before)
	}
	if l.state = n.stateAt(ben.account, number); l.hears("") != 2 {
		t.Error("the next page does not tell of both")
	}
}

// TestStates: a page says which of many streams changed, and nothing where none
// did, until so much has happened that each is looked at; and all of them only to
// whom it cannot know better.
func TestStates(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	var others []*testPerson
	for i := range 12 {
		others = append(others, n.person(wire.Handle(fmt.Sprint("p", i))))
		ben.befriend(others[i])
	}
	l := listens(ben)
	hears := func(what string, want, all int) {
		t.Helper()
		if got := l.hears(""); got != want || l.all != all {
			t.Errorf("%s: told of %d streams, %d times of all, want %d and %d", what, got, l.all, want, all)
		}
	}
	hears("the first page", 14, 1)
	hears("the same page", 0, 1)
	ann.posts(5)
	hears("posts of one friend", 1, 1)
	n.person("eve").posts(3)
	hears("posts of a stranger", 0, 1)
	for _, o := range others[:7] {
		o.posts(2)
	}
	hears("more than was looked through one by one", 7, 1)
	for range changesKept {
		n.changes.ofStream(newStream(streamName{}, false))
	}
	ann.posts(1)
	hears("more than is kept", 1, 1)
	ann.rotate(others...)
	hears("an epoch without the reader", 1, 1)
	ann.wraps(ann.content, ben)
	hears("a wrap for it", 14, 2)
	others[0].tell(others[0].end(ben))
	hears("an end", 13, 3)
	two := slices.DeleteFunc(slices.Clone(others[1:]), func(o *testPerson) bool { return bucket(o.account) == bucket(ben.account) })
	two[0].befriend(two[1])
	two[0].tell(two[0].end(two[1]))
	hears("what others have with each other", 0, 3)
	before := l.state
	l.state = ""
	hears("without a state", 13, 4)
	l.state = before
	ann.posts(1)
	hears("with an older one", 1, 4)
	first, err := ben.as().Feed(t.Context(), 2, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.hears(first.Cursor); got != 0 {
		t.Errorf("a page behind a cursor tells of %d streams", got)
	}
	n.close()
	l.home = w.open(north, n.own, n.copies)
	hears("after a restart", 13, 5)
}

// TestStateIsForOne: a state of somebody else, of another process, or of nobody is
// none. It does not show how much has happened, nor for whom it is.
func TestStateIsForOne(t *testing.T) {
	w := newWorld(t)
	n, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := wire.AccountID(random32()), wire.AccountID(random32())
	state := n.stateAt(ann, 7)
	if number, ok := n.openState(ann, state); number != 7 || !ok {
		t.Fatalf("got %d, %t", number, ok)
	}
	if _, ok := n.openState(ben, state); ok {
		t.Error("somebody else's is taken")
	}
	if _, ok := other.openState(ann, state); ok {
		t.Error("another process's is taken")
	}
	raw := must(base64.RawURLEncoding.DecodeString(state))
	wrong := []string{"", "A", state + "A", state + "AAAA", state + "=", "~" + state[1:], strings.Repeat("A", 2000), strings.Repeat("A", 43)}
	for i := range 8 * len(raw) {
		b := slices.Clone(raw)
		b[i/8] ^= 1 << (i % 8)
		wrong = append(wrong, base64.RawURLEncoding.EncodeToString(b))
	}
	for _, s := range wrong {
		if _, ok := n.openState(ann, s); ok {
			t.Errorf("%q is taken", s)
		}
	}
	next := must(base64.RawURLEncoding.DecodeString(n.stateAt(ann, 8)))
	same := 0
	for i := range raw {
		if raw[i] == next[i] {
			same++
		}
	}
	if same > 8 || strings.Contains(string(raw), string(ann[:4])) {
		t.Errorf("two states in a row have %d bytes in common", same)
	}
}

// TestLateCopies: a copy whose author's node has not been heard for more than
// two minutes is told as of when it was, once, and again when the node is back; also
// where the clock went back.
func TestLateCopies(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, eve, ben := home.person("ann"), home.person("eve"), other.person("ben")
	ann.befriend(ben)
	eve.befriend(ben)
	other.pulls(home)
	l := listens(ben)
	l.hears("")
	asOf := func() int64 { return l.told[streamName{ann.account, ann.audience}].AsOf }
	if len(l.told) != 3 || asOf() != 0 {
		t.Fatalf("told of %d streams, as of %d", len(l.told), asOf())
	}
	for _, away := range []time.Duration{time.Hour, -time.Hour} {
		heard := w.clock.now().UnixMilli()
		w.fail(north, wire.Errorf(wire.Unavailable, "", "away"))
		w.clock.advance(away)
		other.follows.renew(north)
		if got := l.hears(""); got != 2 || asOf() != heard {
			t.Errorf("after %v: told of %d streams, as of %d, want 2 as of %d", away, got, asOf(), heard)
		}
		if got := l.hears(""); got != 0 || asOf() != heard {
			t.Errorf("after %v, again: told of %d streams, as of %d", away, got, asOf())
		}
		w.fail(north, nil)
		other.pulls(home)
		if got := l.hears(""); got != 2 || asOf() != 0 {
			t.Errorf("%v, and back: told of %d streams, as of %d", away, got, asOf())
		}
	}
	w.clock.advance(lateAfter)
	if got := l.hears(l.cursor()); got != 0 {
		t.Errorf("after exactly as long as may be: told of %d streams", got)
	}
}

// cursor returns one that needs no other node to be asked.
func (l *listener) cursor() string {
	reply, err := l.as().Feed(l.t.Context(), 1, "", "")
	if err != nil || reply.Cursor == "" {
		l.t.Fatal(reply.Cursor, err)
	}
	return reply.Cursor
}
