package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// tryPast asks nodes for the past of s with a code, on this device.
func (s *someone) tryPast(code string, nodes ...wire.NodeName) (*Past, error) {
	s.t.Helper()
	c, err := ParseRecoveryCode([]byte(code))
	s.must(err)
	return s.client().RecoverPast(context.Background(), RecoverPastOptions{Address: s.address, Code: c, From: nodes})
}

// past is what a device of s that knows nothing gets from nodes, the home being gone.
func (s *someone) past(nodes ...wire.NodeName) *Past {
	s.t.Helper()
	d := s.beside()
	d.line.before = func(_ int, r *Request) error {
		if r.Node == s.address.Node {
			s.t.Error("the home is asked")
			return wire.Errorf(wire.Unavailable, "node", "it is gone")
		}
		return nil
	}
	p, err := d.tryPast(s.code, nodes...)
	s.must(err)
	if names, _ := d.device.List(""); len(names) > 0 {
		s.t.Errorf("the device keeps %q", names)
	}
	return p
}

// wants compares a past with the texts that it should have, and nothing amiss.
func (p *Past) wants(t *testing.T, want ...string) {
	t.Helper()
	if got := texts(FeedPage{Posts: p.Posts}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(p.Problems)+len(p.Missing) > 0 {
		t.Errorf("problems %v, missing %v", p.Problems, p.Missing)
	}
}

// TestRecoverPast: the code opens all that somebody wrote, from the copies at a friend's
// node: through changes of the epoch, of the code and of all keys.
func TestRecoverPast(t *testing.T) {
	s := newScene(t)
	ada := s.ada
	p := ada.past("two.example")
	p.wants(t, "one", "two", "three")
	if p.Address != ada.address || p.Account != ada.me() || len(p.Statements) != 1 || p.Keys.Identity != ada.chain.Newest().Identity {
		t.Errorf("the keys are others: %+v", p)
	}
	if n := p.Nodes[0]; n.Node != "two.example" || n.Entries != 5 || !n.AsOf.After(time.Unix(0, 0)) || n.Err != nil {
		t.Errorf("got %+v", n)
	}
	if want := (PastFriend{s.bob.address, s.bob.me()}); len(p.Friends) != 1 || p.Friends[0] != want {
		t.Errorf("the friends are %v, want %v", p.Friends, want)
	}
	if other := s.bob.past("one.example"); len(other.Friends) != 1 || other.Friends[0] != (PastFriend{ada.address, ada.me()}) {
		t.Errorf("the friends of who accepted are %v", other.Friends)
	}
	post := p.Posts[2]
	if post.ID.IsZero() || post.Author != ada.address || post.AuthorAccount != ada.me() || post.AudienceID != ada.vault.friends().ID ||
		post.Audience != "" || post.Seq != 5 || post.Created.IsZero() {
		t.Errorf("got %+v", post)
	}
	old := ada.code
	ada.must(ada.tryRenewCode(old))
	ada.writes("four")
	ada.past("two.example").wants(t, "one", "two", "three", "four")
	ada.must(ada.tryNewKeys(ada.code))
	ada.writes("five")
	p = ada.past("two.example")
	p.wants(t, "one", "two", "three", "four", "five")
	if len(p.Statements) != 3 || p.Keys.Seq != 2 {
		t.Errorf("%d key statements", len(p.Statements))
	}
	if _, err := ada.beside().tryPast(old, "two.example"); !errors.Is(err, wire.NotExist) {
		t.Errorf("with the first code: %v", err)
	}
}

// TestRecoverPastRefuses: who is asked for what makes no sense, and what has nothing.
func TestRecoverPastRefuses(t *testing.T) {
	s := newScene(t)
	many := []wire.NodeName{}
	for i := range MaxRecoverFrom + 1 {
		many = append(many, wire.NodeName(fmt.Sprintf("n%d.example", i)))
	}
	for name, nodes := range map[string][]wire.NodeName{
		"nobody": {}, "the home": {"two.example", "one.example"}, "one twice": {"two.example", "three.example", "two.example"}, "too many": many,
	} {
		d := s.ada.beside()
		if _, err := d.tryPast(s.ada.code, nodes...); !errors.Is(err, wire.Invalid) || len(d.line.calls) > 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(d.line.calls))
		}
	}
	for name, code := range map[string]string{"another's code": s.bob.code, "no code of anybody's": seal.NewRecoveryCode().Reveal()} {
		p, err := s.ada.beside().tryPast(code, "two.example", "three.example")
		if !errors.Is(err, wire.NotExist) || p == nil || len(p.Nodes) != 2 || !errors.Is(p.Nodes[1].Err, wire.NotExist) {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
	d := s.ada.beside()
	d.line.before = func(_ int, r *Request) error { return wire.Errorf(wire.Unavailable, "node", "it is away") }
	if _, err := d.tryPast(s.ada.code, "two.example"); !errors.Is(err, wire.Unavailable) {
		t.Errorf("from a node that is away: %v", err)
	}
	d = s.ada.beside()
	ctx, cancel := context.WithCancel(context.Background())
	d.line.after = func(int, *Request, *Response) error { cancel(); return nil }
	c, err := ParseRecoveryCode([]byte(s.ada.code))
	s.ada.must(err)
	if _, err := d.client().RecoverPast(ctx, RecoverPastOptions{Address: d.address, Code: c, From: []wire.NodeName{"two.example"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// withCopies is a scene in which ada has friends at three nodes.
func withCopies(t *testing.T) scene {
	s := newScene(t)
	for _, a := range []string{"cleo@three.example", "dora@four.example"} {
		s.ada.befriends(s.ada.w.newPerson(a))
	}
	s.ada.writes("four")
	return s
}

// keeps leaves of what a node has copied of ada only some entries.
func keeps(d *someone, node wire.NodeName, has func(seq uint64) bool) {
	lie(d, "POST", wire.PathRecovery, func(r *Request, reply *wire.RecoveryReply) {
		if r.Node != node || d.placeOf(r) == nil {
			return
		}
		reply.Entries = []wire.Entry{}
		all := d.w.people[d.w.handles[d.address]].streams[d.placeOf(r).Audience]
		for _, e := range all {
			if e.h.Seq > d.placeOf(r).After && has(e.h.Seq) && len(reply.Entries) < 2 {
				reply.Entries = append(reply.Entries, e.Entry)
			}
		}
	})
}

func (s *someone) placeOf(r *Request) *wire.RecoveryPlace {
	var in wire.RecoveryRequest
	s.must(wire.DecodeJSON(r.Body, &in))
	return in.Stream
}

// TestRecoverPastOfMany: what one node has not, another may have; what none has is named.
func TestRecoverPastOfMany(t *testing.T) {
	s := withCopies(t)
	head := uint64(len(s.ada.w.people[s.ada.me()].streams[s.ada.vault.friends().ID]))
	if four := s.ada.w.people[s.ada.me()].streams[s.ada.vault.friends().ID][5].h; four.Kind != wire.KindPost || four.Seq != head || four.Epoch != 3 {
		t.Fatalf("got %+v", four)
	}
	d := s.ada.beside()
	keeps(d, "two.example", func(seq uint64) bool { return seq%2 == 0 })
	keeps(d, "three.example", func(seq uint64) bool { return seq%2 == 1 || seq == head })
	p, err := d.tryPast(s.ada.code, "two.example", "three.example")
	s.ada.must(err)
	p.wants(t, "one", "two", "three", "four")

	// A copy that was trimmed has the newest epoch and the newest entry.
	d = s.ada.beside()
	trimmed := func(seq uint64) bool { return seq == head || seq == 3 }
	keeps(d, "two.example", trimmed)
	p, err = d.tryPast(s.ada.code, "two.example")
	s.ada.must(err)
	gaps := []PastGap{{s.ada.vault.friends().ID, 1, 2}, {s.ada.vault.friends().ID, 4, head - 1}}
	if got := texts(FeedPage{Posts: p.Posts}); !slices.Equal(got, []string{"four"}) || !slices.Equal(p.Missing, gaps) || len(p.Problems) > 0 {
		t.Errorf("got %q, missing %v, problems %v", got, p.Missing, p.Problems)
	}

	// Posts under an epoch entry that nobody has are opened by the link of a later one. What
	// is before it, under a self key that was replaced, is not.
	s.ada.must(s.ada.tryNewKeys(s.ada.code))
	s.ada.writes("five")
	d = s.ada.beside()
	keeps(d, "two.example", func(seq uint64) bool { return seq != 3 })
	p, err = d.tryPast(s.ada.code, "two.example")
	s.ada.must(err)
	if got := texts(FeedPage{Posts: p.Posts}); !slices.Equal(got, []string{"two", "three", "four", "five"}) || len(p.Missing) != 1 ||
		len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), "nothing that was shown opens the posts of epoch 1") {
		t.Errorf("got %q, missing %v, problems %v", got, p.Missing, p.Problems)
	}

	// Without any epoch entry nothing opens, and that is said once.
	d = s.ada.beside()
	keeps(d, "two.example", func(seq uint64) bool { return seq == 2 || seq == 4 || seq == 5 })
	p, err = d.tryPast(s.ada.code, "two.example")
	s.ada.must(err)
	if len(p.Posts) > 0 || !strings.Contains(fmt.Sprint(p.Problems), "nothing that was shown opens the posts of epoch 3") {
		t.Errorf("got %q, %v", texts(FeedPage{Posts: p.Posts}), p.Problems)
	}

	// One of two is away.
	d = s.ada.beside()
	d.line.before = func(_ int, r *Request) error {
		if r.Node == "two.example" {
			return wire.Errorf(wire.Unavailable, "node", "it is away")
		}
		return nil
	}
	p, err = d.tryPast(s.ada.code, "two.example", "three.example")
	s.ada.must(err)
	p.wants(t, "one", "two", "three", "four", "five")
	if !errors.Is(p.Nodes[0].Err, wire.Unavailable) || p.Nodes[1].Err != nil {
		t.Errorf("got %+v", p.Nodes)
	}
}

// TestRecoverPastLies: what a friend's node makes up of a past is named, and what others
// show is there in any case.
func TestRecoverPastLies(t *testing.T) {
	original := withCopies(t)
	right := original.copy()
	right.ada.writes("another five")
	original.ada.writes("five")
	thief := wire.NewIdentitySecret(random())
	all := []string{"one", "two", "three", "four", "five"}
	entries := func(change func(list []wire.Entry) []wire.Entry) func(scene, *wire.RecoveryReply) {
		return func(_ scene, r *wire.RecoveryReply) {
			if len(r.Entries) > 0 {
				r.Entries = change(r.Entries)
			}
		}
	}
	keys := func(change func(s scene) []wire.Signed) func(scene, *wire.RecoveryReply) {
		return func(s scene, r *wire.RecoveryReply) {
			if len(r.Statements) > 0 {
				r.Statements = change(s)
			}
		}
	}
	madeUp := func(s scene, change func(k *wire.KeyStatement)) []wire.Signed {
		k := *s.ada.chain.Newest()
		k.Identity = thief.Public()
		change(&k)
		signed, err := k.Sign(thief)
		s.ada.must(err)
		return []wire.Signed{signed}
	}
	streams := func(change func(list []wire.RecoveryStream) []wire.RecoveryStream) func(scene, *wire.RecoveryReply) {
		return func(_ scene, r *wire.RecoveryReply) {
			if len(r.Streams) > 0 {
				r.Streams = change(r.Streams)
			}
		}
	}
	friends := func(change func(s scene, f *wire.RecoveryFriend)) func(scene, *wire.RecoveryReply) {
		return func(s scene, r *wire.RecoveryReply) {
			for i := range r.Friends {
				change(s, &r.Friends[i])
			}
		}
	}
	for name, l := range map[string]struct {
		tell  func(s scene, r *wire.RecoveryReply)
		says  string // as a problem, or about the node
		alone []string
		whole bool // all posts come from the liar alone, too
		fatal bool // nothing is taken of anybody, where another node tells the truth
	}{
		"a bit of a header": {tell: entries(func(l []wire.Entry) []wire.Entry { l[0].Header = flippedBit(l[0].Header); return l }), says: "an entry is not as it was signed"},
		"a bit of a body":   {tell: entries(func(l []wire.Entry) []wire.Entry { l[0].Body = flippedBit(l[0].Body); return l }), says: "the body is not the one that was signed"},
		"two swapped":       {tell: entries(func(l []wire.Entry) []wire.Entry { slices.Reverse(l); return l }), says: "entry 1 comes after entry 2"},
		"one twice":         {tell: entries(func(l []wire.Entry) []wire.Entry { return []wire.Entry{l[0], l[0]} }), says: "entry 1 comes after entry 1"},
		"the entries of somebody": {tell: func(s scene, r *wire.RecoveryReply) {
			if len(r.Entries) > 0 {
				r.Entries = s.bobs()
			}
		}, says: "an entry is not as it was signed"},
		"less than it says": {tell: func(_ scene, r *wire.RecoveryReply) {
			if len(r.Entries) > 0 {
				r.Entries = []wire.Entry{}
			}
		}, says: "says that it has 7 entries, and shows none after entry 0"},
		"a fork that was signed": {tell: func(s scene, r *wire.RecoveryReply) {
			for i, e := range r.Entries {
				if h, err := s.ada.chain.OpenEntry(e); err == nil && h.Seq == 7 {
					r.Entries[i] = right.ada.w.people[s.ada.me()].streams[h.Audience][6].Entry
				}
			}
		}, says: "shows another entry 7, and both are signed", alone: []string{"one", "two", "three", "four", "another five"}},
		"no key statements":    {tell: keys(func(scene) []wire.Signed { return nil }), says: "the keys that two.example shows for ada@one.example do not verify"},
		"a spoiled statement":  {tell: keys(func(s scene) []wire.Signed { return []wire.Signed{flippedBit(s.ada.chain.Statements()[0])} }), says: "do not verify"},
		"the keys of somebody": {tell: keys(func(s scene) []wire.Signed { return s.bob.chain.Statements() }), says: "two.example shows the keys of bob@two.example for ada@one.example"},
		"keys of another code": {tell: keys(func(s scene) []wire.Signed {
			return madeUp(s, func(k *wire.KeyStatement) { k.Recovery = s.bob.chain.Newest().Recovery })
		}), says: "not the one that the recovery code was made for"},
		"a box of another code": {tell: keys(func(s scene) []wire.Signed {
			return madeUp(s, func(k *wire.KeyStatement) { k.RecoveryBox = s.bob.chain.Newest().RecoveryBox })
		}), says: "not the one that the recovery code was made for"},
		"an account that is not": {tell: keys(func(s scene) []wire.Signed { return madeUp(s, func(*wire.KeyStatement) {}) }), says: "the self key in key statement 0 of ada@one.example does not open", fatal: true},
		"a stream twice":         {tell: streams(func(l []wire.RecoveryStream) []wire.RecoveryStream { return append(l, l[0]) }), says: "the list of streams that two.example shows is none"},
		"a stream of nobody":     {tell: streams(func(l []wire.RecoveryStream) []wire.RecoveryStream { l[0].Audience = wire.AudienceID{}; return l }), says: "the list of streams that two.example shows is none"},
		"too many streams": {tell: streams(func(l []wire.RecoveryStream) []wire.RecoveryStream {
			for range wire.MaxStreams {
				l = append(l, wire.RecoveryStream{Audience: random()})
			}
			return l
		}), says: "the list of streams that two.example shows is none"},
		"a friend who is none":             {tell: friends(func(_ scene, f *wire.RecoveryFriend) { f.OfferGot = flippedBit(f.OfferGot) }), says: "two.example names a friend who is none", whole: true},
		"an offer that was never accepted": {tell: friends(func(s scene, f *wire.RecoveryFriend) { *f = wire.RecoveryFriend{OfferMade: s.offerOf(s.eve)} }), says: "two.example names a friend who is none", whole: true},
		"another offer than was accepted": {tell: friends(func(s scene, f *wire.RecoveryFriend) {
			*f = wire.RecoveryFriend{OfferMade: s.offerOf(s.eve), AcceptGot: s.accepted()}
		}), says: "it is not the one that was accepted", whole: true},
		"a friend of another node": {tell: friends(func(s scene, f *wire.RecoveryFriend) { f.OfferGot = s.offered("cleo@three.example") }), says: "cleo@three.example is at another node", whole: true},
		"too many friends": {tell: func(_ scene, r *wire.RecoveryReply) {
			for len(r.Friends) > 0 && len(r.Friends) <= wire.MaxRecoveryFriends {
				r.Friends = append(r.Friends, r.Friends[0])
			}
		}, says: "two.example names more than 1000 friends"},
		"a head past all numbers": {tell: streams(func(l []wire.RecoveryStream) []wire.RecoveryStream { l[0].Head = 1 << 60; return l }), says: "the answer of two.example is not understood"},
		"another stream":          {tell: streams(func(l []wire.RecoveryStream) []wire.RecoveryStream { l[0].Audience = random(); return l }), says: "says that it has 7 entries, and shows none after entry 0"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, nodes := range [][]wire.NodeName{{"two.example"}, {"two.example", "three.example"}, {"three.example", "two.example"}} {
				s := original.copy()
				d := s.ada.beside()
				d.t = t
				lie(d, "POST", wire.PathRecovery, func(r *Request, reply *wire.RecoveryReply) {
					if r.Node == "two.example" && (len(reply.Entries) > 0 || len(reply.Statements) > 0) {
						l.tell(s, reply)
					}
				})
				p, err := d.tryPast(s.ada.code, nodes...)
				if l.fatal && len(nodes) > 1 {
					if !errors.Is(err, wire.Tampered) || !errors.Is(err, errTwoAccounts) || !strings.Contains(err.Error(), "show different accounts") || p != nil {
						t.Errorf("from %v: got %v, %v", nodes, p, err)
					}
					continue
				}
				said := fmt.Sprint(err)
				if p != nil {
					said = fmt.Sprint(err, p.Problems, p.Nodes)
				}
				if !strings.Contains(said, l.says) && (l.alone == nil || len(nodes) > 1) {
					t.Errorf("from %v: it is not said that %q: %s", nodes, l.says, said)
				}
				if p == nil {
					t.Fatalf("from %v: %v", nodes, err)
				}
				got := texts(FeedPage{Posts: p.Posts})
				if len(nodes) > 1 && !slices.Equal(got, all) && !slices.Equal(got, l.alone) {
					t.Errorf("from %v: got %q, want %q", nodes, got, all)
				}
				if l.whole && (!slices.Equal(got, all) || len(p.Friends) != len(nodes)-1) {
					t.Errorf("from %v: got %q and the friends %v", nodes, got, p.Friends)
				}
				if len(nodes) == 1 && len(got) > 1 && !slices.Equal(got, l.alone) && !l.whole {
					t.Errorf("from the liar alone: got %q, want %q", got, l.alone)
				}
			}
		})
	}
}

// TestPastStream: entries have to fit those beside them, whoever has shown these.
func TestPastStream(t *testing.T) {
	left := newScene(t)
	right := left.copy()
	for _, c := range []scene{left, right} {
		c.ada.writes("four")
		c.ada.writes("five")
	}
	id := left.ada.ownStream().streamID
	entry := func(c scene, seq int) verified {
		v, err := left.ada.ownStream().open(c.ada.w.people[id.Author].streams[id.Audience][seq-1].Entry)
		left.ada.must(err)
		return v
	}
	for _, test := range []struct {
		first, then verified
		node        wire.NodeName
		says        string // "" where it fits
	}{
		{entry(left, 6), entry(left, 7), "two.example", ""},
		{entry(left, 7), entry(left, 6), "two.example", ""},
		{entry(left, 6), entry(left, 6), "two.example", ""},
		{entry(left, 5), entry(right, 7), "two.example", ""}, // what lies between will tell
		{entry(left, 6), entry(right, 6), "two.example", "one.example shows another entry 6, and both are signed"},
		{entry(left, 6), entry(right, 7), "two.example", "it does not fit what one.example shows: entry 7 does not follow entry 6"},
		{entry(left, 7), entry(right, 6), "two.example", "it does not fit what one.example shows: entry 7 does not follow entry 6"},
		{entry(left, 6), entry(right, 7), "one.example", "ada@one.example: entry 7 does not follow entry 6"},
	} {
		s := newPastStream(left.ada.ownStream())
		left.ada.must(s.add("one.example", test.first))
		err := s.add(test.node, test.then)
		if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, wire.Tampered) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%d and %d: got %v, want %q", test.first.Seq, test.then.Seq, err, test.says)
		}
	}

	// A beginning that is none, and what is no post, signed by the author.
	a := left.ada
	a.tricks(func(*wire.EntryHeader) {}, encodePost(""))
	post := entry(left, 2)
	s := newPastStream(left.ada.ownStream())
	post.Seq, post.Prev = 1, wire.EntryID{}
	if err := s.add("two.example", post); !errors.Is(err, wire.Tampered) {
		t.Errorf("a stream that begins with a post: %v", err)
	}
	p, err := a.beside().tryPast(a.code, "two.example")
	a.must(err)
	if got := texts(FeedPage{Posts: p.Posts}); len(got) != 5 || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), "entry 8: there is nothing to post") {
		t.Errorf("got %q, %v", got, p.Problems)
	}
}

