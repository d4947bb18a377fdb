package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// rows counts the peers of a store, under a domain, and the records that count them.
func rows(t *testing.T, s store.Store, domain string) (peers, counted int) {
	t.Helper()
	for _, key := range keysOf(t, s, peerPrefix) {
		if strings.HasSuffix(key, "."+domain) {
			peers++
		}
	}
	return peers, len(keysOf(t, s, domainPrefix+domain+"/"))
}

// TestDomainRows meets 10,000 nodes under one domain, over restarts and at two
// processes: it keeps 100 of them. Those that people here have to do with stay, as do
// nodes of other domains; of the others, newer ones take the place of those that were
// not heard of for a day.
func TestDomainRows(t *testing.T) {
	undetected(t)
	s, clock := storetest.NewMemory(), newWorldClock()
	process := func() *peerStore { return &peerStore{s: s, now: clock.now} }
	root := somePeer(t, "n.evil.example", 1, 1) // one document does: the store does not read it
	save := func(p *peerStore, name wire.NodeName) error {
		r := root
		r.Name, r.Fetched = name, clock.now()
		return p.SavePeer(t.Context(), r, r.Root)
	}
	full := func() {
		t.Helper()
		if peers, counted := rows(t, s, "evil.example"); peers != maxDomainPeers || counted != maxDomainPeers {
			t.Fatalf("%d rows, and %d that count them, want %d", peers, counted, maxDomainPeers)
		}
	}
	name := func(i int) wire.NodeName { return wire.NodeName(fmt.Sprintf("n%05d.x.evil.example", i)) }
	p, q := process(), process()
	for i := range 10_000 {
		if i%500 == 0 {
			p, q = q, process()
		}
		if err := save(p, name(i)); (err != nil) != (i >= maxDomainPeers) || err != nil && wire.KindOf(err) != wire.Limit {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	full()
	for _, other := range []wire.NodeName{"good.example", "a.co.uk", "b.co.uk", "evil.example.org"} {
		if err := save(p, other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	friend := pair{random32(), random32()}
	if err := s.Apply(t.Context(), put(elsewhereKey(name(0), friend), &elsewhereRecord{recordVersion})); err != nil {
		t.Fatal(err)
	}
	clock.advance(domainIdle)
	if err := save(p, name(1)); err != nil { // is in use
		t.Fatal(err)
	}
	for i := range maxDomainPeers - 2 {
		if err := save(p, name(20_000+i)); err != nil {
			t.Fatalf("a newer one: %v", err)
		}
	}
	full()
	kind(t, save(p, name(30_000)), wire.Limit)
	for _, stays := range []wire.NodeName{name(0), name(1), name(20_000), "good.example"} {
		if _, err := p.Peer(t.Context(), stays); err != nil {
			t.Errorf("%s is gone: %v", stays, err)
		}
	}
}

// TestPeersAreSwept: what nobody here has to do with is forgotten after a month. The
// others stay, as do those in quarantine.
func TestPeersAreSwept(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	root := somePeer(t, "n.example", 1, 1)
	save := func(name wire.NodeName, fetched time.Time) {
		t.Helper()
		r := root
		r.Name, r.Fetched = name, fetched
		if err := n.known.SavePeer(t.Context(), r, r.Root); err != nil {
			t.Fatal(err)
		}
	}
	const many = 3*sweepBatch + 7
	for i := range many {
		save(wire.NodeName(fmt.Sprintf("n.d%d.example", i)), w.clock.now())
	}
	save("friend.example", w.clock.now())
	save("quarantine.example", time.Time{})
	if err := n.own.Apply(t.Context(), put(elsewhereKey("friend.example", pair{random32(), random32()}), &elsewhereRecord{recordVersion})); err != nil {
		t.Fatal(err)
	}
	sweep := func() {
		t.Helper()
		for range many/sweepBatch + 2 {
			n.tidy(t.Context())
		}
	}
	w.clock.advance(peerIdle - time.Hour)
	sweep()
	if got := len(keysOf(t, n.own, peerPrefix)); got != many+2 {
		t.Errorf("%d peers before the time, want %d", got, many+2)
	}
	save("n.d7.example", w.clock.now())
	w.clock.advance(2 * time.Hour)
	sweep()
	if got := fmt.Sprint(keysOf(t, n.own, peerPrefix)); got != "[peer/friend.example peer/n.d7.example peer/quarantine.example]" {
		t.Errorf("got %s", got)
	}
	if got := len(keysOf(t, n.own, domainPrefix)); got != 3 {
		t.Errorf("%d records of domains, want 3", got)
	}
}
