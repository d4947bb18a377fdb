package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	documentKey = "node/document"
	// documentYoung is how old a document may be that a start goes on with.
	documentYoung = 24 * time.Hour
)

// openDocument goes on with the stored document while it is young and says what
// would be said now, so that all processes of a node show the same. Else it makes
// a new one, numbered after the last.
func (n *Node) openDocument(ctx context.Context, o Options, secrets federation.Secrets) error {
	for {
		var last documentRecord
		rev, err := read(ctx, n.own, documentKey, &last)
		if ignoreAbsent(err) != nil {
			return err
		}
		made, err := federation.MakeDocument(federation.DocumentOptions{
			Name: n.name, Host: o.Host, Secrets: secrets, Last: last.Number, Now: n.now(), Software: o.Software, Contact: o.Contact,
		})
		if err != nil {
			return err
		}
		d, err := wire.OpenNodeDocument(made, n.name)
		if err != nil {
			return err
		}
		if saysTheSame(last.Document, d) {
			n.document.Store(&last.Document)
			return nil
		}
		next := documentRecord{Version: recordVersion, Number: d.Number, Document: made}
		err = n.own.Apply(ctx, putIf(documentKey, &next, store.IfRevision(rev)))
		if err == nil {
			n.document.Store(&made)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// saysTheSame reports whether a document, which may be empty, can stand in for d.
func saysTheSame(old wire.Signed, d *wire.NodeDocument) bool {
	was, err := wire.OpenNodeDocument(old, d.Name)
	if err != nil || len(was.Keys) != len(d.Keys) {
		return false
	}
	if age := time.Duration(d.Created-was.Created) * time.Millisecond; age < 0 || age > documentYoung {
		return false
	}
	now := *d
	now.Number, now.Created, now.Keys = was.Number, was.Created, make([]wire.NodeKey, len(d.Keys))
	for i, k := range d.Keys {
		k.NotBefore, k.NotAfter = was.Keys[i].NotBefore, was.Keys[i].NotAfter
		now.Keys[i] = k
	}
	return string(wire.EncodeCBOR(&now)) == string(wire.EncodeCBOR(was))
}

// loadDocument takes the document that another process made.
func (n *Node) loadDocument(ctx context.Context) error {
	var r documentRecord
	if _, err := read(ctx, n.own, documentKey, &r); err != nil {
		return ignoreAbsent(err)
	}
	if _, err := wire.OpenNodeDocument(r.Document, n.name); err != nil {
		return fmt.Errorf("record %q: %v", documentKey, err)
	}
	n.document.Store(&r.Document)
	return nil
}
