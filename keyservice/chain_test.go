package keyservice

import (
	"crypto/rand"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner is somebody with a chain of key statements.
type owner struct {
	t          testing.TB
	identities []wire.IdentitySecret // by statement
	recovery   wire.RecoverySecret
	newest     wire.KeyStatement
	chain      []wire.Signed
	account    wire.AccountID
}

func seed() (b [32]byte) {
	rand.Read(b[:])
	return b
}

func encryptionKey(t testing.TB) [1216]byte {
	k, err := wire.KEM().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return [1216]byte(k.PublicKey().Bytes())
}

func newOwner(t testing.TB) *owner {
	o := &owner{t: t, recovery: wire.NewRecoverySecret(seed())}
	identity := wire.NewIdentitySecret(seed())
	o.newest = wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: "ann", Node: "node.example",
		Identity: identity.Public(), Encryption: encryptionKey(t), Recovery: o.recovery.Public(),
		RecoveryBox: encryptionKey(t), SealedSelfKey: make([]byte, wire.SelfKeySize), Signer: wire.ByIdentity, Created: 1,
	}
	first := must(o.newest.Sign(identity))
	o.identities, o.chain, o.account = []wire.IdentitySecret{identity}, []wire.Signed{first}, wire.AccountID(first.Hash(wire.LabelKeyStatement))
	return o
}

// next makes the statement that follows, under a new identity key; change may
// spoil it.
func (o *owner) next(change func(k *wire.KeyStatement)) (wire.Signed, wire.IdentitySecret) {
	identity := wire.NewIdentitySecret(seed())
	k := o.newest
	k.Account, k.Seq, k.Prev = o.account, k.Seq+1, o.chain[len(o.chain)-1].Hash(wire.LabelKeyStatement)
	k.Identity, k.Created = identity.Public(), k.Created+1
	if change != nil {
		change(&k)
	}
	if k.Signer == wire.ByRecovery {
		return must(k.SignRecovery(o.recovery)), identity
	}
	return must(k.Sign(o.identities[len(o.identities)-1])), identity
}

