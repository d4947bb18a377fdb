package story_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A member is somebody with real keys who speaks to a node over HTTP as a client
// does, but makes only what a node looks at: no password is derived, and what is
// sealed is random bytes. So hundreds of them are there in a few seconds.
type member struct {
	testing.TB
	home      *server
	from      string // address in the network
	handle    wire.Handle
	account   wire.AccountID
	identity  wire.IdentitySecret
	login     wire.LoginSecret
	statement wire.Signed // of the keys
	vault     wire.Signed // head of the vault
	audience  wire.AudienceID
	content   wire.Commitment // of the newest epoch
	stream    wire.StreamHead
	token     wire.Token
	device    *wire.Token // nil until the first log-in
}

// newMember registers somebody, logs in and begins a stream.
func newMember(t testing.TB, home *server, handle string) *member {
	m := unregistered(t, home, handle)
	m.register()
	m.logIn()
	m.ask("POST", wire.PathEntries, wire.PublishRequest{Entry: m.epoch(m.content)}, nil)
	return m
}

func unregistered(t testing.TB, home *server, handle string) *member {
	from := random32()
	return &member{
		TB: t, home: home, from: fmt.Sprintf("10.%d.%d.%d", from[0], from[1], from[2]), handle: wire.Handle(handle), audience: random32(), content: random32(),
		identity: wire.NewIdentitySecret(random32()), login: wire.NewLoginSecret(random32()),
	}
}

// epoch signs the next entry, which begins an epoch.
func (m *member) epoch(content wire.Commitment) wire.Entry {
	body := &wire.EpochBody{
		Version: wire.Version, Suite: wire.Suite, Content: content, Chain: random32(), VaultHead: m.vault, SealedSecret: make([]byte, 100),
	}
	if m.stream.Epoch > 0 {
		body.Links = []wire.Link{{Epoch: m.stream.Epoch, Sealed: make([]byte, 100)}}
	}
	return m.entry(wire.KindEpoch, must(body.Encode()))
}

func (m *member) register() { m.ask("POST", wire.PathRegister, m.founding(), nil) }

// founding makes keys, slots and the first vault, and returns what registers them.
func (m *member) founding() wire.RegisterRequest {
	keys := memberKeys()
	now := time.Now().UnixMilli()
	m.statement = must((&wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: m.handle, Node: wire.NodeName(m.home.name),
		Identity: m.identity.Public(), Encryption: keys[0], Recovery: wire.NewRecoverySecret(random32()).Public(),
		RecoveryBox: keys[1], SealedSelfKey: make([]byte, wire.SelfKeySize), Signer: wire.ByIdentity, Created: now,
	}).Sign(m.identity))
	m.account = wire.AccountID(m.statement.Hash(wire.LabelKeyStatement))
	slots := must((&wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: random32(), Argon2: wire.DefaultArgon2,
		Login: m.login.Public(), PasswordSlot: make([]byte, 128),
		RecoveryLogin: wire.NewRecoveryLoginSecret(random32()).Public(), RecoverySlot: make([]byte, wire.SelfKeySize),
	}).Encode())
	sealed := make([]byte, 4096)
	m.vault = must((&wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: m.account, Counter: 1,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(slots), Created: now,
	}).Sign(m.identity))
	return wire.RegisterRequest{KeyStatement: m.statement, Vault: wire.VaultRecord{Head: m.vault, Slots: slots, Vault: sealed}}
}

// logIn opens a session.
func (m *member) logIn() {
	var c wire.ChallengeReply
	m.ask("POST", wire.PathChallenge, wire.ChallengeRequest{Handle: m.handle, Purpose: wire.PurposeLogin}, &c)
	var reply wire.LoginReply
	m.ask("POST", wire.PathLogin, m.answering(c), &reply)
	m.token, m.device = reply.Token, &reply.DeviceToken
}

// logInBy opens a session over a connection that stays.
func (m *member) logInBy(c *connection) {
	var challenge wire.ChallengeReply
	m.askBy(c, wire.PathChallenge, wire.ChallengeRequest{Handle: m.handle, Purpose: wire.PurposeLogin}, &challenge)
	var reply wire.LoginReply
	m.askBy(c, wire.PathLogin, m.answering(challenge), &reply)
	m.token, m.device = reply.Token, &reply.DeviceToken
}

