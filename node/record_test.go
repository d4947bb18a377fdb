package node

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestDamagedRecords shows that a record that cannot be read is an error of the
// node, and never taken for an empty one.
func TestDamagedRecords(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		call   func(n *testNode, ann *testPerson) error
	}{
		"friends are listed": {"friend/", func(_ *testNode, ann *testPerson) error { _, err := ann.as().Friends(context.Background()); return err }},
		"friends are read": {"friend/", func(n *testNode, ann *testPerson) error {
			n.circles.init(&n.changes)
			_, err := n.circle(context.Background(), ann.account)
			return err
		}},
		"keys are read": {"key/", func(n *testNode, ann *testPerson) error {
			_, err := ledger{n.own}.Statements(context.Background(), ann.account)
			return err
		}},
		"a stream is read": {"entry/", func(_ *testNode, ann *testPerson) error {
			_, err := ann.as().Stream(context.Background(), ann.account, ann.audience, 0, 0, 0)
			return err
		}},
		"a stream is begun": {"entry/", func(n *testNode, ann *testPerson) error {
			return n.loadHead(context.Background(), newStream(streamName{ann.account, ann.audience}, false))
		}},
		"heads of a vault are read": {"vhead/", func(_ *testNode, ann *testPerson) error {
			_, err := ann.as().Vault(context.Background(), 1)
			return err
		}},
		"devices are counted": {"device/", func(n *testNode, ann *testPerson) error {
			_, err := n.readDevices(context.Background(), ann.account)
			return err
		}},
		"sessions are swept": {"sess/", func(n *testNode, _ *testPerson) error { return n.sweep(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newWorld(t).open(north, nil, nil)
			ann, ben := n.person("ann"), n.person("ben")
			ann.putVault()
			ann.befriend(ben)
			for _, key := range []string{"sess/x", devicePrefix(ann.account) + "x"} {
				if err := n.own.Apply(t.Context(), store.Change{Key: key, Value: []byte{0}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, key := range keysOf(t, n.own, c.prefix) {
				if err := n.own.Apply(t.Context(), store.Change{Key: key, Value: []byte{0xff}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.call(n, ann); err == nil || wire.KindOf(err) != wire.Internal {
				t.Errorf("got %v, want an error of the node", err)
			}
		})
	}
}

// TestDamagedKeys: a node does not start with records whose keys it did not write,
// or does not read on from them. It says which, and does not look at it for ever.
func TestDamagedKeys(t *testing.T) {
	account, audience := wire.AccountID{1}.String(), wire.AudienceID{2}.String()
	stream := "entry/" + account + "/" + audience + "/"
	for key, starts := range map[string]bool{
		stream + "x": true, "deliver/x": false, "deliver/south.example/x/" + account: false, "deliver/south.example/" + account + "/x": false,
	} {
		n := newWorld(t).open(north, nil, nil)
		if err := n.own.Apply(t.Context(), put(key, &entryRecord{Version: recordVersion})); err != nil {
			t.Fatal(err)
		}
		_, err := n.world.tryOpen(n.name, scanLimited(n.own, 100), n.copies)
		if err == nil && starts {
			err = n.loadHead(t.Context(), newStream(streamName{wire.AccountID{1}, wire.AudienceID{2}}, false))
		}
		if err == nil || wire.KindOf(err) != wire.Internal || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

// TestStartsWithDamage: entries and friendships that cannot be read hold up neither
// a start nor others.
func TestStartsWithDamage(t *testing.T) {
	account, audience := wire.AccountID{1}.String(), wire.AudienceID{2}.String()
	for _, key := range []string{
		"entry/x", "entry/x/" + audience + "/" + hex16(1), "entry/" + account + "/x/" + hex16(1), "entry/" + account + "/" + audience + "/x", "the newest", "elsewhere/x",
		"the friendship",
	} {
		w := newWorld(t)
		n, other := w.open(north, nil, nil), w.open(south, nil, nil)
		ann, ben, cid := n.person("ann"), n.person("ben"), other.person("cid")
		ann.befriend(ben)
		ann.befriend(cid)
		ben.befriend(cid)
		n.close()
		switch key {
		case "the newest":
			key = entryKey(streamName{ann.account, ann.audience}, ann.stream.Seq)
		case "the friendship":
			key = friendKey(pair{ann.account, cid.account})
		}
		if err := n.own.Apply(t.Context(), change(key, []byte{0xff})); err != nil {
			t.Fatal(err)
		}
		scans := scanLimited(n.own, 1000)
		again, err := w.tryOpen(n.name, scans, n.copies)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		ben.home = again
		if got := ben.reads(ben); len(got) != 1 || scans.left.Load() < 0 {
			t.Errorf("%s: got %d, %d scans left", key, got, scans.left.Load())
		}
		if list, _ := again.follows.of(south); len(list) != 1 || len(list[0].readers) == 0 {
			t.Errorf("%s: got %v", key, list)
		}
	}
}

// TestDamagedElsewhere: who is followed elsewhere is found beside damage, and what
// could not be marked is marked by the next start.
func TestDamagedElsewhere(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	n, other := w.open(north, own, nil), w.open(south, nil, nil)
	ann, ben, cid := n.person("ann"), n.person("ben"), other.person("cid")
	ann.befriend(cid)
	ben.befriend(cid)
	n.close()
	follows := func(readers int, marked bool) {
		t.Helper()
		again := must(w.tryOpen(north, own, n.copies))
		if list, _ := again.follows.of(south); len(list) != 1 || len(list[0].readers) != readers {
			t.Errorf("got %v, want %d readers", list, readers)
		}
		again.close()
		if _, err := read(t.Context(), own, elsewherePrefix, new(elsewhereRecord)); (err == nil) != marked {
			t.Errorf("marked: got %v, want %t", err, marked)
		}
	}
	p := pair{ann.account, cid.account}
	whole := own.Snapshot()
	own.Damage(elsewhereKey(south, p))
	follows(2, true)

	own.Restore(whole)
	for _, key := range keysOf(t, own, elsewherePrefix) {
		if err := own.Apply(t.Context(), store.Change{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	rec := must(own.Get(t.Context(), friendKey(p)))
	own.Damage(friendKey(p))
	follows(1, false)
	if err := own.Apply(t.Context(), store.Change{Key: friendKey(p), Value: rec.Value}); err != nil {
		t.Fatal(err)
	}
	follows(2, true)
}

// scanLimit is a store that is scanned left times, and fails from then on.
type scanLimit struct {
	store.Store
	left atomic.Int64
}

func scanLimited(of store.Store, scans int64) *scanLimit {
	s := &scanLimit{Store: of}
	s.left.Store(scans)
	return s
}

func (s *scanLimit) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	if s.left.Add(-1) < 0 {
		return func(yield func(store.Record, error) bool) { yield(store.Record{}, errors.New("too many scans")) }
	}
	return s.Store.Scan(ctx, q)
}

// TestDamagedVault: heads that are missing, or no heads, are an error of the node.
func TestDamagedVault(t *testing.T) {
	for name, damage := range map[string]func(*testNode, *testPerson) []store.Change{
		"a head that is none": func(_ *testNode, ann *testPerson) []store.Change {
			return []store.Change{put(vaultKey(ann.account), &vaultRecord{Version: recordVersion, Head: wire.Signed{1}})}
		},
		"a missing head": func(n *testNode, ann *testPerson) []store.Change {
			return []store.Change{{Key: keysOf(t, n.own, "vhead/"+ann.account.String())[1]}}
		},
		"a head in between that is none": func(_ *testNode, ann *testPerson) []store.Change {
			none := &statementRecord{recordVersion, wire.Signed{1}}
			return []store.Change{ // of two heads of version 2, that of version 3 tells which one counts
				put(vheadKey(ann.account, 2, random32()), none), put(vheadKey(ann.account, 3, headHash(ann.heads[2])), none),
			}
		},
	} {
		n := newWorld(t).open(north, nil, nil)
		ann := n.person("ann")
		for range 3 {
			ann.putVault()
		}
		if err := n.own.Apply(t.Context(), damage(n, ann)...); err != nil {
			t.Fatal(err)
		}
		if _, err := ann.as().Vault(t.Context(), 1); err == nil || wire.KindOf(err) != wire.Internal {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFirstStatementStays: of two statements with one number, the first is kept.
func TestFirstStatementStays(t *testing.T) {
	l, account := ledger{storetest.NewMemory()}, wire.AccountID{1}
	first, second := wire.Signed(bytes.Repeat([]byte{1}, 100)), wire.Signed(bytes.Repeat([]byte{2}, 100))
	for range 2 {
		if err := l.SaveStatements(t.Context(), account, 0, []wire.Signed{first}); err != nil {
			t.Fatal(err)
		}
	}
	kind(t, l.SaveStatements(t.Context(), account, 0, []wire.Signed{second}), wire.Conflict)
	if got, err := l.Statements(t.Context(), account); err != nil || len(got) != 1 || !bytes.Equal(got[0], first) {
		t.Errorf("got %x, %v", got, err)
	}
}

// TestPlainRecords: the short way reads what EncodeCBOR writes of each record that has
// one, and nothing else but to what the general way makes of it.
func TestPlainRecords(t *testing.T) {
	for name, c := range map[string]struct {
		record any // a pointer
		empty  func() any
	}{
		"a handle":               {&handleRecord{Version: recordVersion, Account: random32()}, func() any { return new(handleRecord) }},
		"a vault":                {&vaultRecord{Version: recordVersion, Head: make([]byte, 300), Slots: make([]byte, 1500)}, func() any { return new(vaultRecord) }},
		"a vault of a later era": {&vaultRecord{recordVersion, make([]byte, 300), make([]byte, 1500), 3, wire.Hash{7}, nil}, func() any { return new(vaultRecord) }},
		"a device":               {&device{recordVersion, time.Now().UnixMilli()}, func() any { return new(device) }},
	} {
		value := wire.EncodeCBOR(c.record)
		short := c.empty()
		if !short.(plainRecord).decodePlain(value) || !reflect.DeepEqual(short, c.record) {
			t.Errorf("%s is not read the short way: %+v", name, short)
		}
		try := func(b []byte) {
			short, general := c.empty(), c.empty()
			if !short.(plainRecord).decodePlain(b) {
				if !reflect.DeepEqual(short, c.empty()) {
					t.Fatalf("%s: %x is not read the short way, and leaves %+v", name, b, short)
				}
				return
			}
			if err := wire.DecodeCBOR("record", b, general); err != nil || !reflect.DeepEqual(short, general) {
				t.Fatalf("%s: of %x, %+v is read, and the general way %+v, %v", name, b, short, general, err)
			}
		}
		for at := range value {
			try(value[:at])
			for bit := range 8 {
				other := bytes.Clone(value)
				other[at] ^= 1 << bit
				try(other)
			}
		}
		try(append(bytes.Clone(value), 0))
	}
}

// TestPlainWrites: the short way writes what EncodeCBOR writes.
func TestPlainWrites(t *testing.T) {
	for _, long := range []int{0, 1, 23, 24, 63, 255, 256} {
		text := strings.Repeat("n", long)
		for _, ms := range []int64{math.MinInt64, -257, -1, 0, 23, 24, 255, 256, 1 << 16, 1<<32 - 1, 1 << 32, time.Now().UnixMilli(), math.MaxInt64} {
			for _, r := range []plainWritten{
				&device{recordVersion, ms},
				&session{recordVersion, random32(), wire.Handle(text), text + "s phone", ms, -ms, 0, wire.Hash{1}},
				&session{recordVersion, random32(), wire.Handle(text), text + "s phone", ms, -ms, uint64(max(0, ms)), wire.Hash{1}},
			} {
				if got, want := r.encodePlain(), wire.EncodeCBOR(r); !bytes.Equal(got, want) {
					t.Errorf("%+v: got %x, want %x", r, got, want)
				}
			}
		}
	}
}