func flippedBit(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// offerOf is an offer to ada.
func (s scene) offerOf(by *someone) wire.Signed {
	o := &wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: by.me(), FromHandle: by.address.Handle, FromNode: by.address.Node,
		To: s.ada.me(), ToHandle: s.ada.address.Handle, ToNode: s.ada.address.Node, Audience: random(), Created: 1,
	}
	signed, err := o.Sign(by.vault.identity)
	s.ada.must(err)
	return signed
}

// accepted is an acceptance of ada's, of no offer of eve's.
func (s scene) accepted() wire.Signed {
	a := &wire.Accept{Version: wire.Version, Suite: wire.Suite, From: s.ada.me(), To: s.eve.me(), Offer: random(), Audience: random(), Created: 1}
	signed, err := a.Sign(s.ada.vault.identity)
	s.ada.must(err)
	return signed
}

// offered is ada's offer to somebody.
func (s scene) offered(to string) wire.Signed {
	id := s.ada.w.handles[address(to)]
	return s.ada.w.people[s.ada.me()].friends[id].OfferMade
}

// bobs are entries of bob.
func (s scene) bobs() (list []wire.Entry) {
	for _, e := range s.bob.w.people[s.bob.me()].streams[s.bob.vault.friends().ID] {
		list = append(list, e.Entry)
	}
	return list
}

