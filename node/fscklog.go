package node

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// The log of key statements. Its leaves follow from the statements, all else from the
// leaves; what was signed follows from nothing, and tells whether the leaves are those
// that it was signed over.

const ofLog = "the log of the node"

// openLeavesCheck checks log/<n16>, all of them together.
func openLeavesCheck(d *side, _ string) groupCheck {
	return &leavesCheck{d: d, tree: keyservice.NewTree()}
}

type leavesCheck struct {
	d      *side
	tree   *keyservice.Tree
	broken bool // a leaf is missing or wrong: no tree follows from the others
	opened bool
	shown  bool                  // the document of the node names the log: something was signed of it
	signed keyservice.Checkpoint // the newest, if it could be read
	agrees bool                  // with the leaves
}

func (c *leavesCheck) record(ctx context.Context, rec store.Record) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	text, _ := strings.CutPrefix(rec.Key, leafPrefix)
	n, ok := parseHex16(text)
	if !ok {
		c.d.spare(rec, "its key is not that of a leaf", "remove it")
		return nil
	}
	if err := c.fill(ctx, n); err != nil {
		return err
	}
	if n > c.tree.Size() && !c.broken {
		c.d.spare(rec, fmt.Sprintf("there is no leaf %d before it", c.tree.Size()), "remove it: its statement gets another leaf when the node is asked for the keys")
		return nil
	}
	problem, err := c.leafProblem(ctx, rec, n)
	if err != nil || problem == "" || c.broken {
		return err
	}
	return c.leafLost(ctx, n, problem)
}

// fill makes the leaves that are missing before number n, as far as it can be told.
func (c *leavesCheck) fill(ctx context.Context, n uint64) error {
	for c.tree.Size() < min(n, c.signed.Size) && !c.broken {
		if err := c.leafLost(ctx, c.tree.Size(), "the leaf is missing"); err != nil {
			return err
		}
	}
	return nil
}

// open reads what was signed last, before any leaf: so there are as many leaves.
func (c *leavesCheck) open(ctx context.Context) error {
	if c.opened {
		return nil
	}
	c.opened = true
	defer c.compare()
	var id logIdentity
	var err error
	if c.shown, err = c.d.showsLog(ctx, &id); err != nil || !c.shown {
		return err
	}
	b, err := logLedger{c.d.s}.Checkpoint(ctx)
	if err != nil {
		return nil // which is named there
	}
	if at, err := keyservice.OpenCheckpoint(b, id.Log.Origin(c.d.f.report.Name), id.secret().Public()); err == nil {
		c.signed = at // else it is named there
	}
	return nil
}

// compare looks whether the leaves so far are those that were signed.
func (c *leavesCheck) compare() {
	if c.tree.Size() == c.signed.Size {
		c.agrees = c.tree.Size() == 0 || c.tree.Root() == c.signed.Root
	}
}

// leafProblem says what is wrong with a leaf. One that is right goes into the tree.
func (c *leavesCheck) leafProblem(ctx context.Context, rec store.Record, n uint64) (string, error) {
	var r leafRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		return problem, nil
	}
	leaf, err := wire.DecodeLogLeaf(r.Leaf)
	if err != nil {
		return fmt.Sprintf("the leaf cannot be read: %v", err), nil
	}
	made, err := c.d.leafOf(ctx, leaf.Account, leaf.Seq)
	if err != nil {
		return "", err
	}
	if made != nil && *made == *leaf || made == nil {
		if problem, err := c.judgePlace(ctx, n, leaf, made != nil); err != nil || problem != "" {
			return problem, err
		}
		return "", c.add(ctx, r.Leaf)
	}
	if made.Statement == leaf.Statement {
		return "it is not what follows from the key statement", nil
	}
	var p placeRecord // a statement that a restore has lost, before another took its number
	if _, legible, err := c.d.get(ctx, findKey(leaf.Statement), &p); err != nil || !legible || p.Number != n {
		return "it is about no key statement that is here", err
	}
	return "", c.add(ctx, r.Leaf)
}

// leafOf returns the leaf of a key statement, nil if that is not here.
func (d *side) leafOf(ctx context.Context, account wire.AccountID, seq uint64) (*wire.LogLeaf, error) {
	held, err := d.chain(ctx, account)
	if err != nil || held.chain == nil {
		return nil, err
	}
	leaf, err := held.chain.Leaf(seq)
	if err != nil {
		return nil, nil
	}
	return leaf, nil
}