// rotate appends a statement.
func (o *owner) rotate() {
	s, identity := o.next(nil)
	o.chain, o.identities = append(o.chain, s), append(o.identities, identity)
	o.newest.Seq, o.newest.Created, o.newest.Identity = o.newest.Seq+1, o.newest.Created+1, identity.Public()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func kind(t *testing.T, err error, want wire.Kind) {
	t.Helper()
	if err == nil || wire.KindOf(err) != want {
		t.Fatalf("got error %v, want kind %q", err, want)
	}
}

func TestChain(t *testing.T) {
	o := newOwner(t)
	short := must(ParseChain(o.chain))
	o.rotate()
	middle := must(ParseChain(o.chain))
	o.rotate()
	c := must(ParseChain(o.chain))
	if c.Account() != o.account || c.Address().String() != "ann@node.example" || c.Newest().Seq != 2 {
		t.Fatalf("got %v, %v, statement %d", c.Account(), c.Address(), c.Newest().Seq)
	}
	for seq, s := range o.chain {
		k, hash, err := c.At(uint64(seq))
		if err != nil || hash != s.Hash(wire.LabelKeyStatement) || k.Identity != o.identities[seq].Public() {
			t.Fatalf("statement %d: %v", seq, err)
		}
	}
	if _, hash, _ := c.At(2); hash != c.NewestHash() {
		t.Error("the newest hash is another")
	}
	_, _, err := c.At(3)
	kind(t, err, wire.NotExist)
	_, _, err = c.At(1 << 63)
	kind(t, err, wire.NotExist)

	appended := must(must(short.Append(o.chain[1])).Append(o.chain[2]))
	if appended.Extends(c) != nil || c.Extends(appended) != nil {
		t.Error("statement by statement it is another chain")
	}
	if short.Newest().Seq != 0 || middle.Newest().Seq != 1 {
		t.Error("a chain was modified")
	}
	for _, older := range []*Chain{short, middle, c} {
		if err := c.Extends(older); err != nil {
			t.Error(err)
		}
	}
	kind(t, short.Extends(middle), wire.Tampered)
	kind(t, must(ParseChain(newOwner(t).chain)).Extends(short), wire.Tampered)
	fork := *o
	fork.chain, fork.identities, fork.newest = o.chain[:1], o.identities[:1], *short.Newest()
	fork.rotate()
	fork.rotate()
	kind(t, must(ParseChain(fork.chain)).Extends(middle), wire.Tampered)
	kind(t, must(ParseChain(fork.chain)).Extends(c), wire.Tampered)
}

// What is given in or out does not change the chain.
func TestChainIsItsOwn(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	c := must(ParseChain(o.chain))
	hash := c.NewestHash()
	o.chain[1][100] ^= 1
	out := c.Statements()
	out[0] = nil
	again := must(ParseChain(c.Statements()))
	if again.NewestHash() != hash {
		t.Error("the chain was changed from outside")
	}
}

func TestParseChainRefuses(t *testing.T) {
	o := newOwner(t)
	o.rotate()
	next := func(change func(*wire.KeyStatement)) []wire.Signed {
		s, _ := o.next(change)
		return append(o.chain[:2:2], s)
	}
	other := newOwner(t)
	other.rotate()
	for name, c := range map[string]struct {
		want  wire.Kind
		chain []wire.Signed
	}{
		"nothing":        {wire.Invalid, nil},
		"no first":       {wire.Invalid, o.chain[1:]},
		"broken":         {wire.Invalid, []wire.Signed{o.chain[0][:100]}},
		"gap":            {wire.Tampered, next(func(k *wire.KeyStatement) { k.Seq++ })},
		"other before":   {wire.Tampered, next(func(k *wire.KeyStatement) { k.Prev = seed() })},
		"other account":  {wire.Tampered, next(func(k *wire.KeyStatement) { k.Account = seed() })},
		"other address":  {wire.Tampered, next(func(k *wire.KeyStatement) { k.Handle = "ben" })},
		"other recovery": {wire.Tampered, next(func(k *wire.KeyStatement) { k.Recovery = wire.NewRecoverySecret(seed()).Public() })},
		"another's":      {wire.Tampered, append(o.chain[:1:1], other.chain[1])},
		"twice":          {wire.Tampered, append(o.chain[:2:2], o.chain[1])},
		"too long":       {wire.TooLarge, make([]wire.Signed, wire.MaxKeyChain+1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseChain(c.chain)
			kind(t, err, c.want)
		})
	}
	if _, err := ParseChain(next(func(k *wire.KeyStatement) {
		k.Signer, k.Recovery = wire.ByRecovery, wire.NewRecoverySecret(seed()).Public()
	})); err != nil {
		t.Errorf("by the recovery key: %v", err)
	}
	c := must(ParseChain(o.chain))
	_, err := c.Append(other.chain[1])
	kind(t, err, wire.Tampered)
	c.statements = make([]wire.Signed, wire.MaxKeyChain)
	s, _ := o.next(nil)
	_, err = c.Append(s)
	kind(t, err, wire.TooLarge)
}

// TestAppendLate: a statement that follows an earlier one than the newest is told apart
// from one that follows nothing.
func TestAppendLate(t *testing.T) {
	o, other := newOwner(t), newOwner(t)
	late, _ := o.next(nil)
	later, _ := o.next(func(k *wire.KeyStatement) { k.Signer = wire.ByRecovery })
	foreign, _ := other.next(nil)
	o.rotate()
	o.rotate()
	c := must(ParseChain(o.chain))
	for _, s := range []wire.Signed{late, later} {
		_, err := c.Append(s)
		kind(t, err, wire.Conflict)
	}
	_, err := c.Append(foreign)
	kind(t, err, wire.Tampered)
	_, err = c.Append(o.chain[2]) // the newest itself
	kind(t, err, wire.Conflict)
}
