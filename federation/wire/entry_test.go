package wire

import (
	"bytes"
	"testing"
)

// A rule tells what comes of a statement with one thing spoilt, signed by the
// right key nevertheless.
type rule[T any] struct {
	name  string
	spoil func(*T)
	want  Kind
}

func entryRules() []rule[EntryHeader] {
	return []rule[EntryHeader]{
		{"a post", func(h *EntryHeader) {}, ""},
		{"an epoch", func(h *EntryHeader) { h.Kind, h.Epoch = KindEpoch, 2 }, ""},
		{"no author", func(h *EntryHeader) { h.Author = AccountID{} }, Invalid},
		{"no audience", func(h *EntryHeader) { h.Audience = AudienceID{} }, Invalid},
		{"seq 0", func(h *EntryHeader) { h.Seq, h.Prev = 0, EntryID{} }, Invalid},
		{"seq 0 with a previous", func(h *EntryHeader) { h.Kind, h.Seq, h.Epoch = KindEpoch, 0, 0 }, Invalid},
		{"seq at the limit", func(h *EntryHeader) { h.Seq = MaxInteger }, ""},
		{"seq above the limit", func(h *EntryHeader) { h.Seq = MaxInteger + 1 }, Invalid},
		{"key seq above the limit", func(h *EntryHeader) { h.KeySeq = MaxInteger + 1 }, Invalid},
		{"first with a previous", func(h *EntryHeader) { h.Seq, h.Kind = 1, KindEpoch }, Invalid},
		{"second without a previous", func(h *EntryHeader) { h.Prev = EntryID{} }, Invalid},
		{"a post as first", func(h *EntryHeader) { h.Seq, h.Prev = 1, EntryID{} }, Invalid},
		{"epoch 0", func(h *EntryHeader) { h.Epoch = 0 }, Invalid},
		{"a post under itself", func(h *EntryHeader) { h.Epoch = 2 }, Invalid},
		{"a post under a later epoch", func(h *EntryHeader) { h.Epoch = 3 }, Invalid},
		{"an epoch under an earlier", func(h *EntryHeader) { h.Kind = KindEpoch }, Invalid},
		{"negative time", func(h *EntryHeader) { h.Created = -1 }, Invalid},
		{"time 0", func(h *EntryHeader) { h.Created = 0 }, ""},
		{"the last millisecond of 9999", func(h *EntryHeader) { h.Created = MaxTime }, ""},
		{"the year 10000", func(h *EntryHeader) { h.Created = MaxTime + 1 }, Invalid},
		{"an empty body", func(h *EntryHeader) { h.BodySize = 0 }, TooLarge},
		{"the largest post", func(h *EntryHeader) { h.BodySize = MaxSealedPost }, ""},
		{"a larger post", func(h *EntryHeader) { h.BodySize = MaxSealedPost + 1 }, TooLarge},
		{"the largest epoch", func(h *EntryHeader) { h.Kind, h.Epoch, h.BodySize = KindEpoch, 2, MaxEpochBody }, ""},
		{"a larger epoch", func(h *EntryHeader) { h.Kind, h.Epoch, h.BodySize = KindEpoch, 2, MaxEpochBody+1 }, TooLarge},
		{"a body of 2^64-1", func(h *EntryHeader) { h.BodySize = 1<<64 - 1 }, TooLarge},
		{"a target", func(h *EntryHeader) { h.Target = make([]byte, 32) }, Update},
		{"an attachment", func(h *EntryHeader) { h.Attachments = [][]byte{make([]byte, 32)} }, Update},
		{"kind 0", func(h *EntryHeader) { h.Kind = 0 }, Update},
		{"an edit", func(h *EntryHeader) { h.Kind = KindEdit }, Update},
		{"a deletion", func(h *EntryHeader) { h.Kind = KindDelete }, Update},
		{"a profile", func(h *EntryHeader) { h.Kind = KindProfile }, Update},
		{"a comment", func(h *EntryHeader) { h.Kind = KindComment }, Update},
		{"a reaction", func(h *EntryHeader) { h.Kind = KindReaction }, Update},
		{"a move", func(h *EntryHeader) { h.Kind = KindMove }, Update},
		{"a tombstone", func(h *EntryHeader) { h.Kind = KindTombstone }, Update},
		{"kind 2^63", func(h *EntryHeader) { h.Kind = 1 << 63 }, Update},
		{"version 2", func(h *EntryHeader) { h.Version = 2 }, Update},
	}
}

