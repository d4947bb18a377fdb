package node

import (
	"context"
	"math"
	"strings"

	"github.com/peerbrain/peerbrain/node/store"
)

// judgeSync checks sync/<author>/<audience>: the copy takes what it says, unless
// that was not counted.
func (d *side) judgeSync(ctx context.Context, rec store.Record) error {
	var r syncRecord
	name, ok := d.aboutCopy(rec, "sync/", &r)
	if !ok {
		return nil
	}
	if r.AsOf != 0 {
		if problem := d.past(r.AsOf); problem != "" {
			d.wrong(Finding{Key: rec.Key, Problem: problem})
			return nil
		}
	}
	head, err := newestOf(ctx, d.s, name)
	if err != nil || r.Bytes == 0 || r.Seq != head {
		return err // which is counted again
	}
	if g, err := d.gapIn(ctx, name); err != nil || g.From > 0 && g.Rest == 0 {
		return err // nor are entries that go or come
	}
	bytes, err := weigh(ctx, d.s, name)
	if err == nil && bytes != r.Bytes {
		d.wrong(Finding{
			Key: rec.Key, Problem: "the copy does not take as many bytes as it says", Leftover: true,
			Repair: "let it be counted again", fix: d.rewriting(rec, &syncRecord{Version: recordVersion, AsOf: r.AsOf}),
		})
	}
	return err
}

// judgeGap checks gap/<author>/<audience>: what is to be left of the copy is
// there.
func (d *side) judgeGap(ctx context.Context, rec store.Record) error {
	var r gapRecord
	name, ok := d.aboutCopy(rec, "gap/", &r)
	if !ok {
		return nil
	}
	problem, err := d.gapProblem(ctx, name, &r)
	if problem != "" {
		d.wrong(Finding{
			Key: rec.Key, Problem: problem, Person: d.who(ctx, name.author), Repair: "drop the copy of the stream: it is fetched again",
			fix: func(ctx context.Context) error { return dropStream(ctx, d.s, name) },
		})
	}
	return err
}

// gapProblem says what is wrong with a gap, if not with the entries that it names.
func (d *side) gapProblem(ctx context.Context, name streamName, r *gapRecord) (string, error) {
	var end entryRecord
	there, legible, err := d.get(ctx, entryKey(name, r.From), &end)
	switch {
	case err != nil || there && !legible:
		return "", err // which is named there
	case !there:
		return "the entry at its end is missing", nil
	case end.Epoch != r.Epoch:
		return "it keeps another epoch than that of the entry at its end", nil
	case r.From > 1 && (r.Position > r.Arrival || r.Arrival > end.Arrival):
		return "its times cannot be", nil
	}
	if there, _, err = d.get(ctx, entryKey(name, r.Epoch), new(entryRecord)); err == nil && !there {
		return "the epoch that it keeps is missing", nil
	}
	return "", err
}

// gapIn returns the gap of a copy. One that is wrong, which is named there, may
// have been about all of it.
func (d *side) gapIn(ctx context.Context, name streamName) (gapRecord, error) {
	var r gapRecord
	there, legible, err := d.get(ctx, gapKey(name), &r)
	if err != nil || !there || d.name != "copies" {
		return gapRecord{}, err
	}
	if legible {
		problem, err := d.gapProblem(ctx, name, &r)
		if err != nil || problem == "" {
			return r, err
		}
	}
	return gapRecord{From: math.MaxUint64}, nil
}

// judgeRead checks read/<author>/<audience>.
func (d *side) judgeRead(_ context.Context, rec store.Record) error {
	var r readRecord
	if _, ok := d.aboutCopy(rec, "read/", &r); ok {
		if problem := d.past(r.At); problem != "" {
			d.wrong(Finding{Key: rec.Key, Problem: problem})
		}
	}
	return nil
}

// aboutCopy reads a record about the copy of a stream into v. It reports whether
// there is more to be said of it.
func (d *side) aboutCopy(rec store.Record, prefix string, v any) (streamName, bool) {
	name, ok := parseStream(strings.TrimPrefix(rec.Key, prefix))
	problem := "its key names no stream"
	if ok {
		problem = decodeStrictly(rec, v)
	}
	if problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem})
	}
	return name, problem == ""
}

// newestOf returns the seq of the newest entry of a copy, 0 if there is none.
func newestOf(ctx context.Context, s store.Store, name streamName) (uint64, error) {
	q := store.Prefix(streamKey(name))
	q.Reverse = true
	key, err := lowestKey(ctx, s, q)
	seq, _ := parseHex16(strings.TrimPrefix(key, streamKey(name)))
	return seq, err
}
