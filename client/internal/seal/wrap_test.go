package seal

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func wrapPlace(content ContentKey) WrapPlace {
	return WrapPlace{
		Author: bytesOf("author"), Audience: bytesOf("audience"), Commitment: content.Commitment(),
		Reader: bytesOf("reader"), Key: bytesOf("key statement"),
	}
}

func TestWrap(t *testing.T) {
	reader := NewEncryptionSecret()
	content, chain := NewEpochSecret().Split()
	at := wrapPlace(content)
	for _, shared := range []*ChainKey{&chain, nil} {
		sealed := must(SealWrap(reader.Public(), at, content, shared))
		if len(sealed) != wire.WrapSize {
			t.Errorf("got %d bytes, want %d", len(sealed), wire.WrapSize)
		}
		k, c, err := OpenWrap(reader, at, sealed)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "content key", k.Bytes(), content.Bytes())
		switch {
		case (c == nil) != (shared == nil):
			t.Errorf("chain key: got %v, want %v", c, shared)
		case c != nil:
			wantBytes(t, "chain key", c.Bytes(), chain.Bytes())
		}
	}
}

func TestWrapRefused(t *testing.T) {
	reader := NewEncryptionSecret()
	content, chain := NewEpochSecret().Split()
	at := wrapPlace(content)
	sealed := must(SealWrap(reader.Public(), at, content, &chain))
	open := func(b []byte) error { _, _, err := OpenWrap(reader, at, b); return err }
	eachField(t, "wrap", at, func(at WrapPlace) error { _, _, err := OpenWrap(reader, at, sealed); return err })
	eachBit(t, "wrap", sealed, 9, open)
	// Every bit where it is not a lattice: the X25519 key, ciphertext and tag.
	tail := sealed[1088:]
	eachBit(t, "wrap", tail, 1, func(b []byte) error { return open(append(sealed[:1088:1088], b...)) })
	for n := range len(sealed) / 16 {
		wantTampered(t, "wrap", open(sealed[:16*n]))
	}
	wantTampered(t, "wrap", open(append(sealed[:len(sealed):len(sealed)], 0)))
	_, _, err := OpenWrap(NewEncryptionSecret(), at, sealed)
	wantTampered(t, "wrap", err)
	_, _, err = OpenWrap(EncryptionSecret{}, at, sealed)
	wantTampered(t, "wrap", err)
}

// TestWrapOfAnotherForm seals what SealWrap would not.
func TestWrapOfAnotherForm(t *testing.T) {
	reader := NewEncryptionSecret()
	content, chain := NewEpochSecret().Split()
	at := wrapPlace(content)
	join := func(a, b []byte) []byte { return append(a, b...) }
	for name, plaintext := range map[string][]byte{
		"no chain key":         content.Bytes(),
		"a byte more":          append(join(content.Bytes(), chain.Bytes()), 0),
		"another content key":  join(NewContentKey().Bytes(), chain.Bytes()),
		"no content key":       join(make([]byte, 32), chain.Bytes()),
		"keys that are turned": join(chain.Bytes(), content.Bytes()),
		"nothing":              {},
	} {
		sealed := must(boxSeal("wrap", reader.Public(), context(wire.LabelSealWrap, &at), plaintext))
		if k, c, err := OpenWrap(reader, at, sealed); err == nil || !k.IsZero() || c != nil {
			t.Errorf("%s: opens", name)
		} else {
			wantTampered(t, "wrap", err)
		}
	}
}

func TestSealWrapRefuses(t *testing.T) {
	content, chain := NewEpochSecret().Split()
	at, to := wrapPlace(content), NewEncryptionSecret().Public()
	_, err := SealWrap(to, at, ContentKey{}, &chain)
	wantKind(t, wire.Internal, err)
	_, err = SealWrap(to, at, content, &ChainKey{})
	wantKind(t, wire.Internal, err)
	_, err = SealWrap(to, at, NewContentKey(), &chain)
	wantKind(t, wire.Internal, err)
	for name, k := range map[string]wire.EncryptionKey{"zeros": {}, "a malformed key": badKey(0xff)} {
		if _, err := SealWrap(k, at, content, &chain); err == nil {
			t.Errorf("seals to %s", name)
		}
	}
}

func badKey(b byte) (k wire.EncryptionKey) {
	for i := range k {
		k[i] = b
	}
	return k
}
