package node

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// asksBack asks a node for what it has of p, by the recovery code.
func (p *testPerson) asksBack(at *testNode, place *wire.RecoveryPlace) wire.RecoveryRequest {
	q := &wire.RecoveryQuery{
		Version: wire.Version, Suite: wire.Suite, Handle: p.address.Handle, Home: p.address.Node, Node: at.name,
		Created: at.world.clock.now().UnixMilli(),
	}
	return wire.RecoveryRequest{Address: p.address, Query: must(q.SignRecovery(p.recovery)), Stream: place}
}

// regained returns the entries of p that a node gives to the recovery code.
func (p *testPerson) regained(at *testNode) (ids []wire.EntryID) {
	p.t.Helper()
	for after := uint64(0); ; {
		reply, err := at.Recovery(p.t.Context(), p.asksBack(at, &wire.RecoveryPlace{Audience: p.audience, After: after}))
		if err != nil {
			p.t.Fatal(err)
		}
		size := 0
		for i, e := range reply.Entries {
			h := must(p.chain().OpenEntry(e))
			if i > 0 && h.Seq != after+1 {
				p.t.Errorf("entry %d follows entry %d in one answer", h.Seq, after)
			}
			ids, after, size = append(ids, e.ID()), h.Seq, size+e.Size()
		}
		if len(reply.Entries) > wire.MaxPage || size > wire.MaxPageBytes+wire.MaxSealedPost {
			p.t.Errorf("%d entries with %d bytes in one answer", len(reply.Entries), size)
		}
		if len(reply.Entries) == 0 {
			return ids
		}
	}
}

// TestRecovery: the code brings back key statements and streams from the node of a friend,
// and nothing of anybody else.
func TestRecovery(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.posts(2)
	ann.befriend(ben)
	ann.tell(ann.offer(other.person("bea"))) // who has not answered
	ben.posts(3)
	ann.posts(2)
	ann.longPosts(2)
	other.pulls(home)
	w.fail(north, away)

	reply, err := other.Recovery(t.Context(), ann.asksBack(other, nil))
	if err != nil || len(reply.Statements) != 1 || !bytes.Equal(reply.Statements[0], ann.keys[0]) || len(reply.Entries) > 0 {
		t.Fatalf("got %+v, %v", reply, err)
	}
	asOf := other.copyOf(ann).asOf.Load()
	if want := (wire.RecoveryStream{Audience: ann.audience, Head: ann.stream.Seq, AsOf: asOf}); len(reply.Streams) != 1 || reply.Streams[0] != want || asOf == 0 {
		t.Errorf("got the streams %+v, want %+v", reply.Streams, want)
	}
	f := must(ben.as().Friends(t.Context())).Friends[0]
	if want := (wire.RecoveryFriend{OfferMade: f.OfferMade, OfferGot: f.OfferGot, AcceptGot: f.AcceptGot}); len(reply.Friends) != 1 || !reflect.DeepEqual(reply.Friends[0], want) {
		t.Errorf("got the friends %+v, want %+v", reply.Friends, want)
	}
	if got, want := ann.regained(other), ann.all(); !slices.Equal(got, want) {
		t.Errorf("got %d entries, want %d", len(got), len(want))
	}

	// The newest code counts.
	before := *ann
	w.fail(north, nil)
	w.clock.advance(time.Minute)
	ann.renews(ann.renewal(nil))
	ann.rotate(ben)
	other.pulls(home)
	w.fail(north, away)
	if got := ann.regained(other); len(got) != int(ann.stream.Seq) {
		t.Errorf("with the new code: %d entries, want %d", len(got), ann.stream.Seq)
	}
	_, err = other.Recovery(t.Context(), before.asksBack(other, nil))
	kind(t, err, wire.NotExist)
}

// TestRecoveryPages: more than fits on one page, and what is left of a copy that was trimmed.
func TestRecoveryPages(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	ann.befriend(ben)
	ann.posts(wire.MaxPage)
	for range 20 {
		ann.publish(ann.seal(ann.header(wire.KindPost), make([]byte, 60_000)))
	}
	other.pulls(home)
	all := ann.all()
	if got := ann.regained(other); !slices.Equal(got, all) {
		t.Errorf("got %d entries, want %d", len(got), len(all))
	}
	other.trims(ann)
	if got, want := ann.regained(other), []wire.EntryID{all[0], all[len(all)-1]}; !slices.Equal(got, want) {
		t.Errorf("of a copy that was trimmed: got %v, want %v", got, want)
	}
}

