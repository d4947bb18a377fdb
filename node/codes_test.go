package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// unheard are answers that openapi.yaml lists and that no test of this package
// can have: what makes them is below it, or left to chance.
var unheard = map[string]string{
	"POST /federation/v1/keys 429 throttled":       "federation.TestNonceBounds",
	"POST /federation/v1/friendship 429 throttled": "federation.TestNonceBounds",
	"POST /federation/v1/sync 429 throttled":       "federation.TestNonceBounds",
	"POST /federation/v1/notices 429 throttled":    "federation.TestNonceBounds",
	"POST /federation/v1/keys 503 unavailable":     "federation.TestMarkCannotBeWritten",
	"POST /federation/v1/sync 503 unavailable":     "federation.TestMarkCannotBeWritten",
	"POST /federation/v1/friendship 409 conflict":  "16 lost races for one record",
}

// answers lists what the file says may be answered. Anything may fail inside, so
// internal is left out.
func (s *spec) answers() (all []string) {
	for name, op := range s.operations {
		for status, r := range op.responses {
			for _, code := range r.codes {
				if code != wire.Internal {
					all = append(all, fmt.Sprint(name, " ", status, " ", code))
				}
			}
			if r.codes == nil {
				all = append(all, fmt.Sprint(name, " ", status, " "))
			}
		}
	}
	slices.Sort(all)
	return all
}

// missing lists the answers of the file that no test got, and could have got.
func (c *tally) missing(s *spec) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(s.answers(), func(answer string) bool { return c.of[answer] || unheard[answer] != "" })
}

// signs signs a statement without a look at it, as a later release would write it.
func (p *testPerson) signs(l wire.Label, statement any) wire.Signed {
	payload := wire.EncodeCBOR(statement)
	return append(ed25519.Sign(ed25519.NewKeyFromSeed(p.identity.Seed()), l.Message(payload)), payload...)
}

// TestLaterReleases hands in what a later release would write, and too long
// statements, wherever a node opens some.
func TestLaterReleases(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben, new := home.person("ann"), other.person("ben"), home.newPerson("new")

	key := *new.newest
	key.Version++
	head := wire.VaultHead{Version: wire.Version + 1, Suite: wire.Suite, Account: ann.account, Counter: 2, Created: 1}
	entry := *ann.header(wire.KindPost)
	entry.Suite++
	tombstone := *ann.tombstone()
	tombstone.Version++
	offer := wire.Offer{Version: wire.Version + 1, Suite: wire.Suite, From: ann.account, To: ben.account}
	for _, test := range []struct {
		want      wire.Kind
		key       wire.Signed
		head      wire.Signed
		entry     wire.Signed
		statement wire.Signed
		tombstone wire.Signed
	}{
		{wire.Update, new.signs(wire.LabelKeyStatement, &key), ann.signs(wire.LabelVaultHead, &head), ann.signs(wire.LabelEntry, &entry), ann.signs(wire.LabelOffer, &offer), ann.signs(wire.LabelTombstone, &tombstone)},
		{wire.TooLarge, make(wire.Signed, wire.MaxStatement+1), make(wire.Signed, wire.MaxStatement+1), make(wire.Signed, wire.MaxStatement+1), make(wire.Signed, wire.MaxStatement+1), make(wire.Signed, wire.MaxStatement+1)},
	} {
		_, err := home.Register(t.Context(), wire.RegisterRequest{KeyStatement: test.key, Vault: new.register.Vault})
		kind(t, err, test.want)
		vault := ann.nextVault()
		vault.Head = test.head
		kind(t, ann.as().PutVault(t.Context(), vault), test.want)
		later := *ann
		renewal := later.renewal(nil)
		if renewal.KeyStatement = test.key; test.want == wire.Update {
			next := *later.newest
			next.Version++
			renewal.KeyStatement = ann.signs(wire.LabelKeyStatement, &next)
		}
		kind(t, ann.as().RenewKeys(t.Context(), renewal), test.want)
		_, err = ann.as().Publish(t.Context(), wire.PublishRequest{Entry: wire.Entry{Header: test.entry, Body: wire.Bytes{1}}})
		kind(t, err, test.want)
		kind(t, ann.as().Delete(t.Context(), wire.DeleteRequest{Tombstone: test.tombstone}), test.want)
		said := wire.FriendStatement{Kind: wire.FriendOffer, Statement: test.statement}
		_, err = ann.as().Tell(t.Context(), wire.FriendRequest{Address: ben.address, FriendStatement: said})
		kind(t, err, test.want)
		_, err = other.peer(north).Deliver(t.Context(), wire.PeerFriendRequest{
			From: ann.address, FromAccount: ann.account, To: ben.address, ToAccount: ben.account, FriendStatement: said,
		})
		kind(t, err, test.want)
	}
}

