package wire

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// said is a statement between alice and bob: exactly one pointer is set.
type said struct {
	offer  *Offer
	hash   Hash // of the offer
	accept *Accept
	end    *End
}

func (s said) String() string {
	switch {
	case s.offer != nil:
		return fmt.Sprintf("offer %x by %s at %d", s.hash[:2], who(s.offer.From), s.offer.Created)
	case s.accept != nil:
		return fmt.Sprintf("accept %x by %s at %d", s.accept.Offer[:2], who(s.accept.From), s.accept.Created)
	}
	return fmt.Sprintf("end %x by %s at %d", s.end.Offers, who(s.end.From), s.end.Created)
}

func who(a AccountID) string {
	if a == alice {
		return "alice"
	}
	return "bob"
}

func offers(from AccountID, hash byte, at int64) said {
	return said{offer: &Offer{From: from, To: otherOf(from), Audience: AudienceID{hash}, Created: at}, hash: Hash{hash}}
}

func accepts(from AccountID, hash byte, at int64) said {
	return said{accept: &Accept{From: from, To: otherOf(from), Offer: Hash{hash}, Audience: AudienceID{hash, 1}, Created: at}}
}

func ends(from AccountID, at int64, hashes ...byte) said {
	e := &End{From: from, To: otherOf(from), Created: at}
	for _, h := range hashes {
		e.Offers = append(e.Offers, Hash{h})
	}
	return said{end: e}
}

func otherOf(a AccountID) AccountID {
	if a == alice {
		return bob
	}
	return alice
}

func (f *Friendship) add(s said) error {
	switch {
	case s.offer != nil:
		return f.AddOffer(s.offer, s.hash)
	case s.accept != nil:
		return f.AddAccept(s.accept)
	}
	return f.AddEnd(s.end)
}

// seenBy adds up statements in the order given. What is not yet possible is
// tried again, as a delivery is.
func seenBy(t rapid.TB, me AccountID, statements []said) Friendship {
	f := Friendship{Me: me, Other: otherOf(me)}
	for waiting := statements; len(waiting) > 0; {
		var again []said
		for _, s := range waiting {
			if err := f.add(s); err != nil {
				again = append(again, s)
			}
		}
		if len(again) == len(waiting) {
			t.Fatalf("never taken: %v", again)
		}
		waiting = again
	}
	return f
}

func mirrored(f Friendship) Friendship {
	f.Me, f.Other, f.Mine, f.Yours = f.Other, f.Me, f.Yours, f.Mine
	return f
}

func mirroredState(s FriendState) FriendState {
	switch s {
	case StateOutgoing:
		return StateIncoming
	case StateIncoming:
		return StateOutgoing
	}
	return s
}

// modelState says the rule in the plainest way: over the whole set, with no memory limit.
func modelState(me AccountID, statements []said) FriendState {
	newest := map[AccountID]said{}
	accepted := map[AccountID]said{}
	ended := map[Hash]bool{}
	for _, s := range statements {
		switch {
		case s.offer != nil:
			old, ok := newest[s.offer.From]
			if !ok || cmp.Or(cmp.Compare(s.offer.Created, old.offer.Created), bytes.Compare(s.hash[:], old.hash[:])) > 0 {
				newest[s.offer.From] = s
			}
		case s.accept != nil:
			old, ok := accepted[s.accept.From]
			if !ok || cmp.Or(cmp.Compare(s.accept.Created, old.accept.Created), bytes.Compare(s.accept.Offer[:], old.accept.Offer[:])) > 0 {
				accepted[s.accept.From] = s
			}
		default:
			for _, h := range s.end.Offers {
				ended[h] = true
			}
		}
	}
	live := func(a AccountID) bool { s, ok := newest[a]; return ok && !ended[s.hash] }
	taken := func(a AccountID) bool {
		s, ok := accepted[otherOf(a)]
		return ok && live(a) && s.accept.Offer == newest[a].hash
	}
	mine, yours := live(me), live(otherOf(me))
	switch {
	case mine && yours, taken(me), taken(otherOf(me)):
		return StateFriend
	case mine:
		return StateOutgoing
	case yours:
		return StateIncoming
	}
	return StateNone
}

