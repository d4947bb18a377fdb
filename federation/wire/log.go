package wire

import "strconv"

// The transparency log of a node (docs/protocol.md, "Transparency log"). Package
// keyservice writes and verifies it; here is what it is made of.

// NodeLog says in a node's document which log counts. Its key is the one key of the
// document for the purpose KeyForLog.
type NodeLog struct {
	Number uint64 `cbor:"1,keyasint"` // of the log: grows, Unix time in s or more
	// The log before it, and the last checkpoint of it that the node knows; zeros for
	// none. A node that was restored from a backup begins another log, since it does
	// not know what it has signed after the backup.
	Before uint64 `cbor:"2,keyasint"`
	Size   uint64 `cbor:"3,keyasint"`
	Root   Hash   `cbor:"4,keyasint"`
}

// Origin names the log of a node in its checkpoints: it is where the node serves its
// files, without the scheme.
func (l *NodeLog) Origin(node NodeName) string { return string(node) + l.prefix() }

func (l *NodeLog) prefix() string { return "/v1/log/" + strconv.FormatUint(l.Number, 10) }

// File returns the path of a file of the log, such as checkpoint or tile/0/000.
func (l *NodeLog) File(name string) string { return l.prefix() + "/" + name }

// LogKey returns the key that verifies the checkpoints of d.Log.
func (d *NodeDocument) LogKey() NodeLogKey {
	for _, k := range d.KeysFor(KeyForLog) {
		return NodeLogKey(k.Key)
	}
	return NodeLogKey{}
}

// WitnessKey returns the key that verifies what the node says as a witness of other logs.
func (d *NodeDocument) WitnessKey() (key NodeWitnessKey, ok bool) {
	for _, k := range d.KeysFor(KeyForWitness) {
		return NodeWitnessKey(k.Key), true
	}
	return key, false
}

func (d *NodeDocument) checkLog() error {
	l := d.Log
	if l == nil {
		return nil
	}
	if l.Before >= l.Number || l.Before == 0 && (l.Size != 0 || l.Root != (Hash{})) || len(d.KeysFor(KeyForLog)) != 1 {
		return Errorf(Invalid, "node document", "a log has a number above the one before it, and one key")
	}
	return checkNumbers("node document", l.Number, l.Size)
}

// A LogLeaf is what stands in a log about a key statement. The address is hashed, so
// that the log is no list of addresses; whoever knows one finds it.
type LogLeaf struct {
	Version   uint64    `cbor:"1,keyasint"`
	Suite     uint64    `cbor:"2,keyasint"`
	Address   Hash      `cbor:"3,keyasint"` // LogAddress
	Account   AccountID `cbor:"4,keyasint"`
	Seq       uint64    `cbor:"5,keyasint"`
	Statement Hash      `cbor:"6,keyasint"` // the name of the key statement
}

// LogAddress is what stands in a log for an address.
func LogAddress(a Address) Hash { return LabelLogAddress.Hash([]byte(a.String())) }

func (l *LogLeaf) check() error {
	if err := checkVersion("log leaf", l.Version, l.Suite); err != nil {
		return err
	}
	if l.Account.IsZero() || (l.Seq == 0) != (Hash(l.Account) == l.Statement) {
		return Errorf(Invalid, "log leaf", "it names no account, or another first statement")
	}
	return checkNumbers("log leaf", l.Seq)
}

// Encode checks l and returns its bytes.
func (l *LogLeaf) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return EncodeCBOR(l), nil
}

// DecodeLogLeaf reads a leaf.
func DecodeLogLeaf(b []byte) (*LogLeaf, error) {
	l := new(LogLeaf)
	if err := decode("log leaf", b, l); err != nil {
		return nil, err
	}
	return l, nil
}
