package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/node/store"
)

// progressEvery is after how many records Progress is told.
const progressEvery = 1 << 12

// inspect names what is wrong in what the records lie in, if the store can tell. It
// cannot be repaired here: a backup is restored, and copies are deleted.
func (d *side) inspect(ctx context.Context) error {
	of, ok := d.s.(store.Inspector)
	if !ok {
		return nil
	}
	flaws, err := of.Inspect(ctx)
	for _, one := range flaws {
		if err == nil {
			err = d.tell(ctx, Finding{Key: one.Place, Problem: one.Problem})
		}
	}
	return err
}

// walk checks all records of a store, and names those that are of no kind.
func (d *side) walk(ctx context.Context) error {
	if err := d.judgeRequired(ctx); err != nil {
		return err
	}
	return d.walkKinds(ctx, d.kinds(), alone("", (*side).judgeUnknown))
}

// walkKinds hands all records of a store to the checks of their kinds, which are in
// order, and those of none to unknown.
func (d *side) walkKinds(ctx context.Context, kinds []recordKind, unknown recordKind) error {
	from := ""
	for _, k := range kinds {
		if err := d.walkKind(ctx, unknown, store.Query{From: from, To: k.prefix}); err != nil {
			return err
		}
		if err := d.walkKind(ctx, k, store.Prefix(k.prefix)); err != nil {
			return err
		}
		from = store.Prefix(k.prefix).To
	}
	return d.walkKind(ctx, unknown, store.Query{From: from})
}

func (d *side) judgeUnknown(_ context.Context, rec store.Record) error {
	d.wrong(Finding{Key: rec.Key, Problem: "no record of this release has such a key"})
	return nil
}

func (d *side) walkKind(ctx context.Context, k recordKind, q store.Query) error {
	var at string
	var check groupCheck
	for rec, err := range d.s.Scan(ctx, q) {
		rec, err := d.readable(rec, err)
		if err != nil {
			return err
		}
		if rec.Key == "" {
			continue // a range, which is named by now
		}
		if d.f.seen++; d.f.seen%progressEvery == 0 {
			d.f.Progress(d.f.seen)
		}
		d.f.report.Records[d.name+" "+strings.TrimSuffix(cmp.Or(k.prefix, "unknown"), "/")]++
		if d.goes(rec.Key) {
			continue
		}
		if group := groupOf(rec.Key, k.parts); check == nil || group != at {
			if err := d.finish(ctx, k, at, check); err != nil {
				return err
			}
			at = strings.Clone(group)
			check = k.open(d, at)
		}
		if err := check.record(ctx, rec); err != nil {
			return err
		}
	}
	return d.finish(ctx, k, at, check)
}

// readable turns a record that the store calls damaged into one without a value,
// which no check takes for right.
func (d *side) readable(rec store.Record, err error) (store.Record, error) {
	var damaged *store.DamagedError
	switch {
	case !errors.As(err, &damaged):
		return rec, err
	case damaged.Key != "":
		return store.Record{Key: damaged.Key}, nil
	}
	d.wrong(Finding{Key: damaged.From, Problem: fmt.Sprintf("what lies behind it, and before %q, is damaged: %s", damaged.To, damaged.Detail)})
	return store.Record{}, nil
}

// finish ends the check of a group, and hands on what was found.
func (d *side) finish(ctx context.Context, k recordKind, group string, check groupCheck) error {
	if check == nil {
		return nil
	}
	if err := check.end(ctx); err != nil {
		return err
	}
	found, loose := d.taken()
	if d.f.Live && len(found) > 0 {
		again, left, err := d.again(ctx, k, group)
		if err != nil {
			return err
		}
		loose = left
		found = slices.DeleteFunc(again, func(f Finding) bool {
			return !slices.ContainsFunc(found, func(g Finding) bool { return f.Key == g.Key && f.Problem == g.Problem })
		})
	}
	d.f.report.Unchecked += loose
	for _, one := range found {
		if err := d.tell(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// taken returns what was found in a group, and how much could not be verified.
func (d *side) taken() ([]Finding, int) {
	found, loose := d.found, d.loose
	d.found, d.loose = nil, 0
	return found, loose
}

// again checks a group once more, with nothing remembered.
func (d *side) again(ctx context.Context, k recordKind, group string) ([]Finding, int, error) {
	d.f.own.chains.purge()
	d.f.copies.chains.purge()
	if err := d.f.findLeavers(ctx); err != nil {
		return nil, 0, err
	}
	check := k.open(d, group)
	for rec, err := range d.s.Scan(ctx, store.Prefix(group)) {
		rec, err := d.readable(rec, err)
		if err != nil {
			return nil, 0, err
		}
		if rec.Key == "" || groupOf(rec.Key, k.parts) != group || d.goes(rec.Key) {
			continue
		}
		if err := check.record(ctx, rec); err != nil {
			return nil, 0, err
		}
	}
	err := check.end(ctx)
	found, loose := d.taken()
	return found, loose, err
}

// tell repairs what was found, if that is wanted, and hands it on.
func (d *side) tell(ctx context.Context, one Finding) error {
	one.Store = d.name
	if d.f.named[d.name+" "+one.Key] {
		return nil // once is enough
	}
	d.f.named[d.name+" "+one.Key] = true
	if one.fix == nil {
		one.Repair = ""
	}
	if d.f.Repair && one.fix != nil {
		if err := one.fix(ctx); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("repair %q: %w", one.Key, err)
		} else if err == nil {
			one.Repaired = true
			d.f.report.Repaired++
		}
	}
	if one.Leftover {
		d.f.report.Leftovers++
	} else {
		d.f.report.Findings++
	}
	d.f.Found(one)
	return nil
}

// wrong notes a finding. Of the copies, all may be dropped: whoever reads it
// fetches it again.
func (d *side) wrong(one Finding) {
	one.Key = strings.Clone(one.Key)
	if d.name == "copies" && one.fix == nil {
		one.Repair, one.fix = "drop it: it is fetched again", d.applies(store.Change{Key: one.Key})
	}
	d.found = append(d.found, one)
}

// applies is a repair that makes changes.
func (d *side) applies(changes ...store.Change) func(context.Context) error {
	return func(ctx context.Context) error { return d.s.Apply(ctx, changes...) }
}

// removal is the repair that removes a record as it was read.
func (d *side) removal(rec store.Record) func(context.Context) error {
	return d.applies(store.Change{Key: strings.Clone(rec.Key), If: d.unchanged(rec)})
}

// rewriting is the repair that writes a record anew.
func (d *side) rewriting(rec store.Record, v any) func(context.Context) error {
	return d.applies(putIf(strings.Clone(rec.Key), v, d.unchanged(rec)))
}

// unchanged is the condition that nobody wrote a record since it was read. What
// the store cannot read can be written without a condition only.
func (d *side) unchanged(rec store.Record) store.Condition {
	if !d.f.Live || rec.Revision == 0 {
		return store.Always()
	}
	return store.IfRevision(rec.Revision)
}