// judgePlace looks whether a leaf is found, by the statement that is here. A problem is
// one of the leaf.
func (c *leavesCheck) judgePlace(ctx context.Context, n uint64, leaf *wire.LogLeaf, here bool) (problem string, err error) {
	var p placeRecord
	_, legible, err := c.d.get(ctx, findKey(leaf.Statement), &p)
	if err != nil || legible && p == *leafPlace(n, leaf) || !c.shown || n >= c.signed.Size { // what is behind that is finished when the node next signs
		return "", err
	}
	if legible && p.Number != n {
		var at leafRecord
		if _, legible, err = c.d.get(ctx, leafKey(p.Number), &at); err != nil {
			return "", err
		}
		if other, err := wire.DecodeLogLeaf(at.Leaf); legible && err == nil && *other == *leaf {
			return fmt.Sprintf("it is what leaf %d is as well", p.Number), nil
		}
	}
	one := Finding{Key: findKey(leaf.Statement), Problem: fmt.Sprintf("leaf %d of the log is not found by it", n), Person: ofLog}
	if here || legible {
		one.Repair, one.fix = "write it again from the leaf", c.d.applies(put(findKey(leaf.Statement), leafPlace(n, leaf)))
	}
	c.d.wrong(one)
	return "", nil
}

// add takes a leaf into the tree, and checks the tiles that are whole with it.
func (c *leavesCheck) add(ctx context.Context, leaf []byte) error {
	if c.broken {
		return nil
	}
	for _, t := range c.tree.Add(leaf) {
		var r tileRecord
		_, legible, err := c.d.get(ctx, tileKey(t.Level, t.N), &r)
		if err != nil {
			return err
		}
		if c.shown && c.tree.Size() <= c.signed.Size && (!legible || !bytes.Equal(r.Hashes, t.Data)) {
			c.d.wrong(Finding{
				Key: tileKey(t.Level, t.N), Problem: "it is not what follows from the leaves", Person: ofLog, Repair: "write it again from the leaves",
				fix: c.d.applies(put(tileKey(t.Level, t.N), &tileRecord{recordVersion, t.Data})),
			})
		}
	}
	c.compare()
	return nil
}

// leafLost notes a leaf that is not what it was. It follows from the key statement whose
// place it is, if that is here.
func (c *leavesCheck) leafLost(ctx context.Context, n uint64, problem string) error {
	one := Finding{Key: leafKey(n), Problem: problem, Person: ofLog}
	leaf, err := c.d.leafAt(ctx, n)
	if err != nil {
		return err
	}
	if leaf == nil {
		c.broken = true
		c.d.wrong(one)
		return nil
	}
	b := wire.EncodeCBOR(leaf)
	one.Repair, one.fix = "write it again from the key statement", c.d.applies(put(leafKey(n), &leafRecord{recordVersion, b}))
	c.d.wrong(one)
	return c.add(ctx, b)
}

// leafAt returns the leaf that belongs at a number, by what finds it; nil if nothing does.
func (d *side) leafAt(ctx context.Context, n uint64) (*wire.LogLeaf, error) {
	for rec, err := range d.s.Scan(ctx, store.Prefix(findPrefix)) {
		if rec, err = d.readable(rec, err); err != nil {
			return nil, err
		}
		var p placeRecord
		if decodeStrictly(rec, &p) != "" || p.Number != n {
			continue
		}
		leaf, err := d.leafOf(ctx, p.Account, p.Seq)
		if err != nil || leaf != nil && findKey(leaf.Statement) == rec.Key {
			return leaf, err
		}
	}
	return nil, nil
}

func (c *leavesCheck) end(ctx context.Context) error {
	if !c.opened {
		return nil
	}
	if err := c.fill(ctx, c.signed.Size); err != nil || c.broken || c.agrees {
		return err
	}
	problem := fmt.Sprintf("what was signed of the log is about %d leaves, and there are %d", c.signed.Size, c.tree.Size())
	if c.tree.Size() >= c.signed.Size {
		problem = "the leaves are not those that were signed"
	}
	c.d.wrong(Finding{Key: topKey(c.signed.Size), Problem: problem, Person: ofLog})
	return nil
}

// judgePlaceRecord checks leaf/<statement>. What is not found is named with the leaf.
func (d *side) judgePlaceRecord(ctx context.Context, rec store.Record) error {
	const repair = "remove it: it follows from the leaf"
	var statement wire.Hash
	if statement.UnmarshalText([]byte(strings.TrimPrefix(rec.Key, findPrefix))) != nil {
		d.spare(rec, "its key is not that of a place in the log", repair)
		return nil
	}
	var r placeRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		d.spare(rec, problem, repair)
		return nil
	}
	var at leafRecord
	there, legible, err := d.get(ctx, leafKey(r.Number), &at)
	if err != nil || there && !legible {
		return err
	}
	leaf, err := wire.DecodeLogLeaf(at.Leaf)
	if !there || err == nil && *leafPlace(r.Number, leaf) != r || err == nil && leaf.Statement != statement {
		made, err := d.leafOf(ctx, r.Account, r.Seq)
		if err != nil || made != nil && made.Statement == statement {
			return err // the leaf is what is wrong, and made again from this
		}
		d.spare(rec, fmt.Sprintf("leaf %d of the log is about another statement", r.Number), repair)
	}
	return nil
}

