package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// A growth is a node that many people have lived on for a year: each has a number
// of friends, their neighbours in a ring, and has written a number of posts, in
// turn with all others. All is signed; what is sealed are random bytes, as a node
// sees them. The stores are written in the order of keys, since a B-tree is filled
// in minutes that way.
type growth struct {
	name                   wire.NodeName
	posts, people, friends int // posts in all, friends of each

	own     store.Store
	now     int64 // ms since 1970, of the last post
	all     []*grownPerson
	byKey   []*grownPerson // in order of accounts
	batch   []store.Change
	size    int
	random  *mathrand.ChaCha8
	ids     []grownID
	written int
}

// A grownPerson is one of them.
type grownPerson struct {
	number    int
	handle    wire.Handle
	account   wire.AccountID
	audience  wire.AudienceID
	content   wire.Commitment
	identity  wire.IdentitySecret
	statement wire.Signed
	vault     wire.VaultRecord
	head      wire.VaultHead
}

// A grownID is an entry's id, and where it stands.
type grownID struct {
	id  wire.EntryID
	by  *grownPerson
	seq uint64
}

// A grownKey is what a client needs to be one of them. All of them have a session,
// and one audience in its first epoch.
type grownKey struct {
	Handle   wire.Handle     `json:"handle"`
	Account  wire.AccountID  `json:"account"`
	Audience wire.AudienceID `json:"audience"`
	Content  wire.Commitment `json:"content"`
	Keys     wire.Signed     `json:"keys"`
	Vault    wire.Signed     `json:"vault"` // its head
	Identity wire.Bytes      `json:"identity"`
	Login    wire.Bytes      `json:"login"`
	Token    wire.Bytes      `json:"token"`
}

// grownPeople is the file with the name of the node and the keys of its people,
// beside the stores.
const grownPeople = "people.json"

const grownBody = 1096 // bytes that package client makes of a text of 600

func grownSeed(what string, number int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, number))
}

func (g *growth) grow(t testing.TB, data string) {
	g.now = time.Now().UnixMilli()
	g.random = mathrand.NewChaCha8(grownSeed("random", g.people))
	own := must(bolt.Open(filepath.Join(data, "own.db"), bolt.Options{}))
	g.own = own
	keys := someKeys(t)
	g.all = make([]*grownPerson, g.people)
	g.inParallel(func(i int) []store.Change { g.all[i] = g.found(i, keys); return nil })
	g.byKey = slices.Clone(g.all)
	slices.SortFunc(g.byKey, func(a, b *grownPerson) int { return strings.Compare(a.account.String(), b.account.String()) })
	for _, write := range []func(){
		g.accounts, g.entries, g.friendships, g.handles, g.idRecords, g.keys, g.leaves, g.doors, g.vaults, g.wraps,
	} {
		write()
	}
	g.put(store.Change{Key: nameKey, Value: []byte(g.name)}, put(elsewherePrefix, &elsewhereRecord{recordVersion}))
	g.flush()
	copies := must(bolt.Open(filepath.Join(data, "copies.db"), bolt.Options{}))
	o := Options{Name: g.name, Development: true, Own: own, Copies: copies, Log: slog.New(slog.DiscardHandler)}
	n := must(Open(t.Context(), o)) // writes what every node has
	must(0, n.Close(context.Background()))
	must(0, copies.Close())
	must(0, own.Close())
	must(0, g.writeKeys(filepath.Join(data, grownPeople)))
}

// writeKeys writes the keys of all people into a file.
func (g *growth) writeKeys(path string) error {
	out := struct {
		Node   wire.NodeName `json:"node"`
		People []grownKey    `json:"people"`
	}{Node: g.name}
	seed := func(what string, p *grownPerson) wire.Bytes { s := grownSeed(what, p.number); return s[:] }
	for _, p := range g.all {
		out.People = append(out.People, grownKey{
			p.handle, p.account, p.audience, p.content, p.statement, p.vault.Head, seed("identity", p), seed("login", p), seed("token", p),
		})
	}
	return os.WriteFile(path, must(json.Marshal(out)), 0o600)
}