func TestFriendshipTransitions(t *testing.T) {
	start := map[FriendState][]said{
		StateNone:     nil,
		StateOutgoing: {offers(alice, 1, 10)},
		StateIncoming: {offers(bob, 2, 10)},
		StateFriend:   {offers(alice, 1, 10), accepts(bob, 1, 11)},
		"crossed":     {offers(alice, 1, 10), offers(bob, 2, 10)},
	}
	for _, c := range []struct {
		from FriendState
		what said
		to   FriendState
	}{
		{StateNone, offers(alice, 3, 20), StateOutgoing},
		{StateNone, offers(bob, 3, 20), StateIncoming},
		{StateNone, accepts(alice, 2, 20), StateNone},
		{StateNone, accepts(bob, 1, 20), StateNone},
		{StateNone, ends(alice, 20, 2), StateNone},
		{StateNone, ends(bob, 20, 1), StateNone},
		{StateOutgoing, offers(alice, 3, 20), StateOutgoing},
		{StateOutgoing, offers(bob, 3, 20), StateFriend},
		{StateOutgoing, accepts(bob, 1, 20), StateFriend},
		{StateOutgoing, accepts(bob, 9, 20), StateOutgoing},
		{StateOutgoing, accepts(alice, 1, 20), StateOutgoing},
		{StateOutgoing, ends(alice, 20, 1), StateNone},
		{StateOutgoing, ends(bob, 20, 1), StateNone},
		{StateOutgoing, ends(bob, 20, 9), StateOutgoing},
		{StateIncoming, offers(bob, 3, 20), StateIncoming},
		{StateIncoming, offers(alice, 3, 20), StateFriend},
		{StateIncoming, accepts(alice, 2, 20), StateFriend},
		{StateIncoming, accepts(alice, 9, 20), StateIncoming},
		{StateIncoming, accepts(bob, 2, 20), StateIncoming},
		{StateIncoming, ends(alice, 20, 2), StateNone},
		{StateIncoming, ends(bob, 20, 2), StateNone},
		{StateFriend, ends(alice, 20, 1), StateNone},
		{StateFriend, ends(bob, 20, 1), StateNone},
		{StateFriend, ends(bob, 20, 9), StateFriend},
		{StateFriend, offers(bob, 3, 20), StateFriend},
		{StateFriend, offers(alice, 3, 20), StateOutgoing},
		{StateFriend, offers(alice, 3, 5), StateFriend},
		{StateFriend, accepts(bob, 9, 20), StateOutgoing},
		{StateFriend, accepts(bob, 9, 5), StateFriend},
		{"crossed", ends(alice, 20, 1, 2), StateNone},
		{"crossed", ends(bob, 20, 1, 2), StateNone},
		{"crossed", ends(alice, 20, 1), StateIncoming},
		{"crossed", ends(bob, 20, 2), StateOutgoing},
		{"crossed", accepts(bob, 1, 20), StateFriend},
	} {
		statements := append(slices.Clone(start[c.from]), c.what)
		a, b := seenBy(t, alice, statements), seenBy(t, bob, statements)
		if got := a.State(); got != c.to {
			t.Errorf("%s, then %v: alice sees %s, want %s", c.from, c.what, got, c.to)
		}
		if got, want := b.State(), mirroredState(c.to); got != want {
			t.Errorf("%s, then %v: bob sees %s, want %s", c.from, c.what, got, want)
		}
	}
}

// The smallest histories that ended differently in different orders before each
// field was made a maximum of the set.
func TestFriendshipCounterexamples(t *testing.T) {
	for name, c := range map[string]struct {
		statements []said
		want       FriendState
	}{
		// An acceptance was taken for one of an older offer, because the accepter's clock was behind.
		"clocks apart": {[]said{offers(bob, 1, 950), offers(bob, 2, 1000), accepts(alice, 2, 900)}, StateFriend},
		// An acceptance of an offer that had been replaced waited for ever.
		"replaced offer": {[]said{offers(bob, 1, 1), accepts(alice, 1, 5), offers(bob, 2, 3)}, StateIncoming},
		// The audience was the one that arrived last.
		"two audiences": {[]said{offers(alice, 3, 10), offers(bob, 1, 4), accepts(alice, 1, 5)}, StateFriend},
		// The time of an end was the one that arrived first.
		"ended twice": {[]said{offers(bob, 1, 1), ends(alice, 9, 1), ends(bob, 5, 1)}, StateNone},
		"at time 0":   {[]said{offers(bob, 1, 0)}, StateIncoming},
	} {
		first := seenBy(t, alice, c.statements)
		permutations(c.statements, func(order []said) {
			a, b := seenBy(t, alice, order), seenBy(t, bob, order)
			if a.State() != c.want || b.State() != mirroredState(c.want) {
				t.Errorf("%s, in order %v: %s and %s, want %s", name, order, a.State(), b.State(), c.want)
			}
			if !reflect.DeepEqual(a, first) || !reflect.DeepEqual(mirrored(b), first) {
				t.Errorf("%s, in order %v: got %+v and %+v, want %+v", name, order, a, b, first)
			}
		})
	}
}

