package node

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

const visitorNode = wire.NodeName("node.example")

var someAddress = netip.MustParseAddr("192.0.2.7")

// A visitor is somebody with real keys who registers and logs in, as a client
// does it; package client cannot be used here.
type visitor struct {
	handle   wire.Handle
	identity wire.IdentitySecret
	keySeq   uint64 // of the key statement that has identity
	login    wire.LoginSecret
	recovery wire.RecoveryLoginSecret
	slots    *wire.Slots
	request  wire.RegisterRequest
	account  wire.AccountID
}

func newVisitor(t testing.TB, node wire.NodeName, handle wire.Handle, now time.Time) *visitor {
	t.Helper()
	v := &visitor{
		handle: handle, identity: wire.NewIdentitySecret(random32()),
		login: wire.NewLoginSecret(random32()), recovery: wire.NewRecoveryLoginSecret(random32()),
	}
	recovery := wire.NewRecoverySecret(random32())
	k := &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: handle, Node: node,
		Identity: v.identity.Public(), Encryption: encryptionKey(t), Recovery: recovery.Public(),
		RecoveryBox: encryptionKey(t), SealedSelfKey: make([]byte, wire.SelfKeySize),
		Signer: wire.ByIdentity, Created: now.UnixMilli(),
	}
	statement, err := k.Sign(v.identity)
	if err != nil {
		t.Fatal(err)
	}
	v.account = wire.AccountID(statement.Hash(wire.LabelKeyStatement))
	v.slots = &wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: random32(), Argon2: wire.DefaultArgon2,
		Login: v.login.Public(), PasswordSlot: make([]byte, 128),
		RecoveryLogin: v.recovery.Public(), RecoverySlot: make([]byte, wire.SelfKeySize),
	}
	slots, err := v.slots.Encode()
	if err != nil {
		t.Fatal(err)
	}
	vault := make([]byte, 1000)
	rand.Read(vault)
	head, err := (&wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: v.account, Counter: 1,
		VaultHash: wire.VaultHash(vault), SlotsHash: wire.SlotsHash(slots), Created: now.UnixMilli(),
	}).Sign(v.identity)
	if err != nil {
		t.Fatal(err)
	}
	v.request = wire.RegisterRequest{KeyStatement: statement, Vault: wire.VaultRecord{Head: head, Slots: slots, Vault: vault}}
	return v
}

func encryptionKey(t testing.TB) [1216]byte {
	t.Helper()
	k, err := wire.KEM().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return [1216]byte(k.PublicKey().Bytes())
}

// answer is the request that answers c; change may spoil what is signed.
func (v *visitor) answer(t testing.TB, node wire.NodeName, purpose wire.Purpose, c wire.ChallengeReply, change func(*wire.Challenge)) wire.LoginRequest {
	t.Helper()
	signed := &wire.Challenge{
		Version: wire.Version, Suite: wire.Suite, Node: node, Handle: v.handle, Purpose: purpose, Nonce: c.Nonce, Expires: c.Expires,
	}
	if change != nil {
		change(signed)
	}
	answer, err := signed.Sign(v.login)
	if purpose == wire.PurposeRecovery {
		answer, err = signed.SignRecovery(v.recovery)
	}
	if err != nil {
		t.Fatal(err)
	}
	return wire.LoginRequest{
		Handle: v.handle, Purpose: purpose, Nonce: c.Nonce, Expires: c.Expires, Tag: c.Tag, Answer: answer, Device: "ann's laptop",
	}
}

// loginNode is a node in memory with its clock, and somebody registered there.
type loginNode struct {
	*Node
	t     testing.TB
	clock *testClock
	store *storetest.Counter
	ann   *visitor
}

func newLoginNode(t testing.TB, own store.Store) *loginNode {
	t.Helper()
	l := &loginNode{t: t, clock: newTestClock(), store: storetest.Count(own)}
	copies := storetest.NewMemory()
	n, err := Open(t.Context(), Options{Name: visitorNode, Own: l.store, Copies: copies, Now: l.clock.now, SyncInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	l.Node = n
	<-n.warmed // what it reads does not count
	t.Cleanup(func() {
		if err := n.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		own.Close()
		copies.Close()
	})
	l.ann = newVisitor(t, visitorNode, "ann", l.clock.now())
	if _, err := n.Register(t.Context(), l.ann.request); err != nil {
		t.Fatal(err)
	}
	return l
}

// challenges asks for a challenge; from a new address each time, so that only
// what is tested is throttled.
func (l *loginNode) challenges(t testing.TB, h wire.Handle, p wire.Purpose) wire.ChallengeReply {
	t.Helper()
	c, err := l.Challenge(t.Context(), wire.ChallengeRequest{Handle: h, Purpose: p}, newAddress())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// logsIn logs ann in.
func (l *loginNode) logsIn(t testing.TB) wire.LoginReply {
	t.Helper()
	c := l.challenges(t, "ann", wire.PurposeLogin)
	reply, err := l.Login(t.Context(), l.ann.answer(t, visitorNode, wire.PurposeLogin, c, nil), newAddress())
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// newAddress is an address of a network nobody else is in.
func newAddress() netip.Addr {
	b := random32()
	return netip.AddrFrom16([16]byte(b[:16]))
}
