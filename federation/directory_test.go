package federation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A web is what fetches lead to, in virtual time.
type web struct {
	t       *testing.T
	client  *Client
	shelf   *peerShelf
	mu      sync.Mutex
	docs    map[wire.NodeName]wire.Signed // absent: unavailable
	changes []wire.Signed                 // of the root key, shown with each document
	fetches map[wire.NodeName]int
	delay   time.Duration
}

func newWeb(t *testing.T) *web {
	w := &web{t: t, shelf: newShelf(), docs: map[wire.NodeName]wire.Signed{}, fetches: map[wire.NodeName]int{}}
	w.restart()
	t.Cleanup(func() { w.client.Close() })
	return w
}

// restart forgets what is in memory only.
func (w *web) restart() {
	w.t.Helper()
	if w.client != nil {
		w.client.Close()
	}
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets("b"), Peers: w.shelf, Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	c.directory.fetch = w.fetch
	w.client = c
}

func (w *web) fetch(_ context.Context, n wire.NodeName) (*wire.NodeDocumentReply, error) {
	time.Sleep(w.delay)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetches[n]++
	if d, ok := w.docs[n]; ok {
		return &wire.NodeDocumentReply{Document: d, RootChanges: w.changes}, nil
	}
	return nil, wire.Errorf(wire.Unavailable, "", "no such node")
}

func (w *web) publish(n wire.NodeName, s Secrets, last uint64) {
	w.docs[n] = testDocument(w.t, n, s, last, time.Now())
}

func (w *web) total() (n int) {
	for _, f := range w.fetches {
		n += f
	}
	return n
}

// key asks as the server does for a request of n under the key of s.
func (w *web) key(n wire.NodeName, s Secrets) error {
	return w.client.directory.hasKey(context.Background(), n, s.Request.Public())
}

// want holds err to one of kinds, of which nil is success.
func (w *web) want(what string, err error, kinds ...error) {
	w.t.Helper()
	if !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		w.t.Errorf("%s: got %v, want one of %v", what, err, kinds)
	}
}

func inBubble(t *testing.T, f func(*web)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour)
		f(newWeb(t))
	})
}

// TestUnknownKeys counts fetches: one a minute per host, pinned or not, whatever
// is claimed.
func TestUnknownKeys(t *testing.T) {
	inBubble(t, func(w *web) {
		pinned, never := wire.NodeName("pinned.example"), wire.NodeName("never.example")
		w.publish(pinned, testSecrets("p"), 0)
		w.want("first contact", w.key(pinned, testSecrets("p")), nil)
		clear(w.fetches)
		for i := range 600 {
			for _, n := range []wire.NodeName{pinned, never} {
				if err := w.key(n, testSecrets(fmt.Sprint("guess", i))); err == nil {
					t.Fatalf("%s: a guessed key passes", n)
				}
			}
			w.want("the right key meanwhile", w.key(pinned, testSecrets("p")), nil)
			time.Sleep(time.Second)
		}
		for n, pause := range map[wire.NodeName]time.Duration{pinned: fetchPauseServe, never: fetchPauseFailed} {
			most := int(10 * time.Minute / pause)
			if f := w.fetches[n]; f < most-1 || f > most {
				t.Errorf("%s: %d fetches in 10 minutes, want one in %v", n, f, pause)
			}
		}
	})
}