func permutations(s []said, visit func([]said)) {
	if len(s) < 2 {
		visit(s)
		return
	}
	for i := range s {
		rest := slices.Delete(slices.Clone(s), i, i+1)
		permutations(rest, func(p []said) { visit(append([]said{s[i]}, p...)) })
	}
}

// drawSaid draws a statement about few offers at few times, so that all ties happen.
func drawSaid(t *rapid.T) said {
	from := rapid.SampledFrom([]AccountID{alice, bob}).Draw(t, "from")
	at := rapid.Int64Range(0, 5).Draw(t, "at")
	h := rapid.ByteRange(1, 4).Draw(t, "hash")
	mineOf := func(a AccountID, h byte) byte { // alice's offers are odd, bob's even: hashes hold the author
		if a == alice {
			return 2*h + 1
		}
		return 2 * h
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		// One hash is one offer, so the time follows from the hash.
		return offers(from, mineOf(from, h), int64(h)/2)
	case 1:
		return accepts(from, mineOf(otherOf(from), h), at)
	}
	hs := []byte{2*h + rapid.ByteRange(0, 1).Draw(t, "side")}
	if rapid.Bool().Draw(t, "two") {
		hs = append(hs, 20)
	}
	return ends(from, at, hs...)
}

func TestFriendshipConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statements := rapid.SliceOfN(rapid.Custom(drawSaid), 0, 12).Draw(t, "statements")
		again := append(slices.Clone(statements), statements[:len(statements)/3]...) // some come twice
		atHome := rapid.Permutation(again).Draw(t, "order at alice's node")
		away := rapid.Permutation(again).Draw(t, "order at bob's node")
		converge(t, atHome, away)
	})
}

func converge(t rapid.TB, atHome, away []said) {
	a, b := seenBy(t, alice, atHome), seenBy(t, bob, away)
	if !reflect.DeepEqual(a, mirrored(b)) {
		t.Fatalf("alice has %+v\nbob has, mirrored, %+v", a, mirrored(b))
	}
	for _, f := range []Friendship{a, b} {
		if err := f.Check(); err != nil {
			t.Fatalf("what statements added up to is refused: %v", err)
		}
	}
	if got, want := a.State(), modelState(alice, atHome); got != want {
		t.Fatalf("alice sees %s, the rule says %s", got, want)
	}
	if got, want := b.State(), mirroredState(a.State()); got != want {
		t.Fatalf("bob sees %s, want %s", got, want)
	}
	if b := EncodeCBOR(&a); DecodeCBOR("friendship", b, new(Friendship)) != nil {
		t.Fatalf("the friendship cannot be stored")
	}
}

// More ends than are remembered: where each is at least as late as what it names,
// nothing depends on the order, and no offer comes back to life.
func TestFriendshipForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(MaxEnded-2, MaxEnded+40).Draw(t, "n")
		delays := rapid.SliceOfN(rapid.Int64Range(0, 30), n, n).Draw(t, "delays")
		from := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "by alice")
		var statements []said
		for i := range n {
			by := bob
			if from[i] {
				by = alice
			}
			at := int64(i) + 1
			statements = append(statements, offers(by, byte(i+1), at), ends(otherOf(by), at+delays[i], byte(i+1)))
			if i%3 == 0 {
				statements = append(statements, accepts(otherOf(by), byte(i+1), at))
			}
		}
		statements = append(statements, offers(alice, 250, 1000))
		shuffle := rapid.Permutation(statements)
		converge(t, shuffle.Draw(t, "order at alice's node"), shuffle.Draw(t, "order at bob's node"))
	})
}