// TestRecoverPastForkedKeys: a thief of the identity key has forked the chain. The branch
// that the recovery key signed wins, whoever is asked first, and it is told.
func TestRecoverPastForkedKeys(t *testing.T) {
	s := withCopies(t)
	before := s.ada.chain
	thief := *before.Newest()
	thief.Account, thief.Seq, thief.Prev, thief.Signer = before.Account(), 1, before.NewestHash(), wire.ByIdentity
	thief.Identity = wire.NewIdentitySecret(random()).Public()
	signed, err := thief.Sign(s.ada.vault.identity)
	s.ada.must(err)
	forked := append(before.Statements(), signed)
	if _, err := keyservice.ParseChain(forked); err != nil {
		t.Fatal(err)
	}
	byCode, err := ParseRecoveryCode([]byte(s.ada.code))
	s.ada.must(err)
	real := *before.Newest()
	real.Account, real.Seq, real.Prev, real.Signer, real.Created = before.Account(), 1, before.NewestHash(), wire.ByRecovery, real.Created+1
	own, err := real.SignRecovery(newByCode(byCode).signs)
	s.ada.must(err)
	for _, nodes := range [][]wire.NodeName{{"two.example", "three.example"}, {"three.example", "two.example"}} {
		d := s.ada.beside()
		lie(d, "POST", wire.PathRecovery, func(r *Request, reply *wire.RecoveryReply) {
			if len(reply.Statements) > 0 {
				reply.Statements = forked
				if r.Node == "three.example" {
					reply.Statements = append(before.Statements(), own)
				}
			}
		})
		p, err := d.tryPast(s.ada.code, nodes...)
		s.ada.must(err)
		if len(p.Statements) != 2 || p.Keys.Signer != wire.ByRecovery || !strings.Contains(fmt.Sprint(p.Problems), "fork") {
			t.Errorf("from %v: %+v", nodes, p.Problems)
		}
		if got := texts(FeedPage{Posts: p.Posts}); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
			t.Errorf("got %q", got)
		}
	}
}