// TestKnown asks for the documents of nodes as a witness does for those whose checkpoints
// strangers bring: nobody is met for that, and nobody asked more often than strangers may
// have it done.
func TestKnown(t *testing.T) {
	inBubble(t, func(w *web) {
		node := wire.NodeName("pinned.example")
		better := false
		known := func() (*wire.NodeDocument, error) {
			return w.client.Known(context.Background(), node, func(*wire.NodeDocument) bool { return better })
		}
		_, err := known()
		w.want("never met", err, wire.NotExist)
		_, err = w.client.Known(context.Background(), "Pinned.example", nil)
		w.want("no name", err, wire.Invalid)
		_, err = w.client.Known(context.Background(), nodeB, nil)
		w.want("this node", err, wire.Invalid)
		if w.total() != 0 {
			t.Fatalf("%d fetches", w.total())
		}
		w.publish(node, testSecrets("p"), 0)
		w.want("first contact", w.key(node, testSecrets("p")), nil)
		clear(w.fetches)
		better = true
		for range 4 {
			_, err = known()
			w.want("one that will do", err, nil)
		}
		if better = false; w.total() != 0 {
			t.Errorf("%d fetches of one that will do", w.total())
		}
		w.publish(node, testSecrets("p"), 10)
		for range 600 {
			_, err = known()
			w.want("one that will not do", err, nil)
			time.Sleep(time.Second)
		}
		if n := w.total(); n < 9 || n > 11 {
			t.Errorf("%d fetches in 10 minutes, want one in %v", n, fetchPauseServe)
		}
		w.docs = map[wire.NodeName]wire.Signed{}
		better = true
		time.Sleep(documentFresh + time.Minute)
		_, err = known()
		w.want("while it cannot be asked", err, nil)
		time.Sleep(documentStale)
		_, err = known()
		w.want("when it could not be asked for long", err, wire.Unavailable)
		w.publish(node, testSecrets("other"), 20)
		time.Sleep(time.Minute)
		_, err = known()
		w.want("another root", err, wire.NotExist)
		_, err = known()
		w.want("in quarantine", err, wire.NotExist)
	})
}

// TestBudget floods with hosts that nobody knows. Those that are pinned are
// fetched as ever, memory is bounded.
func TestBudget(t *testing.T) {
	inBubble(t, func(w *web) {
		pinned := wire.NodeName("pinned.example")
		w.publish(pinned, testSecrets("p"), 0)
		w.want("first contact", w.key(pinned, testSecrets("p")), nil)
		time.Sleep(2 * documentFresh)
		clear(w.fetches)
		x := testSecrets("x")
		for i := range 100_000 {
			w.key(wire.NodeName(fmt.Sprintf("n%d.d%d.example", i, i)), x)
		}
		if n := w.total(); n != serveBurst {
			t.Errorf("%d fetches for strangers at once, want %d", n, serveBurst)
		}
		w.want("a pinned peer with an old document", w.key(pinned, testSecrets("p")), nil)
		if w.fetches[pinned] != 1 {
			t.Errorf("its document was fetched %d times, want 1", w.fetches[pinned])
		}
		w.publish("called.example", testSecrets("c"), 0)
		_, err := w.client.Document(w.t.Context(), "called.example")
		w.want("a node that we call meanwhile", err, nil)
		d := w.client.directory
		if n := d.tries.m.Len() + d.documents.m.Len() + d.domains.m.Len() + len(d.flights); n > 4*(serveBurst+2) {
			t.Errorf("%d entries in memory", n)
		}
	})
}

// TestFloodOfPeers lets 12,000 peers appear, a second
// apart. What is kept in memory has a cap.
func TestFloodOfPeers(t *testing.T) {
	inBubble(t, func(w *web) {
		s := testSecrets("shared")
		for i := range 12_000 {
			n := wire.NodeName(fmt.Sprintf("n.d%d.example", i))
			if i%4 == 0 {
				w.publish(n, s, 0)
			}
			w.key(n, s)
			delete(w.docs, n)
			time.Sleep(time.Second)
		}
		d := w.client.directory
		if d.tries.m.Len() > maxTries || d.documents.m.Len() > maxDocuments || d.domains.m.Len() > maxDomains || len(d.flights) != 0 {
			t.Errorf("%d tries, %d documents, %d domains, %d flights", d.tries.m.Len(), d.documents.m.Len(), d.domains.m.Len(), len(d.flights))
		}
	})
}

// TestSubdomains of one domain fill no more than their share of the store.
func TestSubdomains(t *testing.T) {
	inBubble(t, func(w *web) {
		s := testSecrets("evil")
		for i := range 10_000 {
			n := wire.NodeName(fmt.Sprintf("n%d.evil.example", i))
			w.docs[n] = nil
			if i%4 == 0 {
				w.publish(n, s, 0)
			}
			w.key(n, s)
			time.Sleep(2 * time.Second)
		}
		if n := len(w.shelf.all()); n != domainPins {
			t.Errorf("%d rows, want %d", n, domainPins)
		}
		w.publish("good.example", testSecrets("g"), 0)
		w.want("another domain", w.key("good.example", testSecrets("g")), nil)
		time.Sleep(domainPeriod)
		w.want("the next day", w.key("n400.evil.example", s), nil)
	})
}