// A hostile friend dates an offer ahead and floods ends, so that the end of their
// offer is forgotten: it stays dead.
func TestEndedStaysEnded(t *testing.T) {
	f := seenBy(t, alice, []said{offers(bob, 1, 100_000), accepts(alice, 1, 5), ends(alice, 6, 1)})
	for i := range byte(200) {
		if err := f.add(ends(bob, 10+int64(i), i+2)); err != nil {
			t.Fatal(err)
		}
		if f.State() != StateNone {
			t.Fatalf("after %d ends alice sees %s", i+1, f.State())
		}
	}
	if len(f.Ended) != MaxEnded || f.Floor == 0 {
		t.Errorf("%d ends are remembered, the floor is %d", len(f.Ended), f.Floor)
	}
	if err := f.add(offers(bob, 1, 100_000)); err != nil || f.State() != StateNone {
		t.Errorf("the same offer again: %v, %s", err, f.State())
	}
}

// The same where the end is forgotten in the moment it comes.
func TestEndedAndForgottenAtOnce(t *testing.T) {
	var flood []said
	for i := range byte(MaxEnded) {
		flood = append(flood, ends(bob, 10, i+2))
	}
	f := seenBy(t, alice, append(flood, offers(bob, 1, 100_000), accepts(alice, 1, 5), ends(alice, 6, 1)))
	if f.State() != StateNone {
		t.Errorf("alice sees %s", f.State())
	}
	// Dated properly it is dead whichever comes first, the offer or its forgotten end.
	for _, order := range [][]said{
		append([]said{offers(bob, 1, 10), ends(bob, 10, 1)}, flood...),
		append(append([]said{ends(bob, 10, 1)}, flood...), offers(bob, 1, 10)),
		append(slices.Clone(flood), ends(bob, 10, 1), offers(bob, 1, 10)),
	} {
		f := seenBy(t, alice, order)
		if f.State() != StateNone || f.Floor != 11 || len(f.Ended) != MaxEnded || f.Check() != nil {
			t.Errorf("alice sees %s, the floor is %d", f.State(), f.Floor)
		}
	}
}

// A risen floor ends what lies under it at once, as it does for who hears of the
// offer later.
func TestFloorEndsOlderOffers(t *testing.T) {
	var flood []said
	for i := range byte(MaxEnded + 1) {
		flood = append(flood, ends(bob, 10, i+2))
	}
	old, late := offers(alice, 1, 5), append(slices.Clone(flood), offers(alice, 1, 5))
	a, b := seenBy(t, alice, append([]said{old}, flood...)), seenBy(t, alice, late)
	if a.State() != StateNone || !reflect.DeepEqual(a, b) {
		t.Errorf("got %s and %s", a.State(), b.State())
	}
	if a.add(offers(alice, 200, a.NextCreated(0))); a.State() != StateOutgoing {
		t.Errorf("a new offer gives %s", a.State())
	}
}

// Two people whose clocks disagree: whatever each says by NextCreated has the
// meaning it was said with, and in the end both see the same.
func TestNextCreated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := map[AccountID]*Friendship{alice: {Me: alice, Other: bob}, bob: {Me: bob, Other: alice}}
		inbox := map[AccountID][]said{}
		clock := map[AccountID]int64{alice: 1000, bob: rapid.Int64Range(0, 2000).Draw(t, "bob's clock")}
		var all []said
		for hash := byte(1); hash < 20; hash++ {
			me := rapid.SampledFrom([]AccountID{alice, bob}).Draw(t, "who")
			f := views[me]
			if n := len(inbox[me]); n > 0 && rapid.Bool().Draw(t, "read") {
				i := rapid.IntRange(0, n-1).Draw(t, "which")
				if err := f.add(inbox[me][i]); err != nil {
					t.Fatal(err)
				}
				inbox[me] = slices.Delete(inbox[me], i, i+1)
			}
			s, want := nextMove(f, hash, clock[me])
			if err := f.add(s); err != nil {
				t.Fatal(err)
			}
			if got := f.State(); got != want {
				t.Fatalf("%v: %s sees %s, want %s", s, who(me), got, want)
			}
			inbox[otherOf(me)] = append(inbox[otherOf(me)], s)
			all = append(all, s)
			clock[me] += rapid.Int64Range(-3, 3).Draw(t, "tick")
		}
		converge(t, all, rapid.Permutation(all).Draw(t, "order"))
	})
}

