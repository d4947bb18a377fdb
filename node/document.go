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
// a new one, numbered after the last. What the last one said of the request keys
// holds (federation.ListKeys), so a start does not make them younger.
func (n *Node) openDocument(ctx context.Context, o Options) error {
	for {
		var last documentRecord
		rev, err := read(ctx, n.own, documentKey, &last)
		if ignoreAbsent(err) != nil {
			return err
		}
		keys, _, err := storedKeys(ctx, n.own) // after the document, as in publishKeys
		if err != nil {
			return err
		}
		log, err := storedLog(ctx, n.own)
		if err != nil {
			return err
		}
		var listed []wire.NodeKey
		var witness witnessIdentity
		if _, err := read(ctx, n.own, witnessKey, &witness); err != nil {
			return err
		}
		was, err := wire.OpenNodeDocument(last.Document, n.name)
		if err == nil {
			listed = was.Keys
		}
		made, err := federation.MakeDocument(federation.DocumentOptions{
			Name: n.name, Host: o.Host, Secrets: keys.secrets(), Keys: federation.ListKeys(listed, keys.public(), n.now()),
			Last: last.Number, Now: n.now(), Software: o.Software, Contact: o.Contact,
			Log: &log.Log, LogKey: log.secret().Public(), Witness: &wire.NodeKey{Purpose: wire.KeyForWitness, Key: wire.NodeRequestKey(witness.secret().Public()), NotBefore: witness.Created, NotAfter: wire.MaxTime},
		})
		if err != nil {
			return err
		}
		d, err := wire.OpenNodeDocument(made, n.name)
		if err != nil {
			return err
		}
		if was != nil && saysTheSame(was, d) {
			n.show(last.Document, was, keys)
			return nil
		}
		next := documentRecord{Version: recordVersion, Number: d.Number, Document: made}
		err = n.own.Apply(ctx, putIf(documentKey, &next, store.IfRevision(rev)))
		if err == nil {
			n.show(made, d, keys)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// saysTheSame reports whether a document can stand in for d.
func saysTheSame(was, d *wire.NodeDocument) bool {
	if len(was.Keys) != len(d.Keys) {
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
	d, err := wire.OpenNodeDocument(r.Document, n.name)
	if err != nil {
		return fmt.Errorf("record %q: %v", documentKey, err)
	}
	keys, _, err := storedKeys(ctx, n.own) // after the document: what that lists was there before
	if err != nil {
		return err
	}
	n.show(r.Document, d, keys)
	return nil
}
