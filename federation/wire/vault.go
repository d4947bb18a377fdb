package wire

import "bytes"

// A VaultHead is the signed version of a vault: a chain by counter and previous
// hash, so that a device accepts only descendants of what it has seen.
type VaultHead struct {
	Version   uint64    `cbor:"1,keyasint"`
	Suite     uint64    `cbor:"2,keyasint"`
	Account   AccountID `cbor:"3,keyasint"`
	KeySeq    uint64    `cbor:"4,keyasint"`
	Counter   uint64    `cbor:"5,keyasint"` // from 1
	Prev      Hash      `cbor:"6,keyasint"` // hash of the head before; zero in the first
	VaultHash Hash      `cbor:"7,keyasint"` // LabelVaultHash over the sealed vault
	SlotsHash Hash      `cbor:"8,keyasint"` // LabelSlotsHash over the encoded slots
	Created   int64     `cbor:"9,keyasint"` // ms since 1970
}

func (v *VaultHead) check() error {
	if err := checkVersion("vault head", v.Version, v.Suite); err != nil {
		return err
	}
	if v.Account.IsZero() || v.Counter == 0 || (v.Counter == 1) != v.Prev.IsZero() {
		return Errorf(Invalid, "vault head", "an account, a counter from 1 and the hash before were expected")
	}
	if err := checkNumbers("vault head", v.KeySeq, v.Counter); err != nil {
		return err
	}
	return checkTime("vault head", v.Created)
}

// Sign checks and signs v.
func (v *VaultHead) Sign(s IdentitySecret) (Signed, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	return sign(LabelVaultHead, v, s.seed), nil
}

// OpenVaultHead opens a head with its owner's key.
func OpenVaultHead(s Signed, key IdentityKey) (*VaultHead, error) {
	v := new(VaultHead)
	if err := open(LabelVaultHead, s, key, v); err != nil {
		return nil, err
	}
	return v, nil
}

// VaultHash and SlotsHash are what a head holds of a sealed vault and its slots.
func VaultHash(vault []byte) Hash { return LabelVaultHash.Hash(vault) }
func SlotsHash(slots []byte) Hash { return LabelSlotsHash.Hash(slots) }

// Follows reports, as an error, why v does not follow prev, whose hash is prevHash.
func (v *VaultHead) Follows(prev *VaultHead, prevHash Hash) error {
	if v.Account != prev.Account || v.Counter != prev.Counter+1 || v.Prev != prevHash {
		return Errorf(Conflict, "vault head", "version %d does not follow version %d", v.Counter, prev.Counter)
	}
	if v.KeySeq < prev.KeySeq {
		return Errorf(Tampered, "vault head", "it is signed under older keys than the one before")
	}
	return nil
}

// Argon2 are the parameters of the password's key derivation (Argon2id, RFC 9106).
type Argon2 struct {
	Memory  uint32 `cbor:"1,keyasint" json:"memory_kib"` // KiB
	Time    uint32 `cbor:"2,keyasint" json:"time"`       // passes
	Threads uint32 `cbor:"3,keyasint" json:"threads"`
}

// DefaultArgon2 is the floor as well: clients refuse weaker parameters.
var DefaultArgon2 = Argon2{Memory: 64 << 10, Time: 3, Threads: 1}

// Check refuses parameters below the floor, which would make guessing cheap, and
// absurd ones, which would make a device unusable.
func (a Argon2) Check() error {
	d := DefaultArgon2
	if a.Memory < d.Memory || a.Memory > 1<<20 || a.Time < d.Time || a.Time > 16 || a.Threads < 1 || a.Threads > 4 {
		return Errorf(Invalid, "argon2", "parameters %d KiB, t=%d, p=%d are outside of what is accepted", a.Memory, a.Time, a.Threads)
	}
	return nil
}

// Slots say how a vault is opened: by the password, or by the recovery code.
type Slots struct {
	Version       uint64   `cbor:"1,keyasint"`
	Suite         uint64   `cbor:"2,keyasint"`
	Random        Nonce    `cbor:"3,keyasint"` // 32 random bytes of the account, part of the salt
	Argon2        Argon2   `cbor:"4,keyasint"`
	Login         LoginKey `cbor:"5,keyasint"` // verifies log-ins by password
	PasswordSlot  []byte   `cbor:"6,keyasint"` // the vault key under the slot key
	RecoveryLogin LoginKey `cbor:"7,keyasint"` // verifies log-ins by recovery code
	RecoverySlot  []byte   `cbor:"8,keyasint"` // the vault key, HPKE to the recovery encryption key
}