// nextMove is what a person does next: offer, accept or end, in turn.
func nextMove(f *Friendship, hash byte, clock int64) (said, FriendState) {
	at := f.NextCreated(clock)
	switch f.State() {
	case StateNone:
		return offers(f.Me, hash, at), StateOutgoing
	case StateIncoming:
		return said{accept: &Accept{From: f.Me, To: f.Other, Offer: f.Yours.Offer, Created: at}}, StateFriend
	}
	return said{end: &End{From: f.Me, To: f.Other, Offers: f.LiveOffers(), Created: at}}, StateNone
}

func TestFriendshipIsBetweenTwo(t *testing.T) {
	carol := AccountID(seedOf("carol"))
	f := Friendship{Me: alice, Other: bob}
	for _, p := range [][2]AccountID{{alice, carol}, {carol, alice}, {bob, carol}, {carol, bob}, {alice, alice}, {bob, bob}, {{}, {}}} {
		wantKind(t, "offer", f.AddOffer(&Offer{From: p[0], To: p[1], Created: 1}, Hash{1}), Invalid)
		wantKind(t, "accept", f.AddAccept(&Accept{From: p[0], To: p[1], Offer: Hash{1}}), Invalid)
		wantKind(t, "end", f.AddEnd(&End{From: p[0], To: p[1], Offers: []Hash{{1}}}), Invalid)
	}
	if !reflect.DeepEqual(f, Friendship{Me: alice, Other: bob}) {
		t.Errorf("a refused statement left %+v", f)
	}
}

// Who keeps a copy of a friendship and changes the original keeps what was.
func TestFriendshipCopies(t *testing.T) {
	f := seenBy(t, alice, []said{ends(bob, 5, 1), ends(bob, 6, 2), ends(bob, 7, 3)})
	before := f
	want := slices.Clone(before.Ended)
	for i := range byte(100) {
		f.add(ends(bob, int64(i)+3, i+1))
	}
	if !slices.Equal(before.Ended, want) {
		t.Errorf("the copy changed to %v", before.Ended)
	}
	if got := seenBy(t, alice, []said{offers(bob, 9, 1), offers(alice, 5, 1)}); !slices.Equal(got.LiveOffers(), []Hash{{5}, {9}}) {
		t.Errorf("live offers %v are not in ascending order", got.LiveOffers())
	}
}

// A stored friendship that no statements add up to is refused; what the latest
// possible times add up to is not.
func TestFriendshipCheck(t *testing.T) {
	sound := func() Friendship {
		return Friendship{Me: alice, Other: bob, Mine: Side{Offer: Hash{1}, Created: MaxTime, Dead: true}, Ended: []Ended{{Hash{1}, MaxTime}, {Hash{2}, MaxTime}}, Floor: MaxTime + 1}
	}
	for name, c := range map[string]struct {
		spoil func(f *Friendship)
		want  Kind
	}{
		"as late as can be":       {func(*Friendship) {}, ""},
		"nothing said":            {func(f *Friendship) { *f = Friendship{} }, ""},
		"a negative time":         {func(f *Friendship) { f.Mine.Created = -1 }, Invalid},
		"a time after 9999":       {func(f *Friendship) { f.Ended[1].Said++ }, Invalid},
		"a negative floor":        {func(f *Friendship) { f.Floor = -1 }, Invalid},
		"a floor above all times": {func(f *Friendship) { f.Floor++ }, Invalid},
		"ended in another order":  {func(f *Friendship) { f.Ended[0], f.Ended[1] = f.Ended[1], f.Ended[0] }, Invalid},
		"ended twice":             {func(f *Friendship) { f.Ended[1] = f.Ended[0] }, Invalid},
		"no offer ended":          {func(f *Friendship) { f.Ended[0].Offer = Hash{} }, Invalid},
		"too many ended":          {func(f *Friendship) { f.Ended = manyEnded(MaxEnded + 1) }, Invalid},
		"as many ended as can be": {func(f *Friendship) { f.Ended = manyEnded(MaxEnded) }, ""},
	} {
		f := sound()
		c.spoil(&f)
		wantKind(t, name, f.Check(), c.want)
	}
}

func manyEnded(n int) (es []Ended) {
	for i := range n {
		es = append(es, Ended{Hash{1}, int64(i)})
	}
	return es
}
