package seal

import "github.com/peerbrain/peerbrain/federation/wire"

// MaxVaultPlaintext is the most bytes that a vault holds: 2 MiB less the
// padding's header.
const MaxVaultPlaintext = 2<<20 - 4

// VaultPlace is a version of a person's vault.
type VaultPlace struct {
	Account wire.AccountID `cbor:"1,keyasint"`
	Counter uint64         `cbor:"2,keyasint"` // of the vault head
}

// SealVault seals a version of a vault, padded to a power of two from 4 KiB, so
// that its size tells little about the number of friends. More than
// MaxVaultPlaintext bytes are refused as wire.TooLarge.
func SealVault(k VaultKey, at VaultPlace, plaintext []byte) ([]byte, error) {
	padded, err := vaultBuckets.pad("vault", plaintext)
	if err != nil {
		return nil, err
	}
	return sealBytes("vault", k.secret, context(wire.LabelSealVault, &at), padded)
}

// OpenVault opens what SealVault made.
func OpenVault(k VaultKey, at VaultPlace, sealed []byte) ([]byte, error) {
	padded, err := openBytes("vault", k.secret, context(wire.LabelSealVault, &at), sealed)
	if err != nil {
		return nil, err
	}
	return vaultBuckets.unpad("vault", padded)
}

// slotPlace is whose vault a slot opens.
type slotPlace struct {
	Account wire.AccountID `cbor:"1,keyasint"`
}

// SealPasswordSlot seals the vault key under the slot key: 104 bytes.
func SealPasswordSlot(k SlotKey, account wire.AccountID, v VaultKey) ([]byte, error) {
	return sealSecret("password slot", k.secret, context(wire.LabelSealSlot, &slotPlace{account}), v.secret)
}

// OpenPasswordSlot opens what SealPasswordSlot made.
func OpenPasswordSlot(k SlotKey, account wire.AccountID, sealed []byte) (VaultKey, error) {
	s, err := openSecret("password slot", k.secret, context(wire.LabelSealSlot, &slotPlace{account}), sealed)
	return VaultKey{s}, err
}

// SealRecoverySlot seals the vault key to the recovery encryption key, which
// does not need the recovery code: wire.SelfKeySize bytes.
func SealRecoverySlot(to wire.RecoveryEncryptionKey, account wire.AccountID, v VaultKey) ([]byte, error) {
	return boxSealSecret("recovery slot", to, context(wire.LabelSealRecovery, &slotPlace{account}), v.secret)
}

// OpenRecoverySlot opens what SealRecoverySlot made. Anybody can seal to the
// recovery encryption key: the signed vault head says that the slot is the owner's.
func OpenRecoverySlot(s RecoveryEncryptionSecret, account wire.AccountID, sealed []byte) (VaultKey, error) {
	v, err := boxOpenSecret("recovery slot", s.kemSecret, context(wire.LabelSealRecovery, &slotPlace{account}), sealed)
	return VaultKey{v}, err
}

// SelfKeyPlace is the key statement that holds a sealed self key.
type SelfKeyPlace struct {
	Address  wire.Address
	Identity wire.IdentityKey
}

func (p SelfKeyPlace) info() []byte {
	return context(wire.LabelSealSelfKey, &struct {
		Handle   wire.Handle      `cbor:"1,keyasint"`
		Node     wire.NodeName    `cbor:"2,keyasint"`
		Identity wire.IdentityKey `cbor:"3,keyasint"`
	}{p.Address.Handle, p.Address.Node, p.Identity})
}

// SealSelfKey seals the self key for the key statement: wire.SelfKeySize bytes.
func SealSelfKey(to wire.RecoveryEncryptionKey, at SelfKeyPlace, k SelfKey) ([]byte, error) {
	return boxSealSecret("self key", to, at.info(), k.secret)
}

// OpenSelfKey opens what SealSelfKey made. Anybody can seal to the recovery
// encryption key: the signature of the key statement says whose it is.
func OpenSelfKey(s RecoveryEncryptionSecret, at SelfKeyPlace, sealed []byte) (SelfKey, error) {
	k, err := boxOpenSecret("self key", s.kemSecret, at.info(), sealed)
	return SelfKey{k}, err
}

// boxSealSecret seals one secret to a public key.
func boxSealSecret(what string, to wire.RecoveryEncryptionKey, info []byte, s secret) ([]byte, error) {
	if s.IsZero() {
		return nil, errUnset(what)
	}
	return boxSeal(what, to, info, s.raw())
}

func boxOpenSecret(what string, s kemSecret, info, sealed []byte) (secret, error) {
	b, err := boxOpen(what, s, info, sealed, secretSize)
	if err != nil {
		return secret{}, err
	}
	k, err := secretFrom(what, b)
	if err != nil {
		return secret{}, errTampered(what)
	}
	return k, nil
}
