package wire

// EntryKind tells what an entry is. Kinds that this release does not name in
// known are reserved: they are refused with kind Update.
type EntryKind uint64

const (
	KindEpoch     EntryKind = 1 // new secrets from here on; the body is an EpochBody
	KindPost      EntryKind = 2 // a sealed text
	KindEdit      EntryKind = 3 // reserved: replaces the text of Target
	KindDelete    EntryKind = 4 // reserved: withdraws Target
	KindProfile   EntryKind = 5 // reserved
	KindComment   EntryKind = 6 // reserved
	KindReaction  EntryKind = 7 // reserved
	KindMove      EntryKind = 8 // reserved
	KindTombstone EntryKind = 9 // reserved
)

func (k EntryKind) known() bool { return k == KindEpoch || k == KindPost }

// An EntryHeader is the signed, public part of an entry. Its hash is the entry's
// id; a stream is a chain of them, seq without a gap from 1.
type EntryHeader struct {
	Version     uint64     `cbor:"1,keyasint"`
	Suite       uint64     `cbor:"2,keyasint"`
	Author      AccountID  `cbor:"3,keyasint"`
	KeySeq      uint64     `cbor:"4,keyasint"` // the key statement that it is signed under
	Audience    AudienceID `cbor:"5,keyasint"`
	Seq         uint64     `cbor:"6,keyasint"`
	Prev        EntryID    `cbor:"7,keyasint"` // zero in the first
	Created     int64      `cbor:"8,keyasint"` // ms since 1970, a claim; never less than in the entry before
	Kind        EntryKind  `cbor:"9,keyasint"`
	Epoch       uint64     `cbor:"10,keyasint"` // seq of the newest epoch entry; its own seq in one
	Target      []byte     `cbor:"11,keyasint,omitempty"`
	Attachments [][]byte   `cbor:"12,keyasint,omitempty"`
	BodyHash    Hash       `cbor:"13,keyasint"`
	BodySize    uint64     `cbor:"14,keyasint"` // bytes of the body
}

// An Entry is a header and the bytes it speaks of: ciphertext, or the public
// body of an epoch.
type Entry struct {
	Header Signed `json:"header"`
	Body   Bytes  `json:"body"`
}

// Size is what the entry counts for on a page.
func (e Entry) Size() int { return len(e.Header) + len(e.Body) }

// ID returns the entry's id.
func (e Entry) ID() EntryID { return EntryID(e.Header.Hash(LabelEntry)) }

// BodyHash returns the hash that a header holds of its body.
func BodyHash(body []byte) Hash { return LabelBodyHash.Hash(body) }

func (h *EntryHeader) check() error {
	if err := checkVersion("entry", h.Version, h.Suite); err != nil {
		return err
	}
	if !h.Kind.known() {
		return Errorf(Update, "entry", "kind %d is not known here; a newer release is needed", h.Kind)
	}
	if h.Author.IsZero() || h.Audience.IsZero() || h.Seq == 0 {
		return Errorf(Invalid, "entry", "author, audience and a seq from 1 are required")
	}
	if (h.Seq == 1) != h.Prev.IsZero() {
		return Errorf(Invalid, "entry", "the previous hash is absent in the first entry, and only there")
	}
	if err := checkTime("entry", h.Created); err != nil {
		return err
	}
	if err := checkNumbers("entry", h.KeySeq, h.Seq); err != nil {
		return err
	}
	if len(h.Target) != 0 || len(h.Attachments) != 0 {
		return Errorf(Update, "entry", "targets and attachments are not known here; a newer release is needed")
	}
	return h.checkKind()
}

func (h *EntryHeader) checkKind() error {
	limit := uint64(MaxSealedPost)
	if h.Kind == KindEpoch {
		limit = MaxEpochBody
	}
	switch {
	case h.BodySize == 0 || h.BodySize > limit:
		return Errorf(TooLarge, "entry", "a body has 1 to %d bytes, not %d", limit, h.BodySize)
	case h.Kind == KindEpoch && h.Epoch != h.Seq:
		return Errorf(Invalid, "entry", "an epoch entry is its own epoch")
	case h.Kind != KindEpoch && (h.Epoch == 0 || h.Epoch >= h.Seq):
		return Errorf(Invalid, "entry", "the epoch must be an earlier entry")
	}
	return nil
}

// decodePlain reads b if it is what EncodeCBOR writes for a header of this
// release, which has neither a target nor attachments.
func (h *EntryHeader) decodePlain(b []byte) bool {
	r := ReadPlain(b)
	r.Pairs(12)
	read := EntryHeader{
		Version: r.Number(1), Suite: r.Number(2), Author: r.ID(3), KeySeq: r.Number(4), Audience: r.ID(5),
		Seq: r.Number(6), Prev: r.ID(7), Created: r.Time(8), Kind: EntryKind(r.Number(9)), Epoch: r.Number(10),
		BodyHash: r.ID(13), BodySize: r.Number(14),
	}
	if !r.End() {
		return false
	}
	*h = read
	return true
}

// Sign checks and signs h.
func (h *EntryHeader) Sign(s IdentitySecret) (Signed, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	return sign(LabelEntry, h, s.seed), nil
}

