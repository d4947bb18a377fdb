package node

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// eachPair runs a test for two people of one node and of two nodes.
func eachPair(t *testing.T, run func(t *testing.T, ann, ben *testPerson)) {
	t.Run("one node", func(t *testing.T) {
		n := newWorld(t).open(north, nil, nil)
		run(t, n.person("ann"), n.person("ben"))
	})
	t.Run("two nodes", func(t *testing.T) {
		w := newWorld(t)
		run(t, w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben"))
	})
}

func TestFriendship(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		offer := ann.offer(ben)
		f := ann.tell(offer)
		if f.Undelivered != 0 || f.State != wire.StateOutgoing || f.ProblemDetail != "" || f.Address != ben.address || f.Account != ben.account {
			t.Fatalf("got %+v", f)
		}
		ann.wants(ben, wire.StateOutgoing, wire.StateIncoming)
		ann.tell(offer) // again changes nothing
		accept := ben.accept(ann)
		for range 2 {
			if f = ben.tell(accept); f.State != wire.StateFriend || f.Undelivered != 0 {
				t.Fatalf("got %+v", f)
			}
		}
		ann.wants(ben, wire.StateFriend, wire.StateFriend)
		ann.tell(offer)
		ann.learn()
		_, err := ann.as().Tell(t.Context(), ann.offer(ben))
		kind(t, err, wire.Conflict)

		end := ben.end(ann)
		for range 2 {
			ben.tell(end)
		}
		ann.wants(ben, wire.StateNone, wire.StateNone)
		ann.learn()
		if ann.contact(ben).State() != wire.StateNone {
			t.Fatal("the client of who was left does not learn of it")
		}
		_, err = ann.as().Tell(t.Context(), offer) // a replay revives nothing
		kind(t, err, wire.Conflict)
		_, err = ben.as().Tell(t.Context(), accept)
		kind(t, err, wire.NotExist)
		ann.wants(ben, wire.StateNone, wire.StateNone)

		ann.befriend(ben)
		ann.wants(ben, wire.StateFriend, wire.StateFriend)
	})
}

func TestDeclineAndCancel(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		ann.tell(ann.offer(ben))
		ben.tell(ben.end(ann))
		ann.wants(ben, wire.StateNone, wire.StateNone)
		ann.learn()
		ann.tell(ann.offer(ben))
		ann.wants(ben, wire.StateOutgoing, wire.StateIncoming)
		ann.tell(ann.end(ben))
		ann.wants(ben, wire.StateNone, wire.StateNone)
	})
}

// TestOnlyWhatIsOpen: an own client cannot accept what is no offer to it, nor end
// what is not open.
func TestOnlyWhatIsOpen(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		refused := func(r wire.FriendRequest, want wire.Kind) {
			t.Helper()
			_, err := ann.as().Tell(t.Context(), r)
			kind(t, err, want)
		}
		ann.tell(ann.offer(ben))
		ann.contact(ben)
		ann.learn()
		own := ann.contact(ben).Mine.Offer
		refused(ann.acceptOf(ben, own), wire.NotExist)
		ann.wants(ben, wire.StateOutgoing, wire.StateIncoming)

		ann.tell(ann.end(ben))
		refused(ann.endOf(ben, random32()), wire.Conflict) // where nothing is open

		ben.contact(ann)
		ben.learn()
		ben.tell(ben.offer(ann))
		refused(ann.endOf(ben, own), wire.Conflict) // where another is
		ann.wants(ben, wire.StateIncoming, wire.StateOutgoing)
	})
}

func TestCrossingOffers(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		a, b := ann.offer(ben), ben.offer(ann)
		ann.tell(a)
		ben.tell(b)
		ann.wants(ben, wire.StateFriend, wire.StateFriend)
		ben.tell(ben.accept(ann)) // which is not needed, and allowed
		ann.tell(ann.end(ben))
		ann.wants(ben, wire.StateNone, wire.StateNone)
		for _, p := range []*testPerson{ann, ben} {
			if p.learn(); len(p.contact(ann).LiveOffers()) != 0 {
				t.Fatal("an end names both offers, and one is open")
			}
		}
	})
}

