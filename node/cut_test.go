package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// A busyStore lets something happen before each single record is read: before is
// told its key, or behind which key it is looked for.
type busyStore struct {
	store.Store
	before func(key string)
}

func (s busyStore) Get(ctx context.Context, key string) (store.Record, error) {
	s.before(key)
	return s.Store.Get(ctx, key)
}

func (s busyStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		limit := q.Limit
		q.Limit = 1
		for n, more := 0, true; more && (limit == 0 || n < limit); n++ {
			s.before(q.From)
			more = false
			for rec, err := range s.Store.Scan(ctx, q) {
				if more = yield(rec, err) && err == nil; !more {
					return
				}
				q.From = store.After(strings.Clone(rec.Key))
			}
		}
	}
}

// cutTown is a node of one process with people, friends elsewhere, and a past.
type cutTown struct {
	*office
	*worker
	south              *testNode
	ann, ben, cid, wil *testPerson
}

func newCutTown(t *testing.T) *cutTown {
	o := newOffice(t, still)
	c := &cutTown{office: o, worker: o.opens(), south: o.w.open(south, nil, nil)}
	if err := o.own.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte(north)}); err != nil {
		t.Fatal(err)
	}
	c.ann, c.ben, c.cid = c.person("ann"), c.person("ben"), c.person("cid")
	c.wil = c.south.person("wil")
	c.ann.befriend(c.ben)
	c.ann.befriend(c.wil)
	c.ann.posts(3)
	c.ben.posts(2)
	c.ann.putVault()
	c.ann.rotate(c.ben, c.wil)
	c.tick()
	return c
}

// tick lets the time go on: what is said later counts more.
func (c *cutTown) tick() { c.office.w.clock.advance(time.Second) }

// contents are the records of a store by their keys.
func contentsOf(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for rec, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[strings.Clone(rec.Key)] = string(rec.Value)
	}
	return all
}

// copies makes a cut while something happens, restores it, and returns what is
// there then: each record that was there at the beginning, unless it has gone since.
func (c *cutTown) cut(t *testing.T, before func(key string)) *storetest.Memory {
	t.Helper()
	was := contentsOf(t, c.office.own)
	var file bytes.Buffer
	s := cutStore{busyStore{c.office.own, before}, north, filepath.Join(t.TempDir(), "spool")}
	if err := backup(t.Context(), s, &file, c.office.w.clock.now()); err != nil {
		t.Fatal(err)
	}
	if left(t, s.dir) != nil {
		t.Error("the folder of the spool is still there")
	}
	restored := storetest.NewMemory()
	if err := restore(t.Context(), restored, &file, c.office.w.clock.now()); err != nil {
		t.Fatal(err)
	}
	kept, now := contentsOf(t, restored), contentsOf(t, c.office.own)
	for key := range was {
		kind, _, _ := strings.Cut(key, "/")
		if _, ok := kept[key]; !ok && now[key] != "" && !isPassing(key) && kind != "logtop" && kind != "deliver" && kind != "sealed" { // which follow from others
			t.Errorf("%s was there before, and is not in the copy", key)
		}
	}
	return restored
}

