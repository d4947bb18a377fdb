package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// stage is two nodes whose stores can be put back, and who lives there.
type stage struct {
	w             *world
	stores        map[string]*storetest.Memory
	people        []*testPerson
	ann, ben, cid *testPerson // ann and cid in the north, ben in the south
	forget        bool        // the copies are deleted before it begins
}

var stageStores = []string{"north own", "north copies", "south own", "south copies"}

func newStage(t *testing.T) *stage {
	s := &stage{w: newWorld(t), stores: map[string]*storetest.Memory{}}
	for _, name := range stageStores {
		s.stores[name] = storetest.NewMemory()
	}
	s.open(t)
	at := func(n wire.NodeName) *testNode { return s.w.nodes[n] }
	s.ann, s.cid, s.ben = at(north).person("ann"), at(north).person("cid"), at(south).person("ben")
	s.people = []*testPerson{s.ann, s.ben, s.cid}
	return s
}

// open opens both nodes.
func (s *stage) open(t *testing.T) {
	t.Helper()
	for _, name := range []wire.NodeName{north, south} {
		side := strings.TrimSuffix(string(name), ".example")
		n := s.w.open(name, s.stores[side+" own"], s.stores[side+" copies"])
		for _, p := range s.people {
			if p.address.Node == name {
				p.home = n
			}
		}
	}
}

func (s *stage) close() {
	for _, n := range s.w.nodes {
		n.close()
	}
}

func (s *stage) snapshot() map[string]storetest.Snapshot {
	all := make(map[string]storetest.Snapshot)
	for name, m := range s.stores {
		all[name] = m.Snapshot()
	}
	return all
}

func (s *stage) restore(all map[string]storetest.Snapshot) {
	for name, m := range s.stores {
		m.Restore(all[name])
	}
}

// settled waits until nothing waits for delivery.
func (s *stage) settled(t *testing.T) {
	t.Helper()
	eventually(t, "all is delivered", func() bool {
		waiting := 0
		for _, own := range []*storetest.Memory{s.stores["north own"], s.stores["south own"]} {
			waiting += len(keysOf(t, own, "deliver/")) + len(keysOf(t, own, farewellPrefix))
		}
		return waiting == 0
	})
	if len(keysOf(t, s.stores["north own"], leavingPrefix)) == 0 {
		return
	}
	defer func() {
		if t.Failed() {
			t.Logf("left behind: %q", leftBehind(t, s.ann))
		}
	}()
	eventually(t, "nothing is left of who was deleted", func() bool { return len(leftBehind(t, s.ann)) == 0 })
}

// dump returns all that lies in the stores, but the number of each start.
func (s *stage) dump(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name, m := range s.stores {
		for rec, err := range m.Scan(t.Context(), store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Key != "node/document" && !strings.HasPrefix(rec.Key, "read/") { // made anew; not worth a second attempt
				all[name+" "+rec.Key] = string(rec.Value)
			}
		}
	}
	return all
}

