package wire

import (
	"bytes"
	"testing"
)

// chainOf signs a first statement and returns what a next one needs.
func chainOf(t testing.TB) (*KeyStatement, AccountID, Hash) {
	s := must(keyStatement().Sign(aliceKey))
	k, account, err := OpenFirstKeyStatement(s)
	if err != nil {
		t.Fatal(err)
	}
	if account != AccountID(s.Hash(LabelKeyStatement)) {
		t.Fatalf("account %s is not the hash of the first statement", account)
	}
	return k, account, Hash(account)
}

func nextStatement(account AccountID, prev Hash) *KeyStatement {
	k := keyStatement()
	k.Account, k.Seq, k.Prev, k.Created = account, 1, prev, t0+1
	k.Identity, k.Encryption = NewIdentitySecret(seedOf("alice identity 2")).Public(), encryptionKeyOf("alice encryption 2")
	return k
}

// A rule of the chain: how the second statement is spoilt, who signs it, and
// what comes of it.
type chainRule struct {
	name  string
	spoil func(*KeyStatement)
	key   seed
	want  Kind
}

func chainRules() []chainRule {
	byRecovery := func(k *KeyStatement) { k.Signer = ByRecovery }
	newRecovery := func(k *KeyStatement) {
		k.Recovery, k.RecoveryBox = NewRecoverySecret(seedOf("new recovery")).Public(), encryptionKeyOf("new recovery encryption")
	}
	nobody := newSeed(seedOf("nobody"))
	return []chainRule{
		{"by the identity key", func(*KeyStatement) {}, aliceKey.seed, ""},
		{"by the recovery key", byRecovery, aliceRecovery.seed, ""},
		{"recovery keys by the recovery key", func(k *KeyStatement) { byRecovery(k); newRecovery(k) }, aliceRecovery.seed, ""},
		{"recovery keys by the identity key", newRecovery, aliceKey.seed, Tampered},
		{"recovery key alone by the identity key", func(k *KeyStatement) { k.Recovery = NewRecoverySecret(seedOf("n")).Public() }, aliceKey.seed, Tampered},
		{"recovery box alone by the identity key", func(k *KeyStatement) { k.RecoveryBox = encryptionKeyOf("n") }, aliceKey.seed, Tampered},
		{"by identity, names recovery", byRecovery, aliceKey.seed, Tampered},
		{"by recovery, names identity", func(*KeyStatement) {}, aliceRecovery.seed, Tampered},
		{"by a stranger", func(*KeyStatement) {}, nobody, Tampered},
		{"by its own new key", func(*KeyStatement) {}, NewIdentitySecret(seedOf("alice identity 2")).seed, Tampered},
		{"unknown signer", func(k *KeyStatement) { k.Signer = 3 }, aliceKey.seed, Invalid},
		{"no signer", func(k *KeyStatement) { k.Signer = 0 }, aliceKey.seed, Invalid},
		{"seq twice", func(k *KeyStatement) { k.Seq = 2 }, aliceKey.seed, Tampered},
		{"seq 0", func(k *KeyStatement) { k.Seq = 0 }, aliceKey.seed, Invalid},
		{"seq above the limit", func(k *KeyStatement) { k.Seq = MaxInteger + 1 }, aliceKey.seed, Invalid},
		{"other account", func(k *KeyStatement) { k.Account = bob }, aliceKey.seed, Tampered},
		{"no account", func(k *KeyStatement) { k.Account = AccountID{} }, aliceKey.seed, Invalid},
		{"other previous", func(k *KeyStatement) { k.Prev[0] ^= 1 }, aliceKey.seed, Tampered},
		{"no previous", func(k *KeyStatement) { k.Prev = Hash{} }, aliceKey.seed, Invalid},
		{"other handle", func(k *KeyStatement) { k.Handle = "alicia" }, aliceKey.seed, Tampered},
		{"other node", func(k *KeyStatement) { k.Node = "other.example" }, aliceKey.seed, Tampered},
		{"other node by recovery", func(k *KeyStatement) { byRecovery(k); k.Node = "other.example" }, aliceRecovery.seed, Tampered},
		{"bad handle", func(k *KeyStatement) { k.Handle = "Alice" }, aliceKey.seed, Invalid},
		{"bad node", func(k *KeyStatement) { k.Node = "127.0.0.1" }, aliceKey.seed, Invalid},
		{"low order identity", func(k *KeyStatement) { k.Identity = IdentityKey{1} }, aliceKey.seed, Invalid},
		{"low order recovery", func(k *KeyStatement) { byRecovery(k); k.Recovery = RecoveryKey{1} }, aliceRecovery.seed, Invalid},
		{"zero encryption key", func(k *KeyStatement) { k.Encryption = EncryptionKey{} }, aliceKey.seed, Invalid},
		{"zero recovery encryption key", func(k *KeyStatement) { k.RecoveryBox = RecoveryEncryptionKey{} }, aliceKey.seed, Invalid},
		{"identity is recovery", func(k *KeyStatement) { k.Identity = IdentityKey(k.Recovery) }, aliceKey.seed, Invalid},
		{"encryption is recovery encryption", func(k *KeyStatement) { k.Encryption = EncryptionKey(k.RecoveryBox) }, aliceKey.seed, Invalid},
		{"short self key", func(k *KeyStatement) { k.SealedSelfKey = k.SealedSelfKey[1:] }, aliceKey.seed, Invalid},
		{"negative time", func(k *KeyStatement) { k.Created = -1 }, aliceKey.seed, Invalid},
		{"time after 9999", func(k *KeyStatement) { k.Created = MaxTime + 1 }, aliceKey.seed, Invalid},
		{"later version", func(k *KeyStatement) { k.Version = 2 }, aliceKey.seed, Update},
	}
}

