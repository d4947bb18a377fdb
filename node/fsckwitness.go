package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
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
			for _, k := range doc.KeysFor(wire.KeyForWitness) {
				if wire.NodeWitnessKey(k.Key) != id.secret().Public() || k.NotBefore != id.Created {
					problem = "the document of the node names another key of a witness"
				}
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
	if problem == "" && len(r.Signed) > 0 {
		if c, err := keyservice.ReadCheckpoint(r.Signed); err != nil || c.Size != r.Size || c.Root != r.Root {
			problem = "what the log has signed is another checkpoint"
		}
	}
	if problem != "" {
		d.wrong(Finding{
			Key: rec.Key, Problem: problem, Person: ofLog, Repair: "remove it: the node cosigns with another key after its next start, since it does not know what it said with this one",
			fix: d.applies(store.Change{Key: witnessKey}, store.Change{Key: strings.Clone(rec.Key)}),
		})
	}
	return nil
}

// judgeCosigned checks cosigned/<size16>. What witnesses have signed was verified before it
// was kept.
func (d *side) judgeCosigned(ctx context.Context, rec store.Record) error {
	const repair = "remove it: witnesses are asked again"
	size, ok := parseHex16(strings.TrimPrefix(rec.Key, cosignedPrefix))
	var r cosignedRecord
	if !ok {
		d.spare(rec, "its key is not that of a checkpoint", repair)
		return nil
	}
	if problem := decodeStrictly(rec, &r); problem != "" {
		d.spare(rec, problem, repair)
		return nil
	}
	var id logIdentity
	if shown, err := d.showsLog(ctx, &id); err != nil || !shown {
		d.loose++
		return err // what is wrong with these is named there
	}
	c, err := keyservice.OpenCheckpoint(r.Note, id.Log.Origin(d.f.report.Name), id.secret().Public())
	if err != nil {
		d.spare(rec, fmt.Sprintf("it does not verify: %v", err), repair)
	} else if c.Size != size {
		d.spare(rec, fmt.Sprintf("it is about %d leaves", c.Size), repair)
	}
	return nil
}