func TestTellRefuses(t *testing.T) {
	eachPair(t, func(t *testing.T, ann, ben *testPerson) {
		w := ann.home.world
		cid := ben.home.person("cid")
		nobody := ben.home.newPerson("nobody")
		remote := func(f wire.FriendRequest, change func(*wire.FriendRequest)) wire.FriendRequest { change(&f); return f }
		for name, c := range map[string]struct {
			want    wire.Kind
			request func() wire.FriendRequest
		}{
			"unknown kind":   {wire.Invalid, func() wire.FriendRequest { return about(ben, "wave", ann.offer(ben).Statement) }},
			"other kind":     {wire.Invalid, func() wire.FriendRequest { return about(ben, wire.FriendEnd, ann.offer(ben).Statement) }},
			"no statement":   {wire.Invalid, func() wire.FriendRequest { return about(ben, wire.FriendOffer, nil) }},
			"another's":      {wire.Invalid, func() wire.FriendRequest { return about(ben, wire.FriendOffer, cid.offer(ben).Statement) }},
			"no address":     {wire.Invalid, func() wire.FriendRequest { return wire.FriendRequest{FriendStatement: ann.offer(ben).FriendStatement} }},
			"other address":  {wire.Invalid, func() wire.FriendRequest { return about(cid, wire.FriendOffer, ann.offer(ben).Statement) }},
			"nobody":         {wire.NotExist, func() wire.FriendRequest { return ann.offer(nobody) }},
			"accept of none": {wire.NotExist, func() wire.FriendRequest { return ann.acceptOf(ben, random32()) }},
			"accept nowhere": {wire.Invalid, func() wire.FriendRequest {
				return remote(ann.acceptOf(ben, random32()), func(f *wire.FriendRequest) { f.Address = wire.Address{} })
			}},
			"end of none":      {wire.NotExist, func() wire.FriendRequest { return ann.endOf(ben, random32()) }},
			"not the account":  {wire.Invalid, func() wire.FriendRequest { x := *ben; x.account = random32(); return ann.offer(&x) }},
			"not the audience": {wire.Invalid, func() wire.FriendRequest { x := ann.offer(ben); x.Statement[90] ^= 1; return x }},
			"from elsewhere":   {wire.Invalid, func() wire.FriendRequest { x := *ann; x.address = cid.address; return x.offer(ben) }},
			"to elsewhere": {wire.Invalid, func() wire.FriendRequest {
				x := *ben
				x.address = cid.address
				return about(ben, wire.FriendOffer, ann.offer(&x).Statement)
			}},
			"to oneself": {wire.Invalid, func() wire.FriendRequest {
				return remote(ann.offer(ben), func(f *wire.FriendRequest) { f.Address = ann.address })
			}},
			"early": {wire.Clock, func() wire.FriendRequest {
				w.clock.advance(wire.MaxSkew + time.Second)
				defer w.clock.advance(-wire.MaxSkew - time.Second)
				return ann.offer(ben)
			}},
			"other keys": {wire.Invalid, func() wire.FriendRequest {
				x := *ann
				x.newest = &wire.KeyStatement{Seq: 1}
				return x.offer(ben)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := ann.as().Tell(t.Context(), c.request())
				kind(t, err, c.want)
			})
		}
		if reply, err := ann.as().Friends(t.Context()); err != nil || len(reply.Friends) != 0 {
			t.Fatalf("got %+v, %v, want nothing kept", reply, err)
		}
		ann.tell(ann.offer(ben))
		_, err := ann.as().Tell(t.Context(), ann.endOf(ben, random32()))
		kind(t, err, wire.Conflict)
		_, err = ann.as().Tell(t.Context(), about(cid, wire.FriendEnd, ann.end(ben).Statement))
		kind(t, err, wire.Invalid)
	})
}

