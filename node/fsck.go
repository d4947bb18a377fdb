package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// FsckOptions say what Fsck looks at. Own is required.
type FsckOptions struct {
	Own, Copies store.Store // Copies may be nil
	Repair      bool        // makes again what can be, and then checks again
	// Live says that a node may be at work on the stores: what looks wrong is read
	// again before it is named.
	Live     bool
	Now      func() time.Time  // time.Now if nil
	Found    func(Finding)     // told of each finding, in order; may be nil
	Progress func(records int) // told now and then how many were checked; may be nil
}

// A Finding is a record that is wrong, or is missing.
type Finding struct {
	Store   string `json:"store"` // own or copies
	Key     string `json:"key"`
	Problem string `json:"problem"`
	// Repair is what --repair does about it. It is empty for what somebody signed:
	// only a backup has it.
	Repair string `json:"repair,omitempty"`
	Person string `json:"person,omitempty"` // whom it concerns, if it is somebody
	// Leftover marks what an interruption may leave behind. It harms nobody.
	Leftover bool `json:"leftover,omitempty"`
	Repaired bool `json:"repaired,omitempty"`

	fix func(context.Context) error // nil: nothing can be done
}

// An FsckReport is what a check came to. Of one with repairs, it is what the
// check after them found.
type FsckReport struct {
	Name      wire.NodeName  `json:"name"`
	Records   map[string]int `json:"records"` // by store and kind, such as "own entry"
	Findings  int            `json:"findings"`
	Leftovers int            `json:"leftovers"`
	Repaired  int            `json:"repaired"`
	// Unchecked counts what could not be verified, because the keys to do it with
	// are damaged, or lie at a node elsewhere.
	Unchecked int `json:"unchecked"`
}

// Fsck reads all records of a node and verifies what can be: that each decodes,
// to the very bytes; that each signature, chain of keys, chain of entries and hash
// is right; that records which name each other agree. An error is trouble with the
// stores, or a schema of another release; what is wrong in the records is a Finding.
//
// Nothing vouches for some numbers and texts, listed in TestFsckFindsFlips: a
// check by sums is the business of the store.
//
// Memory does not grow with the stores: what is kept at a time is about one
// person, stream or vault, but for the keys of what is found.
func Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Found == nil {
		o.Found = func(Finding) {}
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	report, err := newFsck(o).run(ctx)
	if err != nil || !o.Repair {
		return report, err
	}
	repaired := report.Repaired
	for range maxRepairs { // what was dropped may have been needed by something else
		if report.Repaired == 0 {
			break
		}
		if report, err = newFsck(o).run(ctx); err != nil {
			return report, err
		}
		repaired += report.Repaired
	}
	o.Repair = false
	report, err = newFsck(o).run(ctx)
	report.Repaired = repaired
	return report, err
}

// maxRepairs is how often repairs are followed by a look at what they led to.
const maxRepairs = 3

// fsck is one pass over both stores.
type fsck struct {
	FsckOptions
	report FsckReport
	own    *side
	copies *side
	seen   int             // records
	named  map[string]bool // keys that are named already

	leaving        map[wire.AccountID]bool // those that are being deleted
	leavingShelves map[wire.TokenShelf]bool
}

func newFsck(o FsckOptions) *fsck {
	f := &fsck{FsckOptions: o, report: FsckReport{Records: map[string]int{}}, named: map[string]bool{}}
	f.own = &side{f: f, name: "own", s: o.Own, chains: newWeighed[wire.AccountID, *heldChain](chainsSize)}
	f.copies = &side{f: f, name: "copies", s: o.Copies, chains: newWeighed[wire.AccountID, *heldChain](chainsSize)}
	return f
}

// sides are the stores that there are.
func (f *fsck) sides() []*side {
	if f.Copies == nil {
		return []*side{f.own}
	}
	return []*side{f.own, f.copies}
}

func (f *fsck) run(ctx context.Context) (FsckReport, error) {
	sides := f.sides()
	for _, d := range sides {
		if err := d.schema(ctx); err != nil {
			return f.report, fmt.Errorf("fsck: %w", err)
		}
	}
	err := f.findName(ctx)
	if err == nil {
		err = f.findLeavers(ctx)
	}
	for _, d := range sides {
		if err == nil {
			err = d.inspect(ctx)
		}
		if err == nil {
			err = d.walk(ctx)
		}
	}
	if err != nil {
		return f.report, fmt.Errorf("fsck: %w", err)
	}
	return f.report, nil
}