// judgeTile checks logtile/<level16>/<n16>. What is in it is compared with the leaves.
func (d *side) judgeTile(ctx context.Context, rec store.Record) error {
	const repair = "remove it: it follows from the leaves"
	level, n, _ := strings.Cut(strings.TrimPrefix(rec.Key, tilePrefix), "/")
	l, ok1 := parseHex16(level)
	number, ok2 := parseHex16(n)
	var r tileRecord
	problem := ""
	if !ok1 || !ok2 || l > 6 {
		problem = "its key is not that of a tile"
	} else if problem = decodeStrictly(rec, &r); problem == "" {
		last := ((number + 1) << (8 * (l + 1))) - 1 // of the leaves below it
		there, _, err := d.get(ctx, leafKey(last), new(leafRecord))
		if err != nil {
			return err
		}
		if !there {
			problem = "the log has not that many leaves"
		}
	}
	if problem != "" {
		d.spare(rec, problem, repair)
	}
	return nil
}

// judgeTop checks logtop/<size16>: the newest counts. The leaves are compared with it
// elsewhere.
func (d *side) judgeTop(ctx context.Context, rec store.Record) error {
	size, ok := parseHex16(strings.TrimPrefix(rec.Key, topPrefix))
	var r checkpointRecord
	var id logIdentity
	problem := ""
	if !ok {
		problem = "its key is not that of a checkpoint"
	} else if problem = decodeStrictly(rec, &r); problem == "" {
		if shown, err := d.showsLog(ctx, &id); err != nil || !shown {
			d.loose++
			return err // what is wrong with these is named there
		}
		c, err := keyservice.OpenCheckpoint(r.Checkpoint, id.Log.Origin(d.f.report.Name), id.secret().Public())
		if err != nil {
			problem = fmt.Sprintf("it does not verify: %v", err)
		} else if c.Size != size {
			problem = fmt.Sprintf("it is about %d leaves", c.Size)
		}
	}
	newest, err := d.newestTop(ctx)
	if err != nil {
		return err
	}
	switch {
	case problem != "":
		d.wrong(Finding{Key: rec.Key, Problem: problem, Person: ofLog, Repair: "remove it: the node signs again at its next start, over the same leaves", fix: d.removal(rec)})
	case rec.Key != newest:
		d.wrong(Finding{Key: rec.Key, Problem: "a checkpoint before the last", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return nil
}

func (d *side) newestTop(ctx context.Context) (string, error) {
	q := store.Prefix(topPrefix)
	q.Reverse = true
	return lowestKey(ctx, d.s, q)
}

// showsLog reads the name and the key of the log, and reports whether the document of the
// node names them: then something was signed.
func (d *side) showsLog(ctx context.Context, id *logIdentity) (bool, error) {
	_, legible, err := d.get(ctx, logKey, id)
	if err != nil || !legible {
		return false, err
	}
	var r documentRecord
	if _, legible, err = d.get(ctx, documentKey, &r); err != nil || !legible || r.Document == nil {
		return false, err
	}
	doc, err := wire.OpenNodeDocument(r.Document, d.f.report.Name)
	return err == nil && doc.Log != nil && *doc.Log == id.Log && doc.LogKey() == id.secret().Public(), nil
}

// logProblem says what is wrong with the name and the key of the log.
func (d *side) logProblem(ctx context.Context, id *logIdentity) (string, error) {
	if id.Seed.Reveal() == [32]byte{} {
		return "its seed is none", nil
	}
	if id.Log.Number == 0 || id.Log.Before >= id.Log.Number {
		return fmt.Sprintf("%d is no number of a log", id.Log.Number), nil
	}
	var r documentRecord
	_, legible, err := d.get(ctx, documentKey, &r)
	if err != nil || !legible || r.Document == nil {
		return "", err
	}
	doc, err := wire.OpenNodeDocument(r.Document, d.f.report.Name)
	if err != nil || doc.Log == nil {
		return "", nil // it is named there, or of an earlier release
	}
	if *doc.Log != id.Log || doc.LogKey() != id.secret().Public() {
		return "the document of the node names another log: this record or node/document is wrong", nil
	}
	return "", nil
}

// behind says of a closed log what was seen of it.
func (d *side) behind(id *logIdentity) (problem, repair string) {
	c, err := keyservice.OpenCheckpoint(id.Seen, id.Log.Origin(d.f.report.Name), id.secret().Public())
	if err != nil {
		return fmt.Sprintf("what is said to be seen of the log is not signed by it: %v", err), ""
	}
	return fmt.Sprintf("the log is closed: it was signed with %d leaves that are not these", c.Size), "run peerbrain-node backup, and then restore that file: another log begins"
}

// judgeSigned looks for the checkpoint of a log that the node has shown. It is signed
// again, over the leaves that are here.
func (d *side) judgeSigned(ctx context.Context) error {
	var id logIdentity
	shown, err := d.showsLog(ctx, &id)
	if err != nil || !shown {
		return err
	}
	if newest, err := d.newestTop(ctx); err != nil || newest != "" {
		return err
	}
	d.wrong(Finding{
		Key: topKey(0), Problem: "what was signed of the log is missing", Person: ofLog, Repair: "sign it again",
		fix: func(ctx context.Context) error {
			return keyservice.NewLog(id.Log.Origin(d.f.report.Name), id.secret(), logLedger{d.s}).Ready(ctx)
		},
	})
	return nil
}