func TestDeliveryWaits(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	if _, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
		t.Fatal(err)
	}
	w.fail(south, away)
	f := ann.tell(ann.offer(ben))
	if f.Undelivered != 1 || f.ProblemDetail != "" {
		t.Fatalf("got %+v, want one statement that waits", f)
	}
	ann.contact(ben).take(ann, f)
	ann.tell(ann.end(ben))
	ann.learn()
	f = ann.tell(ann.offer(ben))
	if f.Undelivered != 3 {
		t.Fatalf("got %+v, want three statements that wait", f)
	}
	for i := range wire.MaxFriendQueue {
		ann.learn()
		next := ann.offer(ben)
		if f.State == wire.StateOutgoing {
			next = ann.end(ben)
		}
		reply, err := ann.as().Tell(t.Context(), next)
		if f.Undelivered == wire.MaxFriendQueue {
			kind(t, err, wire.Limit)
			break
		}
		if f = reply.Friend; err != nil || f.Undelivered != i+4 {
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	// A restart forgets nothing.
	ann.home.close()
	ann.home = w.open(north, ann.home.own, ann.home.copies)
	w.fail(south, nil)
	ann.home.queue.add(pair{ann.account, ben.account}, south)
	eventually(t, "delivery", func() bool {
		reply, err := ann.as().Friends(t.Context())
		return err == nil && reply.Friends[0].Undelivered == 0
	})
	if mine, theirs := ann.state(ben), ben.state(ann); mine == wire.StateOutgoing != (theirs == wire.StateIncoming) {
		t.Fatalf("got %q and %q", mine, theirs)
	}
	eventually(t, "no marker is left", func() bool { return len(keysOf(t, ann.home.own, "deliver/")) == 0 })
}

func keysOf(t testing.TB, s store.Store, prefix string) (keys []string) {
	t.Helper()
	for rec, err := range s.Scan(context.Background(), store.Prefix(prefix)) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, rec.Key)
	}
	return keys
}

// What was refused once, and is not any more, is told again when the other asks the
// same: else one of the two would see friends, and the other an offer.
func TestRefusedOfferCrosses(t *testing.T) {
	w := newWorld(t)
	ann, cid := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("cid")
	must(cid.as().Keys(t.Context(), wire.KeysRequest{Address: ann.address}))
	w.fail(north, wire.Errorf(wire.Forbidden, "", "not now"))
	if told := cid.tell(cid.offer(ann)); told.ProblemDetail == "" || told.Undelivered != 0 {
		t.Fatalf("it was not refused: %+v", told)
	}
	w.fail(north, nil)
	ann.tell(ann.offer(cid))
	eventually(t, "they are friends", func() bool { return ann.state(cid) == wire.StateFriend })
	ann.wants(cid, wire.StateFriend, wire.StateFriend)
	cid.tell(cid.end(ann))
	ann.wants(cid, wire.StateNone, wire.StateNone)
}

// What the other node refuses for good is not sent again, and told.
func TestDeliveryIsRefused(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	for k, gone := range map[wire.Kind]bool{
		wire.Invalid: true, wire.NotExist: true, wire.Forbidden: true, wire.Limit: true, wire.Update: true,
		wire.Unavailable: false, wire.Throttled: false, wire.Unauthenticated: false, wire.Internal: false, wire.Conflict: false,
		wire.Clock: false, wire.Tampered: false,
	} {
		t.Run(string(k), func(t *testing.T) {
			if _, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: ben.address}); err != nil {
				t.Fatal(err)
			}
			w.fail(south, wire.Errorf(k, "", "no"))
			f := ann.tell(ann.offer(ben))
			if gone != (f.Undelivered == 0) || gone != (f.ProblemDetail != "") {
				t.Fatalf("got %d undelivered, problem %q", f.Undelivered, f.ProblemDetail)
			}
			w.fail(south, nil)
			if !gone {
				ann.home.deliverNow(t.Context(), pair{ann.account, ben.account}, south)
				ann.wants(ben, wire.StateOutgoing, wire.StateIncoming)
			}
			ann.learn()
			ann.tell(ann.end(ben))
			ann.wants(ben, wire.StateNone, wire.StateNone)
			ann.learn()
		})
	}
}

