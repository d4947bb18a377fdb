package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// tryNewKeys recovers somebody's account with a code, and replaces all keys.
func (s *someone) tryNewKeys(code string) error {
	c, err := ParseRecoveryCode([]byte(code))
	s.must(err)
	p, _, err := s.client().Recover(context.Background(), RecoverOptions{
		Address: s.address, Code: c, Password: password(s.t, newWord), Device: "test", NewKeys: true,
		ShowCode: func(code string) error { s.code = code; return nil },
	})
	s.Person = p
	return err
}

// holds reports whether a seed is that of a key in a vault.
func (v *vault) holds(seed hidden) bool {
	return slices.ContainsFunc(v.keys(), func(k oldKeys) bool { return string(k.Encryption.Reveal()) == string(seed.Reveal()) })
}

// TestNewKeys: all keys are others, what was written before stays readable for everybody,
// friends follow, each stream goes on with a new epoch, and who was verified is shown as
// changed until the two compare again.
func TestNewKeys(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	ada, bob := s.ada, s.bob
	s.eve.befriends(ada)
	s.eve.verifies(ada)
	old, oldChain := *ada.vault.vault, ada.chain
	ada.must(ada.tryNewKeys(ada.code)) // where she is logged in
	k := ada.chain.Newest()
	before := oldChain.Newest()
	if k.Seq != 1 || k.Identity == before.Identity || k.Encryption == before.Encryption || k.Recovery == before.Recovery || k.RecoveryBox == before.RecoveryBox {
		t.Fatalf("statement %d: not all keys are others", k.Seq)
	}
	if string(ada.vault.Self.Reveal()) == string(old.Self.Reveal()) || !ada.vault.holds(old.Encryption) || len(ada.vault.Older) != 1 {
		t.Error("the self key is the one before, or the keys before are not kept")
	}
	want := []string{"bob's", "three", "two", "one"}
	ada.reads(append([]string{"eve's"}, want...)...)
	ada.writes("with new keys")
	want = append([]string{"with new keys"}, want...)
	bob.reads(want...)
	if notes := bob.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "has new keys") || bob.vault.friend(ada.me()).PinSeq != 1 {
		t.Errorf("bob is told %q", notes)
	}
	bob.writes("for the new keys")
	if n := bob.wrapsTo(ada.chain.NewestHash()); n != 1 {
		t.Errorf("bob makes %d wraps to the new keys, want that of a new epoch", n)
	}
	want = append([]string{"for the new keys"}, want...)
	all := []string{"for the new keys", "with new keys", "eve's", "bob's", "three", "two", "one"}
	ada.reads(all...)
	for _, device := range []*someone{ada.beside(), ada.beside()} { // on devices that know nothing
		p, _, err := device.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, newWord), Device: "new"})
		device.must(err)
		device.Person = p
		device.reads(all...)
	}
	page, err := s.eve.Feed(ctx, FeedOptions{})
	s.eve.must(err)
	if len(page.Problems) != 1 || !errors.Is(page.Problems[0], ErrKeysChanged) || slices.Contains(texts(page), "with new keys") {
		t.Errorf("eve, who has verified the keys before, reads %q, %v", texts(page), page.Problems)
	}
	s.eve.writes("not for ada's old keys")
	s.eve.verifies(ada)
	s.eve.writes("after comparing")
	if n := s.eve.wrapsTo(ada.chain.NewestHash()); n != 1 {
		t.Errorf("eve makes %d wraps to the new keys", n)
	}
	code := ada.code // once more, and once more after that
	ada.must(ada.tryNewKeys(code))
	ada.writes("once more")
	bob.reads(append([]string{"once more"}, want[:]...)...)
	if ada.opensBy(code) || len(ada.vault.Older) != 2 {
		t.Errorf("the code before opens, or %d older keys are kept", len(ada.vault.Older))
	}
}

