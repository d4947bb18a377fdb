package wire

import (
	"bytes"
	"testing"
)

func offerRules() []rule[Offer] {
	return []rule[Offer]{
		{"as it should be", func(*Offer) {}, ""},
		{"to oneself", func(o *Offer) { o.To = o.From }, Invalid},
		{"from nobody", func(o *Offer) { o.From = AccountID{} }, Invalid},
		{"to nobody", func(o *Offer) { o.To = AccountID{} }, Invalid},
		{"bad handle", func(o *Offer) { o.FromHandle = "Alice" }, Invalid},
		{"a handle with an @", func(o *Offer) { o.ToHandle, o.ToNode = "bob@other.example", "x" }, Invalid},
		{"a node with an @", func(o *Offer) { o.ToHandle, o.ToNode = "bob", "x@other.example" }, Invalid},
		{"bad node", func(o *Offer) { o.ToNode = "127.0.0.1" }, Invalid},
		{"no audience", func(o *Offer) { o.Audience = AudienceID{} }, Invalid},
		{"negative time", func(o *Offer) { o.Created = -1 }, Invalid},
		{"key seq above the limit", func(o *Offer) { o.KeySeq = MaxInteger + 1 }, Invalid},
		{"version 2", func(o *Offer) { o.Version = 2 }, Update},
	}
}

func TestOfferRules(t *testing.T) {
	for _, c := range offerRules() {
		o := offer()
		c.spoil(o)
		_, err := OpenOffer(raw(LabelOffer, EncodeCBOR(o), aliceKey.seed), aliceKey.Public())
		wantKind(t, c.name, err, c.want)
	}
	if o := offer(); o.FromAddress().String() != "alice@node.example" || o.ToAddress().String() != "bob@other.example" {
		t.Errorf("from %s to %s", o.FromAddress(), o.ToAddress())
	}
}

func acceptRules() []rule[Accept] {
	return []rule[Accept]{
		{"as it should be", func(*Accept) {}, ""},
		{"to oneself", func(a *Accept) { a.To = a.From }, Invalid},
		{"from nobody", func(a *Accept) { a.From = AccountID{} }, Invalid},
		{"to nobody", func(a *Accept) { a.To = AccountID{} }, Invalid},
		{"no offer", func(a *Accept) { a.Offer = Hash{} }, Invalid},
		{"no audience", func(a *Accept) { a.Audience = AudienceID{} }, Invalid},
		{"a time that is none", func(a *Accept) { a.Created = MaxTime + 1 }, Invalid},
		{"key seq above the limit", func(a *Accept) { a.KeySeq = MaxInteger + 1 }, Invalid},
		{"suite 2", func(a *Accept) { a.Suite = 2 }, Update},
	}
}

func TestAcceptRules(t *testing.T) {
	for _, c := range acceptRules() {
		a := accept()
		c.spoil(a)
		_, err := OpenAccept(raw(LabelAccept, EncodeCBOR(a), bobKey.seed), bobKey.Public())
		wantKind(t, c.name, err, c.want)
	}
}

func TestOpenAcceptedOffer(t *testing.T) {
	signed := must(offer().Sign(aliceKey))
	a := accept()
	if o, err := OpenAcceptedOffer(signed, a); err != nil || o.FromAddress().String() != "alice@node.example" {
		t.Errorf("got %v, %v", o, err)
	}
	other := offer()
	other.Created++
	for name, s := range map[string]Signed{"another offer": must(other.Sign(aliceKey)), "none": nil, "too short a one": signed[:64], "a longer one": append(bytes.Clone(signed), 0)} {
		_, err := OpenAcceptedOffer(s, a)
		wantKind(t, name, err, Tampered)
	}
	spoiled := func(name string, want Kind, change func(a *Accept, o *Offer)) {
		a, o := accept(), offer()
		change(a, o)
		s := raw(LabelOffer, EncodeCBOR(o), aliceKey.seed)
		a.Offer = s.Hash(LabelOffer)
		_, err := OpenAcceptedOffer(s, a)
		wantKind(t, name, err, want)
	}
	spoiled("to somebody else", Tampered, func(a *Accept, _ *Offer) { a.From = AccountID{1} })
	spoiled("from somebody else", Tampered, func(a *Accept, _ *Offer) { a.To = AccountID{1} })
	spoiled("a later release", Update, func(_ *Accept, o *Offer) { o.Version = 2 })
	spoiled("no address", Invalid, func(_ *Accept, o *Offer) { o.FromHandle = "Alice" })
	long := raw(LabelOffer, make([]byte, MaxStatement), aliceKey.seed)
	a.Offer = long.Hash(LabelOffer)
	_, err := OpenAcceptedOffer(long, a)
	wantKind(t, "too long", err, Tampered)
}

func endRules() []rule[End] {
	h := func(b byte) Hash { return Hash{31: b} }
	return []rule[End]{
		{"as it should be", func(*End) {}, ""},
		{"four offers", func(e *End) { e.Offers = []Hash{h(1), h(2), h(3), h(4)} }, ""},
		{"no offer", func(e *End) { e.Offers = nil }, Invalid},
		{"empty offers", func(e *End) { e.Offers = []Hash{} }, Invalid},
		{"five offers", func(e *End) { e.Offers = []Hash{h(1), h(2), h(3), h(4), h(5)} }, Invalid},
		{"the zero offer", func(e *End) { e.Offers = []Hash{h(0)} }, Invalid},
		{"an offer twice", func(e *End) { e.Offers = []Hash{h(1), h(1)} }, Invalid},
		{"descending offers", func(e *End) { e.Offers = []Hash{h(2), h(1)} }, Invalid},
		{"to oneself", func(e *End) { e.To = e.From }, Invalid},
		{"from nobody", func(e *End) { e.From = AccountID{} }, Invalid},
		{"to nobody", func(e *End) { e.To = AccountID{} }, Invalid},
		{"negative time", func(e *End) { e.Created = -1 }, Invalid},
		{"a time that is none", func(e *End) { e.Created = MaxTime + 1 }, Invalid},
		{"key seq above the limit", func(e *End) { e.KeySeq = MaxInteger + 1 }, Invalid},
		{"version 0", func(e *End) { e.Version = 0 }, Update},
	}
}

func TestEndRules(t *testing.T) {
	for _, c := range endRules() {
		e := end()
		c.spoil(e)
		_, err := OpenEnd(raw(LabelEnd, EncodeCBOR(e), bobKey.seed), bobKey.Public())
		wantKind(t, c.name, err, c.want)
	}
}
