package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

var forgeNode = flag.String("node", "", "the `host:port` of a running node for TestForge to attack; without it the test starts one")

// An attack is the suite of forgeries against one node, with bob, who is
// registered there, and mallory, a person of the node that attacks.
type attack struct {
	*forgery.Suite
	*running
	bob, mallory *visitor
	offers       [2]wire.Signed // of mallory to bob
}

// attacks prepares an attack on r, which may be a node of another process.
func attacks(t *testing.T, r *running) *attack {
	t.Helper()
	var health wire.Health
	r.succeeds(t, "GET", wire.PathHealth, nil, nil, &health)
	r.name = health.Node
	a := &attack{running: r, Suite: &forgery.Suite{
		Addr: strings.TrimPrefix(r.url, "http://"), Name: health.Node, Blind: !health.Node.Development(),
		Me: forgery.Listen(t), Other: forgery.Listen(t),
	}}
	a.bob = newVisitor(t, r.name, wire.Handle(fmt.Sprintf("forge%x", sha256.Sum256([]byte(a.Me.Name+health.Node)))[:20]), time.Now())
	a.mallory = newVisitor(t, a.Me.Name, "mallory", time.Now())
	a.Me.Register(a.mallory.address(a.Me.Name), a.mallory.request.KeyStatement)
	for i := range a.offers {
		a.offers[i] = a.mallory.offers(t, a.Me.Name, a.bob, r.name, int64(i))
	}
	a.Routes = a.routes(t)
	return a
}

// begins registers bob and lets the node meet the two that attack.
func (a *attack) begins(t *testing.T) {
	t.Helper()
	a.succeeds(t, "POST", wire.PathRegister, nil, a.bob.request, nil)
	a.Meet(t, a.Me, a.Other)
	a.Controls(t)
}

func (v *visitor) address(n wire.NodeName) wire.Address {
	return wire.Address{Handle: v.handle, Node: n}
}

// offers signs an offer to somebody, the nth.
func (v *visitor) offers(t *testing.T, at wire.NodeName, to *visitor, there wire.NodeName, n int64) wire.Signed {
	t.Helper()
	s, err := (&wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: v.account, FromHandle: v.handle, FromNode: at, KeySeq: v.keySeq,
		To: to.account, ToHandle: to.handle, ToNode: there, Audience: wire.AudienceID(random32()), Created: time.Now().UnixMilli() + n,
	}).Sign(v.identity)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// delivery hands over one of mallory's offers.
func (a *attack) delivery(offer wire.Signed) wire.PeerFriendRequest {
	return wire.PeerFriendRequest{
		From: a.mallory.address(a.Me.Name), FromAccount: a.mallory.account, To: a.bob.address(a.name), ToAccount: a.bob.account,
		FriendStatement: wire.FriendStatement{Kind: wire.FriendOffer, Statement: offer},
	}
}

// routes has honest bodies for every path that leads to the verifier: a path
// that is not here fails all tests of this file.
func (a *attack) routes(t *testing.T) (all []forgery.Route) {
	t.Helper()
	stream := wire.SyncStream{Author: a.bob.account, Audience: random32(), Readers: []wire.SyncReader{{Account: a.mallory.account}}}
	other := stream
	other.Audience = random32()
	table := map[string]struct {
		body, other any
		check       func([]byte) error
	}{
		wire.PathPeerKeys: {
			wire.KeysRequest{Address: a.bob.address(a.name)}, wire.KeysRequest{Address: wire.Address{Handle: "nobody_here", Node: a.name}},
			replies(func(r wire.KeysReply) bool {
				return len(r.Statements) == 1 && reflect.DeepEqual(r.Statements[0], a.bob.request.KeyStatement)
			}),
		},
		wire.PathPeerFriends: {
			a.delivery(a.offers[0]), a.delivery(a.offers[1]),
			replies(func(r wire.PeerFriendReply) bool { return r.State == wire.StateIncoming }),
		},
		wire.PathPeerSync: {
			wire.SyncRequest{Streams: []wire.SyncStream{stream}}, wire.SyncRequest{Streams: []wire.SyncStream{other}},
			replies(func(r wire.SyncReply) bool {
				return len(r.Streams) == 1 && r.Streams[0].Audience == stream.Audience && r.Streams[0].Code == wire.NotExist
			}),
		},
		wire.PathPeerNotices: { // which is honest, and about nobody who is read here: what else would change is told by other tests
			wire.NoticeRequest{Streams: []wire.NoticedStream{{Author: a.mallory.account, Audience: stream.Audience, Head: 1}}},
			wire.NoticeRequest{Streams: []wire.NoticedStream{{Author: a.mallory.account, Audience: other.Audience, Head: 1}}},
			replies(func(wire.NoticeReply) bool { return true }),
		},
	}
	for _, path := range new(federation.Server).Paths() {
		row, ok := table[path]
		if !ok {
			t.Fatalf("there is no honest request to %s here: add it to the table", path)
		}
		all = append(all, forgery.Route{Path: path, Body: string(wire.EncodeJSON(row.body)), Other: string(wire.EncodeJSON(row.other)), Check: row.check})
	}
	if len(all) != len(table) || len(all) == 0 {
		t.Fatalf("%d routes, and honest requests for %d", len(all), len(table))
	}
	return all
}