// TestOneDomain sends requests under names of one domain that nobody has. They use
// up what there is for it, not what there is for all, and not what there is for calls.
func TestOneDomain(t *testing.T) {
	inBubble(t, func(w *web) {
		x := testSecrets("x")
		for i := range 1000 {
			w.key(wire.NodeName(fmt.Sprintf("n%d.evil.example", i)), x)
		}
		if n := w.total(); n != domainBurst {
			t.Errorf("%d fetches at once under one domain, want %d", n, domainBurst)
		}
		for i := range serveBurst - domainBurst {
			n := wire.NodeName(fmt.Sprintf("good%d.example", i))
			w.publish(n, x, 0)
			w.want("another domain", w.key(n, x), nil)
		}
		w.publish("good.evil.example", x, 0)
		_, err := w.client.Document(w.t.Context(), "good.evil.example")
		w.want("a call of ours under the same", err, nil)
		clear(w.fetches)
		for i := range 3600 {
			w.key(wire.NodeName(fmt.Sprintf("m%d.evil.example", i)), x)
			time.Sleep(time.Second)
		}
		if n := w.total(); n < 590 || n > 610 {
			t.Errorf("%d fetches in an hour under one domain, want 10 a minute", n)
		}
	})
}

// TestFullDomain takes no more nodes of a domain than the store has room for, and
// does not ask without end.
func TestFullDomain(t *testing.T) {
	inBubble(t, func(w *web) {
		w.shelf.fail = wire.Errorf(wire.Limit, "", "full")
		s := testSecrets("s")
		for i := range 5000 {
			n := wire.NodeName(fmt.Sprintf("n%d.full.example", i))
			w.publish(n, s, 0)
			w.want("a node too many", w.key(n, s), errFull, errBudget)
			time.Sleep(6 * time.Second)
		}
		if n := w.total(); n != domainPins {
			t.Errorf("%d fetches in a day, want %d", n, domainPins)
		}
		w.shelf.fail = nil
		time.Sleep(domainPeriod)
		w.want("the next day, with room", w.key("n1.full.example", s), nil)
	})
}

// TestMillionPeers lets a million names appear that nobody has, in requests of
// which nothing is known yet. What is kept in memory depends on what was fetched.
func TestMillionPeers(t *testing.T) {
	undetected(t)
	inBubble(t, func(w *web) {
		key := testSecrets("x").Request.Public()
		d := w.client.directory
		for i := range 1_000_000 {
			d.hasKey(w.t.Context(), wire.NodeName(fmt.Sprintf("n.d%d.example", i)), key)
			if i%10_000 == 0 {
				time.Sleep(time.Second)
			}
		}
		fetched := w.total()
		if fetched > serveBurst+100 {
			t.Errorf("%d fetches in 100 seconds", fetched)
		}
		if n := d.tries.m.Len() + d.documents.m.Len() + d.domains.m.Len() + len(d.flights) + w.client.states.m.Len() + w.client.troubles.m.Len(); n > 2*fetched {
			t.Errorf("%d entries in memory after %d fetches", n, fetched)
		}
		time.Sleep(domainPeriod)
		w.client.Sweep()
		if n := d.tries.m.Len() + d.documents.m.Len() + d.domains.m.Len() + w.client.states.m.Len() + w.client.troubles.m.Len(); n != 0 {
			t.Errorf("%d entries in memory a day later", n)
		}
	})
}

// TestFailedContacts give their place back.
func TestFailedContacts(t *testing.T) {
	inBubble(t, func(w *web) {
		for range 3 * domainPins {
			w.want("a node that is down", w.key("down.example", testSecrets("d")), wire.Unavailable)
			time.Sleep(fetchPauseServe)
		}
		w.publish("down.example", testSecrets("d"), 0)
		w.want("when it is up", w.key("down.example", testSecrets("d")), nil)
	})
}

// TestFetchFailsOnce wants a node whose document could not be had once not to be
// refused for long.
func TestFetchFailsOnce(t *testing.T) {
	inBubble(t, func(w *web) {
		a := testSecrets("a")
		w.want("while it cannot be had", w.key(nodeA, a), wire.Unavailable)
		w.publish(nodeA, a, 0)
		time.Sleep(fetchPauseFailed - time.Second)
		w.want("right after that", w.key(nodeA, a), wire.Unavailable)
		time.Sleep(time.Second)
		w.want("when it can be had", w.key(nodeA, a), nil)

		forged := testDocument(w.t, nodeB, testSecrets("b"), 0, time.Now())
		forged[len(forged)-1] ^= 1
		w.docs[nodeB] = forged
		w.want("where it does not verify", w.key(nodeB, testSecrets("b")), wire.Tampered)
		w.publish(nodeB, testSecrets("b"), 0)
		time.Sleep(fetchPauseFailed)
		w.want("when it does", w.key(nodeB, testSecrets("b")), nil)
	})
}

