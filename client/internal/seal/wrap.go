package seal

import "github.com/peerbrain/peerbrain/federation/wire"

// WrapPlace is whose epoch a wrap opens, and for whom.
type WrapPlace struct {
	Author     wire.AccountID  `cbor:"1,keyasint"`
	Audience   wire.AudienceID `cbor:"2,keyasint"`
	Commitment wire.Commitment `cbor:"3,keyasint"` // to the content key
	Reader     wire.AccountID  `cbor:"4,keyasint"`
	Key        wire.Hash       `cbor:"5,keyasint"` // the reader's key statement
}

// SealWrap seals the content key of an epoch, and its chain key unless that is
// nil, to a reader: wire.WrapSize bytes, whose plaintext is the content key and
// the chain key, or 32 zeros for it. A content key that at.Commitment does not
// speak of is refused as wire.Internal.
func SealWrap(to wire.EncryptionKey, at WrapPlace, content ContentKey, chain *ChainKey) ([]byte, error) {
	if content.IsZero() || chain != nil && chain.IsZero() {
		return nil, errUnset("wrap")
	}
	if content.Commitment() != at.Commitment {
		return nil, wire.Errorf(wire.Internal, "wrap", "cannot be sealed: the commitment is to another content key")
	}
	var plaintext [2 * secretSize]byte
	copy(plaintext[:], content.raw())
	if chain != nil {
		copy(plaintext[secretSize:], chain.raw())
	}
	return boxSeal("wrap", to, context(wire.LabelSealWrap, &at), plaintext[:])
}

// OpenWrap opens a wrap with the reader's key and compares the content key with
// at.Commitment. The chain key is nil where the past is not shared; otherwise
// the caller compares its commitment with the one in the signed epoch entry.
func OpenWrap(s EncryptionSecret, at WrapPlace, sealed []byte) (ContentKey, *ChainKey, error) {
	b, err := boxOpen("wrap", s.kemSecret, context(wire.LabelSealWrap, &at), sealed, 2*secretSize)
	if err != nil {
		return ContentKey{}, nil, err
	}
	content, err := ContentKeyFromBytes(b[:secretSize])
	if err != nil || content.Commitment() != at.Commitment {
		return ContentKey{}, nil, errTampered("wrap")
	}
	if isZero(b[secretSize:]) {
		return content, nil, nil
	}
	chain, err := ChainKeyFromBytes(b[secretSize:])
	if err != nil {
		return ContentKey{}, nil, errTampered("wrap")
	}
	return content, &chain, nil
}
