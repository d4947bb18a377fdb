package federation

import (
	"errors"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// leads reports, as an error, why a peer's document is not its own: it is under the
// pinned root, or the changes shown with it lead from there to its root. It returns
// the changes that led the peer to that root since the first contact.
func (k known) leads(doc *wire.NodeDocument, shown []wire.Signed) ([]wire.Signed, error) {
	if doc.Root == k.doc.Root {
		return k.changes, nil
	}
	before, err := wire.OpenRootChanges(shown, doc.Name, doc.Root)
	if err != nil {
		return nil, err
	}
	pinned := slices.Index(before, k.doc.Root)
	if pinned < 0 {
		return nil, errors.New("the changes do not begin at the pinned root")
	}
	all := append(slices.Clone(k.changes), shown[pinned:]...)
	all = all[max(0, len(all)-wire.MaxRootChanges):]
	if _, err := wire.OpenRootChanges(all, doc.Name, doc.Root); err != nil { // back to a root that was left
		return nil, err
	}
	return all, nil
}

// left reports whether the peer had a root before the pinned one.
func (k known) left(root wire.NodeRootKey) bool {
	before, err := wire.OpenRootChanges(k.changes, k.doc.Name, k.doc.Root)
	return err == nil && slices.Contains(before, root)
}
