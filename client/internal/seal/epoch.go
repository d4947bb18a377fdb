package seal

import "github.com/peerbrain/peerbrain/federation/wire"

// Split derives the two keys of the epoch; zero keys from a zero secret.
func (s EpochSecret) Split() (ContentKey, ChainKey) {
	if s.IsZero() {
		return ContentKey{}, ChainKey{}
	}
	return ContentKey{derivedSecret(s.raw(), wire.LabelContentKey)}, ChainKey{derivedSecret(s.raw(), wire.LabelChainKey)}
}

// Commitment returns what the epoch entry publishes of the key.
func (k ContentKey) Commitment() wire.Commitment {
	return wire.Commitment(wire.LabelContentCommit.Hash(k.raw()))
}

// Commitment returns what the epoch entry publishes of the key.
func (k ChainKey) Commitment() wire.Commitment {
	return wire.Commitment(wire.LabelChainCommit.Hash(k.raw()))
}

// EpochPlace is the epoch entry that holds a sealed epoch secret.
type EpochPlace struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	Seq      uint64          `cbor:"3,keyasint"` // of the epoch entry
	Prev     wire.EntryID    `cbor:"4,keyasint"` // of the epoch entry's header
}

// SealEpochSecret seals the secret of an epoch for its author alone: 104 bytes.
func SealEpochSecret(self SelfKey, at EpochPlace, s EpochSecret) ([]byte, error) {
	return sealSecret("epoch secret", self.secret, context(wire.LabelSealSelfSecret, &at), s.secret)
}

// OpenEpochSecret opens what SealEpochSecret made. The caller compares the
// commitments of its keys with those in the signed entry.
func OpenEpochSecret(self SelfKey, at EpochPlace, sealed []byte) (EpochSecret, error) {
	s, err := openSecret("epoch secret", self.secret, context(wire.LabelSealSelfSecret, &at), sealed)
	return EpochSecret{s}, err
}

// LinkPlace is the epoch entry that holds a link, and the one it leads to.
type LinkPlace struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	From     uint64          `cbor:"3,keyasint"` // seq of the epoch entry that holds the link
	To       uint64          `cbor:"4,keyasint"` // seq of the earlier epoch's entry
}

// SealLink seals the secret of an earlier epoch under the chain key of a later
// one: 104 bytes.
func SealLink(chain ChainKey, at LinkPlace, older EpochSecret) ([]byte, error) {
	return sealSecret("link", chain.secret, context(wire.LabelSealLink, &at), older.secret)
}

// OpenLink opens what SealLink made. The caller compares the commitments of its
// keys with those in the signed entry that the link leads to.
func OpenLink(chain ChainKey, at LinkPlace, sealed []byte) (EpochSecret, error) {
	s, err := openSecret("link", chain.secret, context(wire.LabelSealLink, &at), sealed)
	return EpochSecret{s}, err
}

// sealSecret seals one secret under another.
func sealSecret(what string, key secret, context []byte, s secret) ([]byte, error) {
	if s.IsZero() {
		return nil, errUnset(what)
	}
	return sealBytes(what, key, context, s.raw())
}

func openSecret(what string, key secret, context, sealed []byte) (secret, error) {
	b, err := openBytes(what, key, context, sealed)
	if err != nil {
		return secret{}, err
	}
	s, err := secretFrom(what, b)
	if err != nil {
		return secret{}, errTampered(what)
	}
	return s, nil
}
