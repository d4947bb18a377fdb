package seal

import (
	"bytes"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// seeds adds the sealed bytes of a kind from the vectors, those that open first.
// It returns a vector that opens, whose key and place the fuzzer keeps.
func seeds(f *testing.F, file, kind string) (first objectVector) {
	f.Helper()
	v := readVectors(f, file)
	for _, o := range append(v.Opens, v.Refused...) {
		if o.Kind != kind {
			continue
		}
		if first.Kind == "" {
			first = o
		}
		f.Add([]byte(o.Sealed))
	}
	if first.Kind == "" {
		f.Fatalf("no vector of kind %s", kind)
	}
	return first
}

// fuzzObject demands of all bytes that they open to the frozen plaintext (it
// takes the key to make any other that opens), or give the one error.
func fuzzObject(f *testing.F, file, kind string) {
	v := seeds(f, file, kind)
	k := objectKinds[kind]
	var others [][]byte
	for _, o := range readVectors(f, file).Opens {
		if o.Kind == kind {
			others = append(others, o.Sealed)
		}
	}
	f.Fuzz(func(t *testing.T, sealed []byte) {
		got, err := k.open(v.Key, v.Place, sealed)
		if err != nil {
			wantTampered(t, k.name, err)
			return
		}
		known := false
		for _, o := range others {
			known = known || bytes.Equal(o, sealed)
		}
		if !known {
			t.Errorf("%x opens to %x", sealed, got)
		}
	})
}

func FuzzOpenEntry(f *testing.F)        { fuzzObject(f, "seal.json", "entry") }
func FuzzOpenEpochSecret(f *testing.F)  { fuzzObject(f, "epoch.json", "epoch-secret") }
func FuzzOpenLink(f *testing.F)         { fuzzObject(f, "epoch.json", "link") }
func FuzzOpenWrap(f *testing.F)         { fuzzObject(f, "wrap.json", "wrap") }
func FuzzOpenVault(f *testing.F)        { fuzzObject(f, "vault.json", "vault") }
func FuzzOpenPasswordSlot(f *testing.F) { fuzzObject(f, "vault.json", "password-slot") }
func FuzzOpenRecoverySlot(f *testing.F) { fuzzObject(f, "vault.json", "recovery-slot") }
func FuzzOpenSelfKey(f *testing.F)      { fuzzObject(f, "recovery.json", "self-key") }

func FuzzOpenCache(f *testing.F) {
	k := fixed(f, CacheKeyFromBytes, "cache")
	sealed := must(suite1.seal([saltSize]byte{1}, k.Bytes(), context(wire.LabelSealCache, &cachePlace{"session"}), []byte("a token")))
	f.Add("session", sealed)
	f.Add("other", sealed)
	f.Add("\xff", sealed[:60])
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		got, err := OpenCache(k, name, b)
		if (err == nil) != (name == "session" && bytes.Equal(b, sealed)) {
			t.Errorf("%q, %x: got %x and error %v", name, b, got, err)
		}
	})
}

// FuzzMessage seals and opens around the boundaries of chunks.
func FuzzMessage(f *testing.F) {
	for _, n := range []uint32{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize} {
		f.Add([]byte("context"), n, uint32(70))
	}
	key := bytesOf("fuzz")
	f.Fuzz(func(t *testing.T, ctx []byte, n, cut uint32) {
		plaintext := pattern(int(n % (4 * chunkSize)))
		sealed := must(suite1.seal([saltSize]byte(key[:]), key[:], ctx, plaintext))
		if !bytes.Equal(sealed, reference(key[:], sealed[:saltSize], ctx, plaintext)) {
			t.Errorf("%d bytes: not what the specification gives", len(plaintext))
		}
		wantBytes(t, "opened", must(suite1.open(key[:], ctx, sealed)), plaintext)
		if _, err := suite1.open(key[:], ctx, sealed[:int(cut)%len(sealed)]); err == nil {
			t.Errorf("%d bytes: opens when it is cut", len(plaintext))
		}
	})
}

func FuzzUnpad(f *testing.F) {
	f.Add(must(entryBuckets.pad("x", []byte("hi"))))
	f.Add(must(vaultBuckets.pad("x", []byte("hi"))))
	f.Add(must(entryBuckets.pad("x", pattern(253))))
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, b := range []buckets{entryBuckets, vaultBuckets} {
			content, err := b.unpad("x", p)
			if err != nil {
				wantTampered(t, "x", err)
				continue
			}
			wantBytes(t, "padded again", must(b.pad("x", content)), p)
		}
	})
}

func FuzzParseRecoveryCode(f *testing.F) {
	v := readVectors(f, "recovery.json")
	for _, c := range v.Codes {
		f.Add(c.Code)
		for _, s := range c.Typed {
			f.Add(s)
		}
	}
	for _, c := range v.CodesRefused {
		f.Add(c.Typed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseRecoveryCode(s)
		if err != nil {
			wantKind(t, wire.Invalid, err)
			return
		}
		shown := c.Reveal()
		again, err := ParseRecoveryCode(shown)
		if err != nil || again.Reveal() != shown || !codeForm.MatchString(shown) {
			t.Errorf("%q: shown as %q, which gives %q and error %v", s, shown, again.Reveal(), err)
		}
	})
}