// replies checks that an answer is of type T, and good.
func replies[T any](good func(T) bool) func([]byte) error {
	return func(body []byte) error {
		var v T
		if err := wire.DecodeJSON(body, &v); err != nil {
			return err
		}
		if !good(v) {
			return errors.New("the API would answer something else")
		}
		return nil
	}
}

// storedIn counts how often it found something else written to the two stores of a data
// folder: each write is in their logs first, so not even the same value was written again
// where the count is the same. A log that is gone has been moved into its file, whenever
// the store comes to that.
func storedIn(t *testing.T, folder string) func() string {
	seen, writes := map[string][]byte{}, 0
	return func() string {
		for _, name := range []string{"own.db.log0", "own.db.log1", "copies.db.log0", "copies.db.log1"} {
			b, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if len(b) > 0 && !bytes.Equal(b, seen[name]) {
				writes++
			}
			seen[name] = b
		}
		return strconv.Itoa(writes)
	}
}

// TestStoredIn: each write counts, the same value again too, and a look does not.
func TestStoredIn(t *testing.T) {
	folder := t.TempDir()
	own := must(bolt.Open(filepath.Join(folder, ownFile), bolt.Options{}))
	t.Cleanup(func() { own.Close() })
	state := storedIn(t, folder)
	before := state()
	for range 3 {
		if err := own.Apply(t.Context(), store.Change{Key: "name", Value: []byte("value")}); err != nil {
			t.Fatal(err)
		}
		now := state()
		if now == before || now != state() {
			t.Fatalf("after a write it is %s, and was %s", now, before)
		}
		before = now
	}
}

// TestForgeries attacks a node that it starts: on every route, each forgery is
// refused and changes no byte of the two stores, and the honest request passes
// before and after, and after a restart as well.
func TestForgeries(t *testing.T) {
	undetected(t)
	c := devConfig(t)
	a := attacks(t, runs(t, c))
	a.State = storedIn(t, c.Data)
	a.begins(t)
	a.Forgeries(t)
	a.Replays(t)
	a.Documents(t)
	a.Framing(t)
	a.Controls(t)
	a.Fetched(t, a.Me, a.Other)

	// What lies on the disk now is what a node that is killed leaves.
	rotates := forgery.Listen(t)
	a.Meet(t, rotates)
	c.Name, c.Listen, c.Data = a.name, a.Addr, copied(t, c.Data)
	a.running.ends(t)
	a.State = nil // the first request that verifies moves the replay mark
	old := rotates.Signer
	rotates.Request = forgery.NewSigner("").Request
	rotates.Publish(rotates.Good())
	rotates.Fetches.Store(0) // a new process knows nothing of the last fetch
	a.running = runs(t, c)
	a.Again(t)
	a.Meet(t, a.Me, rotates)
	a.State = storedIn(t, c.Data)
	a.Again(t)
	a.Controls(t)
	a.Disowned(t, "F10 a key that was used and then rotated out", rotates, old)
	a.Flood(t)
	t.Logf("%d forgeries on %d routes refused, %d controls passed", a.Refused, len(a.Routes), a.Passed)
}

// copied copies a data folder while its node runs, and nothing is written.
func copied(t *testing.T, folder string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"own.db", "copies.db", "own.db.log0", "own.db.log1", "copies.db.log0", "copies.db.log1"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if strings.Contains(name, ".log") && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	return to
}