// TestThief: whoever has copied a device, with all keys in it, and the node at their side,
// writes nothing that anybody takes once the keys are replaced, and opens nothing that is
// written afterwards.
func TestThief(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	ada, bob := s.ada, s.bob
	thief := copies(ada)[0] // with a world of their own: what they had read until then
	stolen := thief.vault
	mine := ada.beside()
	mine.must(mine.tryNewKeys(ada.code))
	ada.code = mine.code
	mine.writes("mine")
	if _, err := ada.Feed(ctx, FeedOptions{}); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("the session of the stolen device: %v", err)
	}
	if _, ok := ada.opens(secretWord); ok {
		t.Error("the old password opens")
	}
	bob.reads("mine", "bob's", "three", "two", "one")
	bob.writes("to ada alone")
	mine.reads("to ada alone", "mine", "bob's", "three", "two", "one")

	// The thief has everything that the nodes have, and tries every key that was stolen.
	for _, u := range ada.w.uploaded {
		if u.author == bob.me() && u.wrap.Reader == ada.me() && u.wrap.Key == mine.chain.NewestHash() {
			at := seal.WrapPlace{Author: u.author, Audience: u.audience, Commitment: u.commitment, Reader: u.wrap.Reader, Key: u.wrap.Key}
			if _, _, err := seal.OpenWrap(stolen.encryption, at, u.wrap.Sealed); err == nil {
				t.Error("the stolen key opens a wrap of afterwards")
			}
		}
	}
	top := mine.cache.track(mine.ownStream().streamID).Top
	e, err := mine.epochBody(ctx, top.Epoch)
	mine.must(err)
	if _, err := seal.OpenEpochSecret(stolen.self, e.place, e.sealed); err == nil {
		t.Error("the stolen self key opens an epoch of afterwards")
	}

	// A statement, a vault, an offer, an end and entries by the stolen identity key.
	me := &caller{w: mine.w, id: mine.me(), resident: mine.w.people[mine.me()]}
	fork := thief.nextStatement()
	if _, err := me.chain.Append(fork); !errors.Is(err, wire.Conflict) {
		t.Errorf("a statement by the stolen key: %v", err)
	}
	next, err := thief.sealVault(stolen.vault)
	thief.must(err)
	if _, err := me.putVault(&wire.VaultUpdate{VaultRecord: next.record}); err == nil {
		t.Error("a vault by the stolen key is taken")
	}
	for name, h := range map[string]*wire.EntryHeader{
		"a post":            {Kind: wire.KindPost, Epoch: top.Epoch},
		"an epoch":          {Kind: wire.KindEpoch, Epoch: top.Seq + 1},
		"under the new one": {Kind: wire.KindPost, Epoch: top.Epoch, KeySeq: 1},
	} {
		c := copies(bob, mine)
		bob, mine := c[0], c[1]
		h.Version, h.Suite, h.Author, h.Audience = wire.Version, wire.Suite, mine.me(), mine.ownStream().Audience
		h.Seq, h.Prev, h.Created = top.Seq+1, top.ID, top.Created+1
		body := []byte(strings.Repeat("x", 328))
		h.BodyHash, h.BodySize = wire.BodyHash(body), uint64(len(body))
		signed, err := h.Sign(stolen.identity)
		thief.must(err)
		entry := wire.Entry{Header: signed, Body: body}
		// A hostile node shows it as the newest, and looks at nothing in it.
		r, shown := mine.w.people[mine.me()], *h
		shown.Kind, shown.Epoch = wire.KindPost, top.Epoch
		r.streams[h.Audience] = append(r.streams[h.Audience], placed{
			FeedItem: wire.FeedItem{Author: h.Author, Audience: h.Audience, Entry: entry, Position: h.Created}, h: &shown,
		})
		for who, reader := range map[string]*someone{"bob": bob, "ada": mine} {
			page, err := reader.Feed(ctx, FeedOptions{})
			if err == nil && len(page.Problems) == 0 {
				t.Errorf("%s by the stolen key: %s reads %q", name, who, texts(page))
			}
		}
	}
}

// TestLostNewKeys loses each request, or its answer: the same again ends the matter, also
// where it is asked for new keys only then.
func TestLostNewKeys(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	ada.befriends(bob)
	ada.writes("hello")
	clean := copies(ada)[0].beside()
	clean.must(clean.tryNewKeys(ada.code))
	for i := range 4 * len(clean.line.calls) {
		n, arrives, asked := i/4, i%2 == 0, i/2%2 == 0
		c := copies(ada, bob)
		was, bob := c[0], c[1]
		s := was.beside()
		lose(s, n, arrives)
		var err error
		if asked {
			err = s.tryNewKeys(ada.code)
		} else {
			_, err = s.tryRecover(ada.code)
		}
		s.line.before, s.line.after = nil, nil
		code := ada.code
		if err == nil { // a friend's node was asked in vain
			code = s.code
		}
		s.must(s.tryNewKeys(code))
		if k := s.chain.Newest(); k.Identity == ada.chain.Newest().Identity || was.opensBy(ada.code) || !was.opensBy(s.code) {
			t.Errorf("%v lost (arrived: %v, asked for new keys: %v): statement %d, or the old code opens", clean.line.calls[n], arrives, asked, k.Seq)
		}
		s.restart()
		s.writes("after")
		s.reads("after", "hello")
		bob.reads("after", "hello")
	}
}

// sealedEpoch is where the secret of an epoch is sealed for its author.
type sealedEpoch struct {
	place  seal.EpochPlace
	sealed []byte
}

// epochBody is what the nodes have of an epoch.
func (s *someone) epochBody(ctx context.Context, seq uint64) (e sealedEpoch, err error) {
	err = s.do(ctx, func() error {
		at := s.ownStream()
		entry, err := s.epochEntry(ctx, at, seq)
		if err == nil {
			e = sealedEpoch{seal.EpochPlace{Author: at.Author, Audience: at.Audience, Seq: seq, Prev: entry.h.Prev}, entry.body.SealedSecret}
		}
		return err
	})
	return e, err
}
