package seal

import (
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// SelfKey seals a person's epoch secrets for themselves. It lies in the vault
// and, sealed to the recovery encryption key, in the key statement.
type SelfKey struct{ secret }

// VaultKey seals one person's vault; the slots hold it.
type VaultKey struct{ secret }

// SlotKey seals the vault key in the password slot; it comes from the password.
type SlotKey struct{ secret }

// EpochSecret is what the keys of an epoch come from.
type EpochSecret struct{ secret }

// ContentKey seals the entries of an epoch.
type ContentKey struct{ secret }

// ChainKey opens the links of an epoch entry to earlier epochs.
type ChainKey struct{ secret }

// CacheKey seals the files of one device.
type CacheKey struct{ secret }

// NewSelfKey draws a random key; so do its sisters.
func NewSelfKey() SelfKey         { return SelfKey{randomSecret()} }
func NewVaultKey() VaultKey       { return VaultKey{randomSecret()} }
func NewSlotKey() SlotKey         { return SlotKey{randomSecret()} }
func NewEpochSecret() EpochSecret { return EpochSecret{randomSecret()} }
func NewContentKey() ContentKey   { return ContentKey{randomSecret()} }
func NewChainKey() ChainKey       { return ChainKey{randomSecret()} }
func NewCacheKey() CacheKey       { return CacheKey{randomSecret()} }

// SelfKeyFromBytes copies the 32 bytes that Bytes gave; so do its sisters. Other
// lengths and zeros are refused as wire.Invalid.
func SelfKeyFromBytes(b []byte) (SelfKey, error) {
	s, err := secretFrom("self key", b)
	return SelfKey{s}, err
}

func VaultKeyFromBytes(b []byte) (VaultKey, error) {
	s, err := secretFrom("vault key", b)
	return VaultKey{s}, err
}

func SlotKeyFromBytes(b []byte) (SlotKey, error) {
	s, err := secretFrom("slot key", b)
	return SlotKey{s}, err
}

func EpochSecretFromBytes(b []byte) (EpochSecret, error) {
	s, err := secretFrom("epoch secret", b)
	return EpochSecret{s}, err
}

func ContentKeyFromBytes(b []byte) (ContentKey, error) {
	s, err := secretFrom("content key", b)
	return ContentKey{s}, err
}

func ChainKeyFromBytes(b []byte) (ChainKey, error) {
	s, err := secretFrom("chain key", b)
	return ChainKey{s}, err
}

func CacheKeyFromBytes(b []byte) (CacheKey, error) {
	s, err := secretFrom("cache key", b)
	return CacheKey{s}, err
}

// NewIdentity draws an identity key.
func NewIdentity() wire.IdentitySecret {
	var b [32]byte
	rand.Read(b[:])
	return wire.NewIdentitySecret(b)
}

// kemSecret is an MLKEM768-X25519 private key: its 32-byte seed (X-Wing,
// draft-connolly-cfrg-xwing-kem) and what was expanded from it, behind a pointer
// since the key must not be printed either.
type kemSecret struct {
	seed secret
	key  *hpke.PrivateKey
}

func (kemSecret) String() string                 { return wire.Redacted }
func (kemSecret) GoString() string               { return wire.Redacted }
func (kemSecret) Format(f fmt.State, _ rune)     { io.WriteString(f, wire.Redacted) }
func (kemSecret) MarshalText() ([]byte, error)   { return nil, errWritten }
func (kemSecret) MarshalBinary() ([]byte, error) { return nil, errWritten }

// Seed returns the 32 private bytes, for sealing only; nil if never set.
func (s kemSecret) Seed() []byte { return s.seed.Bytes() }

// IsZero reports whether the secret was never set.
func (s kemSecret) IsZero() bool { return s.key == nil }

// EncryptionSecret opens the wraps that are sealed to a person.
type EncryptionSecret struct{ kemSecret }

// RecoveryEncryptionSecret opens the recovery slot and the self key; it comes
// from the recovery code.
type RecoveryEncryptionSecret struct{ kemSecret }

func newKEM(seed secret) kemSecret {
	key, err := wire.KEM().NewPrivateKey(seed.raw())
	if err != nil {
		panic("seal: " + err.Error()) // every 32 bytes are a private key
	}
	return kemSecret{seed: seed, key: &key}
}

// NewEncryptionSecret draws a random key.
func NewEncryptionSecret() EncryptionSecret {
	return EncryptionSecret{newKEM(randomSecret())}
}

// EncryptionSecretFromSeed makes the key that Seed gave the 32 bytes of.
func EncryptionSecretFromSeed(b []byte) (EncryptionSecret, error) {
	s, err := secretFrom("encryption key", b)
	if err != nil {
		return EncryptionSecret{}, err
	}
	return EncryptionSecret{newKEM(s)}, nil
}

// Public returns the key that others seal to; zeros if the secret was never set.
func (s EncryptionSecret) Public() wire.EncryptionKey { return s.public() }

// Public returns the key that vault key and self key are sealed to; zeros if the
// secret was never set.
func (s RecoveryEncryptionSecret) Public() wire.RecoveryEncryptionKey { return s.public() }

func (s kemSecret) public() (b [1216]byte) {
	if s.key != nil {
		copy(b[:], (*s.key).PublicKey().Bytes())
	}
	return b
}
