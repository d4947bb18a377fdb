package keyservice

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// statements are one of each kind that a person signs.
var statements = map[string]struct {
	sign func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed
	open func(c *Chain, s wire.Signed) error
}{
	"entry": {
		func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed {
			h := &wire.EntryHeader{
				Version: wire.Version, Suite: wire.Suite, Author: by, KeySeq: keySeq, Audience: seed(), Seq: 2, Prev: seed(),
				Kind: wire.KindPost, Epoch: 1, BodyHash: wire.BodyHash([]byte("body")), BodySize: 4,
			}
			return must(h.Sign(key))
		},
		func(c *Chain, s wire.Signed) error {
			_, err := c.OpenEntry(wire.Entry{Header: s, Body: wire.Bytes("body")})
			return err
		},
	},
	"offer": {
		func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed {
			s := &wire.Offer{
				Version: wire.Version, Suite: wire.Suite, From: by, FromHandle: "ann", FromNode: "node.example", KeySeq: keySeq,
				To: seed(), ToHandle: "ben", ToNode: "node.example", Audience: seed(),
			}
			return must(s.Sign(key))
		},
		func(c *Chain, s wire.Signed) error { _, err := c.OpenOffer(s); return err },
	},
	"accept": {
		func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed {
			s := &wire.Accept{Version: wire.Version, Suite: wire.Suite, From: by, KeySeq: keySeq, To: seed(), Offer: seed(), Audience: seed()}
			return must(s.Sign(key))
		},
		func(c *Chain, s wire.Signed) error { _, err := c.OpenAccept(s); return err },
	},
	"end": {
		func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed {
			s := &wire.End{Version: wire.Version, Suite: wire.Suite, From: by, KeySeq: keySeq, To: seed(), Offers: []wire.Hash{seed()}}
			return must(s.Sign(key))
		},
		func(c *Chain, s wire.Signed) error { _, err := c.OpenEnd(s); return err },
	},
	"vault head": {
		func(o *owner, by wire.AccountID, keySeq uint64, key wire.IdentitySecret) wire.Signed {
			return must((&wire.VaultHead{Version: wire.Version, Suite: wire.Suite, Account: by, KeySeq: keySeq, Counter: 1}).Sign(key))
		},
		func(c *Chain, s wire.Signed) error { _, err := c.OpenVaultHead(s); return err },
	},
}

func TestOpen(t *testing.T) {
	o, other := newOwner(t), newOwner(t)
	o.rotate()
	o.rotate()
	c := must(ParseChain(o.chain))
	for name, s := range statements {
		t.Run(name, func(t *testing.T) {
			for seq, key := range o.identities {
				if err := s.open(c, s.sign(o, o.account, uint64(seq), key)); err != nil {
					t.Errorf("under statement %d: %v", seq, err)
				}
			}
			kind(t, s.open(c, s.sign(o, o.account, 1, o.identities[0])), wire.Tampered)
			kind(t, s.open(c, s.sign(o, o.account, 0, o.identities[2])), wire.Tampered)
			kind(t, s.open(c, s.sign(o, o.account, 3, o.identities[2])), wire.Tampered)
			kind(t, s.open(c, s.sign(o, other.account, 2, o.identities[2])), wire.Tampered)
			kind(t, s.open(c, s.sign(o, o.account, 2, other.identities[0])), wire.Tampered)
			good := s.sign(o, o.account, 2, o.identities[2])
			good[70] ^= 1
			kind(t, s.open(c, good), wire.Tampered)
			kind(t, s.open(c, nil), wire.Tampered)
			for kindOf, x := range statements { // no statement is one of another kind
				if kindOf != name && s.open(c, x.sign(o, o.account, 2, o.identities[2])) == nil {
					t.Errorf("opens %s", kindOf)
				}
			}
		})
	}
}

// A statement that keeps the identity key may be named for its elder.
func TestOpenUnderARepeatedKey(t *testing.T) {
	o := newOwner(t)
	s, _ := o.next(func(k *wire.KeyStatement) { k.Identity = o.identities[0].Public() })
	o.chain = append(o.chain, s)
	c := must(ParseChain(o.chain))
	for seq := range uint64(2) {
		if err := statements["end"].open(c, statements["end"].sign(o, o.account, seq, o.identities[0])); err != nil {
			t.Errorf("statement %d: %v", seq, err)
		}
	}
}

func TestOpenEntryBody(t *testing.T) {
	o := newOwner(t)
	c := must(ParseChain(o.chain))
	header := statements["entry"].sign(o, o.account, 0, o.identities[0])
	for _, body := range []string{"", "bod", "bodY", "bodyy"} {
		_, err := c.OpenEntry(wire.Entry{Header: header, Body: wire.Bytes(body)})
		kind(t, err, wire.Tampered)
	}
	h, e := epoch(o, 0, 0, 1, nil)
	h.BodySize++
	e.Header = must(h.Sign(o.identities[0]))
	_, err := c.OpenEntry(e)
	kind(t, err, wire.Tampered)
}

func TestOpenVaultRecord(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	slots := must((&wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: seed(), Argon2: wire.DefaultArgon2,
		Login: wire.NewLoginSecret(seed()).Public(), PasswordSlot: make([]byte, 128),
		RecoveryLogin: wire.NewRecoveryLoginSecret(seed()).Public(), RecoverySlot: make([]byte, wire.SelfKeySize),
	}).Encode())
	vault := []byte("sealed")
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: o.account, KeySeq: 1, Counter: 1,
		VaultHash: wire.VaultHash(vault), SlotsHash: wire.SlotsHash(slots),
	}
	r := wire.VaultRecord{Head: must(head.Sign(o.identities[1])), Slots: slots, Vault: vault}
	if h, s, err := c.OpenVaultRecord(r); err != nil || h.Counter != 1 || s.Argon2 != wire.DefaultArgon2 {
		t.Fatal(err)
	}
	r.Vault = wire.Bytes("other")
	_, _, err := c.OpenVaultRecord(r)
	kind(t, err, wire.Tampered)
}