// Every operation, stopped after each change that it makes in each store,
// and tried again after a restart, leaves the stores as if it had never been
// stopped.
func TestInterruptions(t *testing.T) {
	undetected(t)
	tell := func(p *testPerson, r wire.FriendRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.as().Tell(ctx, r)
			return err
		}
	}
	publish := func(p *testPerson, e wire.Entry, ends ...wire.FriendRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.as().Publish(ctx, wire.PublishRequest{Entry: e, Ends: ends})
			return err
		}
	}
	for name, prepare := range map[string]func(s *stage) func(context.Context) error{
		"register": func(s *stage) func(context.Context) error {
			dan := s.ann.home.newPerson("dan")
			return func(ctx context.Context) error {
				_, err := s.ann.home.Register(ctx, dan.register)
				return err
			}
		},
		"vault": func(s *stage) func(context.Context) error {
			v := s.ann.nextVault()
			return func(ctx context.Context) error { return s.ann.as().PutVault(ctx, v) }
		},
		"new keys": func(s *stage) func(context.Context) error {
			u := s.ann.renewal(nil)
			return func(ctx context.Context) error { return s.ann.as().RenewKeys(ctx, u) }
		},
		"wraps": func(s *stage) func(context.Context) error {
			r := wire.WrapsRequest{Audience: s.ann.audience, Commitment: s.ann.content, Wraps: []wire.Wrap{s.ann.wrapFor(s.ben), s.ann.wrapFor(s.cid)}}
			return func(ctx context.Context) error { return s.ann.as().PutWraps(ctx, r) }
		},
		"post":       func(s *stage) func(context.Context) error { return publish(s.ann, s.ann.post()) },
		"epoch":      func(s *stage) func(context.Context) error { return publish(s.ann, s.ann.epoch()) },
		"offer":      func(s *stage) func(context.Context) error { return tell(s.ann, s.ann.offer(s.ben)) },
		"offer here": func(s *stage) func(context.Context) error { return tell(s.ann, s.ann.offer(s.cid)) },
		"accept": func(s *stage) func(context.Context) error {
			s.ann.tell(s.ann.offer(s.ben))
			return tell(s.ben, s.ben.accept(s.ann))
		},
		"accept here": func(s *stage) func(context.Context) error {
			s.ann.tell(s.ann.offer(s.cid))
			return tell(s.cid, s.cid.accept(s.ann))
		},
		"end": func(s *stage) func(context.Context) error {
			s.ann.befriend(s.ben)
			return tell(s.ben, s.ben.end(s.ann))
		},
		"end here": func(s *stage) func(context.Context) error {
			s.ann.befriend(s.cid)
			return tell(s.cid, s.cid.end(s.ann))
		},
		"deletion": func(s *stage) func(context.Context) error {
			s.history()
			s.ann.befriend(s.cid)
			s.ann.rotate(s.ben, s.cid)
			s.cid.rotate(s.ann)
			return s.ann.deletes(s.ann.tombstone())
		},
		"removal": func(s *stage) func(context.Context) error {
			s.ann.befriend(s.ben)
			s.ann.befriend(s.cid)
			return publish(s.ann, s.ann.epoch(), s.ann.end(s.cid), s.ann.end(s.ben))
		},
		"pull": func(s *stage) func(context.Context) error {
			s.ann.posts(2)
			s.ann.befriend(s.ben)
			s.ann.rotate(s.ben)
			s.ann.posts(2)
			s.forget = true
			return func(ctx context.Context) error { return nil } // all that is done pulls
		},
		"trim": func(s *stage) func(context.Context) error {
			s.history()
			return func(ctx context.Context) error {
				for {
					_, err := s.ben.home.trimNamed(ctx, streamName{s.ann.account, s.ann.audience}, toTrim)
					if !errors.Is(err, errBusy) { // else, in the background, what was interrupted is cleared
						return err
					}
				}
			}
		},
		"refill": func(s *stage) func(context.Context) error {
			s.history()
			s.pullAll()
			s.ben.home.trims(s.ann)
			return func(ctx context.Context) error {
				n := s.ben.home
				one, err := n.stream(ctx, streamName{s.ann.account, s.ann.audience})
				for err == nil && one.gap.Load() != nil {
					if err = n.refill(ctx, north, one); errors.Is(err, errBusy) {
						err = nil // in the background, what was interrupted is cleared
					}
				}
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			run := prepare(s)
			s.settled(t)
			s.pullAll()
			s.close()
			before := s.snapshot()
			if s.forget {
				before["north copies"], before["south copies"] = storetest.NewMemory().Snapshot(), storetest.NewMemory().Snapshot()
			}
			clean := func() {
				t.Helper()
				s.w.fail(south, away) // the closed one
				s.open(t)
				s.w.fail(south, nil)
				for _, n := range s.w.nodes {
					n.leaving.look()
				}
				if err := run(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.settled(t)
				s.pullAll()
				for _, n := range s.w.nodes {
					n.looks()
				}
				s.close()
			}
			for _, target := range stageStores {
				m := s.stores[target]
				s.restore(before)
				made := m.Changes()
				clean()
				want, made := s.dump(t), m.Changes()-made
				try := func(how string, spoil func()) {
					t.Helper()
					s.restore(before)
					s.w.fail(north, away) // so that nothing is pulled too early
					s.w.fail(south, away)
					s.open(t)
					spoil()
					s.w.fail(north, nil)
					s.w.fail(south, nil)
					err := run(t.Context())
					s.pullAll()
					s.close()
					m.Resume()
					s.checked(t, how)
					clean()
					s.checked(t, how+", and repaired")
					if got := s.dump(t); !maps.Equal(got, want) {
						t.Fatalf("%s %s (%v): %s", target, how, err, difference(got, want))
					}
				}
				for k := range made + 1 {
					try(fmt.Sprintf("stopped after %d of %d changes", k, made), func() { m.StopAfter(k) })
				}
				for seed := range uint64(2) {
					try(fmt.Sprintf("with seed %d", seed), func() { m.Chaos(seed) })
				}
			}
		})
	}
}

