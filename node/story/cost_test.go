package story_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// What operations cost, in counts that do not drift, with the real client over
// HTTP and nodes that are processes.

// A meter counts what a client sends and receives.
type meter struct {
	client.Transport
	requests []string
	bytes    int
}

func newMeter(t testing.TB) *meter {
	h := client.NewHTTPTransport()
	t.Cleanup(h.Close)
	return &meter{Transport: h}
}

// Do is Transport's.
func (m *meter) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	answer, err := m.Transport.Do(ctx, r)
	if err == nil {
		m.requests = append(m.requests, r.Method+" "+r.Path[:min(12, len(r.Path))])
		m.bytes += len(r.Path) + len(r.Body) + len(answer.Body)
	}
	return answer, err
}

// TestBefriendingCost: befriending across two nodes costs both clients the same
// requests and the same bytes, whether 1 post was written before or 10,000: one
// wrap opens them all. Afterwards the friend reads them.
func TestBefriendingCost(t *testing.T) {
	undetected(t)
	t.Parallel()
	w := newWorld(t)
	befriend := func(name string, posts int) (requests []string, bytes int) {
		ctx, toLeft, toRight := t.Context(), newMeter(t), newMeter(t)
		ada, bob := register(t, w.left, "ada"+name, toLeft), register(t, w.right, "bob"+name, toRight)
		for range posts {
			must(ada.Post(ctx, "text", "friends"))
		}
		for _, m := range []*meter{toLeft, toRight} {
			m.requests, m.bytes = nil, 0
		}
		must(ada.AddFriend(ctx, bob.Whoami().Address, true))
		must(bob.AcceptFriend(ctx, ada.Whoami().Address, true))
		requests, bytes = slices.Concat(toLeft.requests, toRight.requests), toLeft.bytes+toRight.bytes
		for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
			page := must(bob.Read(ctx, ada.Whoami().Address, client.FeedOptions{Limit: 3}))
			if len(page.Posts) == min(3, posts) && len(page.Problems) == 0 {
				return requests, bytes
			}
			if time.Now().After(deadline) {
				t.Fatalf("of %d posts, the friend reads %d: %v", posts, len(page.Posts), page.Problems)
			}
		}
	}
	fewRequests, fewBytes := befriend("1", 1)
	requests, bytes := befriend("2", 10_000/stride)
	const digits = 32 + 2*60 + 4*300 // of seqs, in paths and JSON; and one hash more in each of two proofs, since there are two people on each node now; what the other node has cosigned meanwhile, below each checkpoint
	if !slices.Equal(requests, fewRequests) || bytes-fewBytes > digits || fewBytes-bytes > digits {
		t.Errorf("with 1 post %d bytes in %q,\nwith many %d bytes in %q", fewBytes, fewRequests, bytes, requests)
	}
	t.Logf("%d requests, %d bytes", len(requests), bytes)
}

// TestRemovalCost: removing a friend writes one epoch and one wrap for each of
// those who stay, and no record of a post: all have the revision they had.
func TestRemovalCost(t *testing.T) {
	undetected(t)
	t.Parallel()
	w := newWorld(t)
	ada := register(t, w.left, "ada", newMeter(t))
	friends := newMembers(t, w.left, "friend", 6)
	for _, f := range friends {
		befriends(t, ada, f)
	}
	for i := range 20 {
		must(ada.Post(t.Context(), fmt.Sprint("post ", i), "friends"))
	}
	entries, wraps := w.left.records("entry/"), w.left.records("wrap/")
	must(ada.RemoveFriend(t.Context(), friends[0].address()))
	after := w.left.records("entry/")
	for key, was := range entries {
		if now := after[key]; now.Revision != was.Revision || string(now.Value) != string(was.Value) {
			t.Errorf("%s was written again", key)
		}
	}
	if got := len(after) - len(entries); got != 1 {
		t.Errorf("%d entries were written, want the epoch alone", got)
	}
	if got := len(w.left.records("wrap/")) - len(wraps); got != len(friends)-1 {
		t.Errorf("%d wraps were written for %d who stay", got, len(friends)-1)
	}
}

// TestPostCommits: a post, from the command to its acknowledgement, is one commit
// of the node's store, and so two syncs; reading is none.
func TestPostCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := register(t, w.left, "ada", newMeter(t))
	must(ada.Post(t.Context(), "the first", "friends"))
	once := w.left.commits()
	must(ada.Post(t.Context(), "the second", "friends"))
	twice := w.left.commits() // the difference is a post, a start of the node and its end
	const posts = 10
	for range posts {
		must(ada.Post(t.Context(), "text", "friends"))
	}
	must(ada.Feed(t.Context(), client.FeedOptions{}))
	if got := w.left.commits() - twice - (twice - once) + 1; got != posts {
		t.Errorf("%d posts and a feed page: %d commits", posts, got)
	}
}

// closed stops the node, lets look have its file of own records, and starts the
// node again.
func (s *server) closed(look func(path string)) {
	must(0, s.stop())
	look(filepath.Join(s.data, "own.db"))
	must(0, s.start())
}

// records returns the records whose keys begin with prefix.
func (s *server) records(prefix string) map[string]store.Record {
	found := make(map[string]store.Record)
	s.closed(func(path string) {
		kept := must(bolt.Open(path, bolt.Options{}))
		for r, err := range kept.Scan(context.Background(), store.Prefix(prefix)) {
			must(0, err)
			found[r.Key] = r
		}
		must(0, kept.Close())
	})
	return found
}

// commits returns how many frames were ever written to the log: each has a sync,
// and a number, and that of the last is in the file.
func (s *server) commits() (count int) {
	s.closed(func(path string) {
		db := must(bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true}))
		must(0, db.View(func(tx *bbolt.Tx) error {
			count = int(binary.BigEndian.Uint64(tx.Bucket([]byte("format")).Get([]byte("frames"))))
			return nil
		}))
		must(0, db.Close())
	})
	return count
}

// register founds an account with the real client, which keeps its things in
// memory.
func register(t testing.TB, home *server, handle string, transport client.Transport) *client.Person {
	t.Helper()
	return must(client.New(transport, device{}).Register(t.Context(), client.RegisterOptions{
		Address:  wire.Address{Handle: wire.Handle(handle), Node: wire.NodeName(home.name)},
		Password: must(client.NewPassword([]byte("correct horse battery staple"))), Device: "laptop",
		ShowCode: func(string) error { return nil },
	}))
}

// befriends makes friends of a person of the real client and a member.
func befriends(t testing.TB, p *client.Person, m *member) {
	t.Helper()
	must(p.AddFriend(t.Context(), m.address(), true))
	var list wire.FriendsReply
	m.ask("GET", wire.PathFriends, nil, &list)
	for _, f := range list.Friends {
		if f.Address == p.Whoami().Address {
			m.accept(&member{home: m.home, handle: f.Address.Handle, account: f.Account}, f.OfferGot.Hash(wire.LabelOffer))
		}
	}
}

// A device keeps a client's files in memory.
type device map[string][]byte

func (d device) Load(name string) ([]byte, error) {
	b, ok := d[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(b), nil
}

func (d device) Save(name string, b []byte) error {
	d[name] = slices.Clone(b)
	return nil
}

func (d device) Delete(name string) error {
	delete(d, name)
	return nil
}

func (d device) List(prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d)), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}