// recordsIn reads all records of both stores from a copy, but for what verified
// requests move: the replay mark, the documents of nodes, and when the keys of
// somebody elsewhere were last asked for.
func recordsIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	folder = copied(t, folder)
	all := map[string]string{}
	for _, file := range []string{"own.db", "copies.db"} {
		s, err := bolt.Open(filepath.Join(folder, file), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range s.Scan(t.Context(), store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc([]string{"replay/", peerPrefix, domainPrefix, "address/"}, func(p string) bool { return strings.HasPrefix(rec.Key, p) }) {
				all[file+" "+rec.Key] = string(rec.Value)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d records are stored", len(all))
	}
	return all
}

// TestForge is the same from outside: nothing but requests, to a node that may
// run anywhere. It attacks what -node says, which "make forge NODE=host:port"
// sets, and without it a development node and one with a public name.
func TestForge(t *testing.T) {
	if *forgeNode != "" {
		forge(t, &running{url: "http://" + *forgeNode, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
		return
	}
	t.Run("development", func(t *testing.T) { forge(t, runs(t, devConfig(t))) })
	t.Run("public", func(t *testing.T) {
		c := devConfig(t)
		c.Dev, c.Name = false, "node.example"
		forge(t, runs(t, c))
	})
}

func forge(t *testing.T, r *running) {
	a := attacks(t, r)
	if a.Blind {
		t.Logf("WARNING: %s has a public name and cannot ask a node on loopback who it is. NO CONTROL IS RUN: "+
			"a node that refuses everything looks the same. Attack a development node (serve --dev) to tell them apart.", a.Name)
		a.Forgeries(t)
		a.Framing(t)
	} else {
		a.begins(t)
		a.Forgeries(t)
		a.Replays(t)
		a.Documents(t)
		a.Framing(t)
		a.Fetched(t, a.Me, a.Other)
		a.Flood(t)
	}
	t.Logf("%d forgeries on %d routes refused, %d controls passed", a.Refused, len(a.Routes), a.Passed)
}

// TestForeign is F11: requests of a node that is who it says, about people who
// are not its own. They are verified, so they are answered by the API and not
// with the one 401; what they are told is decided by the request alone, or is the
// same as for what does not exist, and nothing is done.
func TestForeign(t *testing.T) {
	c := devConfig(t)
	a := attacks(t, runs(t, c))
	a.begins(t)
	token := a.logsIn(t, a.bob).Token
	friends := func() (all wire.FriendsReply) {
		a.succeeds(t, "GET", wire.PathFriends, &token, nil, &all)
		return all
	}
	before := friends()
	if len(before.Friends) != 1 || before.Friends[0].State != wire.StateIncoming {
		t.Fatalf("got %+v, want mallory's offer", before)
	}
	stored := recordsIn(t, c.Data)
	eve := newVisitor(t, a.Other.Name, "eve", time.Now())
	a.Other.Register(eve.address(a.Other.Name), eve.request.KeyStatement)
	nobody := wire.Address{Handle: "nobody_here", Node: a.name}
	keys := func(r wire.KeysRequest) []byte { return wire.EncodeJSON(r) }
	deliver := func(change func(*wire.PeerFriendRequest)) []byte {
		r := a.delivery(slices.Clone(a.offers[1]))
		change(&r)
		return wire.EncodeJSON(r)
	}
	for name, row := range map[string]struct {
		path string
		body []byte
		want wire.Kind
	}{
		"keys of one of the asking node": {wire.PathPeerKeys, keys(wire.KeysRequest{Address: a.mallory.address(a.Me.Name)}), wire.NotExist},
		"keys of one of a third node":    {wire.PathPeerKeys, keys(wire.KeysRequest{Address: eve.address(a.Other.Name)}), wire.NotExist},
		"keys of bob at a third node":    {wire.PathPeerKeys, keys(wire.KeysRequest{Address: a.bob.address(a.Other.Name)}), wire.NotExist},
		"to bob at a third node":         {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.To.Node = a.Other.Name }), wire.NotExist},
		"keys of nobody":                 {wire.PathPeerKeys, keys(wire.KeysRequest{Address: nobody}), wire.NotExist},
		"keys under another account":     {wire.PathPeerKeys, keys(wire.KeysRequest{Address: a.bob.address(a.name), Account: &eve.account}), wire.NotExist},
		"an offer of a third node's": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) {
			r.From, r.FromAccount = eve.address(a.Other.Name), eve.account
			r.Statement = eve.offers(t, a.Other.Name, a.bob, a.name, 0)
		}), wire.Forbidden},
		"an offer of the node asked": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.From.Node = a.name }), wire.Forbidden},
		"an offer of nobody":         {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.From.Node = "" }), wire.Invalid},
		"a third node's in my name": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) {
			r.FromAccount, r.Statement = eve.account, eve.offers(t, a.Other.Name, a.bob, a.name, 0)
		}), wire.Invalid},
		"the words of another": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.Statement = eve.offers(t, a.Other.Name, a.bob, a.name, 0) }), wire.Invalid},
		"words under another's key": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) {
			thief := *a.mallory
			thief.identity = eve.identity
			r.Statement = thief.offers(t, a.Me.Name, a.bob, a.name, 0)
		}), wire.Invalid},
		"my words under another's account": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.FromAccount = eve.account }), wire.Invalid},
		"words that name another address": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) {
			r.Statement = a.mallory.offers(t, a.Me.Name, a.bob, a.Other.Name, 0)
		}), wire.Invalid},
		"words from another address": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) {
			r.Statement = a.mallory.offers(t, a.Other.Name, a.bob, a.name, 0)
		}), wire.Invalid},
		"words that were altered":   {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.Statement[len(r.Statement)-1] ^= 1 }), wire.Invalid},
		"words to another":          {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.Statement = a.mallory.offers(t, a.Me.Name, eve, a.Other.Name, 0) }), wire.Invalid},
		"to one of the asking node": {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.To = a.mallory.address(a.Me.Name) }), wire.NotExist},
		"to one of a third node":    {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.To, r.ToAccount = eve.address(a.Other.Name), eve.account }), wire.NotExist},
		"to nobody":                 {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.To = nobody }), wire.NotExist},
		"to another account":        {wire.PathPeerFriends, deliver(func(r *wire.PeerFriendRequest) { r.ToAccount = eve.account }), wire.NotExist},
	} {
		p := forgery.NewPen(a.Me.Signer, a.Name, forgery.Route{Path: row.path, Body: string(row.body)}, time.Now())
		a.wantProblem(t, name, p.Write(), row.want)
	}
	// A node that lists my key in its document may show my request as its own, and
	// gets what it would for one that it signed itself.
	thief := forgery.Listen(t)
	thief.Publish(thief.Good(), forgery.Entry(a.Me.Request.Public()))
	mine := forgery.Route{Path: wire.PathPeerFriends, Body: string(wire.EncodeJSON(a.delivery(a.offers[1])))}
	p := forgery.NewPen(a.Me.Signer, a.Name, mine, time.Now())
	p.KeyID = forgery.KeyID(thief.Name, a.Me.Request.Public())
	a.wantProblem(t, "my words as another node's", p.Write(), wire.Forbidden)
	if after := friends(); !reflect.DeepEqual(after, before) {
		t.Errorf("got %+v, want %+v as before", after, before)
	}
	for key, value := range recordsIn(t, c.Data) {
		if stored[key] != value {
			t.Errorf("the record %s was changed", key)
		}
		delete(stored, key)
	}
	if len(stored) > 0 {
		t.Errorf("records were deleted: %v", slices.Collect(maps.Keys(stored)))
	}
	a.Controls(t)
}