// checked fails the test if fsck finds anything that is not left over.
func (s *stage) checked(t *testing.T, how string) {
	t.Helper()
	for _, side := range []string{"north", "south"} {
		got := fsckStores(t, s.stores[side+" own"], s.stores[side+" copies"], s.w.clock.now(), false)
		if len(got.findings) > 0 {
			t.Fatalf("%s %s: %s", side, how, got)
		}
	}
}

// pullAll copies both ways, as far as that can be.
func (s *stage) pullAll() {
	for _, n := range s.w.nodes {
		for _, other := range []wire.NodeName{north, south} {
			n.follows.renew(other)
			for range 3 {
				if n.follows.stale(other, n.every) {
					_ = n.pull(context.Background(), other)
				}
			}
		}
	}
}

func difference(got, want map[string]string) string {
	for k, v := range want {
		if w, ok := got[k]; !ok || w != v {
			return fmt.Sprintf("%s: got %x, want %x", k, w, v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			return k + ": was left behind"
		}
	}
	return "none"
}

// A node that is stopped while it is opened for the first time, or later, opens.
func TestOpenIsInterrupted(t *testing.T) {
	w := newWorld(t)
	for k := 0; ; k++ {
		own, copies := storetest.NewMemory(), storetest.NewMemory()
		own.StopAfter(k)
		n, err := w.tryOpen(north, own, copies)
		if err == nil {
			n.close()
			if k < 3 {
				t.Fatalf("opened with %d changes", k)
			}
			return
		}
		if !errors.Is(err, storetest.ErrStopped) {
			t.Fatal(err)
		}
		own.Resume()
		w.open(north, own, copies).close()
	}
}

// coldStore keeps a start from looking through the streams in the background.
type coldStore struct {
	store.Store
	warm chan struct{}
}

func (c coldStore) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	if strings.HasPrefix(q.From, elsewherePrefix) {
		<-c.warm
	}
	return c.Store.Scan(ctx, q)
}

// An end that an entry committed right before the node was stopped holds from the
// first moment after the start.
func TestEndHoldsAfterStart(t *testing.T) {
	for what, holds := range map[string]func(t *testing.T, ann *Person, again wire.FriendRequest){
		"listed": func(t *testing.T, ann *Person, _ wire.FriendRequest) {
			reply, err := ann.Friends(t.Context())
			if err != nil || len(reply.Friends) != 1 || reply.Friends[0].State != wire.StateNone {
				t.Errorf("got %v, %v, want the one friendship to have ended", reply.Friends, err)
			}
		},
		"told": func(t *testing.T, ann *Person, again wire.FriendRequest) {
			if reply, err := ann.Tell(t.Context(), again); err != nil || reply.Friend.State != wire.StateOutgoing {
				t.Errorf("a new offer: got %v, %v", reply.Friend.State, err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStage(t)
			s.ann.befriend(s.cid)
			removal := wire.PublishRequest{Entry: s.ann.epoch(), Ends: []wire.FriendRequest{s.ann.end(s.cid)}}
			s.settled(t)
			own := s.stores["north own"]
			own.StopAfter(1)
			if _, err := s.ann.as().Publish(t.Context(), removal); err == nil {
				t.Fatal("nothing stopped it")
			}
			s.close()
			own.Resume()

			cold := coldStore{own, make(chan struct{})}
			n, err := Open(t.Context(), Options{
				Name: north, Own: cold, Copies: storetest.NewMemory(), Now: s.w.clock.now, SyncInterval: time.Hour, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close(t.Context())
			defer close(cold.warm)
			holds(t, n.As(s.ann.account, s.ann.address.Handle), s.ann.offer(s.cid))
		})
	}
}
