package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// schema refuses a store of another release, before anything is read in it.
func (d *side) schema(ctx context.Context) error {
	var found schemaRecord
	_, legible, err := d.get(ctx, "schema", &found)
	if err == nil && legible && found.Schema != recordSchema {
		err = fmt.Errorf("the store %s has schema %d, this release knows %d", d.name, found.Schema, recordSchema)
	}
	return err
}

// judgeSchema checks the record schema, which says what this release writes.
func (d *side) judgeSchema(ctx context.Context, rec store.Record) error {
	if rec.Key != "schema" {
		return d.judgeUnknown(ctx, rec)
	}
	if problem := decodeStrictly(rec, new(schemaRecord)); problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again", fix: d.rewriting(rec, &schemaRecord{recordVersion, recordSchema})})
	}
	return nil
}

// judgeRequired looks for the records without which nothing is a node's.
func (d *side) judgeRequired(ctx context.Context) error {
	required := []string{"schema"}
	if d.name == "own" {
		required = append(required, keysKey, documentKey)
	}
	any, err := lowestKey(ctx, d.s, store.Query{})
	if err != nil || any == "" {
		return err
	}
	for _, key := range required {
		if _, err := d.s.Get(ctx, key); err == nil || errors.Is(err, store.ErrDamaged) {
			continue
		} else if !errors.Is(err, store.ErrNotExist) {
			return err
		}
		one := Finding{Key: key, Problem: "the record is missing", Person: "the node itself"}
		if key == "schema" {
			one.Repair, one.fix = "write it again", d.applies(put(key, &schemaRecord{recordVersion, recordSchema}))
		}
		if err := d.tell(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// judgeNode checks node/keys, node/document, node/log, node/witness and node/name.
func (d *side) judgeNode(ctx context.Context, rec store.Record) error {
	one := Finding{Key: rec.Key, Person: "the node itself"}
	switch rec.Key {
	case keysKey:
		var keys nodeKeys
		if one.Problem = decodeStrictly(rec, &keys); one.Problem == "" {
			one.Problem = d.keysProblem(&keys)
		}
	case documentKey:
		var r documentRecord
		if one.Problem = decodeStrictly(rec, &r); one.Problem == "" {
			var err error
			if one.Problem, err = d.documentProblem(ctx, &r); err != nil {
				return err
			}
		}
	case logKey:
		var id logIdentity
		if one.Problem = decodeStrictly(rec, &id); one.Problem == "" {
			var err error
			if one.Problem, err = d.logProblem(ctx, &id); err != nil {
				return err
			}
			if one.Problem == "" && len(id.Seen) > 0 {
				one.Problem, one.Repair = d.behind(&id)
			}
			if err := d.judgeSigned(ctx); err != nil {
				return err
			}
		}
	case witnessKey:
		return d.judgeWitness(ctx, rec)
	case nameKey:
		if name := d.f.report.Name; string(rec.Value) != string(name) {
			one.Problem = fmt.Sprintf("it is %q, and the keys of the people here are for %q", rec.Value, name)
			one.Repair, one.fix = "write it again from the keys", d.applies(store.Change{Key: "node/name", Value: []byte(name)})
		} else if _, err := wire.ParseNodeName(string(name)); err != nil {
			one.Problem = fmt.Sprintf("%q is no name of a node", name)
		}
	default:
		return d.judgeUnknown(ctx, rec)
	}
	if one.Problem != "" {
		d.wrong(one)
	}
	return nil
}

// documentProblem compares the node's document with what it is made of. The first
// release kept its number only.
func (d *side) documentProblem(ctx context.Context, r *documentRecord) (string, error) {
	if r.Document == nil {
		if r.Number == 0 || r.Number > uint64(d.latest()) {
			return fmt.Sprintf("%d is no number of a document", r.Number), nil
		}
		return "", nil
	}
	if d.f.report.Name == "" {
		d.loose++
		return "", nil
	}
	doc, err := wire.OpenNodeDocument(r.Document, d.f.report.Name)
	if err != nil {
		return fmt.Sprintf("the document does not verify: %v", err), nil
	}
	if doc.Number != r.Number {
		return "the document has another number", nil
	}
	var keys nodeKeys
	_, legible, err := d.get(ctx, keysKey, &keys)
	if err != nil || !legible {
		return "", err
	}
	root := keys.root().Public()
	before, err := wire.OpenRootChanges(keys.Changes, d.f.report.Name, root)
	if err == nil && doc.Root != root && !slices.Contains(before, doc.Root) { // one before is followed by another document at the next start
		return "the document is not signed with the node's own key: this record or node/keys is wrong", nil
	}
	return "", nil // what is wrong with the keys is said of them
}

// keysProblem says what is wrong with the seeds of the node, and with what led to
// its root.
func (d *side) keysProblem(keys *nodeKeys) string {
	if len(distinct(*keys)) < 3+len(keys.Newer) {
		return "its seeds are none"
	}
	if len(keys.Changes) > 0 && d.f.report.Name == "" {
		d.loose++
		return ""
	}
	if _, err := wire.OpenRootChanges(keys.Changes, d.f.report.Name, keys.root().Public()); err != nil {
		return fmt.Sprintf("the changes of the root key do not lead to it: %v", err)
	}
	return ""
}

// distinct returns the seeds that are not zero, each once.
func distinct(k nodeKeys) map[[32]byte]bool {
	all := map[[32]byte]bool{k.Root.Reveal(): true, k.Secret.Reveal(): true}
	for _, seed := range k.seeds() {
		all[seed.Reveal()] = true
	}
	delete(all, [32]byte{})
	return all
}

// judgeAddress checks address/<node>/<handle>, in the copies.
func (d *side) judgeAddress(ctx context.Context, rec store.Record) error {
	node, handle, _ := strings.Cut(strings.TrimPrefix(rec.Key, "address/"), "/")
	var r addressRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" {
		held, err := d.chain(ctx, r.Account)
		if err != nil || held.there && held.chain == nil {
			return err
		}
		if held.chain == nil {
			problem = "it names an account that has no keys"
		} else if held.chain.Address() != (wire.Address{Handle: wire.Handle(handle), Node: wire.NodeName(node)}) {
			problem = fmt.Sprintf("it names the account of %s", held.chain.Address())
		} else if problem = d.past(r.AsOf); problem == "" && len(r.Tombstone) > 0 && held.whole {
			if _, err := held.chain.OpenTombstone(r.Tombstone); err != nil {
				problem = fmt.Sprintf("the tombstone in it does not verify: %v", err)
			}
		}
	}
	if problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem})
	}
	return nil
}