func TestEntryRules(t *testing.T) {
	body := []byte("ciphertext")
	for _, c := range entryRules() {
		h := postEntry(EntryID(seedOf("previous")), body)
		c.spoil(h)
		got, err := OpenEntryHeader(raw(LabelEntry, EncodeCBOR(h), aliceKey.seed), aliceKey.Public())
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", c.name, got, err)
		}
		_, err = h.Sign(aliceKey)
		wantKind(t, "signing "+c.name, err, c.want)
	}
}

func TestEntryBody(t *testing.T) {
	body := []byte("ciphertext")
	header := must(postEntry(EntryID(seedOf("previous")), body).Sign(aliceKey))
	good := Entry{header, body}
	h, err := OpenEntry(good, aliceKey.Public())
	if err != nil || h.Seq != 2 || good.ID() != EntryID(header.Hash(LabelEntry)) || good.Size() != len(header)+len(body) {
		t.Fatalf("got %v, %v", h, err)
	}
	for name, b := range map[string][]byte{
		"another": []byte("Ciphertext"), "shorter": body[:9], "longer": append(bytes.Clone(body), 0), "none": nil,
	} {
		got, err := OpenEntry(Entry{header, b}, aliceKey.Public())
		wantKind(t, name+" body", err, Tampered)
		if got != nil {
			t.Errorf("%s body: a header with an error", name)
		}
	}
	_, err = OpenEntry(good, bobKey.Public())
	wantKind(t, "another author's key", err, Tampered)
	claim := postEntry(EntryID(seedOf("previous")), body)
	claim.BodySize++
	_, err = OpenEntry(Entry{must(claim.Sign(aliceKey)), body}, aliceKey.Public())
	wantKind(t, "another size than is claimed", err, Tampered)
}

// The sealing context binds all of the place and nothing of the ciphertext.
func TestEntryContext(t *testing.T) {
	h := postEntry(EntryID(seedOf("previous")), []byte("one"))
	base := h.Context()
	h.BodyHash, h.BodySize = BodyHash([]byte("two")), 99
	if !bytes.Equal(h.Context(), base) {
		t.Error("the context holds the ciphertext's hash or size")
	}
	if h.BodySize != 99 {
		t.Error("Context changed the header")
	}
	spoils := []func(*EntryHeader){
		func(h *EntryHeader) { h.Author[0] ^= 1 }, func(h *EntryHeader) { h.KeySeq++ }, func(h *EntryHeader) { h.Audience[0] ^= 1 },
		func(h *EntryHeader) { h.Seq++ }, func(h *EntryHeader) { h.Prev[0] ^= 1 }, func(h *EntryHeader) { h.Created++ }, func(h *EntryHeader) { h.Kind++ },
		func(h *EntryHeader) { h.Epoch++ }, func(h *EntryHeader) { h.Target = []byte{1} }, func(h *EntryHeader) { h.Attachments = [][]byte{{1}} },
		func(h *EntryHeader) { h.Version++ }, func(h *EntryHeader) { h.Suite++ },
	}
	for i, spoil := range spoils {
		c := *h
		spoil(&c)
		if bytes.Equal(c.Context(), base) {
			t.Errorf("change %d is not in the context", i)
		}
	}
}

func epochBodyRules() []rule[EpochBody] {
	other := must((&VaultHead{Version: 1, Suite: 1, Account: bob, Counter: 1, Created: t0}).Sign(aliceKey))
	foreign := must(vaultHead().Sign(bobKey))
	link := func(epochs ...uint64) func(*EpochBody) {
		return func(b *EpochBody) {
			b.Links = nil
			for _, e := range epochs {
				b.Links = append(b.Links, Link{e, filled(104, 1)})
			}
		}
	}
	return []rule[EpochBody]{
		{"as it should be", func(*EpochBody) {}, ""},
		{"more links", link(3, 2, 1), ""},
		{"no link", link(), Tampered},
		{"a link elsewhere", link(2), Tampered},
		{"a second link first", link(2, 3), Invalid},
		{"the same link twice", link(3, 3), Invalid},
		{"a link to 0", link(3, 0), Invalid},
		{"an empty link", func(b *EpochBody) { b.Links[0].Sealed = nil }, Invalid},
		{"a long link", func(b *EpochBody) { b.Links[0].Sealed = filled(257, 1) }, Invalid},
		{"too many links", func(b *EpochBody) {
			b.Links = nil
			for i := range uint64(MaxLinks + 1) {
				b.Links = append(b.Links, Link{100 - i, []byte{1}})
			}
		}, Invalid},
		{"no secret", func(b *EpochBody) { b.SealedSecret = nil }, Invalid},
		{"a long secret", func(b *EpochBody) { b.SealedSecret = filled(257, 1) }, Invalid},
		{"no vault head", func(b *EpochBody) { b.VaultHead = nil }, Invalid},
		{"a vault head that is none", func(b *EpochBody) { b.VaultHead = filled(100, 1) }, Tampered},
		{"another person's vault head", func(b *EpochBody) { b.VaultHead = other }, Tampered},
		{"a vault head by another key", func(b *EpochBody) { b.VaultHead = foreign }, Tampered},
		{"version 2", func(b *EpochBody) { b.Version = 2 }, Update},
	}
}