// TestReplacedKeyDelivers hands over an offer that is signed with a key its maker has
// replaced, as who stole it would, and one with the new key.
func TestReplacedKeyDelivers(t *testing.T) {
	a := attacks(t, runs(t, devConfig(t)))
	a.begins(t)
	moll := newVisitor(t, a.Me.Name, "moll", time.Now())
	first, _, err := wire.OpenFirstKeyStatement(moll.request.KeyStatement)
	if err != nil {
		t.Fatal(err)
	}
	renewed := *moll
	renewed.identity, renewed.keySeq = wire.NewIdentitySecret(random32()), 1
	next := *first
	next.Account, next.Seq, next.Prev = moll.account, 1, moll.request.KeyStatement.Hash(wire.LabelKeyStatement)
	next.Identity = renewed.identity.Public()
	second, err := next.Sign(moll.identity)
	if err != nil {
		t.Fatal(err)
	}
	a.Me.Register(moll.address(a.Me.Name), moll.request.KeyStatement, second)
	deliver := func(v *visitor) forgery.Request {
		r := a.delivery(v.offers(t, a.Me.Name, a.bob, a.name, 0))
		r.From, r.FromAccount = moll.address(a.Me.Name), moll.account
		return forgery.NewPen(a.Me.Signer, a.Name, forgery.Route{Path: wire.PathPeerFriends, Body: string(wire.EncodeJSON(r))}, time.Now()).Write()
	}
	a.wantProblem(t, "the key that was replaced", deliver(moll), wire.Invalid)
	r := deliver(&renewed)
	if answers, err := a.Send(r.Bytes()); err != nil || len(answers) != 1 || answers[0].Status != 200 {
		t.Errorf("the new key: got %+v, %v", answers, err)
	}
}

// wantProblem sends a request of a verified node, which the API refuses.
func (a *attack) wantProblem(t *testing.T, what string, r forgery.Request, want wire.Kind) {
	t.Helper()
	answers, err := a.Send(r.Bytes())
	if err != nil || len(answers) != 1 {
		t.Fatalf("%s: %d answers, %v", what, len(answers), err)
	}
	var problem wire.Problem
	if err := wire.DecodeJSON([]byte(answers[0].Body), &problem); err != nil || problem.Code != want || problem.Status != answers[0].Status {
		t.Errorf("%s: got %d %s, want %s", what, answers[0].Status, answers[0].Body, want)
	}
}
