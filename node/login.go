package node

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/netip"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Log-in in two steps. The node keeps nothing between them but what spares it a
// second look: it knows its challenge again by the tag, and what was answered by a
// record that exists once. Who does not exist is treated, step by step, like who does
// (TestLoginTellsNothing).

const spentPrefix = "spent/"

// spentKey is where a challenge is marked as answered, in the order in which
// challenges expire:
//
//	spent/0000018f5e66e800/<nonce>
func spentKey(c *wire.Challenge) string {
	return keyOf(spentPrefix+hex16(uint64(c.Expires))+"/", c.Nonce)
}

// hex16 writes a number so that strings sort as numbers do.
func hex16(v uint64) string {
	var number [8]byte
	var text [16]byte
	binary.BigEndian.PutUint64(number[:], v)
	hex.Encode(text[:], number[:])
	return string(text[:])
}

func unauthenticated() error { return wire.Errorf(wire.Unauthenticated, "", "") }

// Challenge begins a log-in of whoever asks from an address of the network. It
// errs with wire.Invalid for what is no handle or purpose, and wire.Throttled.
func (n *Node) Challenge(ctx context.Context, req wire.ChallengeRequest, from netip.Addr) (wire.ChallengeReply, error) {
	c := n.challenge(req.Handle, req.Purpose)
	if err := checkAsked(c); err != nil {
		return wire.ChallengeReply{}, err
	}
	if err := n.door.throttle.take(ctx, askChallenge, network(from)); err != nil {
		return wire.ChallengeReply{}, err
	}
	_, _, changes := n.door.asked.get(req.Handle)
	who, err := n.candidate(ctx, req.Handle)
	if err != nil {
		return wire.ChallengeReply{}, err
	}
	if n.news == nil { // another process of this node does not say when a vault changes
		n.door.asked.remember(req.Handle, who, changes)
	}
	c.Nonce = wire.Nonce(random32())
	c.Expires = n.now().Add(wire.ChallengeLifetime).UnixMilli()
	return wire.ChallengeReply{
		Random: who.random, Argon2: who.argon2,
		Nonce: c.Nonce, Expires: c.Expires, Tag: n.challengeTag(c.Bytes()),
	}, nil
}

// Login answers a challenge and opens a session. Whatever is wrong with the
// answer, the error is wire.Unauthenticated without a reason; besides there are
// wire.Invalid for what is no request and wire.Throttled.
func (n *Node) Login(ctx context.Context, req wire.LoginRequest, from netip.Addr) (wire.LoginReply, error) {
	c := n.challenge(req.Handle, req.Purpose)
	c.Nonce, c.Expires = req.Nonce, req.Expires
	if err := checkAsked(c); err != nil {
		return wire.LoginReply{}, err
	}
	if err := checkDeviceName(req.Device); err != nil {
		return wire.LoginReply{}, err
	}
	if err := n.door.throttle.take(ctx, askLogin, network(from)); err != nil {
		return wire.LoginReply{}, err
	}
	encoded := c.Bytes()
	tag := n.challengeTag(encoded)
	if !hmac.Equal(tag[:], req.Tag[:]) || c.Expires <= n.now().UnixMilli() {
		return wire.LoginReply{}, unauthenticated()
	}
	who, err := n.whoWasAsked(ctx, req.Handle)
	if err != nil {
		return wire.LoginReply{}, err
	}
	device, err := n.knownDevice(ctx, who.account, req.DeviceToken)
	if err != nil {
		return wire.LoginReply{}, err
	}
	try, err := n.door.throttle.attempt(ctx, claimsOf(req, device, from)...)
	if err != nil {
		return wire.LoginReply{}, err
	}
	if !who.answers(req.Answer, c.Purpose, encoded) {
		return wire.LoginReply{}, unauthenticated()
	}
	reply, err := n.enter(ctx, c, who, req, device, from)
	if errors.Is(err, wire.Unauthenticated) { // a challenge that was spent before is a failure
		return reply, err
	}
	if failed := try.succeeded(ctx); failed != nil {
		n.log.Warn("a log-in was not given back to its budget", "error", failed)
	}
	return reply, err
}

// enter opens the session of somebody who has answered the challenge. That somebody
// with a password also has to show a code is told to nobody else.
func (n *Node) enter(ctx context.Context, c *wire.Challenge, who candidate, req wire.LoginRequest, device string, from netip.Addr) (wire.LoginReply, error) {
	if c.Purpose == wire.PurposeLogin {
		var shown *shownCode
		if req.Code != nil {
			shown = &shownCode{*req.Code, from}
		}
		if err := n.passes(ctx, who.account, shown); err != nil {
			return wire.LoginReply{}, err
		}
	}
	return n.openSession(ctx, c, who, req, device)
}

// challenge returns the challenge as it is bound to this node.
func (n *Node) challenge(h wire.Handle, p wire.Purpose) *wire.Challenge {
	return &wire.Challenge{Version: wire.Version, Suite: wire.Suite, Node: n.name, Handle: h, Purpose: p}
}

// challengeTag is HMAC-SHA256(secret, label || 0x00 || CBOR of the challenge).
func (n *Node) challengeTag(c []byte) wire.Hash { return n.mac(wire.LabelChallengeTag, c) }

