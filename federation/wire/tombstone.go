package wire

// A Tombstone says that an account is deleted, for good. It is signed by the identity
// key of the newest key statement, or by the recovery key, so that a lost password keeps
// nobody from it. Nothing is said of an account after it.
type Tombstone struct {
	Version   uint64    `cbor:"1,keyasint"`
	Suite     uint64    `cbor:"2,keyasint"`
	Account   AccountID `cbor:"3,keyasint"`
	KeySeq    uint64    `cbor:"4,keyasint"` // of the newest key statement
	Statement Hash      `cbor:"5,keyasint"` // hash of it
	Handle    Handle    `cbor:"6,keyasint"` // that nobody has again
	Node      NodeName  `cbor:"7,keyasint"`
	Signer    Signer    `cbor:"8,keyasint"` // which key of that statement signed
	Created   int64     `cbor:"9,keyasint"` // ms since 1970
}

// Address returns where the person was found.
func (t *Tombstone) Address() Address { return Address{t.Handle, t.Node} }

func (t *Tombstone) check() error {
	if err := checkVersion("tombstone", t.Version, t.Suite); err != nil {
		return err
	}
	if t.Account.IsZero() || t.Statement.IsZero() {
		return Errorf(Invalid, "tombstone", "an account and the hash of its newest key statement were expected")
	}
	if _, err := ParseHandle(string(t.Handle)); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(t.Node)); err != nil {
		return err
	}
	if t.Signer != ByIdentity && t.Signer != ByRecovery {
		return Errorf(Invalid, "tombstone", "signer %d is unknown", t.Signer)
	}
	if err := checkNumbers("tombstone", t.KeySeq); err != nil {
		return err
	}
	return checkTime("tombstone", t.Created)
}

// Sign checks and signs t with the identity key.
func (t *Tombstone) Sign(s IdentitySecret) (Signed, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return sign(LabelTombstone, t, s.seed), nil
}

// SignRecovery checks and signs t with the recovery key.
func (t *Tombstone) SignRecovery(s RecoverySecret) (Signed, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return sign(LabelTombstone, t, s.seed), nil
}

// OpenTombstone opens a tombstone with the keys of its owner, either of which signs
// one.
func OpenTombstone(s Signed, identity IdentityKey, recovery RecoveryKey) (*Tombstone, error) {
	signer := ByIdentity
	if err := s.verify(LabelTombstone, identity, MaxStatement); err != nil {
		if err := s.verify(LabelTombstone, recovery, MaxStatement); err != nil {
			return nil, err
		}
		signer = ByRecovery
	}
	t := new(Tombstone)
	if err := decode(LabelTombstone, s.payload(), t); err != nil {
		return nil, err
	}
	if t.Signer != signer {
		return nil, Errorf(Tampered, "tombstone", "it names another signer than its signature has")
	}
	return t, nil
}
