package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A shown record is one of those that a node stores, on its way to a person.
type shown struct {
	name string
	hook func(bob *someone, change func(stored []byte)) // changes it in each answer that has it
	run  func(bob *someone) ([]string, []error, error)  // what bob types: texts shown, problems told, the error
	kind []wire.Kind                                    // of all errors and problems
	text []string                                       // what is shown all the same
}

// answered hooks a record into the answers of a path.
func answered[T any](method, path string, find func(bob *someone, reply *T) []byte) func(*someone, func([]byte)) {
	return func(bob *someone, change func([]byte)) {
		lie(bob, method, path, func(_ *Request, reply *T) {
			if b := find(bob, reply); b != nil {
				change(b)
			}
		})
	}
}

func logsIn(bob *someone) ([]string, []error, error) {
	phone := bob.w.device(bob.address.String())
	phone.line = bob.line
	p, report, err := phone.client().Login(context.Background(), LoginOptions{Address: bob.address, Password: password(bob.t, secretWord), Device: "test"})
	phone.Person = p
	if err != nil {
		return nil, nil, err
	}
	return []string{fmt.Sprintf("%d of %d nodes agree", report.Answered, report.Asked)}, nil, nil
}

func asksFeed(bob *someone) ([]string, []error, error) {
	page, err := bob.Feed(context.Background(), FeedOptions{Limit: 100})
	return texts(page), page.Problems, err
}

func listsFriends(bob *someone) ([]string, []error, error) {
	list, err := bob.Friends(context.Background())
	var names []string
	for _, f := range list {
		names = append(names, fmt.Sprintf("%s %s", f.Address, f.State))
	}
	return names, nil, err
}

// asksPast asks ada's node for the past of bob, as if his own were gone.
func asksPast(bob *someone) ([]string, []error, error) {
	d := bob.beside()
	d.line = bob.line
	p, err := d.tryPast(bob.code, "one.example")
	if p == nil {
		return nil, nil, err
	}
	return texts(FeedPage{Posts: p.Posts}), p.Problems, err
}

func firstStatement(_ *someone, r *wire.RecoveryReply) []byte {
	if len(r.Statements) == 0 {
		return nil
	}
	return r.Statements[0]
}

func firstEntry(part func(*wire.Entry) []byte) func(*someone, *wire.RecoveryReply) []byte {
	return func(_ *someone, r *wire.RecoveryReply) []byte {
		if len(r.Entries) == 0 {
			return nil
		}
		return part(&r.Entries[0])
	}
}

func inVault(part func(*wire.VaultRecord) []byte) func(*someone, func([]byte)) {
	return answered("GET", wire.PathVault, func(_ *someone, r *wire.VaultReply) []byte {
		if r.Record == nil {
			return nil
		}
		return part(r.Record)
	})
}

// entry finds the newest entry of an author, and of a kind, in a page.
func entry(handle string, kind wire.EntryKind, part func(*wire.Entry) []byte) func(*someone, func([]byte)) {
	return answered("GET", wire.PathFeed, func(bob *someone, r *wire.FeedReply) []byte {
		for i := range r.Items {
			author := bob.w.people[r.Items[i].Author]
			h, err := author.chain.OpenEntry(r.Items[i].Entry)
			if err == nil && h.Kind == kind && string(author.address.Handle) == handle {
				return part(&r.Items[i].Entry)
			}
		}
		return nil
	})
}

func headerOf(e *wire.Entry) []byte { return e.Header }
func bodyOf(e *wire.Entry) []byte   { return e.Body }

func statementOf(handle string) func(*someone, func([]byte)) {
	return func(bob *someone, change func([]byte)) {
		lie(bob, "POST", wire.PathKeys, func(r *Request, reply *wire.KeysReply) {
			var asked wire.KeysRequest
			bob.must(wire.DecodeJSON(r.Body, &asked))
			if string(asked.Address.Handle) == handle {
				change(reply.Statements[0])
			}
		})
	}
}

func ofAda(part func(*wire.FriendRecord) []byte) func(*someone, func([]byte)) {
	return answered("GET", wire.PathFriends, func(_ *someone, r *wire.FriendsReply) []byte {
		for i := range r.Friends {
			if r.Friends[i].Address.Handle == "ada" {
				return part(&r.Friends[i])
			}
		}
		return nil
	})
}

var (
	tampered = []wire.Kind{wire.Tampered}
	adas     = []string{"three", "two", "one"}
)