// TestRecoverySpoiled: whatever is wrong, the answer is one and the same.
func TestRecoverySpoiled(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, amy, ben, gus := home.person("ann"), home.person("amy"), other.person("ben"), home.person("gus")
	for _, p := range []*testPerson{ann, gus} {
		p.befriend(ben)
		p.posts(1)
	}
	ben.posts(1)
	other.pulls(home)
	gus.delete()
	if _, err := other.keys(t.Context(), gus.address, &gus.account, 0); err != nil {
		t.Fatal(err)
	}
	s := other.serves(nil)
	query := func(p *testPerson, by wire.RecoverySecret, change func(q *wire.RecoveryQuery)) wire.RecoveryRequest {
		q := &wire.RecoveryQuery{
			Version: wire.Version, Suite: wire.Suite, Handle: p.address.Handle, Home: p.address.Node, Node: south,
			Created: w.clock.now().UnixMilli(),
		}
		if change != nil {
			change(q)
		}
		return wire.RecoveryRequest{Address: p.address, Query: must(q.SignRecovery(by))}
	}
	late := recoveryQueryLifetime.Milliseconds() + 1
	wrong := map[string]wire.RecoveryRequest{
		"nobody":             query(home.newPerson("nobody"), ann.recovery, nil),
		"keys of nobody":     query(amy, amy.recovery, nil),
		"another code":       query(ann, ben.recovery, nil),
		"another's code":     query(ann, gus.recovery, nil),
		"another node":       query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Node = north }),
		"another's query":    query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Handle = "ben" }),
		"another home":       query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Home = south }),
		"too old":            query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Created -= late }),
		"too early":          query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Created += late }),
		"somebody from here": query(ben, ben.recovery, nil),
		"a deleted account":  query(gus, gus.recovery, nil),
		"no query":           {Address: ann.address},
		"a bit":              ann.asksBack(other, nil),
		"another's stream":   ann.asksBack(other, &wire.RecoveryPlace{Audience: ben.audience}),
		"no such stream":     ann.asksBack(other, &wire.RecoveryPlace{Audience: random32()}),
		"by the identity key": {Address: ann.address, Query: ann.signs(wire.LabelRecoveryQuery, &wire.RecoveryQuery{
			Version: wire.Version, Suite: wire.Suite, Handle: "ann", Home: north, Node: south, Created: w.clock.now().UnixMilli(),
		})},
	}
	wrong["a bit"].Query[70] ^= 1
	want := s.sends("POST", wire.PathRecovery, wire.EncodeJSON(query(home.newPerson("zoe"), ben.recovery, nil)))
	if want.status != 404 || !strings.Contains(want.body, `"not_exist"`) {
		t.Fatalf("got %d %s", want.status, want.body)
	}
	for name, r := range wrong {
		asks := []wire.RecoveryRequest{r}
		if r.Stream == nil {
			r.Stream = &wire.RecoveryPlace{Audience: ann.audience}
			asks = append(asks, r)
		}
		for _, r := range asks {
			if got := s.sends("POST", wire.PathRecovery, wire.EncodeJSON(r)); got.status != want.status || got.body != want.body {
				t.Errorf("%s: got %d %s, want %s", name, got.status, got.body, want.body)
			}
		}
	}
	for _, shift := range []time.Duration{-recoveryQueryLifetime, recoveryQueryLifetime} {
		r := query(ann, ann.recovery, func(q *wire.RecoveryQuery) { q.Created += shift.Milliseconds() })
		if got := s.sends("POST", wire.PathRecovery, wire.EncodeJSON(r)); got.status != 200 {
			t.Errorf("%v off: got %d %s", shift, got.status, got.body)
		}
	}
}

// TestRecoveryWhileTrimmed: entries that go while they are read are nobody's fault, and the
// answer says to come again.
func TestRecoveryWhileTrimmed(t *testing.T) {
	w := newWorld(t)
	var reading atomic.Pointer[func(key string)]
	copies := busyStore{storetest.NewMemory(), func(key string) {
		if f := reading.Load(); f != nil {
			(*f)(key)
		}
	}}
	home, other := w.open(north, nil, nil), w.open(south, nil, copies)
	ann, ben := home.person("ann"), other.person("ben")
	ann.befriend(ben)
	ann.posts(3)
	other.pulls(home)
	s := other.copyOf(ann)
	served := other.serves(nil)
	goes := func(key string) {
		if strings.HasPrefix(key, streamKey(s.name)) {
			reading.Store(nil)
			other.trims(ann)
		}
	}
	reading.Store(&goes)
	ask := ann.asksBack(other, &wire.RecoveryPlace{Audience: ann.audience})
	if got := served.sends("POST", wire.PathRecovery, wire.EncodeJSON(ask)); got.status != 503 || !strings.Contains(got.body, "went while they were read") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
