package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// oddPeers are nodes some of which answer as they like.
type oddPeers struct {
	worldPeers
	odd map[wire.NodeName]federation.API
}

func (p oddPeers) To(name wire.NodeName) federation.API {
	if one := p.odd[name]; one != nil {
		return one
	}
	return p.worldPeers.To(name)
}

// A silentPeer takes a question and does not answer.
type silentPeer struct{ federation.API }

func (silentPeer) Sync(ctx context.Context, _ wire.SyncRequest) (wire.SyncReply, error) {
	<-ctx.Done()
	return wire.SyncReply{}, ctx.Err()
}

// TestRegainBesideSilentNodes has 15 nodes of friends that do not answer: what the
// others have is there before any of them is given up.
func TestRegainBesideSilentNodes(t *testing.T) {
	const silent, all = 15, 19
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		home, odd := w.open(north, nil, nil), map[wire.NodeName]federation.API{}
		var others []*testNode
		var people []*testPerson
		for i := range all {
			other := w.open(wire.NodeName(fmt.Sprintf("node%d.example", i)), nil, nil)
			p := home.person(wire.Handle(fmt.Sprint("ann", i)))
			p.befriend(other.person("ben"))
			others, people = append(others, other), append(people, p)
			if i < silent {
				odd[other.name] = silentPeer{worldPeer{w, north, other.name}}
			}
		}
		then := home.then()
		var had, whole [all][]wire.EntryID
		for i, p := range people {
			had[i] = p.all()
			p.posts(2)
			whole[i] = p.all()
			others[i].pulls(home)
		}

		w.lies = map[wire.NodeName]Peers{north: oddPeers{worldPeers{w, north}, odd}}
		home.restored(then, people...)
		synctest.Wait() // no time passes
		for i, p := range people {
			if i < silent {
				p.holds(had[i])
			} else {
				p.holds(whole[i])
			}
		}
	})
}

// TestRegainTurn has a node that shows one entry at a time, and slowly: the next
// round does not wait until that has come to its end, and goes on with it.
func TestRegainTurn(t *testing.T) {
	const west wire.NodeName = "west.example"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		home, slow, late := w.open(north, nil, nil), w.open(south, nil, nil), w.open(west, nil, nil)
		ann, amy := home.person("ann"), home.person("amy")
		ann.befriend(slow.person("ben"))
		amy.befriend(late.person("bob"))
		then, had := home.then(), ann.all()
		ann.posts(30)
		amy.posts(1)
		annAll, amyAll := ann.all(), amy.all()
		slow.pulls(home)
		late.pulls(home)

		liar := &liar{API: worldPeer{w, north, south}, sync: func(r *wire.SyncReply) {
			time.Sleep(regainTurn / 6)
			for i := range r.Streams {
				s := &r.Streams[i]
				s.Entries = s.Entries[:min(1, len(s.Entries))]
			}
		}}
		w.lies = map[wire.NodeName]Peers{north: oddPeers{worldPeers{w, north}, map[wire.NodeName]federation.API{south: liar}}}
		w.fail(west, away)
		home = home.restored(then, ann, amy)
		synctest.Wait()
		w.fail(west, nil) // after the first round, as for this one
		time.Sleep(regainTurn + regainTurn/3)
		synctest.Wait()
		amy.holds(amyAll)
		if got := len(ann.all()); got <= len(had) || got >= len(annAll) {
			t.Errorf("got %d entries of a node that is slow, want some of those behind %d and up to %d", got, len(had), len(annAll))
		}
		time.Sleep(15 * regainTurn)
		home.asksNobody()
		ann.holds(annAll)
	})
}

// A stumblingStore fails, while it should, behind the first record of a scan of what
// begins so.
type stumblingStore struct {
	store.Store
	prefix   string
	stumbles *atomic.Bool
}

func (s stumblingStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for rec, err := range s.Store.Scan(ctx, q) {
			if !yield(rec, err) {
				return
			}
			if s.stumbles.Load() && strings.HasPrefix(q.From, s.prefix) {
				yield(store.Record{}, errors.New("the disk stumbles"))
				return
			}
		}
	}
}

// TestRegainListsAgain has a store that fails in the middle of a list of what may be
// lost: nothing is continued until there is a whole one, and what was in the first
// does not count twice.
func TestRegainListsAgain(t *testing.T) {
	const west wire.NodeName = "west.example"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		home, other, gone := w.open(north, nil, nil), w.open(south, nil, nil), w.open(west, nil, nil)
		ann, amy, fay := home.person("ann"), home.person("amy"), home.person("fay")
		ann.befriend(other.person("ben"))
		amy.befriend(gone.person("bob"))
		then, begun := home.then(), ann.stream
		ann.posts(2)
		all, end := ann.all(), ann.stream
		other.pulls(home)

		home.close()
		own := stumblingStore{storetest.NewMemory(), elsewherePrefix + "/", new(atomic.Bool)}
		own.Store.(*storetest.Memory).Restore(then)
		if err := own.Apply(t.Context(), put(regainKey, &regainRecord{recordVersion, w.clock.now().UnixMilli()})); err != nil {
			t.Fatal(err)
		}
		own.stumbles.Store(true)
		w.fail(west, away)
		home.reopened(own, ann, amy, fay)
		synctest.Wait()
		refused := func(p *testPerson) {
			t.Helper()
			_, err := p.as().Publish(t.Context(), wire.PublishRequest{Entry: p.post()})
			kind(t, err, wire.Unavailable)
		}
		ann.stream = begun
		for _, p := range []*testPerson{ann, amy, fay} {
			refused(p)
		}

		own.stumbles.Store(false)
		time.Sleep(regainRetry)
		synctest.Wait()
		ann.holds(all)
		ann.stream = end
		ann.posts(1)
		fay.posts(1)
		refused(amy)
	})
}
