package node

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A bound is a limit, tried over HTTP: what is at it, and one above it. At a limit
// that nothing else lets through, the answer is another one than above.
type bound struct {
	what              string
	at, above         func() answer
	atWant, aboveWant int
}

// TestLimits tries each limit of docs/protocol.md that a node holds, at it and
// one above, or names the tests elsewhere that do.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	s := n.serves(nil)
	ann, ben := n.person("ann"), n.person("ben")
	for range wire.MaxLinks {
		ann.rotate()
	}
	token := bearer(s.logsIn(ann).Token)
	send := func(method, path string, body any) answer {
		n.forgiven()
		return s.sends(method, path, wire.EncodeJSON(body), token)
	}
	statement := func(size int) func() answer {
		return func() answer {
			return send("POST", wire.PathFriends, about(ben, wire.FriendOffer, make(wire.Signed, size)))
		}
	}
	publish := func(kind wire.EntryKind, body func() []byte) func() answer {
		return func() answer {
			h, b := ann.header(kind), body()
			h.BodyHash, h.BodySize = wire.BodyHash(b), uint64(len(b))
			e := wire.Entry{Header: forced(wire.LabelEntry, h, ann.identity), Body: b}
			got := send("POST", wire.PathEntries, wire.PublishRequest{Entry: e})
			if got.status == 200 {
				ann.advance(e)
			}
			return got
		}
	}
	sized := func(size int) func() []byte { return func() []byte { return make([]byte, size) } }
	links := func(count int) func() []byte {
		return func() []byte {
			b := ann.epochBody()
			for e := ann.stream.Epoch; len(b.Links) < count; e-- {
				b.Links = append(b.Links, wire.Link{Epoch: e - 1, Sealed: []byte{1}})
			}
			return wire.EncodeCBOR(b)
		}
	}
	wraps := func(count, size int) func() answer {
		return func() answer {
			r := wire.WrapsRequest{Audience: ann.audience, Commitment: random32()}
			for range count {
				r.Wraps = append(r.Wraps, wire.Wrap{Reader: random32(), Key: random32(), Sealed: make([]byte, size)})
			}
			return send("POST", wire.PathWraps, r)
		}
	}
	register := func(change func(*testPerson, *wire.Slots)) func() answer {
		return func() answer {
			p := n.newPerson("someone" + wire.Handle(wire.Hash(random32()).String()[:9]))
			slots := must(wire.DecodeSlots(p.slots))
			change(p, slots)
			first := forced(wire.LabelKeyStatement, p.newest, p.identity)
			p.account, p.heads, p.slots = wire.AccountID(first.Hash(wire.LabelKeyStatement)), nil, wire.EncodeCBOR(slots)
			return send("POST", wire.PathRegister, wire.RegisterRequest{KeyStatement: first, Vault: p.nextVault()})
		}
	}
	selfKey := func(size int) func() answer {
		return register(func(p *testPerson, _ *wire.Slots) { p.newest.SealedSelfKey = make([]byte, size) })
	}
	recovery := func(size int) func() answer {
		return register(func(_ *testPerson, s *wire.Slots) { s.RecoverySlot = make([]byte, size) })
	}
	vault := func(sealed, slots int) func() answer {
		return func() answer {
			p := *ann
			if slots > 0 {
				p.slots = make([]byte, slots)
			}
			v := p.nextVault()
			head := must(wire.OpenVaultHead(v.Head, ann.identity.Public()))
			v.Vault = make([]byte, sealed)
			head.VaultHash = wire.VaultHash(v.Vault)
			v.Head = must(head.Sign(ann.identity))
			got := send("PUT", wire.PathVault, v)
			if got.status == 204 {
				ann.heads = append(ann.heads, v.Head)
			}
			return got
		}
	}
	ends := func(count int) func() answer {
		return func() answer {
			ann.contact(ben)
			if ann.learn(); len(ann.contact(ben).LiveOffers()) == 0 {
				ann.tell(ann.offer(ben))
				ann.learn()
			}
			e := &wire.End{Version: wire.Version, Suite: wire.Suite, From: ann.account, To: ben.account, Offers: ann.contact(ben).LiveOffers(), Created: ann.time(ben)}
			for len(e.Offers) < count {
				e.Offers = append(e.Offers, random32())
			}
			slices.SortFunc(e.Offers, func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
			return send("POST", wire.PathFriends, about(ben, wire.FriendEnd, forced(wire.LabelEnd, e, ann.identity)))
		}
	}
	login := func(name string, late time.Duration) func() answer {
		return func() answer {
			c := must(n.Challenge(t.Context(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, newAddress()))
			r := (&visitor{handle: "ann", login: ann.login}).answer(t, north, wire.PurposeLogin, c, nil)
			r.Device = name
			w.clock.advance(late)
			return send("POST", wire.PathLogin, r)
		}
	}
	ahead := func(by time.Duration) func() answer {
		return func() answer {
			w.clock.advance(by)
			e := ann.post()
			w.clock.advance(-by)
			got := send("POST", wire.PathEntries, wire.PublishRequest{Entry: e})
			if got.status == 200 {
				ann.advance(e)
				w.clock.advance(by)
			}
			return got
		}
	}
	const name = "sixty-four bytes of a name, and not one byte more than it may be"
	tried := map[string][]bound{
		"signed statement": {{"of a friendship", statement(wire.MaxStatement), statement(wire.MaxStatement + 1), 400, 413}},
		"text of a post":   {{"sealed", publish(wire.KindPost, sized(wire.MaxSealedPost)), publish(wire.KindPost, sized(wire.MaxSealedPost+1)), 200, 413}},
		"epoch body": {
			{"links", publish(wire.KindEpoch, links(wire.MaxLinks)), publish(wire.KindEpoch, links(wire.MaxLinks+1)), 200, 400},
			{"bytes", publish(wire.KindEpoch, sized(wire.MaxEpochBody)), publish(wire.KindEpoch, sized(wire.MaxEpochBody+1)), 400, 413},
		},
		"wrap": {
			{"too long", wraps(1, wire.WrapSize), wraps(1, wire.WrapSize+1), 204, 400},
			{"too short", wraps(1, wire.WrapSize), wraps(1, wire.WrapSize-1), 204, 400},
			{"in one upload", wraps(wire.MaxWrapBatch, wire.WrapSize), wraps(wire.MaxWrapBatch+1, wire.WrapSize), 204, 400},
		},
		"sealed self key, recovery slot": {
			{"self key", selfKey(wire.SelfKeySize), selfKey(wire.SelfKeySize + 1), 200, 400},
			{"shorter self key", selfKey(wire.SelfKeySize), selfKey(wire.SelfKeySize - 1), 200, 400},
			{"slot", recovery(wire.SelfKeySize), recovery(wire.SelfKeySize + 1), 200, 400},
			{"shorter slot", recovery(wire.SelfKeySize), recovery(wire.SelfKeySize - 1), 200, 400},
		},
		"slots, sealed vault": {
			{"vault", vault(wire.MaxVault, 0), vault(wire.MaxVault+1, 0), 204, 413},
			{"slots", vault(1, wire.MaxSlots), vault(1, wire.MaxSlots+1), 400, 413},
		},
		"offers named by one end":         {{"", ends(wire.MaxEndOffers), ends(wire.MaxEndOffers + 1), 200, 400}},
		"device name":                     {{"", login(name, 0), login(name+"r", 0), 200, 400}},
		"challenge":                       {{"", login("x", wire.ChallengeLifetime-time.Millisecond), login("x", wire.ChallengeLifetime), 200, 401}},
		"created ahead of a node's clock": {{"", ahead(wire.MaxSkew), ahead(wire.MaxSkew + time.Millisecond), 200, 409}},
		"sync request":                    syncBounds(t),
		"notice":                          noticeBounds(t),
	}
	elsewhere := map[string][]string{
		"node document": {"TestStatementLimits", "TestHostileAnswers"}, "changes of a node's root key": {"TestRootChanges", "TestManyChanges", "TestRotateRoot"}, "page": {"TestPagesOverHTTP", "TestPageBytes", "TestStreamPages"}, "wrap": {"TestWraps"},
		"key statements of one account": {"TestParseChainRefuses", "TestChain"}, "offers named by one end": {"TestFriendshipForgets"},
		"vault heads in one answer": {"TestManyVaults"}, "sessions in one answer": {"TestManySessions"}, "request signature": {"TestTimes"}, "text of a post": {"TestPostRefusals"}, "statements waiting for a friend's node": {"TestDeliveryWaits"}, "proof that a key statement is in a log": {"TestProofsArePassedOn", "TestOpenProofRefuses"},
	}
	tests := allTests(t)
	_, table, _ := strings.Cut(string(must(os.ReadFile("../docs/protocol.md"))), "\n## Limits\n")
	table, _, _ = strings.Cut(table, "\n# ")
	rows := regexp.MustCompile(`(?m)^\| ([a-z].*?) \| .*\d`).FindAllStringSubmatch(table, -1)
	for _, row := range rows {
		for _, name := range elsewhere[row[1]] {
			if !tests[name] {
				t.Errorf("%s: there is no %s", row[1], name)
			}
		}
		for _, b := range tried[row[1]] {
			if got := b.at(); got.status != b.atWant {
				t.Errorf("%s %s: at the limit: got %d %.200s, want %d", row[1], b.what, got.status, got.body, b.atWant)
			}
			if got := b.above(); got.status != b.aboveWant {
				t.Errorf("%s %s: above the limit: got %d %.200s, want %d", row[1], b.what, got.status, got.body, b.aboveWant)
			}
		}
		if len(elsewhere[row[1]])+len(tried[row[1]]) == 0 {
			t.Errorf("%s: no test", row[1])
		}
		delete(tried, row[1])
		delete(elsewhere, row[1])
	}
	if len(tried)+len(elsewhere) > 0 || len(rows) < 15 {
		t.Errorf("of %d limits in docs/protocol.md, these are none: %v, %v", len(rows), tried, elsewhere)
	}
}

// syncBounds asks about as many streams, and for as many readers, as may be.
func syncBounds(t *testing.T) []bound {
	w := newLiveWorld(t)
	home, west := w.host(), w.host()
	ask := func(streams, readers int) func() answer {
		return func() answer {
			r := wire.SyncRequest{Streams: make([]wire.SyncStream, streams)}
			r.Streams[0].Readers = make([]wire.SyncReader, readers)
			body := wire.EncodeJSON(r)
			return home.sends("POST", wire.PathPeerSync, body, west.signs(home.name, "POST", wire.PathPeerSync, body)...)
		}
	}
	return []bound{
		{"streams", ask(wire.MaxSyncStreams, 1), ask(wire.MaxSyncStreams+1, 1), 200, 413},
		{"readers", ask(1, wire.MaxSyncReaders), ask(1, wire.MaxSyncReaders+1), 200, 413},
	}
}

// noticeBounds tells of as many streams as may be.
func noticeBounds(t *testing.T) []bound {
	w := newLiveWorld(t)
	home, west := w.host(), w.host()
	tell := func(streams int) func() answer {
		return func() answer {
			body := wire.EncodeJSON(wire.NoticeRequest{Streams: make([]wire.NoticedStream, streams)})
			return home.sends("POST", wire.PathPeerNotices, body, west.signs(home.name, "POST", wire.PathPeerNotices, body)...)
		}
	}
	return []bound{{"streams", tell(wire.MaxSyncStreams), tell(wire.MaxSyncStreams + 1), 200, 413}}
}

// allTests returns the names of all tests of the repository.
func allTests(t *testing.T) map[string]bool {
	all := make(map[string]bool)
	for _, pattern := range []string{"*", "../*", "../federation/wire"} {
		for _, file := range must(filepath.Glob(filepath.Join(pattern, "*_test.go"))) {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(must(os.ReadFile(file))), -1) {
				all[m[1]] = true
			}
		}
	}
	return all
}