func TestEpochBody(t *testing.T) {
	for _, c := range epochBodyRules() {
		b := laterBody()
		c.spoil(b)
		got, head, err := OpenEpochBody(laterEpoch(EncodeCBOR(b)), EncodeCBOR(b), 3, aliceKey.Public())
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil && head != nil) {
			t.Errorf("%s: got %v, %v with %v", c.name, got, head, err)
		}
		if _, err := b.Encode(); c.want == Invalid || c.want == Update {
			wantKind(t, "encoding "+c.name, err, c.want)
		}
	}
}

// laterBody is the body of an epoch entry that follows an epoch of entry 3.
func laterBody() *EpochBody {
	b := epochBody()
	b.Links = []Link{{3, filled(104, 1)}}
	return b
}

// laterEpoch is the header of an epoch entry 5.
func laterEpoch(body []byte) *EntryHeader {
	h := epochEntry(body)
	h.Seq, h.Epoch, h.Prev = 5, 5, EntryID(seedOf("previous"))
	return h
}

func TestEpochBodyBelongs(t *testing.T) {
	b := epochBody()
	first := must(b.Encode())
	b.Links = []Link{{3, filled(104, 1)}}
	later := must(b.Encode())
	h := laterEpoch(later)
	open := func(name string, h *EntryHeader, body []byte, prev uint64, want Kind) {
		t.Helper()
		_, _, err := OpenEpochBody(h, body, prev, aliceKey.Public())
		wantKind(t, name, err, want)
	}
	open("the first", epochEntry(first), first, 0, "")
	open("a later one", h, later, 3, "")
	open("a first with a link", epochEntry(later), later, 0, Tampered)
	open("a later one without", laterEpoch(first), first, 3, Tampered)
	open("other bytes than signed", h, first, 3, Tampered)
	b.Content[0] ^= 1
	open("as many other bytes", h, must(b.Encode()), 3, Tampered)
	size := *h
	size.BodySize++
	open("another size than is claimed", &size, later, 3, Tampered)
	post := *h
	post.Kind = KindPost
	open("a post", &post, later, 3, Tampered)
	early := *h
	early.Seq, early.Epoch = 3, 3
	open("an epoch before itself", &early, later, 3, Tampered)
}

func TestWrapCheck(t *testing.T) {
	good := Wrap{Reader: alice, Key: seedOf("statement"), Sealed: filled(WrapSize, 1)}
	wantKind(t, "a wrap", good.Check(), "")
	for name, spoil := range map[string]func(*Wrap){
		"no reader": func(w *Wrap) { w.Reader = AccountID{} }, "no key": func(w *Wrap) { w.Key = Hash{} },
		"short": func(w *Wrap) { w.Sealed = w.Sealed[1:] }, "long": func(w *Wrap) { w.Sealed = filled(WrapSize+1, 1) }, "empty": func(w *Wrap) { w.Sealed = nil },
	} {
		w := good
		spoil(&w)
		wantKind(t, name, w.Check(), Invalid)
	}
}

func TestDirectAudience(t *testing.T) {
	carol := AccountID(seedOf("carol"))
	if DirectAudience(alice, bob) != DirectAudience(bob, alice) {
		t.Error("the two have two audiences")
	}
	if DirectAudience(alice, bob) == DirectAudience(alice, carol) || DirectAudience(alice, bob).IsZero() {
		t.Error("two pairs have one audience")
	}
}