// TestOfferElsewhere makes first offers while one of the two nodes does not answer
// the other, too late, and to somebody who has as many as strangers may make.
func TestOfferElsewhere(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ann, ben := home.person("ann"), other.person("ben")
	for _, want := range []wire.Kind{wire.Unavailable, wire.Throttled} {
		w.fail(south, wire.Errorf(want, "", ""))
		_, err := ann.as().Tell(t.Context(), ann.offer(ben))
		kind(t, err, want)
	}
	w.fail(south, nil)
	deliver := func(from *testPerson, offer wire.Signed) error {
		_, err := other.peer(north).Deliver(t.Context(), wire.PeerFriendRequest{
			From: from.address, FromAccount: from.account, To: ben.address, ToAccount: ben.account,
			FriendStatement: wire.FriendStatement{Kind: wire.FriendOffer, Statement: offer},
		})
		return err
	}
	offer := ann.offer(ben).Statement
	w.fail(north, away)
	kind(t, deliver(ann, offer), wire.Unavailable)
	w.fail(north, nil)
	kind(t, deliver(ann, offer), "")
	late := *must(ann.chain().OpenOffer(ann.offer(ben).Statement))
	late.Created = w.clock.now().Add(wire.MaxSkew + time.Minute).UnixMilli()
	kind(t, deliver(ann, must(late.Sign(ann.identity))), wire.Clock)
	var changes []store.Change
	for range maxFriends / 2 {
		p := pair{ben.account, random32()}
		changes = append(changes, put(friendKey(p), &friendRecord{Version: recordVersion, Friendship: wire.Friendship{Me: p.me, Other: p.other}}))
	}
	if err := other.own.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	other.circles.forget(pair{me: ben.account})
	cid := home.person("cid")
	kind(t, deliver(cid, cid.offer(ben).Statement), wire.Limit)
}

// TestChallengesAreRationed asks for more challenges than an address may have.
func TestChallengesAreRationed(t *testing.T) {
	l := newLoginNode(t, storetest.NewMemory())
	for i := range 61 {
		_, err := l.Challenge(t.Context(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, someAddress)
		if throttled := errors.Is(err, wire.Throttled); throttled != (i == 60) {
			t.Fatalf("challenge %d: %v", i+1, err)
		}
	}
}

// TestMissingAnswers shows that wantAllHeard finds what nobody has heard, and that
// what it does not ask for is in the file.
func TestMissingAnswers(t *testing.T) {
	s := theSpec(t)
	heard := &tally{of: map[string]bool{}}
	heard.note("GET "+wire.PathFeed, 200, "")
	missing := heard.missing(s)
	if slices.Contains(missing, "GET /v1/feed 200 ") || !slices.Contains(missing, "POST /v1/entries 409 clock") {
		t.Errorf("missing are %q", missing)
	}
	for answer := range unheard {
		if !slices.Contains(s.answers(), answer) {
			t.Errorf("%q is not in the file", answer)
		}
	}
}
