package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seedOf makes 32 fixed bytes of a name, so that all keys of the tests and of
// docs/vectors come again in each run.
func seedOf(name string) [32]byte { return sha256.Sum256([]byte("peerbrain test seed: " + name)) }

// encryptionKeyOf is the public half of the MLKEM768-X25519 key with that seed.
func encryptionKeyOf(name string) [1216]byte {
	seed := seedOf(name)
	k, err := KEM().NewPrivateKey(seed[:])
	if err != nil {
		panic(err)
	}
	return [1216]byte(k.PublicKey().Bytes())
}

func filled(n int, c byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = c
	}
	return b
}

// t0 is a fixed time, in ms since 1970.
const t0 = int64(1_790_000_000_000)

var (
	aliceKey      = NewIdentitySecret(seedOf("alice identity"))
	aliceRecovery = NewRecoverySecret(seedOf("alice recovery"))
	bobKey        = NewIdentitySecret(seedOf("bob identity"))
	rootKey       = NewNodeRootSecret(seedOf("node root"))
	requestKey    = NewNodeRequestSecret(seedOf("node requests"))
	loginKey      = NewLoginSecret(seedOf("alice login"))
	codeKey       = NewRecoveryLoginSecret(seedOf("alice recovery login"))

	alice    = AccountID(seedOf("account alice"))
	bob      = AccountID(seedOf("account bob"))
	audience = AudienceID(seedOf("audience of alice"))
)

func keyStatement() *KeyStatement {
	return &KeyStatement{
		Version: Version, Suite: Suite, Handle: "alice", Node: "node.example",
		Identity: aliceKey.Public(), Encryption: encryptionKeyOf("alice encryption"),
		Recovery: aliceRecovery.Public(), RecoveryBox: encryptionKeyOf("alice recovery encryption"),
		SealedSelfKey: filled(SelfKeySize, 0x5e), Signer: ByIdentity, Created: t0,
	}
}

func vaultHead() *VaultHead {
	return &VaultHead{
		Version: Version, Suite: Suite, Account: alice, Counter: 1,
		VaultHash: VaultHash([]byte("sealed vault")), SlotsHash: SlotsHash(must(slots().Encode())), Created: t0,
	}
}

func slots() *Slots {
	return &Slots{
		Version: Version, Suite: Suite, Random: seedOf("salt"), Argon2: DefaultArgon2,
		Login: loginKey.Public(), PasswordSlot: filled(104, 0xa1),
		RecoveryLogin: codeKey.Public(), RecoverySlot: filled(SelfKeySize, 0xa2),
	}
}

func epochBody() *EpochBody {
	return &EpochBody{
		Version: Version, Suite: Suite, Content: seedOf("content commitment"), Chain: seedOf("chain commitment"),
		VaultHead: must(vaultHead().Sign(aliceKey)), SealedSecret: filled(104, 0xe1),
	}
}

func epochEntry(body []byte) *EntryHeader {
	return &EntryHeader{
		Version: Version, Suite: Suite, Author: alice, Audience: audience, Seq: 1, Created: t0,
		Kind: KindEpoch, Epoch: 1, BodyHash: BodyHash(body), BodySize: uint64(len(body)),
	}
}

func postEntry(prev EntryID, body []byte) *EntryHeader {
	return &EntryHeader{
		Version: Version, Suite: Suite, Author: alice, Audience: audience, Seq: 2, Prev: prev, Created: t0 + 1,
		Kind: KindPost, Epoch: 1, BodyHash: BodyHash(body), BodySize: uint64(len(body)),
	}
}

func offer() *Offer {
	return &Offer{
		Version: Version, Suite: Suite, From: alice, FromHandle: "alice", FromNode: "node.example",
		To: bob, ToHandle: "bob", ToNode: "other.example", Audience: audience, Created: t0,
	}
}

func accept() *Accept {
	return &Accept{
		Version: Version, Suite: Suite, From: bob, To: alice, Offer: must(offer().Sign(aliceKey)).Hash(LabelOffer),
		Audience: AudienceID(seedOf("audience of bob")), Created: t0 + 1,
	}
}

func end(offers ...Hash) *End {
	if len(offers) == 0 {
		offers = []Hash{must(offer().Sign(aliceKey)).Hash(LabelOffer)}
	}
	return &End{Version: Version, Suite: Suite, From: bob, To: alice, Offers: offers, Created: t0 + 2}
}

func challenge() *Challenge {
	return &Challenge{
		Version: Version, Suite: Suite, Node: "node.example", Handle: "alice", Purpose: PurposeLogin,
		Nonce: seedOf("nonce"), Expires: t0 + 60_000,
	}
}

func headQuery() *HeadQuery {
	return &HeadQuery{Version: Version, Suite: Suite, Account: alice, Node: "other.example", Created: t0}
}

func recoveryQuery() *RecoveryQuery {
	return &RecoveryQuery{Version: Version, Suite: Suite, Handle: "alice", Home: "node.example", Node: "other.example", Created: t0}
}

