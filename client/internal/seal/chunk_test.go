package seal

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"pgregory.net/rapid"
)

// reference seals by the letter of the specification, sharing nothing with the
// code under test but the AEAD.
func reference(key, salt, context, plaintext []byte) []byte {
	info := append([]byte("c2sp.org/chunked-encryption@v1+AEAD_CHACHA20_POLY1305\x00"), salt...)
	info = append(info, context...)
	var okm, block []byte
	for i := byte(1); len(okm) < 76; i++ {
		h := hmac.New(sha512.New, key)
		h.Write(block)
		h.Write(info)
		h.Write([]byte{i})
		block = h.Sum(nil)
		okm = append(okm, block...)
	}
	aead := must(chacha20poly1305.New(okm[:32]))
	base := new(big.Int).SetBytes(okm[32:44])
	out := append(bytes.Clone(salt), okm[44:76]...)
	for i := int64(0); ; i++ {
		nonce := new(big.Int).Xor(base, big.NewInt(i)).FillBytes(make([]byte, 12))
		if len(plaintext) < 16384 {
			return aead.Seal(out, nonce, plaintext, nil)
		}
		out = aead.Seal(out, nonce, plaintext[:16384], nil)
		plaintext = plaintext[16384:]
	}
}

// drawSize prefers the neighbourhood of chunk boundaries.
func drawSize(t *rapid.T) int {
	return rapid.OneOf(rapid.IntRange(0, 300),
		rapid.Custom(func(t *rapid.T) int {
			return max(0, rapid.IntRange(0, 5).Draw(t, "chunks")*chunkSize+rapid.IntRange(-17, 17).Draw(t, "off"))
		})).Draw(t, "size")
}

func TestSealIsTheSpecification(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		salt := rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(t, "salt")
		ctx := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "context")
		plaintext := pattern(drawSize(t))
		sealed, err := suite1.seal([saltSize]byte(salt), key, ctx, plaintext)
		if err != nil || !bytes.Equal(sealed, reference(key, salt, ctx, plaintext)) {
			t.Fatalf("%d bytes: error %v, or not what the specification gives", len(plaintext), err)
		}
		if len(sealed) != sealedSize(len(plaintext)) {
			t.Fatalf("%d bytes: sealed as %d, want %d", len(plaintext), len(sealed), sealedSize(len(plaintext)))
		}
		opened, err := suite1.open(key, ctx, sealed)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("%d bytes: error %v, or another plaintext", len(plaintext), err)
		}
	})
}

// chunksOf cuts a message into its header and its chunks.
func chunksOf(sealed []byte) (header []byte, chunks [][]byte) {
	header, rest := sealed[:headerSize], sealed[headerSize:]
	for len(rest) > chunkSize+tagSize {
		chunks = append(chunks, rest[:chunkSize+tagSize])
		rest = rest[chunkSize+tagSize:]
	}
	return header, append(chunks, rest)
}

func TestChunksStayInPlace(t *testing.T) {
	k, ctx := NewCacheKey(), []byte("context")
	for _, size := range []int{3 * chunkSize, 3*chunkSize + 5, 4*chunkSize - 1} {
		sealed := must(sealBytes("x", k.secret, ctx, pattern(size)))
		header, c := chunksOf(sealed)
		last := len(c) - 1
		other := must(sealBytes("x", k.secret, ctx, pattern(size)))
		_, o := chunksOf(other)
		for name, pieces := range map[string][][]byte{
			"nothing":                 {},
			"header only":             {header},
			"the last one is missing": append([][]byte{header}, c[:last]...),
			"the first is missing":    append([][]byte{header}, c[1:]...),
			"one in the middle":       {header, c[0], c[2], c[last]},
			"two are swapped":         {header, c[1], c[0], c[2], c[last]},
			"one is doubled":          {header, c[0], c[0], c[1], c[2], c[last]},
			"one for another":         {header, c[0], c[0], c[2], c[last]},
			"the last one is doubled": {header, c[0], c[1], c[2], c[last], c[last]},
			"an early end":            {header, c[0], c[1], c[last]},
			"one of another message":  {header, c[0], o[1], c[2], c[last]},
			"the end of another":      {header, c[0], c[1], c[2], o[len(o)-1]},
			"another header":          {other[:headerSize], c[0], c[1], c[2], c[last]},
			"a tag is cut":            {sealed[:len(sealed)-1]},
			"cut in a chunk":          {header, c[0], c[1][:100]},
			"cut before a tag":        {header, c[0], c[1][:chunkSize]},
			"cut in a tag":            {header, c[0], c[1], c[2][:chunkSize+tagSize-1]},
			"a rest below a tag":      {header, c[0], c[1], c[2], c[last][:tagSize-1]},
			"bytes behind":            {sealed, {0}},
			"an empty chunk behind":   {sealed, make([]byte, tagSize)},
		} {
			if _, err := openBytes("x", k.secret, ctx, bytes.Join(pieces, nil)); err == nil {
				t.Errorf("%d bytes, %s: opens", size, name)
			} else {
				wantTampered(t, "x", err)
			}
		}
		if b, err := openBytes("x", k.secret, ctx, sealed); err != nil || !bytes.Equal(b, pattern(size)) {
			t.Errorf("%d bytes, unchanged: error %v, or another plaintext", size, err)
		}
	}
}

