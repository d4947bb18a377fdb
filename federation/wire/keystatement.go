package wire

// Signer tells which key of the previous statement signed a key statement.
type Signer uint64

const (
	ByIdentity Signer = 1 // the previous identity key; the first statement's own
	ByRecovery Signer = 2 // the previous recovery key
)

// A KeyStatement says which keys belong to an address. The first one's hash is
// the account id; each next one names the hash of the one before.
type KeyStatement struct {
	Version       uint64                `cbor:"1,keyasint"`
	Suite         uint64                `cbor:"2,keyasint"`
	Account       AccountID             `cbor:"3,keyasint"` // zero in the first
	Seq           uint64                `cbor:"4,keyasint"` // 0 for the first
	Prev          Hash                  `cbor:"5,keyasint"` // zero in the first
	Handle        Handle                `cbor:"6,keyasint"`
	Node          NodeName              `cbor:"7,keyasint"`
	Identity      IdentityKey           `cbor:"8,keyasint"`
	Encryption    EncryptionKey         `cbor:"9,keyasint"`
	Recovery      RecoveryKey           `cbor:"10,keyasint"`
	RecoveryBox   RecoveryEncryptionKey `cbor:"11,keyasint"`
	SealedSelfKey []byte                `cbor:"12,keyasint"` // SelfKeySize bytes, HPKE to RecoveryBox
	Signer        Signer                `cbor:"13,keyasint"`
	Created       int64                 `cbor:"14,keyasint"` // ms since 1970, a claim
}

// Address returns where the statement says the person is found.
func (k *KeyStatement) Address() Address { return Address{k.Handle, k.Node} }

func (k *KeyStatement) check() error {
	if err := checkVersion("key statement", k.Version, k.Suite); err != nil {
		return err
	}
	if _, err := ParseHandle(string(k.Handle)); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(k.Node)); err != nil {
		return err
	}
	first := k.Seq == 0
	if first != k.Account.IsZero() || first != k.Prev.IsZero() {
		return Errorf(Invalid, "key statement", "account and previous hash are absent in the first statement, and only there")
	}
	if k.Signer != ByIdentity && (k.Signer != ByRecovery || first) {
		return Errorf(Invalid, "key statement", "signer %d is unknown", k.Signer)
	}
	if len(k.SealedSelfKey) != SelfKeySize {
		return Errorf(Invalid, "key statement", "the sealed self key has %d bytes, not %d", len(k.SealedSelfKey), SelfKeySize)
	}
	if err := checkTime("key statement", k.Created); err != nil {
		return err
	}
	if err := checkNumbers("key statement", k.Seq); err != nil {
		return err
	}
	return k.checkKeys()
}

func (k *KeyStatement) checkKeys() error {
	if err := CheckEd25519("identity key", k.Identity); err != nil {
		return err
	}
	if err := CheckEd25519("recovery key", k.Recovery); err != nil {
		return err
	}
	if k.Identity == IdentityKey(k.Recovery) {
		return Errorf(Invalid, "key statement", "identity and recovery key must differ")
	}
	if k.Encryption == EncryptionKey(k.RecoveryBox) {
		return Errorf(Invalid, "key statement", "encryption and recovery encryption key must differ")
	}
	if err := CheckEncryptionKey("encryption key", k.Encryption); err != nil {
		return err
	}
	return CheckEncryptionKey("recovery encryption key", k.RecoveryBox)
}

// Sign checks and signs k with the identity key that its place in the chain asks for.
func (k *KeyStatement) Sign(s IdentitySecret) (Signed, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	return sign(LabelKeyStatement, k, s.seed), nil
}

// SignRecovery checks and signs k with the recovery key of the statement before.
func (k *KeyStatement) SignRecovery(s RecoverySecret) (Signed, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	return sign(LabelKeyStatement, k, s.seed), nil
}

// OpenFirstKeyStatement opens the statement that founds an account. It is signed
// with the key that stands in it, so it is decoded before it is verified; its
// meaning comes from the account id, which is its hash.
func OpenFirstKeyStatement(s Signed) (*KeyStatement, AccountID, error) {
	if len(s) > MaxStatement {
		return nil, AccountID{}, Errorf(TooLarge, "key statement", "a statement has at most %d bytes", MaxStatement)
	}
	k := new(KeyStatement)
	if err := decode(LabelKeyStatement, s.payload(), k); err != nil {
		return nil, AccountID{}, err
	}
	if k.Seq != 0 {
		return nil, AccountID{}, Errorf(Invalid, "key statement", "a chain begins with statement 0, not %d", k.Seq)
	}
	if err := s.verify(LabelKeyStatement, k.Identity, MaxStatement); err != nil {
		return nil, AccountID{}, err
	}
	return k, AccountID(s.Hash(LabelKeyStatement)), nil
}

// OpenNextKeyStatement opens the statement that follows prev, whose hash is
// prevHash, in the chain of account.
func OpenNextKeyStatement(s Signed, account AccountID, prev *KeyStatement, prevHash Hash) (*KeyStatement, error) {
	k := new(KeyStatement)
	byIdentity := s.verify(LabelKeyStatement, prev.Identity, MaxStatement)
	if byIdentity != nil {
		if err := s.verify(LabelKeyStatement, prev.Recovery, MaxStatement); err != nil {
			return nil, err
		}
	}
	if err := decode(LabelKeyStatement, s.payload(), k); err != nil {
		return nil, err
	}
	signer := ByIdentity
	if byIdentity != nil {
		signer = ByRecovery
	}
	switch {
	case k.Signer != signer:
		return nil, Errorf(Tampered, "key statement", "it names another signer than its signature has")
	case k.Account != account, k.Seq != prev.Seq+1, k.Prev != prevHash:
		return nil, Errorf(Tampered, "key statement", "it does not follow statement %d of the account", prev.Seq)
	case k.Signer == ByIdentity && (k.Recovery != prev.Recovery || k.RecoveryBox != prev.RecoveryBox):
		return nil, Errorf(Tampered, "key statement", "only the recovery key changes the recovery keys")
	case k.Address() != prev.Address():
		return nil, Errorf(Tampered, "key statement", "an address changes by a move only")
	}
	return k, nil
}

// MaxTime is the year 9999: later claims are malformed.
const MaxTime = 253402300799999

func checkTime(what string, ms int64) error {
	if ms < 0 || ms > MaxTime {
		return Errorf(Invalid, what, "the time %d is no time in milliseconds", ms)
	}
	return nil
}
