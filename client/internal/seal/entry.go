package seal

import "github.com/peerbrain/peerbrain/federation/wire"

// MaxPlaintext is the most bytes that an entry holds: 64 KiB less the padding's
// header.
const MaxPlaintext = 64<<10 - 4

// SealedSize returns the bytes of the body of an entry with n bytes of plaintext,
// 0 if n is no size of one.
func SealedSize(n int) int {
	b := entryBuckets.bucket(n)
	if b == 0 {
		return 0
	}
	return sealedSize(b)
}

// SealEntry seals the body of the entry that h describes, padded, under the
// content key of its epoch, and sets h.BodyHash and h.BodySize. All other fields
// of h must be final: they are the context. More than MaxPlaintext bytes are
// refused as wire.TooLarge; epoch entries, whose body is public, as wire.Invalid.
func SealEntry(h *wire.EntryHeader, k ContentKey, plaintext []byte) (body []byte, err error) {
	if h.Kind == wire.KindEpoch {
		return nil, wire.Errorf(wire.Invalid, "entry", "the body of an epoch entry is not sealed")
	}
	padded, err := entryBuckets.pad("entry", plaintext)
	if err != nil {
		return nil, err
	}
	if body, err = sealBytes("entry", k.secret, h.Context(), padded); err != nil {
		return nil, err
	}
	h.BodyHash, h.BodySize = wire.BodyHash(body), uint64(len(body))
	return body, nil
}

// OpenEntry opens the body of an entry whose header h is verified. The body must
// be the one that h was signed with.
func OpenEntry(h *wire.EntryHeader, k ContentKey, body []byte) ([]byte, error) {
	if h.Kind == wire.KindEpoch || uint64(len(body)) != h.BodySize || wire.BodyHash(body) != h.BodyHash {
		return nil, errTampered("entry")
	}
	padded, err := openBytes("entry", k.secret, h.Context(), body)
	if err != nil {
		return nil, err
	}
	return entryBuckets.unpad("entry", padded)
}
