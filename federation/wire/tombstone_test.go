package wire

import (
	"encoding/hex"
	"testing"
)

func tombstoneRules() []rule[Tombstone] {
	return []rule[Tombstone]{
		{"as it should be", func(*Tombstone) {}, ""},
		{"under the first key statement", func(s *Tombstone) { s.KeySeq, s.Statement = 0, Hash(alice) }, ""},
		{"no account", func(s *Tombstone) { s.Account = AccountID{} }, Invalid},
		{"no key statement", func(s *Tombstone) { s.Statement = Hash{} }, Invalid},
		{"a number over 2^53", func(s *Tombstone) { s.KeySeq = 1 << 53 }, Invalid},
		{"bad handle", func(s *Tombstone) { s.Handle = "Alice" }, Invalid},
		{"bad node", func(s *Tombstone) { s.Node = "Node.example" }, Invalid},
		{"no signer", func(s *Tombstone) { s.Signer = 0 }, Invalid},
		{"an unknown signer", func(s *Tombstone) { s.Signer = 3 }, Invalid},
		{"another signer", func(s *Tombstone) { s.Signer = ByRecovery }, Tampered},
		{"negative time", func(s *Tombstone) { s.Created = -1 }, Invalid},
		{"after the year 9999", func(s *Tombstone) { s.Created = MaxTime + 1 }, Invalid},
		{"version 2", func(s *Tombstone) { s.Version = 2 }, Update},
	}
}

func TestTombstone(t *testing.T) {
	open := func(s Signed) (*Tombstone, error) { return OpenTombstone(s, aliceKey.Public(), aliceRecovery.Public()) }
	for _, r := range tombstoneRules() {
		s := tombstone()
		r.spoil(s)
		got, err := open(raw(LabelTombstone, EncodeCBOR(s), aliceKey.seed))
		wantKind(t, r.name, err, r.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", r.name, got, err)
		}
	}
	s := tombstone()
	s.Signer = ByRecovery
	if got, err := open(must(s.SignRecovery(aliceRecovery))); err != nil || got.Signer != ByRecovery || got.Address().String() != "alice@node.example" {
		t.Errorf("by the recovery key: got %v, %v", got, err)
	}
	_, err := open(must(tombstone().SignRecovery(aliceRecovery)))
	wantKind(t, "by the recovery key, and says the identity key", err, Tampered)
	_, err = open(must(tombstone().Sign(bobKey)))
	wantKind(t, "by another person", err, Tampered)
	_, err = open(must(s.Sign(bobKey)))
	wantKind(t, "by another person, and says the recovery key", err, Tampered)
	s.Handle = ""
	_, err = s.Sign(aliceKey)
	wantKind(t, "signed without a handle", err, Invalid)
	_, err = s.SignRecovery(aliceRecovery)
	wantKind(t, "signed by the recovery key without a handle", err, Invalid)
}

func tombstoneVectors() *vectorFile {
	f := &vectorFile{About: "Tombstones, each opened with the identity key and the recovery key of the newest key statement. public_key is the one of the two that signed."}
	identity, recovery := aliceKey.Public(), aliceRecovery.Public()
	keys := map[string]string{"identity": hex.EncodeToString(identity[:]), "recovery": hex.EncodeToString(recovery[:])}
	m := maker{"tombstone", LabelTombstone, aliceKey.seed, keys}
	f.Accepted = append(f.Accepted, m.good("a tombstone", tombstone()))
	f.Refused = m.forms(tombstone())
	ruleVectors(f, m, tombstone, tombstoneRules())
	s := tombstone()
	s.Signer = ByRecovery
	r := maker{"tombstone", LabelTombstone, aliceRecovery.seed, keys}
	f.Accepted = append(f.Accepted, r.good("by the recovery key", s))
	f.Refused = append(f.Refused, r.bad("by the recovery key, and says the identity key", "signer is not the key that signed", Tampered, EncodeCBOR(tombstone())))
	foreign := r.vector("by another key, and says the recovery key", EncodeCBOR(s), bobKey.seed)
	foreign.Error, foreign.Why = Tampered, "the signature is another person's"
	f.Refused = append(f.Refused, foreign)
	return f
}
