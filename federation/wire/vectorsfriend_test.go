package wire

import (
	"bytes"
	"encoding/hex"
)

func friendshipVectors() *vectorFile {
	f := &vectorFile{About: "Offers, acceptances and ends, and histories: sets of them and the state they add up to, in whatever order they come. a is alice, b is bob."}
	o := maker{kind: "offer", label: LabelOffer, key: aliceKey.seed}
	a := maker{kind: "accept", label: LabelAccept, key: bobKey.seed}
	e := maker{kind: "end", label: LabelEnd, key: bobKey.seed}
	f.Accepted = append(f.Accepted, o.good("an offer", offer()), a.good("an acceptance", accept()), e.good("an end", end()))
	f.Refused = append(append(o.forms(offer()), a.forms(accept())...), e.forms(end())...)
	ruleVectors(f, o, offer, offerRules())
	ruleVectors(f, a, accept, acceptRules())
	ruleVectors(f, e, func() *End { return end() }, endRules())
	f.Histories = histories()
	return f
}

// A teller signs what the two say.
type teller struct{ lines []historyLine }

func (l *teller) say(kind FriendKind, by AccountID, s Signed) Hash {
	who := "a"
	if by == bob {
		who = "b"
	}
	l.lines = append(l.lines, historyLine{kind, who, hex.EncodeToString(s)})
	return s.Hash(LabelOffer)
}

func keyOf(a AccountID) IdentitySecret {
	if a == alice {
		return aliceKey
	}
	return bobKey
}

func (l *teller) offer(by AccountID, at int64) Hash { return l.offerOf(by, at, audience) }

// offerOf is an offer with which alice names the audience.
func (l *teller) offerOf(by AccountID, at int64, audience AudienceID) Hash {
	o := offer()
	o.Audience = audience
	if by == bob {
		o.From, o.To, o.FromHandle, o.ToHandle, o.FromNode, o.ToNode = o.To, o.From, o.ToHandle, o.FromHandle, o.ToNode, o.FromNode
		o.Audience = accept().Audience
	}
	o.Created = t0 + at
	return l.say(FriendOffer, by, must(o.Sign(keyOf(by))))
}

func (l *teller) accept(by AccountID, offer Hash, at int64) {
	a := accept()
	a.From, a.To, a.Offer, a.Created = by, otherOf(by), offer, t0+at
	if by == alice {
		a.Audience = audience
	}
	l.say(FriendAccept, by, must(a.Sign(keyOf(by))))
}

func (l *teller) end(by AccountID, at int64, offers ...Hash) {
	e := end(offers...)
	e.From, e.To, e.Created = by, otherOf(by), t0+at
	if len(offers) == 2 && string(offers[0][:]) > string(offers[1][:]) {
		e.Offers = []Hash{offers[1], offers[0]}
	}
	l.say(FriendEnd, by, must(e.Sign(keyOf(by))))
}

// offersEnded are n offers, each ended at the time it claims.
func (l *teller) offersEnded(n int) {
	for i := range int64(n) {
		l.end(bob, i, l.offer(alice, i))
	}
}

func histories() []history {
	var hs []history
	for _, c := range []struct {
		name string
		tell func(l *teller)
	}{
		{"offered", func(l *teller) { l.offer(alice, 0) }},
		{"accepted", func(l *teller) { l.accept(bob, l.offer(alice, 0), 1) }},
		{"accepted by a clock that is behind", func(l *teller) { l.offer(alice, -50); l.accept(bob, l.offer(alice, 0), -100) }},
		{"crossed offers", func(l *teller) { l.offer(alice, 0); l.offer(bob, 1) }},
		{"declined", func(l *teller) { l.end(bob, 1, l.offer(alice, 0)) }},
		{"cancelled", func(l *teller) { l.end(alice, 1, l.offer(alice, 0)) }},
		{"accepted and cancelled at once", func(l *teller) { o := l.offer(alice, 0); l.accept(bob, o, 1); l.end(alice, 1, o) }},
		{"removed", func(l *teller) { o := l.offer(alice, 0); l.accept(bob, o, 1); l.end(bob, 2, o) }},
		{"crossed and removed", func(l *teller) { l.end(alice, 2, l.offer(alice, 0), l.offer(bob, 1)) }},
		{"crossed, one cancelled", func(l *teller) { l.end(alice, 2, l.offer(alice, 0)); l.offer(bob, 1) }},
		{"removed and offered anew", func(l *teller) {
			o := l.offer(alice, 0)
			l.accept(bob, o, 1)
			l.end(alice, 2, o)
			l.offer(alice, 3)
		}},
		{"an acceptance of an offer that was replaced", func(l *teller) { l.accept(bob, l.offer(alice, 0), 5); l.offer(alice, 3) }},
		{"two offers of one time: the greater name counts", func(l *teller) {
			a, b := l.offer(alice, 0), l.offerOf(alice, 0, AudienceID{31: 1})
			if bytes.Compare(a[:], b[:]) > 0 {
				a, b = b, a
			}
			l.accept(bob, a, 1)
		}},
		{"the greater name of two offers of one time is ended", func(l *teller) {
			a, b := l.offer(alice, 0), l.offerOf(alice, 0, AudienceID{31: 1})
			if bytes.Compare(a[:], b[:]) > 0 {
				a, b = b, a
			}
			l.end(bob, 1, b)
		}},
		{"two audiences of one time: the greater counts", func(l *teller) { l.end(bob, 1, l.offer(alice, 0), l.offerOf(alice, 0, AudienceID{31: 1})) }},
		{"an old end of a new offer, by a clock that is behind", func(l *teller) { l.end(bob, -100, l.offer(alice, 0)) }},
		{"an end of nothing", func(l *teller) { l.end(bob, 1, Hash{1}) }},
		{"ended more often than is remembered, and an offer of that time", func(l *teller) { l.offersEnded(MaxEnded + 1); l.offer(bob, 0) }},
		{"ended more often than is remembered, and a later offer", func(l *teller) { l.offersEnded(MaxEnded + 1); l.offer(bob, 1) }},
		{"ended as often as is remembered, and an offer of that time", func(l *teller) { l.offersEnded(MaxEnded); l.offer(bob, 0) }},
		{"an acceptance of nothing", func(l *teller) { l.accept(bob, Hash{1}, 5) }},
	} {
		var l teller
		c.tell(&l)
		pubA, pubB := aliceKey.Public(), bobKey.Public()
		h := history{Name: c.name, A: alice, B: bob, KeyA: hex.EncodeToString(pubA[:]), KeyB: hex.EncodeToString(pubB[:]), Statements: l.lines}
		a, b := Friendship{Me: alice, Other: bob}, Friendship{Me: bob, Other: alice}
		for _, line := range l.lines {
			must(0, h.add(&a, line))
			must(0, h.add(&b, line))
		}
		h.StateA, h.StateB, h.Live, h.Floor = a.State(), b.State(), a.LiveOffers(), a.Floor
		h.Audience = map[string]string{"a": a.Mine.Audience.String(), "b": a.Yours.Audience.String()}
		hs = append(hs, h)
	}
	return hs
}