// askBy asks the home node over a connection, and decodes its answer into out.
func (m *member) askBy(c *connection, path string, in, out any) {
	status, body, err := c.exchange(m.request("POST", path, in))
	if must(status, err) != 200 {
		panic(fmt.Sprintf("%s: %s: status %d, %s", m.handle, path, status, body))
	}
	must(0, wire.DecodeJSON(body, out))
}

// answering answers a challenge.
func (m *member) answering(c wire.ChallengeReply) wire.LoginRequest {
	answer := must((&wire.Challenge{
		Version: wire.Version, Suite: wire.Suite, Node: wire.NodeName(m.home.name), Handle: m.handle,
		Purpose: wire.PurposeLogin, Nonce: c.Nonce, Expires: c.Expires,
	}).Sign(m.login))
	return wire.LoginRequest{
		Handle: m.handle, Purpose: wire.PurposeLogin, Nonce: c.Nonce, Expires: c.Expires, Tag: c.Tag, Answer: answer, Device: "bench", DeviceToken: m.device,
	}
}

// loginRequests are both requests of a log-in, with an answer to no challenge.
func (m *member) loginRequests() [][]byte {
	answer := m.answering(wire.ChallengeReply{Expires: time.Now().UnixMilli()})
	return [][]byte{
		m.request("POST", wire.PathChallenge, wire.ChallengeRequest{Handle: m.handle, Purpose: wire.PurposeLogin}),
		m.request("POST", wire.PathLogin, answer),
	}
}

// entry signs the next entry, which counts as published.
func (m *member) entry(kind wire.EntryKind, body []byte) wire.Entry {
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: m.account, Audience: m.audience,
		Seq: m.stream.Seq + 1, Prev: m.stream.ID, Created: max(time.Now().UnixMilli(), m.stream.Created),
		Kind: kind, Epoch: m.stream.Epoch, BodyHash: wire.BodyHash(body), BodySize: uint64(len(body)),
	}
	if kind == wire.KindEpoch {
		h.Epoch = h.Seq
	}
	e := wire.Entry{Header: must(h.Sign(m.identity)), Body: body}
	m.stream = must(m.stream.Next(h, e.ID()))
	return e
}

// sealedPost is what package client makes of a text of 600 bytes: padded to
// 1,024, and 72 of salt, commitment and tag.
const sealedPost = 1024 + 24 + 32 + 16

// post signs the next post, and returns the request that publishes it.
func (m *member) post() []byte {
	body := make([]byte, sealedPost)
	rand.Read(body)
	e := m.entry(wire.KindPost, body)
	return m.request("POST", wire.PathEntries, wire.PublishRequest{Entry: e})
}

// request is a request of the member as it goes over the wire.
func (m *member) request(method, path string, in any) []byte {
	var body []byte
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, m.home.name)
	if !m.token.IsZero() {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", m.token.Reveal())
	}
	if in != nil {
		body = wire.EncodeJSON(in)
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", wire.MediaJSON, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// memberClient keeps as many connections as members are made at once.
var memberClient = &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: memberWorkers}}

// ask asks the home node and decodes its answer into out, nil for none. It asks again
// while the node says that it cannot answer now.
func (m *member) ask(method, path string, in, out any) {
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		status, got := m.try(method, path, in, out)
		if status < 300 {
			return
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			panic(fmt.Sprintf("%s: %s %s: status %d, %s", m.handle, method, path, status, got))
		}
	}
}

// try asks the home node, and returns what it refuses.
func (m *member) try(method, path string, in, out any) (status int, refused []byte) {
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(wire.EncodeJSON(in))
	}
	r := must(http.NewRequest(method, "http://"+m.home.listen+path, body))
	r.Host = m.home.name
	r.Header.Set("X-Forwarded-For", m.from)
	if in != nil {
		r.Header.Set("Content-Type", wire.MediaJSON)
	}
	if !m.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+m.token.Reveal())
	}
	answer := must(memberClient.Do(r))
	defer answer.Body.Close()
	got := must(io.ReadAll(answer.Body))
	if answer.StatusCode > 299 {
		return answer.StatusCode, got
	}
	if out != nil {
		must(0, wire.DecodeJSON(got, out))
	}
	return answer.StatusCode, nil
}

