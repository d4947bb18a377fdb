package wire

import "bytes"

// An Offer asks another person for friendship. Its hash names the friendship
// that comes of it.
type Offer struct {
	Version    uint64     `cbor:"1,keyasint"`
	Suite      uint64     `cbor:"2,keyasint"`
	From       AccountID  `cbor:"3,keyasint"`
	FromHandle Handle     `cbor:"4,keyasint"`
	FromNode   NodeName   `cbor:"5,keyasint"`
	KeySeq     uint64     `cbor:"6,keyasint"` // of From
	To         AccountID  `cbor:"7,keyasint"`
	ToHandle   Handle     `cbor:"8,keyasint"`
	ToNode     NodeName   `cbor:"9,keyasint"`
	Audience   AudienceID `cbor:"10,keyasint"` // the stream that From's friends read
	Created    int64      `cbor:"11,keyasint"` // ms since 1970; grows with each offer of a pair
}

// An Accept answers an offer.
type Accept struct {
	Version  uint64     `cbor:"1,keyasint"`
	Suite    uint64     `cbor:"2,keyasint"`
	From     AccountID  `cbor:"3,keyasint"` // who accepts
	KeySeq   uint64     `cbor:"4,keyasint"`
	To       AccountID  `cbor:"5,keyasint"` // who offered
	Offer    Hash       `cbor:"6,keyasint"`
	Audience AudienceID `cbor:"7,keyasint"` // the stream that From's friends read
	Created  int64      `cbor:"8,keyasint"` // ms since 1970; grows with each acceptance of a pair
}

// An End declines, cancels or ends what the named offers began. Either side says it.
type End struct {
	Version uint64    `cbor:"1,keyasint"`
	Suite   uint64    `cbor:"2,keyasint"`
	From    AccountID `cbor:"3,keyasint"`
	KeySeq  uint64    `cbor:"4,keyasint"`
	To      AccountID `cbor:"5,keyasint"`
	Offers  []Hash    `cbor:"6,keyasint"` // 1 to MaxEndOffers in ascending order: two where offers crossed
	Created int64     `cbor:"7,keyasint"` // ms since 1970; not before the offers that it names
}

func checkPair(what string, version, suite, keySeq uint64, from, to AccountID, created int64) error {
	if err := checkVersion(what, version, suite); err != nil {
		return err
	}
	if from.IsZero() || to.IsZero() || from == to {
		return Errorf(Invalid, what, "two different people were expected")
	}
	if err := checkNumbers(what, keySeq); err != nil {
		return err
	}
	return checkTime(what, created)
}

func (o *Offer) check() error {
	if err := checkPair("offer", o.Version, o.Suite, o.KeySeq, o.From, o.To, o.Created); err != nil {
		return err
	}
	for _, a := range []Address{o.FromAddress(), o.ToAddress()} {
		if parsed, err := ParseAddress(a.String()); err != nil || parsed != a {
			return Errorf(Invalid, "offer", "%q is no address", clip(a.String()))
		}
	}
	if o.Audience.IsZero() {
		return Errorf(Invalid, "offer", "an audience was expected")
	}
	return nil
}

// FromAddress is where the one who offers is found.
func (o *Offer) FromAddress() Address { return Address{o.FromHandle, o.FromNode} }

// ToAddress is where the one who is asked is found.
func (o *Offer) ToAddress() Address { return Address{o.ToHandle, o.ToNode} }

func (a *Accept) check() error {
	if err := checkPair("accept", a.Version, a.Suite, a.KeySeq, a.From, a.To, a.Created); err != nil {
		return err
	}
	if a.Offer.IsZero() || a.Audience.IsZero() {
		return Errorf(Invalid, "accept", "an offer and an audience were expected")
	}
	return nil
}

func (e *End) check() error {
	if err := checkPair("end", e.Version, e.Suite, e.KeySeq, e.From, e.To, e.Created); err != nil {
		return err
	}
	if len(e.Offers) == 0 || len(e.Offers) > MaxEndOffers {
		return Errorf(Invalid, "end", "1 to %d offers were expected", MaxEndOffers)
	}
	var last Hash
	for _, h := range e.Offers {
		if bytes.Compare(h[:], last[:]) <= 0 {
			return Errorf(Invalid, "end", "the offers must stand in ascending order, each once")
		}
		last = h
	}
	return nil
}

// Sign checks and signs o.
func (o *Offer) Sign(s IdentitySecret) (Signed, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return sign(LabelOffer, o, s.seed), nil
}

// Sign checks and signs a.
func (a *Accept) Sign(s IdentitySecret) (Signed, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	return sign(LabelAccept, a, s.seed), nil
}

// Sign checks and signs e.
func (e *End) Sign(s IdentitySecret) (Signed, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return sign(LabelEnd, e, s.seed), nil
}

// OpenOffer opens an offer with the key of the one who offers.
func OpenOffer(s Signed, key IdentityKey) (*Offer, error) {
	o := new(Offer)
	if err := open(LabelOffer, s, key, o); err != nil {
		return nil, err
	}
	return o, nil
}

// OpenAccept opens an acceptance with the key of the one who accepts.
func OpenAccept(s Signed, key IdentityKey) (*Accept, error) {
	a := new(Accept)
	if err := open(LabelAccept, s, key, a); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenAcceptedOffer opens an offer by the acceptance that names it: whoever accepted has
// verified who signed it.
func OpenAcceptedOffer(s Signed, a *Accept) (*Offer, error) {
	if len(s) > MaxStatement || s.Hash(LabelOffer) != a.Offer {
		return nil, Errorf(Tampered, "offer", "it is not the one that was accepted")
	}
	o := new(Offer)
	if err := decode(LabelOffer, s.payload(), o); err != nil {
		return nil, err
	}
	if o.From != a.To || o.To != a.From {
		return nil, Errorf(Tampered, "offer", "it is one of other people than the two who agreed")
	}
	return o, nil
}

// OpenEnd opens an end with the key of the one who ends.
func OpenEnd(s Signed, key IdentityKey) (*End, error) {
	e := new(End)
	if err := open(LabelEnd, s, key, e); err != nil {
		return nil, err
	}
	return e, nil
}

// FriendKind names a kind of friendship statement where one travels.
type FriendKind string

const (
	FriendOffer     FriendKind = "offer"
	FriendAccept    FriendKind = "accept"
	FriendEnd       FriendKind = "end"
	FriendTombstone FriendKind = "tombstone" // between nodes alone: the account is deleted
)

// A FriendStatement is one of them, as it travels.
type FriendStatement struct {
	Kind      FriendKind `json:"kind"`
	Statement Signed     `json:"statement"`
}