// An acceptance that overtakes its offer waits for it.
func TestAcceptOvertakes(t *testing.T) {
	w := newWorld(t)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	ann.tell(ann.offer(ben))
	// The node of ann is restored from before the offer.
	if err := ann.home.own.Apply(t.Context(), store.Change{Key: friendKey(pair{ann.account, ben.account})}); err != nil {
		t.Fatal(err)
	}
	ann.home.circles.forget(pair{ann.account, ben.account})
	offer := ben.accept(ann)
	f := ben.tell(offer)
	if f.Undelivered != 1 {
		t.Fatalf("got %+v, want an acceptance that waits", f)
	}
	delete(ann.knows, ben.account)
	got, _, err := ben.home.friendship(t.Context(), pair{ben.account, ann.account})
	if err != nil {
		t.Fatal(err)
	}
	ann.tell(about(ben, wire.FriendOffer, got.OfferGot))
	ben.home.deliverNow(t.Context(), pair{ben.account, ann.account}, north)
	ann.wants(ben, wire.StateFriend, wire.StateFriend)
}

func TestPeerDeliver(t *testing.T) {
	w := newWorld(t)
	west := w.open("west.example", nil, nil)
	ann, ben := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil).person("ben")
	cid := west.person("cid")
	deliver := func(from wire.NodeName, change func(*wire.PeerFriendRequest)) error {
		r := wire.PeerFriendRequest{
			From: ann.address, FromAccount: ann.account, To: ben.address, ToAccount: ben.account,
			FriendStatement: ann.offer(ben).FriendStatement,
		}
		if change != nil {
			change(&r)
		}
		_, err := ben.home.peer(from).Deliver(t.Context(), r)
		return err
	}
	for name, c := range map[string]struct {
		want   wire.Kind
		from   wire.NodeName
		change func(*wire.PeerFriendRequest)
	}{
		"other node":     {wire.Forbidden, west.name, nil},
		"the node asked": {wire.Forbidden, south, nil},
		"for somebody else": {wire.Invalid, west.name, func(r *wire.PeerFriendRequest) {
			r.From = cid.address
		}},
		"not their account": {wire.Invalid, north, func(r *wire.PeerFriendRequest) { r.FromAccount = cid.account }},
		"another's words": {wire.Invalid, north, func(r *wire.PeerFriendRequest) {
			r.FriendStatement = cid.offer(ben).FriendStatement
		}},
		"to nobody":             {wire.NotExist, north, func(r *wire.PeerFriendRequest) { r.To.Handle = "nobody" }},
		"to another node":       {wire.NotExist, north, func(r *wire.PeerFriendRequest) { r.To = cid.address }},
		"to the name elsewhere": {wire.NotExist, north, func(r *wire.PeerFriendRequest) { r.To.Node = west.name }},
		"to other account":      {wire.NotExist, north, func(r *wire.PeerFriendRequest) { r.ToAccount = cid.account }},
		"from nobody":           {wire.NotExist, north, func(r *wire.PeerFriendRequest) { r.From.Handle = "nobody" }},
		"accept of none": {wire.NotExist, north, func(r *wire.PeerFriendRequest) {
			r.FriendStatement = ann.acceptOf(ben, random32()).FriendStatement
		}},
		"unsigned end": {wire.Invalid, north, func(r *wire.PeerFriendRequest) {
			r.FriendStatement = ann.endOf(ben, random32()).FriendStatement
			r.Statement[0] ^= 1
		}},
		"for another": {wire.Invalid, north, func(r *wire.PeerFriendRequest) {
			r.FriendStatement = ann.endOf(cid, random32()).FriendStatement
		}},
		"end of none": {"", north, func(r *wire.PeerFriendRequest) {
			r.FriendStatement = ann.endOf(ben, random32()).FriendStatement
		}},
	} {
		t.Run(name, func(t *testing.T) { kind(t, deliver(c.from, c.change), c.want) })
	}
	if keys := keysOf(t, ben.home.own, "friend/"); len(keys) != 0 {
		t.Fatalf("records were made: %q", keys)
	}
	kind(t, deliver(north, nil), "")
}

