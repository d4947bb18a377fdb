package seal

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func vaultPlace() VaultPlace { return VaultPlace{Account: bytesOf("account"), Counter: 3} }

func selfKeyPlace() SelfKeyPlace {
	return SelfKeyPlace{Address: wire.Address{Handle: "alice", Node: "node.example"}, Identity: bytesOf("identity")}
}

func TestVault(t *testing.T) {
	k := NewVaultKey()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 10000), rapid.IntRange(0, 200000)).Draw(t, "n")
		sealed, err := SealVault(k, vaultPlace(), pattern(n))
		if err != nil || len(sealed) != sealedSize(vaultBuckets.bucket(n)) {
			t.Fatalf("%d bytes: error %v, or sealed as %d", n, err, len(sealed))
		}
		got, err := OpenVault(k, vaultPlace(), sealed)
		if err != nil || !bytes.Equal(got, pattern(n)) {
			t.Fatalf("%d bytes: error %v, or another plaintext", n, err)
		}
	})
}

func TestVaultLimits(t *testing.T) {
	k := NewVaultKey()
	sealed, err := SealVault(k, vaultPlace(), pattern(MaxVaultPlaintext))
	if err != nil || len(sealed) > wire.MaxVault {
		t.Fatalf("the largest: error %v, or %d bytes sealed, want at most %d", err, len(sealed), wire.MaxVault)
	}
	wantBytes(t, "the largest", must(OpenVault(k, vaultPlace(), sealed)), pattern(MaxVaultPlaintext))
	_, err = SealVault(k, vaultPlace(), make([]byte, MaxVaultPlaintext+1))
	wantKind(t, wire.TooLarge, err)
	_, err = SealVault(VaultKey{}, vaultPlace(), nil)
	wantKind(t, wire.Internal, err)
}

func TestVaultRefused(t *testing.T) {
	k := NewVaultKey()
	sealed := must(SealVault(k, vaultPlace(), []byte("a vault")))
	eachField(t, "vault", vaultPlace(), func(at VaultPlace) error { _, err := OpenVault(k, at, sealed); return err })
	eachBit(t, "vault", sealed, 9, func(b []byte) error { _, err := OpenVault(k, vaultPlace(), b); return err })
	_, err := OpenVault(NewVaultKey(), vaultPlace(), sealed)
	wantTampered(t, "vault", err)
	at := vaultPlace()
	small := must(sealBytes("vault", k.secret, context(wire.LabelSealVault, &at), make([]byte, 256)))
	_, err = OpenVault(k, at, small)
	wantTampered(t, "vault", err)
}

func TestPasswordSlot(t *testing.T) {
	k, v := NewSlotKey(), NewVaultKey()
	account := wire.AccountID(bytesOf("account"))
	sealed := must(SealPasswordSlot(k, account, v))
	open := func(b []byte) error { _, err := OpenPasswordSlot(k, account, b); return err }
	eachField(t, "password slot", slotPlace{account}, func(at slotPlace) error { _, err := OpenPasswordSlot(k, at.Account, sealed); return err })
	eachBit(t, "password slot", sealed, 1, open)
	eachLength(t, "password slot", sealed, open)
	wantBytes(t, "vault key", must(OpenPasswordSlot(k, account, sealed)).Bytes(), v.Bytes())
	_, err := OpenPasswordSlot(NewSlotKey(), account, sealed)
	wantTampered(t, "password slot", err)
	_, err = SealPasswordSlot(k, account, VaultKey{})
	wantKind(t, wire.Internal, err)
}

func TestRecoverySlot(t *testing.T) {
	_, s, _ := NewRecoveryCode().Secrets()
	_, stranger, _ := NewRecoveryCode().Secrets()
	v, account := NewVaultKey(), wire.AccountID(bytesOf("account"))
	sealed := must(SealRecoverySlot(s.Public(), account, v))
	if len(sealed) != wire.SelfKeySize {
		t.Errorf("got %d bytes, want %d", len(sealed), wire.SelfKeySize)
	}
	eachField(t, "recovery slot", slotPlace{account}, func(at slotPlace) error { _, err := OpenRecoverySlot(s, at.Account, sealed); return err })
	eachBit(t, "recovery slot", sealed, 63, func(b []byte) error { _, err := OpenRecoverySlot(s, account, b); return err })
	wantBytes(t, "vault key", must(OpenRecoverySlot(s, account, sealed)).Bytes(), v.Bytes())
	_, err := OpenRecoverySlot(stranger, account, sealed)
	wantTampered(t, "recovery slot", err)
	_, err = SealRecoverySlot(s.Public(), account, VaultKey{})
	wantKind(t, wire.Internal, err)
}

func TestSelfKey(t *testing.T) {
	_, s, _ := NewRecoveryCode().Secrets()
	k, at := NewSelfKey(), selfKeyPlace()
	sealed := must(SealSelfKey(s.Public(), at, k))
	if len(sealed) != wire.SelfKeySize {
		t.Errorf("got %d bytes, want %d", len(sealed), wire.SelfKeySize)
	}
	eachField(t, "self key", at, func(at SelfKeyPlace) error { _, err := OpenSelfKey(s, at, sealed); return err })
	eachBit(t, "self key", sealed, 63, func(b []byte) error { _, err := OpenSelfKey(s, at, b); return err })
	wantBytes(t, "self key", must(OpenSelfKey(s, at, sealed)).Bytes(), k.Bytes())
	_, err := OpenSelfKey(RecoveryEncryptionSecret{}, at, sealed)
	wantTampered(t, "self key", err)
	// A recovery slot of the same key is no self key.
	slot := must(SealRecoverySlot(s.Public(), wire.AccountID{}, NewVaultKey()))
	_, err = OpenSelfKey(s, at, slot)
	wantTampered(t, "self key", err)
	for _, plaintext := range [][]byte{{}, make([]byte, 32), bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{1}, 64)} {
		_, err = OpenSelfKey(s, at, must(boxSeal("self key", s.Public(), at.info(), plaintext)))
		wantTampered(t, "self key", err)
	}
}

func TestCache(t *testing.T) {
	k := NewCacheKey()
	sealed := must(SealCache(k, "session", []byte("a token")))
	eachField(t, "cache", cachePlace{"session"}, func(at cachePlace) error { _, err := OpenCache(k, at.Name, sealed); return err })
	eachBit(t, "cache", sealed, 1, func(b []byte) error { _, err := OpenCache(k, "session", b); return err })
	wantBytes(t, "opened", must(OpenCache(k, "session", sealed)), []byte("a token"))
	_, err := OpenCache(NewCacheKey(), "session", sealed)
	wantTampered(t, "cache", err)
	_, err = SealCache(CacheKey{}, "session", nil)
	wantKind(t, wire.Internal, err)
}