// mac takes its states from a pool: to make one takes longer than to use it.
func (n *Node) mac(l wire.Label, message []byte) (sum wire.Hash) {
	m, ok := n.macs.Get().(*macState)
	if !ok {
		secret := n.secret.Reveal()
		m = &macState{Hash: hmac.New(sha256.New, secret[:])}
	}
	m.room = append(append(append(m.room[:0], l...), 0), message...) // as l.Message
	m.Write(m.room)
	m.room = m.Sum(m.room[:0])
	sum = wire.Hash(m.room)
	m.Reset()
	n.macs.Put(m)
	return sum
}

// A macState has the node's secret in it.
type macState struct {
	hash.Hash
	room []byte // for messages and sums
}

// claimsOf says whose budgets a failure burns. The device is the key of one that is
// known, or empty.
func claimsOf(req wire.LoginRequest, device string, from netip.Addr) []claim {
	switch {
	case req.Purpose == wire.PurposeRecovery: // also on a device where the password was guessed at
		return []claim{{recoveryAddress, network(from)}}
	case device != "":
		return []claim{{guessDevice, device}}
	}
	return []claim{{guessAccount, string(req.Handle)}, {guessAddress, network(from)}}
}

// A candidate is who might be behind a handle.
type candidate struct {
	exists          bool
	account         wire.AccountID
	random          wire.Nonce
	argon2          wire.Argon2
	login, recovery wire.LoginKey
	era             uint64 // of the sessions that open now
}

// askedCacheSize is how many are remembered from a challenge to its answer, 300 bytes
// each, whether they exist or not. As soon as one of them may have become another,
// by a registration or a change of a vault, all are forgotten: how long the answer
// takes tells nothing of one.
const askedCacheSize = 1000

// whoWasAsked is candidate for a handle for which there was a challenge.
func (n *Node) whoWasAsked(ctx context.Context, h wire.Handle) (candidate, error) {
	if who, known, _ := n.door.asked.get(h); known {
		return who, nil
	}
	return n.candidate(ctx, h)
}

// candidate looks the handle up. For one that nobody has, or that was deleted,
// it makes somebody up, the same each time: a salt that no password fits, a
// key that nobody has. It costs as much.
func (n *Node) candidate(ctx context.Context, h wire.Handle) (candidate, error) {
	decoy := n.decoy(h)
	account, err := n.account(ctx, h)
	exists := err == nil
	if errors.Is(err, wire.NotExist) {
		account = decoy.account
	} else if err != nil {
		return candidate{}, fmt.Errorf("look up account: %w", err)
	}
	slots, era, err := n.slots(ctx, account)
	if errors.Is(err, wire.NotExist) {
		exists = false
		account = decoy.account
		if slots, err = storedSlots(n.nobody); err == nil {
			slots.Random = decoy.random
		}
	}
	if err != nil {
		return candidate{}, fmt.Errorf("look up slots: %w", err)
	}
	return candidate{exists, account, slots.Random, slots.Argon2, slots.Login, slots.RecoveryLogin, era}, nil
}

// A decoy is what is of their own of whom the node makes up behind a handle.
type decoy struct {
	account wire.AccountID
	random  wire.Nonce
}

func (n *Node) decoy(h wire.Handle) decoy {
	random := n.mac(wire.LabelFakeSalt, []byte(h))
	// What follows never leaves the node; a slash is in no handle.
	account := n.mac(wire.LabelFakeSalt, []byte(string(h)+"/account"))
	return decoy{wire.AccountID(account), wire.Nonce(random)}
}

// makeNobody encodes the slots of all decoys, but for their random bytes. They are
// decoded in each log-in of one, as those of others are. The keys in them never leave
// the node, so they may be the same.
func (n *Node) makeNobody() []byte {
	return wire.EncodeCBOR(&wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Argon2: wire.DefaultArgon2,
		Login: n.nobodysKey("/login"), PasswordSlot: make([]byte, 128),
		RecoveryLogin: n.nobodysKey("/recovery"), RecoverySlot: make([]byte, wire.SelfKeySize),
	})
}

func (n *Node) nobodysKey(name string) wire.LoginKey {
	return wire.NewLoginSecret(n.mac(wire.LabelFakeSalt, []byte(name))).Public()
}

// answers reports whether answer is the encoded challenge, signed with the key that
// its purpose asks for.
func (who candidate) answers(answer wire.Signed, p wire.Purpose, challenge []byte) bool {
	key := who.login
	if p == wire.PurposeRecovery {
		key = who.recovery
	}
	return wire.AnswersChallenge(answer, challenge, key) && who.exists
}

// checkAsked checks what a member that is absent or null in JSON leaves empty.
func checkAsked(c *wire.Challenge) error {
	if c.Purpose != wire.PurposeLogin && c.Purpose != wire.PurposeRecovery {
		return wire.Errorf(wire.Invalid, "purpose", "login or recovery was expected")
	}
	_, err := wire.ParseHandle(string(c.Handle))
	return err
}

func (n *Node) newToken() wire.Token { return wire.NewToken(random32()) }

// random32 returns 32 random bytes. It cannot fail: crypto/rand ends the program first.
func random32() (b [32]byte) {
	rand.Read(b[:])
	return b
}
