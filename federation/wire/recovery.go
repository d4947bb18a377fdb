package wire

// A RecoveryQuery asks a friend's node for what it has copied of the one who asks: their
// key statements and streams. It is for somebody whose home is gone and who has nothing
// but the recovery code, so it is signed with the recovery key and names the address.
// Nobody else learns from the answer where their friends are.
type RecoveryQuery struct {
	Version uint64   `cbor:"1,keyasint"`
	Suite   uint64   `cbor:"2,keyasint"`
	Handle  Handle   `cbor:"3,keyasint"`
	Home    NodeName `cbor:"4,keyasint"` // where the account was
	Node    NodeName `cbor:"5,keyasint"` // the node that is asked
	Created int64    `cbor:"6,keyasint"` // ms since 1970
}

// Address returns whose copies are asked for.
func (q *RecoveryQuery) Address() Address { return Address{q.Handle, q.Home} }

func (q *RecoveryQuery) check() error {
	if err := checkVersion("recovery query", q.Version, q.Suite); err != nil {
		return err
	}
	if _, err := ParseHandle(string(q.Handle)); err != nil {
		return err
	}
	for _, n := range []NodeName{q.Home, q.Node} {
		if _, err := ParseNodeName(string(n)); err != nil {
			return err
		}
	}
	return checkTime("recovery query", q.Created)
}

// SignRecovery checks and signs q.
func (q *RecoveryQuery) SignRecovery(s RecoverySecret) (Signed, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	return sign(LabelRecoveryQuery, q, s.seed), nil
}

// OpenRecoveryQuery opens a query with the recovery key of the one who asks.
func OpenRecoveryQuery(s Signed, key RecoveryKey) (*RecoveryQuery, error) {
	q := new(RecoveryQuery)
	if err := open(LabelRecoveryQuery, s, key, q); err != nil {
		return nil, err
	}
	return q, nil
}