// whole verifies a restored copy, starts a node on it, and verifies once more.
func (c *cutTown) whole(t *testing.T, s *storetest.Memory) {
	t.Helper()
	for _, when := range []string{"in the copy", "after a start"} {
		if got := fsckStores(t, s, c.office.copies, c.office.w.clock.now(), false); len(got.findings) > 0 || got.report.Unchecked > 0 {
			t.Errorf("%s: %+v%s", when, got.report, got)
		}
		c.vaults(t, s)
		if when == "in the copy" {
			n, err := Open(t.Context(), Options{Name: north, Own: s, Copies: storetest.NewMemory(), Now: c.office.w.clock.now, SyncInterval: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			<-n.warmed
			if err := n.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// vaults finds epochs that name a later vault than is there.
func (c *cutTown) vaults(t *testing.T, s store.Store) {
	t.Helper()
	k := &cut{own: s, people: map[wire.AccountID]uint64{}, held: newFsck(FsckOptions{Own: s}).own}
	for rec, err := range s.Scan(t.Context(), store.Prefix("entry/")) {
		var r entryRecord
		if err := errors.Join(err, decodeRecord(rec, &r)); err != nil {
			t.Fatal(err)
		}
		if r.Kind != wire.KindEpoch {
			continue
		}
		author := must(parseStreamName(strings.TrimPrefix(rec.Key, "entry/"))).author
		var v vaultRecord
		if _, err := read(t.Context(), s, vaultKey(author), &v); err != nil {
			t.Fatal(err)
		}
		k.people[author] = must(k.vaultHead(t.Context(), author, v.Head)).Counter
		if must(k.laterVault(t.Context(), author, r.Body)) {
			t.Errorf("%s names a later vault than version %d", rec.Key, k.people[author])
		}
	}
}

// head is the newest entry of somebody in a store.
func headIn(t *testing.T, s store.Store, p *testPerson) (seq uint64) {
	t.Helper()
	for rec, err := range s.Scan(t.Context(), store.Prefix(streamKey(streamName{p.account, p.audience}))) {
		if err != nil {
			t.Fatal(err)
		}
		seq, _ = parseHex16(rec.Key[strings.LastIndexByte(rec.Key, '/')+1:])
	}
	return seq
}

// TestCutOrder lets happen, in the middle of a cut, what the rules of its order are
// for: nothing in the copy lacks what it needs.
func TestCutOrder(t *testing.T) {
	at := func(key string) func(*cutTown) string { return func(*cutTown) string { return key } }
	for name, test := range map[string]struct {
		when  func(*cutTown) string // the key, or what it begins with
		times int
		do    func(*cutTown)
		want  func(*testing.T, *cutTown, *storetest.Memory)
	}{
		"a vault is replaced after it was read": {
			func(c *cutTown) string { return "sealed/" + c.ann.account.String() }, 2, func(c *cutTown) { c.ann.putVault() },
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				var v vaultRecord
				if _, err := read(t.Context(), s, vaultKey(c.ann.account), &v); err != nil || string(v.Head) != string(c.ann.heads[3]) {
					t.Errorf("it is not the newest vault: %v", err)
				}
			}},
		"an epoch names a vault that was put since": {
			at("entry/"), 1, func(c *cutTown) { c.ann.posts(1); c.ann.putVault(); c.ann.rotate(c.ben); c.ann.posts(1) },
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if got, want := headIn(t, s, c.ann), c.ann.stream.Seq-2; got != want {
					t.Errorf("the stream ends at %d, want %d", got, want)
				}
			}},
		"a friendship ends by an entry": {
			at("entry/"), 1, func(c *cutTown) { c.ann.publish(c.ann.epoch(), c.ann.end(c.ben)); c.ann.posts(2) },
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if got, want := headIn(t, s, c.ann), c.ann.stream.Seq-2; got != want {
					t.Errorf("the stream ends at %d, want %d", got, want)
				}
				var r friendRecord
				if _, err := read(t.Context(), s, friendKey(pair{c.ann.account, c.ben.account}), &r); err != nil || r.Friendship.State() == wire.StateFriend {
					t.Errorf("the friendship: got %q, %v", r.Friendship.State(), err)
				}
			}},
		"a friendship begins and ends by an entry": {
			at("entry/"), 1, func(c *cutTown) {
				c.ann.befriend(c.cid)
				c.tick()
				c.ann.publish(c.ann.epoch(), c.ann.end(c.cid))
				c.ann.posts(2)
			},
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if got, want := headIn(t, s, c.ann), c.ann.stream.Seq-3; got != want {
					t.Errorf("the stream ends at %d, want %d", got, want)
				}
			}},
		"one of two is told after their record was read": {
			func(c *cutTown) string {
				first, second := c.ann, c.ben
				if first.account.String() > second.account.String() {
					first, second = second, first
				}
				return store.After(friendKey(pair{first.account, second.account}))
			}, 2, func(c *cutTown) {
				p, o := c.ann, c.ben
				if p.account.String() > o.account.String() {
					p, o = o, p
				}
				if p.state(o) == wire.StateFriend {
					p.tell(p.end(o))
				} else {
					p.befriend(o)
				}
			}, nil},
		"somebody registers, becomes a friend, and ends it": {
			at("vault/"), 1, func(c *cutTown) {
				eve := c.person("eve")
				eve.putVault()
				eve.befriend(c.ann)
				c.tick()
				eve.posts(1)
				c.ann.publish(c.ann.epoch(), c.ann.end(eve))
				c.ann.posts(1)
			}, func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if _, err := s.Get(t.Context(), handleKey("eve")); !errors.Is(err, store.ErrNotExist) {
					t.Errorf("who came later is in the copy: %v", err)
				}
			}},
		"somebody registers between the account and the handle": {
			at("handle/"), 1, func(c *cutTown) { c.person("eve").posts(1) },
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if _, err := s.Get(t.Context(), handleKey("eve")); err != nil {
					t.Error(err)
				}
			}},
		"an epoch begins while entries are read": {
			at("entry/"), 1, func(c *cutTown) { c.ann.rotate(c.ben) },
			func(t *testing.T, c *cutTown, s *storetest.Memory) {
				if got := headIn(t, s, c.ann); got != c.ann.stream.Seq {
					t.Fatalf("the stream ends at %d, want %d", got, c.ann.stream.Seq)
				}
				if _, err := s.Get(t.Context(), wrapsKey(c.ann.account, c.ann.audience, c.ann.content)+c.ben.account.String()); err != nil {
					t.Errorf("its wrap: %v", err)
				}
			}},
		"posts while ids are read":             {at("id/"), 1, func(c *cutTown) { c.ann.posts(20); c.ben.posts(20) }, nil},
		"a vault is put while heads are read":  {at("vhead/"), 1, func(c *cutTown) { c.ann.putVault() }, nil},
		"an epoch begins while wraps are read": {at("wrap/"), 1, func(c *cutTown) { c.ann.rotate(c.ben, c.wil) }, nil},
		"a statement is delivered after it was read": {
			at("id/"), 1, func(c *cutTown) {
				c.office.w.fail(south, nil)
				p := pair{c.cid.account, c.wil.account}
				c.deliverNow(context.Background(), p, south)
			}, func(t *testing.T, c *cutTown, s *storetest.Memory) {
				key := deliverKey(south, pair{c.cid.account, c.wil.account})
				if _, err := s.Get(t.Context(), key); err != nil {
					t.Errorf("%s: %v", key, err)
				}
				if _, err := c.office.own.Get(t.Context(), key); !errors.Is(err, store.ErrNotExist) {
					t.Errorf("nothing was delivered: %v", err)
				}
			}},
		"a statement is made after others were read": {
			at("entry/"), 1, func(c *cutTown) { c.ann.tell(c.ann.end(c.wil)); c.ben.contact(c.wil) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCutTown(t)
			c.cid.contact(c.wil)
			if _, err := c.at(c.cid).Keys(t.Context(), wire.KeysRequest{Address: c.wil.address}); err != nil {
				t.Fatal(err)
			}
			c.office.w.fail(south, away)
			c.cid.tell(c.cid.offer(c.wil)) // which waits
			c.tick()
			when, times := test.when(c), 0
			s := c.cut(t, func(key string) {
				if times < test.times && strings.HasPrefix(key, when) {
					times++
					c.tick()
					test.do(c)
				}
			})
			if times != test.times {
				t.Fatalf("it happened %d times, want %d", times, test.times)
			}
			c.whole(t, s)
			if test.want != nil {
				test.want(t, c, s)
			}
		})
	}
}