func TestKeyStatementChain(t *testing.T) {
	first, account, hash := chainOf(t)
	for _, c := range chainRules() {
		k := nextStatement(account, hash)
		c.spoil(k)
		s := raw(LabelKeyStatement, EncodeCBOR(k), c.key)
		got, err := OpenNextKeyStatement(s, account, first, hash)
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", c.name, got, err)
		}
		if err == nil && !bytes.Equal(EncodeCBOR(got), EncodeCBOR(k)) {
			t.Errorf("%s: another statement came back", c.name)
		}
	}
	k := nextStatement(account, hash)
	k.Signer = ByRecovery
	_, err := OpenNextKeyStatement(raw(LabelKeyStatement, EncodeCBOR(k), newSeed(seedOf("nobody"))), account, first, hash)
	wantKind(t, "by a stranger, names recovery", err, Tampered)
	k.Signer = ByIdentity
	if s := must(k.Sign(aliceKey)); !bytes.Equal(s, raw(LabelKeyStatement, EncodeCBOR(k), aliceKey.seed)) {
		t.Error("Sign does not sign with the identity key")
	}
	k.Signer = ByRecovery
	if s := must(k.SignRecovery(aliceRecovery)); !bytes.Equal(s, raw(LabelKeyStatement, EncodeCBOR(k), aliceRecovery.seed)) {
		t.Error("SignRecovery does not sign with the recovery key")
	}
}

func TestFirstKeyStatement(t *testing.T) {
	for _, c := range []chainRule{
		{"as it should be", func(*KeyStatement) {}, aliceKey.seed, ""},
		{"by another key", func(*KeyStatement) {}, bobKey.seed, Tampered},
		{"by the recovery key", func(*KeyStatement) {}, aliceRecovery.seed, Tampered},
		{"by the recovery key, named", func(k *KeyStatement) { k.Signer = ByRecovery }, aliceRecovery.seed, Invalid},
		{"with an account", func(k *KeyStatement) { k.Account = alice }, aliceKey.seed, Invalid},
		{"with a previous", func(k *KeyStatement) { k.Prev = Hash(alice) }, aliceKey.seed, Invalid},
		{"not first", func(k *KeyStatement) { k.Seq, k.Account, k.Prev = 1, alice, Hash(alice) }, aliceKey.seed, Invalid},
		{"first by seq only", func(k *KeyStatement) { k.Account, k.Prev = alice, Hash(alice) }, aliceKey.seed, Invalid},
		{"not first by seq only", func(k *KeyStatement) { k.Seq = 1 }, aliceKey.seed, Invalid},
		{"identity key of low order", func(k *KeyStatement) { k.Identity = IdentityKey{1} }, aliceKey.seed, Invalid},
	} {
		k := keyStatement()
		c.spoil(k)
		got, account, err := OpenFirstKeyStatement(raw(LabelKeyStatement, EncodeCBOR(k), c.key))
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil) || (err == nil) == account.IsZero() {
			t.Errorf("%s: got %v of account %s with %v", c.name, got, account, err)
		}
	}
}

// A first statement cannot be continued as the next of another chain, nor the
// next opened as a first.
func TestChainsDoNotMix(t *testing.T) {
	first, account, hash := chainOf(t)
	_, err := OpenNextKeyStatement(must(keyStatement().Sign(aliceKey)), account, first, hash)
	wantKind(t, "the first again", err, Tampered)
	_, _, err = OpenFirstKeyStatement(must(nextStatement(account, hash).Sign(aliceKey)))
	wantKind(t, "the second as a first", err, Invalid)
}