// put adds a change to the batch, and writes it when it is large.
func (g *growth) put(changes ...store.Change) {
	for _, c := range changes {
		g.batch = append(g.batch, c)
		g.size += len(c.Key) + len(c.Value)
	}
	if g.size > 4<<20 {
		g.flush()
	}
}

func (g *growth) flush() {
	if len(g.batch) > 0 {
		must(0, g.own.Apply(context.Background(), g.batch...))
	}
	g.written += len(g.batch)
	g.batch, g.size = g.batch[:0], 0
}

// inParallel writes what make makes for each number of a person, in their order,
// and makes it on all cores.
func (g *growth) inParallel(make1 func(i int) []store.Change) {
	made := make([]chan []store.Change, g.people)
	for i := range made {
		made[i] = make(chan []store.Change, 1)
	}
	places := make(chan struct{}, 4*runtime.NumCPU())
	go func() {
		for i := range made {
			places <- struct{}{}
			go func() { made[i] <- make1(i) }()
		}
	}()
	for i := range made {
		g.put(<-made[i]...)
		<-places
	}
}

// found makes a person.
func (g *growth) found(i int, keys [2][1216]byte) *grownPerson {
	p := &grownPerson{
		number: i, handle: wire.Handle(fmt.Sprintf("person%06d", i)), identity: wire.NewIdentitySecret(grownSeed("identity", i)),
		audience: wire.AudienceID(grownSeed("audience", i)), content: wire.Commitment(grownSeed("content", i)),
	}
	statement := wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: p.handle, Node: g.name, Identity: p.identity.Public(), Encryption: keys[0],
		Recovery: wire.NewRecoverySecret(grownSeed("recovery", i)).Public(), RecoveryBox: keys[1], SealedSelfKey: sealedLike(wire.SelfKeySize),
		Signer: wire.ByIdentity, Created: g.born(),
	}
	p.statement = must(statement.Sign(p.identity))
	p.account = wire.AccountID(p.statement.Hash(wire.LabelKeyStatement))
	slots := wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: grownSeed("slots", i), Argon2: wire.DefaultArgon2,
		Login: wire.NewLoginSecret(grownSeed("login", i)).Public(), PasswordSlot: sealedLike(sealedKeySize),
		RecoveryLogin: wire.NewRecoveryLoginSecret(grownSeed("recovery login", i)).Public(), RecoverySlot: sealedLike(wire.SelfKeySize),
	}
	sealed := sealedLike(testVault)
	copy(sealed, p.account[:])
	p.vault = wire.VaultRecord{Slots: must(slots.Encode()), Vault: sealed}
	p.head = wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: p.account, Counter: 1,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(p.vault.Slots), Created: g.born(),
	}
	p.vault.Head = must(p.head.Sign(p.identity))
	return p
}

const grownYear = 365 * 24 * time.Hour

// born is when all of them came.
func (g *growth) born() int64 { return g.now - grownYear.Milliseconds() }

func (g *growth) accounts() {
	for _, p := range g.byKey {
		g.put(put(accountKey(p.account), &accountRecord{recordVersion, p.handle}))
	}
}