// TestCutKeepsFaults: what is wrong in the store is kept as it is, so that fsck
// names it.
func TestCutKeepsFaults(t *testing.T) {
	for name, spoil := range map[string]func(*cutTown) string{
		"a handle":        func(c *cutTown) string { return handleKey("ben") },
		"sealed bytes":    func(c *cutTown) string { return sealedKey(c.ann.account, c.sealedOf(c.ann)) },
		"a friendship":    func(c *cutTown) string { return friendKey(pair{c.cid.account, c.ann.account}) },
		"a vault":         func(c *cutTown) string { return vaultKey(c.ann.account) },
		"an entry":        func(c *cutTown) string { return entryKey(streamName{c.ann.account, c.ann.audience}, 2) },
		"a key statement": func(c *cutTown) string { return statementsKey(c.ann.account) + hex16(0) },
	} {
		for _, gone := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, gone %v", name, gone), func(t *testing.T) {
				t.Parallel()
				c := newCutTown(t)
				c.cid.befriend(c.ann)
				c.tick()
				c.cid.publish(c.cid.epoch(), c.cid.end(c.ann))
				c.cid.posts(2)
				c.worker.close() // and what it does in the background
				bad := store.Change{Key: spoil(c)}
				if !gone {
					bad.Value = []byte("spoilt")
				}
				if err := c.office.own.Apply(t.Context(), bad); err != nil {
					t.Fatal(err)
				}
				want := contentsOf(t, c.office.own)
				got := contentsOf(t, c.cut(t, func(string) {}))
				for key, value := range want {
					kind, _, _ := strings.Cut(key, "/")
					lost := kind == "deliver" && name == "a friendship" || kind == "sealed" && name == "a vault"
					if !isPassing(key) && !isRemade(key) && !lost && got[key] != value {
						t.Errorf("%s is not as it was", key)
					}
				}
			})
		}
	}
}