// A person of one node cannot be offered to by more than the limit.
func TestFriendsAreBounded(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	fill := func(count int) {
		var changes []store.Change
		for range count {
			r := friendRecord{Version: recordVersion, Friendship: wire.Friendship{Me: ben.account, Other: random32()}}
			changes = append(changes, put(friendKey(pair{ben.account, r.Friendship.Other}), &r))
		}
		if err := n.own.Apply(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		n.circles.forget(pair{me: ben.account})
	}
	fill(maxFriends / 2)
	f := ann.tell(ann.offer(ben))
	if f.ProblemDetail == "" || f.Undelivered != 0 {
		t.Fatalf("got %+v, want it refused", f)
	}
	ben.tell(ben.offer(n.person("cid"))) // who has as many as that can still ask
	fill(maxFriends - maxFriends/2 - 1)
	_, err := ben.as().Tell(t.Context(), ben.offer(ann))
	kind(t, err, wire.Limit)
}

// Many people talk to each other at once; in the end both sides say the same.
func TestFriendsAtOnce(t *testing.T) {
	w := newWorld(t)
	var people []*testPerson
	nodes := []*testNode{w.open(north, nil, nil), w.open(south, nil, nil)}
	for i := range 6 {
		people = append(people, nodes[i%2].person(wire.Handle(fmt.Sprintf("p%d", i))))
	}
	done := make(chan error)
	count := 0
	for i, p := range people {
		for j, o := range people {
			if i == j {
				continue
			}
			count++
			offer := p.offer(o)
			go func() {
				_, err := p.as().Tell(context.Background(), offer)
				done <- err
			}()
		}
	}
	for range count {
		// Who was offered to before may not need to offer.
		if err := <-done; err != nil && wire.KindOf(err) != wire.Conflict {
			t.Error(err)
		}
	}
	for i, p := range people {
		for _, o := range people[i+1:] {
			eventually(t, "both sides agree", func() bool {
				states := []wire.FriendState{p.state(o), o.state(p)}
				return slices.Equal(states, []wire.FriendState{wire.StateFriend, wire.StateFriend})
			})
		}
	}
}

// Whoever says an end again and again does not push out the one that counts.
func TestEndsAreKept(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.befriend(ben)
	ben.contact(ann)
	ben.learn()
	p := parties{pair{ann.account, ben.account}, ben.address}
	for i := range 10 {
		offers := []wire.Hash{random32()}
		if i == 3 {
			offers = ben.contact(ann).LiveOffers()
		}
		if _, err := n.ingest(t.Context(), byNode, p, ben.endOf(ann, offers...).FriendStatement); err != nil {
			t.Fatal(err)
		}
	}
	ann.contact(ben)
	ann.learn()
	if reply, err := ann.as().Friends(t.Context()); err != nil || len(reply.Friends[0].EndsGot) != maxEnds {
		t.Fatalf("got %d ends, %v", len(reply.Friends[0].EndsGot), err)
	}
	if got := ann.contact(ben).State(); got != wire.StateNone {
		t.Fatalf("the client comes to %q", got)
	}
}

// A marker without a record, from a statement that was never committed, goes.
func TestMarkerWithoutRecord(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	ann := n.person("ann")
	n.close()
	if err := n.own.Apply(t.Context(), put(deliverKey(south, pair{ann.account, random32()}), &deliverRecord{recordVersion})); err != nil {
		t.Fatal(err)
	}
	w.open(north, n.own, n.copies)
	eventually(t, "the marker goes", func() bool { return len(keysOf(t, n.own, "deliver/")) == 0 })
}

// A mixedUp node gives the keys of somebody else, while it is.
type mixedUp struct {
	worldPeers
	on    atomic.Bool
	keys  wire.Address
	proof wire.Bytes // in place of what there is, unless it is nil
}

func (m *mixedUp) To(name wire.NodeName) federation.API {
	return mixedUpPeer{worldPeer{m.w, m.self, name}, m}
}

type mixedUpPeer struct {
	worldPeer
	m *mixedUp
}

func (p mixedUpPeer) Keys(ctx context.Context, q wire.KeysRequest) (wire.KeysReply, error) {
	if p.m.on.Load() {
		q = wire.KeysRequest{Address: p.m.keys}
	}
	r, err := p.worldPeer.Keys(ctx, q)
	if p.m.proof != nil {
		r.Proof = p.m.proof
	}
	return r, err
}

// What another node gives as proof is passed on as it is, while it is short enough.
func TestProofsArePassedOn(t *testing.T) {
	w := newWorld(t)
	mix := &mixedUp{worldPeers: worldPeers{w, north}}
	w.lies = map[wire.NodeName]Peers{north: mix}
	ann, there := w.open(north, nil, nil).person("ann"), w.open(south, nil, nil)
	keys := func(p *testPerson) (wire.KeysReply, error) {
		return ann.as().Person.Keys(t.Context(), wire.KeysRequest{Address: p.address})
	}
	ben, cid, dan := there.person("ben"), there.person("cid"), there.person("dan")
	if r, err := keys(ben); err != nil || string(r.Proof) != string(must(there.keyLog.ProveChain(t.Context(), must(keyservice.ParseChain(r.Statements))))) {
		t.Errorf("%v: %q", err, r.Proof)
	}
	w.fail(south, wire.Errorf(wire.Unavailable, "", "away"))
	w.clock.advance(time.Hour)
	if r, err := keys(ben); err != nil || len(r.Proof) == 0 {
		t.Errorf("from the copy: %v, %q", err, r.Proof)
	}
	w.fail(south, nil)
	mix.proof = make([]byte, wire.MaxLogProof)
	if r, err := keys(cid); err != nil || len(r.Proof) != wire.MaxLogProof {
		t.Errorf("a long one: %v, %d bytes", err, len(r.Proof))
	}
	mix.proof = make([]byte, wire.MaxLogProof+1)
	_, err := keys(dan)
	kind(t, err, wire.Tampered)
}

// TestStatementOutlastsMixUp wants a statement to wait whose maker's node does not
// show the maker's keys: that says nothing of the statement.
func TestStatementOutlastsMixUp(t *testing.T) {
	w := newWorld(t)
	mix := &mixedUp{worldPeers: worldPeers{w, south}, keys: wire.Address{Handle: "ada", Node: north}}
	w.lies = map[wire.NodeName]Peers{south: mix}
	home := w.open(north, nil, nil)
	ann, ben := home.person("ann"), w.open(south, nil, nil).person("ben")
	home.person("ada")
	mix.on.Store(true)
	if f := ann.tell(ann.offer(ben)); f.Undelivered != 1 || f.ProblemDetail != "" {
		t.Fatalf("got %+v, want one statement that waits", f)
	}
	mix.on.Store(false)
	home.queue.add(pair{ann.account, ben.account}, south)
	eventually(t, "delivery", func() bool { return ben.state(ann) == wire.StateIncoming })
}

// TestDeliveriesPark wants a node that was away for an hour to be tried twice a
// minute still, and one that is gone more seldom.
func TestDeliveriesPark(t *testing.T) {
	now := time.Now()
	d := delivery{fail: now}
	for after, want := range map[time.Duration]time.Duration{time.Hour: deliverLast, deliverParkAt: deliverParked} {
		if got := d.longest(now.Add(after), false); got != want {
			t.Errorf("after %v: at most %v, want %v", after, got, want)
		}
	}
	if got := d.longest(now.Add(deliverParkAt), true); got != deliverLastDev {
		t.Errorf("in development: at most %v", got)
	}
}
