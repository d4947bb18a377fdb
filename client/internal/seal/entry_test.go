package seal

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// header is the header of a post, without its body.
func header() wire.EntryHeader {
	return wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite,
		Author: bytesOf("author"), KeySeq: 1, Audience: bytesOf("audience"),
		Seq: 7, Prev: bytesOf("entry before"), Created: 1767225600000, Kind: wire.KindPost, Epoch: 5,
	}
}

func TestEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, k := header(), NewContentKey()
		n := rapid.OneOf(rapid.IntRange(0, 2000), rapid.IntRange(0, MaxPlaintext), rapid.Just(MaxPlaintext)).Draw(t, "n")
		body, err := SealEntry(&h, k, pattern(n))
		if err != nil {
			t.Fatal(err)
		}
		if len(body) != SealedSize(n) || len(body) > wire.MaxSealedPost || h.BodySize != uint64(len(body)) || h.BodyHash != wire.BodyHash(body) {
			t.Fatalf("%d bytes: a body of %d that does not fit its header %+v", n, len(body), h)
		}
		got, err := OpenEntry(&h, k, body)
		if err != nil || !bytes.Equal(got, pattern(n)) {
			t.Fatalf("%d bytes: error %v, or another plaintext", n, err)
		}
	})
}

func TestEntryFields(t *testing.T) {
	h, k := header(), NewContentKey()
	body := must(SealEntry(&h, k, []byte("hi")))
	eachField(t, "entry", h, func(h wire.EntryHeader) error { _, err := OpenEntry(&h, k, body); return err })
	_, err := OpenEntry(&h, NewContentKey(), body)
	wantTampered(t, "entry", err)
	_, err = OpenEntry(&h, ContentKey{}, body)
	wantTampered(t, "entry", err)
}

// TestEntryBits gives the header the hash of each changed body, as an author
// could: the ciphertext must hold by itself.
func TestEntryBits(t *testing.T) {
	h, k := header(), NewContentKey()
	body := must(SealEntry(&h, k, []byte("hi")))
	open := func(b []byte) error {
		h := h
		h.BodyHash, h.BodySize = wire.BodyHash(b), uint64(len(b))
		_, err := OpenEntry(&h, k, b)
		return err
	}
	eachBit(t, "entry", body, 1, open)
	eachLength(t, "entry", body, open)
	eachBit(t, "entry", body, 9, func(b []byte) error { _, err := OpenEntry(&h, k, b); return err })
}

// TestEntryPadding seals padding that this package does not write.
func TestEntryPadding(t *testing.T) {
	h, k := header(), NewContentKey()
	for name, padded := range map[string][]byte{
		"none at all":         []byte("hi"),
		"not zero":            append(make([]byte, 255), 1),
		"a bucket too large":  make([]byte, 512),
		"above all buckets":   make([]byte, 128<<10),
		"a length that is no": bytes.Repeat([]byte{0xff}, 256),
	} {
		body := must(sealBytes("entry", k.secret, h.Context(), padded))
		h.BodyHash, h.BodySize = wire.BodyHash(body), uint64(len(body))
		if _, err := OpenEntry(&h, k, body); err == nil {
			t.Errorf("%s: opens", name)
		} else {
			wantTampered(t, "entry", err)
		}
	}
}

// TestOpenEntryOfAnEpoch shows that the body of an epoch entry is never taken for a
// sealed one, even if its author seals something there.
func TestOpenEntryOfAnEpoch(t *testing.T) {
	h, k := header(), NewContentKey()
	h.Kind, h.Epoch = wire.KindEpoch, h.Seq
	body := must(sealBytes("entry", k.secret, h.Context(), must(entryBuckets.pad("entry", []byte("hi")))))
	h.BodyHash, h.BodySize = wire.BodyHash(body), uint64(len(body))
	_, err := OpenEntry(&h, k, body)
	wantTampered(t, "entry", err)
}

func TestSealEntryRefuses(t *testing.T) {
	k := NewContentKey()
	for name, c := range map[string]struct {
		kind  wire.EntryKind
		k     ContentKey
		n     int
		error wire.Kind
	}{
		"too much":        {wire.KindPost, k, MaxPlaintext + 1, wire.TooLarge},
		"an epoch":        {wire.KindEpoch, k, 1, wire.Invalid},
		"a key not set":   {wire.KindPost, ContentKey{}, 1, wire.Internal},
		"and the largest": {wire.KindPost, k, MaxPlaintext, ""},
	} {
		h := header()
		h.Kind = c.kind
		body, err := SealEntry(&h, c.k, make([]byte, c.n))
		if c.error == "" {
			if err != nil || len(body) != 65672 {
				t.Errorf("%s: got %d bytes and error %v", name, len(body), err)
			}
			continue
		}
		wantKind(t, c.error, err)
		if h.BodySize != 0 || !h.BodyHash.IsZero() || body != nil {
			t.Errorf("%s: left a body behind", name)
		}
	}
}

func TestSealedSize(t *testing.T) {
	sizes := []int{}
	for _, n := range []int{-1, 0, 252, 253, 600, 16380, 16381, MaxPlaintext, MaxPlaintext + 1} {
		sizes = append(sizes, SealedSize(n))
	}
	if want := []int{0, 328, 328, 584, 1096, 16472, 32872, 65672, 0}; !slices.Equal(sizes, want) {
		t.Errorf("got %v, want %v", sizes, want)
	}
	if SealedSize(MaxPlaintext) > wire.MaxSealedPost || SealedSize(MaxPlaintext)-(64<<10) > wire.SealOverhead {
		t.Error("the limits of package wire do not hold what this package seals")
	}
}