var shownRecords = []shown{
	{name: "the head of the vault", hook: inVault(func(r *wire.VaultRecord) []byte { return r.Head }), run: logsIn, kind: tampered},
	{name: "the slots of the vault", hook: inVault(func(r *wire.VaultRecord) []byte { return r.Slots }), run: logsIn, kind: tampered},
	{name: "the vault", hook: inVault(func(r *wire.VaultRecord) []byte { return r.Vault }), run: logsIn, kind: tampered},
	{name: "an earlier head", hook: answered("GET", wire.PathVault, func(_ *someone, r *wire.VaultReply) []byte { return r.Heads[0] }), run: logsIn, kind: tampered},
	{name: "a head at a friend's node", hook: answered("POST", wire.PathHeads, func(_ *someone, r *wire.HeadsReply) []byte { return r.Head }), run: logsIn, text: []string{"0 of 1 nodes agree"}},
	{name: "a key statement at a friend's node", hook: answered("POST", wire.PathRecovery, firstStatement), run: asksPast, kind: tampered},
	{name: "the header of an entry at a friend's node", hook: answered("POST", wire.PathRecovery, firstEntry(headerOf)), run: asksPast, kind: tampered},
	{name: "the body of an epoch at a friend's node", hook: answered("POST", wire.PathRecovery, firstEntry(bodyOf)), run: asksPast, kind: tampered},
	{name: "one's own key statement", hook: statementOf("bob"), run: logsIn, kind: tampered},
	{name: "a friend's key statement", hook: statementOf("ada"), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "the header of a friend's epoch", hook: entry("ada", wire.KindEpoch, headerOf), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "the body of a friend's epoch", hook: entry("ada", wire.KindEpoch, bodyOf), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "the header of a friend's post", hook: entry("ada", wire.KindPost, headerOf), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "the body of a friend's post", hook: entry("ada", wire.KindPost, bodyOf), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "the header of one's own post", hook: entry("bob", wire.KindPost, headerOf), run: asksFeed, kind: tampered, text: adas},
	{name: "the body of one's own post", hook: entry("bob", wire.KindPost, bodyOf), run: asksFeed, kind: tampered, text: adas},
	{name: "a wrap", hook: answered("GET", wire.PathWrap, func(_ *someone, r *wire.Wrap) []byte { return r.Sealed }), run: asksFeed, kind: tampered, text: []string{"bob's"}},
	{name: "an offer", hook: ofAda(func(r *wire.FriendRecord) []byte { return r.OfferGot }), run: listsFriends, text: []string{"ada@one.example friend"}},
	{name: "an acceptance", hook: ofAda(func(r *wire.FriendRecord) []byte { return r.AcceptMade }), run: listsFriends, text: []string{"ada@one.example friend"}},
}

// TestEveryBit flips the bits of what nodes store, one at a time, on the way to a
// device that knows nothing of it yet. Whichever bit it is, the command does the
// same, which is an error of one kind or no harm, and asks for the same things.
// EVERY_BIT=1 flips all bits, not one of 64.
func TestEveryBit(t *testing.T) {
	s := newScene(t)
	code := s.bob.code
	s.bob = s.bob.again()
	s.bob.code = code
	for _, r := range shownRecords {
		t.Run(r.name, func(t *testing.T) { r.flips(t, s) })
	}
}

func (r shown) flips(t *testing.T, s scene) {
	size := 0
	r.once(t, s, func(b []byte) { size = len(b) })
	outcomes, flipped, skip := map[string]int{}, 0, 64*stride
	if os.Getenv("EVERY_BIT") != "" {
		skip = 1
	}
	for bit := rand.N(skip); bit < 8*size; bit += 1 + rand.N(2*skip-1) {
		outcomes[r.once(t, s, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })]++
		flipped++
	}
	if len(outcomes) != 1 || flipped < size/16/stride {
		t.Errorf("%d bits of %d bytes flipped, with %d outcomes, want 1: %v", flipped, size, len(outcomes), outcomes)
	}
	for said := range outcomes {
		if want := fmt.Sprintf("%v; %s; asks ", r.kind, strings.Join(r.text, ", ")); !strings.HasPrefix(said, want) {
			t.Errorf("got %s, want %s", said, want)
		}
	}
}

// once tells what is seen of a command with the record changed, by the person and
// by the nodes.
func (r shown) once(t *testing.T, s scene, change func([]byte)) string {
	bob := copies(s.bob)[0]
	r.hook(bob, change)
	texts, problems, err := r.run(bob)
	kinds := map[wire.Kind]bool{}
	for _, p := range append(problems, err) {
		if e := (*wire.Error)(nil); errors.As(p, &e) {
			kinds[e.Kind] = true
		} else if p != nil {
			t.Errorf("an error without a kind: %v", p)
		}
	}
	var asked []string
	for _, c := range bob.line.calls {
		asked = append(asked, c.method+" "+c.path)
	}
	return fmt.Sprintf("%v; %s; asks %s", slices.Sorted(maps.Keys(kinds)), strings.Join(texts, ", "), strings.Join(asked, ", "))
}