func TestOpenHeadQuery(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: o.account, Node: "node.example"}
	if _, err := c.OpenHeadQuery(must(q.Sign(o.identities[1]))); err != nil {
		t.Fatal(err)
	}
	_, err := c.OpenHeadQuery(must(q.Sign(o.identities[0])))
	kind(t, err, wire.Tampered)
	q.Account = seed()
	_, err = c.OpenHeadQuery(must(q.Sign(o.identities[1])))
	kind(t, err, wire.Tampered)
}

func TestOpenTombstone(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	good := func() *wire.Tombstone {
		k := c.Newest()
		return &wire.Tombstone{
			Version: wire.Version, Suite: wire.Suite, Account: o.account, KeySeq: k.Seq, Statement: c.NewestHash(),
			Handle: k.Handle, Node: k.Node, Signer: wire.ByIdentity,
		}
	}
	if _, err := c.OpenTombstone(must(good().Sign(o.identities[1]))); err != nil {
		t.Fatal(err)
	}
	_, err := c.OpenTombstone(must(good().Sign(o.identities[0])))
	kind(t, err, wire.Tampered)
	for _, spoil := range []func(*wire.Tombstone){
		func(s *wire.Tombstone) { s.Account = seed() },
		func(s *wire.Tombstone) { s.KeySeq = 0 },
		func(s *wire.Tombstone) { s.Statement = wire.Hash(o.account) },
		func(s *wire.Tombstone) { s.Handle = "other" },
		func(s *wire.Tombstone) { s.Node = "other.example" },
	} {
		s := good()
		spoil(s)
		_, err := c.OpenTombstone(must(s.Sign(o.identities[1])))
		kind(t, err, wire.Tampered)
	}
}

// epoch makes an epoch entry that is the first of its stream.
func epoch(o *owner, keySeq int, headSeq int, counter uint64, links []wire.Link) (*wire.EntryHeader, wire.Entry) {
	head := &wire.VaultHead{Version: wire.Version, Suite: wire.Suite, Account: o.account, KeySeq: uint64(headSeq), Counter: counter}
	if counter > 1 {
		head.Prev = seed()
	}
	body := must((&wire.EpochBody{
		Version: wire.Version, Suite: wire.Suite, Content: seed(), Chain: seed(),
		VaultHead: must(head.Sign(o.identities[headSeq])), SealedSecret: make([]byte, 64), Links: links,
	}).Encode())
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: o.account, KeySeq: uint64(keySeq), Audience: seed(), Seq: 1,
		Kind: wire.KindEpoch, Epoch: 1, BodyHash: wire.BodyHash(body), BodySize: uint64(len(body)),
	}
	return h, wire.Entry{Header: must(h.Sign(o.identities[keySeq])), Body: body}
}

func TestCheckEpoch(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	check := func(keySeq, headSeq int, counter uint64, links []wire.Link) error {
		_, e := epoch(o, keySeq, headSeq, counter, links)
		h, err := c.OpenEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = CheckEpoch(c, h, e.Body, 0, 7)
		return err
	}
	for _, counter := range []uint64{1, 6, 7} {
		if err := check(1, 1, counter, nil); err != nil {
			t.Error(err)
		}
	}
	kind(t, check(1, 1, 8, nil), wire.Conflict)
	kind(t, check(0, 0, 1, nil), wire.Conflict)
	kind(t, check(1, 0, 1, nil), wire.Tampered)
	kind(t, check(1, 1, 1, []wire.Link{{Epoch: 1, Sealed: []byte("x")}}), wire.Tampered)
}

// A vault head has to say which keys it is signed under, too.
func TestEpochWithAMislabelledHead(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	mislabelled := *o
	mislabelled.identities = []wire.IdentitySecret{o.identities[1], o.identities[1]}
	mislabelled.identities = append(mislabelled.identities, o.identities[1])
	for _, named := range []int{0, 2} {
		_, e := epoch(&mislabelled, 1, named, 1, nil)
		_, _, err := c.OpenEpoch(must(c.OpenEntry(e)), e.Body, 0)
		kind(t, err, wire.Tampered)
	}
}

// Older keys open what was signed under them.
func TestOpenOldEpoch(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	_, e := epoch(o, 0, 0, 1, nil)
	h := must(c.OpenEntry(e))
	if _, _, err := c.OpenEpoch(h, e.Body, 0); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRecoveryQuery(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	a := c.Address()
	q := &wire.RecoveryQuery{Version: wire.Version, Suite: wire.Suite, Handle: a.Handle, Home: a.Node, Node: "other.example"}
	if _, err := c.OpenRecoveryQuery(must(q.SignRecovery(o.recovery))); err != nil {
		t.Fatal(err)
	}
	_, err := c.OpenRecoveryQuery(must(q.SignRecovery(wire.NewRecoverySecret(seed()))))
	kind(t, err, wire.Tampered)
	q.Home = "another.example"
	_, err = c.OpenRecoveryQuery(must(q.SignRecovery(o.recovery)))
	kind(t, err, wire.Tampered)
}