func (c *cutTown) sealedOf(p *testPerson) wire.Hash {
	return must(p.chain().OpenVaultHead(p.heads[len(p.heads)-1])).VaultHash
}

// TestCutFails lets each read of a cut fail in turn: there is no copy then.
func TestCutFails(t *testing.T) {
	c := newCutTown(t)
	c.worker.close()
	broken := errors.New("canary: not read")
	for k := 1; ; k++ {
		reads := 0
		s := failingReads{c.office.own, func() error {
			if reads++; reads == k {
				return broken
			}
			return nil
		}}
		err := backup(t.Context(), cutStore{s, north, filepath.Join(t.TempDir(), "spool")}, io.Discard, c.office.w.clock.now())
		if reads < k {
			if err != nil || k < 20 {
				t.Errorf("%d reads, %v", reads, err)
			}
			return
		}
		if !errors.Is(err, broken) {
			t.Errorf("read %d: got %v", k, err)
		}
	}
}

// failingReads is a store whose reads may fail.
type failingReads struct {
	store.Store
	fails func() error
}

func (s failingReads) Get(ctx context.Context, key string) (store.Record, error) {
	if err := s.fails(); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s failingReads) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := s.fails(); err != nil {
			yield(store.Record{}, err)
			return
		}
		for rec, err := range s.Store.Scan(ctx, q) {
			if !yield(rec, err) {
				return
			}
		}
	}
}

// acts does something by chance.
func (c *cutTown) acts(r *rand.Rand, people *[]*testPerson) {
	c.tick()
	p := (*people)[r.IntN(len(*people))]
	o := (*people)[r.IntN(len(*people))]
	switch r.IntN(7) {
	case 0:
		p.putVault()
	case 1:
		if len(*people) < 12 {
			*people = append(*people, c.person(wire.Handle(fmt.Sprint("new", len(*people)))))
		}
	case 2, 3:
		if p == o {
			return
		}
		switch p.state(o) {
		case wire.StateFriend:
			if r.IntN(2) == 0 {
				p.publish(p.epoch(), p.end(o))
			} else {
				p.tell(p.end(o))
			}
		case wire.StateNone:
			p.befriend(o)
		}
	case 4:
		p.rotate(o)
	default:
		p.posts(1 + r.IntN(3))
	}
}

// TestCutUnderLoad makes cuts of a node on which all kinds of things happen between
// any two reads.
func TestCutUnderLoad(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 0))
			c := newCutTown(t)
			people := []*testPerson{c.ann, c.ben, c.cid}
			for range 30 {
				c.acts(r, &people)
			}
			s := c.cut(t, func(string) {
				if r.IntN(6) == 0 {
					c.acts(r, &people)
				}
			})
			c.whole(t, s)
		})
	}
}

// TestMerged puts lists in order, and stops at what fails.
func TestMerged(t *testing.T) {
	list := func(keys string, end error) iter.Seq2[store.Record, error] {
		return func(yield func(store.Record, error) bool) {
			for _, key := range strings.Fields(keys) {
				if !yield(store.Record{Key: key[:1], Value: []byte(key)}, nil) {
					return
				}
			}
			if end != nil {
				yield(store.Record{}, end)
			}
		}
	}
	broken := errors.New("broken")
	for _, test := range []struct {
		lists []iter.Seq2[store.Record, error]
		want  string
	}{
		{nil, ""},
		{[]iter.Seq2[store.Record, error]{list("", nil), list("a c e", nil), list("b d", nil)}, "a b c d e"},
		{[]iter.Seq2[store.Record, error]{list("b1 c1", nil), list("a2 b2 d2", nil), list("b3", nil)}, "a2 b1 c1 d2"},
		{[]iter.Seq2[store.Record, error]{list("a", broken), list("b c", nil)}, "a broken"},
	} {
		var got []string
		for rec, err := range merged(test.lists...) {
			if err != nil {
				got = append(got, err.Error())
			} else {
				got = append(got, string(rec.Value))
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	for range merged(list("a b", nil), list("c", nil)) {
		break // which ends both
	}
}