// Context returns what the body is sealed under: every field but the hash and
// the size of the ciphertext.
func (h *EntryHeader) Context() []byte {
	c := *h
	c.BodyHash, c.BodySize = Hash{}, 0
	return LabelSealEntry.Message(EncodeCBOR(&c))
}

// OpenEntry verifies the header with the author's key and the body with the header.
func OpenEntry(e Entry, key IdentityKey) (*EntryHeader, error) {
	h, err := OpenEntryHeader(e.Header, key)
	if err != nil {
		return nil, err
	}
	if uint64(len(e.Body)) != h.BodySize || BodyHash(e.Body) != h.BodyHash {
		return nil, Errorf(Tampered, "entry", "the body is not the one that was signed")
	}
	return h, nil
}

// OpenEntryHeader verifies a header alone.
func OpenEntryHeader(s Signed, key IdentityKey) (*EntryHeader, error) {
	h := new(EntryHeader)
	if err := open(LabelEntry, s, key, h); err != nil {
		return nil, err
	}
	return h, nil
}

// An EpochBody is the public body of an epoch entry. All secrets in it are
// sealed; the commitments let each reader check the keys that a wrap brings.
type EpochBody struct {
	Version      uint64     `cbor:"1,keyasint"`
	Suite        uint64     `cbor:"2,keyasint"`
	Content      Commitment `cbor:"3,keyasint"` // LabelContentCommit over the content key
	Chain        Commitment `cbor:"4,keyasint"` // LabelChainCommit over the chain key
	VaultHead    Signed     `cbor:"5,keyasint"` // the author's newest when this was written
	SealedSecret []byte     `cbor:"6,keyasint"` // the epoch secret under the author's self key
	Links        []Link     `cbor:"7,keyasint,omitempty"`
}

// A Link holds the secret of an earlier epoch, sealed under this one's chain key.
// The first link of an epoch leads to the epoch just before.
type Link struct {
	Epoch  uint64 `cbor:"1,keyasint"` // seq of the earlier epoch's entry
	Sealed []byte `cbor:"2,keyasint"`
}

// Encode writes the body of an epoch entry.
func (b *EpochBody) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	return EncodeCBOR(b), nil
}

func (b *EpochBody) check() error {
	if err := checkVersion("epoch", b.Version, b.Suite); err != nil {
		return err
	}
	if len(b.SealedSecret) == 0 || len(b.SealedSecret) > 256 || len(b.VaultHead) == 0 || len(b.Links) > MaxLinks {
		return Errorf(Invalid, "epoch", "a sealed secret, a vault head and at most %d links were expected", MaxLinks)
	}
	last := MaxInteger + 1
	for _, l := range b.Links {
		if l.Epoch == 0 || l.Epoch >= last || len(l.Sealed) == 0 || len(l.Sealed) > 256 {
			return Errorf(Invalid, "epoch", "links must lead to ever earlier epochs")
		}
		last = l.Epoch
	}
	return nil
}

// OpenEpochBody decodes the body of an epoch entry whose header is verified, and
// verifies the vault head in it with the author's key. prevEpoch is the seq of
// the epoch before, 0 for the first: the first link leads there.
func OpenEpochBody(h *EntryHeader, body []byte, prevEpoch uint64, key IdentityKey) (*EpochBody, *VaultHead, error) {
	b := new(EpochBody)
	if h.Kind != KindEpoch || uint64(len(body)) != h.BodySize || BodyHash(body) != h.BodyHash {
		return nil, nil, Errorf(Tampered, "epoch", "the body is not the one that was signed")
	}
	if err := decode("epoch", body, b); err != nil {
		return nil, nil, err
	}
	if (prevEpoch == 0) != (len(b.Links) == 0) || prevEpoch != 0 && b.Links[0].Epoch != prevEpoch || prevEpoch >= h.Seq {
		return nil, nil, Errorf(Tampered, "epoch", "the first link must lead to the epoch before")
	}
	head, err := OpenVaultHead(b.VaultHead, key)
	if err != nil {
		return nil, nil, err
	}
	if head.Account != h.Author {
		return nil, nil, Errorf(Tampered, "epoch", "the vault head is another person's")
	}
	return b, head, nil
}

// A Wrap is the content key of an epoch, and the chain key where the past is
// shared, sealed to one reader. It carries no signature: what it opens to is
// checked against the commitments in the signed epoch entry.
type Wrap struct {
	Reader AccountID `json:"reader"`
	Key    Hash      `json:"key"`    // the reader's key statement it is sealed to
	Sealed Bytes     `json:"sealed"` // WrapSize bytes
}

// Check refuses wraps of any other size.
func (w Wrap) Check() error {
	if w.Reader.IsZero() || w.Key.IsZero() || len(w.Sealed) != WrapSize {
		return Errorf(Invalid, "wrap", "a reader, a key and %d bytes were expected", WrapSize)
	}
	return nil
}

// DirectAudience is the audience that two people write to each other in.
func DirectAudience(a, b AccountID) AudienceID {
	if string(a[:]) > string(b[:]) {
		a, b = b, a
	}
	return AudienceID(LabelDirectAudience.Hash(a[:], b[:]))
}
