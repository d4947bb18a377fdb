package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// What a node cosigned follows from nothing. Where it is not known any more, the node must
// not go on with the key by which it did.

// judgeWitness checks node/witness.
func (d *side) judgeWitness(ctx context.Context, rec store.Record) error {
	var id witnessIdentity
	problem := decodeStrictly(rec, &id)
	if problem == "" && id.Seed.Reveal() == [32]byte{} {
		problem = "its seed is none"
	}
	if problem == "" {
		problem = d.past(id.Created)
	}
	if problem == "" {
		var r documentRecord
		_, legible, err := d.get(ctx, documentKey, &r)
		if err != nil {
			return err
		}
		if doc, err := wire.OpenNodeDocument(r.Document, d.f.report.Name); legible && err == nil {
			if key, ok := doc.WitnessKey(); ok && key != id.secret().Public() {
				problem = "the document of the node names another key of a witness"
			}
		}
	}
	if problem != "" {
		d.spare(rec, problem, "remove it: the node cosigns with another key after its next start")
	}
	return nil
}

// judgeSeen checks witness/<domain>/<node> and witness/-/<origin>.
func (d *side) judgeSeen(_ context.Context, rec store.Record) error {
	domain, log, _ := strings.Cut(strings.TrimPrefix(rec.Key, seenPrefix), "/")
	hash, err := hex.DecodeString(log)
	other := domain == outside && err == nil && len(hash) == 32 && strings.ToLower(log) == log
	node, err := wire.ParseNodeName(log)
	problem := ""
	var r seenRecord
	if !other && (err != nil || rec.Key != seenKey(node)) {
		problem = "its key is not that of a log"
	} else if problem = decodeStrictly(rec, &r); problem == "" && (other != (r.Number == 0) || max(r.Number, r.Size) > wire.MaxInteger) {
		problem = fmt.Sprintf("number %d and size %d are of no log", r.Number, r.Size)
	}
	if problem != "" {
		d.wrong(Finding{
			Key: rec.Key, Problem: problem, Person: ofLog, Repair: "remove it: the node cosigns with another key after its next start, since it does not know what it said with this one",
			fix: d.applies(store.Change{Key: witnessKey}, store.Change{Key: strings.Clone(rec.Key)}),
		})
	}
	return nil
}