// findName finds whose records these are: the keys of the first of its people
// whose chain is whole name the node, and are signed.
func (f *fsck) findName(ctx context.Context) error {
	rec, err := f.Own.Get(ctx, "node/name")
	if err == nil {
		f.report.Name = wire.NodeName(rec.Value)
	} else if !errors.Is(err, store.ErrNotExist) && !errors.Is(err, store.ErrDamaged) {
		return err
	}
	from := "key/"
	for {
		key, err := lowestKey(ctx, f.Own, store.Query{From: from, To: store.Prefix("key/").To})
		if err != nil || key == "" {
			return err
		}
		group := groupOf(key, 2)
		account, err := wire.ParseAccountID(strings.TrimPrefix(group, "key/"))
		if err == nil {
			held, err := f.own.chain(ctx, account)
			if err != nil {
				return err
			}
			if held.chain != nil {
				f.report.Name = held.chain.Newest().Node
				return nil
			}
		}
		from = store.Prefix(group).To
	}
}

// lowestKey returns the lowest key of a query, readable or not, or "".
func lowestKey(ctx context.Context, s store.Store, q store.Query) (string, error) {
	q.Limit = 1
	for rec, err := range s.Scan(ctx, q) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return "", err
		}
		return strings.Clone(rec.Key), nil
	}
	return "", nil
}

// groupOf returns the first parts of a key, with a slash in between.
func groupOf(key string, parts int) string {
	for i := range len(key) {
		if key[i] == '/' {
			if parts--; parts == 0 {
				return key[:i]
			}
		}
	}
	return key
}

// A side is one of the two stores.
type side struct {
	f      *fsck
	name   string
	s      store.Store
	chains *weighed[wire.AccountID, *heldChain]
	found  []Finding // about the group that is being checked
	loose  int       // what could not be verified in it
}

// A groupCheck looks at the records of one group, in their order.
type groupCheck interface {
	record(ctx context.Context, rec store.Record) error
	end(ctx context.Context) error
}

// each is a groupCheck for records that stand alone.
type each func(ctx context.Context, rec store.Record) error

func (e each) record(ctx context.Context, rec store.Record) error { return e(ctx, rec) }
func (e each) end(context.Context) error                          { return nil }

// A recordKind is a group of records under one prefix. Those with the same first
// parts of the key are checked together.
type recordKind struct {
	prefix string
	parts  int
	open   func(d *side, group string) groupCheck
}

func alone(prefix string, look func(*side, context.Context, store.Record) error) recordKind {
	return recordKind{prefix, 1 << 10, func(d *side, _ string) groupCheck {
		return each(func(ctx context.Context, rec store.Record) error { return look(d, ctx, rec) })
	}}
}

// kinds are the records of a store, in order of their keys.
func (d *side) kinds() []recordKind {
	if d.name == "copies" {
		return []recordKind{
			alone("address/", (*side).judgeAddress),
			{"entry/", 3, openStreamCheck},
			alone("gap/", (*side).judgeGap),
			alone("id/", (*side).judgeID),
			{"key/", 2, openKeysCheck},
			alone("read/", (*side).judgeRead),
			alone("schema", (*side).judgeSchema),
			alone("sync/", (*side).judgeSync),
			{"wrap/", 3, openWrapsCheck},
		}
	}
	return []recordKind{
		alone("account/", (*side).judgeAccount),
		alone(cosignedPrefix, (*side).judgeCosigned),
		alone("deliver/", (*side).judgeDeliver),
		alone("device/", (*side).judgeDevice),
		alone(domainPrefix, (*side).judgeDomain),
		alone(elsewherePrefix, (*side).judgeElsewhere),
		{"entry/", 3, openStreamCheck},
		alone("factor/", (*side).judgeFactor),
		alone(farewellPrefix, (*side).judgeFarewell),
		alone("friend/", (*side).judgeFriend),
		alone("handle/", (*side).judgeHandle),
		alone("id/", (*side).judgeID),
		{"key/", 2, openKeysCheck},
		alone(findPrefix, (*side).judgePlaceRecord),
		alone(leavingPrefix, (*side).judgeLeaving),
		{leafPrefix, 1, openLeavesCheck},
		alone(tilePrefix, (*side).judgeTile),
		alone(topPrefix, (*side).judgeTop),
		alone(newsPrefix, (*side).judgeNews),
		alone("node/", (*side).judgeNode),
		alone(noncePrefix, (*side).judgeNonce),
		alone(peerPrefix, (*side).judgePeer),
		alone(processPrefix, (*side).judgeProcess),
		alone(regainKey, (*side).judgeRegain),
		alone("replay/", (*side).judgeReplay),
		alone(rulePrefix, (*side).judgeRule),
		alone("schema", (*side).judgeSchema),
		alone("sealed/", (*side).judgeSealed),
		alone("sess/", (*side).judgeSession),
		alone("spent/", (*side).judgeSpent),
		alone(pursePrefix, (*side).judgePurse),
		alone("vault/", (*side).judgeVault),
		{"vhead/", 2, openHeadsCheck},
		alone(seenPrefix, (*side).judgeSeen),
		{"wrap/", 3, openWrapsCheck},
	}
}