// TestRecoverPastPatience: a node that is throttled, or that says that entries went, is
// asked again; one that shows no end is not.
func TestRecoverPastPatience(t *testing.T) {
	s := newScene(t)
	for _, k := range []wire.Kind{wire.Throttled, wire.Unavailable} {
		d := s.ada.beside()
		refused := 0
		d.line.after = func(n int, r *Request, a *Response) error {
			if n == 2 {
				refused++
				p := wire.ProblemOf(wire.Errorf(k, "", "later"))
				a.Status, a.Body = p.Status, wire.EncodeJSON(p)
			}
			return nil
		}
		p, err := d.tryPast(s.ada.code, "two.example")
		s.ada.must(err)
		p.wants(t, "one", "two", "three")
		if refused != 1 {
			t.Errorf("%s: refused %d times", k, refused)
		}
	}
	d := s.ada.beside()
	c, err := ParseRecoveryCode([]byte(s.ada.code))
	s.ada.must(err)
	r := &pastReader{c: d.client(), o: RecoverPastOptions{Address: s.ada.address}, by: newByCode(c), room: 2000, past: new(Past)}
	one := newPastStream(s.ada.ownStream())
	taken, err := r.readFrom(context.Background(), one, "two.example", 6)
	if !errors.Is(err, wire.TooLarge) || taken == 0 || taken > 5 {
		t.Errorf("took %d entries, %v", taken, err)
	}
}
