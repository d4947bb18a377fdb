package wire

import (
	"crypto/hpke"
	"testing"
)

// The sizes that HPKE fixes.
func TestHPKESizes(t *testing.T) {
	seed := seedOf("reader")
	key := must(KEM().NewPrivateKey(seed[:])).PublicKey()
	if got := len(key.Bytes()); got != len(EncryptionKey{}) {
		t.Errorf("a public key has %d bytes", got)
	}
	for _, c := range []struct{ plain, want int }{{64, WrapSize}, {32, SelfKeySize}} {
		sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), nil, make([]byte, c.plain))
		if err != nil || len(sealed) != c.want {
			t.Errorf("%d bytes are sealed to %d, want %d: %v", c.plain, len(sealed), c.want, err)
		}
	}
}

// No valid statement comes near the limit, so that Sign need not check it.
func TestLargestStatements(t *testing.T) {
	d := nodeDocument()
	for i := range 31 {
		d.Keys = append(d.Keys, NodeKey{"a-purpose-of-thirty-two-letters-", NewNodeRequestSecret(seedOf(string(rune(i)))).Public(), t0, MaxTime})
	}
	d.Software, d.Contact = string(filled(128, 'a')), string(filled(256, 'a'))
	if s := must(d.Sign(rootKey)); len(s) > MaxNodeDocument/2 {
		t.Errorf("a node document of %d bytes", len(s))
	}
	if s := must(keyStatement().Sign(aliceKey)); len(s) > MaxStatement/2 {
		t.Errorf("a key statement of %d bytes", len(s))
	}
	b := epochBody()
	for i := range uint64(MaxLinks) {
		b.Links = append(b.Links, Link{MaxInteger - i, filled(256, 1)})
	}
	b.SealedSecret = filled(256, 1)
	if body := must(b.Encode()); len(body) > MaxEpochBody {
		t.Errorf("an epoch body of %d bytes is over the limit of %d", len(body), MaxEpochBody)
	}
	s := slots()
	s.PasswordSlot = filled(256, 1)
	if enc := must(s.Encode()); len(enc) > MaxSlots {
		t.Errorf("slots of %d bytes", len(enc))
	}
}