func TestSmallMessageEveryBit(t *testing.T) {
	k, ctx := NewCacheKey(), []byte("context")
	for _, size := range []int{0, 1, 32} {
		sealed := must(sealBytes("x", k.secret, ctx, pattern(size)))
		open := func(b []byte) error { _, err := openBytes("x", k.secret, ctx, b); return err }
		eachBit(t, "x", sealed, 1, open)
		eachLength(t, "x", sealed, open)
	}
}

func TestSealIsSalted(t *testing.T) {
	k := NewCacheKey()
	seen := map[string]bool{}
	for range 100 {
		seen[string(must(sealBytes("x", k.secret, nil, nil))[:saltSize])] = true
	}
	if len(seen) != 100 {
		t.Errorf("got %d salts of 100 messages, want as many", len(seen))
	}
}

func TestKeyOfTheRightLengthOnly(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := suite1.seal([saltSize]byte{}, make([]byte, n), nil, nil); err == nil {
			t.Errorf("seals under a key of %d bytes", n)
		}
	}
}

func TestTooManyChunks(t *testing.T) {
	m := must(suite1.message(make([]byte, 32), make([]byte, saltSize), nil))
	m.next = maxChunks - 1
	if _, err := m.seal(nil, nil); err != nil {
		t.Errorf("the last chunk that may be: %v", err)
	}
	if _, err := m.seal(nil, nil); err == nil {
		t.Error("seals a chunk beyond 2^38")
	}
	if _, err := m.open(nil, make([]byte, tagSize)); err != errSeal {
		t.Errorf("got %v for a chunk beyond 2^38, want %v", err, errSeal)
	}
}

func TestUnsetKeys(t *testing.T) {
	_, err := sealBytes("x", secret{}, nil, nil)
	wantKind(t, "internal", err)
	// What somebody seals under zeros must not open with a key that was never set.
	sealed := must(suite1.seal([saltSize]byte{}, make([]byte, 32), nil, nil))
	_, err = openBytes("x", secret{}, nil, sealed)
	wantTampered(t, "x", err)
}

// salamander makes a chunk of 32 bytes that ChaCha20-Poly1305 opens with either
// of two keys and nonces, by solving for its second block (RFC 8439, section
// 2.5: the tag is a polynomial in r over 2^130-5, plus s).
func salamander(a, b *message, keyA, keyB []byte) []byte {
	two := big.NewInt(2)
	p := new(big.Int).Sub(new(big.Int).Exp(two, big.NewInt(130), nil), big.NewInt(5))
	high := new(big.Int).Exp(two, big.NewInt(128), nil)
	r1, s1 := polyKey(keyA, a.base[:])
	r2, s2 := polyKey(keyB, b.base[:])
	pow := func(r *big.Int, n int64) *big.Int { return new(big.Int).Exp(r, big.NewInt(n), p) }
	diff := func(n int64) *big.Int { return new(big.Int).Sub(pow(r1, n), pow(r2, n)) }
	lengths := make([]byte, 16)
	lengths[8] = 32
	l := new(big.Int).Add(high, little(lengths))
	inverse := new(big.Int).ModInverse(new(big.Int).Mod(diff(2), p), p)
	for {
		c0 := make([]byte, 16)
		rand.Read(c0)
		x := new(big.Int).Sub(s2, s1)
		x.Sub(x, new(big.Int).Mul(new(big.Int).Add(high, little(c0)), diff(3)))
		x.Sub(x, new(big.Int).Mul(l, diff(1)))
		x.Mul(x, inverse).Mod(x, p).Sub(x, high)
		if x.Sign() < 0 || x.Cmp(high) >= 0 {
			continue
		}
		c1 := reversed(x.FillBytes(make([]byte, 16)))
		tag := func(r, s *big.Int) *big.Int {
			t := new(big.Int)
			for _, block := range [][]byte{c0, c1, lengths} {
				t.Add(t, high).Add(t, little(block)).Mul(t, r).Mod(t, p)
			}
			return t.Add(t, s).Mod(t, high)
		}
		if t := tag(r1, s1); t.Cmp(tag(r2, s2)) == 0 {
			return bytes.Join([][]byte{c0, c1, reversed(t.FillBytes(make([]byte, 16)))}, nil)
		}
	}
}