// decodePlain reads slots, if they are as EncodeCBOR writes them.
func (s *Slots) decodePlain(b []byte) bool {
	r := ReadPlain(b)
	r.Pairs(8)
	read := Slots{
		Version: r.Number(1), Suite: r.Number(2), Random: r.ID(3), Argon2: r.argon2(4), Login: r.ID(5),
		PasswordSlot: bytes.Clone(r.Bytes(6)), RecoveryLogin: r.ID(7), RecoverySlot: bytes.Clone(r.Bytes(8)),
	}
	if !r.End() {
		return false
	}
	*s = read
	return true
}

// argon2 reads parameters under key.
func (r *PlainReader) argon2(key uint64) Argon2 {
	r.key(key)
	r.Pairs(3)
	return Argon2{r.small(1), r.small(2), r.small(3)}
}

func (s *Slots) check() error {
	if err := checkVersion("slots", s.Version, s.Suite); err != nil {
		return err
	}
	if err := s.Argon2.Check(); err != nil {
		return err
	}
	if err := CheckEd25519("login key", s.Login); err != nil {
		return err
	}
	if err := CheckEd25519("recovery login key", s.RecoveryLogin); err != nil {
		return err
	}
	if s.Login == s.RecoveryLogin {
		return Errorf(Invalid, "slots", "the keys of the two ways to log in must differ")
	}
	if len(s.PasswordSlot) == 0 || len(s.PasswordSlot) > 256 || len(s.RecoverySlot) != SelfKeySize {
		return Errorf(Invalid, "slots", "a password slot and a recovery slot of %d bytes were expected", SelfKeySize)
	}
	return nil
}

// Encode writes s, which is hashed by the vault head.
func (s *Slots) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return EncodeCBOR(s), nil
}

// DecodeSlots accepts exactly what Encode writes.
func DecodeSlots(b []byte) (*Slots, error) {
	if len(b) > MaxSlots {
		return nil, Errorf(TooLarge, "slots", "at most %d bytes", MaxSlots)
	}
	s := new(Slots)
	if err := decode("slots", b, s); err != nil {
		return nil, err
	}
	return s, nil
}

// A VaultRecord is a vault with its signed head and its slots, as a node keeps it.
type VaultRecord struct {
	Head  Signed `json:"head"`
	Slots Bytes  `json:"slots"`
	Vault Bytes  `json:"vault"`
}

// OpenVaultRecord verifies a record with its owner's key.
func OpenVaultRecord(r VaultRecord, key IdentityKey) (*VaultHead, *Slots, error) {
	if len(r.Vault) > MaxVault {
		return nil, nil, Errorf(TooLarge, "vault", "at most %d bytes", MaxVault)
	}
	if len(r.Vault) == 0 {
		return nil, nil, Errorf(Invalid, "vault", "a sealed vault was expected")
	}
	h, err := OpenVaultHead(r.Head, key)
	if err != nil {
		return nil, nil, err
	}
	if VaultHash(r.Vault) != h.VaultHash || SlotsHash(r.Slots) != h.SlotsHash {
		return nil, nil, Errorf(Tampered, "vault", "vault or slots are not those that were signed")
	}
	s, err := DecodeSlots(r.Slots)
	if err != nil {
		return nil, nil, err
	}
	return h, s, nil
}

// A HeadQuery asks the node of a friend for the newest vault head that it holds
// of the one who asks. It is signed by them, so that nobody else learns from the
// answer where their friends are.
type HeadQuery struct {
	Version uint64    `cbor:"1,keyasint"`
	Suite   uint64    `cbor:"2,keyasint"`
	Account AccountID `cbor:"3,keyasint"`
	Node    NodeName  `cbor:"4,keyasint"` // the node that is asked
	Created int64     `cbor:"5,keyasint"` // ms since 1970
}

func (q *HeadQuery) check() error {
	if err := checkVersion("head query", q.Version, q.Suite); err != nil {
		return err
	}
	if q.Account.IsZero() {
		return Errorf(Invalid, "head query", "an account was expected")
	}
	if _, err := ParseNodeName(string(q.Node)); err != nil {
		return err
	}
	return checkTime("head query", q.Created)
}

// Sign checks and signs q.
func (q *HeadQuery) Sign(s IdentitySecret) (Signed, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	return sign(LabelHeadQuery, q, s.seed), nil
}

// OpenHeadQuery opens a query with the key of the one who asks.
func OpenHeadQuery(s Signed, key IdentityKey) (*HeadQuery, error) {
	q := new(HeadQuery)
	if err := open(LabelHeadQuery, s, key, q); err != nil {
		return nil, err
	}
	return q, nil
}