func tombstone() *Tombstone {
	return &Tombstone{
		Version: Version, Suite: Suite, Account: alice, KeySeq: 1, Statement: Hash(seedOf("newest key statement")),
		Handle: "alice", Node: "node.example", Signer: ByIdentity, Created: t0,
	}
}

func nodeDocument() *NodeDocument {
	return &NodeDocument{
		Version: Version, Suite: Suite, Name: "node.example", Host: "api.node.example", Root: rootKey.Public(),
		Keys:   []NodeKey{{Purpose: KeyForRequests, Key: requestKey.Public(), NotBefore: t0, NotAfter: t0 + 1000}},
		Number: 1_790_000_000, Software: "peerbrain-node 0.1.0", OldestClient: 1, MaxPost: MaxSealedPost,
		Contact: "admin@node.example", Created: t0,
	}
}

func rootChange() *RootChange {
	return &RootChange{
		Version: Version, Suite: Suite, Name: "node.example", Old: rootKey.Public(),
		New: NewNodeRootSecret(seedOf("next node root")).Public(), Created: t0,
	}
}

// A sample is a valid statement of one kind with the key that opens it. fields
// is a fresh copy that a test may spoil before raw signs it without a check.
type sample struct {
	name   string
	label  Label
	key    seed
	limit  int
	fields func() checker
	open   func(Signed) (any, error)
}

// some drops the pointer's type but keeps nil.
func some[T any](v *T, err error) (any, error) {
	if v == nil {
		return nil, err
	}
	return v, err
}

func samples() []sample {
	return []sample{
		{"key statement", LabelKeyStatement, aliceKey.seed, MaxStatement, func() checker { return keyStatement() },
			func(s Signed) (any, error) { k, _, err := OpenFirstKeyStatement(s); return some(k, err) }},
		{"entry", LabelEntry, aliceKey.seed, MaxStatement, func() checker { return epochEntry([]byte("body")) },
			func(s Signed) (any, error) { return some(OpenEntryHeader(s, aliceKey.Public())) }},
		{"offer", LabelOffer, aliceKey.seed, MaxStatement, func() checker { return offer() },
			func(s Signed) (any, error) { return some(OpenOffer(s, aliceKey.Public())) }},
		{"accept", LabelAccept, bobKey.seed, MaxStatement, func() checker { return accept() },
			func(s Signed) (any, error) { return some(OpenAccept(s, bobKey.Public())) }},
		{"end", LabelEnd, bobKey.seed, MaxStatement, func() checker { return end() },
			func(s Signed) (any, error) { return some(OpenEnd(s, bobKey.Public())) }},
		{"vault head", LabelVaultHead, aliceKey.seed, MaxStatement, func() checker { return vaultHead() },
			func(s Signed) (any, error) { return some(OpenVaultHead(s, aliceKey.Public())) }},
		{"challenge", LabelLogin, loginKey.seed, MaxStatement, func() checker { return challenge() },
			func(s Signed) (any, error) { return some(OpenChallenge(s, loginKey.Public())) }},
		{"head query", LabelHeadQuery, aliceKey.seed, MaxStatement, func() checker { return headQuery() },
			func(s Signed) (any, error) { return some(OpenHeadQuery(s, aliceKey.Public())) }},
		{"recovery query", LabelRecoveryQuery, aliceRecovery.seed, MaxStatement, func() checker { return recoveryQuery() },
			func(s Signed) (any, error) { return some(OpenRecoveryQuery(s, aliceRecovery.Public())) }},
		{"tombstone", LabelTombstone, aliceKey.seed, MaxStatement, func() checker { return tombstone() },
			func(s Signed) (any, error) {
				return some(OpenTombstone(s, aliceKey.Public(), aliceRecovery.Public()))
			}},
		{"node document", LabelNodeDocument, rootKey.seed, MaxNodeDocument, func() checker { return nodeDocument() },
			func(s Signed) (any, error) { return some(OpenNodeDocument(s, "node.example")) }},
		{"root change", LabelRootChange, rootKey.seed, MaxStatement, func() checker { return rootChange() },
			func(s Signed) (any, error) { return some(OpenRootChange(s, "node.example")) }},
	}
}

// raw signs a payload as it is, as a hostile owner of the key can.
func raw(l Label, payload []byte, key seed) Signed {
	return append(Signed(ed25519.Sign(key.key(), l.Message(payload))), payload...)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wantKind fails unless err is of kind k; k "" wants no error.
func wantKind(t *testing.T, what string, err error, k Kind) {
	t.Helper()
	if k == "" && err != nil || k != "" && !errors.Is(err, k) {
		t.Errorf("%s: got %v (%s), want kind %q", what, err, kindName(err), k)
	}
}

func kindName(err error) string {
	if err == nil {
		return "none"
	}
	return fmt.Sprint(string(KindOf(err)))
}