func polyKey(key, nonce []byte) (r, s *big.Int) {
	c := must(chacha20.NewUnauthenticatedCipher(key, nonce))
	k := make([]byte, 32)
	c.XORKeyStream(k, k)
	for _, i := range []int{3, 7, 11, 15} {
		k[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		k[i] &= 252
	}
	return little(k[:16]), little(k[16:])
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i, c := range b {
		r[len(b)-1-i] = c
	}
	return r
}

func little(b []byte) *big.Int { return new(big.Int).SetBytes(reversed(b)) }

// twoKeys makes a message whose only chunk opens under the keys that are derived
// from a and from b, with the commitment to a's. It returns what each sees.
func twoKeys(a, b, salt, context []byte) (sealed, seenA, seenB []byte) {
	recording := func(to *[]byte) suite {
		return suite{suite1.name, func(key []byte) (cipher.AEAD, error) { *to = key; return suite1.aead(key) }}
	}
	var aeadA, aeadB []byte
	ma := must(recording(&aeadA).message(a, salt, context))
	mb := must(recording(&aeadB).message(b, salt, context))
	chunk := salamander(ma, mb, aeadA, aeadB)
	return bytes.Join([][]byte{salt, ma.commitment[:], chunk}, nil), must(ma.open(nil, chunk)), must(mb.open(nil, chunk))
}

func TestTwoKeys(t *testing.T) {
	a, b := NewContentKey(), NewContentKey()
	sealed, seenA, seenB := twoKeys(a.Bytes(), b.Bytes(), make([]byte, saltSize), []byte("context"))
	if bytes.Equal(seenA, seenB) {
		t.Fatal("the AEAD alone should show two plaintexts")
	}
	got, err := openBytes("entry", a.secret, []byte("context"), sealed)
	if err != nil || !bytes.Equal(got, seenA) {
		t.Errorf("the key that is committed to: got %x and error %v, want %x", got, err, seenA)
	}
	_, err = openBytes("entry", b.secret, []byte("context"), sealed)
	wantTampered(t, "entry", err)
}

// TestWycheproof runs the public vectors of C2SP/wycheproof, testvectors_v1,
// from a folder that is named in the environment. They are for AES-256-GCM.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv("PEERBRAIN_WYCHEPROOF")
	if dir == "" {
		t.Skip("PEERBRAIN_WYCHEPROOF names no folder with c2sp_chunked_encryption_aes_256_gcm_test.json")
	}
	gcm := suite{"AEAD_AES_256_GCM", func(key []byte) (cipher.AEAD, error) {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	}}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                          int
				Comment, Key, Ctx, Ct, Result string
				AeadKey, BaseNonce, MsgSha512 string
				MsgLength                     int
				Flags                         []string
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "c2sp_chunked_encryption_aes_256_gcm_test.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range file.TestGroups {
		for _, c := range group.Tests {
			n++
			key, ctx := must(hex.DecodeString(c.Key)), must(hex.DecodeString(c.Ctx))
			sealed := must(io.ReadAll(must(zlib.NewReader(bytes.NewReader(must(hex.DecodeString(c.Ct)))))))
			got, err := gcm.open(key, ctx, sealed)
			if c.Result != "valid" {
				if err == nil {
					t.Errorf("%d (%s): opens", c.TcID, c.Comment)
				}
				continue
			}
			sum := sha512.Sum512(got)
			if err != nil || len(got) != c.MsgLength || hex.EncodeToString(sum[:]) != c.MsgSha512 {
				t.Errorf("%d (%s): error %v, or another plaintext", c.TcID, c.Comment, err)
				continue
			}
			again, err := gcm.seal([saltSize]byte(sealed), key, ctx, got)
			if err != nil || !bytes.Equal(again, sealed) {
				t.Errorf("%d (%s): error %v, or sealed otherwise", c.TcID, c.Comment, err)
			}
		}
	}
	if n < 35 {
		t.Errorf("got %d vectors, want at least 35", n)
	}
}
