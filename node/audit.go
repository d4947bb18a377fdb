package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// AuditOptions say what Audit looks at. Own is required.
type AuditOptions struct {
	Own, Copies store.Store // Copies may be nil
	Found       func(AuditFinding)
	Progress    func(records int) // told now and then how many were looked at; may be nil
}

// An AuditFinding is something that should not lie in a node's records. What it is
// is named, and never shown.
type AuditFinding struct {
	Store   string `json:"store"` // own or copies
	Key     string `json:"key"`
	Field   string `json:"field,omitempty"` // such as Body.Links.Sealed; empty for the whole record
	Problem string `json:"problem"`
}

// An AuditReport is what all bytes of the records are.
type AuditReport struct {
	Name     wire.NodeName `json:"name"`
	Kinds    []AuditKind   `json:"kinds"` // in order of store and key
	Bytes    int64         `json:"bytes"` // of keys and values: the sum of those of all kinds
	Findings int           `json:"findings"`
}

// An AuditKind is the records of one kind in one store.
type AuditKind struct {
	Store   string           `json:"store"`
	Kind    string           `json:"kind"` // unknown for those of none
	Records int              `json:"records"`
	Bytes   map[string]int64 `json:"bytes"` // by class, see AuditClasses
}

// AuditClasses are the classes of bytes, in the order in which they are shown.
func AuditClasses() []string { return keptClassNames[:] }

// Audit takes all records of a node apart and says of each byte who may know it, as
// docs/security.md does under What a node stores. What no field accounts for, what
// should be sealed and does not look it, and private keys of people are findings. It
// verifies nothing: that the fields are what they say is the business of Fsck.
//
// A private key is found if it stands in a field of its own, or in base32,
// hexadecimal or base64 alone in a text or in a part of a key: by the public key, the
// commitment or the hash that follows from it. What opens vaults and slots leaves no
// such trace, and is not found.
//
// Memory does not grow with the stores.
func Audit(ctx context.Context, o AuditOptions) (AuditReport, error) {
	a := &audit{filter: newLockFilter(), recent: newRecent(), found: o.Found}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	a.fsck = newFsck(FsckOptions{Own: o.Own, Copies: o.Copies, Progress: o.Progress, Found: a.unreadable})
	if err := a.run(ctx); err != nil {
		return a.report, fmt.Errorf("audit: %w", err)
	}
	return a.report, nil
}

// audit walks both stores as fsck does.
type audit struct {
	*fsck
	report    AuditReport
	found     func(AuditFinding)
	filter    lockFilter
	recent    *simplelru.LRU[[32]byte, struct{}]
	suspected []suspect
}

func (a *audit) run(ctx context.Context) error {
	sides := a.sides()
	for _, d := range sides {
		if err := d.schema(ctx); err != nil {
			return err
		}
	}
	if err := a.findName(ctx); err != nil {
		return err
	}
	a.report.Name = a.fsck.report.Name
	err := a.eachLock(ctx, func(lock keptNumber, _ string) { a.filter.add(lock.value) })
	for _, d := range sides {
		if err == nil {
			err = a.walk(ctx, d)
		}
	}
	if err == nil {
		err = a.confirm(ctx)
	}
	return err
}

func newRecent() *simplelru.LRU[[32]byte, struct{}] {
	l, _ := simplelru.NewLRU[[32]byte, struct{}](recentSize, nil) // fails for no positive size
	return l
}

// walk takes the records of one store apart.
func (a *audit) walk(ctx context.Context, d *side) error {
	kinds := d.kinds()
	for i, k := range kinds {
		kinds[i] = alone(k.prefix, a.look)
	}
	before := len(a.report.Kinds)
	err := d.walkKinds(ctx, kinds, alone("", a.stranger))
	slices.SortFunc(a.report.Kinds[before:], func(a, b AuditKind) int { return strings.Compare(a.Kind, b.Kind) })
	return err
}

// look takes a record apart.
func (a *audit) look(d *side, ctx context.Context, rec store.Record) error {
	var one dissection
	size := int64(len(rec.Key) + len(rec.Value))
	place := keptPlaceOf(rec.Key)
	switch {
	case place == nil:
		return a.stranger(d, ctx, rec)
	case rec.Value == nil:
		one.at[keptFound] = size
		one.problems = []keptProblem{{"", "its bytes are damaged"}}
	default:
		one.record(place, rec)
	}
	if err := one.addsUp(rec); err != nil {
		return err
	}
	a.count(d.name, place.kind(), size, &one)
	for _, p := range one.problems {
		a.tell(AuditFinding{Store: d.name, Key: strings.Clone(rec.Key), Field: p.field, Problem: p.problem})
	}
	return a.suspects(ctx, d, place, rec.Key, &one)
}

// stranger names a record that is of no kind.
func (a *audit) stranger(d *side, _ context.Context, rec store.Record) error {
	var one dissection
	one.at[keptFound] = int64(len(rec.Key) + len(rec.Value))
	a.count(d.name, "unknown", one.at[keptFound], &one)
	a.tell(AuditFinding{Store: d.name, Key: strings.Clone(rec.Key), Problem: "no record of this release has such a key"})
	return nil
}

// kind is what reports call a kind of record.
func (p *keptPlace) kind() string {
	name, _, _ := strings.Cut(p.key, "/<")
	return name
}

func (a *audit) count(store, kind string, size int64, one *dissection) {
	kinds := a.report.Kinds
	i := slices.IndexFunc(kinds, func(k AuditKind) bool { return k.Store == store && k.Kind == kind })
	if i < 0 {
		i = len(kinds)
		a.report.Kinds = append(kinds, AuditKind{Store: store, Kind: kind, Bytes: map[string]int64{}})
	}
	k := &a.report.Kinds[i]
	k.Records++
	for class, bytes := range one.at {
		k.Bytes[keptClass(class).String()] += bytes
	}
	a.report.Bytes += size
}

func (a *audit) tell(one AuditFinding) {
	a.report.Findings++
	if a.found != nil {
		a.found(one)
	}
}

// unreadable hands on what the walk could not read at all.
func (a *audit) unreadable(f Finding) {
	a.tell(AuditFinding{Store: f.Store, Key: f.Key, Problem: f.Problem})
}

// confirm tells of those suspects whose locks there are.
func (a *audit) confirm(ctx context.Context) error {
	if len(a.suspected) == 0 {
		return nil
	}
	by := map[[32]byte][]AuditFinding{}
	for _, s := range a.suspected {
		by[s.lock] = append(by[s.lock], s.finding)
	}
	a.suspected = nil
	return a.eachLock(ctx, func(lock keptNumber, in string) {
		for _, one := range by[lock.value] {
			one.Problem = fmt.Sprintf("it is the private key of the %s in %s", lock.shape.lock, in)
			a.tell(one)
		}
		delete(by, lock.value) // each is told once
	})
}

// AuditData is Audit of a node by its configuration. It fills in the stores of o. A
// node on the embedded store must not be running; one on MongoDB may.
func AuditData(ctx context.Context, c Config, o AuditOptions) (report AuditReport, err error) {
	err = withRecords(ctx, c, func(own, copies store.Store) error {
		o.Own, o.Copies = own, copies
		report, err = Audit(ctx, o)
		return err
	})
	return report, err
}
