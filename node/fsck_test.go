package node

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// checkable is two nodes that have records of every kind, and are closed.
type checkable struct {
	*stage
	dan *testPerson // in the north
	now time.Time
}

// newCheckable makes them: people here and elsewhere, a history with keys and
// epochs that changed, friendships that ended and began again, statements that
// wait, log-ins.
func newCheckable(t *testing.T) *checkable {
	c := &checkable{stage: newStage(t)}
	ann, ben, cid := c.ann, c.ben, c.cid
	c.dan = ann.home.person("dan")
	eli := ann.home.person("eli")
	c.people = append(c.people, c.dan, eli)
	eli.befriend(ben)
	eli.posts(2)
	ann.posts(3)
	ann.putVault()
	ann.befriend(ben)
	ann.befriend(cid)
	c.w.clock.advance(time.Minute)
	cid.tell(cid.end(ann))
	c.w.clock.advance(time.Minute)
	ann.befriend(cid)
	ann.befriend(c.dan)
	c.dan.befriend(ben)
	c.dan.posts(2)
	ann.rotate(ben, cid, c.dan)
	ann.posts(2)
	ben.posts(2)
	c.settled(t)
	c.pullAll()
	c.w.clock.advance(time.Minute)
	ann.publish(ann.epoch(), ann.end(c.dan))
	c.settled(t)
	ann.rotate(ben, cid)
	logIn(t, ann)
	if err := ann.as().PutSecondFactor(t.Context(), newAppliance().request(ann.account, c.w.clock.now())); err != nil {
		t.Fatal(err)
	}
	own, now := c.stores["north own"], c.w.clock.now().UnixMilli()
	for _, n := range []*testNode{ann.home, ben.home} {
		for range 2 {
			if _, err := n.RotateRoot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked := ann.home.asked(t, 0)
	document, changes := ben.home.Document(), ben.home.document.Load().RootChanges
	root := must(wire.OpenNodeDocument(document, south)).Root
	if err := own.Apply(t.Context(),
		put("peer/"+string(south), &peerRecord{Version: recordVersion, Root: root, Document: document, Fetched: now, Changes: changes}),
		put(domainKey(south), &domainRecord{recordVersion}),
		put(cosignedKey(asked.New.Size), &cosignedRecord{recordVersion, asked.Signed}),
		put(seenKey(south), &seenRecord{recordVersion, 1, 2, wire.Hash{3}, nil}),
		put(ruleKey("evil.example"), &ruleRecord{recordVersion, RuleBlock, now}),
		put(highWaterKey, &highWaterRecord{recordVersion, now}),
		put(regainKey, &regainRecord{recordVersion, now}),
		store.Change{Key: "node/name", Value: []byte(north)},
		put(newsKey("0a", 1), &newsRecord{Version: recordVersion, Own: []string{"key/x"}}),
		put(processPrefix+"0a", &processRecord{Version: recordVersion, Newest: 1}),
		put(pursePrefix+wire.Hash{1}.String(), &purseRecord{Version: recordVersion, Failed: 1}),
		store.Change{Key: noncePrefix + hex16(uint64(now)) + "/" + string(south) + "/" + wire.Nonce{1}.String(), Value: make([]byte, 32)},
	); err != nil {
		t.Fatal(err)
	}
	c.pullAll()
	ben.reads(ann)
	if err := ben.home.saveReads(t.Context()); err != nil {
		t.Fatal(err)
	}
	ben.home.trims(ann)
	c.w.fail(south, away)
	ben.contact(ann)
	cid.tell(cid.offer(ben)) // which waits
	eli.delete()             // which ben waits to be told
	eventually(t, "nothing else is left of eli", func() bool { return len(leftBehind(t, eli)) == 1 })
	c.close()
	c.now = c.w.clock.now()
	return c
}

// logIn opens a session of somebody.
func logIn(t *testing.T, p *testPerson) {
	t.Helper()
	from := netip.MustParseAddr("192.0.2.1")
	asked := must(p.home.Challenge(t.Context(), wire.ChallengeRequest{Handle: p.address.Handle, Purpose: wire.PurposeLogin}, from))
	c := p.home.challenge(p.address.Handle, wire.PurposeLogin)
	c.Nonce, c.Expires = asked.Nonce, asked.Expires
	answer := must(c.Sign(p.login))
	_, err := p.home.Login(t.Context(), wire.LoginRequest{
		Handle: p.address.Handle, Purpose: wire.PurposeLogin, Nonce: asked.Nonce, Expires: asked.Expires, Tag: asked.Tag, Answer: answer, Device: "a phone",
	}, from)
	if err != nil {
		t.Fatal(err)
	}
}

// checked is what Fsck says of the stores of one side.
type checked struct {
	report   FsckReport
	findings []Finding
	left     []Finding // leftovers
}

func (c *checkable) check(t *testing.T, side string, repair bool) checked {
	t.Helper()
	return fsckStores(t, c.stores[side+" own"], c.stores[side+" copies"], c.now, repair)
}

func fsckStores(t *testing.T, own, copies store.Store, now time.Time, repair bool) checked {
	t.Helper()
	got, err := tryFsck(t, own, copies, now, repair)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryFsck(t *testing.T, own, copies store.Store, now time.Time, repair bool) (got checked, err error) {
	t.Helper()
	o := FsckOptions{Own: own, Copies: copies, Repair: repair, Now: func() time.Time { return now }, Found: func(f Finding) {
		if f.Leftover {
			got.left = append(got.left, f)
		} else {
			got.findings = append(got.findings, f)
		}
	}}
	got.report, err = Fsck(t.Context(), o)
	return got, err
}

// change is the change that writes bytes.
func change(key string, value []byte) store.Change { return store.Change{Key: key, Value: value} }

func (c *checkable) apply(t *testing.T, where string, changes ...store.Change) {
	t.Helper()
	if err := c.stores[where].Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func (c checked) String() string {
	var b strings.Builder
	for _, f := range slices.Concat(c.findings, c.left) {
		fmt.Fprintf(&b, "\n%s %s: %s (%s; %s) %v", f.Store, f.Key, f.Problem, f.Person, f.Repair, f.Leftover)
	}
	return b.String()
}

// TestFsckHealthy: of stores that a story was written to, nothing is found, and
// every kind of record was looked at.
func TestFsckHealthy(t *testing.T) {
	c := newCheckable(t)
	kinds := map[string]bool{}
	for _, side := range []string{"north", "south"} {
		got := c.check(t, side, false)
		if len(got.findings)+len(got.left) > 0 || got.report.Unchecked > 0 || string(got.report.Name) != side+".example" {
			t.Errorf("%s: got %+v%s", side, got.report, got)
		}
		for kind, count := range got.report.Records {
			kinds[kind] = count > 0
		}
	}
	f := newFsck(FsckOptions{})
	for _, d := range []*side{f.own, f.copies} {
		for _, k := range d.kinds() {
			if kind := d.name + " " + strings.TrimSuffix(k.prefix, "/"); !kinds[kind] && kind != "own logtile" { // of 256 people: TestFsckRepairsLog
				t.Errorf("the story has no record of kind %s", kind)
			}
		}
	}
}

// blank returns a record without what nothing vouches for: numbers and texts that
// only the node itself wrote, and what only a reader could open.
func blank(t *testing.T, key string, value []byte) string {
	t.Helper()
	as := func(v any, free func()) string {
		if wire.DecodeCBOR("record", value, v) != nil {
			return "" // that is noticed
		}
		free()
		return string(wire.EncodeCBOR(v))
	}
	kind, _, _ := strings.Cut(key, "/")
	switch kind {
	case "leaving":
		var r leavingRecord
		return as(&r, func() { r.Since = 0 })
	case "device":
		var r device
		return as(&r, func() { r.Used = 0 })
	case "entry":
		var r entryRecord
		return as(&r, func() { r.Arrival = 0 })
	case "factor":
		var r factorRecord
		return as(&r, func() {
			r.Backup, r.Spender = nil, wire.Nonce{}
			for i := range r.Factors {
				r.Factors[i].Step, r.Factors[i].Secret = 0, wire.Hide(make([]byte, len(r.Factors[i].Secret.Reveal())))
			}
		})
	case "friend":
		var r friendRecord
		return as(&r, func() { r.Problem = "" })
	case "node":
		var k nodeKeys
		if key == "node/keys" {
			return as(&k, func() { k = nodeKeys{Version: k.Version, Root: k.Root, Changes: k.Changes} })
		}
		if key == witnessKey {
			var w witnessIdentity
			return as(&w, func() { w.Created = 0 })
		}
	case "news", "process", "throttle":
		var n newsRecord
		var p processRecord
		var u purseRecord
		switch kind {
		case "news":
			return as(&n, func() { n = newsRecord{Version: n.Version} })
		case "process":
			return as(&p, func() { p = processRecord{Version: p.Version} })
		}
		return as(&u, func() { u = purseRecord{Version: u.Version} })
	case "nonce":
		return fmt.Sprint(len(value))
	case "peer":
		var r peerRecord
		return as(&r, func() { r.Fetched = 0 })
	case "address":
		var r addressRecord
		return as(&r, func() { r.AsOf, r.Proof = 0, nil }) // the home of the person vouches for it
	case "rule":
		var r ruleRecord
		return as(&r, func() { r.Made = 0 })
	case "gap":
		var r gapRecord
		return as(&r, func() { r.Position, r.Arrival, r.Rest, r.Busy = 0, 0, 0, 0 })
	case "read":
		var r readRecord
		return as(&r, func() { r.At = 0 })
	case "regain":
		var r regainRecord
		return as(&r, func() { r.Since = 0 })
	case "replay":
		var r highWaterRecord
		return as(&r, func() { r.Created = 0 })
	case "sess":
		var r session
		return as(&r, func() { r.Device, r.Created, r.Expires = "", 0, 0 })
	case "spent":
		return fmt.Sprint(new(wire.Hash).UnmarshalText(value))
	case "sync":
		var r syncRecord
		return as(&r, func() { r.AsOf, r.Seq, r.Bytes = 0, 0, 0 }) // which is counted again
	case "witness":
		var r seenRecord
		return as(&r, func() { r.Number, r.Size, r.Root = min(r.Number, 1), 0, wire.Hash{} })
	case "wrap":
		var r wrapRecord
		return as(&r, func() { r.Key, r.Sealed = wire.Hash{}, r.Sealed[:0] })
	}
	return string(value)
}

// TestFsckFindsFlips turns single bits over in every record: each is found, and
// named, unless nothing vouches for what it changes.
func TestFsckFindsFlips(t *testing.T) {
	undetected(t)
	c := newCheckable(t)
	random := rand.New(rand.NewPCG(1, 2))
	flips, free := 0, 0
	for _, store := range stageStores {
		side, _, _ := strings.Cut(store, " ")
		m := c.stores[store]
		for _, key := range keysOf(t, m, "") {
			whole := must(m.Get(t.Context(), key)).Value
			for _, at := range []int{random.IntN(len(whole))} {
				spoilt := slices.Clone(whole)
				spoilt[at] ^= 1 << random.IntN(8)
				before := m.Snapshot()
				c.apply(t, store, change(key, spoilt))
				got, err := tryFsck(t, c.stores[side+" own"], c.stores[side+" copies"], c.now, false)
				m.Restore(before)
				flips++
				if err != nil && key == "schema" {
					continue // of another release, for all that one can tell
				}
				if err != nil {
					t.Fatal(err)
				}
				if blank(t, key, spoilt) == blank(t, key, whole) {
					free++
				} else if len(got.findings) != 1 && (len(got.findings) != 2 || got.findings[1].Key != gapKey(streamOfKey(key))) || got.findings[0].Key != key && key != "node/keys" {
					t.Errorf("%s %s: byte %d of %d turned from %x to %x: found%s", store, key, at, len(whole), whole[at], spoilt[at], got)
				}
			}
		}
	}
	t.Logf("%d bits turned over, %d of them in what nothing vouches for", flips, free)
}

// streamOfKey returns which stream an entry is of: a gap in it may be wrong as well.
func streamOfKey(key string) streamName {
	name, _ := parseStreamName(strings.TrimPrefix(key, "entry/"))
	return name
}

// damages are the ways in which records are spoilt beside single bits. next is the
// record behind one, of the same kind and store.
var damages = map[string]func(rec, next store.Record) []store.Change{
	"deleted": func(rec, _ store.Record) []store.Change { return []store.Change{{Key: rec.Key}} },
	"cut short": func(rec, _ store.Record) []store.Change {
		return []store.Change{change(rec.Key, rec.Value[:len(rec.Value)-1])}
	},
	"emptied": func(rec, _ store.Record) []store.Change { return []store.Change{change(rec.Key, []byte{})} },
	"made longer": func(rec, _ store.Record) []store.Change {
		return []store.Change{change(rec.Key, append(slices.Clone(rec.Value), 0))}
	},
	"replaced by another": func(rec, next store.Record) []store.Change { return []store.Change{change(rec.Key, next.Value)} },
	"there twice": func(rec, _ store.Record) []store.Change {
		return []store.Change{change(rec.Key[:len(rec.Key)-1]+"7", rec.Value)}
	},
}

// unseen are the kinds of record that can be spoilt so that nothing tells of it,
// and why.
var unseen = map[string]map[string]string{
	"deleted": {
		"device": "it logs in like a new one", "sess": "its person logs in again", "spent": "it may have been swept",
		"wrap": "it may not have been made yet", "friend": "of somebody elsewhere, who may not have offered", "peer": "it is fetched again", "domain": "it is written again", "rule": "it may have been taken back",
		"elsewhere": "the next start writes it", "throttle": "it expires", "news": "it expires", "process": "it expires", "nonce": "it expires",
		"replay": "nothing may have been asked yet", "node": "the next start writes the name", "address": "it is fetched again", "sync": "it is fetched again",
		"farewell": "they may have been told", "factor": "it may have been turned off", "read": "nobody may have read it", "witness": "it may not have been asked yet", "cosigned": "nobody may have been asked", "regain": "the node may not have been restored",
	},
	"replaced by another": {
		"domain": "they are all the same", "rule": "any rule will do", "deliver": "they are all the same", "elsewhere": "they are all the same", "device": "only the time differs", "wrap": "only the reader can tell", "replay": "any time will do", "regain": "any time will do", "sync": "it is counted again", "read": "only the time differs",
	},
	"there twice": {"rule": "any name will do", "device": "any hash will do", "sess": "any hash will do", "deliver": "it is left over", "throttle": "any hash will do", "news": "any process will do", "process": "any process will do", "nonce": "any nonce will do", "wrap": "it is left over", "vhead": "it is left over"},
}

// followsOn are the kinds of which a finding may follow from one about another.
var followsOn = map[string][]string{"key": {"handle/", "address/"}, "gap": {"entry/"}, "log": {"leaf/"}, "logtop": {"logtop/"}, "entry": {"gap/", "id/"}}

// TestFsckFindsSpoiltRecords spoils records of every kind in all ways, and repairs
// them: what somebody signed is named and left alone, all else is as before, or
// gone where it can be done without.
func TestFsckFindsSpoiltRecords(t *testing.T) {
	undetected(t)
	c := newCheckable(t)
	for _, where := range []string{"north own", "south copies"} {
		side, _, _ := strings.Cut(where, " ")
		m := c.stores[where]
		keys := keysOf(t, m, "")
		for how, spoil := range damages {
			tried := map[string]int{}
			for i, key := range keys {
				kind, _, _ := strings.Cut(key, "/")
				if tried[kind]++; tried[kind] > 1 {
					continue
				}
				changes := spoil(must(m.Get(t.Context(), key)), must(m.Get(t.Context(), keys[(i+1)%len(keys)])))
				before := m.Snapshot()
				healthy := c.dump(t)
				c.apply(t, where, changes...)
				spoilt := c.dump(t)
				got, err := tryFsck(t, c.stores[side+" own"], c.stores[side+" copies"], c.now, false)
				switch {
				case kind == "schema" && err != nil: // of another release
				case err != nil:
					t.Fatal(err)
				case len(got.findings)+len(got.left) == 0 && unseen[how][kind] == "" && !maps.Equal(healthy, spoilt):
					t.Errorf("%s: %s %s: nothing is found%s", how, where, key, got)
				default:
					for _, f := range got.findings {
						if f.Key != changes[0].Key && !slices.Contains(followsOn[kind], f.Key[:strings.IndexByte(f.Key, '/')+1]) && (how != "there twice" || !strings.HasPrefix(f.Key, kind)) {
							t.Errorf("%s: %s %s: found%s", how, where, key, got)
						}
					}
					c.wantRepaired(t, side, where, changes[0].Key, got, healthy, spoilt)
				}
				m.Restore(before)
			}
		}
	}
}

// wantRepaired repairs, and compares the stores with what they were.
func (c *checkable) wantRepaired(t *testing.T, side, where, key string, found checked, healthy, spoilt map[string]string) {
	t.Helper()
	left := 0
	for _, f := range found.findings {
		if f.Repair == "" {
			left++
		}
	}
	after := c.check(t, side, true)
	if (after.report.Findings > 0) != (left > 0) {
		t.Errorf("%s %s: %d findings after the repair, %d were not to be repaired:%s", where, key, after.report.Findings, left, after)
	}
	repaired := c.dump(t)
	for name, value := range repaired {
		if value != healthy[name] && !strings.Contains(name, " copies sync/") && (value != spoilt[name] || name == where+" "+key && left == 0 && len(found.findings) > 0) {
			t.Errorf("%s %s: the repair made %s %x of %x", where, key, name, value, spoilt[name])
		}
	}
	for name := range spoilt {
		if _, ok := repaired[name]; !ok && !c.mayGo(name, found) {
			t.Errorf("%s %s: the repair removed %s", where, key, name)
		}
	}
}

// mayGo reports whether a repair may remove a record: it is a copy, or one of
// those that were found and can be done without.
func (c *checkable) mayGo(name string, found checked) bool {
	_, key, _ := strings.Cut(name, " copies ")
	if key != "" {
		return true
	}
	return slices.ContainsFunc(slices.Concat(found.findings, found.left), func(f Finding) bool {
		goes := strings.HasSuffix(name, " own "+f.Key) || strings.HasSuffix(name, " own "+witnessKey) && strings.HasPrefix(f.Key, seenPrefix)
		return goes && strings.HasPrefix(f.Repair, "remove it")
	})
}

// A flickeringStore is one that somebody writes to: at the first look, all records
// of a kind are cut short.
type flickeringStore struct {
	store.Store
	kind string
	seen map[string]bool
}

func (s *flickeringStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for rec, err := range s.Store.Scan(ctx, q) {
			if strings.HasPrefix(rec.Key, s.kind) && !s.seen[rec.Key] {
				s.seen[rec.Key], rec.Value = true, rec.Value[:1]
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// TestFsckLive: while a node is at work, what looks wrong is read again.
func TestFsckLive(t *testing.T) {
	c := newCheckable(t)
	for _, kind := range []string{"account/", "entry/", "friend/", "handle/", "vhead/", "wrap/"} {
		for live, want := range map[bool]bool{true: false, false: true} {
			o := FsckOptions{Own: &flickeringStore{c.stores["north own"], kind, map[string]bool{}}, Live: live, Now: func() time.Time { return c.now }}
			report, err := Fsck(t.Context(), o)
			if err != nil || (report.Findings > 0) != want {
				t.Errorf("%s, live %v: got %d findings, %v", kind, live, report.Findings, err)
			}
		}
	}
}

// TestFsckDamaged: records that the store cannot read are named, and those that
// follow from others are made again.
func TestFsckDamaged(t *testing.T) {
	c := newCheckable(t)
	own := c.stores["north own"]
	for _, kind := range []string{"account/", "entry/", "friend/", "handle/", "id/", "key/", "sealed/", "vault/", "vhead/", "wrap/"} {
		key := keysOf(t, own, kind)[0]
		s := &damagedStore{own, key}
		got, err := tryFsck(t, s, nil, c.now, false)
		if err != nil || len(got.findings) == 0 || !slices.ContainsFunc(got.findings, func(f Finding) bool { return f.Key == key }) {
			t.Errorf("%s: got %v%s", key, err, got)
		}
	}
}

// A damagedStore cannot read one record.
type damagedStore struct {
	store.Store
	key string
}

func (s *damagedStore) Get(ctx context.Context, key string) (store.Record, error) {
	if key == s.key {
		return store.Record{}, &store.DamagedError{Key: key, Detail: "a test"}
	}
	return s.Store.Get(ctx, key)
}

func (s *damagedStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for rec, err := range s.Store.Scan(ctx, q) {
			if rec.Key == s.key {
				rec, err = store.Record{Key: s.key}, &store.DamagedError{Key: s.key, Detail: "a test"}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// TestFsckOtherRelease: records of another release are not looked at.
func TestFsckOtherRelease(t *testing.T) {
	c := newCheckable(t)
	for _, where := range []string{"north own", "north copies"} {
		before := c.stores[where].Snapshot()
		c.apply(t, where, put("schema", &schemaRecord{recordVersion, recordSchema + 1}), change("x", []byte{0}))
		got, err := tryFsck(t, c.stores["north own"], c.stores["north copies"], c.now, true)
		if err == nil || !strings.Contains(err.Error(), "this release knows") || len(got.findings) > 0 {
			t.Errorf("%s: got %v%s", where, err, got)
		}
		c.stores[where].Restore(before)
	}
}

// A flawed store says that something is wrong in what its records lie in.
type flawed struct{ store.Store }

func (flawed) Inspect(context.Context) ([]store.Flaw, error) {
	return []store.Flaw{{Place: "page 7", Problem: "it is in use, and on the list of free pages"}}, nil
}

// TestFsckNamesFlaws names what a store says of itself, and repairs nothing of it.
func TestFsckNamesFlaws(t *testing.T) {
	c := newCheckable(t)
	own, copies := c.stores["north own"], c.stores["north copies"]
	for _, repair := range []bool{false, true} {
		got := fsckStores(t, flawed{own}, flawed{copies}, c.now, repair)
		for i, side := range []string{"own", "copies"} {
			if len(got.findings) < 2 || got.findings[i].Store != side || got.findings[i].Key != "page 7" || got.findings[i].Repair != "" {
				t.Errorf("repair: %t: got %s, want page 7 of both", repair, got)
			}
		}
		if got.report.Findings != 2 {
			t.Errorf("repair: %t: %d findings, want 2:%s", repair, got.report.Findings, got)
		}
	}
}

// TestFsckQuarantine leaves a peer in quarantine alone, whose document counts as
// never fetched.
func TestFsckQuarantine(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	r := somePeer(t, south, 1, 1)
	r.Fetched = time.Time{}
	if err := n.known.SavePeer(t.Context(), r, r.Root); err != nil {
		t.Fatal(err)
	}
	n.person("ann")
	n.close()
	if got := fsckStores(t, n.own, n.copies, w.clock.now(), false); len(got.findings) > 0 {
		t.Errorf("got %+v", got.findings)
	}
}