func (m *member) address() wire.Address {
	return wire.Address{Handle: m.handle, Node: wire.NodeName(m.home.name)}
}

// wraps hands in wraps of the newest epoch for readers, in as few requests as
// may be.
func (m *member) wraps(readers ...*member) {
	for batch := range slices.Chunk(readers, wire.MaxWrapBatch) {
		m.ask("POST", wire.PathWraps, m.wrapping(m.content, batch...), nil)
	}
}

// wrapping makes wraps of an epoch.
func (m *member) wrapping(content wire.Commitment, readers ...*member) wire.WrapsRequest {
	r := wire.WrapsRequest{Audience: m.audience, Commitment: content}
	for _, o := range readers {
		sealed := make([]byte, wire.WrapSize)
		rand.Read(sealed)
		r.Wraps = append(r.Wraps, wire.Wrap{Reader: o.account, Key: o.statement.Hash(wire.LabelKeyStatement), Sealed: sealed})
	}
	return r
}

// offer asks another for friendship, and returns the offer's hash.
func (m *member) offer(to *member) wire.Hash {
	r := m.offering(to, time.Now().UnixMilli())
	m.ask("POST", wire.PathFriends, r, nil)
	return r.Statement.Hash(wire.LabelOffer)
}

// offering makes an offer.
func (m *member) offering(to *member, created int64) wire.FriendRequest {
	return telling(to, wire.FriendOffer, must((&wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: m.account, FromHandle: m.handle, FromNode: wire.NodeName(m.home.name),
		To: to.account, ToHandle: to.handle, ToNode: wire.NodeName(to.home.name), Audience: m.audience, Created: created,
	}).Sign(m.identity)))
}

// accepting makes an acceptance.
func (m *member) accepting(from *member, offer wire.Hash, created int64) wire.FriendRequest {
	return telling(from, wire.FriendAccept, must((&wire.Accept{
		Version: wire.Version, Suite: wire.Suite, From: m.account, To: from.account, Offer: offer, Audience: m.audience, Created: created,
	}).Sign(m.identity)))
}

// telling hands in a statement about another.
func telling(about *member, kind wire.FriendKind, s wire.Signed) wire.FriendRequest {
	return wire.FriendRequest{Address: about.address(), FriendStatement: wire.FriendStatement{Kind: kind, Statement: s}}
}

// accept accepts an offer, as soon as it has arrived.
func (m *member) accept(from *member, offer wire.Hash) {
	r := m.accepting(from, offer, time.Now().UnixMilli())
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		status, refused := m.try("POST", wire.PathFriends, r, nil)
		if status < 300 {
			return
		}
		if status != http.StatusNotFound || time.Now().After(deadline) {
			panic(fmt.Sprintf("%s accepts %s: status %d, %s", m.handle, from.handle, status, refused))
		}
	}
}

// befriends makes friends of m and all others, each with a wrap for the other.
func (m *member) befriends(others []*member) {
	m.wraps(others...)
	inParallel(len(others), func(i int) {
		others[i].wraps(m)
		m.accept(others[i], others[i].offer(m))
	})
}

// newMembers registers so many people, called prefix and a number.
func newMembers(t testing.TB, home *server, prefix string, count int) []*member {
	list := make([]*member, count)
	inParallel(count, func(i int) { list[i] = newMember(t, home, fmt.Sprintf("%s%d", prefix, i)) })
	return list
}

const memberWorkers = 32

// inParallel calls do for each number below count, some at once.
func inParallel(count int, do func(i int)) {
	var all sync.WaitGroup
	for w := range memberWorkers {
		all.Go(func() {
			for i := w; i < count; i += memberWorkers {
				do(i)
			}
		})
	}
	all.Wait()
}

// memberKeys are two encryption keys that all members share, since they are slow
// to make: what is sealed to them is never opened.
var memberKeys = sync.OnceValue(func() (keys [2][1216]byte) {
	for i := range keys {
		keys[i] = [1216]byte(must(wire.KEM().GenerateKey()).PublicKey().Bytes())
	}
	return keys
})

func random32() (b [32]byte) {
	rand.Read(b[:])
	return b
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
