package wire

import "slices"

// A RootChange announces that a node signs its documents with another root key
// from now on. It is signed by the root before, which stands in it: whoever opens
// it compares that key with one that is known to be the node's.
type RootChange struct {
	Version uint64      `cbor:"1,keyasint"`
	Suite   uint64      `cbor:"2,keyasint"`
	Name    NodeName    `cbor:"3,keyasint"`
	Old     NodeRootKey `cbor:"4,keyasint"`
	New     NodeRootKey `cbor:"5,keyasint"`
	Created int64       `cbor:"6,keyasint"` // ms since 1970
}

func (c *RootChange) check() error {
	if err := checkVersion("root change", c.Version, c.Suite); err != nil {
		return err
	}
	if _, err := ParseNodeName(string(c.Name)); err != nil {
		return err
	}
	if err := CheckEd25519("old root key", c.Old); err != nil {
		return err
	}
	if err := CheckEd25519("new root key", c.New); err != nil {
		return err
	}
	if c.Old == c.New {
		return Errorf(Invalid, "root change", "the new root key is the old one")
	}
	return checkTime("root change", c.Created)
}

// Sign checks c and signs it with the old root.
func (c *RootChange) Sign(old NodeRootSecret) (Signed, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return sign(LabelRootChange, c, old.seed), nil
}

// OpenRootChange opens a change of the root key of the node called name.
func OpenRootChange(s Signed, name NodeName) (*RootChange, error) {
	if len(s) > MaxStatement {
		return nil, Errorf(TooLarge, "root change", "at most %d bytes", MaxStatement)
	}
	c := new(RootChange)
	if err := decode(LabelRootChange, s.payload(), c); err != nil {
		return nil, err
	}
	if err := s.verify(LabelRootChange, c.Old, MaxStatement); err != nil {
		return nil, err
	}
	if c.Name != name {
		return nil, Errorf(Tampered, "root change", "it is of the node %q", c.Name)
	}
	return c, nil
}

// OpenRootChanges opens the changes, oldest first, that led a node to a root key,
// and returns the roots before it in that order: none without a change. Each change
// is signed by the root that the one before it leads to, and no root comes twice.
func OpenRootChanges(list []Signed, name NodeName, root NodeRootKey) ([]NodeRootKey, error) {
	if len(list) > MaxRootChanges {
		return nil, Errorf(TooLarge, "root changes", "at most %d", MaxRootChanges)
	}
	var roots []NodeRootKey
	last := root // for no change
	for i, s := range list {
		c, err := OpenRootChange(s, name)
		if err != nil {
			return nil, err
		}
		if i > 0 && c.Old != last {
			return nil, Errorf(Tampered, "root changes", "change %d is not signed by the root that the one before leads to", i+1)
		}
		if roots, last = append(roots, c.Old), c.New; slices.Contains(roots, last) {
			return nil, Errorf(Tampered, "root changes", "change %d leads back to a root before it", i+1)
		}
	}
	if last != root {
		return nil, Errorf(Tampered, "root changes", "they lead to another root")
	}
	return roots, nil
}