// entries writes the streams: an epoch, and then posts.
func (g *growth) entries() {
	each := g.posts / g.people
	ids := make([][]grownID, g.people)
	g.inParallel(func(i int) (changes []store.Change) {
		p := g.byKey[i]
		random := mathrand.NewChaCha8(grownSeed("posts", p.number))
		name := streamName{p.account, p.audience}
		body := must((&wire.EpochBody{
			Version: wire.Version, Suite: wire.Suite, Content: p.content, Chain: wire.Commitment(p.content),
			VaultHead: p.vault.Head, SealedSecret: sealedLike(sealedKeySize),
		}).Encode())
		at := streamHead{}
		add := func(kind wire.EntryKind, body []byte, created int64) {
			h := &wire.EntryHeader{
				Version: wire.Version, Suite: wire.Suite, Author: p.account, Audience: p.audience, Seq: at.Seq + 1, Prev: at.ID,
				Created: created, Kind: kind, Epoch: 1, BodyHash: wire.BodyHash(body), BodySize: uint64(len(body)),
			}
			e := wire.Entry{Header: must(h.Sign(p.identity)), Body: body}
			after := must(at.Next(h, e.ID()))
			var epoch *wire.EpochBody
			if kind == wire.KindEpoch {
				epoch = &wire.EpochBody{Content: p.content}
			}
			d := newDraft(at, after, h, e, epoch, created)
			at = d.head
			changes = append(changes, put(entryKey(name, at.Seq), d.record))
			ids[i] = append(ids[i], grownID{at.ID, p, at.Seq})
		}
		add(wire.KindEpoch, body, g.born())
		for k := range each {
			body := make([]byte, grownBody)
			random.Read(body)
			add(wire.KindPost, body, g.born()+grownYear.Milliseconds()*int64(k*g.people+p.number)/int64(each*g.people))
		}
		return changes
	})
	g.ids = slices.Concat(ids...)
}

func (g *growth) token(p *grownPerson) wire.Token {
	return wire.NewSessionToken(p.account, grownSeed("token", p.number))
}

// friendsOf returns the friends of a person, in order of accounts.
func (g *growth) friendsOf(p *grownPerson) []*grownPerson {
	var list []*grownPerson
	for d := 1; d <= min(g.friends/2, (g.people-1)/2); d++ {
		list = append(list, g.all[(p.number+d)%g.people], g.all[(p.number-d+g.people)%g.people])
	}
	slices.SortFunc(list, func(a, b *grownPerson) int { return strings.Compare(a.account.String(), b.account.String()) })
	return list
}

// friendships writes the records of all pairs: the one with the lower number
// offered, the other accepted.
func (g *growth) friendships() {
	g.inParallel(func(i int) (changes []store.Change) {
		me := g.byKey[i]
		for _, other := range g.friendsOf(me) {
			first, second := me, other
			if other.number < me.number {
				first, second = other, me
			}
			offer := &wire.Offer{
				Version: wire.Version, Suite: wire.Suite, From: first.account, FromHandle: first.handle, FromNode: g.name,
				To: second.account, ToHandle: second.handle, ToNode: g.name, Audience: first.audience, Created: g.born(),
			}
			offered := must(offer.Sign(first.identity))
			hash := offered.Hash(wire.LabelOffer)
			accept := &wire.Accept{
				Version: wire.Version, Suite: wire.Suite, From: second.account, To: first.account, Offer: hash, Audience: second.audience, Created: g.born() + 1,
			}
			accepted := must(accept.Sign(second.identity))
			r := &friendRecord{Version: recordVersion, Handle: other.handle, Node: g.name, Friendship: wire.Friendship{Me: me.account, Other: other.account}}
			if me == first {
				r.OfferMade, r.AcceptGot = offered, accepted
			} else {
				r.OfferGot, r.AcceptMade = offered, accepted
			}
			must(0, r.Friendship.AddOffer(offer, hash))
			must(0, r.Friendship.AddAccept(accept))
			changes = append(changes, put(friendKey(pair{me.account, other.account}), r))
		}
		return changes
	})
}

func (g *growth) handles() {
	for _, p := range g.all {
		g.put(put(handleKey(p.handle), &handleRecord{Version: recordVersion, Account: p.account}))
	}
}

func (g *growth) idRecords() {
	slices.SortFunc(g.ids, func(a, b grownID) int { return bytes.Compare(a.id[:], b.id[:]) })
	for _, id := range g.ids {
		g.put(idChange(streamName{id.by.account, id.by.audience}, id.seq, id.id))
	}
	g.ids = nil
}