func TestSingleFlight(t *testing.T) {
	inBubble(t, func(w *web) {
		w.delay = time.Second
		w.publish(nodeA, testSecrets("a"), 0)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { w.want("together", w.key(nodeA, testSecrets("a")), nil) })
		}
		impatient, cancel := context.WithTimeout(w.t.Context(), time.Millisecond)
		defer cancel()
		if err := w.client.directory.hasKey(impatient, nodeA, testSecrets("a").Request.Public()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up: %v", err)
		}
		wg.Wait()
		if n := w.total(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

// TestJustFetched lets somebody come right after a fetch that ended since they
// looked at what is known: they get what it brought, and not what they had seen.
func TestJustFetched(t *testing.T) {
	inBubble(t, func(w *web) {
		d := w.client.directory
		refresh := func() (*wire.NodeDocument, error) {
			return d.refresh(w.t.Context(), nodeA, false, &d.serve, fetchPauseServe)
		}
		old := testSecrets("a")
		next := Secrets{Root: old.Root, Request: testSecrets("next").Request}
		for i, s := range []Secrets{old, next} {
			what := []string{"a first contact", "a new key"}[i]
			w.publish(nodeA, s, 0)
			time.Sleep(2 * fetchPauseServe)
			w.want(what, w.key(nodeA, s), nil)
			if doc, err := refresh(); err != nil || !doc.RequestKey(s.Request.Public(), time.Now().UnixMilli()) {
				t.Errorf("right after %s: got %v, %v", what, doc, err)
			}
		}
		w.publish(nodeA, testSecrets("thief"), 0)
		time.Sleep(2 * fetchPauseServe)
		w.want("a thief", w.key(nodeA, testSecrets("thief")), wire.Tampered)
		if _, err := refresh(); !errors.Is(err, wire.Tampered) {
			t.Errorf("right after a quarantine: got %v", err)
		}
	})
}

// TestRotation follows a peer to its next request key; the old one is refused.
func TestRotation(t *testing.T) {
	inBubble(t, func(w *web) {
		old := testSecrets("a")
		next := Secrets{Root: old.Root, Request: testSecrets("next").Request}
		w.publish(nodeA, old, 0)
		w.want("the first key", w.key(nodeA, old), nil)
		time.Sleep(2 * time.Minute)
		w.publish(nodeA, next, 0)
		w.want("the next key, within the five minutes", w.key(nodeA, next), nil)
		if err := w.key(nodeA, old); err == nil {
			t.Error("the old key passes after rotation")
		}
		time.Sleep(2 * requestKeyValid)
		delete(w.docs, nodeA)
		if err := w.key(nodeA, next); err == nil {
			t.Error("an expired key passes")
		}
	})
}

// TestKeySpan takes keys in their time only.
func TestKeySpan(t *testing.T) {
	inBubble(t, func(w *web) {
		w.publish(nodeA, testSecrets("a"), 0)
		w.want("now", w.key(nodeA, testSecrets("a")), nil)
		w.client.directory.now = func() time.Time { return time.Now().Add(-requestKeyEarly - time.Second) }
		if err := w.key(nodeA, testSecrets("a")); err == nil {
			t.Error("a key passes before its time")
		}
		w.client.directory.now = func() time.Time { return time.Now().Add(requestKeyValid + time.Second) }
		time.Sleep(time.Minute)
		if err := w.key(nodeA, testSecrets("a")); err == nil {
			t.Error("a key passes after its time")
		}
	})
}

// TestFreshness asks again after five minutes, and believes an old document for
// an hour when it cannot.
func TestFreshness(t *testing.T) {
	inBubble(t, func(w *web) {
		s := testSecrets("a")
		w.publish(nodeA, s, 0)
		for range 30 {
			w.want("honest", w.key(nodeA, s), nil)
			time.Sleep(time.Minute)
		}
		if n := w.total(); n != 6 {
			t.Errorf("%d fetches in 30 minutes, want 6", n)
		}
		delete(w.docs, nodeA)
		time.Sleep(25 * time.Minute)
		w.want("down for half an hour", w.key(nodeA, s), nil)
		time.Sleep(time.Hour)
		w.want("down for more than an hour", w.key(nodeA, s), wire.Unavailable)
		_, err := w.client.Document(w.t.Context(), nodeA)
		w.want("for a call of ours", err, nil)
		w.publish(nodeA, s, 0)
		time.Sleep(time.Minute)
		w.want("back", w.key(nodeA, s), nil)
	})
}

func TestStoreFails(t *testing.T) {
	inBubble(t, func(w *web) {
		w.shelf.fail = errors.New("disk full")
		w.publish(nodeA, testSecrets("a"), 0)
		w.want("a pin that cannot be stored", w.key(nodeA, testSecrets("a")), wire.Internal)
		w.shelf.fail = nil
		r := PeerRecord{Name: nodeA, Root: testSecrets("other").Root.Public(), Document: w.docs[nodeA], Fetched: time.Now()}
		w.shelf.SavePeer(w.t.Context(), r, r.Root)
		w.want("a record that contradicts itself", w.key(nodeA, testSecrets("a")), wire.Internal)
		r.Root, r.Changes = testSecrets("a").Root.Public(), along(w.t, 0, 1)
		w.shelf.m[nodeA] = r
		w.want("changes that lead to another root", w.key(nodeA, testSecrets("a")), wire.Internal)
	})
}

// TestPinnedMeanwhile lets another process of the node be first to store what it
// knows of a peer: that counts, be it another root key, a later document, or the same.
func TestPinnedMeanwhile(t *testing.T) {
	inBubble(t, func(w *web) {
		mine := testSecrets("a")
		for _, test := range []struct {
			what  string
			node  wire.NodeName
			other Secrets
			last  uint64
			want  error
		}{
			{"another root key", nodeA, testSecrets("other"), 0, wire.Tampered},
			{"a later document", nodeB, mine, 1 << 40, wire.Unavailable},
			{"an earlier document", "peer.example", mine, 1 << 20, nil},
		} {
			w.publish(test.node, mine, 1<<30)
			stored := testDocument(w.t, test.node, test.other, test.last, time.Now())
			w.shelf.first = &PeerRecord{Name: test.node, Root: test.other.Root.Public(), Document: stored, Fetched: time.Now()}
			w.want(test.what, w.key(test.node, mine), test.want)
			if got := w.shelf.all()[test.node]; got.Root != test.other.Root.Public() || test.want != nil && string(got.Document) != string(stored) {
				w.t.Errorf("%s: it was replaced", test.what)
			}
		}
	})
}

// TestNumber grows even without the last number.
func TestNumber(t *testing.T) {
	now := time.Unix(1767225600, 0)
	for last, want := range map[uint64]uint64{0: 1767225600, 5: 1767225600, 1767225600: 1767225601, 1 << 40: 1<<40 + 1} {
		d, err := wire.OpenNodeDocument(testDocument(t, nodeA, testSecrets("a"), last, now), nodeA)
		if err != nil || d.Number != want {
			t.Errorf("after %d: %d, want %d (%v)", last, d.Number, want, err)
		}
	}
	if _, err := MakeDocument(DocumentOptions{Name: nodeA}); !errors.Is(err, wire.Invalid) {
		t.Errorf("without keys: %v", err)
	}
}

func TestDomainOf(t *testing.T) {
	for n, want := range map[wire.NodeName]wire.NodeName{
		"a.example": "a.example", "x.y.a.example": "a.example", "x.berlin.de": "berlin.de", "localhost:80": "localhost:80",
		"a.co.uk": "a.co.uk", "x.a.co.uk": "a.co.uk", "co.uk": "co.uk", // a registry's
		"x.y.github.io": "y.github.io", "github.io": "github.io", // a host's
	} {
		if got := DomainOf(n); got != want {
			t.Errorf("%s belongs to %s, want %s", n, got, want)
		}
	}
	for n, want := range map[wire.NodeName]bool{"co.uk": true, "a.co.uk": false, "github.io": false, "a.example": false, "localhost:80": false} {
		if IsRegistry(n) != want {
			t.Errorf("%s: got %t, want %t", n, !want, want)
		}
	}
}
