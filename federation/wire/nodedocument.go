package wire

// KeyPurpose tells what an online key of a node signs.
type KeyPurpose string

const (
	KeyForRequests KeyPurpose = "requests"
	KeyForLog      KeyPurpose = "log"     // checkpoints of the transparency log (NodeLog)
	KeyForWitness  KeyPurpose = "witness" // reserved for cosigning
)

// A NodeKey is an online key of a node and when it counts.
type NodeKey struct {
	Purpose   KeyPurpose     `cbor:"1,keyasint"`
	Key       NodeRequestKey `cbor:"2,keyasint"`
	NotBefore int64          `cbor:"3,keyasint"` // ms since 1970
	NotAfter  int64          `cbor:"4,keyasint"` // ms since 1970
}

// A NodeDocument is what a node says of itself, signed by its root key and served
// at /.well-known/peerbrain.
type NodeDocument struct {
	Version      uint64      `cbor:"1,keyasint"`
	Suite        uint64      `cbor:"2,keyasint"`
	Name         NodeName    `cbor:"3,keyasint"`
	Host         NodeName    `cbor:"4,keyasint"` // where its API is served: its name, or one delegated host
	Root         NodeRootKey `cbor:"5,keyasint"`
	Keys         []NodeKey   `cbor:"6,keyasint"`
	Number       uint64      `cbor:"7,keyasint"` // grows: max(last+1, Unix time in s)
	Software     string      `cbor:"8,keyasint"`
	OldestClient uint64      `cbor:"9,keyasint"`            // oldest API version served
	MaxPost      uint64      `cbor:"10,keyasint"`           // bytes of a sealed post that the node takes
	Contact      string      `cbor:"11,keyasint,omitempty"` // how to reach the operator
	Created      int64       `cbor:"12,keyasint"`           // ms since 1970
	Log          *NodeLog    `cbor:"13,keyasint,omitempty"` // nil: this node keeps none
}

func (d *NodeDocument) check() error {
	if err := checkVersion("node document", d.Version, d.Suite); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(d.Name)); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(d.Host)); err != nil {
		return err
	}
	if d.Name.Development() != d.Host.Development() {
		return Errorf(Invalid, "node document", "host %q does not fit the name %q", d.Host, d.Name)
	}
	if len(d.Software) > 128 || len(d.Contact) > 256 || len(d.Keys) == 0 || len(d.Keys) > 32 {
		return Errorf(Invalid, "node document", "1 to 32 keys, 128 bytes of software and 256 of contact were expected")
	}
	if !printable(d.Software) || !printable(d.Contact) {
		return Errorf(Invalid, "node document", "software and contact are printable ASCII")
	}
	if err := checkNumbers("node document", d.Number, d.OldestClient, d.MaxPost); err != nil {
		return err
	}
	if err := checkTime("node document", d.Created); err != nil {
		return err
	}
	if err := CheckEd25519("node root key", d.Root); err != nil {
		return err
	}
	if err := d.checkKeys(); err != nil {
		return err
	}
	return d.checkLog()
}

// printable keeps what would move the cursor of a terminal out of what strangers
// say of themselves.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// valid accepts purposes of later releases too: keys for them are ignored.
func (p KeyPurpose) valid() bool {
	for i := 0; i < len(p); i++ {
		if !isAlnum(p[i]) && p[i] != '-' {
			return false
		}
	}
	return len(p) >= 1 && len(p) <= 32
}

func (d *NodeDocument) checkKeys() error {
	seen := map[[32]byte]bool{d.Root: true}
	for _, k := range d.Keys {
		if err := CheckEd25519("node key", k.Key); err != nil {
			return err
		}
		if seen[k.Key] || !k.Purpose.valid() || k.NotAfter <= k.NotBefore || checkTime("", k.NotBefore) != nil || checkTime("", k.NotAfter) != nil {
			return Errorf(Invalid, "node document", "each key has its own bytes, one purpose and a span of time")
		}
		seen[k.Key] = true
	}
	return nil
}

// KeysFor returns the keys for one purpose, in the order of the document.
func (d *NodeDocument) KeysFor(purpose KeyPurpose) (list []NodeKey) {
	for _, k := range d.Keys {
		if k.Purpose == purpose {
			list = append(list, k)
		}
	}
	return list
}

// RequestKey returns whether key may sign requests at the time now (ms).
func (d *NodeDocument) RequestKey(key NodeRequestKey, now int64) bool {
	for _, k := range d.Keys {
		if k.Purpose == KeyForRequests && k.Key == key && k.NotBefore <= now && now <= k.NotAfter {
			return true
		}
	}
	return false
}

// Sign checks and signs d.
func (d *NodeDocument) Sign(s NodeRootSecret) (Signed, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return sign(LabelNodeDocument, d, s.seed), nil
}

// OpenNodeDocument opens the document of the node called name. It is signed by
// the root key that stands in it: whoever opens it compares that key with the
// one pinned at first contact.
func OpenNodeDocument(s Signed, name NodeName) (*NodeDocument, error) {
	if len(s) > MaxNodeDocument {
		return nil, Errorf(TooLarge, "node document", "at most %d bytes", MaxNodeDocument)
	}
	d := new(NodeDocument)
	if err := decode(LabelNodeDocument, s.payload(), d); err != nil {
		return nil, err
	}
	if err := s.verify(LabelNodeDocument, d.Root, MaxNodeDocument); err != nil {
		return nil, err
	}
	if d.Name != name {
		return nil, Errorf(Tampered, "node document", "%q answers with the document of %q", name, d.Name)
	}
	return d, nil
}