func (g *growth) keys() {
	for _, p := range g.byKey {
		g.put(put(statementsKey(p.account)+hex16(0), &statementRecord{recordVersion, p.statement}))
	}
}

// leaves writes the log of key statements: what follows from it is written when the node
// is opened.
func (g *growth) leaves() {
	for i, p := range g.byKey {
		leaf := &wire.LogLeaf{
			Version: wire.Version, Suite: wire.Suite, Address: wire.LogAddress(wire.Address{Handle: p.handle, Node: g.name}), Account: p.account, Statement: wire.Hash(p.account),
		}
		g.put(put(leafKey(uint64(i)), &leafRecord{recordVersion, must(leaf.Encode())}))
	}
}

// doors writes sessions.
func (g *growth) doors() {
	var sessions []store.Change
	for _, p := range g.all {
		s := &session{Version: recordVersion, Account: p.account, Handle: p.handle, Device: "a load", Created: g.born(), Expires: g.now + grownYear.Milliseconds()}
		sessions = append(sessions, put(sessionKey(wire.ShelfOf(p.account), g.token(p).Hash(wire.LabelToken)), s))
	}
	g.put(sessions...)
}

func (g *growth) vaults() {
	for _, group := range []func(p *grownPerson) store.Change{
		func(p *grownPerson) store.Change {
			return put(sealedKey(p.account, p.head.VaultHash), &sealedRecord{recordVersion, p.vault.Vault})
		},
		func(p *grownPerson) store.Change {
			return put(vaultKey(p.account), &vaultRecord{Version: recordVersion, Head: p.vault.Head, Slots: p.vault.Slots})
		},
		func(p *grownPerson) store.Change {
			return put(vheadKey(p.account, 1, headHash(p.vault.Head)), &statementRecord{recordVersion, p.vault.Head})
		},
	} {
		for _, p := range g.byKey {
			g.put(group(p))
		}
	}
}

func (g *growth) wraps() {
	for _, p := range g.byKey {
		for _, reader := range g.friendsOf(p) {
			sealed := make([]byte, wire.WrapSize)
			g.random.Read(sealed)
			binary.BigEndian.PutUint64(sealed, uint64(p.number))
			g.put(put(wrapsKey(p.account, p.audience, p.content)+reader.account.String(), &wrapRecord{recordVersion, wire.Hash(reader.account), sealed}))
		}
	}
}

// TestGrowthIsSound: what the generator makes is what fsck takes for right.
func TestGrowthIsSound(t *testing.T) {
	data := t.TempDir()
	g := &growth{name: "localhost", posts: 200, people: 20, friends: 6}
	g.grow(t, data)
	var found []Finding
	report, err := FsckData(t.Context(), Config{Data: data}, FsckOptions{Found: func(f Finding) { found = append(found, f) }})
	if err != nil || len(found) > 0 || report.Records["own entry"] != 220 || report.Records["own friend"] != 120 || report.Unchecked > 0 {
		t.Errorf("got %+v, %v, %+v", report, err, found)
	}
}

// BenchmarkGrow makes a node in a folder, as large as the variables say (make grow).
func BenchmarkGrow(b *testing.B) {
	number := func(name string, otherwise int) int {
		if v := os.Getenv("PEERBRAIN_TEST_" + name); v != "" {
			return must(strconv.Atoi(v))
		}
		return otherwise
	}
	for range b.N {
		g := &growth{
			name:  wire.NodeName(fmt.Sprintf("localhost:%d", 20000+mathrand.IntN(12000))), // other nodes reach it there
			posts: number("POSTS", 10_000), people: number("PEOPLE", 100), friends: number("FRIENDS", 20),
		}
		data := os.Getenv("PEERBRAIN_TEST_GROW")
		if data == "" {
			data = b.TempDir()
		}
		g.grow(b, data)
		b.ReportMetric(float64(g.written), "records")
	}
}
