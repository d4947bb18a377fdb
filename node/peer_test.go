package node

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// somePeer is a record of a peer under a key of its own.
func somePeer(t testing.TB, name wire.NodeName, seed byte, number uint64) federation.PeerRecord {
	t.Helper()
	secrets := federation.Secrets{Root: wire.NewNodeRootSecret([32]byte{seed}), Request: wire.NewNodeRequestSecret([32]byte{seed, 1})}
	now := time.Now()
	signed := must(federation.MakeDocument(federation.DocumentOptions{Name: name, Secrets: secrets, Last: number - 1, Now: now, Software: "test/1"}))
	return federation.PeerRecord{Name: name, Root: secrets.Root.Public(), Document: signed, Fetched: now}
}

// TestOnePin lets several processes store a peer under different keys at once: one
// of them is pinned, all others are told, and the pin stays. Documents never get older.
func TestOnePin(t *testing.T) { testOnePin(t, storetest.NewMemory()) }

// TestOnePinOnMongoDB does the same in a database: a first contact creates a record,
// of which one wins on FerretDB too.
func TestOnePinOnMongoDB(t *testing.T) {
	server := mongotest.Get(t)
	stores, err := mongo.Open(t.Context(), server.URI, server.Database(t), "own")
	if err != nil {
		t.Fatal(err)
	}
	defer stores[0].Close()
	testOnePin(t, stores[0])
}

// A meeting is a store at which all who read first wait for each other.
type meeting struct {
	store.Store
	left atomic.Int64
	all  *sync.WaitGroup
}

func (m *meeting) Get(ctx context.Context, key string) (store.Record, error) {
	rec, err := m.Store.Get(ctx, key)
	if m.left.Add(-1) >= 0 {
		m.all.Done()
		m.all.Wait()
	}
	return rec, err
}

func testOnePin(t *testing.T, s store.Store) {
	const later = 1 << 40 // than what follows from the clock
	errs := make([]error, 8)
	m := &meeting{Store: s, all: new(sync.WaitGroup)}
	m.left.Store(int64(len(errs)))
	m.all.Add(len(errs))
	p := &peerStore{s: m, now: time.Now}
	records := make([]federation.PeerRecord, len(errs))
	var all sync.WaitGroup
	for i := range errs {
		records[i] = somePeer(t, south, byte(i+1), later)
		process := &peerStore{s: m, now: time.Now}
		all.Go(func() { errs[i] = process.SavePeer(t.Context(), records[i], records[i].Root) })
	}
	all.Wait()
	pinned := must(p.Peer(t.Context(), south))
	won := -1
	for i, err := range errs {
		if err == nil {
			if won >= 0 {
				t.Errorf("%d and %d were stored", won, i)
			}
			won = i
			continue
		}
		kind(t, err, wire.Conflict)
	}
	if won < 0 || pinned.Root != records[won].Root {
		t.Fatalf("%d was stored, and another one is there", won)
	}
	newer := somePeer(t, south, byte(won+1), later+5)
	if err := p.SavePeer(t.Context(), newer, newer.Root); err != nil {
		t.Fatal(err)
	}
	kind(t, p.SavePeer(t.Context(), records[won], newer.Root), wire.Conflict)
	if got := must(p.Peer(t.Context(), south)); string(got.Document) != string(newer.Document) {
		t.Error("an older document took the place of a newer one")
	}
	next, another := somePeer(t, south, 100, later+9), somePeer(t, south, 101, later+9)
	next.Changes = []wire.Signed{wire.Signed("kept as it is")}
	kind(t, p.SavePeer(t.Context(), next, another.Root), wire.Conflict)
	kind(t, p.SavePeer(t.Context(), next, next.Root), wire.Conflict)
	kind(t, p.SavePeer(t.Context(), somePeer(t, south, 100, later+1), newer.Root), wire.Conflict) // older
	if got := must(p.Peer(t.Context(), south)); got.Root != newer.Root {
		t.Fatal("the pin was replaced")
	}
	if err := p.SavePeer(t.Context(), next, newer.Root); err != nil {
		t.Fatal(err)
	}
	kind(t, p.SavePeer(t.Context(), another, newer.Root), wire.Conflict)
	if got := must(p.Peer(t.Context(), south)); got.Root != next.Root || len(got.Changes) != 1 || string(got.Changes[0]) != "kept as it is" {
		t.Errorf("got %+v, want the root that followed the pinned one", got)
	}
}

// TestOneNextRoot lets several processes replace a pin at once, all from the same
// root: one of them does, and the others are told.
func TestOneNextRoot(t *testing.T) {
	const later = 1 << 40
	first := somePeer(t, south, 1, later)
	m := &meeting{Store: storetest.NewMemory(), all: new(sync.WaitGroup)}
	if err := (&peerStore{s: m.Store, now: time.Now}).SavePeer(t.Context(), first, first.Root); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 8)
	m.left.Store(int64(len(errs)))
	m.all.Add(len(errs))
	var all sync.WaitGroup
	for i := range errs {
		r := somePeer(t, south, byte(i+2), later+1)
		all.Go(func() { errs[i] = (&peerStore{s: m, now: time.Now}).SavePeer(t.Context(), r, first.Root) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		kind(t, err, wire.Conflict)
	}
	if won != 1 {
		t.Errorf("%d were stored", won)
	}
}
