package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func epochPlace() EpochPlace {
	return EpochPlace{Author: bytesOf("author"), Audience: bytesOf("audience"), Seq: 5, Prev: bytesOf("entry before")}
}

func linkPlace() LinkPlace {
	return LinkPlace{Author: bytesOf("author"), Audience: bytesOf("audience"), From: 5, To: 1}
}

// hkdf1 is the first block of HKDF-SHA256 with an empty salt, by the letter of RFC 5869.
func hkdf1(ikm []byte, info string) []byte {
	mac := func(key, data []byte) []byte { h := hmac.New(sha256.New, key); h.Write(data); return h.Sum(nil) }
	return mac(mac(make([]byte, 32), ikm), append([]byte(info), 1))
}

func TestSplit(t *testing.T) {
	s := NewEpochSecret()
	content, chain := s.Split()
	wantBytes(t, "content key", content.Bytes(), hkdf1(s.Bytes(), "peerbrain/v1/key/epoch-content"))
	wantBytes(t, "chain key", chain.Bytes(), hkdf1(s.Bytes(), "peerbrain/v1/key/epoch-chain"))
	want := sha256.Sum256(append([]byte("peerbrain/v1/hash/content-key\x00"), content.Bytes()...))
	if content.Commitment() != want {
		t.Errorf("content commitment: got %v, want %x", content.Commitment(), want)
	}
	want = sha256.Sum256(append([]byte("peerbrain/v1/hash/chain-key\x00"), chain.Bytes()...))
	if chain.Commitment() != want {
		t.Errorf("chain commitment: got %v, want %x", chain.Commitment(), want)
	}
	if content, chain := (EpochSecret{}).Split(); !content.IsZero() || !chain.IsZero() {
		t.Error("keys of a secret that was never set")
	}
}

func TestEpochSecret(t *testing.T) {
	self, s := NewSelfKey(), NewEpochSecret()
	sealed := must(SealEpochSecret(self, epochPlace(), s))
	if len(sealed) != 104 {
		t.Errorf("got %d bytes, want 104", len(sealed))
	}
	open := func(b []byte) error { _, err := OpenEpochSecret(self, epochPlace(), b); return err }
	eachField(t, "epoch secret", epochPlace(), func(at EpochPlace) error { _, err := OpenEpochSecret(self, at, sealed); return err })
	eachBit(t, "epoch secret", sealed, 1, open)
	eachLength(t, "epoch secret", sealed, open)
	wantBytes(t, "opened", must(OpenEpochSecret(self, epochPlace(), sealed)).Bytes(), s.Bytes())
	_, err := OpenEpochSecret(NewSelfKey(), epochPlace(), sealed)
	wantTampered(t, "epoch secret", err)
	_, err = SealEpochSecret(SelfKey{}, epochPlace(), s)
	wantKind(t, wire.Internal, err)
	_, err = SealEpochSecret(self, epochPlace(), EpochSecret{})
	wantKind(t, wire.Internal, err)
}

func TestLink(t *testing.T) {
	_, chain := NewEpochSecret().Split()
	older := NewEpochSecret()
	sealed := must(SealLink(chain, linkPlace(), older))
	if len(sealed) != 104 {
		t.Errorf("got %d bytes, want 104", len(sealed))
	}
	open := func(b []byte) error { _, err := OpenLink(chain, linkPlace(), b); return err }
	eachField(t, "link", linkPlace(), func(at LinkPlace) error { _, err := OpenLink(chain, at, sealed); return err })
	eachBit(t, "link", sealed, 1, open)
	eachLength(t, "link", sealed, open)
	wantBytes(t, "opened", must(OpenLink(chain, linkPlace(), sealed)).Bytes(), older.Bytes())
	_, err := OpenLink(NewChainKey(), linkPlace(), sealed)
	wantTampered(t, "link", err)
	_, err = SealLink(ChainKey{}, linkPlace(), older)
	wantKind(t, wire.Internal, err)
}

// TestSecretOfAnotherForm seals what is no secret at all.
func TestSecretOfAnotherForm(t *testing.T) {
	chain, at := NewChainKey(), linkPlace()
	for _, plaintext := range [][]byte{{}, make([]byte, 32), bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{1}, 33), bytes.Repeat([]byte{1}, 64)} {
		sealed := must(sealBytes("link", chain.secret, context(wire.LabelSealLink, &at), plaintext))
		_, err := OpenLink(chain, at, sealed)
		wantTampered(t, "link", err)
	}
}

// TestOneKeyTwoKinds takes sealed bytes to another kind of object with the same
// key bytes.
func TestOneKeyTwoKinds(t *testing.T) {
	b := bytesOf("one key")
	self, chain := must(SelfKeyFromBytes(b[:])), must(ChainKeyFromBytes(b[:]))
	slot, cache := must(SlotKeyFromBytes(b[:])), must(CacheKeyFromBytes(b[:]))
	sealed := must(SealEpochSecret(self, EpochPlace{}, NewEpochSecret()))
	_, err := OpenLink(chain, LinkPlace{}, sealed)
	wantTampered(t, "link", err)
	_, err = OpenPasswordSlot(slot, wire.AccountID{}, sealed)
	wantTampered(t, "password slot", err)
	_, err = OpenCache(cache, "", sealed)
	wantTampered(t, "cache", err)
}

// TestHistory walks from the newest epoch to the first by links alone.
func TestHistory(t *testing.T) {
	var secrets []EpochSecret
	var links [][]byte
	place := func(i int) LinkPlace {
		at := linkPlace()
		at.From, at.To = uint64(10*i+1), uint64(10*(i-1)+1)
		return at
	}
	for i := range 20 {
		secrets = append(secrets, NewEpochSecret())
		links = append(links, nil)
		if i > 0 {
			_, chain := secrets[i].Split()
			links[i] = must(SealLink(chain, place(i), secrets[i-1]))
		}
	}
	_, chain := secrets[19].Split()
	for i := 19; i > 0; i-- {
		older, err := OpenLink(chain, place(i), links[i])
		if err != nil {
			t.Fatalf("link of epoch %d: %v", i, err)
		}
		wantBytes(t, "older secret", older.Bytes(), secrets[i-1].Bytes())
		_, chain = older.Split()
	}
}
